/** Reports: a day, a month or a year in figures and bars, how much of it was measured, and the series as a file. */
import '../seg.css';
import './reports.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Report, ReportFigureView } from '@villagrid/contracts';
import { dateText, durationText, momentText, quantityText } from '../../i18n/format.js';
import { addTexts, english, language, t } from '../../i18n/messages.js';
import { ApiFailure } from '../../origin/api.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { AlertLoad } from './alert-load.js';
import { EnergyBars, rowName } from './bars.js';
import { fetchFile, fetchReport, saveFile } from './fetch.js';
import { reportTexts } from './texts.js';
import { figureName, figureNote, figureQuantity, monthText, shareText, yearText } from './words.js';
import { historyTexts } from '../history/texts.js';

addTexts(historyTexts);

addTexts(reportTexts);

const periods = ['day', 'month', 'year'] as const;
type Period = (typeof periods)[number];
/** Series a file holds, as far as the grid has them. */
const fileMetrics = [
  'consumption_kw',
  'generation_kw',
  'battery_power_kw',
  'battery_soc_pct',
  'mains_power_kw',
  'genset_power_kw',
  'ac_output_voltage_v',
  'irradiance_w_m2',
];
/** How fine a file is: a day, a month and a year give one to nine thousand lines. */
const fineness: Readonly<Record<Period, string>> = { day: '1m', month: '15m', year: '1h' };
/** What people ask first; the rest of a group is one tap away. */
const first: ReadonlySet<string> = new Set([
  'generation_kwh',
  'consumption_kwh',
  'battery_charge_kwh',
  'battery_discharge_kwh',
  'mains_import_kwh',
  'genset_kwh',
  'availability',
  'without_power_h',
  'unknown_h',
  'saifi',
  'evening_hours_day',
  'final_yield',
  'corrected_performance_ratio',
  'curtailed_kwh',
  'average_load_kw',
  'peak_load_kw',
  'equivalent_cycles',
  'deepest_discharge',
  'usable_kwh',
  'genset_hours',
]);
/** Interruptions shown at once. */
const mostShown = 10;

export function Reports({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, nowMs, login } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const view = views.value[gridId];
  const [period, setPeriod] = useState<Period>('month');
  /** A time in the wanted period; undefined for the present one. */
  const [date, setDate] = useState<number>();
  const [report, setReport] = useState<Report>();
  const [state, setState] = useState<'loading' | 'ok' | 'failed'>('loading');
  const [reason, setReason] = useState('');
  const [again, setAgain] = useState(0);
  const turn = useRef(0);
  useEffect(() => {
    turn.current += 1;
    const mine = turn.current;
    setState('loading');
    fetchReport(app.api, gridId, {
      period,
      ...(date === undefined ? {} : { date }),
      ...(period === 'year' ? { by: 'month' } : {}),
    })
      .then((answer) => {
        if (mine !== turn.current) return;
        setReport(answer);
        setState('ok');
      })
      .catch((error) => {
        if (mine !== turn.current) return;
        setReason(error instanceof ApiFailure && error.kind === 'refused' ? (error.problem?.detail ?? '') : '');
        setState('failed');
      });
  }, [gridId, period, date, again]);
  const shown = report?.period === period ? report : undefined;
  const zone = shown?.zone ?? view?.summary.zone ?? 'UTC';
  const role = login.value?.role ?? null;
  const mayExport = role !== null && role !== 'viewer';
  const title =
    shown === undefined
      ? t('history.loading')
      : period === 'day'
        ? dateText(shown.from_ms, zone)
        : period === 'month'
          ? monthText(shown.from_ms, zone)
          : yearText(shown.from_ms, zone);
  const isPresent = shown === undefined || shown.to_ms > nowMs.value;
  return (
    <div class="screen">
      <Header
        title={t('reports.title')}
        gridName={view?.summary.name ?? gridId}
        back={{ href: links.grid(gridId), to: view?.summary.name ?? t('tab.grid') }}
      />
      <main id="content" class="reports">
        <div class="seg sec-seg" role="group" aria-label={t('history.period')}>
          {periods.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === period}
              onClick={() => {
                setPeriod(one);
                // A day that was looked at leads to its month, and back.
                if (date === undefined && shown !== undefined && shown.to_ms <= nowMs.value) setDate(shown.from_ms);
              }}
            >
              {t(`reports.${one}`)}
            </button>
          ))}
        </div>
        <div class="stepper">
          <button
            type="button"
            class="hit"
            aria-label={t('history.earlier')}
            disabled={shown === undefined}
            onClick={() => shown !== undefined && setDate(shown.from_ms - 1)}
          >
            <Icon name="back" flip />
          </button>
          <h2 aria-live="polite">{title}</h2>
          <button
            type="button"
            class="hit"
            aria-label={t('history.later')}
            disabled={isPresent}
            onClick={() => shown !== undefined && setDate(shown.to_ms)}
          >
            <Icon name="next" flip />
          </button>
        </div>
        <div aria-busy={state === 'loading'} class={`reports-body ${state === 'loading' ? 'loading' : ''}`}>
          {state === 'failed' ? (
            <div class="empty">
              <p class="t">{reason === '' ? t('reports.failed') : t('history.refused', { reason })}</p>
              <button type="button" class="btn" onClick={() => setAgain(again + 1)}>
                {t('home.retry')}
              </button>
            </div>
          ) : shown === undefined ? (
            <div aria-hidden="true">
              {[1, 2, 3].map((n) => (
                <div class="skeleton" key={n} />
              ))}
            </div>
          ) : shown.state === 'unknown' ? (
            <div class="empty">
              <p class="t">{t('history.empty')}</p>
            </div>
          ) : (
            <Body report={shown} nowMs={nowMs.value} />
          )}
        </div>
        {shown !== undefined && shown.state !== 'unknown' && state !== 'failed' && (
          <Download
            gridId={gridId}
            report={shown}
            metrics={fileMetrics.filter((metric) => view?.summary.figures[metric] !== undefined)}
            allowed={mayExport}
          />
        )}
      </main>
    </div>
  );
}

