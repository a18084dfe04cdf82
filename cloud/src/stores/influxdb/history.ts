/**
 * History in InfluxDB. SQLite adds samples up as ever, in the transaction that projects them; a window that ended is sent
 * as a whole, and let go here some weeks later. So a crash between any two steps sends the same points again, InfluxDB may
 * be away for as long as there is disk, and what is recent is read here without asking it.
 */
import {
  emptyColumns,
  localDayStartMs,
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
} from '@villagrid/runtime';
import type { HistoryState, WindowHistory } from '../window-history.js';
import { InfluxFailure, mostLines, type InfluxClient } from './client.js';
import { countIn, countOf, deleteOf, foldParts, lineOf, partsOf, selectOf, windowIn } from './lines.js';

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
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Deletions of a series are gathered: each is a search for InfluxDB. */
const deleteEveryMs = 7 * dayMs;
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
    for (const deletion of outbox.prunes(deleteEveryMs)) {
      if (cannotDelete || stopped) return;
      const { gridId, resolution, beforeMs } = deletion;
      try {
        // Where days begin within an hour they are folded from quarter hours for ever.
        if (resolution !== '15m' || localDayStartMs(zoneOf(gridId), beforeMs) % hourMs === 0)
          await client.command(deleteOf(gridId, deletion, resolution, beforeMs));
        outbox.pruneDone(deletion);
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

  const read = async (
    gridId: string,
    key: SeriesKey,
    { id, factor }: { readonly id: number; readonly factor: number },
    resolution: StoredResolution,
    fromMs: number,
    toMs: number,
  ): Promise<RollupWindow[]> => {
    // Here first: what is let go while InfluxDB is asked is in its answer.
    const near = outbox.here(id, resolution, fromMs, toMs);
    const farEndMs = Math.min(toMs, outbox.horizonMs);
    if (fromMs >= farEndMs) return foldParts([], near);
    const answer = await client
      .query(selectOf(gridId, key, resolution, fromMs, farEndMs))
      .catch((error: unknown): never => {
        throw new VillagridError('E_TELEMETRY_AWAY', `InfluxDB: ${messageOf(error)}.`, { cause: error });
      });
    return foldParts(partsOf(answer, factor), near);
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
      const series = outbox.series(gridId, key);
      if (!series || !(toMs > fromMs)) return emptyColumns();
      const question = { resolution, fromMs, toMs, zone: zoneOf(gridId), factor: series.factor };
      // What is asked for is the same whatever there is: it is fetched at once, however many pieces it is folded from.
      const asked = new Map<StoredResolution, readonly [fromMs: number, toMs: number]>();
      windowColumns(question, (stored, from, to) => {
        const [first, last] = asked.get(stored) ?? [from, to];
        asked.set(stored, [Math.min(first, from), Math.max(last, to)]);
        return [];
      });
      const found = new Map<StoredResolution, readonly RollupWindow[]>();
      for (const [stored, [from, to]] of asked) {
        // Days outlive the windows that they are folded from where these are asked for themselves.
        const startMs = stored === resolution ? Math.max(from, outbox.prunedMs(series.id, stored)) : from;
        found.set(stored, startMs < to ? await read(gridId, key, series, stored, startMs, to) : []);
      }
      return windowColumns(question, (stored, from, to) =>
        (found.get(stored) ?? []).filter(({ startMs }) => startMs >= from && startMs < to),
      );
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
    async sendAgain(line) {
      const found = windowIn(line);
      if (!found) throw new Error('it is no point of ours');
      // The window may have changed since: what it is now goes out. Of one that was let go here there is only the line.
      const isHere = outbox.again(found.gridId, found, found.resolution, found.startMs);
      if (!isHere) return client.write([line]);
      const before = refused;
      await runRound();
      if (refused > before) throw new Error('InfluxDB refuses it again');
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await round?.catch(() => {});
    },
  };
}
