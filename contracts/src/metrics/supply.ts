/**
 * Supply of the village: when it had power, when not and why, and how good it was. An interruption is measured: AC output
 * out of limits or inverter off (no voltage), seen in valid samples. Time without samples is unknown: neither supply nor
 * outage, and shown beside both.
 */
import { zoneOffsetMs } from '../history/resolution.js';
import type { TimeSpan } from './raster.js';

/** What was measured over a stretch: AC voltage, and frequency where there is one. */
export interface SupplySpan extends TimeSpan {
  readonly voltageV: number;
  readonly frequencyHz: number | null;
}

/** Between which values the village has power; outside is an interruption. */
export interface SupplyLimits {
  readonly lowV: number;
  readonly highV: number;
  readonly lowHz: number;
  readonly highHz: number;
}

/** Limits of an interruption around nominal: less than 85 % does not run equipment, more than 120 % destroys it. */
export const interruptionLimits = (nominalV: number, nominalHz: number): SupplyLimits => ({
  lowV: 0.85 * nominalV,
  highV: 1.2 * nominalV,
  lowHz: nominalHz - 5,
  highHz: nominalHz + 5,
});

/** Limits of good supply around nominal: V within 10 %, f within 1 Hz. */
export const qualityLimits = (nominalV: number, nominalHz: number): SupplyLimits => ({
  lowV: 0.9 * nominalV,
  highV: 1.1 * nominalV,
  lowHz: nominalHz - 1,
  highHz: nominalHz + 1,
});

/** Why the village had no power. */
export const interruptionCauses = [
  'battery_empty',
  'overload',
  'inverter_fault',
  'mains',
  'planned',
  'unknown',
] as const;
export type InterruptionCause = (typeof interruptionCauses)[number];

/** A stretch without power. Its ends lie at samples: where a gap touches it, it may have been longer. */
export interface Interruption extends TimeSpan {
  /** Known time without power, ms; less than its length where a gap lies in it. */
  readonly offMs: number;
  readonly startsInGap: boolean;
  readonly endsInGap: boolean;
}

/** Supply of a stretch. `onMs + offMs + unknownMs` is its length. */
export interface Supply {
  readonly onMs: number;
  readonly offMs: number;
  readonly unknownMs: number;
  readonly interruptions: readonly Interruption[];
}

const within = (span: SupplySpan, { lowV, highV, lowHz, highHz }: SupplyLimits): boolean =>
  span.voltageV >= lowV &&
  span.voltageV <= highV &&
  (span.frequencyHz === null || (span.frequencyHz >= lowHz && span.frequencyHz <= highHz));

/**
 * Judges spans, in order of time and not overlapping, over [fromMs, toMs). An interruption with a gap inside is one when
 * there was no power on both sides of the gap; the gap itself is unknown time.
 */
export function supplyOf(spans: readonly SupplySpan[], limits: SupplyLimits, fromMs: number, toMs: number): Supply {
  let onMs = 0;
  let offMs = 0;
  let reachedMs = fromMs;
  const interruptions: Interruption[] = [];
  let open: { fromMs: number; toMs: number; offMs: number; startsInGap: boolean } | undefined;
  const end = (endsInGap: boolean) => {
    if (open !== undefined) interruptions.push({ ...open, endsInGap });
    open = undefined;
  };
  for (const span of spans) {
    const startMs = Math.max(span.fromMs, reachedMs);
    const endMs = Math.min(span.toMs, toMs);
    if (endMs <= startMs) continue;
    const gap = startMs > reachedMs;
    if (within(span, limits)) {
      end(gap);
      onMs += endMs - startMs;
    } else {
      open ??= { fromMs: startMs, toMs: startMs, offMs: 0, startsInGap: gap };
      open.toMs = endMs;
      open.offMs += endMs - startMs;
      offMs += endMs - startMs;
    }
    reachedMs = endMs;
  }
  end(reachedMs < toMs);
  return { onMs, offMs, unknownMs: toMs - fromMs - onMs - offMs, interruptions };
}

