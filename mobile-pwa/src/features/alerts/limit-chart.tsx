/** The value against its limit, from an hour before the alert was raised. */
import { useEffect, useState } from 'preact/hooks';
import type { AlertView } from '@villagrid/contracts';
import { align, bridged, extent, gaps, type AlignedHistory } from '../../chart/day.js';
import { clockText, metricLabel, quantity, quantityText } from '../../i18n/format.js';
import { isolated, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { wide } from '../../ui/theme.js';

const hourMs = 3_600_000;
const margins = { left: 40, right: 12, top: 14, bottom: 26 };
/** Drawn at the size of its column: enlarged, its words would be too. */
const phoneBox = { ...margins, width: 328, height: 150 };
const wideBox = { ...margins, width: 672, height: 220 };

export function LimitChart({ alert, zone }: { alert: AlertView; zone: string }) {
  const { api, state } = useApp();
  const box = wide.value ? wideBox : phoneBox;
  const [history, setHistory] = useState<AlignedHistory>();
  const { metric, device_id, raised_at_ms, cleared_at_ms, limit } = alert;
  const fromMs = raised_at_ms - hourMs;
  const now = state.nowMs.value;
  // A week-long alert is drawn by its beginning; History shows the rest.
  const toMs = Math.min(now, (cleared_at_ms ?? now) + hourMs / 2, raised_at_ms + 3 * hourMs);
  const minute = Math.floor(toMs / 60_000);
  useEffect(() => {
    if (metric === null) return;
    let gone = false;
    const device = device_id === null ? {} : { device: device_id };
    const end = Math.round(Math.max(toMs, raised_at_ms + 60_000));
    const asked = { from: Math.round(fromMs), to: end, granularity: '1m' };
    const show = (answer: Parameters<typeof align>[0]) => {
      if (!gone) setHistory(align(answer, { fromMs, toMs: end, stepMs: 60_000 }));
    };
    api
      .history(alert.grid_id, [metric], { ...asked, ...device })
      .then((answer) =>
        // An alert on a grid figure carries no series of its device.
        answer.series[0]?.times_ms.length ? show(answer) : api.history(alert.grid_id, [metric], asked).then(show),
      )
      .catch(() => undefined);
    return () => {
      gone = true;
    };
  }, [alert.alert_id, minute]);
  if (metric === null || limit === null) return null;
  const label = metricLabel(metric);
  const values = bridged(Object.values(history?.series ?? {})[0]?.mean ?? [], 4);
  const range = extent(values);
  if (history === undefined || range === undefined) {
    return (
      <figure class="limit">
        <figcaption class="h2 flush">{t('alert.value', { metric: label })}</figcaption>
        <p class="note-line flush">{t('alert.chartNone')}</p>
      </figure>
    );
  }
  const spread = Math.max(
    range.max - range.min,
    Math.abs(limit - range.min),
    Math.abs(limit - range.max),
    Math.abs(limit) * 0.05,
    0.1,
  );
  const lowest = Math.min(range.min, limit);
  // What is never negative has no scale below zero.
  const low = lowest >= 0 ? Math.max(0, lowest - spread * 0.18) : lowest - spread * 0.18;
  const high = Math.max(range.max, limit) + spread * 0.22;
  const first = history.times[0] ?? fromMs;
  const span = Math.max(60_000, (history.times.at(-1) ?? toMs) - first);
  const x = (timeMs: number) => box.left + ((timeMs - first) / span) * (box.width - box.left - box.right);
  const y = (value: number) => box.top + ((high - value) / (high - low)) * (box.height - box.top - box.bottom);
  let path = '';
  let drawing = false;
  let lastAt = 0;
  values.forEach((value, i) => {
    if (value === null) drawing = false;
    else {
      path += `${drawing ? 'L' : 'M'}${x(history.times[i] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
      drawing = true;
      lastAt = i;
    }
  });
  const limitText = t('alert.limit', { value: quantityText(metric, limit, alert.unit ?? undefined) });
  const lastX = x(history.times[lastAt] ?? toMs);
  const marks = [first + span * 0.12, first + span * 0.5, first + span * 0.88].map(
    (time) => Math.round(time / 300_000) * 300_000,
  );
  const holes = gaps({ ...history, series: { value: { mean: values, min: [], max: [] } } }, ['value'], 4);
  const text = (value: number) => quantityText(metric, value, alert.unit ?? undefined);
  const ticks = [low + (high - low) * 0.1, high - (high - low) * 0.1].filter(
    (tick) => Math.abs(y(tick) - y(limit)) > 14,
  );
  return (
    <figure class="limit">
      <figcaption class="h2 flush">
        {t('alert.value', { metric: label })}
        {alert.unit !== null && <span>{isolated(alert.unit)}</span>}
      </figcaption>
      <svg
        viewBox={`0 0 ${box.width} ${box.height}`}
        role="img"
        aria-label={t('alert.chart', {
          metric: label,
          min: text(range.min),
          max: text(range.max),
          last: text(range.last),
          limit: text(limit),
        })}
      >
        {holes.map((hole) => (
          <rect
            key={hole.fromMs}
            x={x(hole.fromMs)}
            y={box.top}
            width={Math.max(1, x(hole.toMs) - x(hole.fromMs))}
            height={box.height - box.top - box.bottom}
            fill="url(#hatch)"
          />
        ))}
        <path class="base" d={`M${box.left} ${box.height - box.bottom}H${box.width - box.right}`} />
        {ticks.map((tick) => (
          <text key={tick} x={box.left - 6} y={y(tick) + 4} text-anchor="end">
            {quantity(metric, tick, alert.unit ?? undefined).number}
          </text>
        ))}
        <text class="b" x={box.left - 6} y={y(limit) + 4} text-anchor="end">
          {quantity(metric, limit, alert.unit ?? undefined).number}
        </text>
        <path
          class={`limit-line ${alert.severity}`}
          d={`M${box.left} ${y(limit).toFixed(1)}H${box.width - box.right}`}
        />
        <text
          class="b halo"
          x={box.left + 4}
          y={y(limit) + (y(limit) < box.height * 0.55 && range.max > limit ? 16 : -7)}
        >
          {limitText}
        </text>
        <path class="value-line" d={path} />
        <path class="end-dot" d={`M${lastX} ${y(range.last)}h.01`} />
        <text class="b halo" x={Math.min(lastX - 6, box.width - 20)} y={y(range.last) - 10} text-anchor="end">
          {text(range.last)}
        </text>
        {marks.map((time) => (
          <text key={time} x={x(time)} y={box.height - 7} text-anchor="middle">
            {clockText(time, zone)}
          </text>
        ))}
        <path class="raised" d={`M${x(raised_at_ms)} ${box.height - box.bottom}v-6`} />
      </svg>
    </figure>
  );
}
