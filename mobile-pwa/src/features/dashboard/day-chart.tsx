/** The last 24 hours in one chart: consumption, generation and battery on two axes, each line switched by its button. */
import { signal } from '@preact/signals';
import type { Summary } from '@villagrid/contracts';
import { useMemo } from 'preact/hooks';
import { bridged, dayMs, extent, gaps, withNewest, type DayHistory } from '../../chart/day.js';
import { LazyPlot } from '../../chart/lazy-plot.js';
import type { PlotLine } from '../../chart/plot.js';
import { clockText, quantityText } from '../../i18n/format.js';
import { t, type MessageKey } from '../../i18n/messages.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { wide } from '../../ui/theme.js';

const lineStyles: readonly {
  metric: string;
  label: MessageKey;
  unit: string;
  colour: string;
  dash?: readonly number[];
  area?: boolean;
}[] = [
  { metric: 'consumption_kw', label: 'figure.consumption', unit: 'kW', colour: '--c1' },
  { metric: 'generation_kw', label: 'figure.generation', unit: 'kW', colour: '--c2', area: true },
  { metric: 'battery_soc_pct', label: 'figure.battery', unit: '%', colour: '--c3', dash: [7, 4] },
];
const hidden = signal<readonly string[]>([]);

export function DayChart({
  summary,
  day,
  nowMs,
  connected,
}: {
  summary: Summary;
  day: DayHistory | undefined;
  nowMs: number;
  connected: boolean;
}) {
  const tick = Math.floor(nowMs / 5000);
  const shown = useMemo(
    () => (day === undefined ? undefined : connected ? withNewest(day, nowMs, summary.figures) : day),
    [day, tick, connected],
  );
  const metrics = lineStyles.map(({ metric }) => metric);
  const prepared = useMemo(() => {
    if (shown === undefined) return undefined;
    const filled = Object.fromEntries(
      metrics.map((metric) => [metric, { mean: bridged(shown.series[metric]?.mean ?? [], 4), min: [], max: [] }]),
    );
    const holes = gaps({ ...shown, series: filled }, metrics, 3);
    return { filled, holes };
  }, [shown]);
  const off = hidden.value;
  const lines = useMemo<PlotLine[]>(
    () =>
      prepared === undefined
        ? []
        : lineStyles
            .filter(({ metric }) => !off.includes(metric))
            .map(({ metric, unit, colour, dash, area }) => ({
              key: metric,
              unit,
              colour,
              ...(dash === undefined ? {} : { dash }),
              ...(area === undefined ? {} : { area }),
              values: prepared.filled[metric]?.mean ?? [],
            })),
    [prepared, off],
  );
  const toMs = shown === undefined ? nowMs : (shown.times.at(-1) ?? nowMs) + shown.stepMs;
  const fromMs = toMs - dayMs;
  const sentences = lineStyles.flatMap(({ metric, label }) => {
    const range = extent(shown?.series[metric]?.mean ?? []);
    return range === undefined
      ? []
      : [
          t('day.summary', {
            label: t(label),
            min: quantityText(metric, range.min),
            max: quantityText(metric, range.max),
            last: quantityText(metric, range.last),
          }),
        ];
  });
  const first = prepared?.holes[0];
  const startsLate = first !== undefined && first.fromMs <= fromMs + (shown?.stepMs ?? 0);
  const worth = (prepared?.holes ?? []).filter((hole) => hole !== first || !startsLate);
  return (
    <section aria-labelledby="day-title">
      <h2 class="h2" id="day-title">
        {t('day.title')}
        <a class="more-link" href={links.history(summary.grid_id, metrics)}>
          {t('day.history')}
          <Icon name="next" flip />
        </a>
      </h2>
      {shown !== undefined && sentences.length === 0 ? (
        <p class="sec note-line">{t('day.empty')}</p>
      ) : (
        <div class="chart-box">
          <LazyPlot
            times={shown?.times ?? []}
            lines={lines}
            gaps={prepared?.holes ?? []}
            fromMs={fromMs}
            toMs={toMs}
            zone={summary.zone}
            height={wide.value ? 190 : 150}
            label={`${t('day.title')}. ${sentences.join(' ')}`}
          />
        </div>
      )}
      <div class="togs" role="group" aria-label={t('day.toggles')}>
        {lineStyles.map(({ metric, label, colour, dash }) => {
          const on = !off.includes(metric);
          return (
            <button
              key={metric}
              type="button"
              class="tog"
              aria-pressed={on}
              onClick={() => {
                hidden.value = on ? [...off, metric] : off.filter((one) => one !== metric);
              }}
            >
              <svg viewBox="0 0 28 6" aria-hidden="true">
                <path
                  d="M1 3h26"
                  stroke={`var(${colour})`}
                  stroke-width="3.5"
                  {...(dash === undefined ? {} : { 'stroke-dasharray': '7 3.5' })}
                />
              </svg>
              {t(label)}
            </button>
          );
        })}
      </div>
      {(startsLate || worth.length > 0) && sentences.length > 0 && (
        <p class="gapnote">
          <svg viewBox="0 0 28 12" aria-hidden="true">
            <rect width="28" height="12" fill="url(#hatch)" />
          </svg>
          <span>
            {startsLate && first !== undefined && t('day.noDataBefore', { when: clockText(first.toMs, summary.zone) })}
            {startsLate && worth.length > 0 && ' · '}
            {worth
              .slice(-2)
              .map((hole) =>
                t('day.gap', { from: clockText(hole.fromMs, summary.zone), to: clockText(hole.toMs, summary.zone) }),
              )
              .join(' · ')}
          </span>
        </p>
      )}
    </section>
  );
}
