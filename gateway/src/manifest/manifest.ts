/**
 * Tells in the log what the gateway holds of each local day, so that the cloud can compare it with its own: once the day
 * is over, and again when samples of it came or moved later. Only days that this process saw, and the last few.
 */
import {
  isTrusted,
  localDays,
  withoutDigest,
  type Clock,
  type ClockTrust,
  type DayManifest,
  type Timer,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const lookEveryMs = 600_000;
/** Days that are looked at again. */
const daysTold = 3;
/** How long after its end a day is told: what nodes kept for a while is then here. */
const settleMs = hourMs / 2;

interface SeriesCount {
  readonly deviceId: string;
  readonly metric: string;
  readonly count: number;
  readonly hash: string;
}

export interface ManifestOptions {
  readonly log: Pick<DurableLog, 'append'>;
  readonly zone: string;
  /** Counts of samples before each of some whole hours, all at one number of the log. */
  readonly countsBefore: (
    timesMs: readonly number[],
  ) => Promise<{ readonly number: number; readonly counts: readonly (readonly SeriesCount[])[] }>;
  readonly trust: () => ClockTrust;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly logger: Logger;
}

export interface Manifests extends LifecyclePart {
  /** Looks now. */
  look(): Promise<void>;
}

/** Makes the part that tells. */
export function createManifests(options: ManifestOptions): Manifests {
  const { log, zone, clock, realClock, logger } = options;
  /** What was told of a day, by its start. */
  const told = new Map<number, string>();
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;

  const whole = (timeMs: number): number => Math.floor(timeMs / hourMs) * hourMs;

  const look = async (): Promise<void> => {
    if (!isTrusted(options.trust())) return;
    const nowMs = clock.nowMs();
    const days = localDays(zone, nowMs - daysTold * dayMs, nowMs)
      .filter(({ toMs }) => toMs + settleMs <= nowMs)
      .map(({ fromMs, toMs }) => ({ fromMs: whole(fromMs), toMs: whole(toMs) }));
    const [first] = days;
    if (first === undefined) return;
    const { number, counts } = await options.countsBefore([first.fromMs, ...days.map(({ toMs }) => toMs)]);
    for (const [index, { fromMs, toMs }] of days.entries()) {
      const before = new Map(counts[index]?.map((one) => [`${one.deviceId} ${one.metric}`, one]));
      const series = (counts[index + 1] ?? [])
        .map((one) => ({ ...one, ...withoutDigest(one, before.get(`${one.deviceId} ${one.metric}`)) }))
        .filter(({ count }) => count > 0)
        .map(({ deviceId, metric, count, hash }) => [deviceId, metric, count, hash] as const);
      const text = JSON.stringify(series);
      if (told.get(fromMs) === text || (series.length === 0 && !told.has(fromMs))) continue;
      const manifest: DayManifest = { type: 'manifest', from_ms: fromMs, to_ms: toMs, up_to: number, series };
      await log.append({ entries: [manifest] });
      told.set(fromMs, text);
    }
    for (const fromMs of told.keys()) if (fromMs < first.fromMs) told.delete(fromMs);
  };
  const lookOnce = (): Promise<void> => {
    running ??= look().finally(() => (running = undefined));
    return running;
  };

  return {
    name: 'manifest of days',
    look: lookOnce,
    start() {
      timer = realClock.every(lookEveryMs, () => {
        lookOnce().catch((error: unknown) =>
          logger.warn('what a day holds was not told; it is tried again', { error }),
        );
      });
    },
    async stop() {
      timer?.cancel();
      await running?.catch(() => {});
    },
  };
}
