/**
 * What is deleted, and when: by age, and before the disk is full. Frames that are sealed in the history and receipted by
 * the cloud go first; what the cloud has not got goes last, and leaves an entry in the log; alerts never go. Nothing goes
 * by a clock that is not trusted.
 */
import { clockTrusts, type Clock, type ClockTrust, type FrameEntry, type Timer } from '@villagrid/contracts';
import { nextTurn, type FileRoom, type LifecyclePart, type Logger } from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';
import type { HistoryStore } from '../store/store.js';

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const lookEveryMs = 60_000;
const framesPerStep = 200;
/** Days of samples that go with one look at most: a clock that is wrong after all cannot empty the store at once. */
const daysPerLook = 2;
/** The disk's budget is undercut by this much once it was reached, so that not every minute deletes. */
const lowWater = 0.95;
/** Samples of the newest days stay, whatever the disk says, milliseconds. */
const leastRawMs = 2 * dayMs;
/** Free pages that are left for what comes next. */
const sparePages = 1024;

/** Limits of keeping, as the settings have them. */
export interface RetentionSettings {
  readonly raw_days: number;
  readonly minute_days: number;
  readonly frame_hours: number;
  readonly restamp_hours: number;
  readonly max_disk_mb?: number | undefined;
  readonly max_disk_pct: number;
}

export interface RetentionOptions {
  readonly settings: RetentionSettings;
  readonly gatewayId: string;
  readonly log: DurableLog;
  readonly store: HistoryStore;
  /** Files whose room counts, and whose free pages are given back. */
  readonly files: readonly FileRoom[];
  /** Last number that the cloud has for certain; undefined without an uplink: then nobody else needs frames. */
  readonly receipted: () => number | undefined;
  /** Last number whose frame no other reader needs after a start. */
  readonly unneeded: () => number;
  /** Share of the file system that is used, per cent; undefined when it cannot be told. */
  readonly diskUsedPct: () => number | undefined;
  /** Frames the cloud has not got were given up: it has to be told where the log begins. */
  readonly gaveUp: () => void;
  readonly trust: () => ClockTrust;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly logger: Logger;
}

/** Deletes by age and by room. */
export interface Retention extends LifecyclePart {
  /** One look now; a look that is under way is waited for. */
  look(): Promise<void>;
  /** What was deleted since the start. */
  readonly counts: Readonly<Record<'frames' | 'unreceiptedFrames' | 'rawDays', number>>;
}

/** A clock that may say what is old. */
const isTrusted = (trust: ClockTrust): boolean => clockTrusts.indexOf(trust) < clockTrusts.indexOf('floor');

