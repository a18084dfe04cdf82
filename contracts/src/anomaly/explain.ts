/**
 * Says why something is out of the ordinary: which series make it so, each one's share, what would have been usual, and
 * the smallest change that would have kept it silent. A series is to blame as far as putting it right makes all that is
 * known of the site fit again. Pure.
 */
import { metricDefinition } from '../metrics/catalogue.js';
import { finished, type Steps } from '../metrics/steps.js';
import { shortNumber } from '../rules/texts/fill.js';
import type { UsualRange } from './baseline.js';
import { seriesWords, type WatchedSeries } from './checks.js';
import { oddFrom, type CheckStand, type Findings } from './detect.js';

/** One series that makes the anomaly. Values in the metric's unit. */
export interface AnomalyInput {
  readonly series: WatchedSeries;
  /** Part of the blame, 0 to 1; all parts add up to 1. */
  readonly share: number;
  /** Its mean in the window; null when it says nothing. */
  readonly value: number | null;
  /** Where it would have been in keeping with everything else; null where nothing tells. */
  readonly expected: { readonly low: number; readonly high: number } | null;
  /** What is usual at this hour, where the site knows its usual day. */
  readonly usual: UsualRange | null;
  /** What is wrong with it: off, or silent, or always the same. */
  readonly kind: 'off' | 'silent' | 'stuck';
  /** What it was held against, in words. */
  readonly against: readonly string[];
}

/** The explanation of an anomaly. */
export interface AnomalyExplanation {
  readonly atMs: number;
  /** Deviation of the worst check, in usual deviations; 4 is the limit. */
  readonly score: number;
  /** The likeliest first. */
  readonly inputs: readonly AnomalyInput[];
  /**
   * The smallest change of the first series that would have kept it silent: whether of everything found, or only of its
   * own part. Null where no value would (it says nothing, or is stuck).
   */
  readonly silencedBy: { readonly from: number; readonly to: number; readonly whole: boolean } | null;
}

/** Scores count at most this much for the blame. */
const mostScore = 12;
/** A check that cannot raise counts so much less. */
const weakWeight = 0.15;
const mostInputs = 4;
/** Checks of a series whose own solution is tried. */
const mostTried = 6;
/** What silence or stillness that raises weighs. */
const stillCost = mostScore ** 2;

const cost = (score: number, raises: boolean): number => Math.min(score, mostScore) ** 2 * (raises ? 1 : weakWeight);

/** Whether a window holds anything that raises. Silence alone is told by the rule for silent devices. */
export const isAnomalous = ({ checks, still }: Findings): boolean =>
  checks.some((one) => one.fires && one.check.raises) || still.some((one) => one.fires && one.kind === 'stuck');

/** Explains a window's findings; undefined when nothing raises. `usual` gives what is usual for a series at that time. */
export function explainFindings(
  findings: Findings,
  usual: (series: string) => UsualRange | undefined,
): AnomalyExplanation | undefined {
  return finished(explainInSteps(findings, usual));
}

