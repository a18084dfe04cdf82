/** History: a period, up to four lines on two axes, gaps as gaps, a readout below, and the same as a table. */
import '../seg.css';
import './history.css';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import {
  metricDefinition,
  metricIds,
  periodsMs,
  resolutionMs,
  type History as HistoryAnswer,
} from '@villagrid/contracts';
import { align, bridged, extent, gaps, type AlignedHistory } from '../../chart/day.js';
import { LazyPlot } from '../../chart/lazy-plot.js';
import type { PlotLine } from '../../chart/plot.js';
import {
  dateText,
  dayClockText,
  durationText,
  metricLabel,
  momentText,
  nbsp,
  percentText,
  quantity,
  quantityText,
  spanEndText,
} from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { ApiFailure } from '../../origin/api.js';
import { useApp } from '../../ui/context.js';
import { keepHistory, keptHistory } from '../../local/keeper.js';
import { Icon } from '../../ui/icons.js';
import { Header } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { HistoryTable } from './history-table.js';
import { addLine, maxLines, metricUnit } from './lines.js';
import { historyTexts } from './texts.js';

addTexts(historyTexts);

const presets = ['24h', '7d', '30d', '1y'] as const;
type Preset = (typeof presets)[number];
const styles: readonly { colour: string; dash?: readonly number[] }[] = [
  { colour: '--c1' },
  { colour: '--c2' },
  { colour: '--c3', dash: [7, 4] },
  { colour: '--c4', dash: [2, 4] },
];
const firstMetrics = ['consumption_kw', 'generation_kw', 'battery_soc_pct'];

interface Loaded {
  readonly answer: HistoryAnswer;
  readonly aligned: AlignedHistory;
  /** It was seen before and comes from this phone. */
  readonly saved: boolean;
}

/** Width of the windows of an answer, ms. */
function stepOf(answer: HistoryAnswer): number {
  return answer.step_ms ?? (answer.granularity === 'raw' ? 10_000 : resolutionMs[answer.granularity]);
}

