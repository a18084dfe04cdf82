/**
 * A Modbus RTU line as a link, over a serial port or a converter's socket. RTU answers carry no number: a late or doubled
 * one has a good CRC and fits the next question as well. So after every failure, and after every byte nobody asked for, the
 * line is left alone until it was silent for the device's longest reply time; two equal questions to a unit within that time
 * have a question of another length between them; and what equals a recent answer to another question is asked again.
 */
import { setImmediate } from 'node:timers/promises';
import { messageOf, type Clock, type RandomSource, type Timer } from '@villagrid/contracts';
import { backoffDelayMs, type Logger } from '@villagrid/runtime';
import type { ByteLine, OpenLine } from './byte-line.js';
import { FairQueue } from './fair-queue.js';
import { exceptionText, type Link, LinkError, type ReadRequest, type WriteRequest } from './port.js';
import { ReplyTimes } from './reply-times.js';
import {
  answerLength,
  characterMs,
  describeBytes,
  findAnswer,
  frameGapMs,
  isRead,
  requestFrame,
  type RtuAnswer,
  type RtuQuestion,
  type RtuRead,
  wholeFrame,
} from './rtu-frame.js';
import { StateTeller } from './state-teller.js';

/** What an RTU link is made from. `clock` is real time. */
export interface RtuLinkOptions {
  /** Where it goes, for logs and reasons. */
  readonly name: string;
  readonly open: OpenLine;
  /** Speed of the wire, for the silence between frames and the time frames take. */
  readonly baud: number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** Bounds of the wait between tries to open it again, real milliseconds. */
  readonly reopenMs?: { readonly minMs: number; readonly maxMs: number };
}

/** An adapter that was unplugged is looked for at least every two seconds. */
const usualReopenMs = { minMs: 250, maxMs: 2000 } as const;
/**
 * This process may be away for so long (a busy processor, a slow card): what came meanwhile is heard only afterwards, so that
 * is how much longer than the device's longest reply time an answer is expected, milliseconds.
 */
const awayMs = 500;
/** Time to hear what came while this process was away, on the way through the pool that reads serial ports, milliseconds. */
const hearMs = 10;
/** A line that doubled or delayed an answer is expected to do so again for so long, milliseconds. */
const strayKeptMs = 60_000;
/** So many answers of a unit are remembered to know a doubled one by. */
const rememberedAnswers = 8;

/** What the link remembers of a unit. */
interface Unit {
  /** Its last question, and when its exchange ended. */
  last: { readonly read: RtuQuestion; readonly endMs: number } | undefined;
  /** Questions without an answer since the last that had one: theirs may still come. */
  open: RtuQuestion[];
  recent: Array<{ readonly read: RtuRead; readonly words: readonly number[]; readonly atMs: number }>;
}

interface Pending {
  push(data: Uint8Array): void;
  lost(error: LinkError): void;
}

