/** A small curve of the last 24 hours with its normal band; holes in the data are hatched, never bridged. */
import { bridged, extent, gaps, type DayHistory } from './day.js';

const width = 136;
const height = 34;

export function Sparkline({
  day,
  metric,
  band,
  stale,
}: {
  day: DayHistory | undefined;
  metric: string;
  band: { low?: number | undefined; high?: number | undefined } | undefined;
  stale: boolean;
}) {
  const column = day?.series[metric]?.mean;
  if (day === undefined || column === undefined)
    return <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />;
  const values = bridged(column, 4);
  const range = extent(values);
  if (range === undefined) return <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />;
  // The band takes part in the scale only where it lies near the values: a limit far away would flatten the curve.
  const spread = Math.max(range.max - range.min, Math.abs(range.max) * 0.02, 0.5);
  const near = (limit: number | undefined) =>
    limit !== undefined && limit > range.min - 2 * spread && limit < range.max + 2 * spread;
  const low = Math.min(range.min, near(band?.low) ? (band?.low as number) : range.min) - spread * 0.15;
  const high = Math.max(range.max, near(band?.high) ? (band?.high as number) : range.max) + spread * 0.15;
  const y = (value: number) => Math.round((height - 2 - ((value - low) / (high - low)) * (height - 4)) * 10) / 10;
  const x = (i: number) => Math.round(((i / Math.max(1, values.length - 1)) * (width - 4) + 1) * 10) / 10;
  let path = '';
  let drawing = false;
  let lastAt = -1;
  values.forEach((value, i) => {
    if (value === null) {
      drawing = false;
      return;
    }
    path += `${drawing ? 'L' : 'M'}${x(i)} ${y(value)}`;
    drawing = true;
    lastAt = i;
  });
  const top = y(Math.min(high, band?.high ?? high));
  const bottom = y(Math.max(low, band?.low ?? low));
  const holes = gaps({ ...day, series: { [metric]: { mean: values, min: [], max: [] } } }, [metric], 3);
  const first = day.times[0] ?? 0;
  const at = (timeMs: number) => x(Math.max(0, Math.min(values.length - 1, (timeMs - first) / day.stepMs)));
  return (
    <svg
      class={`spark ${stale ? 'old' : ''}`}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {band !== undefined && (band.low !== undefined || band.high !== undefined) && bottom - top > 1 && (
        <rect x="0" y={top} width={width} height={bottom - top} rx="2" class="band" />
      )}
      {holes.map((hole) => (
        <rect
          key={hole.fromMs}
          x={at(hole.fromMs)}
          y="2"
          width={Math.max(1, at(hole.toMs) - at(hole.fromMs))}
          height={height - 4}
          fill="url(#hatch)"
        />
      ))}
      <path d={path} class="curve" />
      {!stale && lastAt >= 0 && <path d={`M${x(lastAt)} ${y(values[lastAt] as number)}h.01`} class="end-dot" />}
    </svg>
  );
}

/** The hatching that means "no data" everywhere; drawn once per page, used by address. */
export function HatchPattern() {
  return (
    <svg width="0" height="0" class="sr" aria-hidden="true">
      <defs>
        <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <path d="M0 0V6" class="hatch-line" />
        </pattern>
      </defs>
    </svg>
  );
}
