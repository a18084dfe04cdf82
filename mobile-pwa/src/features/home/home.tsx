/** Grid selection: one row per grid with its state and age, who needs somebody first. */
import './home.css';
import type { GridState } from '@villagrid/contracts';
import { useEffect, useState } from 'preact/hooks';
import { wordsOf } from '../../i18n/alert-words.js';
import { agoText, momentText, percentText, sentenceMiddle, sentenceStart } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { openAlerts, paused, pausedLast, worstCalm } from '../../live/apply.js';
import { withActs } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { BatteryIcon, Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { pausedText, seenText } from '../alerts/alert-row.js';
import { groupGrids } from './groups.js';
import { useGridsSource, worstText } from './source.js';
import { homeTexts } from './texts.js';

addTexts(homeTexts);

/** From how many grids on a search field is shown. */
const searchFrom = 8;
/** Rows of a group that are drawn at first and with each further tap. */
const pageSize = 50;
/** A report older than this is mentioned in the row, ms. */
const mentionAgeMs = 120_000;

function GridRow({ grid, nowMs, current }: { grid: GridState; nowMs: number; current: boolean }) {
  const { reachable, worst_severity, last_reported_ms, zone } = grid;
  const old = last_reported_ms !== null && nowMs - last_reported_ms > mentionAgeMs;
  const age = last_reported_ms === null ? t('home.neverReported') : agoText(last_reported_ms, nowMs, zone);
  const detail = !reachable
    ? last_reported_ms === null
      ? t('home.neverReported')
      : t('home.noReportSince', { when: momentText(last_reported_ms, nowMs, zone) })
    : grid.worst_message !== null && worst_severity !== null
      ? [
          worstText(grid),
          (grid.worst_paused_until_ms ?? 0) > nowMs
            ? t('alerts.pausedUntil', { when: momentText(grid.worst_paused_until_ms ?? nowMs, nowMs, zone) })
            : grid.worst_acknowledged
              ? t('home.seen')
              : grid.worst_since_ms === null
                ? ''
                : momentText(grid.worst_since_ms, nowMs, zone),
        ]
          .filter((part) => part !== '')
          .join(' · ')
      : `${t('home.noAlerts')} · ${old ? age : t('age.now')}`;
  return (
    <a class="row grid-row" href={links.grid(grid.grid_id)} {...(current ? { 'aria-current': 'true' as const } : {})}>
      {!reachable ? (
        <span class="symbol">
          <Icon name="unreachable" />
        </span>
      ) : worst_severity !== null ? (
        <Severity severity={worst_severity} blink={!worstCalm(grid, nowMs)} label={false} />
      ) : (
        <span class="symbol" />
      )}
      <span class="main">
        <span class="t">
          {grid.name} {reachable && worst_severity !== null && <span class="w">{t(`severity.${worst_severity}`)}</span>}
        </span>
        <span class="d">{detail}</span>
      </span>
      <span class="end">
        <span class={`pc ${reachable ? '' : 'old'}`} data-figure="battery_soc_pct">
          <BatteryIcon pct={grid.battery_soc_pct} />
          <span class="sr">{t('figure.battery')}</span>
          {grid.battery_soc_pct === null ? (
            <span class="none">— {t('value.none')}</span>
          ) : (
            <span class={reachable ? '' : 'stale'}>{percentText(grid.battery_soc_pct)}</span>
          )}
        </span>
        <span class={`d ${grid.power === 'off' && reachable ? 'off' : ''}`}>
          {t(`power.${reachable ? grid.power : 'unknown'}`)}
        </span>
      </span>
    </a>
  );
}

/** The rows in their three groups; also the left pane of wide screens. */
export function GridList({ currentId }: { currentId?: string | null }) {
  const { state } = useApp();
  const [search, setSearch] = useState('');
  const [most, setMost] = useState(pageSize);
  const grids = state.grids.value;
  const now = state.nowMs.value;
  const wanted = search.trim().toLowerCase();
  const shown =
    wanted === ''
      ? grids
      : grids.filter(({ name, grid_id }) => name.toLowerCase().includes(wanted) || grid_id.includes(wanted));
  const groups = groupGrids(shown, now);
  return (
    <>
      {grids.length > searchFrom && (
        <label class="field find">
          <Icon name="search" />
          <span class="sr">{t('home.search')}</span>
          <input
            class="input"
            type="search"
            placeholder={t('home.search')}
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </label>
      )}
      {shown.length === 0 && grids.length > 0 && (
        <p class="sec note-line">{t('home.nothingFound', { text: search })}</p>
      )}
      {(['needs', 'unreachable', 'rest'] as const).map(
        (group) =>
          groups[group].length > 0 && (
            <section key={group} aria-label={t(`home.${group}`)}>
              <h2 class="h2">
                {t(group === 'rest' && groups.rest.length === shown.length ? 'home.all' : `home.${group}`)}
                <span>{groups[group].length}</span>
              </h2>
              <div class="rows">
                {groups[group].slice(0, most).map((grid) => (
                  <GridRow key={grid.grid_id} grid={grid} nowMs={now} current={grid.grid_id === currentId} />
                ))}
              </div>
              {groups[group].length > most && (
                <p class="sec note-line">
                  <button type="button" class="btn quiet" onClick={() => setMost(most + pageSize)}>
                    {t('home.showMore', { n: Math.min(pageSize, groups[group].length - most) })}
                  </button>
                </p>
              )}
            </section>
          ),
      )}
    </>
  );
}

/** The sentence on top: who needs somebody. */
export function homeVerdict(grids: readonly GridState[], nowMs: number): { lead: string; rest: string } {
  const { needs, unreachable, rest: others } = groupGrids(grids, nowMs);
  const first = needs[0];
  if (first !== undefined) {
    const lead = t(first.power === 'off' ? 'home.noPower' : 'home.needsYou', { grid: first.name });
    return {
      lead,
      rest:
        needs.length > 1
          ? t('home.more', { n: needs.length - 1 })
          : first.worst_message === null ||
              (first.power === 'off' &&
                (first.worst_rule_id?.startsWith('no_power') || /\bno power$/i.test(first.worst_message)))
            ? ''
            : `${worstText(first)}.`,
    };
  }
  if (unreachable.length > 0)
    return { lead: t('home.allWellKnown'), rest: t('home.oneUnreachable', { n: unreachable.length }) };
  // An alert somebody has seen needs nobody now, but its grid is not well.
  const open = others.some((grid) => grid.worst_severity !== null);
  return { lead: open ? t('home.allWellKnown') : t('home.allWell'), rest: '' };
}

export function Home() {
  const app = useApp();
  const { grids, gridsState, gridsAtMs, peeking, login, lastServer } = app.state;
  useEffect(() => {
    app.follow(null);
    void app.refreshGrids();
  }, [app]);
  const only = grids.value.length === 1 ? grids.value[0] : undefined;
  useEffect(() => {
    // One grid: nothing to choose, go there. Replaced, so that "back" does not come here again.
    if (only !== undefined) app.go(links.grid(only.grid_id), true);
  }, [only?.grid_id]);
  useEffect(() => {
    if (wide.value) void app.refreshAlertsOfAll();
  }, [gridsAtMs.value, wide.value]);
  const source = useGridsSource();
  const { lead, rest } = homeVerdict(grids.value, app.state.nowMs.value);
  const empty = grids.value.length === 0;
  const failed = gridsState.value === 'failed';
  return (
    <div class="screen home">
      <Header title={t('home.title')} source={source} />
      <main id="content">
        {empty && gridsState.value === 'loading' && !peeking.value && login.value !== null && (
          <div aria-hidden="true">
            {[1, 2, 3].map((n) => (
              <div class="skeleton" key={n} />
            ))}
          </div>
        )}
        {empty && (gridsState.value === 'ok' || peeking.value) && (
          <div class="empty">
            <h2>{t('home.empty.title')}</h2>
            <p>{t('home.empty.body')}</p>
          </div>
        )}
        {failed && (
          <div class={empty ? 'empty' : 'retry'}>
            {empty ? <h2>{t('home.error.title')}</h2> : <b>{t('home.error.title')}</b>}
            <p>{t('home.error.body')}</p>
            <button type="button" class="btn" onClick={app.tryNow}>
              {t('home.retry')}
            </button>
          </div>
        )}
        {!empty && (
          <>
            <section class="verdict">
              <h2>{lead}</h2>
              {rest !== '' && <p>{rest}</p>}
            </section>
            {grids.value.length > 1 && lastServer.value.kind !== 'gateway' && (
              <a class="row fleet-link" href={links.further('fleet')}>
                <Icon name="table" />
                <span class="main">
                  <span class="t plain">{t('home.fleet')}</span>
                </span>
                <Icon name="next" flip class="chev" />
              </a>
            )}
            {wide.value ? <Overview /> : <GridList />}
          </>
        )}
      </main>
    </div>
  );
}

/** The middle of wide screens while no grid is chosen: batteries side by side, all open alerts. */
function Overview() {
  const { state } = useApp();
  const { grids, views, acts, nowMs } = state;
  const names = new Map(grids.value.map((grid) => [grid.grid_id, grid]));
  const now = nowMs.value;
  const alerts = pausedLast(
    openAlerts(
      [...names.keys()]
        .flatMap((gridId) => views.value[gridId]?.alerts ?? [])
        .map((alert) => withActs(alert, acts.value)),
    ),
    now,
  );
  const calm = (alert: (typeof alerts)[number]) => alert.seen || paused(alert, now);
  const ordered = groupGrids(grids.value, now);
  return (
    <div class="overview">
      <section aria-labelledby="batteries">
        <h2 class="h2" id="batteries">
          {t('home.batteryTitle')}
        </h2>
        <ul class="bars">
          {[...ordered.needs, ...ordered.unreachable, ...ordered.rest].slice(0, pageSize).map((grid) => (
            <li key={grid.grid_id}>
              <b>{grid.name}</b>
              <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                <rect width="100" height="10" rx="1" class="bar-room" />
                {grid.battery_soc_pct !== null && (
                  <rect
                    width={grid.battery_soc_pct}
                    height="10"
                    rx="1"
                    class={grid.reachable ? 'bar-fill' : 'bar-old'}
                  />
                )}
              </svg>
              <span data-figure="battery_soc_pct" class={grid.reachable ? '' : 'stale'}>
                {grid.battery_soc_pct === null ? `— ${t('value.none')}` : percentText(grid.battery_soc_pct)}
              </span>
              <span class="bar-state">{t(`power.${grid.reachable ? grid.power : 'unknown'}`)}</span>
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="open-alerts">
        <h2 class="h2" id="open-alerts">
          {t('home.alertsTable')}
          <span>
            {t('home.alertsCount', { n: alerts.length, unseen: alerts.filter((alert) => !calm(alert)).length })}
          </span>
        </h2>
        <table class="alert-table">
          <thead>
            <tr>
              <th>
                <span class="sr">{t('alerts.title')}</span>
              </th>
              <th>{t('home.column.grid')}</th>
              <th>{t('home.column.what')}</th>
              <th>{t('home.column.since')}</th>
              <th>{t('home.column.seenBy')}</th>
            </tr>
          </thead>
          <tbody>
            {alerts.map((alert) => (
              <tr key={alert.alert_id} class={calm(alert) ? 'seen' : ''}>
                <td>
                  <Severity severity={alert.severity} blink={!calm(alert)} label={false} />
                </td>
                <td>{names.get(alert.grid_id)?.name}</td>
                <td>
                  <a href={links.alert(alert.grid_id, alert.alert_id)}>{sentenceStart(wordsOf(alert).message)}</a>
                  <small>
                    {t(`severity.${alert.severity}`)}
                    {alert.device_name !== null && ` · ${alert.device_name}`}
                  </small>
                </td>
                <td class="nw">
                  {momentText(alert.raised_at_ms, nowMs.value, names.get(alert.grid_id)?.zone ?? 'UTC')}
                </td>
                <td>
                  {pausedText(alert, now, names.get(alert.grid_id)?.zone ?? 'UTC') ??
                    (alert.seen ? (alert.acknowledged_by?.name ?? sentenceMiddle(seenText(alert))) : t('home.nobody'))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}
