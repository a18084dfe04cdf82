/** Times and durations as people type them at the village, and as they are shown to them: in the village's zone. */
import { VillagridError, zoneOffsetMs } from '@villagrid/contracts';

const dayMs = 86_400_000;
const unitMs: Readonly<Record<string, number>> = { m: 60_000, min: 60_000, h: 3_600_000, d: dayMs };

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });

/** A duration such as 45min, 2h, 1h30min or 3d, milliseconds. Throws E_REQUEST_INVALID with the option's name. */
export function durationOf(text: string, option: string): number {
  const parts = [...text.matchAll(/(\d{1,6}(?:\.\d{1,3})?)\s*(min|m|h|d)\s*/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text.trimStart())
    throw wrong(
      `${option} is "${text}"; it must be a number with min, h or d.`,
      `Write it as ${option} 2h, or 45min, 1h30min, 1d.`,
    );
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0), 0);
}

/**
 * A time, Unix ms: 17:30 (the next such time after `afterMs`), a date with or without a time, both of the village's
 * clock, or ISO 8601 with an offset. A time that the clock leaves out when it is put forward is taken as the one that
 * lies as far behind the change. Throws E_REQUEST_INVALID with the option's name.
 */
export function momentOf(
  text: string,
  option: string,
  { zone, afterMs }: { readonly zone: string; readonly afterMs: number },
): number {
  const clock = /^(\d{1,2}):(\d{2})$/.exec(text);
  if (clock !== null) {
    const ofDayMs = (Number(clock[1]) * 60 + Number(clock[2])) * 60_000;
    if (Number(clock[2]) > 59 || ofDayMs >= dayMs) throw noTime(text, option);
    const today = Math.floor((afterMs + zoneOffsetMs(zone, afterMs)) / dayMs) * dayMs;
    const at = fromWall(today + ofDayMs, zone);
    return at > afterMs ? at : fromWall(today + dayMs + ofDayMs, zone);
  }
  const parts = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/.exec(text);
  const wallMs = parts === null ? NaN : Date.parse(`${parts[1]}T${parts[2] ?? '00:00'}Z`);
  // A date such as 31 February is moved into March by some parsers.
  if (parts === null || !Number.isFinite(wallMs) || !new Date(wallMs).toISOString().startsWith(`${parts[1]}`))
    throw noTime(text, option);
  return parts[3] === undefined ? fromWall(wallMs, zone) : Date.parse(text.replace(' ', 'T'));
}

/** A time as it is shown: "29 Nov 2026, 17:30" of the village's clock. */
export function momentText(timeMs: number, zone: string): string {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: zone }).format(timeMs);
}

const noTime = (text: string, option: string) =>
  wrong(
    `${option} is "${text}"; that is no time.`,
    `Write it as ${option} 17:30, or ${option} 2026-11-29T06:00, in the village's time.`,
  );

function fromWall(wallMs: number, zone: string): number {
  const guess = wallMs - zoneOffsetMs(zone, wallMs);
  return wallMs - zoneOffsetMs(zone, guess);
}
