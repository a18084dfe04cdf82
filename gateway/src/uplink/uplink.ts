/**
 * The uplink: a reader of the log with a cursor. Sends frames as the log keeps them or sealed as its plan says, and
 * believes only receipts. Alert events go ahead on their own lane, then what is live, then what waited, as far as credit
 * and budget allow. Protocol: contracts wire/uplink.
 */
import {
  type ActsDown,
  type AlertEvent,
  checkAlertEvent,
  type Clock,
  type ClockTrust,
  type CommandDown,
  type CommandGo,
  type CommandOutcome,
  type CommandReady,
  type DocumentDown,
  type DownMessage,
  encodeEnvelopeBody,
  type EnvelopeAbility,
  type Hello,
  type Plan,
  type Receipt,
  type Site,
  type Timer,
  topics,
} from '@villagrid/contracts';
import { NumberRanges, type Logger } from '@villagrid/runtime';
import type { CommittedFrame, Log } from '../log/port.js';
import { completeAtMs, DayBudget, localDay } from './budget.js';
import { type Built, createBuilder } from './builder.js';
import { Credit } from './credit.js';
import type { UplinkDestination } from './destination.js';
import { spanAt } from './epochs.js';
import { addToSum, sumHex } from './frame-sums.js';
import { headersOf } from './line-bytes.js';
import { packEnvelope } from './pack.js';
import { boosted, planForm } from './plans.js';
import type { SealStore } from '../log/seal-store.js';
import { memorySealStore } from './memory-seal-store.js';
import { Seals } from './seals.js';

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
  readonly plan: Plan;
  /** Whether somebody watches from afar just now, so that more is sent than the plan says. */
  readonly boosted: boolean;
  /** Bytes of this local day on the line, both ways, TLS, TCP and IP included; and how many may be, null without a budget. */
  readonly day: string;
  readonly dayBytes: number;
  readonly dayBudgetBytes: number | null;
  /** Why history waits just now; null when it does not. */
  readonly held: 'link' | 'budget' | null;
  /** When all that waits will be at the cloud, Unix milliseconds of the village; null when that cannot be said. */
  readonly completeAtMs: number | null;
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
  /** Takes the place of the plan's own: seconds of the log that are sealed as one. */
  readonly gatherS?: number | undefined;
  /** Bytes a local day, both ways, all overhead included; alerts go beyond it. */
  readonly dailyBytes?: number | undefined;
  /** Where seals and the day's bytes are kept; in memory when left out. */
  readonly seals?: SealStore;
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
  /** Left out, the cloud is told of none and sends none. */
  readonly documents?: UplinkDocuments | undefined;
  /** Left out, none are taken. */
  readonly commands?: UplinkCommands | undefined;
}

/** Documents that the cloud wants this gateway to have, as the uplink needs them. */
export interface UplinkDocuments {
  /** What was decided on, for HELLO. */
  told(): NonNullable<Hello['documents']>;
  /** A part of one came. */
  take(message: DocumentDown): void;
}

/** Commands of people at the cloud, as the uplink needs them. */
export interface UplinkCommands {
  /** Whether devices take commands at all. */
  readonly enabled: boolean;
  announced(message: CommandDown): void;
  go(message: CommandGo): Promise<void>;
}

/** The uplink as a part of the gateway. */
export interface Uplink {
  start(): void;
  stop(): Promise<void>;
  stats(): UplinkStats;
  /** Tells the cloud anew what the site is. */
  siteChanged(): void;
  /** Says something about a command, when there is a line: else the log tells it. */
  say(message: CommandReady | CommandOutcome): void;
}

/** Name of the cursor: the last number covered by a receipt. */
export const uplinkCursor = 'uplink';

/** Live envelopes that may be without an acknowledgement of the line at a time. */
const liveAtOnce = 4;
const bytesPerEnvelope = 80 * 1024;
/** How long new frames wait for company, and how long an answer may take, real milliseconds. */
const lingerMs = 200;
/** How often HELLO is said again on a connection that holds: version, clock, disk and card change meanwhile. */
const helloEveryMs = 6 * 3_600_000;
const answerWithinMs = 10_000;
const longestAnswerMs = 60_000;
const tickMs = 1000;
/** A live envelope that is sealed asks for a receipt this often, milliseconds of the village: receipts cost bytes too. */
const askEveryMs = 3 * 3_600_000;
/** Live that lags so long, real milliseconds, lets go of what it lags with: that is history then. */
const liveLagMs = 20_000;
/** A boost lasts so long at most, seconds. */
const longestBoostS = 600;
/** Frames looked through at a time for events that go ahead, and events per message. */
const lookAhead = 500;
const eventsPerMessage = 50;
/** A backlog of at most so many frames is sent as live. */
const shortBacklog = 64;

