/**
 * Deletes what was kept long enough, in small steps: frames by when they came (no clock of a gateway has a say in it) and
 * once they are projected, minutes and quarter hours by their own time. What went stays explained in the ledger.
 */
import { localDayStartMs, type Clock, type Timer } from '@villagrid/contracts';
import { nextTurn, type ClockLedger, type FileRoom, type LifecyclePart, type Logger } from '@villagrid/runtime';
import type { RetentionSettings } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { DirectStore } from '../direct/store.js';
import { unnumberedLog } from '../etl/reading.js';
import type { Projected, Projector } from '../ingest/project.js';
import type { CursorStore } from '../stores/cursor-store.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { ProjectedTelemetry } from '../stores/telemetry.js';
import { keptOf, tellsOutages } from './policy.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const lookEveryMs = 300_000;
const framesPerStep = 200;
/** Free pages that are left for what comes next: a hundred megabytes. */
const sparePages = 25_000;
const judgedCursor = 'retention';

export interface RetentionOptions {
  readonly settings: RetentionSettings;
  readonly directory: Pick<Directory, 'gridOf' | 'ofGrid'>;
  readonly store: Pick<SqliteUplinkStore, 'allLogs' | 'removeFrames' | 'forgetLog'>;
  readonly direct: Pick<DirectStore, 'logsOf' | 'forgetLog'>;
  readonly telemetry: Pick<ProjectedTelemetry, 'grids' | 'removeWindows'>;
  readonly projector: Pick<Projector, 'cursor'>;
  readonly ledger: Pick<ClockLedger, 'pending'>;
  readonly cursors: CursorStore;
  /** Whether windows are kept here: another store deletes by its own settings. */
  readonly hasWindows: boolean;
  readonly file: Pick<FileRoom, 'giveBack'>;
  readonly zoneOf: (gridId: string) => string;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
}

export interface Retention extends LifecyclePart {
  /** One look now; a look that is under way is waited for. */
  look(): Promise<void>;
  /** Something of a grid was projected: it may be older than what was looked at last. */
  projected(gridId: string, changed: Projected): void;
  /** What was deleted since the start. */
  readonly counts: Readonly<Record<'frames' | 'windows', number>>;
}

/** Makes the part that deletes. */
export function createRetention(options: RetentionOptions): Retention {
  const { settings, directory, store, direct, telemetry, projector, ledger, cursors, clock, realClock, log } = options;
  const counts = { frames: 0, windows: 0 };
  /** By `grid resolution`: all windows before it were looked at. */
  const swept = new Map<string, number>();
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;

  /** Now, as far as it is believed: it goes on by a day with each look at most, so that a wrong clock empties nothing at once. */
  const judgedMs = (): number => {
    const nowMs = clock.nowMs();
    const before = cursors.get(judgedCursor) ?? nowMs;
    const judged = Math.min(nowMs, before + dayMs);
    cursors.set(judgedCursor, judged);
    return judged;
  };

  const removeFrames = async (gatewayId: string, epoch: string, gridId: string, beforeMs: number): Promise<void> => {
    const zone = options.zoneOf(gridId);
    const days = new Map<number, number>();
    const dayOf = (timeMs: number): number => {
      const hour = Math.floor((timeMs * 4) / hourMs);
      const known = days.get(hour) ?? localDayStartMs(zone, timeMs);
      days.set(hour, known);
      return known;
    };
    for (let afterNumber = 0; !stopped; ) {
      if (ledger.pending(gridId) !== undefined) return;
      const { removed, old, lastNumber } = store.removeFrames(gatewayId, epoch, {
        afterNumber,
        receivedBeforeMs: beforeMs,
        upToSeq: projector.cursor,
        dayOf,
        limit: framesPerStep,
      });
      counts.frames += removed;
      if (old === 0 || lastNumber === undefined) return;
      afterNumber = lastNumber;
      await nextTurn();
    }
  };

  const removeWindows = async (
    gridId: string,
    resolution: '1m' | '15m',
    beforeMs: number,
    which: 'others' | 'outages',
  ): Promise<void> => {
    const key = `${gridId} ${resolution} ${which}`;
    const fromMs = swept.get(key) ?? 0;
    const untilMs = Math.floor(beforeMs / hourMs) * hourMs;
    if (untilMs <= fromMs) return;
    // Set first: what comes late while it goes on is looked at the next time.
    swept.set(key, untilMs);
    const spares = (metric: string) => resolution === '1m' && tellsOutages(metric) !== (which === 'outages');
    try {
      for (const gone of telemetry.removeWindows({ gridId, resolution, fromMs, beforeMs: untilMs, spares })) {
        counts.windows += gone;
        await nextTurn();
        if (stopped) return;
      }
    } catch (error) {
      swept.delete(key);
      throw error;
    }
  };

  const look = async (): Promise<void> => {
    const nowMs = judgedMs();
    const before = { ...counts };
    const newestBoots = new Map<string, string | undefined>();
    for (const { gatewayId, epoch } of store.allLogs()) {
      const gridId = directory.gridOf(gatewayId) ?? '';
      const entry = directory.ofGrid(gridId);
      const kept = keptOf(settings, entry?.organisation_id);
      await removeFrames(gatewayId, epoch, gridId, nowMs - kept.raw);
      // Only a device has boots here, and a log for each. What it does not count goes on in one log for ever.
      if (!newestBoots.has(gatewayId)) newestBoots.set(gatewayId, direct.logsOf(gatewayId)[0]?.boot);
      const newest = newestBoots.get(gatewayId);
      const isOfDevice = newest !== undefined && entry?.gateway_id !== gatewayId;
      if (isOfDevice && epoch !== newest && epoch !== unnumberedLog)
        store.forgetLog(gatewayId, epoch, () => direct.forgetLog(gatewayId, epoch));
      if (stopped) return;
    }
    for (const gridId of options.hasWindows ? telemetry.grids() : []) {
      const kept = keptOf(settings, directory.ofGrid(gridId)?.organisation_id);
      await removeWindows(gridId, '1m', nowMs - kept['1m'], 'others');
      await removeWindows(gridId, '1m', nowMs - Math.max(kept['1m'], kept['15m']), 'outages');
      await removeWindows(gridId, '15m', nowMs - kept['15m'], 'others');
      if (stopped) return;
    }
    await options.file.giveBack(sparePages);
    const gone = { frames: counts.frames - before.frames, windows: counts.windows - before.windows };
    if (gone.frames + gone.windows > 0) log.info('what was kept long enough was deleted', gone);
  };
  const lookOnce = (): Promise<void> => {
    running ??= look().finally(() => (running = undefined));
    return running;
  };

  return {
    name: 'retention',
    counts,
    look: lookOnce,
    projected(gridId, { samples, restamped }) {
      const oldestMs = restamped ? 0 : samples.reduce((oldest, { timeMs }) => Math.min(oldest, timeMs), Infinity);
      for (const key of swept.keys())
        if (key.startsWith(`${gridId} `) && (swept.get(key) as number) > oldestMs) swept.set(key, oldestMs);
    },
    start() {
      timer = realClock.every(lookEveryMs, () => {
        lookOnce().catch((error: unknown) => log.error('old data could not be deleted; it is tried again', { error }));
      });
    },
    async stop() {
      timer?.cancel();
      stopped = true;
      await running?.catch(() => {});
    },
  };
}
