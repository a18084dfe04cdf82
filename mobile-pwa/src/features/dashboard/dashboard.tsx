/** The grid at a glance: alerts, verdict, three figures, flow, day, tiles, today, devices - always in this order. */
import { useEffect, useMemo } from 'preact/hooks';
import { verdictWords } from '../../i18n/verdict.js';
import { quantityText, percentText, zonesDiffer, momentText } from '../../i18n/format.js';
import { wordsOf } from '../../i18n/alert-words.js';
import { t } from '../../i18n/messages.js';
import { openAlerts, paused, pausedLast } from '../../live/apply.js';
import { withActs } from '../../local/acts.js';
import { phoneZone } from '../../platform/platform.js';
import { clockDifference } from '../../ui/clock-notice.js';
import { lazy } from '../../ui/lazy.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header, useSource } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { ageText, figureFreshness, LiveAge, Value } from '../../ui/value.js';
import { AlertRow } from '../alerts/alert-row.js';
import { DayChart } from './day-chart.js';
import { FlowPicture } from './flow-picture.js';
import { Tiles } from './tiles.js';

/** Rarely needed, so not part of the first load. */
const MaintenanceNotice = lazy(() => import('../duty/notice.js').then((module) => module.MaintenanceNotice));
const ClockOffer = lazy(() => import('../clock/clock-offer.js').then((module) => module.ClockOffer));

/** Open alerts shown on top; the rest is one tap away. */
const alertsOnTop = 3;

