/** Where the points of one device are: a fixed map, or what the walk through a SunSpec device found. Pure. */
import type { ModelPoint, PointType, PollingClass, Profile, ProfilePoint } from './profile-schema.js';

/** A point with everything known that reading and decoding needs. */
export interface ResolvedPoint {
  /** Unique within the layout; of a SunSpec model with its id before it, `103.W`. */
  readonly key: string;
  readonly function: 3 | 4;
  /** 0-based address of its first register on the wire. */
  readonly address: number;
  readonly count: number;
  readonly type: PointType;
  readonly lswFirst: boolean;
  readonly swapBytes?: boolean;
  /** Address of the upper half of a 32-bit value, where it is not beside the lower. */
  readonly highAddress?: number | undefined;
  /** Addresses from one register to the next. */
  readonly step?: number;
  /** Bits that count, shifted down. */
  readonly mask?: bigint | undefined;
  /** Answers only when nothing else is asked with it. */
  readonly alone?: boolean;
  readonly scale: number;
  readonly offset: number;
  readonly scaleFactor: string | undefined;
  /** Raw bits that mean: no value. */
  readonly missing: readonly bigint[];
  readonly validIf:
    | { readonly point: string; readonly above?: number | undefined; readonly one_of?: readonly number[] | undefined }
    | undefined;
  readonly metric: string | undefined;
  readonly metricFactor: number;
  readonly metricMap: Readonly<Record<string, number>> | undefined;
  /** How it tells whether the device is well. */
  readonly trouble?: ProfilePoint['trouble'];
  readonly polling: PollingClass;
  /** As the profile has it, for people: unit, meaning of numbers and bits. */
  readonly written?: ProfilePoint | ModelPoint;
}

/** Registers that must hold exactly these words, or the whole reading is not of this layout. */
export interface Guard {
  readonly function: 3 | 4;
  readonly address: number;
  readonly words: readonly number[];
}

/** All points of one device. */
export interface Layout {
  readonly points: readonly ResolvedPoint[];
  readonly guards: readonly Guard[];
  /** Values that follow from points. */
  readonly computed?: readonly Computed[];
}

/** A product of points. */
export interface Computed {
  readonly key: string;
  readonly multiply: readonly string[];
  readonly metric: string;
  readonly metricFactor: number;
}

/** A model found in a SunSpec device; `length` as the device says it, without the two header registers. */
export interface FoundModel {
  readonly id: number;
  readonly address: number;
  readonly length: number;
}

/** Registers a type takes; a text says its own. */
export function registersOf(type: PointType, textRegisters = 1): number {
  switch (type) {
    case 'u32':
    case 'enum32':
    case 'sm32':
    case 'bcd32':
    case 's32':
    case 'f32':
    case 'bits32':
    case 'acc32':
      return 2;
    case 'u64':
    case 's64':
    case 'bits64':
    case 'f64':
    case 'acc64':
      return 4;
    case 'str':
      return textRegisters;
    default:
      return 1;
  }
}

/** The codes of "no value" of a point: its own, or those of its type. */
function codesOf(point: ProfilePoint | ModelPoint, byType: Profile['missing']): readonly (number | string)[] {
  return point.missing ?? (byType as Record<string, readonly (number | string)[]> | undefined)?.[point.type] ?? [];
}

/** A point as often as it is there, at the addresses that follow. */
function resolve(
  profile: Profile,
  point: ProfilePoint | ModelPoint,
  address: number,
  missing: readonly (number | string)[],
): ResolvedPoint[] {
  const first: ResolvedPoint = {
    key: point.key,
    function: point.function ?? profile.function,
    address,
    count: registersOf(point.type, point.registers),
    type: point.type,
    lswFirst: (point.word_order ?? profile.word_order) === 'lsw_first',
    swapBytes: point.swap_bytes ?? false,
    highAddress: 'high_address' in point ? point.high_address : undefined,
    step: profile.address_step,
    mask: point.mask === undefined ? undefined : BigInt(point.mask),
    alone: point.alone ?? false,
    scale: point.scale ?? 1,
    offset: point.offset ?? 0,
    scaleFactor: point.scale_factor,
    missing: missing.map((one) => BigInt(one)),
    validIf: point.valid_if,
    metric: point.metric,
    metricFactor: point.metric_factor ?? 1,
    metricMap: point.metric_map,
    trouble: point.trouble,
    polling: point.polling ?? 'fast',
    written: point,
  };
  const { repeat } = point;
  if (!repeat) return [first];
  return Array.from({ length: repeat.count }, (_, i) => ({
    ...first,
    key: `${point.key}_${i + 1}`,
    address: address + i * repeat.stride,
  }));
}

/** Where a point's registers end: the first address behind them. */
export function endOf({ address, count, step = 1, highAddress }: ResolvedPoint): number {
  return highAddress === undefined ? address + count * step : Math.max(address, highAddress) + step;
}

/** Where a point's registers begin. */
export const startOf = ({ address, highAddress }: ResolvedPoint): number =>
  highAddress === undefined ? address : Math.min(address, highAddress);

/** Metrics that only slow points of a profile feed. */
export function slowMetrics(profile: Profile): string[] {
  const points = [...(profile.points ?? []), ...(profile.sunspec?.models ?? []).flatMap((model) => model.points)];
  const fed = (slow: boolean) =>
    points.flatMap(({ metric, polling }) => (metric !== undefined && (polling === 'slow') === slow ? [metric] : []));
  const fast = new Set(fed(false));
  return [...new Set(fed(true))].filter((metric) => !fast.has(metric));
}

/** The layout of a profile with fixed addresses. */
export function fixedLayout(profile: Profile): Layout {
  const points = (profile.points ?? []).flatMap((point) =>
    resolve(profile, point, point.address, codesOf(point, profile.missing)),
  );
  const computed = (profile.computed ?? []).map(({ key, multiply, metric, metric_factor: metricFactor = 1 }) => ({
    key,
    multiply,
    metric,
    metricFactor,
  }));
  return { points, guards: [], computed };
}

/**
 * The layout of a SunSpec device. Of several models that a profile's entry takes, the first in the device counts; points
 * beyond a model's length as the device says it are left out; the header of each model that feeds metrics is guarded.
 */
export function sunspecLayout(profile: Profile, chain: readonly FoundModel[]): Layout {
  const points: ResolvedPoint[] = [];
  const guards: Guard[] = [];
  const { models = [], missing: byType } = profile.sunspec ?? {};
  for (const model of models) {
    const found = chain.find(({ id }) => model.ids.includes(id));
    if (!found) continue;
    if (model.points.some((point) => point.metric !== undefined))
      guards.push({ function: profile.function, address: found.address, words: [found.id, found.length] });
    // Two models of one device may name their points alike.
    const name = (key: string) => `${found.id}.${key}`;
    for (const point of model.points) {
      const codes = codesOf(point, byType);
      for (const one of resolve(profile, point, found.address + point.model_offset, codes)) {
        if (endOf(one) > found.address + found.length + 2) continue;
        points.push({
          ...one,
          key: name(one.key),
          scaleFactor: one.scaleFactor === undefined ? undefined : name(one.scaleFactor),
          validIf: one.validIf && { ...one.validIf, point: name(one.validIf.point) },
        });
      }
    }
  }
  return { points, guards };
}
