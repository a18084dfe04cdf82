/**
 * The gateway's own alert events that the card would not take: shown all the same, because a gateway that cannot write
 * must still say so, and a battery that runs empty meanwhile too. They are committed as soon as that works.
 */
import { compareAlerts, reduceAlert, type Alert, type AlertEvent } from '@villagrid/contracts';
import type { AlertListQuery, AlertStore } from '@villagrid/runtime';

/** What reads of alerts need. */
export type AlertReads = Pick<AlertStore, 'list' | 'get' | 'gridOfAlert'>;

/** Events that wait for the card, seen through to what is stored. */
export class NotDurable implements AlertReads {
  readonly #store: AlertStore;
  readonly #events = new Map<string, AlertEvent>();

  constructor(store: AlertStore) {
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

  get(alertId: string): Alert | undefined {
    const own = [...this.#events.values()].filter((one) => one.alert_id === alertId);
    return own.length === 0 ? this.#store.get(alertId) : reduceAlert([...this.#store.events(alertId), ...own]);
  }

  gridOfAlert(alertId: string): string | undefined {
    return this.#store.gridOfAlert(alertId) ?? this.get(alertId)?.grid_id;
  }

  list(gridId: string, query: AlertListQuery = {}): readonly Alert[] {
    const stored = this.#store.list(gridId, query);
    if (this.#events.size === 0) return stored;
    const changed = new Set(
      [...this.#events.values()].filter((one) => one.grid_id === gridId).map((one) => one.alert_id),
    );
    const found = [...changed]
      .map((alertId) => this.get(alertId))
      .filter((alert) => alert !== undefined && (query.status === undefined || alert.status === query.status));
    return [...stored.filter((one) => !changed.has(one.alert_id)), ...(found as Alert[])].sort(compareAlerts);
  }
}