/** Makes the link; it is opened at the first read, and from then on again whenever it is lost. */
export function rtuLink(options: RtuLinkOptions): Link {
  const { name, open, baud, clock, random, log, reopenMs = usualReopenMs } = options;
  const times = new ReplyTimes();
  const queue = new FairQueue((unit) => times.inDoubt(unit));
  const states = new StateTeller();
  const units = new Map<number, Unit>();
  const stop = new AbortController();
  const quietMs = frameGapMs(baud);

  let line: ByteLine | undefined;
  let opening: Promise<void> | undefined;
  let reopening: Timer | undefined;
  let failures = 0;
  let lastFailure = new LinkError('unreachable', `${name} was not opened yet`);
  let pending: Pending | undefined;
  /** When the line was last heard, or written to. */
  let heardMs = 0;
  /** Silence the line needs before it is believed again; 0 when nothing is wrong. */
  let drainMs = 0;
  /** When bytes last came that were no answer to what was asked. */
  let strayMs = Number.NEGATIVE_INFINITY;
  /** Longest reply time of whoever was asked last. */
  let longestMs = 0;

  const stopped = (): LinkError => new LinkError('stopped', `the link to ${name} was closed`);

  const tryOpen = (): Promise<void> => {
    opening ??= (async () => {
      try {
        const opened = await open({
          bytes: (data) => {
            heardMs = clock.monotonicMs();
            if (pending) pending.push(data);
            else {
              // Whatever nobody asked for may be an answer that is late, and its like may follow.
              drainMs = Math.max(drainMs, longestMs);
              strayMs = heardMs;
            }
          },
          lost: (reason) => {
            line = undefined;
            lastFailure = new LinkError('unreachable', reason);
            log.warn('line lost', { line: name, reason });
            states.tell('down', reason);
            pending?.lost(lastFailure);
            openLater();
          },
        });
        if (stop.signal.aborted) {
          await opened.close();
          throw stopped();
        }
        line = opened;
        failures = 0;
        heardMs = clock.monotonicMs();
        drainMs = longestMs;
        log.info('line open', { line: name });
        states.tell('up', 'it is open');
      } catch (error) {
        lastFailure = error instanceof LinkError ? error : new LinkError('unreachable', messageOf(error));
        log.debug('line cannot be opened', { line: name, reason: lastFailure.message, failures });
        states.tell('down', lastFailure.message);
        openLater();
        throw lastFailure;
      } finally {
        opening = undefined;
      }
    })();
    return opening;
  };

  const openLater = (): void => {
    if (stop.signal.aborted) return;
    reopening?.cancel();
    reopening = clock.after(backoffDelayMs(failures, { ...reopenMs, random }), () => {
      reopening = undefined;
      tryOpen().catch(() => undefined);
    });
    failures += 1;
  };

  /** The line, opened if nobody tried yet. While it is being looked for whoever asks hears at once why it is not there. */
  const opened = async (): Promise<ByteLine> => {
    if (stop.signal.aborted) throw stopped();
    if (!line && !reopening) await tryOpen();
    if (!line) throw lastFailure;
    return line;
  };

  /** Waits until the line was silent long enough. Rejects with LinkError when it never is. */
  const silence = async (gapMs: number): Promise<void> => {
    const begunMs = clock.monotonicMs();
    let listened = false;
    let away = false;
    for (;;) {
      const neededMs = Math.max(quietMs, gapMs, drainMs);
      const nowMs = clock.monotonicMs();
      if (heardMs + neededMs <= nowMs) {
        if (listened) break;
        // What came while this process was busy is heard first: once for what is ready, once for what that brings.
        await setImmediate();
        await setImmediate();
        if (away) await clock.sleep(hearMs);
        listened = true;
        continue;
      }
      listened = false;
      if (nowMs - begunMs > 5 * neededMs + 1000)
        throw new LinkError(
          'mismatch',
          `${name} is never silent: noise, a wrong speed, or a second master on the line`,
        );
      const askedMs = heardMs + neededMs - nowMs;
      await clock.sleep(askedMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) throw stopped();
      if (!line) throw lastFailure;
      away = clock.monotonicMs() - nowMs > askedMs + hearMs;
    }
    drainMs = 0;
  };

  /** One question and what came back. Rejects with LinkError when there was no good answer. */
  const exchange = async (request: ReadRequest | WriteRequest, read: RtuQuestion): Promise<RtuAnswer> => {
    const wire = await opened();
    await silence(request.gapMs);
    const unit = unitOf(units, read.unit);
    const frame = requestFrame(read);
    const wireMs = (frame.length + answerLength(read)) * characterMs(baud);
    // What reads take says nothing of a write, which may go to slow memory.
    const patienceMs = isRead(read) ? times.timeoutMs(read.unit, request.timeoutMs) : request.timeoutMs;
    const timeoutMs = Math.min(request.timeoutMs, patienceMs) + wireMs;
    const sentMs = clock.monotonicMs();
    longestMs = request.timeoutMs;
    try {
      const { answer, alone } = await new Promise<{ answer: RtuAnswer; alone: boolean }>((resolve, reject) => {
        let bytes: Uint8Array = new Uint8Array(0);
        let quiet: Timer | undefined;
        const deadline = clock.after(timeoutMs, () => end());
        const over = (): void => {
          deadline.cancel();
          quiet?.cancel();
          pending = undefined;
        };
        const end = (): void => {
          over();
          try {
            resolve(judge(read, frame, bytes, timeoutMs));
          } catch (error) {
            reject(error);
          }
        };
        pending = {
          push(data) {
            bytes = joined(bytes, data);
            quiet?.cancel();
            // The silence after a frame ends it: a second answer right behind it is seen here.
            quiet = findAnswer(read, bytes).state === 'answer' ? clock.after(quietMs, end) : undefined;
          },
          lost(error) {
            over();
            reject(error);
          },
        };
        wire.write(frame);
        heardMs = sentMs;
      });
      if (isRead(read)) times.answered(read.unit, clock.monotonicMs() - sentMs);
      // Answers come in the order of their questions, so what was asked before is done with, but for its like.
      unit.open = unit.open.filter((one) => alike(one, read)).slice(-1);
      if (!alone) {
        drainMs = request.timeoutMs;
        strayMs = clock.monotonicMs();
      }
      return answer;
    } catch (error) {
      const failure = error instanceof LinkError ? error : new LinkError('mismatch', messageOf(error));
      if (failure.failure !== 'stopped' && failure.failure !== 'unreachable') {
        times.failed(read.unit);
        unit.open = [...unit.open, read].slice(-rememberedAnswers);
        drainMs = request.timeoutMs;
        heardMs = clock.monotonicMs();
        if (failure.failure === 'mismatch') strayMs = heardMs;
      }
      throw failure;
    } finally {
      unit.last = { read, endMs: clock.monotonicMs() };
    }
  };

  const readNow = async (request: ReadRequest): Promise<readonly number[]> => {
    const { unit: number, function: code, address, count } = request;
    const read: RtuRead = { unit: number, function: code, address, count };
    const unit = unitOf(units, number);
    const between = request.between;
    const doubtMs = request.timeoutMs + awayMs;
    const recent = unit.last && clock.monotonicMs() - unit.last.endMs < doubtMs ? [unit.last.read] : [];
    if (between && between.count !== count && [...unit.open, ...recent].some((one) => alike(one, read))) {
      const other = { unit: number, ...between };
      // Refused or not, it is answered.
      remember(unit, other, await exchange(request, other));
    }
    let answer = await exchange(request, read);
    const nowMs = clock.monotonicMs();
    // A line that never doubled an answer is believed when a value stays as it was.
    const ownSinceMs = nowMs - strayMs < strayKeptMs ? nowMs - doubtMs : nowMs;
    if (answer.kind === 'words' && looksDoubled(unit, read, answer.words, nowMs - doubtMs, ownSinceMs)) {
      drainMs = request.timeoutMs;
      heardMs = nowMs;
      answer = await exchange(request, read);
    }
    if (answer.kind === 'exception') throw new LinkError('exception', exceptionText(answer.code), answer.code);
    remember(unit, read, answer);
    return answer.kind === 'words' ? answer.words : [];
  };

  /** Keeps an answer to know a doubled one by. */
  const remember = (unit: Unit, read: RtuRead, answer: RtuAnswer): void => {
    if (answer.kind !== 'words') return;
    unit.recent = [
      ...unit.recent.filter((one) => one.read.address !== read.address || !alike(one.read, read)),
      { read, words: answer.words, atMs: clock.monotonicMs() },
    ].slice(-rememberedAnswers);
  };

  const writeNow = async (request: WriteRequest): Promise<void> => {
    const { unit, function: code, address, words } = request;
    const answer = await exchange(request, { unit, function: code, address, words });
    if (answer.kind === 'exception') throw new LinkError('exception', exceptionText(answer.code), answer.code);
  };

  /** Runs in the unit's turn. */
  const inTurn = <T>(unit: number, run: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      queue.add(unit, () =>
        run().then(resolve, (error: unknown) => {
          if (stop.signal.aborted) reject(stopped());
          else reject(error instanceof LinkError ? error : new LinkError('unreachable', messageOf(error)));
        }),
      );
    });

  return {
    name,
    read: (request) => inTurn(request.unit, () => readNow(request)),
    write: (request) => inTurn(request.unit, () => writeNow(request)),
    health: (unit) => times.health(unit),
    onState: (listener) => states.add(listener),
    async close() {
      stop.abort();
      reopening?.cancel();
      pending?.lost(stopped());
      await opening?.catch(() => undefined);
      const last = line;
      line = undefined;
      await last?.close();
    },
  };
}

