/**
 * History in InfluxDB. SQLite adds samples up as ever, in the transaction that projects them; a window that ended is sent
 * as a whole, and let go here some weeks later. So a crash between any two steps sends the same points again, InfluxDB may
 * be away for as long as there is disk, and what is recent is read here without asking it.
 */
import {
  foldWindow,
  messageOf,
  VillagridError,
  type Clock,
  type RandomSource,
  type RollupWindow,
} from '@villagrid/contracts';
import {
  backoffDelayMs,
  nextTurn,
  windowColumns,
  type LeavingSeries,
  type Logger,
  type OutgoingWindow,
  type SeriesKey,
  type StoredResolution,
  type WindowOutbox,
  type WindowPart,
} from '@villagrid/runtime';
import type { HistoryState, WindowHistory } from '../window-history.js';
import { InfluxFailure, mostLines, type InfluxClient } from './client.js';
import { countIn, countOf, lineOf, measurementOf, partsOf, selectOf } from './lines.js';

export interface InfluxHistoryOptions {
  readonly client: InfluxClient;
  readonly outbox: WindowOutbox;
  /** Who writes, in the one point that the check at the start leaves. */
  readonly cloudId: string;
  readonly zoneOf: (gridId: string) => string;
  /** Sent windows stay here for so many days of the village's time. */
  readonly keepDays: number;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** Keeps a point that InfluxDB refuses for good. */
  readonly quarantine: (gridId: string, line: string, reason: string) => void;
}

/** Between two rounds of sending, so that a window which still gains is not sent at each gain. */
const roundMs = 10_000;
const retryLimits = { minMs: 1000, maxMs: 300_000 };
const dayMs = 86_400_000;
/** Refused points that are told one by one in a round. */
const mostTold = 5;

