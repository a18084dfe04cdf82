/** The chart's values as a table, newest first. */
import type { AlignedHistory } from '../../chart/day.js';
import { clockText, dateText, dayClockText, metricLabel, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';

/** Rows shown at once: more would make a cheap phone stutter; zoom in for the rest. */
const mostRows = 200;

export function HistoryTable({
  history,
  metrics,
  range,
  zone,
}: {
  history: AlignedHistory;
  metrics: readonly string[];
  range: { fromMs: number; toMs: number };
  zone: string;
}) {
  const rows: number[] = [];
  for (let i = history.times.length - 1; i >= 0 && rows.length < mostRows; i -= 1) {
    const time = history.times[i] ?? 0;
    if (
      time >= range.fromMs &&
      time <= range.toMs &&
      metrics.some((metric) => (history.series[metric]?.mean[i] ?? null) !== null)
    )
      rows.push(i);
  }
  const whole = history.stepMs >= 86_400_000;
  /** The day is said where it changes: said in every row it leaves no room for the values. */
  const timeText = (i: number, above: number | undefined) => {
    const time = history.times[i] ?? 0;
    if (whole) return dateText(time, zone);
    const isSameDay = above !== undefined && dateText(history.times[above] ?? 0, zone) === dateText(time, zone);
    return isSameDay ? clockText(time, zone) : dayClockText(time, zone);
  };
  return (
    <div class="history-table" role="region" aria-label={t('history.table')} tabIndex={0}>
      <p class="note-line flush">{t('history.tableNote', { n: rows.length })}</p>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('history.time')}</th>
            {metrics.map((metric) => (
              <th scope="col" key={metric}>
                {metricLabel(metric)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((i, at) => (
            <tr key={i}>
              <th scope="row">{timeText(i, rows[at - 1])}</th>
              {metrics.map((metric) => (
                <td key={metric}>{quantityText(metric, history.series[metric]?.mean[i] ?? null)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
