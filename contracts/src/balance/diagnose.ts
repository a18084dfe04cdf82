/**
 * Which meter of a site lies. All relations are held against the readings of about a day; where some do not hold, every
 * fault of every channel is mended in thought. The one whose mending makes all of them hold, and no other's, is named;
 * where the site's meters cannot decide, all that explain it as well are. Pure.
 */
import { finished, type Steps } from '../metrics/steps.js';
import type { BalanceDay, MeterChannel } from './channels.js';
import { mendedFaults, type ChannelFault } from './faults.js';
import type { Reading, Readings, Relation, RelationFit } from './relation.js';
import { relationsOf } from './relations.js';

/** A relation with how far it was from believable. */
export interface RelationResult {
  readonly id: string;
  readonly kind: Relation['kind'];
  readonly words: string;
  readonly channels: readonly string[];
  readonly holds: boolean;
  readonly score: number;
  readonly share: number;
}

/**
 * What the check found. `right`: everything measured fits. `named`: one channel. `ambiguous`: several explain it alike.
 * `unexplained`: something does not fit and no single fault explains it. `unknown`: too little is measured to say anything.
 */
export type BalanceState = 'right' | 'named' | 'ambiguous' | 'unexplained' | 'unknown';

export interface BalanceDiagnosis {
  readonly state: BalanceState;
  /** The fault when named; all that explain it alike when ambiguous, the likeliest first. */
  readonly faults: readonly ChannelFault[];
  readonly relations: readonly RelationResult[];
  /** Relations that hold once the named fault is mended. */
  readonly mends: readonly string[];
  /** What the site lacks for further relations, in words. */
  readonly lacks: readonly string[];
}

/** A relation further from believable than this does not hold. */
const believable = 14;
/** How much better a fault must explain the day than no fault. */
const worthBlaming = 9;
/** How much better it must be than the next channel's to be named alone. */
const margin = 6;
const mostAmbiguous = 4;

/** Values as the wiring counts them; a channel that was hardly measured is left out. */
function readingsOf(day: BalanceDay): Readings {
  const out = new Map<string, Reading>();
  for (const one of day.channels) {
    const columns = day.columns.get(one.id);
    if (columns === undefined || columns.mean.every((value) => Number.isNaN(value))) continue;
    const scale = (values: Float64Array) => (one.factor === 1 ? values : values.map((value) => value * one.factor));
    const [a, b] = [scale(columns.min), scale(columns.max)];
    const [min, max] = one.factor < 0 ? [b, a] : [a, b];
    out.set(one.id, { mean: scale(columns.mean), min, max, last: scale(columns.last) });
  }
  return out;
}

/** Judges about a day of a site. */
export function diagnoseBalance(day: BalanceDay): BalanceDiagnosis {
  return finished(diagnoseBalanceInSteps(day));
}

/** The same in steps of a millisecond or so, for a gateway that has other things to do. */
export function* diagnoseBalanceInSteps(day: BalanceDay): Steps<BalanceDiagnosis> {
  const { relations, lacks } = relationsOf(day);
  const readings = readingsOf(day);
  const asIs = new Map<string, RelationFit>();
  const asked: Relation[] = [];
  for (const relation of relations) {
    const fit = relation.evaluate(readings);
    if (fit === undefined) continue;
    asIs.set(relation.id, fit);
    asked.push(relation);
  }
  const results: RelationResult[] = asked.map(({ id, kind, words, channels }) => {
    const { score, share } = asIs.get(id) as RelationFit;
    return { id, kind, words, channels, holds: score <= believable, score, share };
  });
  const failing = asked.filter((one) => (asIs.get(one.id) as RelationFit).score > believable);
  const base = { relations: results, lacks, faults: [], mends: [] };
  // That generation is never negative proves no more than that it is not negative.
  const tells = asked.some((one) => !['sign', 'night', 'range'].includes(one.kind));
  if (failing.length === 0) return { ...base, state: tells ? 'right' : 'unknown' };

  const total = results.reduce((sum, one) => sum + one.score, 0);
  const explaining: { readonly fault: ChannelFault; readonly score: number; readonly mends: readonly string[] }[] = [];
  for (const { fault, readings: mended, cost } of mendedFaults(day, readings, asked, failing)) {
    const touched = new Set(
      fault.other === undefined ? [fault.channel, ...fault.along].map((one) => one.id) : touchedBySwap(day, fault),
    );
    yield;
    let score = cost;
    let whole = true;
    for (const relation of asked) {
      const before = asIs.get(relation.id) as RelationFit;
      const after = relation.channels.some((id) => touched.has(id)) ? relation.evaluate(mended) : before;
      if (after === undefined) {
        // A fault whose mending leaves nothing to be asked proves nothing, but for one that leaves the channel out.
        if (fault.kind === 'stuck' || fault.kind === 'unclear') continue;
        whole = false;
        break;
      }
      score += after.score;
      if (after.score > believable || score > total) {
        whole = false;
        break;
      }
    }
    if (!whole || total - score < worthBlaming) continue;
    explaining.push({ fault, score, mends: failing.map((one) => one.id) });
  }
  explaining.sort((a, b) => a.score - b.score);
  const [best] = explaining;
  if (best === undefined) return { ...base, state: 'unexplained' };
  const rivals: ChannelFault[] = [];
  for (const { fault, score } of explaining) {
    if (score > best.score + margin) break;
    if ([best.fault, ...rivals].every((one) => !sameMeter(one, fault))) rivals.push(fault);
  }
  const faults = [best.fault, ...rivals.slice(0, mostAmbiguous - 1)];
  return { ...base, state: rivals.length > 0 ? 'ambiguous' : 'named', faults, mends: best.mends };
}

/**
 * Whether a finding may be a mere picture of a change within the day (a meter repaired at noon): only when it lasts a whole
 * day does it tell of a fault.
 */
export const needsWholeDay = ({ state, faults }: BalanceDiagnosis): boolean =>
  state !== 'named' || faults.some((one) => one.kind === 'unclear' || one.atRest === true);

const idsOf = (fault: ChannelFault): string[] =>
  [fault.channel, ...(fault.other === undefined ? [] : [fault.other])].map((one) => one.id);

/** A swap exchanges everything the two devices measure of their flows, or only the two. */
const touchedBySwap = ({ channels }: BalanceDay, { channel, along, other }: ChannelFault): string[] =>
  along.length === 0
    ? [channel.id, (other as MeterChannel).id]
    : channels
        .filter((one) => [channel, other].some((end) => one.deviceId === end?.deviceId && one.flow === end.flow))
        .map((one) => one.id);

/** Whether two faults point at the same meter: a person goes to the same place. */
function sameMeter(a: ChannelFault, b: ChannelFault): boolean {
  const [left, right] = [idsOf(a), idsOf(b)];
  if (left.some((id) => right.includes(id))) return true;
  const all = (one: ChannelFault) => [one.channel, ...one.along].map(({ id }) => id);
  return (a.along.length > 0 || b.along.length > 0) && all(a).some((id) => all(b).includes(id));
}
