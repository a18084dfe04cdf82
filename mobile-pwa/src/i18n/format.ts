/** Numbers, units and times as people read them: the one place where values become text (UX.md section 3). */
import { metricDefinition, parseMetricId, zoneOffsetMs } from '@villagrid/contracts';
import { isMessageKey, isolated, language, t } from './messages.js';

/** A value ready to be drawn: the number and its unit apart, so that the unit may be lighter. */
export interface Quantity {
  readonly number: string;
  readonly unit: string;
}

/** Number and unit never part at the end of a line. */
export const nbsp = '\u00a0';

/** A server's sentence with its numbers and units held together. */
export const unbroken = (text: string): string =>
  text.replace(/(\d) (?=(%|°C|[kM]?Wh?|V|A|Hz|min|h|s)\b|%|°C)/g, `$1${nbsp}`);

/** The same digits in every language: those that the meters themselves show. */
const numberingSystem = 'latn';
const numberFormats = new Map<string, Intl.NumberFormat>();
/** The format of numbers in the reader's language, made once. */
export function numberFormat(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const { tag, formats } = language.value;
  const key = tag + JSON.stringify(options);
  let format = numberFormats.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat([...formats], { useGrouping: false, numberingSystem, ...options });
    numberFormats.set(key, format);
  }
  return format;
}
const decimals = (value: number, digits: number): string =>
  numberFormat({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(
    // No minus zero: "-0" is a sign without a meaning.
    Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value,
  );
const significant = (value: number): string =>
  value === 0 ? '0' : numberFormat({ minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).format(value);

/** Power or energy given in thousands (kW, kWh): the unit's step that keeps three digits readable. */
function stepped(thousands: number, unit: 'W' | 'Wh'): Quantity {
  const size = Math.abs(thousands);
  if (size < 0.9995) return { number: decimals(thousands * 1000, 0), unit };
  if (size < 999.5) return { number: significant(thousands), unit: `k${unit}` };
  return { number: significant(thousands / 1000), unit: `M${unit}` };
}

/** Decimals of the metrics that are shown with a fixed precision. */
const shownDecimals: Readonly<Record<string, number>> = {
  battery_soc_pct: 0,
  fuel_level_pct: 0,
  dc_bus_voltage_v: 1,
  dc_bus_current_a: 1,
  ac_output_voltage_v: 0,
  ac_frequency_hz: 2,
  equipment_temp_c: 0,
  ambient_temp_c: 0,
  irradiance_w_m2: 0,
  irradiance_poa_w_m2: 0,
  humidity_pct: 0,
  genset_hours: 0,
};

/** A value of a metric as number and unit. `unit` is the API's, for metrics the catalogue does not know. */
export function quantity(metric: string, value: number, unit?: string, extraDecimals = 0): Quantity {
  const { base } = parseMetricId(metric);
  const own = metricDefinition(metric)?.unit ?? unit ?? '';
  if (own === 'kW') return stepped(value, 'W');
  if (own === 'kWh') return stepped(value, 'Wh');
  const digits = shownDecimals[base];
  if (digits !== undefined) return { number: decimals(value, digits + extraDecimals), unit: own };
  return { number: significant(value), unit: own };
}

/** A value of a metric as one text; states become words. */
export function quantityText(metric: string, value: number | null, unit?: string): string {
  if (value === null) return `— ${t('value.none')}`;
  const { base } = parseMetricId(metric);
  if (base === 'grid_tie_connected') return t(value > 0.5 ? 'tile.connected' : 'tile.notConnected');
  if (base === 'grid_tie_enabled') return t(value > 0.5 ? 'tile.tieOn' : 'tile.tieOff');
  if (base === 'fault_state') return t(value < 1 ? 'state.well' : value < 2 ? 'state.off' : 'state.fault');
  const { number, unit: shown } = quantity(metric, value, unit);
  return isolated(shown === '' ? number : `${number}${nbsp}${shown}`);
}

/** Percent without decimals. */
export const percentText = (value: number): string => isolated(`${decimals(value, 0)}${nbsp}%`);

/** Label of a metric or figure; the part after the dot names the component: "Equipment temperature, inverter 1". */
export function metricLabel(metric: string, given?: string): string {
  const { base, suffix } = parseMetricId(metric);
  const key = `metric.${base}`;
  const label = isMessageKey(key) ? t(key) : (metricDefinition(metric)?.label ?? given ?? base.replaceAll('_', ' '));
  return suffix === undefined ? label : label + comma() + isolated(componentName(suffix));
}

/** "inverter-1" as people write it: "inverter 1". */
export const componentName = (suffix: string): string =>
  suffix
    .replaceAll(/[-_]/g, ' ')
    .replace(/([a-z])(\d)/g, '$1 $2')
    .replace(/[a-z]+/g, (word) => {
      const key = `component.${word}`;
      return isMessageKey(key) ? t(key) : word;
    });

const manners = { hourCycle: 'h23', calendar: 'gregory', numberingSystem } as const;
/** Between the parts of a date. */
const comma = (): string => `${language.value.comma ?? ','} `;
const timeFormats = new Map<string, Intl.DateTimeFormat>();
/** The format of times in a zone and the reader's language, made once; UTC for a zone this browser does not know. */
export function timeFormat(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const { tag, formats } = language.value;
  const key = tag + zone + JSON.stringify(options);
  let format = timeFormats.get(key);
  if (format === undefined) {
    try {
      format = new Intl.DateTimeFormat([...formats], { timeZone: zone, ...manners, ...options });
    } catch {
      // A zone this browser does not know: say UTC times rather than nothing.
      format = new Intl.DateTimeFormat([...formats], { timeZone: 'UTC', ...manners, ...options });
    }
    timeFormats.set(key, format);
  }
  return format;
}

/** Clock time in a zone, "14:05". */
export const clockText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { hour: '2-digit', minute: '2-digit' }).format(timeMs);

/** Day and month in a zone, "19 Nov". */
export const dayText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { day: 'numeric', month: 'short' }).format(timeMs);

/** Weekday, day and clock, "Thu 19 Nov, 20:00". */
export const dayClockText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { weekday: 'short', day: 'numeric', month: 'short' }).format(timeMs).replace(/[,،]/, '') +
  comma() +
  clockText(timeMs, zone);