/** An envelope that was sent and is not covered by a receipt. */
interface Flight {
  readonly first: number;
  readonly last: number;
  readonly lane: 'live' | 'backfill';
  readonly asked: boolean;
  readonly bytes: number;
  /** When the line acknowledged it; undefined before. */
  ackedMs: number | undefined;
}

/** Makes the uplink. */
export function createUplink(options: UplinkOptions): Uplink {
  const { destination, log, gatewayId, gridId, clock, realClock, logger } = options;
  const up = (lane: 'session' | 'alerts' | 'live' | 'backfill') => topics.up(gridId, gatewayId, lane);
  let receipted = log.cursor(uplinkCursor);
  /** The epoch that is spoken of now: the one of the oldest frame without a receipt. */
  let span = spanAt(receipted + 1, log.epoch, options.formerEpochs ?? []);
  /** Newest number of that epoch; numbers here are the log's, on the wire the epoch's own. */
  const newest = () => Math.min(span.last, log.newestNumber());
  /** From here on frames are live; what is before it and not at the cloud is history. */
  let liveNext = receipted + 1;
  /** Numbers beyond the cursor that the newest receipt covers. */
  let covered: readonly (readonly [first: number, last: number])[] = [];
  const flights = new Set<Flight>();
  let welcomed = false;
  let pumping = false;
  let again = false;
  let eventsGoAhead = false;
  let answerMs = answerWithinMs;
  let base: { number: number; sum: bigint } | undefined;
  let linger: Timer | undefined;
  let answer: Timer | undefined;
  let tick: Timer | undefined;
  let unsubscribe: (() => void) | undefined;
  let helloAgain: Timer | undefined;
  /** Rises with each connection, so that what belongs to a former one is recognised. */
  let connection = 0;
  /** When what is to be answered next was sent, by the village's monotonic time; undefined when that is not known. */
  let askedMs: number | undefined;
  /** When a live envelope asked for a receipt last, the village's monotonic time. */
  let liveAskedMs: number | undefined;
  /** Since when live frames wait, real; undefined while none do. */
  let liveWaitsMs: number | undefined;
  let boostUntilMs = 0;
  let abilities: readonly EnvelopeAbility[] = [];
  /** Packed bytes of an envelope per byte before. */
  let ratio = 0.4;
  /** Marks of the backlog while it drains: the village's time, frames and bytes that were receipted by then. */
  let marks: { atMs: number; frames: number; bytes: number }[] = [];
  const drained = { frames: 0, bytes: 0 };
  const counts = { sentEnvelopes: 0, sentBytes: 0, receipts: 0, resends: 0, sumMismatches: 0 };
  const store = options.seals ?? memorySealStore();
  const seals = new Seals(store, logger);
  const credit = new Credit();
  const budget = new DayBudget({
    store,
    zone: () => options.site().zone ?? 'UTC',
    dailyBytes: options.dailyBytes ?? null,
  });
  const planned = planForm(options.plan, options.gatherS);
  const isBoosted = () => realClock.monotonicMs() < boostUntilMs && budget.allows('boost', clock.nowMs());
  const form = () => {
    if (!abilities.includes('spans')) return planForm('raw');
    return isBoosted() ? boosted(planned) : planned;
  };
  const build = createBuilder({ log, seals, form, nowMs: () => clock.nowMs() });
  const send = (topic: string, message: object) =>
    destination.publish(topic, new TextEncoder().encode(JSON.stringify(message)));
  const countBytes = () => {
    const { sentBytes, receivedBytes } = destination.traffic();
    budget.count(sentBytes + receivedBytes, clock.nowMs());
  };

  /** The answer was made somewhere between the question and now. */
  const takeTime = (serverMs: unknown) => {
    if (askedMs === undefined || typeof serverMs !== 'number' || !Number.isFinite(serverMs)) return;
    const halfMs = (clock.monotonicMs() - askedMs) / 2;
    askedMs = undefined;
    options.onCloudTime?.(serverMs + halfMs, halfMs);
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
      ...(options.documents ? { documents: options.documents.told() } : {}),
      ...(options.commands ? { commands: options.commands.enabled } : {}),
      site: options.site(),
    };
    // Asked again, the answer may be one to the first question: that is the time that counts.
    askedMs ??= clock.monotonicMs();
    answer?.cancel();
    answer = realClock.after(answerMs, () => {
      answer = undefined;
      answerMs = Math.min(answerMs * 2, longestAnswerMs);
      counts.resends += 1;
      if (destination.connected) hello();
    });
    send(up('session'), message).catch((error: unknown) =>
      logger.debug('hello was not delivered', { reason: String(error) }),
    );
  };

  /** Sealed or sent numbers are never looked for again: the first stretch of history that is neither on its way nor there. */
  const firstHole = (): { from: number; limit: number } | undefined => {
    const end = Math.min(liveNext - 1, newest());
    const taken = new NumberRanges(covered);
    for (const { first, last } of flights) taken.add(first, last);
    let from = receipted + 1;
    for (const [first, last] of taken.ranges) {
      if (first > end) break;
      if (first > from) return { from, limit: first - 1 };
      from = Math.max(from, last + 1);
    }
    return from <= end ? { from, limit: end } : undefined;
  };

  const flightsOf = (lane: Flight['lane']) => [...flights].filter((one) => one.lane === lane);

  const wantsReceipt = (built: Built, lane: Flight['lane']): boolean => {
    if (form().gatherMs === null || built.hasEvents) return true;
    if (lane === 'live') {
      const due = liveAskedMs === undefined || clock.monotonicMs() - liveAskedMs >= askEveryMs;
      if (due) liveAskedMs = clock.monotonicMs();
      return due;
    }
    // Twice a window, and at the end of what waits.
    const unasked = flightsOf('backfill').filter(({ asked }) => !asked).length;
    return unasked + 1 >= credit.envelopes / 2 || built.last >= Math.min(liveNext - 1, newest());
  };

  const launch = async (built: Built, lane: Flight['lane']): Promise<void> => {
    const own = connection;
    const asked = wantsReceipt(built, lane);
    const body = encodeEnvelopeBody({
      epoch: span.epoch,
      first: built.first - span.after,
      plan: isBoosted() ? 'boost' : options.plan,
      receiptWanted: asked,
      frames: built.frames,
      counts: built.counts,
    });
    const bytes = await packEnvelope(body, abilities.includes('brotli') && form().gatherMs !== null);
    if (own !== connection || !welcomed) return;
    ratio = ratio * 0.7 + (bytes.length / body.length) * 0.3;
    // Sent again, the answer may be one to the first question, as with HELLO.
    if (asked && ![...flights].some((one) => one.asked)) askedMs ??= clock.monotonicMs();
    const flight: Flight = {
      first: built.first,
      last: built.last,
      lane,
      asked,
      bytes: bytes.length,
      ackedMs: undefined,
    };
    flights.add(flight);
    counts.sentEnvelopes += 1;
    counts.sentBytes += bytes.length;
    credit.sent(bytes.length);
    const headers = headersOf(bytes.length);
    if (lane === 'live') budget.countLive(bytes.length + headers.along + headers.back, clock.nowMs());
    const sentMs = realClock.monotonicMs();
    destination
      .publish(up(lane), bytes)
      .then(
        () => {
          flight.ackedMs = realClock.monotonicMs();
          if (own === connection) credit.acknowledged(bytes.length, flight.ackedMs - sentMs);
        },
        (error: unknown) => {
          flights.delete(flight);
          if (own === connection) credit.failed(bytes.length);
          logger.debug('an envelope was not delivered', { reason: String(error) });
        },
      )
      .finally(() => pump());
  };

  /** One envelope of what is live; whether there was one. */
  const sendLive = async (): Promise<boolean> => {
    liveNext = Math.max(liveNext, receipted + 1);
    if (liveNext > newest()) {
      liveWaitsMs = undefined;
      return false;
    }
    const nowMs = clock.nowMs();
    if (!budget.allows('live', nowMs)) return false;
    const free =
      credit.hasRoom('live') && flightsOf('live').filter(({ ackedMs }) => ackedMs === undefined).length < liveAtOnce;
    const built = free
      ? await build({ from: liveNext, limit: newest(), live: true, mostBytes: bytesPerEnvelope / 4 })
      : undefined;
    if (built === undefined) {
      // Not due is no lag; a line that does not take it is.
      if (free) liveWaitsMs = undefined;
      else if (liveWaitsMs === undefined) liveWaitsMs = realClock.monotonicMs();
      else if (realClock.monotonicMs() - liveWaitsMs > liveLagMs) {
        liveNext = newest() + 1;
        liveWaitsMs = undefined;
      }
      return false;
    }
    liveNext = built.last + 1;
    liveWaitsMs = undefined;
    await launch(built, 'live');
    return true;
  };

  /** One envelope of history; whether there was one. */
  const sendBackfill = async (): Promise<boolean> => {
    if (eventsGoAhead || !credit.hasRoom('backfill') || flightsOf('backfill').length >= credit.envelopes) return false;
    if (!budget.allows('backfill', clock.nowMs())) return false;
    const hole = firstHole();
    if (hole === undefined) return false;
    const mostBytes = Math.min(bytesPerEnvelope, credit.envelopeBytes / ratio);
    const built = await build({ ...hole, live: false, mostBytes });
    if (built === undefined) return false;
    await launch(built, 'backfill');
    return true;
  };

  /** Sends what may be sent now; called at every change, never twice at a time. */
  const pump = async (): Promise<void> => {
    again = true;
    if (pumping) return;
    pumping = true;
    try {
      while (again && destination.connected && welcomed) {
        again = false;
        countBytes();
        const own = connection;
        while (destination.connected && welcomed && own === connection) {
          if (!(await sendLive()) && !(await sendBackfill())) break;
        }
      }
    } catch (error) {
      logger.error('the uplink cannot read what it is to send', { reason: String(error) });
    } finally {
      pumping = false;
    }
  };

  const soon = () => {
    linger ??= realClock.after(lingerMs, () => {
      linger = undefined;
      void pump();
    });
  };

  /** What asked for a receipt long ago, or was sent before such, is sent again. */
  const lookAtFlights = () => {
    const nowMs = realClock.monotonicMs();
    const late = Math.max(
      ...[...flights].map(({ asked, ackedMs }) =>
        asked && ackedMs !== undefined && nowMs - ackedMs > answerMs ? ackedMs : Number.NEGATIVE_INFINITY,
      ),
    );
    if (late === Number.NEGATIVE_INFINITY) return;
    const lost = [...flights].filter(({ ackedMs }) => ackedMs !== undefined && ackedMs <= late);
    logger.info('no receipt came: sending again', { from: Math.min(...lost.map(({ first }) => first)) });
    for (const flight of lost) flights.delete(flight);
    counts.resends += 1;
    answerMs = Math.min(answerMs * 2, longestAnswerMs);
    credit.overdue();
    void pump();
  };

  /** The part of the sum that belongs to numbers after `from` up to `to`, without those refused. */
  const sumBetween = (from: number, to: number, bad: ReadonlySet<number>): bigint => {
    let sum = 0n;
    for (let number = from + 1; number <= to; ) {
      const seal = seals.at(number);
      if (seal !== undefined) {
        if (!bad.has(number)) sum = addToSum(sum, seal.bytes);
        number = seal.last + 1;
        continue;
      }
      const maxFrames = Math.min(256, to - number + 1, seals.nextAfter(number) - number);
      const frames = log.read(number, { maxFrames, maxBytes: 4 * 1024 * 1024 });
      if (frames.length === 0) break;
      for (const one of frames) if (!bad.has(one.number)) sum = addToSum(sum, one.bytes);
      number += frames.length;
    }
    return sum;
  };

  /** The cloud has all of a former epoch that is here: it is asked what it has of the one after. */
  const speakOfNext = () => {
    span = spanAt(receipted + 1, log.epoch, options.formerEpochs ?? []);
    base = undefined;
    covered = [];
    flights.clear();
    liveNext = receipted + 1;
    welcomed = false;
    if (destination.connected) hello();
  };

  /** Takes what is covered off the flights, and measures how the backlog drains. */
  const land = () => {
    const there = new NumberRanges(covered);
    const isThere = ({ first, last }: Flight) =>
      last <= receipted || there.ranges.some(([from, to]) => from <= first && last <= to);
    let any = false;
    for (const flight of flights) {
      if (!isThere(flight)) continue;
      flights.delete(flight);
      any = true;
      if (flight.lane !== 'backfill') continue;
      drained.frames += flight.last - flight.first + 1;
      const headers = headersOf(flight.bytes);
      drained.bytes += flight.bytes + headers.along + headers.back;
    }
    if (any) {
      credit.receipted();
      answerMs = answerWithinMs;
      marks = [...marks.slice(-19), { atMs: clock.monotonicMs(), ...drained }];
    }
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
    // One that was overtaken would be a base of which the seals are forgotten.
    if (base === undefined || upTo >= base.number) base = { number: upTo, sum: BigInt(`0x${receipt.sum}`) };
    // A receipt that was overtaken says less than is known.
    if (upTo >= receipted)
      covered = receipt.also.map(([first, last]) => [first + span.after, last + span.after] as const);
    if (upTo > receipted) {
      receipted = upTo;
      log.setCursor(uplinkCursor, upTo);
      seals.forgetUpTo(upTo);
    }
    land();
    if (receipted >= span.last) return speakOfNext();
    void pump();
  };

  /** Alert events that wait in a long backlog go ahead of it, in order, in small steps. */
  const sendWaitingEvents = async () => {
    const own = connection;
    const last = log.newestNumber();
    eventsGoAhead = true;
    try {
      for (let number = receipted + 1; number <= last && own === connection && destination.connected; ) {
        const frames = log.read(number, { maxFrames: lookAhead, maxBytes: 2 * 1024 * 1024 });
        if (frames.length === 0) return;
        await sendEvents(frames);
        number += frames.length;
        await realClock.sleep(0);
      }
    } catch (error) {
      logger.debug('events did not go ahead', { reason: String(error) });
    } finally {
      if (own === connection) {
        eventsGoAhead = false;
        void pump();
      }
    }
  };

  const sendEvents = async (frames: readonly CommittedFrame[]) => {
    const events = frames.flatMap((one) => one.frame.events);
    for (let i = 0; i < events.length; i += eventsPerMessage) {
      await send(up('alerts'), { y: 'alerts', events: events.slice(i, i + eventsPerMessage) });
    }
  };

  /** What is there when a connection begins decides what is history: a little goes as if it were live. */
  const beginLive = () => {
    // What was live before the line broke is beyond all that is there: it need not wait for history.
    const tail = covered.at(-1)?.[1] ?? receipted;
    liveNext = newest() - tail <= shortBacklog ? tail + 1 : newest() + 1;
    marks = [];
  };

  const take = (message: DownMessage) => {
    if (message.y === 'welcome') {
      // The answer about an epoch that is done with opens nothing.
      if (message.receipt.epoch !== span.epoch) return;
      const before = welcomed;
      answer?.cancel();
      answer = undefined;
      answerMs = answerWithinMs;
      abilities = Array.isArray(message.takes) ? message.takes : [];
      takeTime(message.server_time_ms);
      // A cloud that lost what it had receipted gets it again, as far as the log still has it.
      const has = message.receipt.up_to + span.after;
      if (has < receipted) {
        logger.warn('the cloud has less than it had receipted', { receipted, has });
        receipted = Math.max(has, log.oldestNumber() - 1);
        base = undefined;
      }
      if (!before) {
        flights.clear();
        const also = message.receipt.also.map(([from, to]) => [from + span.after, to + span.after] as const);
        seals.forgetCut([[1, has] as const, ...also]);
      }
      takeReceipt(message.receipt);
      // It was the last of a former epoch: the next one is asked about.
      if (message.receipt.epoch !== span.epoch) return;
      welcomed = true;
      if (!before) {
        beginLive();
        void sendWaitingEvents();
      }
      void pump();
    } else if (message.y === 'receipt') takeReceipt(message);
    else if (message.y === 'acts') void takeActs(message);
    else if (message.y === 'document') options.documents?.take(message);
    else if (message.y === 'command') options.commands?.announced(message);
    else if (message.y === 'command_go') void options.commands?.go(message);
    else if (message.y === 'boost') {
      const forS = Number.isFinite(message.for_s) ? Math.min(Math.max(0, message.for_s), longestBoostS) : 0;
      boostUntilMs = realClock.monotonicMs() + forS * 1000;
      void pump();
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

  const dayFacts = (nowMs: number) => ({
    day: localDay(nowMs, options.site().zone ?? 'UTC').day,
    dayBytes: budget.usedBytes(nowMs),
    dayBudgetBytes: budget.dailyBytes,
  });

  /** By how the backlog drained so far: said once that was measured. */
  const promisedMs = (nowMs: number, history: boolean): number | null => {
    if (!history) return nowMs;
    const [first, last] = [marks[0], marks.at(-1)];
    if (first === undefined || last === undefined || last.frames === first.frames) return null;
    const elapsedMs = Math.max(1, last.atMs - first.atMs);
    const waitingFrames = Math.max(
      0,
      liveNext - 1 - receipted - covered.reduce((sum, [from, to]) => sum + (to < liveNext ? to - from + 1 : 0), 0),
    );
    return completeAtMs({
      nowMs,
      waitingBytes: (waitingFrames * (last.bytes - first.bytes)) / (last.frames - first.frames),
      bytesPerMs: (last.bytes - first.bytes) / elapsedMs,
      dayEndMs: localDay(nowMs, options.site().zone ?? 'UTC').endMs,
      dailyBytes: budget.dailyBytes,
      usedBytes: budget.usedBytes(nowMs),
      reserveBytes: budget.reserveBytes(nowMs),
      livePerDayBytes: budget.livePerDayBytes(nowMs),
    });
  };

  return {
    start() {
      helloAgain = realClock.every(helloEveryMs, () => {
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
      tick = realClock.every(tickMs, () => {
        countBytes();
        if (!destination.connected || !welcomed) return;
        lookAtFlights();
        void pump();
      });
      destination.open(topics.down(gridId, gatewayId), {
        up() {
          connection += 1;
          welcomed = false;
          askedMs = undefined;
          answerMs = answerWithinMs;
          credit.restart();
          hello();
        },
        down() {
          connection += 1;
          welcomed = false;
          answer?.cancel();
          answer = undefined;
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
      helloAgain?.cancel();
      linger?.cancel();
      tick?.cancel();
      answer?.cancel();
      if (destination.connected) {
        await Promise.race([
          send(up('session'), { y: 'goodbye', gateway_id: gatewayId, clock_ms: clock.nowMs() }),
          realClock.sleep(500),
        ]).catch(() => undefined);
      }
      await destination.close();
      try {
        countBytes();
        budget.save();
      } catch (error) {
        logger.debug('the day’s bytes were not kept', { reason: String(error) });
      }
    },
    siteChanged() {
      if (destination.connected) hello();
    },
    say(message) {
      if (!destination.connected) return;
      send(up('session'), message).catch((error: unknown) =>
        logger.debug('word of a command was not delivered', { reason: String(error) }),
      );
    },
    stats() {
      const nowMs = clock.nowMs();
      const newestNumber = log.newestNumber();
      const oldest = newestNumber > receipted ? log.read(receipted + 1, { maxFrames: 1, maxBytes: 1 })[0] : undefined;
      const connected = destination.connected && welcomed;
      const there = covered.reduce((sum, [first, last]) => sum + last - first + 1, 0);
      const backlogFrames = Math.max(0, newestNumber - receipted - there);
      const history = firstHole() !== undefined || flightsOf('backfill').length > 0;
      const held = !connected ? 'link' : history && !budget.allows('backfill', nowMs) ? 'budget' : null;
      return {
        connected,
        backlogFrames,
        backlogAgeS: oldest === undefined ? 0 : Math.max(0, (nowMs - oldest.frame.wallMs) / 1000),
        receiptedNumber: receipted,
        ...counts,
        plan: options.plan,
        boosted: connected && isBoosted(),
        ...dayFacts(nowMs),
        held,
        completeAtMs: connected ? promisedMs(nowMs, history) : null,
      };
    },
  };
}
