/** Bars of energy made and used, row by row. What was not measured is hatched; what was partly filled in is pale. */
import type { Report, ReportRow } from '@villagrid/contracts';
import { clockText, dateText, quantity, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import { dayNumberText, monthShortText } from './words.js';

/** Rows measured to less than this share are drawn pale. */
const wholeFrom = 0.9;
const kwh = 'consumption_energy_kwh';

/** A round number at or above a value, for the top of the scale. */
export function niceTop(value: number): number {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return size * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * size >= value * 0.999) ?? 10);
}

/** Name of a row: hour, day or month. */
export const rowName = (row: ReportRow, by: Report['rows_by'], zone: string): string =>
  by === 'hour'
    ? `${clockText(row.from_ms, zone)}–${clockText(row.to_ms, zone)}`
    : by === 'day'
      ? dateText(row.from_ms, zone)
      : monthShortText(row.from_ms, zone);

/** Short mark under a bar; empty where there is no room for one. */
function mark(row: ReportRow, at: number, count: number, by: Report['rows_by'], zone: string): string {
  const every = count > 60 ? 30 : count > 14 ? 5 : by === 'hour' ? 4 : 1;
  if (by === 'hour') return at % 4 === 0 ? clockText(row.from_ms, zone).slice(0, 2) : '';
  if (by === 'month') return monthShortText(row.from_ms, zone);
  return at === 0 || (at + 1) % every === 0 ? dayNumberText(row.from_ms, zone) : '';
}

export function EnergyBars({ report }: { report: Report }) {
  const { rows, rows_by: by, zone } = report;
  const most = Math.max(0, ...rows.flatMap((row) => [row.generation_kwh ?? 0, row.consumption_kwh ?? 0]));
  const top = niceTop(most);
  const { unit } = quantity(kwh, top);
  const number = (value: number) => quantity(kwh, value).number;
  const best = (key: 'generation_kwh' | 'consumption_kwh') =>
    rows.reduce<ReportRow | undefined>((a, b) => ((b[key] ?? -1) > (a?.[key] ?? -1) ? b : a), undefined);
  const words = (['generation_kwh', 'consumption_kwh'] as const)
    .flatMap((key) => {
      const row = best(key);
      if (row?.[key] == null) return [];
      const label = t(key === 'generation_kwh' ? 'reports.made' : 'reports.used');
      return t('reports.most', { label, value: quantityText(kwh, row[key]), when: rowName(row, by, zone) });
    })
    .join(' ');
  const bar = (row: ReportRow, key: 'generation_kwh' | 'consumption_kwh', kind: string) => {
    const value = row[key];
    if (value === null) return <i class={`bar ${kind} none`} />;
    const height = Math.max(0, (value / top) * 100);
    return (
      <i class={`bar ${kind} ${row.completeness < wholeFrom ? 'part' : ''}`} style={{ blockSize: `${height}%` }} />
    );
  };
  return (
    <figure class="bars-figure">
      <div class="bars" role="img" aria-label={`${t('reports.chart')}. ${words}`}>
        <div class="scale" aria-hidden="true">
          <span>{`${number(top)} ${unit}`}</span>
          <span>{number(top / 2)}</span>
          <span>0</span>
        </div>
        <div class="plot" aria-hidden="true">
          {rows.map((row, at) => (
            <div
              class={`slot ${row.generation_kwh === null && row.consumption_kwh === null ? 'gap' : ''}`}
              key={row.from_ms}
            >
              <div class="pair">
                {bar(row, 'generation_kwh', 'made')}
                {bar(row, 'consumption_kwh', 'used')}
              </div>
              <span>{mark(row, at, rows.length, by, zone)}</span>
            </div>
          ))}
        </div>
      </div>
      <figcaption>
        <span>
          <i class="key made" aria-hidden="true" /> {t('reports.made')}
        </span>
        <span>
          <i class="key used" aria-hidden="true" /> {t('reports.used')}
        </span>
        {rows.some((row) => row.completeness < wholeFrom) && (
          <span>
            <i class="key used part" aria-hidden="true" /> {t('reports.partly')}
          </span>
        )}
      </figcaption>
    </figure>
  );
}