/** Weekday and day, "Thu 19 Nov 2026". */
export const dateText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' })
    .format(timeMs)
    .replace(/[,،]/g, '');

/** Whether two times lie on the same local day of a zone. */
export function sameDay(a: number, b: number, zone: string): boolean {
  const options: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' };
  return timeFormat(zone, options).format(a) === timeFormat(zone, options).format(b);
}

/** Clock time on the same day, day and clock otherwise. */
export const momentText = (timeMs: number, nowMs: number, zone: string): string => spanEndText(nowMs, timeMs, zone);

/** End of a span whose begin is told: the clock alone on the day it began, else with its day, be that today. */
export const spanEndText = (fromMs: number, toMs: number, zone: string): string =>
  sameDay(fromMs, toMs, zone) ? clockText(toMs, zone) : dayText(toMs, zone) + comma() + clockText(toMs, zone);

/** How long ago: seconds and minutes up to an hour, then clock time, then date and time. */
export function agoText(timeMs: number, nowMs: number, zone: string): string {
  const seconds = Math.max(0, Math.round((nowMs - timeMs) / 1000));
  if (seconds < 2) return t('age.now');
  if (seconds < 60) return t('age.seconds', { n: seconds });
  if (seconds < 3600) return t('age.minutes', { n: Math.floor(seconds / 60) });
  return momentText(timeMs, nowMs, zone);
}

/** A duration in its largest fitting unit: "14 min", "3 h", "2 days". */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return t('age.for.seconds', { n: seconds });
  if (seconds < 3600) return t('age.for.minutes', { n: Math.floor(seconds / 60) });
  if (seconds < 48 * 3600) return t('age.for.hours', { n: Math.floor(seconds / 3600) });
  return t('age.for.days', { n: Math.floor(seconds / 86_400) });
}

/** Whether a phone in `phoneZone` reads other clock times than the grid's zone, at a moment. */
export function zonesDiffer(zone: string, phoneZone: string, nowMs: number): boolean {
  try {
    return zoneOffsetMs(zone, nowMs) !== zoneOffsetMs(phoneZone, nowMs);
  } catch {
    return true;
  }
}

/** First letter upper case, for messages that start a line. */
export const sentenceStart = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** First letter lower case inside a sentence, unless the word is an abbreviation such as "AC". */
export const sentenceMiddle = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;

/** A size in bytes: "320 kB", "1.2 MB". */
export function bytesText(bytes: number): string {
  if (bytes < 1_000_000) return isolated(`${decimals(bytes / 1000, 0)} kB`);
  return isolated(`${decimals(bytes / 1_000_000, 1)} MB`);
}
