/** Where a village lies and what its clocks on the wall say. */

/** A place on earth: degrees north and east, and an IANA time zone. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
  readonly zone: string;
}

/** The place of the reference village. */
export const defaultPlace: Place = { latitude: -3.4, longitude: 38.0, zone: 'Africa/Nairobi' };

/** Local calendar of an instant: whole days since 1970-01-01 local, day of the year from 0, minute of the day with fractions. */
export interface LocalTime {
  readonly dayNumber: number;
  readonly dayOfYear: number;
  readonly minuteOfDay: number;
}

const dayMs = 86_400_000;

/** A function from Unix milliseconds to local time in the zone; the offset is looked up once an hour of that time. */
export function createLocalTime(zone: string): (timeMs: number) => LocalTime {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  let cachedSlot = Number.NaN;
  let cachedOffsetMs = 0;
  const offsetMs = (timeMs: number): number => {
    const slot = Math.floor(timeMs / 900_000);
    if (slot !== cachedSlot) {
      const parts = new Map(
        format.formatToParts(new Date(slot * 900_000)).map((part) => [part.type, Number(part.value)]),
      );
      const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
      cachedOffsetMs = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute')) - slot * 900_000;
      cachedSlot = slot;
    }
    return cachedOffsetMs;
  };
  return (timeMs) => {
    const localMs = timeMs + offsetMs(timeMs);
    const dayNumber = Math.floor(localMs / dayMs);
    const year = new Date(dayNumber * dayMs).getUTCFullYear();
    return {
      dayNumber,
      dayOfYear: dayNumber - Math.floor(Date.UTC(year, 0, 1) / dayMs),
      minuteOfDay: (localMs - dayNumber * dayMs) / 60_000,
    };
  };
}