function unitOf(units: Map<number, Unit>, number: number): Unit {
  const known = units.get(number);
  if (known) return known;
  const made: Unit = { last: undefined, open: [], recent: [] };
  units.set(number, made);
  return made;
}

/** Whether an answer to one would do for the other. A write's answer names what was written. */
const alike = (a: RtuQuestion, b: RtuQuestion): boolean =>
  isRead(a) && isRead(b) && a.unit === b.unit && a.function === b.function && a.count === b.count;

/**
 * Whether words are those of an answer to another question of the same shape since `sinceMs`, or of one to the same question
 * since `ownSinceMs`. Words that this question had the last time before that are no news, so taking them harms nothing: two
 * blocks of zeros are common.
 */
function looksDoubled(
  unit: Unit,
  read: RtuRead,
  words: readonly number[],
  sinceMs: number,
  ownSinceMs: number,
): boolean {
  const equal = (other: readonly number[]) => other.every((word, i) => word === words[i]);
  const own = unit.recent.find((one) => one.read.address === read.address && alike(one.read, read));
  if (own && equal(own.words)) return own.atMs > ownSinceMs;
  return unit.recent.some(
    (one) => one.read.address !== read.address && alike(one.read, read) && one.atMs >= sinceMs && equal(one.words),
  );
}

