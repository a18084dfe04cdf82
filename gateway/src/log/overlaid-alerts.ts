/** Alerts with events that are not in their tables yet, so that whoever reads sees one set. */
import {
  compareAlerts,
  isGridRecord,
  reduceAlert,
  type Alert,
  type AlertEvent,
  type GridRecord,
} from '@villagrid/contracts';
import type { AlertListQuery, AlertStore } from '@villagrid/runtime';

/** What reads of alerts need. */
export type AlertReads = Pick<AlertStore, 'list' | 'get' | 'gridOfAlert' | 'events' | 'records'>;

/** Events over a store. */
export class OverlaidAlerts implements AlertReads {
  readonly #store: AlertReads;
  readonly #events = new Map<string, AlertEvent>();

  constructor(store: AlertReads) {
    this.#store = store;
  }

  /** True when it was not there. */
  add(event: AlertEvent): boolean {
    if (this.#events.has(event.id)) return false;
    this.#events.set(event.id, event);
    return true;
  }

  /** True when it was there. */
  remove(event: AlertEvent): boolean {
    return this.#events.delete(event.id);
  }

  has(eventId: string): boolean {
    return this.#events.has(eventId);
  }

  get(alertId: string): Alert | undefined {
    return this.#of(alertId).length === 0 ? this.#store.get(alertId) : reduceAlert([...this.events(alertId)]);
  }

  gridOfAlert(alertId: string): string | undefined {
    return this.#store.gridOfAlert(alertId) ?? this.get(alertId)?.grid_id;
  }

  records(gridId: string): readonly GridRecord[] {
    const stored = this.#store.records(gridId);
    if (this.#events.size === 0) return stored;
    const known = new Set(stored.map(({ id }) => id));
    const own = [...this.#events.values()].filter(isGridRecord);
    return [...stored, ...own.filter((one) => one.grid_id === gridId && !known.has(one.id))];
  }

  events(alertId: string): readonly AlertEvent[] {
    const own = this.#of(alertId);
    if (own.length === 0) return this.#store.events(alertId);
    const stored = this.#store.events(alertId);
    const known = new Set(stored.map((one) => one.id));
    return [...stored, ...own.filter((one) => !known.has(one.id))].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  list(gridId: string, query: AlertListQuery = {}): readonly Alert[] {
    const stored = this.#store.list(gridId, query);
    if (this.#events.size === 0) return stored;
    const changed = new Set(
      [...this.#events.values()].filter((one) => one.grid_id === gridId).map((one) => one.alert_id),
    );
    const found = [...changed]
      .map((alertId) => this.get(alertId))
      .filter((alert) => alert !== undefined && isWanted(alert, query));
    return [...stored.filter((one) => !changed.has(one.alert_id)), ...(found as Alert[])].sort(compareAlerts);
  }

  #of(alertId: string): AlertEvent[] {
    return [...this.#events.values()].filter((one) => one.alert_id === alertId);
  }
}

const isWanted = (alert: Alert, { status, ruleId, raised }: AlertListQuery): boolean =>
  (status === undefined || alert.status === status) &&
  (ruleId === undefined || alert.rule_id === ruleId) &&
  (raised === undefined || (alert.raised_at_ms >= raised.fromMs && alert.raised_at_ms < raised.toMs));
