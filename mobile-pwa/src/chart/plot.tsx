/**
 * A time chart on uPlot with the house's manners: two axes at most, gaps hatched, min-max band behind the mean, colours
 * of the theme, times of the grid's zone, vertical page scroll never blocked. Loaded when the first chart is drawn.
 */
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clockText, dayClockText, dayText, numberFormat } from '../i18n/format.js';
import { language } from '../i18n/messages.js';
import type { Gap } from './day.js';

/** One line. */
export interface PlotLine {
  readonly key: string;
  /** Unit: lines of one unit share an axis. */
  readonly unit: string;
  /** Name of the CSS custom property with the colour, e.g. `--c1`. */
  readonly colour: string;
  readonly dash?: readonly number[];
  /** Fill below the line. */
  readonly area?: boolean;
  readonly values: readonly (number | null)[];
  readonly min?: readonly (number | null)[];
  readonly max?: readonly (number | null)[];
}

/** A mark on the rail above the chart. */
export interface PlotMark {
  readonly timeMs: number;
  readonly severity: 'critical' | 'high' | 'medium' | 'low';
}

export interface PlotProps {
  readonly times: readonly number[];
  readonly lines: readonly PlotLine[];
  readonly gaps: readonly Gap[];
  readonly marks?: readonly PlotMark[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly zone: string;
  readonly height: number;
  readonly theme: string;
  readonly label: string;
  /** Percent axes run from 0 to 100. */
  readonly interactive?: boolean;
  /** Index under the cursor, for a readout below the chart. */
  readonly cursor?: number | null;
  readonly onCursor?: (index: number) => void;
  /** A new visible range asked by drag or pinch, Unix ms. */
  readonly onRange?: (fromMs: number, toMs: number) => void;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const alpha = (colour: string, value: number) =>
  colour.startsWith('#') && colour.length === 7
    ? `${colour}${Math.round(value * 255)
        .toString(16)
        .padStart(2, '0')}`
    : colour;

const niceTops = [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10];

/** Range of an axis: from 0 to a round top where the values allow it, so that both axes share their lines. */
function niceRange(unit: string, min: number, max: number): [number, number] {
  if (unit === '%' || unit === '% RH') return [0, 100];
  if (unit === '') return [0, 1.2];
  if (!Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (min >= -0.001 && min < max * 0.6) {
    const wanted = Math.max(max * 1.04, 0.4);
    const power = 10 ** Math.floor(Math.log10(wanted));
    return [0, (niceTops.find((top) => top * power >= wanted) ?? 10) * power];
  }
  const span = Math.max(max - min, Math.abs(max) * 0.02, 0.1);
  return [min - span * 0.12, max + span * 0.12];
}

export default function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  const shape = JSON.stringify([
    props.lines.map(({ key, unit, colour, dash, area, min }) => [key, unit, colour, dash, area, min !== undefined]),
    props.theme,
    language.value.tag,
    props.height,
    props.zone,
    props.interactive,
  ]);
  const data = (): uPlot.AlignedData => [
    props.times.map((time) => time / 1000),
    ...props.lines.flatMap((line) => [
      ...(line.max === undefined ? [] : [line.max as (number | null)[]]),
      ...(line.min === undefined ? [] : [line.min as (number | null)[]]),
      line.values as (number | null)[],
    ]),
  ];

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const units = [...new Set(props.lines.map(({ unit }) => unit))].slice(0, 2);
    const strong = Number(css('--chart')) || 2;
    const axisFont = `13px ${css('--font')}`;
    const text = css('--ink-2');
    const grid = css('--line');
    const sunlight = props.theme === 'sunlight';
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const line of props.lines) {
      const colour = css(line.colour);
      if (line.max !== undefined && line.min !== undefined) {
        const at = series.length;
        const edge: uPlot.Series = { scale: line.unit || 'state', width: 0, points: { show: false } };
        series.push({ ...edge }, { ...edge });
        bands.push({ series: [at, at + 1], fill: alpha(colour, sunlight ? 0.3 : 0.24) });
      }
      series.push({
        scale: line.unit || 'state',
        stroke: colour,
        width: strong,
        points: { show: false },
        spanGaps: false,
        ...(line.dash === undefined ? {} : { dash: line.dash.map((part) => part * devicePixelRatio) }),
        ...(line.area === true && !sunlight ? { fill: alpha(colour, 0.18) } : {}),
      });
    }
    const scales: uPlot.Scales = {
      x: { time: true, range: () => [latest.current.fromMs / 1000, latest.current.toMs / 1000] },
    };
    for (const unit of units) scales[unit || 'state'] = { range: (_u, min, max) => niceRange(unit, min, max) };
    const axisOf = (unit: string, side: 1 | 3): uPlot.Axis => ({
      scale: unit || 'state',
      side,
      stroke: text,
      font: axisFont,
      // As wide as its longest number: what is cut off is read as another one.
      size: (_u, values) =>
        Math.max(side === 3 ? 30 : 36, 12 + 7.5 * Math.max(0, ...(values ?? []).map((v) => v.length))),
      gap: 5,
      grid: side === 3 ? { stroke: grid, width: 1, ...(sunlight ? { dash: [1, 3] } : {}) } : { show: false },
      ticks: { show: false },
      space: 34,
      splits: (u, axisIndex, low, high, increment) => {
        // Axes from 0 are cut into equal parts, so that the grid of one is the grid of the other.
        if (low === 0) {
          const parts = u.height > 200 ? 4 : 2;
          return Array.from({ length: parts + 1 }, (_, i) => (high / parts) * i);
        }
        const first = Math.ceil(low / increment) * increment;
        return Array.from(
          { length: Math.max(0, Math.floor((high - first) / increment) + 1) },
          (_, i) => first + i * increment,
        ).filter(() => axisIndex > 0);
      },
      values: (_u, splits) =>
        splits.map((value) => numberFormat({ maximumFractionDigits: Math.abs(value) >= 1000 ? 0 : 2 }).format(value)),
    });
    const { zone } = props;
    const options: uPlot.Options = {
      width: Math.max(200, element.clientWidth),
      height: props.height,
      padding: [props.marks === undefined ? 10 : 24, units.length > 1 ? 0 : 14, 0, 0],
      legend: { show: false },
      cursor: {
        show: props.interactive === true,
        y: false,
        drag: { x: false, y: false },
        points: {
          size: 9,
          width: 2,
          stroke: () => css('--bg'),
          fill: (u, i) => (u.series[i]?.stroke as () => string)?.() ?? '',
        },
        bind: {
          mousedown: () => () => null,
          mouseup: () => () => null,
          mouseleave: () => () => null,
          dblclick: () => () => null,
        },
      },
      tzDate: (seconds) => {
        try {
          return uPlot.tzDate(new Date(seconds * 1000), zone);
        } catch {
          return new Date(seconds * 1000);
        }
      },
      scales,
      axes: [
        {
          stroke: text,
          font: axisFont,
          size: 26,
          gap: 5,
          space: 62,
          grid: { show: false },
          ticks: { stroke: css('--edge'), width: 1, size: 4 },
          values: (_u, splits, _axis, _space, increment) =>
            splits.map((seconds) => {
              const ms = seconds * 1000;
              const clock = clockText(ms, zone);
              return increment >= 86_400 || clock === '00:00' ? dayText(ms, zone) : clock;
            }),
        },
        ...units.map((unit, i) => axisOf(unit, i === 0 ? 3 : 1)),
      ],
      series,
      bands,
      hooks: {
        drawClear: [
          (u) => {
            const { ctx, bbox } = u;
            ctx.save();
            ctx.setLineDash([]);
            ctx.strokeStyle = css('--hatch');
            ctx.lineWidth = devicePixelRatio * 1.25;
            for (const gap of latest.current.gaps) {
              const left = Math.max(bbox.left, u.valToPos(gap.fromMs / 1000, 'x', true));
              const right = Math.min(bbox.left + bbox.width, u.valToPos(gap.toMs / 1000, 'x', true));
              if (right - left < 1) continue;
              ctx.save();
              ctx.beginPath();
              ctx.rect(left, bbox.top, right - left, bbox.height);
              ctx.clip();
              ctx.beginPath();
              const pace = 9 * devicePixelRatio;
              // Hatching keeps its place on the page, so that neighbouring gaps do not look like different things.
              for (let x = Math.floor((left - bbox.height) / pace) * pace; x < right; x += pace) {
                ctx.moveTo(x, bbox.top + bbox.height);
                ctx.lineTo(x + bbox.height, bbox.top);
              }
              ctx.stroke();
              ctx.restore();
            }
            ctx.restore();
          },
        ],
        draw: [
          (u) => {
            const { ctx, bbox } = u;
            const one = devicePixelRatio;
            ctx.save();
            ctx.setLineDash([]);
            ctx.strokeStyle = css('--edge');
            ctx.lineWidth = one;
            ctx.beginPath();
            ctx.moveTo(bbox.left, bbox.top + bbox.height);
            ctx.lineTo(bbox.left + bbox.width, bbox.top + bbox.height);
            ctx.stroke();
            for (const mark of latest.current.marks ?? []) {
              const x = u.valToPos(mark.timeMs / 1000, 'x', true);
              if (x < bbox.left || x > bbox.left + bbox.width) continue;
              const colour = css({ critical: '--crit', high: '--high', medium: '--med', low: '--low' }[mark.severity]);
              drawMark(ctx, mark.severity, x, bbox.top - 11 * one, 5.5 * one, colour);
              ctx.strokeStyle = colour;
              ctx.lineWidth = 1.5 * one;
              ctx.beginPath();
              ctx.moveTo(x, bbox.top - 4 * one);
              ctx.lineTo(x, bbox.top + 4 * one);
              ctx.stroke();
            }
            ctx.restore();
          },
        ],
        setCursor: [
          (u) => {
            const index = u.cursor.idx;
            if (index !== null && index !== undefined && fromPointer) latest.current.onCursor?.(index);
          },
        ],
      },
    };
    let fromPointer = false;
    const made = new uPlot(options, data(), element);
    plot.current = made;
    const over = made.over;
    over.addEventListener('pointerenter', () => {
      fromPointer = true;
    });
    over.addEventListener('pointerleave', () => {
      fromPointer = false;
    });
    if (props.interactive === true) follow(made, over, latest);
    const watcher = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height: latest.current.height });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(data());
  }, [props.times, props.lines, props.fromMs, props.toMs, props.gaps]);

  useEffect(() => {
    const made = plot.current;
    if (made === null || props.cursor === undefined || props.cursor === null) return;
    const time = props.times[props.cursor];
    if (time === undefined) return;
    made.setCursor({ left: made.valToPos(time / 1000, 'x'), top: 0 }, false);
  }, [props.cursor, props.times, props.fromMs, props.toMs]);

  return (
    <div class="plot-wrap">
      <div class="plot-units" aria-hidden="true">
        {[...new Set(props.lines.map(({ unit }) => unit))].slice(0, 2).map((unit) => (
          <b key={unit}>{unit}</b>
        ))}
      </div>
      <div class="plot" ref={box} role="img" aria-label={props.label} />
    </div>
  );
}