/** Makes the part that deletes. */
export function createRetention(options: RetentionOptions): Retention {
  const { settings, gatewayId, log, store, clock, realClock, logger } = options;
  const counts = { frames: 0, unreceiptedFrames: 0, rawDays: 0 };
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;

  /** Frames up to here are sealed, and nobody reads them after a start. */
  const sealedNumber = () => Math.min(store.sealedNumber(gatewayId, log.epoch), options.unneeded());

  /** The last number before the first frame that is to stay, looking at frames in order. */
  const countOff = async (upTo: number, goes: (frame: { wallMs: number; trust: ClockTrust }) => boolean) => {
    let last = log.oldestNumber() - 1;
    while (last < upTo && !stopped) {
      const frames = log.read(last + 1, { maxFrames: 50, maxBytes: 1_000_000 });
      if (frames.length === 0) return last;
      for (const { number, frame } of frames) {
        if (number > upTo || !goes(frame)) return last;
        last = number;
      }
      await nextTurn();
    }
    return last;
  };

  const deleteFrames = async (upTo: number): Promise<number> => {
    let deleted = 0;
    for (let step = -1; step !== 0 && !stopped; deleted += step) {
      step = log.trusted() ? log.prune(upTo, framesPerStep) : 0;
      await nextTurn();
    }
    return deleted;
  };

  const byAge = async (): Promise<void> => {
    if (!isTrusted(options.trust())) return;
    const nowMs = clock.nowMs();
    const upTo = Math.min(sealedNumber(), options.receipted() ?? Number.POSITIVE_INFINITY);
    // A frame that a lesser clock dated may still be dated anew.
    const keptMs = (trust: ClockTrust) => (trust === 'ntp' ? settings.frame_hours : settings.restamp_hours) * hourMs;
    counts.frames += await deleteFrames(await countOff(upTo, ({ wallMs, trust }) => wallMs < nowMs - keptMs(trust)));
    await deleteRaw(nowMs - settings.raw_days * dayMs);
    store.pruneWindows('1m', nowMs - settings.minute_days * dayMs);
  };

  const deleteRaw = async (beforeMs: number): Promise<number> => {
    const oldestMs = store.oldestRawMs();
    if (oldestMs === undefined) return 0;
    const gone = await store.pruneRaw(Math.min(beforeMs, oldestMs + daysPerLook * dayMs));
    if (gone > 0) counts.rawDays += 1;
    return gone;
  };

  const usedBytes = (): number => options.files.reduce((sum, one) => sum + one.usedBytes(), 0);

  /** Whether more is used than is allowed, or than is aimed at once it was. */
  const isOver = (share: number): boolean => {
    const { max_disk_mb: mostMb, max_disk_pct: mostPct } = settings;
    if (mostMb !== undefined && usedBytes() > mostMb * 1_000_000 * share) return true;
    const pct = options.diskUsedPct();
    return pct !== undefined && pct > mostPct * share;
  };

  const byRoom = async (): Promise<void> => {
    if (!isOver(1)) return;
    // Free pages may be all that is too much.
    await giveBack(0);
    for (const [what, free] of steps) {
      while (!stopped && isOver(lowWater)) {
        const freed = await free();
        await giveBack(0);
        if (!freed) break;
        logger.warn('the disk is filling up; something was deleted before its time', { what });
      }
    }
    if (isOver(1)) logger.error('the disk stays too full; nothing more may be deleted', { used_bytes: usedBytes() });
  };

  /** What may go, in this order; each gives whether anything went. */
  const steps: ReadonlyArray<readonly [what: string, free: () => Promise<boolean>]> = [
    [
      'frames the cloud has',
      async () => {
        const upTo = Math.min(sealedNumber(), options.receipted() ?? Number.POSITIVE_INFINITY);
        const gone = await deleteFrames(upTo);
        counts.frames += gone;
        return gone > 0;
      },
    ],
    [
      'samples the cloud has',
      async () => {
        const oldestMs = store.oldestRawMs();
        const newestMs = newestFrameMs();
        if (oldestMs === undefined || newestMs === undefined) return false;
        const upToMs = Math.min(unreceiptedMs() ?? Number.POSITIVE_INFINITY, newestMs - leastRawMs);
        return (await deleteRaw(Math.min(upToMs, oldestMs + dayMs))) > 0;
      },
    ],
    ['frames the cloud has not got', giveUp],
  ];

  const newestFrameMs = () => log.read(log.newestNumber(), { maxFrames: 1, maxBytes: 1 })[0]?.frame.wallMs;
  /** Time of the oldest frame that the cloud has not got; undefined without any, and without an uplink. */
  const unreceiptedMs = () => {
    const receipted = options.receipted();
    if (receipted === undefined) return undefined;
    return log.read(receipted + 1, { maxFrames: 1, maxBytes: 1 })[0]?.frame.wallMs;
  };

  /** Gives up the oldest frames without a receipt. Their alert events are written again, and what went is written down. */
  async function giveUp(): Promise<boolean> {
    const upTo = Math.min(sealedNumber(), log.newestNumber() - 1);
    const frames = log.read(log.oldestNumber(), { maxFrames: framesPerStep, maxBytes: 4_000_000 });
    const gone = frames.filter(({ number }) => number <= upTo);
    const [first, last] = [gone[0], gone.at(-1)];
    if (!first || !last) return false;
    const times = gone.flatMap(({ frame }) => frame.samples.map(({ timeMs }) => timeMs));
    const tombstone: FrameEntry = {
      type: 'tombstone',
      first: first.number,
      last: last.number,
      samples: times.length,
      from_ms: times.reduce((a, b) => Math.min(a, b), first.frame.wallMs),
      to_ms: times.reduce((a, b) => Math.max(a, b), last.frame.wallMs),
      reason: 'disk',
    };
    // What the log itself told stays told: earlier tombstones and clock corrections too.
    const entries = gone.flatMap(({ frame }) =>
      frame.entries.filter(({ type }) => type !== 'link_state' && type !== 'manifest'),
    );
    const events = gone.flatMap(({ frame }) => frame.events);
    await log.append({ events, entries: [...entries, tombstone] }, { urgent: true });
    const deleted = await deleteFrames(last.number);
    counts.unreceiptedFrames += deleted;
    options.gaveUp();
    return deleted > 0;
  }

  /** Gives free pages back to the disk, but for some: most of them are wanted again within the hour. */
  const giveBack = async (sparePages: number): Promise<void> => {
    for (const one of options.files) if (!stopped) await one.giveBack(sparePages);
  };

  const look = async (): Promise<void> => {
    await byAge();
    await byRoom();
    await giveBack(sparePages);
  };
  const lookOnce = (): Promise<void> => {
    running ??= look().finally(() => (running = undefined));
    return running;
  };

  return {
    name: 'retention',
    counts,
    look: lookOnce,
    async start() {
      timer = realClock.every(lookEveryMs, () => {
        lookOnce().catch((error: unknown) =>
          logger.error('old data could not be deleted; it is tried again', { error }),
        );
      });
    },
    async stop() {
      timer?.cancel();
      stopped = true;
      await running?.catch(() => {});
    },
  };
}
