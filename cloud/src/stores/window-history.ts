/** History by windows as the cloud reads it, wherever it is kept. What is proven, newest and archived is always in SQLite. */
import type { Resolution, WindowColumns } from '@villagrid/contracts';
import { closeWindowOutbox, type Logger, type SqliteDatabase, type TelemetryStore } from '@villagrid/runtime';

/** How the store of history fares, for health. */
export interface HistoryState {
  readonly ok: boolean;
  readonly detail: string;
  /** Windows that are shown from here and not yet in their store. */
  readonly waiting: number;
  /** Points the store refused for good since the start. */
  readonly refused: number;
}

export interface WindowHistory {
  /** Checks the store and begins; E_TELEMETRY_SETTINGS when it cannot be used as it is set up. One that is away is waited for. */
  start(): Promise<void>;
  /** Resolves when every window that ended is in its store; rejects with what stands in the way. */
  drained(): Promise<void>;
  /** As TelemetryStore's; E_TELEMETRY_AWAY when older windows cannot be read. */
  windows(
    gridId: string,
    deviceId: string,
    metric: string,
    resolution: Resolution,
    fromMs: number,
    toMs: number,
  ): Promise<WindowColumns>;
  state(): HistoryState;
  /** Sends what a refused point was of once more; rejects when it is refused again. Only where history is kept elsewhere. */
  sendAgain?(line: string): Promise<void>;
  stop(): Promise<void>;
}

/** Windows are kept in the telemetry store of the same database. */
export function createSqliteHistory(options: {
  readonly database: SqliteDatabase;
  readonly telemetry: Pick<TelemetryStore, 'windows'>;
  readonly log: Logger;
}): WindowHistory {
  const elsewhereMs = closeWindowOutbox(options.database);
  return {
    async start() {
      if (elsewhereMs !== undefined)
        options.log.warn('older history is in another store and not shown: see `telemetry` in cloud.yaml', {
          before: new Date(elsewhereMs).toISOString(),
        });
    },
    async drained() {},
    windows: async (...args) => options.telemetry.windows(...args),
    state: () => ({ ok: true, detail: 'history is kept here', waiting: 0, refused: 0 }),
    async stop() {},
  };
}