function Body({ report, nowMs }: { report: Report; nowMs: number }) {
  const { zone } = report;
  const [table, setTable] = useState(false);
  const since = report.since_ms > report.from_ms;
  const small = [
    t('history.completeness', {
      value: shareText(report.completeness),
    }),
    since ? t('reports.since', { when: momentText(report.since_ms, nowMs, zone) }) : '',
    report.to_ms > report.until_ms ? t('reports.until', { when: momentText(report.until_ms, nowMs, zone) }) : '',
  ].filter((part) => part !== '');
  return (
    <>
      <section class={`report-state ${report.state}`}>
        <h3>{t(`reports.state.${report.state}`)}</h3>
        {report.findings.length > 0 && (
          <ul>
            {report.findings.map(({ id, severity, text }) => (
              <li key={id + text} class={severity} lang="en">
                {text}
              </li>
            ))}
          </ul>
        )}
        <p>{small.join(' · ')}</p>
      </section>
      {table ? <RowTable report={report} /> : <EnergyBars report={report} />}
      <div class="ctl">
        <span class="grow" />
        <button type="button" class="btn wide-btn" aria-pressed={table} onClick={() => setTable(!table)}>
          <Icon name={table ? 'history' : 'table'} />
          {t(table ? 'history.chart' : 'history.table')}
        </button>
      </div>
      <div class="groups">
        {[...new Set(report.figures.map(({ group }) => group))].map((group) => {
          const figures = report.figures.filter((one) => one.group === group && one.value !== null);
          return figures.length === 0 ? null : <Group key={group} group={group} figures={figures} />;
        })}
      </div>
      {report.alert_load !== undefined && <AlertLoad load={report.alert_load} />}
      {report.battery_empty?.at_ms != null && (
        <p class="note-line">
          {t('reports.lasts', {
            when: momentText(report.battery_empty.at_ms, nowMs, zone),
            early: momentText(report.battery_empty.earliest_ms ?? report.battery_empty.at_ms, nowMs, zone),
            late:
              report.battery_empty.latest_ms === null
                ? t('reports.longer')
                : momentText(report.battery_empty.latest_ms, nowMs, zone),
          })}
        </p>
      )}
      {report.interruptions.length > 0 && (
        <section aria-labelledby="interruptions-title">
          <h2 class="h2" id="interruptions-title">
            {t('reports.interruptions')}
            <span>{t('reports.count', { n: report.interruptions.length })}</span>
          </h2>
          <ul class="interruptions">
            {report.interruptions.slice(0, mostShown).map((one) => (
              <li key={one.from_ms}>
                <span>{momentText(one.from_ms, nowMs, zone)}</span>
                <b>{durationText(one.minutes * 60_000)}</b>
                <span>
                  {t(`reports.cause.${one.cause}`)}
                  {(one.starts_in_gap || one.ends_in_gap) && ` · ${t('reports.maybeLonger')}`}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Group({ group, figures }: { group: ReportFigureView['group']; figures: readonly ReportFigureView[] }) {
  // Said once for the group, and again only where a figure was measured less or more than that.
  const share = Math.min(...figures.map(({ completeness }) => completeness));
  const others = figures.filter(({ id, judgement }) => !first.has(id) && judgement !== 'poor');
  const shown = figures.filter((one) => !others.includes(one));
  return (
    <section aria-labelledby={`group-${group}`}>
      <h2 class="h2" id={`group-${group}`}>
        {t(`reports.group.${group}`)}
        <span>{t('reports.measured', { value: shareText(share) })}</span>
      </h2>
      <FigureList figures={shown} groupShare={share} />
      {others.length > 0 && (
        <details class="more-figures">
          <summary>{t('reports.moreFigures', { n: others.length })}</summary>
          <FigureList figures={others} groupShare={share} />
        </details>
      )}
    </section>
  );
}

function FigureList({ figures, groupShare }: { figures: readonly ReportFigureView[]; groupShare: number }) {
  return (
    <dl class="figures">
      {figures.map((figure) => {
        const { number, unit } = figureQuantity(figure.value ?? 0, figure.unit);
        const note = figureNote(figure, groupShare);
        return (
          <div key={figure.id}>
            <dt title={language.value === english ? figure.help : ''}>{figureName(figure)}</dt>
            <dd data-figure={figure.id}>
              {figure.judgement === 'poor' && <span class="judged">{t('reports.poor')}</span>}
              <bdi>
                {number}
                <i> {unit}</i>
              </bdi>
            </dd>
            {note !== '' && <dd class="note">{note}</dd>}
          </div>
        );
      })}
    </dl>
  );
}

function RowTable({ report }: { report: Report }) {
  const kwh = 'consumption_energy_kwh';
  const supply = report.rows.some((row) => row.without_power_min !== null);
  return (
    <div class="history-table" role="region" aria-label={t('history.table')} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('history.time')}</th>
            <th scope="col">{t('reports.made')}</th>
            <th scope="col">{t('reports.used')}</th>
            {supply && <th scope="col">{t('today.noPower')}</th>}
            <th scope="col">{t('today.measured')}</th>
          </tr>
        </thead>
        <tbody>
          {report.rows.map((row) => (
            <tr key={row.from_ms}>
              <th scope="row">{rowName(row, report.rows_by, report.zone)}</th>
              <td>{quantityText(kwh, row.generation_kwh)}</td>
              <td>{quantityText(kwh, row.consumption_kwh)}</td>
              {supply && (
                <td>
                  {row.without_power_min === null
                    ? `— ${t('value.none')}`
                    : durationText(row.without_power_min * 60_000)}
                </td>
              )}
              <td>{shareText(row.completeness)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Download({
  gridId,
  report,
  metrics,
  allowed,
}: {
  gridId: string;
  report: Report;
  metrics: readonly string[];
  allowed: boolean;
}) {
  const app = useApp();
  const [state, setState] = useState<'idle' | 'busy' | 'failed' | 'done'>('idle');
  const download = async (format: 'csv' | 'spreadsheet') => {
    setState('busy');
    try {
      const file = await fetchFile(app.api, gridId, {
        metric: metrics.join(),
        from: report.from_ms,
        to: Math.min(report.to_ms, report.now_ms),
        granularity: fineness[report.period ?? 'month'],
        format,
      });
      saveFile(file, app.clock);
      setState('done');
    } catch {
      setState('failed');
    }
  };
  return (
    <section class="download" aria-labelledby="download-title">
      <h2 class="h2" id="download-title">
        {t('reports.download')}
      </h2>
      <div class="sec">
        {allowed && metrics.length > 0 ? (
          <div class="buttons">
            <button type="button" class="btn" disabled={state === 'busy'} onClick={() => void download('csv')}>
              {t('reports.csv')}
            </button>
            <button type="button" class="btn" disabled={state === 'busy'} onClick={() => void download('spreadsheet')}>
              {t('reports.spreadsheet')}
            </button>
          </div>
        ) : (
          <p class="more-text">{t('reports.notAllowed')}</p>
        )}
        <p class="more-text" role="status">
          {state === 'busy'
            ? t('history.loading')
            : state === 'failed'
              ? t('reports.downloadFailed')
              : state === 'done'
                ? t('reports.downloaded')
                : ''}
        </p>
      </div>
    </section>
  );
}