/** The severity's own shape in small, for the rail of marks. */
function drawMark(
  ctx: CanvasRenderingContext2D,
  severity: PlotMark['severity'],
  x: number,
  y: number,
  r: number,
  colour: string,
): void {
  ctx.fillStyle = colour;
  ctx.strokeStyle = colour;
  ctx.lineWidth = r * 0.36;
  ctx.beginPath();
  if (severity === 'high') {
    ctx.moveTo(x, y - r);
    ctx.lineTo(x + r * 1.1, y + r * 0.9);
    ctx.lineTo(x - r * 1.1, y + r * 0.9);
    ctx.closePath();
    ctx.fill();
  } else if (severity === 'critical') {
    for (let i = 0; i < 8; i += 1) {
      const angle = Math.PI / 8 + (i * Math.PI) / 4;
      ctx.lineTo(x + r * Math.cos(angle) * 1.1, y + r * Math.sin(angle) * 1.1);
    }
    ctx.closePath();
    ctx.fill();
  } else if (severity === 'medium') {
    ctx.moveTo(x, y - r);
    ctx.lineTo(x + r, y);
    ctx.lineTo(x, y + r);
    ctx.lineTo(x - r, y);
    ctx.closePath();
    ctx.stroke();
  } else {
    ctx.arc(x, y, r * 0.8, 0, 2 * Math.PI);
    ctx.stroke();
  }
}

