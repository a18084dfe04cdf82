/** All alerts of a grid, with filters. On wide screens the chosen alert stands beside the list. */
import './alerts.css';
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { t, type MessageKey } from '../../i18n/messages.js';
import { openAlerts, paused, speaks } from '../../live/apply.js';
import { withActs, type ShownAlert } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { AlertDetail } from './alert-detail.js';
import { AlertRow } from './alert-row.js';

type Filter = 'open' | 'unseen' | 'paused' | 'all';
const filters: readonly Filter[] = ['open', 'unseen', 'paused', 'all'];
const chosen = signal<Filter>('open');

/** Alerts that pass a filter, in the order of the list. */
export function filtered(alerts: readonly ShownAlert[], filter: Filter, nowMs: number): ShownAlert[] {
  const open = openAlerts(alerts);
  switch (filter) {
    case 'open':
      return open.filter((alert) => !paused(alert, nowMs));
    case 'unseen':
      return open.filter((alert) => !alert.seen && !paused(alert, nowMs));
    case 'paused':
      return alerts.filter((alert) => alert.status === 'active' && (paused(alert, nowMs) || !speaks(alert)));
    case 'all': {
      const rest = alerts.filter((alert) => alert.status !== 'active').sort((a, b) => b.raised_at_ms - a.raised_at_ms);
      return [...open, ...alerts.filter((alert) => alert.status === 'active' && !speaks(alert)), ...rest];
    }
  }
}

export function Alerts({ gridId, alertId }: { gridId: string; alertId?: string }) {
  const app = useApp();
  const { views, acts, nowMs, grids } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const view = views.value[gridId];
  const now = nowMs.value;
  const zone = view?.summary.zone ?? 'UTC';
  const alerts = (view?.alerts ?? []).map((alert) => withActs(alert, acts.value));
  const filter = chosen.value;
  const list = filtered(alerts, filter, now);
  const name = view?.summary.name ?? gridId;
  const beside = wide.value ? (alertId ?? list[0]?.alert_id) : undefined;
  const many = grids.value.length > 1;
  const next = `alerts.none.${filter}Next`;
  return (
    <div class="screen alerts-screen">
      <div class="alerts-list pane">
        <Header
          title={t('alerts.title')}
          gridName={name}
          back={many && !wide.value ? { href: links.grid(gridId), to: name } : undefined}
        />
        <main id="content" {...(beside === undefined ? {} : { class: 'list-main' })}>
          <div class="chips sec" role="group" aria-label={t('alerts.filter')}>
            {filters.map((one) => (
              <button
                key={one}
                type="button"
                class="chip"
                aria-pressed={one === filter}
                onClick={() => {
                  chosen.value = one;
                }}
              >
                {t(`alerts.${one}` as MessageKey)}
                {one !== 'all' && <span class="count">{filtered(alerts, one, now).length}</span>}
              </button>
            ))}
          </div>
          {list.length === 0 ? (
            <div class="empty">
              <h2>{t(`alerts.none.${filter}` as MessageKey)}</h2>
              {filter === 'open' && <p>{t(next as MessageKey)}</p>}
            </div>
          ) : (
            <div class="rows alert-rows">
              {list.map((alert) => (
                <AlertRow
                  key={alert.alert_id}
                  alert={alert}
                  nowMs={now}
                  zone={zone}
                  current={alert.alert_id === beside}
                />
              ))}
            </div>
          )}
        </main>
      </div>
      {beside !== undefined && (
        <section class="alert-beside pane" aria-label={t('alert.title')}>
          <AlertDetail key={beside} gridId={gridId} alertId={beside} />
        </section>
      )}
    </div>
  );
}
