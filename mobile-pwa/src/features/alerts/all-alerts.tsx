/** Open alerts of all grids, worst first: the Alerts tab of somebody who watches many. */
import { useEffect } from 'preact/hooks';
import { t } from '../../i18n/messages.js';
import { openAlerts, pausedLast } from '../../live/apply.js';
import { withActs } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { Header } from '../../ui/shell.js';
import { AlertRow } from './alert-row.js';

export function AllAlerts() {
  const app = useApp();
  const { views, acts, nowMs, grids, gridsAtMs } = app.state;
  useEffect(() => void app.refreshAlertsOfAll(), [gridsAtMs.value, app]);
  const names = new Map(Object.entries(views.value).map(([gridId, view]) => [gridId, view.summary]));
  const known = new Set(grids.value.map(({ grid_id }) => grid_id));
  const all = Object.entries(views.value)
    .filter(([gridId]) => known.size === 0 || known.has(gridId))
    .flatMap(([, view]) => view.alerts)
    .map((alert) => withActs(alert, acts.value));
  const list = pausedLast(openAlerts(all), nowMs.value);
  return (
    <div class="screen">
      <Header title={t('alerts.title')} source={{ icon: 'grid', text: t('home.title') }} />
      <main id="content">
        {list.length === 0 ? (
          <div class="empty">
            <h2>{t('alerts.none.open')}</h2>
            <p>{t('home.allWellKnown')}</p>
          </div>
        ) : (
          <div class="rows alert-rows">
            {list.map((alert) => (
              <AlertRow
                key={alert.alert_id}
                alert={alert}
                nowMs={nowMs.value}
                zone={names.get(alert.grid_id)?.zone ?? 'UTC'}
                gridName={names.get(alert.grid_id)?.name ?? alert.grid_id}
              />
            ))}
          </div>
        )}
      </main>
    </div>
  );
}
