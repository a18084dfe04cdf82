/** The telemetry store as the projection needs it: inside its transaction, and forgetting what a rollback took back. */
import {
  createTelemetryStore,
  openWindowOutbox,
  type RowTelemetryStore,
  type TelemetryStoreOptions,
  type WindowOutbox,
} from '@villagrid/runtime';

export interface ProjectedTelemetry extends RowTelemetryStore {
  /** To be called when a transaction around `applyFrames` failed: the store remembers series that were rolled back. */
  forget(): void;
  /** What is to be sent where windows are kept elsewhere. */
  readonly outbox: WindowOutbox | undefined;
}

/** Opens the store; `elsewhere` names the store windows are sent to, if any. Throws E_STORE_OPEN. */
export function createProjectedTelemetry(options: TelemetryStoreOptions, elsewhere?: string): ProjectedTelemetry {
  let store = createTelemetryStore(options);
  const outbox = elsewhere === undefined ? undefined : openWindowOutbox(options.database, elsewhere);
  return {
    applyFrames: (...args) => store.applyFrames(...args),
    replaceSamples: (...args) => store.replaceSamples(...args),
    skipNumbers: (...args) => store.skipNumbers(...args),
    cursor: (...args) => store.cursor(...args),
    appliedRanges: (...args) => store.appliedRanges(...args),
    series: (...args) => store.series(...args),
    latest: (...args) => store.latest(...args),
    windows: (...args) => store.windows(...args),
    raw: (...args) => store.raw(...args),
    completeness: (...args) => store.completeness(...args),
    digests: (...args) => store.digests(...args),
    grids: () => store.grids(),
    removeWindows: (which) => store.removeWindows(which),
    pruneWindows: (resolution, beforeMs) => {
      if (!outbox) return store.pruneWindows(resolution, beforeMs);
      let removed = 0;
      const once = function* (): Generator<number> {
        yield store.pruneWindows(resolution, beforeMs);
      };
      for (const gone of outbox.prune({ resolution, beforeMs }, once())) removed += gone;
      return removed;
    },
    outbox,
    forget: () => {
      store = createTelemetryStore(options);
    },
  };
}