/** The same in steps of a millisecond or so, for a gateway that has other things to do. */
export function* explainInSteps(
  findings: Findings,
  usual: (series: string) => UsualRange | undefined,
): Steps<AnomalyExplanation | undefined> {
  const { checks, still, values, instead, judge } = findings;
  const firing = checks.filter((one) => one.fires && one.check.raises);
  const standing = still.filter((one) => one.fires);
  if (firing.length === 0 && standing.length === 0) return undefined;
  const byId = new Map<string, WatchedSeries>();
  for (const { check } of checks) byId.set(check.series.id, check.series);
  for (const { series } of still) byId.set(series.id, series);
  const touching = new Map<string, CheckStand[]>();
  for (const one of checks)
    for (const id of [one.check.series.id, ...one.check.inputs])
      if (byId.has(id)) touching.set(id, [...(touching.get(id) ?? []), one]);

  const replaced = new Map<string, number>();
  const scores = new Map(checks.map((one) => [one, one.fires ? Math.max(one.score, oddFrom) : one.score]));
  const suspects = new Set(firing.flatMap(({ check }) => [check.series.id, ...check.inputs]));
  const found: { readonly id: string; readonly won: number; readonly kind: AnomalyInput['kind'] }[] = [];
  for (const { series, kind } of standing) {
    suspects.delete(series.id);
    found.push({ id: series.id, won: stillCost, kind });
  }

  /** Cost of the checks that read a series, were it this value. */
  const costOf = (id: string, value: number): number => {
    const read = instead(new Map([...replaced, [id, value]]));
    let sum = 0;
    for (const one of touching.get(id) ?? []) sum += cost(judge(one, read).score, one.check.raises);
    return sum;
  };
  /** The value of a series with which a check finds nothing. */
  const solved = (one: CheckStand, id: string, from: number): number | undefined => {
    let value = from;
    for (let round = 0; round < 2; round += 1) {
      const step = Math.max(1e-3, Math.abs(value) * 0.01);
      const here = judge(one, instead(new Map([...replaced, [id, value]]))).deviation;
      const there = judge(one, instead(new Map([...replaced, [id, value + step]]))).deviation;
      const slope = (there - here) / step;
      if (Math.abs(slope) < 1e-9) return undefined;
      value -= here / slope;
    }
    return Number.isFinite(value) ? value : undefined;
  };
  /** The value that fits best with all that is known, and what it wins. */
  const best = (id: string): { readonly value: number; readonly won: number } | undefined => {
    const own = touching.get(id) ?? [];
    const now = values.mean(id);
    if (Number.isNaN(now)) return undefined;
    const before = own.reduce((sum, one) => sum + cost(scores.get(one) ?? 0, one.check.raises), 0);
    const odd = own.filter((one) => (scores.get(one) ?? 0) >= 2 && one.score > 0);
    odd.sort((a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0));
    const tried = odd.slice(0, mostTried).map((one) => solved(one, id, now));
    const definition = metricDefinition(byId.get(id)?.metric ?? '');
    let winner: { readonly value: number; readonly won: number } | undefined;
    for (const value of [...tried, usual(id)?.middle]) {
      // A value that the thing cannot have explains nothing.
      if (value === undefined || (definition && (value < definition.min || value > definition.max))) continue;
      const won = before - costOf(id, value);
      if (winner === undefined || won > winner.won) winner = { value, won };
    }
    return winner;
  };

  while (found.length < mostInputs && suspects.size > 0) {
    if (firing.every((one) => (scores.get(one) ?? 0) < oddFrom)) break;
    let top: { readonly id: string; readonly value: number; readonly won: number } | undefined;
    for (const id of suspects) {
      const one = best(id);
      yield;
      if (one !== undefined && one.won > 0.5 && (top === undefined || one.won > top.won)) top = { id, ...one };
    }
    if (top === undefined) break;
    suspects.delete(top.id);
    replaced.set(top.id, top.value);
    const read = instead(replaced);
    for (const one of touching.get(top.id) ?? []) scores.set(one, judge(one, read).score);
    found.push({ id: top.id, won: top.won, kind: 'off' });
  }
  // Nothing that could be put right would help: whose check it is.
  if (found.length === 0)
    for (const { check, evidence } of firing.slice(0, mostInputs))
      if (found.every((one) => one.id !== check.series.id))
        found.push({ id: check.series.id, won: evidence, kind: 'off' });

  found.sort((a, b) => b.won - a.won);
  found.length = Math.min(found.length, mostInputs);
  const total = found.reduce((sum, one) => sum + one.won, 0);
  const inputs = found.map(({ id, won, kind }): AnomalyInput => {
    const value = values.mean(id);
    const range = usual(id) ?? null;
    return {
      series: byId.get(id) as WatchedSeries,
      share: total > 0 ? won / total : 1 / found.length,
      value: Number.isNaN(value) ? null : value,
      expected: kind === 'off' ? expectedRange(id, replaced.get(id)) : null,
      usual: range,
      kind,
      against: [
        ...new Set(
          firing
            .filter(({ check }) => check.series.id === id || check.inputs.includes(id))
            .map(({ check }) => (check.series.id === id ? check.words : `the ${seriesWords(check.series)}`)),
        ),
      ],
    };
  });
  const worst = Math.max(0, ...firing.map((one) => Math.max(one.score, one.evidence > 0 ? oddFrom : 0)));
  const score = standing.length > 0 ? Math.max(worst, oddFrom) : worst;
  return { atMs: findings.startMs, score, inputs, silencedBy: silencedBy() };

  /** The stretch around the fitting value in which the series' own checks are within the ordinary. */
  function expectedRange(id: string, fitting: number | undefined): { low: number; high: number } | null {
    if (fitting === undefined) return null;
    const [own] = checks
      .filter((one) => one.check.series.id === id && Number.isFinite(one.expected.value))
      .sort((a, b) => b.score - a.score);
    const width = own === undefined ? 0 : oddFrom * own.expected.spread;
    return { low: fitting - width, high: fitting + width };
  }

  /** Goes from the first series' value towards the fitting one, as far as needed. */
  function silencedBy(): AnomalyExplanation['silencedBy'] {
    const [first] = inputs;
    const to = first === undefined ? undefined : replaced.get(first.series.id);
    const from = first?.value;
    if (first === undefined || to === undefined || from === undefined || from === null) return null;
    const own = firing.filter(({ check }) => [check.series.id, ...check.inputs].includes(first.series.id));
    const isSilent = (share: number): boolean => {
      const read = instead(new Map([[first.series.id, from + (to - from) * share]]));
      return own.every((one) => judge(one, read).score <= oddFrom);
    };
    if (!isSilent(1)) return { from, to, whole: false };
    let [low, high] = [0, 1];
    for (let round = 0; round < 16; round += 1) {
      const middle = (low + high) / 2;
      if (isSilent(middle)) high = middle;
      else low = middle;
    }
    return { from, to: from + (to - from) * high, whole: own.length === firing.length && standing.length === 0 };
  }
}

