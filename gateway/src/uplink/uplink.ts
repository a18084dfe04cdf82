/**
 * The uplink: a reader of the log with a cursor. Sends frames as the log keeps them, within a window of unreceipted
 * envelopes, and believes only receipts. Alert events also go ahead on their own lane. Protocol: contracts wire/uplink.
 */
import { deflateRawSync } from 'node:zlib';
import {
  type ActsDown,
  type AlertEvent,
  checkAlertEvent,
  type Clock,
  type ClockTrust,
  type DownMessage,
  encodeEnvelopeBody,
  envelopeDeflated,
  envelopePlain,
  type Hello,
  type Plan,
  type Receipt,
  type Resend,
  type Site,
  type Timer,
  topics,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { CommittedFrame, Log } from '../log/port.js';
import type { UplinkDestination } from './destination.js';
import { spanAt } from './epochs.js';
import { addToSum, sumHex } from './frame-sums.js';

/** Numbers of the uplink for health, metrics and the app. */
export interface UplinkStats {
  readonly connected: boolean;
  /** Log numbers not covered by a receipt. */
  readonly backlogFrames: number;
  /** Age of the oldest of them, seconds of the village's time; 0 without backlog. */
  readonly backlogAgeS: number;
  readonly receiptedNumber: number;
  readonly sentEnvelopes: number;
  readonly sentBytes: number;
  readonly receipts: number;
  readonly resends: number;
  readonly sumMismatches: number;
}

export interface UplinkOptions {
  readonly destination: UplinkDestination;
  readonly log: Log;
  /** Epochs that ended with a restore, oldest first; what the cloud has not receipted of them is sent under their names. */
  readonly formerEpochs?: readonly { readonly epoch: string; readonly last: number }[];
  readonly gatewayId: string;
  readonly gridId: string;
  readonly version: string;
  readonly plan: Plan;
  readonly site: () => Site;
  readonly clockTrust: () => ClockTrust;
  /** Disk and card, as HELLO tells of them. */
  readonly storage?: () => Partial<Pick<Hello, 'disk_used_pct' | 'card_life_used_pct'>>;
  /** What the cloud's clock shows now, to within so many milliseconds either way. */
  readonly onCloudTime?: (nowMs: number, exactToMs: number) => void;
  /** The village's time, for what messages say. */
  readonly clock: Clock;
  /** Real time, for everything that concerns the network. */
  readonly realClock: Clock;
  readonly logger: Logger;
  /** What people did at the cloud: store by id if absent. It is repeated until it comes up in a frame. */
  readonly onActs: (events: readonly AlertEvent[]) => Promise<void>;
}

/** The uplink as a part of the gateway. */
export interface Uplink {
  start(): void;
  stop(): Promise<void>;
  stats(): UplinkStats;
  /** Tells the cloud anew what the site is. */
  siteChanged(): void;
}

/** Name of the cursor: the last number covered by a receipt. */
export const uplinkCursor = 'uplink';

/** Envelopes that may be without a receipt at a time. */
const window = 8;
const framesPerEnvelope = 64;
const bytesPerEnvelope = 80 * 1024;
/** How long new frames wait for company, and how long an answer may take, real milliseconds. */
const lingerMs = 200;
/** How often HELLO is said again on a connection that holds: version, clock, disk and card change meanwhile. */
const helloEveryMs = 6 * 3_600_000;
const answerWithinMs = 10_000;
const longestAnswerMs = 60_000;
/** Frames looked through at a time for events that go ahead, and events per message. */
const lookAhead = 500;
const eventsPerMessage = 50;
/** Ranges that are sent again for one question. */
const mostRangesAgain = 20;

/** Makes the uplink. */
export function createUplink(options: UplinkOptions): Uplink {
  const { destination, log, gatewayId, gridId, clock, realClock, logger } = options;
  const up = (lane: 'session' | 'alerts' | 'live' | 'backfill') => topics.up(gridId, gatewayId, lane);
  let receipted = log.cursor(uplinkCursor);
  /** The epoch that is spoken of now: the one of the oldest frame without a receipt. */
  let span = spanAt(receipted + 1, log.epoch, options.formerEpochs ?? []);
  /** Newest number of that epoch; numbers here are the log's, on the wire the epoch's own. */
  const newest = () => Math.min(span.last, log.newestNumber());
  let next = receipted + 1;
  let unreceipted = 0;
  let welcomed = false;
  let pumping = false;
  let answerMs = answerWithinMs;
  let base: { number: number; sum: bigint } | undefined;
  let linger: Timer | undefined;
  let answer: Timer | undefined;
  let unsubscribe: (() => void) | undefined;
  let again: Timer | undefined;
  /** Rises with each connection, so that what belongs to a former one is recognised. */
  let connection = 0;
  /** When what is to be answered next was sent, by the village's monotonic time; undefined when that is not known. */
  let askedMs: number | undefined;
  const counts = { sentEnvelopes: 0, sentBytes: 0, receipts: 0, resends: 0, sumMismatches: 0 };
  const send = (topic: string, message: object) =>
    destination.publish(topic, new TextEncoder().encode(JSON.stringify(message)));

  /** The answer was made somewhere between the question and now. */
  const takeTime = (serverMs: unknown) => {
    if (askedMs === undefined || typeof serverMs !== 'number' || !Number.isFinite(serverMs)) return;
    const halfMs = (clock.monotonicMs() - askedMs) / 2;
    askedMs = undefined;
    options.onCloudTime?.(serverMs + halfMs, halfMs);
  };

  const nothingExpected = () => {
    answer?.cancel();
    answer = undefined;
  };

  const expectAnswer = (what: () => void) => {
    nothingExpected();
    answer = realClock.after(answerMs, () => {
      answer = undefined;
      answerMs = Math.min(answerMs * 2, longestAnswerMs);
      counts.resends += 1;
      what();
    });
  };

  const hello = () => {
    const message: Hello = {
      y: 'hello',
      gateway_id: gatewayId,
      boot: log.boot,
      version: options.version,
      epoch: span.epoch,
      newest_number: newest() - span.after,
      oldest_number: Math.max(1, log.oldestNumber() - span.after),
      receipted_number: receipted - span.after,
      clock_ms: clock.nowMs(),
      clock_trust: options.clockTrust(),
      plan: options.plan,
      ...options.storage?.(),
      site: options.site(),
    };
    // Asked again, the answer may be one to the first question: that is the time that counts.
    askedMs ??= clock.monotonicMs();
    expectAnswer(() => {
      // After a change of the site the link is already welcomed: then frames may wait for their receipt as well.
      if (welcomed) goBack();
      else if (destination.connected) hello();
    });
    send(up('session'), message).catch((error: unknown) =>
      logger.debug('hello was not delivered', { reason: String(error) }),
    );
  };

  const goBack = () => {
    if (!destination.connected || !welcomed || receipted >= newest()) return;
    logger.info('no receipt came: sending again', { from: receipted + 1 });
    next = receipted + 1;
    unreceipted = 0;
    void pump();
  };

  const envelopeOf = (frames: readonly CommittedFrame[]): Buffer => {
    const body = encodeEnvelopeBody({
      epoch: span.epoch,
      first: (frames[0]?.number ?? 1) - span.after,
      plan: options.plan,
      receiptWanted: true,
      frames: frames.map((one) => one.bytes),
    });
    const packed = deflateRawSync(body);
    const smaller = packed.length < body.length;
    return Buffer.concat([Buffer.from([smaller ? envelopeDeflated : envelopePlain]), smaller ? packed : body]);
  };

  const pump = async (): Promise<void> => {
    if (pumping) return;
    pumping = true;
    const own = connection;
    try {
      while (destination.connected && welcomed && own === connection && unreceipted < window && next <= newest()) {
        const maxFrames = Math.min(framesPerEnvelope, newest() - next + 1);
        const frames = log.read(next, { maxFrames, maxBytes: bytesPerEnvelope });
        const first = frames[0];
        if (first === undefined) break;
        const bytes = envelopeOf(frames);
        next = first.number + frames.length;
        if (unreceipted === 0) askedMs = clock.monotonicMs();
        unreceipted += 1;
        counts.sentEnvelopes += 1;
        counts.sentBytes += bytes.length;
        // The oldest unreceipted envelope is the one that is timed: what is sent after it does not put its resend off.
        if (answer === undefined) expectAnswer(goBack);
        await destination.publish(up(next > log.newestNumber() ? 'live' : 'backfill'), bytes);
      }
    } catch (error) {
      logger.debug('an envelope was not delivered', { reason: String(error) });
    } finally {
      pumping = false;
    }
    if (own !== connection && welcomed) void pump();
  };

  const soon = () => {
    linger ??= realClock.after(lingerMs, () => {
      linger = undefined;
      void pump();
    });
  };

  /** The part of the sum that belongs to numbers after `from` up to `to`, without those refused. */
  const sumBetween = (from: number, to: number, bad: ReadonlySet<number>): bigint => {
    let sum = 0n;
    for (let number = from + 1; number <= to; ) {
      const frames = log.read(number, { maxFrames: 256, maxBytes: 4 * 1024 * 1024 });
      if (frames.length === 0) break;
      for (const one of frames) if (one.number <= to && !bad.has(one.number)) sum = addToSum(sum, one.bytes);
      number += frames.length;
    }
    return sum;
  };

  /** The cloud has all of a former epoch that is here: it is asked what it has of the one after. */
  const speakOfNext = () => {
    span = spanAt(receipted + 1, log.epoch, options.formerEpochs ?? []);
    base = undefined;
    next = receipted + 1;
    unreceipted = 0;
    welcomed = false;
    nothingExpected();
    if (destination.connected) hello();
  };

  const takeReceipt = (receipt: Receipt) => {
    if (receipt.epoch !== span.epoch) return;
    counts.receipts += 1;
    takeTime(receipt.server_time_ms);
    const upTo = Math.min(receipt.up_to + span.after, newest());
    for (const [number, reason] of receipt.bad)
      if (number + span.after > receipted) logger.error('the cloud refused a frame', { number, reason });
    // The first receipt after a start is the base; from there on both sides must add up to the same.
    if (base !== undefined && upTo > base.number) {
      const sum =
        (base.sum + sumBetween(base.number, upTo, new Set(receipt.bad.map(([number]) => number + span.after)))) %
        (1n << 64n);
      if (sumHex(sum) !== receipt.sum) {
        counts.sumMismatches += 1;
        logger.error('the cloud’s sum differs from ours', { up_to: upTo, ours: sumHex(sum), theirs: receipt.sum });
      }
    }
    base = { number: upTo, sum: BigInt(`0x${receipt.sum}`) };
    const progress = upTo > receipted;
    if (progress) {
      answerMs = answerWithinMs;
      receipted = upTo;
      log.setCursor(uplinkCursor, upTo);
    }
    if (receipted >= span.last) return speakOfNext();
    unreceipted = next <= receipted + 1 ? 0 : Math.max(0, unreceipted - 1);
    if (next <= receipted) next = receipted + 1;
    if (next <= receipted + 1) nothingExpected();
    // A receipt that brings nothing on means a hole: the time of the envelope that is missing goes on.
    else if (progress || answer === undefined) expectAnswer(goBack);
    void pump();
  };

  /** Alert events that wait in a long backlog go ahead of it, in order, in small steps. */
  const sendWaitingEvents = async () => {
    const own = connection;
    const last = log.newestNumber();
    for (let number = receipted + 1; number <= last && own === connection && destination.connected; ) {
      const frames = log.read(number, { maxFrames: lookAhead, maxBytes: 2 * 1024 * 1024 });
      if (frames.length === 0) return;
      await sendEvents(frames);
      number += frames.length;
      await realClock.sleep(0);
    }
  };

  const sendEvents = async (frames: readonly CommittedFrame[]) => {
    const events = frames.flatMap((one) => one.frame.events);
    for (let i = 0; i < events.length; i += eventsPerMessage) {
      await send(up('alerts'), { y: 'alerts', events: events.slice(i, i + eventsPerMessage) });
    }
  };

  const take = (message: DownMessage) => {
    if (message.y === 'welcome') {
      // The answer about an epoch that is done with opens nothing.
      if (message.receipt.epoch !== span.epoch) return;
      const before = welcomed;
      welcomed = true;
      nothingExpected();
      takeTime(message.server_time_ms);
      // A cloud that lost what it had receipted gets it again, as far as the log still has it.
      const has = message.receipt.up_to + span.after;
      if (message.receipt.epoch === span.epoch && has < receipted) {
        logger.warn('the cloud has less than it had receipted', { receipted, has });
        receipted = Math.max(has, log.oldestNumber() - 1);
        base = undefined;
      }
      takeReceipt(message.receipt);
      if (!before) {
        next = receipted + 1;
        unreceipted = 0;
        sendWaitingEvents().catch((error: unknown) =>
          logger.debug('events did not go ahead', { reason: String(error) }),
        );
        void pump();
      }
    } else if (message.y === 'receipt') takeReceipt(message);
    else if (message.y === 'acts') void takeActs(message);
    else if (message.y === 'resend') void sendAgain(message);
  };

  /** Sends frames again that the cloud could not use, as far as they are here; what waits for receipts is not touched. */
  const sendAgain = async ({ epoch, ranges }: Resend) => {
    if (epoch !== span.epoch || !welcomed) return;
    const own = connection;
    try {
      for (const [first, last] of ranges.slice(0, mostRangesAgain)) {
        const end = Math.min(last + span.after, receipted);
        for (let number = Math.max(first + span.after, log.oldestNumber()); number <= end; ) {
          const frames = log.read(number, {
            maxFrames: Math.min(framesPerEnvelope, end - number + 1),
            maxBytes: bytesPerEnvelope,
          });
          if (frames.length === 0 || own !== connection || !destination.connected) return;
          counts.resends += 1;
          // What the cloud takes now counts in its sum, though it lies before the base.
          base = undefined;
          await destination.publish(up('backfill'), envelopeOf(frames));
          number += frames.length;
        }
      }
    } catch (error) {
      logger.debug('frames were not sent again', { reason: String(error) });
    }
  };

  const takeActs = async ({ events }: ActsDown) => {
    try {
      // What the log takes must be readable for ever: an event that is none would stop every reader of its frame.
      const good: AlertEvent[] = [];
      for (const checked of events.map((event) => checkAlertEvent(event, gridId))) {
        if (checked.ok) good.push(checked.event);
        else logger.warn('an act from the cloud was left aside', { reason: checked.reason });
      }
      if (good.length > 0) await options.onActs(good);
    } catch (error) {
      logger.warn('acts from the cloud were not stored; it will repeat them', { reason: String(error) });
    }
  };

  return {
    start() {
      again = realClock.every(helloEveryMs, () => {
        if (destination.connected && welcomed && answer === undefined) hello();
      });
      unsubscribe = log.onCommit((committed) => {
        if (!destination.connected || !welcomed) return;
        if (committed.frame.events.length > 0) {
          sendEvents([committed]).catch((error: unknown) =>
            logger.debug('events did not go ahead', { reason: String(error) }),
          );
        }
        soon();
      });
      destination.open(topics.down(gridId, gatewayId), {
        up() {
          connection += 1;
          welcomed = false;
          unreceipted = 0;
          askedMs = undefined;
          answerMs = answerWithinMs;
          hello();
        },
        down() {
          connection += 1;
          welcomed = false;
          nothingExpected();
        },
        message(_topic, bytes) {
          let message: DownMessage;
          try {
            message = JSON.parse(new TextDecoder().decode(bytes)) as DownMessage;
          } catch {
            logger.warn('a message from the cloud is not JSON and was left aside');
            return;
          }
          try {
            take(message);
          } catch (error) {
            logger.warn('a message from the cloud was left aside', { reason: String(error) });
          }
        },
      });
    },
    async stop() {
      unsubscribe?.();
      again?.cancel();
      linger?.cancel();
      nothingExpected();
      if (destination.connected) {
        await Promise.race([
          send(up('session'), { y: 'goodbye', gateway_id: gatewayId, clock_ms: clock.nowMs() }),
          realClock.sleep(500),
        ]).catch(() => undefined);
      }
      await destination.close();
    },
    siteChanged() {
      if (destination.connected) hello();
    },
    stats() {
      const newest = log.newestNumber();
      const oldest = newest > receipted ? log.read(receipted + 1, { maxFrames: 1, maxBytes: 1 })[0] : undefined;
      return {
        connected: destination.connected && welcomed,
        backlogFrames: newest - receipted,
        backlogAgeS: oldest === undefined ? 0 : Math.max(0, (clock.nowMs() - oldest.frame.wallMs) / 1000),
        receiptedNumber: receipted,
        ...counts,
      };
    },
  };
}