export function History({ gridId, query }: { gridId: string; query: URLSearchParams }) {
  const app = useApp();
  const { views, nowMs } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const view = views.value[gridId];
  const asked = query.get('metrics')?.split(',').filter(Boolean);
  const [metrics, setMetrics] = useState<readonly string[]>(asked?.length ? asked.slice(0, maxLines) : firstMetrics);
  useEffect(() => {
    if (asked?.length) setMetrics(asked.slice(0, maxLines));
  }, [query.get('metrics')]);
  const [preset, setPreset] = useState<Preset>('24h');
  const [loaded, setLoaded] = useState<Loaded>();
  const [state, setState] = useState<'loading' | 'ok' | 'failed' | 'refused'>('loading');
  const [reason, setReason] = useState('');
  const [zoom, setZoom] = useState<{ fromMs: number; toMs: number }>();
  const [cursor, setCursor] = useState<number | null>(null);
  const [table, setTable] = useState(false);
  const [full, setFull] = useState(false);
  const turn = useRef(0);
  const connected = app.state.channel.value === 'live' || app.state.channel.value === 'polling';
  useEffect(() => {
    turn.current += 1;
    const mine = turn.current;
    setState('loading');
    const show = (answer: HistoryAnswer, saved: boolean) => {
      const stepMs = stepOf(answer);
      const anchorMs =
        answer.granularity === '1d' ? (answer.series.find((one) => one.times_ms.length > 0)?.times_ms[0] ?? 0) : 0;
      const aligned = align(answer, { fromMs: answer.from_ms, toMs: answer.to_ms, stepMs, anchorMs });
      setLoaded({ answer, aligned, saved });
      setState('ok');
    };
    app.api
      .history(gridId, metrics, { period: preset, points: 400 })
      .then((answer) => {
        if (mine !== turn.current) return;
        show(answer, false);
        void keepHistory(answer, app.clock.nowMs());
      })
      .catch(async (error) => {
        const refused = error instanceof ApiFailure && error.kind === 'refused';
        const toMs = nowMs.peek();
        const kept = refused
          ? undefined
          : await keptHistory(gridId, metrics, { fromMs: toMs - periodsMs[preset], toMs });
        if (mine !== turn.current) return;
        // The dashboard's day is newer than the day that was seen here, where it has the lines.
        const day = preset === '24h' ? app.state.days.peek()[gridId] : undefined;
        if (kept !== undefined && !metrics.every((metric) => day?.series[metric] !== undefined))
          return show(kept, true);
        setReason(refused ? (error.problem?.detail ?? '') : '');
        setState(refused ? 'refused' : 'failed');
      });
  }, [gridId, metrics.join(), preset, connected]);

  const zone = view?.summary.zone ?? loaded?.answer.zone ?? 'UTC';
  const saved = app.state.days.value[gridId];
  // Without a server the day that is saved on this phone is drawn; longer periods are not here.
  const source: AlignedHistory | undefined =
    loaded !== undefined && state !== 'failed'
      ? loaded.aligned
      : preset === '24h' && saved !== undefined
        ? saved
        : loaded?.aligned;
  const fits = loaded === undefined || metrics.some((metric) => source?.series[metric] !== undefined);
  const history = fits ? source : undefined;
  const prepared = useMemo(() => {
    if (history === undefined) return undefined;
    const filled = Object.fromEntries(
      metrics.map((metric) => [
        metric,
        { mean: bridged(history.series[metric]?.mean ?? [], history.stepMs <= 300_000 ? 6 : 2), min: [], max: [] },
      ]),
    );
    return { filled, holes: gaps({ ...history, series: filled }, metrics, history.stepMs < 300_000 ? 6 : 2) };
  }, [history, metrics]);
  const band = history !== undefined && history.stepMs > 60_000;
  const lines = useMemo<PlotLine[]>(
    () =>
      history === undefined || prepared === undefined
        ? []
        : metrics.flatMap((metric, i) => {
            const columns = history.series[metric];
            const style = styles[i] ?? { colour: '--c1' };
            if (columns === undefined) return [];
            return [
              {
                key: metric,
                unit: metricUnit(metric, view?.summary),
                colour: style.colour,
                ...(style.dash === undefined ? {} : { dash: style.dash }),
                ...(metric === 'generation_kw' && !band ? { area: true } : {}),
                values: prepared.filled[metric]?.mean ?? [],
                ...(band && columns.min.length > 0 ? { min: columns.min, max: columns.max } : {}),
              },
            ];
          }),
    [history, prepared, metrics, band],
  );
  const wholeTo = history === undefined ? nowMs.value : (history.times.at(-1) ?? 0) + history.stepMs;
  const wholeFrom = history === undefined ? wholeTo - periodsMs[preset] : (history.times[0] ?? 0);
  const range = zoom ?? { fromMs: wholeFrom, toMs: wholeTo };
  const setRange = (fromMs: number, toMs: number) => {
    if (!Number.isFinite(fromMs)) return setZoom(undefined);
    const span = Math.max((history?.stepMs ?? 60_000) * 8, Math.min(wholeTo - wholeFrom, toMs - fromMs));
    const from = Math.max(wholeFrom, Math.min(wholeTo - span, fromMs));
    setZoom(span >= wholeTo - wholeFrom ? undefined : { fromMs: from, toMs: from + span });
  };
  const zoomBy = (factor: number) => {
    const middle =
      at !== null && history !== undefined
        ? (history.times[at] ?? (range.fromMs + range.toMs) / 2)
        : (range.fromMs + range.toMs) / 2;
    const half = ((range.toMs - range.fromMs) * factor) / 2;
    setRange(middle - half, middle + half);
  };
  const lastIndex = useMemo(() => {
    if (history === undefined) return null;
    for (let i = history.times.length - 1; i >= 0; i -= 1)
      if (metrics.some((metric) => (history.series[metric]?.mean[i] ?? null) !== null)) return i;
    return null;
  }, [history, metrics]);
  const at = cursor !== null && history !== undefined && cursor < history.times.length ? cursor : lastIndex;
  const step = (by: number) => {
    if (history !== undefined)
      setCursor(Math.max(0, Math.min(history.times.length - 1, (at ?? history.times.length - 1) + by)));
  };
  const available = [...new Set([...metrics, ...Object.keys(view?.summary.figures ?? {})])]
    .filter((metric) => metricDefinition(metric) !== undefined)
    .sort((a, b) => order(a) - order(b));
  const sentence = metrics
    .flatMap((metric) => {
      const values = extent(history?.series[metric]?.mean ?? []);
      return values === undefined
        ? []
        : [
            t('day.summary', {
              label: metricLabel(metric),
              min: quantityText(metric, values.min),
              max: quantityText(metric, values.max),
              last: quantityText(metric, values.last),
            }),
          ];
    })
    .join(' ');
  const marks = useMemo(
    () => (view?.alerts ?? []).map(({ raised_at_ms, severity }) => ({ timeMs: raised_at_ms, severity })),
    [view?.alerts],
  );
  const choose = (metric: string) => {
    if (metrics.includes(metric)) {
      if (metrics.length > 1) setMetrics(metrics.filter((one) => one !== metric));
      setFull(false);
      return;
    }
    const next = addLine(metrics, metric, (one) => metricUnit(one, view?.summary));
    setFull(next === undefined);
    if (next !== undefined) setMetrics(next);
  };
  const nothing = history === undefined || sentence === '';
  const holes = prepared?.holes ?? [];
  return (
    <div class="screen">
      <Header title={t('history.title')} gridName={view?.summary.name ?? gridId} />
      <main id="content" class="history">
        <div class="seg sec-seg" role="group" aria-label={t('history.period')}>
          {presets.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === preset}
              onClick={() => {
                setPreset(one);
                setZoom(undefined);
                setCursor(null);
              }}
            >
              {t(`history.${one}`)}
            </button>
          ))}
        </div>
        <div class={`history-plot ${state === 'loading' ? 'loading' : ''}`} aria-busy={state === 'loading'}>
          {nothing && state !== 'loading' ? (
            <div class="empty">
              <p class="t">
                {state === 'failed'
                  ? t('history.failed')
                  : state === 'refused'
                    ? t('history.refused', { reason })
                    : t('history.empty')}
              </p>
            </div>
          ) : table && history !== undefined ? (
            <HistoryTable history={history} metrics={metrics} range={range} zone={zone} />
          ) : (
            <LazyPlot
              times={history?.times ?? []}
              lines={lines}
              gaps={holes}
              marks={marks}
              fromMs={range.fromMs}
              toMs={range.toMs}
              zone={zone}
              height={wide.value ? 340 : 236}
              label={`${t('history.title')}, ${t(`history.${preset}`)}. ${sentence}`}
              interactive
              cursor={at}
              onCursor={setCursor}
              onRange={setRange}
            />
          )}
        </div>
        {!nothing && history !== undefined && (
          <>
            {!table && (
              <section class="read" aria-label={t('history.time')}>
                <div class="when">
                  <button type="button" class="hit" aria-label={t('history.earlier')} onClick={() => step(-1)}>
                    <Icon name="back" />
                  </button>
                  <b>
                    {at === null
                      ? ''
                      : history.stepMs >= 86_400_000
                        ? dateText(history.times[at] ?? 0, zone)
                        : dayClockText(history.times[at] ?? 0, zone)}
                  </b>
                  <button type="button" class="hit" aria-label={t('history.later')} onClick={() => step(1)}>
                    <Icon name="next" />
                  </button>
                </div>
                <dl>
                  {metrics.map((metric, i) => {
                    const columns = history.series[metric];
                    const value = at === null ? null : (prepared?.filled[metric]?.mean[at] ?? null);
                    const low = at === null ? null : (columns?.min[at] ?? null);
                    const high = at === null ? null : (columns?.max[at] ?? null);
                    const style = styles[i];
                    return (
                      <div key={metric}>
                        <svg viewBox="0 0 28 8" aria-hidden="true">
                          <path
                            d="M1 4h26"
                            stroke={`var(${style?.colour ?? '--c1'})`}
                            stroke-width="3.5"
                            {...(style?.dash === undefined ? {} : { 'stroke-dasharray': style.dash.join(' ') })}
                          />
                        </svg>
                        <dt>{metricLabel(metric)}</dt>
                        <dd data-figure={metric}>
                          {value === null ? <i>— {t('value.none')}</i> : <Reading metric={metric} value={value} />}
                        </dd>
                        {band && value !== null && low !== null && high !== null && (
                          <dd class="range">
                            {quantity(metric, low).number}–{quantityText(metric, high)}
                          </dd>
                        )}
                      </div>
                    );
                  })}
                </dl>
              </section>
            )}
            {holes.length > 0 && (
              <p class="gapnote">
                <svg viewBox="0 0 28 12" aria-hidden="true">
                  <rect width="28" height="12" fill="url(#hatch)" />
                </svg>
                <span>
                  {t('day.gap', {
                    from: momentText(holes.at(-1)?.fromMs ?? 0, nowMs.value, zone),
                    to: spanEndText(holes.at(-1)?.fromMs ?? 0, holes.at(-1)?.toMs ?? 0, zone),
                  })}
                </span>
              </p>
            )}
            <div class="ctl">
              <button type="button" class="btn" aria-label={t('history.zoomIn')} onClick={() => zoomBy(0.5)}>
                <Icon name="plus" />
              </button>
              <button type="button" class="btn" aria-label={t('history.zoomOut')} onClick={() => zoomBy(2)}>
                <Icon name="minus" />
              </button>
              <button type="button" class="btn" aria-label={t('history.reset')} onClick={() => setZoom(undefined)}>
                <Icon name="reset" />
              </button>
              <span class="grow" />
              <button type="button" class="btn wide-btn" aria-pressed={table} onClick={() => setTable(!table)}>
                <Icon name={table ? 'history' : 'table'} />
                {t(table ? 'history.chart' : 'history.table')}
              </button>
            </div>
          </>
        )}
        <section class="lines" aria-labelledby="lines-title">
          <h2 class="h2" id="lines-title">
            {t('history.lines', { n: metrics.length, max: maxLines })}
          </h2>
          <div class="chips sec" role="group" aria-labelledby="lines-title">
            {available.map((metric) => (
              <button
                key={metric}
                type="button"
                class="chip"
                aria-pressed={metrics.includes(metric)}
                onClick={() => choose(metric)}
              >
                {metricLabel(metric)}
              </button>
            ))}
          </div>
          <p class="note-line" role="status">
            {full && t('history.tooMany', { n: maxLines })}
          </p>
        </section>
        {history !== undefined && !nothing && (
          <p class="note-line">
            {[
              t('history.step', { step: durationText(history.stepMs) }),
              band ? t('history.band') : '',
              loaded?.answer.series[0] === undefined
                ? ''
                : t(loaded.saved ? 'history.saved' : 'history.completeness', {
                    value: percentText(loaded.answer.series[0].completeness_pct),
                  }),
            ]
              .filter((part) => part !== '')
              .join(' · ')}
          </p>
        )}
      </main>
    </div>
  );
}

const order = (metric: string): number => {
  const at = metricIds.indexOf(metric.split('.')[0] as never);
  return at < 0 ? 999 : at;
};

function Reading({ metric, value }: { metric: string; value: number }) {
  const text = quantityText(metric, value);
  const space = text.indexOf(nbsp);
  if (metricDefinition(metric)?.unit === '') return <>{text}</>;
  return (
    <>
      {text.slice(0, space)} <i>{text.slice(space + 1)}</i>
    </>
  );
}
