/**
 * Projecting: a reader of the archive with a cursor that turns frames into telemetry, alerts and link states. All of a
 * slice and the cursor are one transaction, so after a kill nothing is missing and nothing is there twice. A frame that
 * cannot be projected goes to the dead letters; a store that fails keeps the place, and it is tried again.
 */
import {
  messageOf,
  VillagridError,
  type Clock,
  type DocumentEntry,
  type Frame,
  type FrameEntry,
  type RandomSource,
  type Sample,
} from '@villagrid/contracts';
import {
  backoffDelayMs,
  changedSamples,
  type AlertStore,
  type ClockLedger,
  type Logger,
  type NumberedFrame,
  type SqliteDatabase,
} from '@villagrid/runtime';
import { examineFrame, type FrameFinding } from '../etl/frame.js';
import type { Counters } from '../observe/counters.js';
import type { ActStore } from '../stores/act-store.js';
import { createCursorStore } from '../stores/cursor-store.js';
import type { LinkStore } from '../stores/link-store.js';
import { createManifestStore } from '../stores/manifest-store.js';
import { isStoreFailure } from '../stores/database.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { ProjectedTelemetry } from '../stores/telemetry.js';
import type { ArchivedFrame, DeadLetter } from '../stores/uplink-store.js';

/** What a slice changed in one grid. */
export interface Projected {
  readonly samples: Sample[];
  readonly alertIds: Set<string>;
  readonly deviceIds: Set<string>;
  /** Times of what was projected before were put right: newest values must be read anew. */
  restamped: boolean;
}

export interface ProjectorOptions {
  readonly database: SqliteDatabase;
  readonly store: SqliteUplinkStore;
  readonly telemetry: ProjectedTelemetry;
  readonly ledger: ClockLedger;
  readonly alerts: AlertStore;
  readonly links: LinkStore;
  readonly acts: ActStore;
  /** A gateway tells of a command or a document; within the transaction. */
  readonly onCommand?: (gridId: string, entry: Extract<FrameEntry, { type: 'command' }>) => void;
  readonly onDocument?: (gridId: string, entry: DocumentEntry) => void;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly counters: Counters;
  /** Called within each transaction, for what may as well be written with it. */
  readonly inTransaction?: () => void;
  /** Called in the tick of the commit, once per grid of a slice. */
  readonly onProjected: (gridId: string, changed: Projected) => void;
  readonly afterCommit?: () => void;
}

export interface Projector {
  /** Projects what lies after the cursor: a slice at once, the rest in later turns. */
  run(): void;
  /** Place in the order of arrival up to which all is projected. */
  readonly cursor: number;
  /** Whether frames may lie after the cursor. */
  readonly behind: boolean;
  stop(): void;
}

/** Frames of one transaction. */
const sliceFrames = 200;
const repairFrames = 60;
const retryLimits = { minMs: 200, maxMs: 30_000 };
const cursorName = 'projection';

