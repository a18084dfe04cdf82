/** Figures of a report as people read them. Pure. */
import type { ReportFigureView } from '@villagrid/contracts';
import { nbsp, numberFormat, percentText, quantity, timeFormat, type Quantity } from '../../i18n/format.js';
import { isMessageKey, t } from '../../i18n/messages.js';

/** Month and year, "November 2026". */
export const monthText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { month: 'long', year: 'numeric' }).format(timeMs);

/** Month alone, "Nov". */
export const monthShortText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { month: 'short' }).format(timeMs);

/** Year alone, "2026". */
export const yearText = (timeMs: number, zone: string): string => timeFormat(zone, { year: 'numeric' }).format(timeMs);

/** Day of the month alone, "19". */
export const dayNumberText = (timeMs: number, zone: string): string =>
  timeFormat(zone, { day: 'numeric' }).format(timeMs);

/** A number with at most so many decimals. */
const shortNumber = (value: number, digits: number): string =>
  numberFormat({ maximumFractionDigits: digits }).format(Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value);

/** Number and unit of a figure's value. A share below 100 % is never rounded up to it. */
export function figureQuantity(value: number, unit: string): Quantity {
  if (unit === 'kWh' || unit === 'kW') return quantity('report', value, unit);
  if (unit === '%') {
    const digits = value > 99 && value < 100 ? 1 : 0;
    const cut = value < 100 ? Math.min(value, digits === 1 ? 99.9 : 100) : value;
    return { number: shortNumber(cut, digits), unit };
  }
  if (unit === 'times' || unit === 'cycles') {
    const word = unit === 'times' ? t('reports.times', { n: value }) : unit;
    return { number: shortNumber(value, Number.isInteger(value) ? 0 : 1), unit: word };
  }
  if (unit === '') return { number: shortNumber(value, Number.isInteger(value) ? 0 : 1), unit };
  return { number: shortNumber(value, unit === 'h' ? 1 : 2), unit };
}

/** Name of a figure in the reader's language, the server's English otherwise. */
export function figureName({ id, label }: ReportFigureView): string {
  const key = `reports.figure.${id}`;
  return isMessageKey(key) ? t(key) : label;
}

const text = ({ number, unit }: Quantity): string => (unit === '' ? number : `${number}${nbsp}${unit}`);

/** A share measured, as percent; what is not whole is never said to be. */
export const shareText = (share: number): string => percentText(share < 1 ? Math.min(99, share * 100) : 100);

/** The small line under a figure: bounds where they are open, how much was measured unless the group says so, its source. */
export function figureNote(figure: ReportFigureView, groupShare: number): string {
  const { value, low, high, unit, completeness, basis, estimate } = figure;
  const parts: string[] = [];
  if (value !== null && low !== null && high !== null && high - low > 0.02 * Math.max(Math.abs(value), 0.5))
    parts.push(t('reports.between', { low: text(figureQuantity(low, unit)), high: text(figureQuantity(high, unit)) }));
  if (Math.abs(completeness - groupShare) > 0.02) parts.push(t('reports.measured', { value: shareText(completeness) }));
  if (estimate) parts.push(t('reports.estimate'));
  if (basis === 'integrated' || basis === 'mixed') parts.push(t(`reports.basis.${basis}`));
  return parts.join(' · ');
}
