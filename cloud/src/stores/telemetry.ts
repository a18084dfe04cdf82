/** The telemetry store as the projection needs it: inside its transaction, and forgetting what a rollback took back. */
import { createTelemetryStore, type RowTelemetryStore, type TelemetryStoreOptions } from '@villagrid/runtime';

export interface ProjectedTelemetry extends RowTelemetryStore {
  /** To be called when a transaction around `applyFrames` failed: the store remembers series that were rolled back. */
  forget(): void;
}

/** Opens the store; throws E_STORE_OPEN. */
export function createProjectedTelemetry(options: TelemetryStoreOptions): ProjectedTelemetry {
  let store = createTelemetryStore(options);
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
    pruneWindows: (...args) => store.pruneWindows(...args),
    digests: (...args) => store.digests(...args),
    grids: () => store.grids(),
    removeWindows: (which) => store.removeWindows(which),
    forget: () => {
      store = createTelemetryStore(options);
    },
  };
}