/** Makes the projector; it reads its cursor at once. */
export function createProjector(options: ProjectorOptions): Projector {
  const { database, store, telemetry, ledger, alerts, links, acts, clock, realClock, log, counters } = options;
  const cursors = createCursorStore(database);
  const manifests = createManifestStore(database);
  let cursor = cursors.get(cursorName) ?? 0;
  let behind = true;
  let failures = 0;
  let timer: { cancel(): void } | undefined;
  let stopped = false;

  const letterOf = (
    from: ArchivedFrame,
    stage: DeadLetter['stage'],
    code: string,
    reason: string,
    bytes?: Uint8Array,
  ) =>
    store.keepDeadLetter(
      {
        stage,
        gatewayId: from.gatewayId,
        gridId: from.gridId,
        epoch: from.epoch,
        number: from.number,
        code,
        reason,
        bytes: bytes ?? from.bytes,
      },
      clock.nowMs(),
    );

  const takeEvents = (
    from: ArchivedFrame,
    frame: Frame,
    findings: readonly FrameFinding[],
    changed: Projected,
  ): void => {
    for (const event of frame.events) {
      acts.confirm(event.id, clock.nowMs());
      try {
        if (alerts.append(event) === 'known') {
          // It went ahead on the alerts lane, by the clock the gateway had then.
          if (alerts.retime(event.alert_id, event.id, event.at_ms)) changed.alertIds.add(event.alert_id);
          continue;
        }
        counters.alertEvents += 1;
        changed.alertIds.add(event.alert_id);
      } catch (error) {
        if (isStoreFailure(error)) throw error;
        letterOf(from, 'event', codeOf(error), messageOf(error), Buffer.from(JSON.stringify(event)));
      }
    }
    takeLinks(from, frame, changed);
    for (const entry of frame.entries) {
      if (entry.type === 'manifest') manifests.note(entry, from);
      if (entry.type === 'command') options.onCommand?.(from.gridId, entry);
      if (entry.type === 'document') options.onDocument?.(from.gridId, entry);
    }
    for (const { what, reason, text } of findings)
      letterOf(from, what, 'E_ENVELOPE_INVALID', reason, Buffer.from(text));
  };

  const takeLinks = (from: ArchivedFrame, { entries }: Frame, changed: Projected): void => {
    for (const entry of entries) {
      if (entry.type !== 'link_state') continue;
      // Another epoch's words are compared by time: one from the future must not be the last until that comes.
      const timeMs = Math.min(entry.time_ms, clock.nowMs());
      if (links.note(from.gridId, entry.device_id, entry.state, timeMs, from)) changed.deviceIds.add(entry.device_id);
    }
  };

  const projectSlice = database.transaction((slice: readonly ArchivedFrame[]): Map<string, Projected> => {
    const byGrid = new Map<string, Projected>();
    const byLog = new Map<string, { from: ArchivedFrame; frames: NumberedFrame[]; spans: [number, number][] }>();
    const good: { from: ArchivedFrame; frame: Frame; findings: readonly FrameFinding[] }[] = [];
    for (const from of slice) {
      const examined = examineFrame(from.bytes, from.gridId);
      if (!examined.ok) {
        // It passed when it came: this program sees more than the one then.
        store.withdraw(from.seq);
        letterOf(from, 'projection', 'E_ENVELOPE_INVALID', examined.reason);
        continue;
      }
      good.push({ from, frame: examined.frame, findings: examined.findings });
      ledger.note({ ...from, source: from.gatewayId }, [{ number: from.number, frame: examined.frame }]);
    }
    for (const { from, frame: raw, findings } of good) {
      const changed = byGrid.get(from.gridId) ?? nothing();
      byGrid.set(from.gridId, changed);
      const frame = ledger.take(from.gridId, raw);
      takeEvents(from, frame, findings, changed);
      const key = `${from.gridId} ${from.gatewayId} ${from.epoch}`;
      const group = byLog.get(key) ?? { from, frames: [], spans: [] };
      byLog.set(key, group);
      group.frames.push({ number: from.number, frame });
      if (from.last > from.number) group.spans.push([from.number + 1, from.last]);
    }
    for (const { from, frames, spans } of byLog.values()) {
      telemetry.applyFrames(from.gridId, from.gatewayId, from.epoch, frames);
      // The other numbers of a sealed frame are in it.
      for (const [first, last] of spans) telemetry.skipNumbers(from.gatewayId, from.epoch, first, last);
      const samples = byGrid.get(from.gridId)?.samples;
      for (const { frame } of frames) for (const sample of frame.samples) samples?.push(sample);
    }
    options.inTransaction?.();
    cursors.set(cursorName, (slice.at(-1) as ArchivedFrame).seq);
    return byGrid;
  });

  /** A frame that breaks the projection: its telemetry is put aside, what else it holds is taken if that works. */
  const putAside = (from: ArchivedFrame, error: unknown): void => {
    const examined = examineFrame(from.bytes, from.gridId);
    const changed = nothing();
    database
      .transaction(() => {
        store.withdraw(from.seq);
        letterOf(from, 'projection', codeOf(error), messageOf(error));
        if (examined.ok) takeEvents(from, ledger.restamp(from.gridId, examined.frame), examined.findings, changed);
        cursors.set(cursorName, from.seq);
      })
      .immediate();
    cursor = from.seq;
    log.error('a frame cannot be projected and was put aside', {
      gateway_id: from.gatewayId,
      epoch: from.epoch,
      number: from.number,
      error,
    });
    options.onProjected(from.gridId, changed);
  };

  const project = (slice: readonly ArchivedFrame[]): void => {
    let byGrid: Map<string, Projected>;
    try {
      byGrid = projectSlice.immediate(slice);
    } catch (error) {
      telemetry.forget();
      ledger.forget();
      if (isStoreFailure(error)) throw error;
      if (slice.length > 1) {
        for (const one of slice) project([one]);
        return;
      }
      return putAside(slice[0] as ArchivedFrame, error);
    }
    cursor = (slice.at(-1) as ArchivedFrame).seq;
    counters.framesProjected += slice.length;
    options.afterCommit?.();
    for (const [gridId, changed] of byGrid) {
      counters.samplesProjected += changed.samples.length;
      options.onProjected(gridId, changed);
    }
  };

  /** One slice of the oldest repair of times; false when there is none. */
  const repair = (): boolean => {
    const next = ledger.pending();
    if (next === undefined) return false;
    const log = { gatewayId: next.source, epoch: next.epoch, gridId: next.gridId };
    const frames = store
      .framesNumbered(log, next.nextNumber, next.lastNumber, repairFrames, cursor)
      .flatMap(({ number, bytes, withdrawn }): NumberedFrame[] => {
        const examined = examineFrame(bytes, next.gridId);
        if (!examined.ok) return [];
        return [{ number, frame: withdrawn ? { ...examined.frame, samples: [] } : examined.frame }];
      });
    const changed = nothing();
    try {
      database
        .transaction(() => {
          const moved = ledger.advance(next, frames);
          const { removed, added } = changedSamples(moved);
          if (removed.length > 0) telemetry.replaceSamples(next.gridId, removed, added);
          for (const { after } of moved) {
            for (const { alert_id, id, at_ms } of after.events)
              if (alerts.retime(alert_id, id, at_ms)) changed.alertIds.add(alert_id);
          }
        })
        .immediate();
    } catch (error) {
      telemetry.forget();
      ledger.forget();
      throw error;
    }
    // Newest values are read anew when all is done, not at each slice.
    changed.restamped = ledger.pending(next.gridId)?.id !== next.id;
    options.onProjected(next.gridId, changed);
    return true;
  };

  const again = (delayMs: number): void => {
    timer?.cancel();
    timer = realClock.after(delayMs, () => {
      timer = undefined;
      step();
    });
  };

  const step = (): void => {
    if (stopped) return;
    try {
      const slice = store.framesAfter(cursor, sliceFrames);
      if (slice.length > 0) project(slice);
      behind = slice.length === sliceFrames || (slice.length === 0 ? repair() : ledger.pending() !== undefined);
      failures = 0;
      if (behind) again(0);
    } catch (error) {
      behind = true;
      counters.projectionFailures += 1;
      const delayMs = backoffDelayMs(failures, { ...retryLimits, random: options.random });
      failures += 1;
      log.error('the projection failed and is tried again', { error, again_in_ms: Math.round(delayMs) });
      again(delayMs);
    }
  };

  return {
    run() {
      behind = true;
      if (!timer) step();
    },
    get cursor() {
      return cursor;
    },
    get behind() {
      return behind;
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}

const nothing = (): Projected => ({
  samples: [],
  alertIds: new Set(),
  deviceIds: new Set(),
  restamped: false,
});

const codeOf = (error: unknown): string => (error instanceof VillagridError ? error.code : 'E_INTERNAL');