/** What is known of the moment before an interruption, for its cause. Null where not measured. */
export interface CauseEvidence {
  readonly planned: boolean;
  readonly socPct: number | null;
  readonly floorPct: number;
  readonly loadKw: number | null;
  /** Load above which the plant is overloaded. */
  readonly overloadKw: number | null;
  /** Hottest equipment and the limit it stops at, °C. */
  readonly equipmentC: number | null;
  readonly equipmentLimitC: number | null;
  /** Whether the mains went away at the same time at a grid that hangs on it. */
  readonly mainsLost: boolean;
}

/** Charge above its floor at which an inverter may already give up, %. */
const floorMarginPct = 2;

/** The likeliest cause by what was measured just before: planned, empty battery, overload, hot inverter, mains. */
export function interruptionCause(evidence: CauseEvidence): InterruptionCause {
  const { socPct, floorPct, loadKw, overloadKw, equipmentC, equipmentLimitC } = evidence;
  if (evidence.planned) return 'planned';
  if (socPct !== null && socPct <= floorPct + floorMarginPct) return 'battery_empty';
  if (loadKw !== null && overloadKw !== null && loadKw >= overloadKw) return 'overload';
  if (equipmentC !== null && equipmentLimitC !== null && equipmentC >= equipmentLimitC) return 'inverter_fault';
  return evidence.mainsLost ? 'mains' : 'unknown';
}

/** An interruption longer than this is sustained; shorter ones are momentary (IEEE 1366). */
export const sustainedFromMs = 5 * 60_000;

/** Reliability indices of one feeder without a customer map: every interruption hits every customer. */
export interface Reliability {
  /** Hours without power of the sustained interruptions per customer served. */
  readonly saidiHours: number;
  /** Sustained interruptions per customer served. */
  readonly saifi: number;
  readonly caidiHours: number | null;
  /** Momentary interruptions per customer served. */
  readonly maifi: number;
  /** Available share of the known time; null when nothing is known. */
  readonly availability: number | null;
}

/** SAIDI, SAIFI = 1 each, CAIDI = SAIDI / SAIFI, MAIFI, and (T - outage) / T over known time. */
export function reliability({ onMs, offMs, interruptions }: Supply): Reliability {
  const sustained = interruptions.filter((one) => one.toMs - one.fromMs > sustainedFromMs);
  const saidiHours = sustained.reduce((sum, one) => sum + one.offMs, 0) / 3_600_000;
  const knownMs = onMs + offMs;
  return {
    saidiHours,
    saifi: sustained.length,
    caidiHours: sustained.length === 0 ? null : saidiHours / sustained.length,
    maifi: interruptions.length - sustained.length,
    availability: knownMs === 0 ? null : onMs / knownMs,
  };
}

/** Quality of the supply while there was power: share of that time within limits, and how often it left them. */
export function supplyQuality(
  spans: readonly SupplySpan[],
  interrupted: SupplyLimits,
  good: SupplyLimits,
): { readonly share: number | null; readonly knownMs: number; readonly sags: number } {
  let knownMs = 0;
  let goodMs = 0;
  let sags = 0;
  let sagging = false;
  for (const span of spans) {
    if (!within(span, interrupted)) {
      sagging = false;
      continue;
    }
    const width = span.toMs - span.fromMs;
    knownMs += width;
    if (within(span, good)) goodMs += width;
    const low = span.voltageV < good.lowV;
    if (low && !sagging) sags += 1;
    sagging = low;
  }
  return { share: knownMs === 0 ? null : goodMs / knownMs, knownMs, sags };
}

/** Local hours of the evening, when power is worth most. */
export const eveningHours = { from: 18, to: 22 } as const;

/** The evenings of local days, Unix ms. */
export function evenings(zone: string, days: readonly TimeSpan[]): TimeSpan[] {
  return days.map(({ fromMs, toMs }) => {
    // By the clock on the wall: at a change of the clock the evening keeps its name, not its distance from midnight.
    const midnight = Math.floor((toMs - 3_600_000 + zoneOffsetMs(zone, toMs - 3_600_000)) / 86_400_000) * 86_400_000;
    const at = (hour: number) => {
      const local = midnight + hour * 3_600_000;
      return local - zoneOffsetMs(zone, Math.max(fromMs, local - zoneOffsetMs(zone, toMs - 1)));
    };
    return { fromMs: at(eveningHours.from), toMs: at(eveningHours.to) };
  });
}