/** One finger drags along time, two pinch time only; vertical movement stays with the page (touch-action: pan-y). */
function follow(made: uPlot, over: HTMLElement, latest: { current: PlotProps }): void {
  const fingers = new Map<number, number>();
  let start: { fromMs: number; toMs: number; centre: number; spread: number } | undefined;
  const begin = () => {
    const xs = [...fingers.values()];
    const { fromMs, toMs } = latest.current;
    start = {
      fromMs,
      toMs,
      centre: xs.reduce((sum, x) => sum + x, 0) / Math.max(1, xs.length),
      spread: xs.length > 1 ? Math.max(20, Math.abs((xs[0] ?? 0) - (xs[1] ?? 0))) : 0,
    };
  };
  over.addEventListener('pointerdown', (event) => {
    if (event.pointerType === 'mouse' && event.button !== 0) return;
    fingers.set(event.pointerId, event.clientX);
    over.setPointerCapture(event.pointerId);
    begin();
  });
  over.addEventListener('pointermove', (event) => {
    if (!fingers.has(event.pointerId) || start === undefined) return;
    fingers.set(event.pointerId, event.clientX);
    const xs = [...fingers.values()];
    const rect = over.getBoundingClientRect();
    const centre = xs.reduce((sum, x) => sum + x, 0) / xs.length;
    const span = start.toMs - start.fromMs;
    const scale =
      xs.length > 1 && start.spread > 0 ? start.spread / Math.max(20, Math.abs((xs[0] ?? 0) - (xs[1] ?? 0))) : 1;
    const next = span * scale;
    const anchor = start.fromMs + ((start.centre - rect.left) / rect.width) * span;
    const from = anchor - ((centre - rect.left) / rect.width) * next;
    if (xs.length > 1 || Math.abs(centre - start.centre) > 6) latest.current.onRange?.(from, from + next);
  });
  const end = (event: PointerEvent) => {
    fingers.delete(event.pointerId);
    if (fingers.size > 0) begin();
    else start = undefined;
  };
  over.addEventListener('pointerup', end);
  over.addEventListener('pointercancel', end);
  over.addEventListener('dblclick', () => latest.current.onRange?.(Number.NaN, Number.NaN));
  void made;
}

/** Text of a moment for readouts. */
export const readoutTime = dayClockText;
