/**
 * Alerts as sets of events, over SQLite. Gateway and cloud keep them alike: events are inserted if absent and only their
 * time may be put right later, the alert is what contracts' `reduceAlert` makes of them. A small row per alert keeps listing quick.
 *
 * Nothing is ever deleted: people's words are in here, and what happened in a village years ago tells what its equipment is
 * worth. At five alerts a day that is some 3 MB a year, which no card fills with. So every query is bounded by an index (grid,
 * status or rule, time) or by a number, and none reads all that is kept.
 */
import {
  compareAlerts,
  isGridRecord,
  reduceAlert,
  retimedEvent,
  VillagridError,
  type Alert,
  type AlertEvent,
  type GridRecord,
} from '@villagrid/contracts';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';

/** Most resolved alerts a list gives, newest first; active ones are always all there. */
export const mostResolvedListed = 2000;

/** Which alerts of a grid are wanted; both kinds when `status` is left out. Found by index, however many years are kept. */
export interface AlertListQuery {
  readonly status?: 'active' | 'resolved';
  /** Raised in [fromMs, toMs), Unix ms: all of these, of both kinds. */
  readonly raised?: { readonly fromMs: number; readonly toMs: number };
  /** Of this rule only. */
  readonly ruleId?: string;
  /** Of the resolved ones the newest so many. */
  readonly mostResolved?: number;
}

type Awaitable<T> = T | Promise<T>;

/** What every alert store promises (see testing/alert-store-suite.ts); a remote one answers with promises. */
export interface AlertStorePort {
  /**
   * Keeps an event unless it is there already (same alert, same event id; the first content stays). Durable when it
   * returns or resolves. A person's event may come before `raised` and counts as soon as that comes.
   * Throws E_ALERT_NOT_FOUND when the alert is known under another grid.
   */
  append(event: AlertEvent): Awaitable<'added' | 'known'>;
  /** The same for several; gives the events that were new. */
  appendAll(events: Iterable<AlertEvent>): Awaitable<readonly AlertEvent[]>;
  /**
   * Puts the time of a known event right: the clock it was dated by proved to have been wrong. Gives whether that changed
   * anything. The event in the log stays as it was; this is what is shown.
   */
  retime(alertId: string, eventId: string, atMs: number): Awaitable<boolean>;
  /**
   * Alerts of a grid in the order of `compareAlerts`: every active one, and of the resolved the newest 2,000, or all that were
   * raised within a given time.
   */
  list(gridId: string, query?: AlertListQuery): Awaitable<readonly Alert[]>;
  /** One alert; undefined when unknown, or while only people's events are there. */
  get(alertId: string): Awaitable<Alert | undefined>;
  /** The grid of an alert of which `raised` is there. */
  gridOfAlert(alertId: string): Awaitable<string | undefined>;
  /** All events of an alert, also of one that is not yet raised, by event id. */
  events(alertId: string): Awaitable<readonly AlertEvent[]>;
  /** What people said of a grid as a whole: planned work and hand-over notes, in no order. */
  records(gridId: string): Awaitable<readonly GridRecord[]>;
}

/**
 * The store over SQLite: everything at once, within the caller's transaction when there is one, else in its own;
 * `appendAll` is all or nothing.
 */
export interface AlertStore extends AlertStorePort {
  append(event: AlertEvent): 'added' | 'known';
  appendAll(events: Iterable<AlertEvent>): readonly AlertEvent[];
  retime(alertId: string, eventId: string, atMs: number): boolean;
  list(gridId: string, query?: AlertListQuery): readonly Alert[];
  get(alertId: string): Alert | undefined;
  gridOfAlert(alertId: string): string | undefined;
  events(alertId: string): readonly AlertEvent[];
  records(gridId: string): readonly GridRecord[];
}

/** Tables of this store. `createAlertStore` runs them itself (module `alert_store`); for tools that want to know them. */
export const alertStoreMigrations: readonly Migration[] = [
  `CREATE TABLE IF NOT EXISTS alert (
     alert_id TEXT PRIMARY KEY,
     grid_id TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('waiting', 'active', 'resolved')),
     raised_at_ms INTEGER,
     severity TEXT
   ) WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS alert_by_grid ON alert (grid_id, status, raised_at_ms);
   CREATE TABLE IF NOT EXISTS alert_event (
     alert_id TEXT NOT NULL,
     event_id TEXT NOT NULL,
     event TEXT NOT NULL,
     PRIMARY KEY (alert_id, event_id)
   ) WITHOUT ROWID`,
  // What a rule raised before is asked for often, and in years there are many others.
  `ALTER TABLE alert ADD COLUMN rule_id TEXT;
   UPDATE alert SET rule_id = (
     SELECT json_extract(event, '$.subject.rule_id') FROM alert_event WHERE alert_event.alert_id = alert.alert_id
       AND CASE WHEN json_valid(event) THEN json_extract(event, '$.kind') = 'raised' END
     LIMIT 1
   );
   CREATE INDEX IF NOT EXISTS alert_by_rule ON alert (grid_id, rule_id, status, raised_at_ms)`,
];

interface EventRow {
  readonly alert_id: string;
  readonly event: string;
}

