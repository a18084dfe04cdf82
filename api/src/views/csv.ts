/** CSV as RFC 4180 says, and the form spreadsheets of the village's country open by a double click. Pure. */
import { zoneOffsetMs } from '@villagrid/contracts';

/** How a file is written. */
export interface CsvForm {
  readonly separator: ',' | ';';
  readonly decimal: '.' | ',';
  /** Mark at the start by which spreadsheets know UTF-8. */
  readonly mark: string;
  readonly contentType: string;
}

/** For programs: RFC 4180. */
export const plainForm: CsvForm = { separator: ',', decimal: '.', mark: '', contentType: 'text/csv; charset=utf-8' };

/** For spreadsheets: semicolons; a decimal comma, as they expect it beside semicolons, unless a point is asked for. */
export const spreadsheetForm = (decimal: '.' | ','): CsvForm => ({
  separator: ';',
  decimal,
  mark: '\ufeff',
  contentType: 'text/csv; charset=utf-8',
});

/** One line end, as RFC 4180 has it. */
const lineEnd = '\r\n';

/** A text as a cell: quoted where needed; what a spreadsheet would run as a formula is kept a text by an apostrophe. */
export function textCell(text: string, { separator }: CsvForm): string {
  const safe = /^[=+\-@\t\r\n|%]/.test(text) ? `'${text}` : text;
  return /["\r\n]/.test(safe) || safe.includes(separator) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A number as a cell; empty for none. Numbers are never quoted: a sign in front of digits runs nothing. */
export function numberCell(value: number | null | undefined, form: CsvForm): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '';
  const text = String(value);
  return form.decimal === '.' ? text : text.replace('.', ',');
}

/** A line of cells. */
export const csvLine = (cells: readonly string[], { separator }: CsvForm): string => cells.join(separator) + lineEnd;

/** Writes times of a zone; asks the zone as seldom as it can: clocks change at quarter hours, on few days. */
export class ZoneTimes {
  readonly #zone: string;
  /** Stretch in which the offset is known to hold. */
  #fromMs = 0;
  #toMs = 0;
  #offsetMs = 0;

  constructor(zone: string) {
    this.#zone = zone;
  }

  #offset(timeMs: number): number {
    if (timeMs >= this.#fromMs && timeMs < this.#toMs) return this.#offsetMs;
    const dayMs = Math.floor(timeMs / 86_400_000) * 86_400_000;
    const offsetMs = zoneOffsetMs(this.#zone, dayMs);
    const steady = zoneOffsetMs(this.#zone, dayMs + 86_400_000) === offsetMs;
    this.#fromMs = steady ? dayMs : Math.floor(timeMs / 900_000) * 900_000;
    this.#toMs = this.#fromMs + (steady ? 86_400_000 : 900_000);
    this.#offsetMs = steady ? offsetMs : zoneOffsetMs(this.#zone, this.#fromMs);
    return this.#offsetMs;
  }

  /** ISO 8601 with the offset of the zone: 2026-11-25T10:00:00+03:00; milliseconds only where there are any. */
  iso(timeMs: number): string {
    const offsetMs = this.#offset(timeMs);
    const minutes = Math.abs(Math.round(offsetMs / 60_000));
    const two = (value: number) => String(value).padStart(2, '0');
    const sign = offsetMs < 0 ? '-' : '+';
    return `${isoText(timeMs + offsetMs)}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  }

  /** As spreadsheets read it: 2026-11-25 10:00:00, on the village's clock. */
  plain(timeMs: number): string {
    return isoText(timeMs + this.#offset(timeMs))
      .slice(0, 19)
      .replace('T', ' ');
  }
}

/** ISO 8601 in UTC. */
export const isoUtc = (timeMs: number): string => `${isoText(timeMs)}Z`;

const isoText = (timeMs: number): string => new Date(timeMs).toISOString().replace(/(\.000)?Z$/, '');