export function Dashboard({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, days, acts, nowMs, grids, channel, offsetMs, lastServer } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const source = useSource();
  const view = views.value[gridId];
  const now = nowMs.value;
  const many = grids.value.length > 1;
  const name = view?.summary.name ?? grids.value.find((grid) => grid.grid_id === gridId)?.name ?? gridId;
  const back = many && !wide.value ? { href: links.home, to: t('home.title') } : undefined;
  const openOnes = useMemo(
    () => openAlerts(view?.alerts ?? []).map((alert) => withActs(alert, acts.value)),
    [view?.alerts, acts.value],
  );
  const shownAlerts = pausedLast(openOnes, now);
  // A critical alert is never behind a tap, also while it is paused.
  const onTop = shownAlerts.filter(
    (alert, at) => at < alertsOnTop || (alert.severity === 'critical' && paused(alert, now)),
  );
  if (view === undefined) {
    const failed = channel.value === 'down';
    return (
      <div class="screen">
        <Header title={name} back={back} />
        <main id="content">
          {failed ? (
            <div class="empty">
              <h2>{t('verdict.unknown')}</h2>
              <p>{t('error.offline')}</p>
              <button type="button" class="btn" onClick={app.tryNow}>
                {t('home.retry')}
              </button>
            </div>
          ) : (
            <div aria-hidden="true">
              {[1, 2, 3].map((n) => (
                <div class="skeleton" key={n} />
              ))}
            </div>
          )}
        </main>
      </div>
    );
  }
  const { summary } = view;
  const { figures, zone } = summary;
  const main = ['consumption_kw', 'generation_kw', 'battery_soc_pct', 'ac_output_voltage_v'].map(
    (metric) => figures[metric],
  );
  const times = main.flatMap((figure) => (figure?.time_ms == null ? [] : [figure.time_ms]));
  const anyCurrent = main.some((figure) => {
    const state = figureFreshness(figure, now);
    return state === 'live' || state === 'late';
  });
  const connected = source.current || channel.value === 'connecting';
  const current = connected && anyCurrent;
  const words = verdictWords({
    summary,
    openAlerts: shownAlerts.map((alert) => ({ ...alert, message: wordsOf(alert).message })),
    current,
    asOfMs: times.length === 0 ? null : Math.max(...times),
    nowMs: now,
  });
  const battery = figures.battery_power_kw;
  const batteryWord =
    battery?.value == null
      ? summary.verdict.charging === null
        ? ''
        : t(summary.verdict.charging ? 'figure.charging' : 'figure.discharging')
      : Math.abs(battery.value) < 0.005
        ? t('figure.idle')
        : t(battery.value > 0 ? 'figure.charging' : 'figure.discharging');
  const large = [
    { metric: 'consumption_kw', label: t('figure.consumption'), words: t('figure.toVillage') },
    { metric: 'generation_kw', label: t('figure.generation'), words: t('figure.fromSun') },
    { metric: 'battery_soc_pct', label: t('figure.battery'), words: batteryWord },
  ];
  const clockKnown = summary.source.clock_trust !== 'floor' && summary.source.clock_trust !== 'none';
  // Which clock is right is not said while the server itself does not know.
  const clockOff = clockKnown ? clockDifference(offsetMs.value) : undefined;
  const otherZone = zonesDiffer(zone, phoneZone(), now);
  const { today } = summary;
  const energy = (value: number | null) => quantityText('consumption_energy_kwh', value);
  const sums: [string, string][] = [
    [t('today.made'), energy(today.generation_kwh)],
    [t('today.used'), energy(today.consumption_kwh)],
    [t('today.stored'), energy(today.battery_charge_kwh)],
    [t('today.taken'), energy(today.battery_discharge_kwh)],
    [
      t('today.noPower'),
      today.without_power_min === null
        ? `— ${t('value.none')}`
        : t('age.for.minutes', { n: Math.round(today.without_power_min) }),
    ],
    [
      t('today.measured'),
      today.completeness_pct === null ? `— ${t('value.none')}` : percentText(today.completeness_pct),
    ],
  ];
  return (
    <div class="screen dashboard">
      <Header title={name} back={back} />
      <main id="content">
        {shownAlerts.length > 0 && (
          <section class="alerts" aria-label={t('alerts.section')}>
            {onTop.map((alert) => (
              <AlertRow key={alert.alert_id} alert={alert} nowMs={now} zone={zone} tinted />
            ))}
            {shownAlerts.length > onTop.length && (
              <a class="all-link" href={links.alerts(gridId)}>
                {t('alerts.allOf', { n: shownAlerts.length })}
                <Icon name="next" flip />
              </a>
            )}
          </section>
        )}
        {(summary.maintenance?.length ?? 0) > 0 && (
          <MaintenanceNotice
            gridId={gridId}
            works={summary.maintenance}
            devices={view.devices}
            nowMs={now}
            zone={zone}
          />
        )}
        {!clockKnown && <ClockOffer summary={summary} />}
        <div class="columns">
          <div class="column">
            <section class={`verdict ${words.lead.length > 36 ? 'long' : ''}`} data-verdict>
              <h2>{words.lead}</h2>
              {words.rest !== '' && <p>{words.rest}</p>}
              {words.small !== '' && <small>{words.small}</small>}
            </section>
            <section class="kpis" aria-label={t('figure.now')}>
              {large.map(({ metric, label, words: direction }) => {
                const figure = figures[metric];
                const age = ageText(figure, now, zone, connected);
                return (
                  <a class="kpi" key={metric} href={links.history(gridId, [metric])}>
                    <span class="l">{label}</span>
                    <Value metric={metric} figure={figure} nowMs={now} heard={connected} />
                    {figure?.value != null && direction !== '' && <span class="n">{direction}</span>}
                    {(figure?.value != null || age !== '') && (
                      <span class="n age">
                        {age !== '' ? age : <LiveAge figure={figure} nowMs={now} heard={connected} />}
                      </span>
                    )}
                  </a>
                );
              })}
            </section>
            <FlowPicture summary={summary} nowMs={now} connected={connected} />
            <DayChart summary={summary} day={days.value[gridId]} nowMs={now} connected={current} />
          </div>
          <div class="column">
            <Tiles summary={summary} day={days.value[gridId]} nowMs={now} heard={connected} alerts={shownAlerts} />
            <section aria-labelledby="today-title">
              <h2 class="h2" id="today-title">
                {t('today.title')}
              </h2>
              <dl class="sums">
                {sums.map(([label, value]) => (
                  <div key={label}>
                    <dt>{label}</dt>
                    <dd data-figure="today">
                      <Sum text={value} />
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
            <a class="row devices-row" href={links.reports(gridId)}>
              <Icon name="table" />
              <span class="main">
                <span class="t plain">{t('reports.open')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
            <a class="row devices-row" href={links.devices(gridId)}>
              <Icon name="chip" />
              <span class="main">
                <span class="t plain">
                  {t('devices.line', { seen: summary.devices.seen, total: summary.devices.total })}
                </span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          </div>
        </div>
        {(otherZone || clockOff !== undefined) && (
          <p class="note-line">
            {otherZone && `${t('notice.zone', { zone: zone.replaceAll('_', ' ') })} `}
            {clockOff !== undefined &&
              t('notice.clock', {
                ...clockOff,
                server: t(`source.${lastServer.value.kind ?? 'gateway'}`).toLowerCase(),
              })}
          </p>
        )}
        <p class="sr">{t('age.asOf', { when: momentText(view.answeredAtMs, now, zone) })}</p>
      </main>
    </div>
  );
}

/** "124 kWh" with the unit lighter than the number. */
function Sum({ text }: { text: string }) {
  // Some languages say the unit first.
  return <>{text.split(/[ \u00a0]/).map((part) => (/[\d—]/.test(part) ? `${part} ` : <i key={part}>{part} </i>))}</>;
}