/** The answer within what came, and whether it came alone. Throws LinkError when there is none, or more than one. */
function judge(
  read: RtuQuestion,
  frame: Uint8Array,
  bytes: Uint8Array,
  timeoutMs: number,
): { answer: RtuAnswer; alone: boolean } {
  const found = findAnswer(read, bytes);
  if (found.state === 'none') {
    if (bytes.length === 0 || startsWith(frame, bytes))
      throw new LinkError('timeout', `unit ${read.unit} did not answer within ${Math.ceil(timeoutMs)} ms`);
    throw new LinkError('mismatch', `the answer does not fit the request: ${describeBytes(read, bytes)}`);
  }
  const second = findAnswer(read, bytes, found.to);
  if (
    second.state === 'answer' &&
    !sameBytes(bytes.subarray(found.from, found.to), bytes.subarray(second.from, second.to))
  )
    throw new LinkError('mismatch', 'two different answers came to one request: two devices with one address?');
  // Some adapters hear what they send.
  const before = bytes.subarray(0, found.from);
  const echo = sameBytes(before, frame);
  // What came after an older answer may be an older answer too.
  if (!echo && wholeFrame(before))
    throw new LinkError('mismatch', `a late answer came first: ${describeBytes(read, before)}`);
  const alone = found.to === bytes.length && (before.length === 0 || echo);
  return { answer: found.answer, alone };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && startsWith(a, b);
const startsWith = (long: Uint8Array, short: Uint8Array): boolean =>
  short.length <= long.length && short.every((byte, i) => byte === long[i]);

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
