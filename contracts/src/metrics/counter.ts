/**
 * What a counter (kWh, hours) gained over windows of its readings. A counter may be reset (a meter was replaced), roll
 * over (it went past its largest number), repeat itself, or say nonsense for a moment (0 or 65535 while it starts). What
 * it gained is never negative and never more than can have been gained in the time. Pure.
 */
import { parseMetricId } from './catalogue.js';

/** Columns of windows as history has them, with the minimum, maximum and last reading of each. */
export interface CounterColumns {
  readonly t: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly last: readonly number[];
}

export interface CounterOptions {
  /** Most that can be gained in an hour, in the counter's unit: more is no gain. See `mostPerHour`. */
  readonly mostPerHour: number;
  /** Width of the windows, milliseconds. */
  readonly widthMs: number;
  /** Number at which the counter begins at 0 again, e.g. 100000; left out when unknown. */
  readonly rollsOverAt?: number | undefined;
}

/** What was gained in each window that has readings, and where the counter did not just go on. */
export interface CounterGains {
  readonly t: number[];
  readonly gain: number[];
  readonly breaks: Array<{ readonly t: number; readonly kind: CounterBreak }>;
}

/** `reset`: it began anew; `rolled_over`: past its largest number; `spike`: readings that cannot be true were passed over. */
export type CounterBreak = 'reset' | 'rolled_over' | 'spike';

/** Share of the largest number, counted from either end, within which a fall is a roll-over. */
const rollOverShare = 0.05;

/** The most an hour can give: hours count hours, an energy what the plant's kW (all of it together) can make or use. */
export function mostPerHour(metric: string, plantKw: number): number {
  // A meter tells its hours late now and then, and in steps.
  return parseMetricId(metric).base === 'genset_hours' ? 1.2 : Math.max(1, plantKw) * 1.5;
}

/**
 * Gains of windows in order of time. The gain between two windows belongs to the later one; over a gap in the readings
 * all of what was gained meanwhile. The first window gains what it shows within itself.
 */
export function counterGains(windows: CounterColumns, options: CounterOptions): CounterGains {
  const gains: CounterGains = { t: [], gain: [], breaks: [] };
  const { widthMs } = options;
  /** The last reading that is believed. */
  let level: Level | undefined;
  /** Where the counter stood before it seemed to begin anew: it may come back there. */
  let before: Level | undefined;
  /** A reading that cannot follow: when the next window goes on from it, the counter is there now. */
  let doubted: Level | undefined;
  for (const [i, t] of windows.t.entries()) {
    const window = { min: windows.min[i] as number, max: windows.max[i] as number, last: windows.last[i] as number };
    const now: Level = { value: window.last, endMs: t + widthMs };
    const follows = (from: Level | undefined): from is Level =>
      from !== undefined &&
      now.value >= from.value &&
      believable(now.value - from.value, now.endMs - from.endMs + widthMs, options);
    const take = (gain: number, kind?: CounterBreak): void => {
      gains.t.push(t);
      gains.gain.push(gain);
      if (kind) gains.breaks.push({ t, kind });
    };
    if (level === undefined) {
      const within = window.last - window.min;
      take(believable(within, widthMs, options) ? within : 0);
      level = now;
      continue;
    }
    const step = stepFrom(level.value, window, now.endMs - level.endMs + widthMs, options);
    if (step) {
      take(step.gain, step.kind);
      before = step.kind === 'reset' ? level : follows(before) ? undefined : before;
    } else if (follows(before)) {
      take(now.value - before.value, 'spike');
      before = undefined;
    } else if (follows(doubted)) {
      take(now.value - doubted.value, 'reset');
      before = undefined;
    } else {
      take(0, 'spike');
      doubted = now;
      continue;
    }
    level = now;
    doubted = undefined;
  }
  return gains;
}

interface Level {
  readonly value: number;
  readonly endMs: number;
}

interface Step {
  readonly gain: number;
  readonly kind?: CounterBreak;
}

/** The gain from a level to a window's last reading; undefined when that cannot follow. */
function stepFrom(
  level: number,
  { min, max, last }: { readonly min: number; readonly max: number; readonly last: number },
  spanMs: number,
  options: CounterOptions,
): Step | undefined {
  if (last >= level) {
    if (!believable(last - level, spanMs, options)) return undefined;
    // The window ends where it may; what went up or down in between was nonsense.
    return { gain: last - level, ...(min < level || max > last ? { kind: 'spike' } : {}) };
  }
  const { rollsOverAt } = options;
  if (rollsOverAt !== undefined) {
    const gain = rollsOverAt - level + last;
    const nearEnds =
      level < rollsOverAt && level >= rollsOverAt * (1 - rollOverShare) && last <= rollsOverAt * rollOverShare;
    if (nearEnds && believable(gain, spanMs, options)) return { gain, kind: 'rolled_over' };
  }
  // Began anew: what it reached before counts, and what there is since. A fall to somewhere in the middle is nonsense,
  // unless the counter stays there.
  if (!believable(min, spanMs, options)) return undefined;
  const reached = max > level && believable(max - level, spanMs, options) ? max - level : 0;
  const gain = reached + last - min;
  return { gain: believable(gain, spanMs, options) ? gain : 0, kind: 'reset' };
}

/** Whether so much can be gained in a time. */
const believable = (gain: number, spanMs: number, { mostPerHour: most }: CounterOptions): boolean =>
  gain <= (most * spanMs) / 3_600_000;
