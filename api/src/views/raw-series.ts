/** Raw series of a figure: sums of samples that were not taken at the same instant. Pure. */
import { metricPrecision, qualityClass, quantise, type Wire, type WireTerm } from '@villagrid/contracts';
import type { RawColumns } from '../ports.js';

/** Times and values, ascending; null where the sample was bad. */
export interface RawValues {
  readonly t: number[];
  readonly value: (number | null)[];
}

/** The usable values of samples: bad ones become null. */
export function usableValues({ t, value, quality }: RawColumns): RawValues {
  return {
    t: [...t],
    value: value.map((one, at) => (qualityClass(quality[at] ?? 0) === 'bad' ? null : one)),
  };
}

/** One term with its samples and the period of its device, milliseconds. */
export interface RawTerm {
  readonly term: WireTerm;
  readonly values: RawValues;
  readonly periodMs: number;
}

/**
 * Adds terms at the times of the first: each other term gives its last value of at most two of its periods before;
 * where it has none, the sum is left out.
 */
export function addRaw(metric: string, terms: readonly RawTerm[]): RawValues {
  const [first, ...others] = terms;
  const out: RawValues = { t: [], value: [] };
  if (first === undefined) return out;
  const at = others.map(() => -1);
  const precision = metricPrecision(metric);
  for (const [row, time] of first.values.t.entries()) {
    const own = first.values.value[row] ?? null;
    let sum: number | null = own === null ? null : own * first.term.factor;
    let known = true;
    for (const [o, { term, values, periodMs }] of others.entries()) {
      let index = at[o] as number;
      while (index + 1 < values.t.length && (values.t[index + 1] as number) <= time) index += 1;
      at[o] = index;
      if (index < 0 || time - (values.t[index] as number) > 2 * periodMs) {
        known = false;
        continue;
      }
      const value = values.value[index] ?? null;
      sum = sum === null || value === null ? null : sum + value * term.factor;
    }
    if (!known) continue;
    out.t.push(time);
    out.value.push(sum === null ? null : quantise(sum, precision));
  }
  return out;
}

/** The primary, and the fallback's values where the primary has none within two periods. */
export function fillRaw(primary: RawValues, fallback: RawValues, periodMs: number): RawValues {
  const rows = primary.t.map((t, at) => ({ t, value: primary.value[at] ?? null }));
  let next = 0;
  for (const [at, t] of fallback.t.entries()) {
    while (next < primary.t.length && (primary.t[next] as number) < t) next += 1;
    const before = next > 0 ? t - (primary.t[next - 1] as number) : Number.POSITIVE_INFINITY;
    const after = next < primary.t.length ? (primary.t[next] as number) - t : Number.POSITIVE_INFINITY;
    if (Math.min(before, after) > 2 * periodMs) rows.push({ t, value: fallback.value[at] ?? null });
  }
  rows.sort((a, b) => a.t - b.t);
  return { t: rows.map((row) => row.t), value: rows.map((row) => row.value) };
}

/** Sample by sample the hottest of several: the times of all, each with the highest value known then. */
export function hottestRaw(parts: readonly { readonly values: RawValues; readonly periodMs: number }[]): RawValues {
  const times = [...new Set(parts.flatMap(({ values }) => values.t))].sort((a, b) => a - b);
  const at = parts.map(() => -1);
  return {
    t: times,
    value: times.map((time) => {
      let best: number | null = null;
      for (const [p, { values, periodMs }] of parts.entries()) {
        let index = at[p] as number;
        while (index + 1 < values.t.length && (values.t[index + 1] as number) <= time) index += 1;
        at[p] = index;
        if (index < 0 || time - (values.t[index] as number) > 2 * periodMs) continue;
        const value = values.value[index] ?? null;
        if (value !== null && (best === null || value > best)) best = value;
      }
      return best;
    }),
  };
}

/** All terms of a wire, primary and fallback. */
export const wireTerms = (wire: Wire): readonly WireTerm[] => [...wire.terms, ...(wire.fallback ?? [])];