/** An explanation in plain words, as an alert shows it. */
export interface AnomalyWords {
  readonly headline: string;
  readonly why: string;
  readonly steps: readonly string[];
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The explanation in words. */
export function anomalyWords({ inputs, silencedBy }: AnomalyExplanation): AnomalyWords {
  const [first] = inputs;
  if (first === undefined) return { headline: 'Something is out of the ordinary.', why: '', steps: [] };
  const unit = (metric: string): string => {
    const text = metricDefinition(metric)?.unit ?? '';
    return text === '' ? '' : ` ${text}`;
  };
  const of = unit(first.series.metric);
  const name = capital(seriesWords(first.series));
  const now = first.value === null ? 'nothing' : `${shortNumber(first.value)}${of}`;
  const headline =
    first.kind === 'stuck'
      ? `${name} does not move any more: it stays at ${now}.`
      : first.kind === 'silent'
        ? `${name} is not heard any more.`
        : first.expected === null
          ? `${name} is out of the ordinary: ${now}.`
          : `${name} is ${now}; ${shortNumber(first.expected.low)} to ${shortNumber(first.expected.high)}${of} would be ordinary.`;
  const parts: string[] = [];
  if (first.against.length > 0) parts.push(`It was held against ${first.against.join('; ')}.`);
  if (first.usual !== null)
    parts.push(
      `Usual at this hour: ${shortNumber(first.usual.low)} to ${shortNumber(first.usual.high)}${of} (${first.usual.days} days known).`,
    );
  const shares = inputs.map((one) => `${seriesWords(one.series)} ${Math.round(one.share * 100)} %`);
  parts.push(inputs.length === 1 ? `It alone makes the alarm.` : `What makes the alarm: ${shares.join(', ')}.`);
  if (silencedBy !== null)
    parts.push(
      silencedBy.whole
        ? `With ${shortNumber(silencedBy.to)}${of} instead nothing would have been said.`
        : `With ${shortNumber(silencedBy.to)}${of} instead, part of it would remain.`,
    );
  const device = first.series.deviceName;
  const steps =
    first.kind === 'off'
      ? [
          `Look at ${device}: does it run, is it hot, does it show a fault?`,
          `If all is well there, compare what it reads with its own display or another meter.`,
          'If this is how it shall be from now on (a new machine, a repair), write a note: it becomes ordinary within days.',
        ]
      : [
          `Switch ${device} off and on, and look whether its own display moves.`,
          `Check its cable and its connection to the gateway.`,
        ];
  return { headline, why: parts.join(' '), steps };
}
