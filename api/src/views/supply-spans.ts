/** What is known of the supply, as spans: quarter hours where all was well, minutes where it was not. */
import {
  expectedSamples,
  qualityLimits,
  resolutionMs,
  type SupplySpan,
  type WindowColumns,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { devicePeriodS } from './figures.js';
import { figureSource, sourceDevices, windowsOfFigure } from './windows.js';

const minuteMs = resolutionMs['1m'];
const quarterMs = resolutionMs['15m'];
const voltage = 'ac_output_voltage_v';
const frequency = 'ac_frequency_hz';

/** Nominal voltage and frequency of a grid: its normal band begins at 85 % of the one and 2 Hz below the other. */
export function nominal(grid: GridPort): { readonly nominalV: number; readonly nominalHz: number } {
  const limits = grid.limits();
  const lowV = limits[voltage]?.low;
  const lowHz = limits[frequency]?.low;
  return {
    nominalV: lowV === undefined ? 230 : Math.round(lowV / 0.85 / 5) * 5,
    nominalHz: lowHz === undefined ? 50 : Math.round((lowHz + 2) / 10) * 10,
  };
}

/**
 * Spans of [fromMs, toMs) in order. A quarter hour that was wholly measured and never left the good limits is one span;
 * of all others the minutes are read. A sample holds for two periods of its device, not longer. Undefined when AC voltage
 * is not wired.
 */
export async function supplySpans(grid: GridPort, fromMs: number, toMs: number): Promise<SupplySpan[] | undefined> {
  const site = grid.site();
  const source = figureSource(site, voltage);
  if (source.kind === 'none') return undefined;
  const periodMs = Math.max(...sourceDevices(site, source).map((one) => devicePeriodS(site, one))) * 1000;
  const good = qualityLimits(nominal(grid).nominalV, nominal(grid).nominalHz);
  const volts = await windowsOfFigure(grid, voltage, '15m', fromMs, toMs);
  const hertz = await windowsOfFigure(grid, frequency, '15m', fromMs, toMs);
  const hertzAt = new Map(hertz.t.map((timeMs, at) => [timeMs, at]));
  const expected = expectedSamples(volts.count, quarterMs / periodMs);
  const spans: SupplySpan[] = [];
  let detailFromMs: number | undefined;
  const detail = async (untilMs: number): Promise<void> => {
    if (detailFromMs === undefined) return;
    for (let startMs = detailFromMs; startMs < untilMs; startMs += 86_400_000) {
      await nextTurn();
      const endMs = Math.min(untilMs, startMs + 86_400_000);
      addMinutes(
        spans,
        await windowsOfFigure(grid, voltage, '1m', startMs, endMs),
        await windowsOfFigure(grid, frequency, '1m', startMs, endMs),
        periodMs,
      );
    }
    detailFromMs = undefined;
  };
  for (const [at, timeMs] of volts.t.entries()) {
    if (timeMs < fromMs) continue;
    const f = hertzAt.get(timeMs);
    const calm =
      (volts.count[at] as number) >= 0.95 * expected &&
      (volts.min[at] as number) >= good.lowV &&
      (volts.max[at] as number) <= good.highV &&
      (f === undefined || ((hertz.min[f] as number) >= good.lowHz && (hertz.max[f] as number) <= good.highHz));
    if (!calm) {
      detailFromMs ??= timeMs;
      continue;
    }
    await detail(timeMs);
    spans.push({
      fromMs: timeMs,
      toMs: timeMs + quarterMs,
      voltageV: volts.mean[at] as number,
      frequencyHz: f === undefined ? null : (hertz.mean[f] as number),
    });
  }
  await detail(toMs);
  return joined(spans, 2 * periodMs, toMs);
}

/** Spans with stretches of up to `holdMs` between samples closed: a sample holds until the next one that is in time. */
function joined(spans: readonly SupplySpan[], holdMs: number, toMs: number): SupplySpan[] {
  return spans.map((span, at) => {
    const nextMs = spans[at + 1]?.fromMs ?? toMs;
    return nextMs > span.toMs && nextMs - span.fromMs <= holdMs ? { ...span, toMs: nextMs } : span;
  });
}

function addMinutes(spans: SupplySpan[], volts: WindowColumns, hertz: WindowColumns, periodMs: number): void {
  const hertzAt = new Map(hertz.t.map((timeMs, at) => [timeMs, hertz.mean[at] as number]));
  for (const [at, timeMs] of volts.t.entries())
    spans.push({
      fromMs: timeMs,
      // What a device slower than a minute said holds for its period.
      toMs: timeMs + Math.max(minuteMs, periodMs),
      voltageV: volts.mean[at] as number,
      frequencyHz: hertzAt.get(timeMs) ?? null,
    });
}