/** Makes it; nothing is asked of InfluxDB before `start`. */
export function createInfluxHistory(options: InfluxHistoryOptions): WindowHistory {
  const { client, outbox, zoneOf, keepDays, clock, realClock, random, log } = options;
  let trouble: { readonly kind: InfluxFailure['kind']; readonly text: string; readonly sinceMs: number } | undefined;
  let refused = 0;
  let failures = 0;
  let cannotDelete = false;
  let releasedDay: number | undefined;
  /** Series sent once more because InfluxDB lacked windows that were to be let go. */
  const resent = new Set<number>();
  let timer: { cancel(): void } | undefined;
  let round: Promise<void> | undefined;
  let stopped = false;

  const works = (): void => {
    if (trouble) log.info('InfluxDB answers again', { failed_for_ms: Math.round(realClock.nowMs() - trouble.sinceMs) });
    trouble = undefined;
    failures = 0;
  };
  const fails = (error: unknown): InfluxFailure => {
    const failure = error instanceof InfluxFailure ? error : new InfluxFailure('away', messageOf(error));
    if (trouble?.kind !== failure.kind)
      log.error('InfluxDB does not take history; it is kept here and tried again', {
        code: failure.kind === 'away' ? 'E_TELEMETRY_AWAY' : 'E_TELEMETRY_SETTINGS',
        reason: failure.message,
      });
    trouble = { kind: failure.kind, text: failure.message, sinceMs: trouble?.sinceMs ?? realClock.nowMs() };
    return failure;
  };

  /** Asks for all that sending and reading need, and leaves one point that says who came. */
  const probe = async (): Promise<void> => {
    await client.write([`villagrid_cloud,cloud=${options.cloudId} started=1 ${Math.floor(realClock.nowMs() / 1000)}`]);
  };

  /** Sends a batch; what is refused is looked for by halving, so that one bad point holds up none beside it. */
  const send = async (batch: readonly OutgoingWindow[], told: { count: number }): Promise<void> => {
    try {
      await client.write(batch.map(lineOf));
      outbox.done(batch);
    } catch (error) {
      if (!(error instanceof InfluxFailure) || error.kind !== 'points') throw error;
      if (batch.length > 1) {
        const half = batch.length >> 1;
        await send(batch.slice(0, half), told);
        await send(batch.slice(half), told);
        return;
      }
      // If it refuses every point, the fault is not this one's.
      if (told.count === 0) {
        await probe().catch((failure: unknown) => {
          throw failure instanceof InfluxFailure && failure.kind === 'points'
            ? new InfluxFailure('settings', failure.message)
            : failure;
        });
      }
      told.count += 1;
      refused += 1;
      const [window] = batch as [OutgoingWindow];
      const line = lineOf(window);
      options.quarantine(window.gridId, line, error.message);
      outbox.done(batch);
      if (told.count <= mostTold)
        log.warn('InfluxDB refused a point; it is kept with the dead letters', {
          code: 'E_TELEMETRY_REFUSED',
          line,
          reason: error.message,
        });
    }
  };

  const sendAll = async (): Promise<void> => {
    const told = { count: 0 };
    for (;;) {
      const batch = outbox.pending(mostLines, clock.nowMs());
      if (batch.length === 0 || stopped) return;
      await send(batch, told);
      works();
    }
  };

  /** Retention: readers do not see what is over, whether InfluxDB deletes it or not. */
  const deleteOld = async (): Promise<void> => {
    for (const { resolution, beforeMs } of outbox.prunes()) {
      if (cannotDelete) return;
      try {
        await client.command(`DELETE FROM "${measurementOf(resolution)}" WHERE time < ${beforeMs}ms`);
        outbox.pruneDone(resolution, beforeMs);
      } catch (error) {
        if (!(error instanceof InfluxFailure) || error.kind !== 'settings') throw error;
        cannotDelete = true;
        log.warn('this InfluxDB does not delete by InfluxQL: give the bucket a retention period', {
          reason: error.message,
        });
      }
    }
  };

  const lacks = async ({ gridId, counts, fromMs, ...key }: LeavingSeries, beforeMs: number): Promise<boolean> => {
    for (const resolution of Object.keys(counts) as StoredResolution[]) {
      if (counts[resolution] === 0) continue;
      const found = countIn(await client.query(countOf(gridId, key, resolution, fromMs, beforeMs)));
      if (found < counts[resolution]) return true;
    }
    return false;
  };

  /**
   * Lets go what InfluxDB has. It may say that it took a point and have none later: what it lacks is sent once more; what
   * it lacks even then, its own retention has ended.
   */
  const release = async (): Promise<void> => {
    const nowMs = clock.nowMs();
    const today = Math.floor(nowMs / dayMs);
    if (releasedDay === today && keepDays > 0) return;
    const beforeMs = (today - keepDays + (keepDays > 0 ? 0 : 1)) * dayMs;
    let again = false;
    for (const series of outbox.release(beforeMs, nowMs, keepDays)) {
      await nextTurn();
      if (stopped) return;
      if (series.fromMs === Infinity || !(await lacks(series, beforeMs)) || resent.has(series.seriesId)) continue;
      resent.add(series.seriesId);
      again = true;
      const { gridId: grid_id, deviceId: device_id, metric } = series;
      log.warn('InfluxDB lacks history it had taken; it is sent once more', { grid_id, device_id, metric });
      outbox.resend(series, beforeMs);
    }
    if (again) return;
    resent.clear();
    releasedDay = today;
  };

  const runRound = (): Promise<void> =>
    (round ??= (async () => {
      await sendAll();
      await deleteOld();
      await release();
    })().finally(() => {
      round = undefined;
    }));

  const later = (delayMs: number): void => {
    if (stopped || timer) return;
    timer = realClock.after(delayMs, () => {
      timer = undefined;
      void runRound().then(
        () => later(roundMs),
        (error: unknown) => {
          const failure = fails(error);
          const delay = Math.max(failure.retryAfterMs, backoffDelayMs(failures, { ...retryLimits, random }));
          failures += 1;
          later(delay);
        },
      );
    });
  };

  /** Windows in [fromMs, toMs), whole and in order: parts from there and here folded. */
  const together = (far: readonly WindowPart[], near: readonly WindowPart[]): RollupWindow[] => {
    const byWindow = new Map<number, Map<number, RollupWindow | undefined>>();
    const partsOfWindow = (startMs: number): Map<number, RollupWindow | undefined> => {
      let parts = byWindow.get(startMs);
      if (!parts) byWindow.set(startMs, (parts = new Map()));
      return parts;
    };
    for (const { startMs, part, window } of far) {
      const parts = partsOfWindow(startMs);
      // InfluxDB 3 may give both of what was written twice; the fuller one is newer, for samples only come.
      if ((window?.count ?? 0) >= (parts.get(part)?.count ?? 0)) parts.set(part, window);
    }
    // What is here is never older than the same part there.
    for (const { startMs, part, window } of near) partsOfWindow(startMs).set(part, window);
    const windows: RollupWindow[] = [];
    for (const [, parts] of [...byWindow].sort(([a], [b]) => a - b)) {
      let whole: RollupWindow | undefined;
      for (const [, window] of [...parts].sort(([a], [b]) => a - b)) {
        if (window === undefined) continue;
        if (whole) foldWindow(whole, window);
        else whole = { ...window };
      }
      if (whole) windows.push(whole);
    }
    return windows;
  };

  const read = async (
    gridId: string,
    key: SeriesKey,
    resolution: StoredResolution,
    fromMs: number,
    toMs: number,
  ): Promise<RollupWindow[]> => {
    const series = outbox.series(gridId, key);
    const startMs = Math.max(fromMs, outbox.prunedMs(resolution));
    if (!series || startMs >= toMs) return [];
    // Here first: what is let go while InfluxDB is asked is in its answer.
    const near = outbox.here(series.id, resolution, startMs, toMs);
    const farEndMs = Math.min(toMs, outbox.horizonMs);
    if (startMs >= farEndMs) return together([], near);
    const answer = await client
      .query(selectOf(gridId, key, resolution, startMs, farEndMs))
      .catch((error: unknown): never => {
        throw new VillagridError('E_TELEMETRY_AWAY', `InfluxDB: ${messageOf(error)}.`, { cause: error });
      });
    return together(partsOf(answer, series.factor), near);
  };

  return {
    async start() {
      try {
        await probe();
        await client.query('SHOW MEASUREMENTS LIMIT 1');
      } catch (error) {
        if (!(error instanceof InfluxFailure) || error.kind !== 'away')
          throw new VillagridError('E_TELEMETRY_SETTINGS', `InfluxDB: ${messageOf(error)}.`, { cause: error });
        fails(error);
      }
      later(0);
    },
    async drained() {
      if (round) await round.catch(() => {});
      try {
        await runRound();
      } catch (error) {
        throw fails(error);
      }
    },
    async windows(gridId, deviceId, metric, resolution, fromMs, toMs) {
      const key = { deviceId, metric };
      const factor = outbox.series(gridId, key)?.factor ?? 1;
      const question = { resolution, fromMs, toMs, zone: zoneOf(gridId), factor };
      if (!(toMs > fromMs)) return windowColumns(question, () => []);
      let asked: [StoredResolution, number, number] | undefined;
      windowColumns(question, (...wanted) => {
        asked = wanted;
        return [];
      });
      const found = asked ? await read(gridId, key, ...asked) : [];
      return windowColumns(question, () => found);
    },
    state(): HistoryState {
      const waiting = outbox.waiting();
      if (!trouble) return { ok: true, detail: `InfluxDB takes history; ${waiting} windows wait`, waiting, refused };
      const told = trouble.kind === 'away' ? 'InfluxDB is away' : 'InfluxDB refuses the settings';
      return {
        ok: false,
        detail: `${told}: ${trouble.text}; ${waiting} windows wait here and nothing is lost`,
        waiting,
        refused,
      };
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await round?.catch(() => {});
    },
  };
}
