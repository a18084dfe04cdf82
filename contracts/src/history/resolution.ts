/** Resolutions, windows and which resolution answers a question: one function for phone, gateway and cloud. */

/** Resolutions as the API calls them (`granularity`). */
export const granularities = ['raw', '1m', '15m', '1h', '1d'] as const;
export type Granularity = (typeof granularities)[number];
/** A resolution that is kept as windows. */
export type Resolution = Exclude<Granularity, 'raw'>;

/** Width of a window in milliseconds; a day is nominal (local days may have 23 or 25 hours). */
export const resolutionMs: Readonly<Record<Resolution, number>> = {
  '1m': 60_000,
  '15m': 900_000,
  '1h': 3_600_000,
  '1d': 86_400_000,
};

/** Periods the API takes by name, in milliseconds. */
export const periodsMs = {
  '1h': 3_600_000,
  '6h': 21_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
  '30d': 2_592_000_000,
  '1y': 31_536_000_000,
} as const;
export type Period = keyof typeof periodsMs;

/** Most points of one series in one answer; a longer range needs a coarser resolution. */
export const maxPoints = 12_000;

/**
 * The cheapest resolution that gives at least about `points` points over the range, or the finest that stays within
 * `maxPoints`; raw only for ranges up to an hour.
 */
export function chooseResolution(fromMs: number, toMs: number, points = 400): Granularity {
  const range = Math.max(1, toMs - fromMs);
  if (range <= 3_600_000) return 'raw';
  let finest: Resolution = '1d';
  for (const resolution of ['1d', '1h', '15m', '1m'] as const) {
    const given = range / resolutionMs[resolution];
    if (given > maxPoints) break;
    if (given >= points * 0.8) return resolution;
    finest = resolution;
  }
  return finest;
}

/** Start of the window of fixed width that holds a time (1m, 15m, 1h; UTC-aligned). */
export function windowStartMs(timeMs: number, resolution: Exclude<Resolution, '1d'>): number {
  const width = resolutionMs[resolution];
  return Math.floor(timeMs / width) * width;
}

const offsetFormats = new Map<string, Intl.DateTimeFormat>();

/** Offset of an IANA zone from UTC at a time, milliseconds, east positive. Throws RangeError for an unknown zone. */
export function zoneOffsetMs(zone: string, timeMs: number): number {
  let format = offsetFormats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    offsetFormats.set(zone, format);
  }
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(timeMs)) part[type] = Number(value);
  const local = Date.UTC(
    part.year ?? 1970,
    (part.month ?? 1) - 1,
    part.day ?? 1,
    part.hour ?? 0,
    part.minute ?? 0,
    part.second ?? 0,
  );
  return local - Math.floor(timeMs / 1000) * 1000;
}

/** The first moment of the local date that holds a time, Unix ms, also where the zone's offset changes at midnight. */
export function localDayStartMs(zone: string, timeMs: number): number {
  const offset = zoneOffsetMs(zone, timeMs);
  const midnight = Math.floor((timeMs + offset) / 86_400_000) * 86_400_000;
  // The offset may have changed since midnight, or at it: of the moments that could be midnight take the first that
  // is on the date. Midnight may come twice (clock put back to it) or not at all (put forward from it).
  const before = zoneOffsetMs(zone, midnight - offset - 3 * 3_600_000);
  if (before === offset) return midnight - offset;
  const first = midnight - Math.max(before, offset);
  return first + zoneOffsetMs(zone, first) >= midnight ? first : midnight - Math.min(before, offset);
}
