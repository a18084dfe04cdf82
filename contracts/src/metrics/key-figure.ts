/** What every figure of a report carries beside its value: unit, how much was measured, bounds, where it comes from. */
import type { Total } from './bounds.js';
import type { EnergyBasis } from './energy.js';

/** A figure of a period. */
export interface KeyFigure {
  /** Null when it cannot be known: not wired, not measured, or without meaning (a share of nothing). */
  readonly value: number | null;
  /** As printed beside the value; empty for a ratio of equal units. */
  readonly unit: string;
  /** Share of the period that was measured, 0 to 1. */
  readonly completeness: number;
  /** Where the truth of a total lies; null for what is not a total. */
  readonly bounds: { readonly low: number; readonly high: number } | null;
  /** Of an energy: from counters, integrated from power, or both. Null for everything else. */
  readonly basis: EnergyBasis | null;
  /** Whether the value holds assumed parts: filled gaps, or a formula that is itself an estimate. */
  readonly estimate: boolean;
}

/** A total as a figure. */
export function totalFigure(total: Total | undefined, unit: string, basis: EnergyBasis | null): KeyFigure {
  if (total === undefined || total.value === null) return noFigure(unit, total?.completeness);
  const { value, low, high, completeness, estimate } = total;
  return { value, unit, completeness, bounds: { low: low ?? value, high: high ?? value }, basis, estimate };
}

/** A figure that is not a total. Values that are not finite become null. */
export function plainFigure(
  value: number | null | undefined,
  unit: string,
  completeness: number,
  estimate = false,
): KeyFigure {
  const known = value !== null && value !== undefined && Number.isFinite(value);
  return { value: known ? value : null, unit, completeness, bounds: null, basis: null, estimate: known && estimate };
}

/** A figure that cannot be known here. */
export const noFigure = (unit: string, completeness = 0): KeyFigure => ({
  value: null,
  unit,
  completeness,
  bounds: null,
  basis: null,
  estimate: false,
});

/** A quotient; null where the divisor is missing or not above zero. */
export function ratio(part: number | null | undefined, whole: number | null | undefined): number | null {
  if (part === null || part === undefined || whole === null || whole === undefined || !(whole > 0)) return null;
  return part / whole;
}