/** Opens the store in a database of the caller; makes its tables when they are missing. */
export function createAlertStore({ database }: { readonly database: SqliteDatabase }): AlertStore {
  migrateModule(database, 'alert_store', alertStoreMigrations);
  const insert = database.prepare<[string, string, string]>(
    'INSERT INTO alert_event (alert_id, event_id, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const update = database.prepare<[string, string, string]>(
    'UPDATE alert_event SET event = ? WHERE alert_id = ? AND event_id = ?',
  );
  const eventsOf = database
    .prepare<[string], string>('SELECT event FROM alert_event WHERE alert_id = ? ORDER BY event_id')
    .pluck();
  const gridOf = database.prepare<[string], { grid_id: string; status: string }>(
    'SELECT grid_id, status FROM alert WHERE alert_id = ?',
  );
  const note = database.prepare<[string, string, string, number | null, string | null, string | null]>(
    `INSERT INTO alert (alert_id, grid_id, status, raised_at_ms, severity, rule_id) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (alert_id) DO UPDATE SET status = excluded.status, raised_at_ms = excluded.raised_at_ms,
       severity = excluded.severity, rule_id = excluded.rule_id`,
  );
  // One query per list: the alerts wanted, newest first, joined with their events.
  const eventsOfThe = (which: string) =>
    database.prepare<[Record<string, string | number>], EventRow>(
      `SELECT alert_event.alert_id, alert_event.event FROM (
         SELECT alert_id FROM alert
         WHERE grid_id = @gridId AND status = @status AND raised_at_ms >= @fromMs AND raised_at_ms < @toMs ${which}
         ORDER BY raised_at_ms DESC, alert_id LIMIT @most
       ) AS wanted JOIN alert_event ON alert_event.alert_id = wanted.alert_id`,
    );
  const eventsOfGrid = eventsOfThe('');
  const eventsOfRule = eventsOfThe('AND rule_id = @ruleId');

  // None of them has a raised event: they are among the few of their grid that wait for one.
  const waitingOfGrid = database
    .prepare<[string], string>(
      `SELECT alert_event.event FROM alert JOIN alert_event ON alert_event.alert_id = alert.alert_id
       WHERE alert.grid_id = ? AND alert.status = 'waiting'`,
    )
    .pluck();

  const events = (alertId: string) => eventsOf.all(alertId).flatMap(parse);

  const append = database.transaction((event: AlertEvent): 'added' | 'known' => {
    const owner = gridOf.get(event.alert_id)?.grid_id;
    if (owner !== undefined && owner !== event.grid_id) {
      throw new VillagridError(
        'E_ALERT_NOT_FOUND',
        `event ${event.id} names alert ${event.alert_id} in grid ${event.grid_id}, but that alert belongs to another grid.`,
      );
    }
    if (insert.run(event.alert_id, event.id, JSON.stringify(event)).changes === 0) return 'known';
    noteAlert(event);
    return 'added';
  });

  const noteAlert = ({ alert_id, grid_id }: AlertEvent): void => {
    const alert = reduceAlert(events(alert_id));
    const { raised_at_ms = null, severity = null, rule_id = null } = alert ?? {};
    note.run(alert_id, grid_id, alert?.status ?? 'waiting', raised_at_ms, severity, rule_id);
  };

  const retime = database.transaction((alertId: string, eventId: string, atMs: number): boolean => {
    const event = events(alertId).find(({ id }) => id === eventId);
    if (event === undefined || event.at_ms === atMs) return false;
    const right = retimedEvent(event, atMs);
    update.run(JSON.stringify(right), alertId, eventId);
    noteAlert(right);
    return true;
  });

  const appendAll = database.transaction((all: Iterable<AlertEvent>): readonly AlertEvent[] => {
    const added: AlertEvent[] = [];
    for (const event of all) if (append(event) === 'added') added.push(event);
    return added;
  });

  const withStatus = (gridId: string, status: 'active' | 'resolved', query: AlertListQuery): Alert[] => {
    const sets = new Map<string, AlertEvent[]>();
    const { raised, ruleId } = query;
    const most = query.mostResolved ?? (raised === undefined ? mostResolvedListed : -1);
    const wanted = {
      gridId,
      status,
      ...(raised ?? { fromMs: Number.MIN_SAFE_INTEGER, toMs: Number.MAX_SAFE_INTEGER }),
      most: status === 'active' ? -1 : most,
      ...(ruleId === undefined ? {} : { ruleId }),
    };
    for (const row of (ruleId === undefined ? eventsOfGrid : eventsOfRule).iterate(wanted)) {
      const set = sets.get(row.alert_id);
      if (set) set.push(...parse(row.event));
      else sets.set(row.alert_id, parse(row.event));
    }
    return [...sets.values()].map(reduceAlert).filter((alert) => alert !== undefined);
  };

  return {
    append: (event) => append(event),
    appendAll: (all) => appendAll(all),
    retime: (alertId, eventId, atMs) => retime(alertId, eventId, atMs),
    list: (gridId, query = {}) => {
      const wanted = query.status === undefined ? (['active', 'resolved'] as const) : [query.status];
      return wanted.flatMap((one) => withStatus(gridId, one, query)).sort(compareAlerts);
    },
    get: (alertId) => reduceAlert(events(alertId)),
    gridOfAlert: (alertId) => {
      const row = gridOf.get(alertId);
      return row === undefined || row.status === 'waiting' ? undefined : row.grid_id;
    },
    events,
    records: (gridId) => waitingOfGrid.all(gridId).flatMap(parse).filter(isGridRecord),
  };
}

/** The event in a row; none when the card changed it, so that one bad row does not hide all alerts. */
function parse(text: string): AlertEvent[] {
  try {
    return [JSON.parse(text) as AlertEvent];
  } catch {
    return [];
  }
}
