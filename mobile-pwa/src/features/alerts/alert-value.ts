/** The value an alert was raised at, and the present one beside it: the two are seldom the same for long. */
import type { AlertView, FigureView } from '@villagrid/contracts';
import { momentText, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import type { GridView } from '../../live/apply.js';
import { ageText, figureFreshness } from '../../ui/value.js';

/** After how long a value that is not known anew is told with its time, ms. */
const mentionMs = 60_000;

/** The figure that shows what an alert is about: of the grid, or fed by the device's series alone. */
function figureOf(alert: AlertView, view: GridView | undefined): FigureView | undefined {
  const figures = view?.summary.figures ?? {};
  const { metric, device_id } = alert;
  if (metric === null) return undefined;
  if (device_id === null) return figures[metric];
  return Object.values(figures).find(
    ({ sources }) => sources.length === 1 && sources[0]?.device_id === device_id && sources[0].metric === metric,
  );
}

/** A newer value than the one at raising, and when that is: "now", or its age where it is late. */
export interface Present {
  readonly value: string;
  readonly when: string;
}

/** The present value of what an open alert is about; undefined when it is not known. */
export function presentValue(
  alert: AlertView,
  view: GridView | undefined,
  nowMs: number,
  zone: string,
  heard: boolean,
): Present | undefined {
  const { metric } = alert;
  if (metric === null || alert.status !== 'active' || !heard) return undefined;
  const figure = figureOf(alert, view);
  const state = figureFreshness(figure, nowMs);
  if (figure === undefined || figure.value === null || (state !== 'live' && state !== 'late')) return undefined;
  return {
    value: quantityText(metric, figure.value, figure.unit),
    when: state === 'live' ? t('age.now') : ageText(figure, nowMs, zone),
  };
}

/** "61 °C, now 78 °C", or "61 °C at 05:14"; undefined for an alert without a value. */
export function alertValueText(
  alert: AlertView,
  present: Present | undefined,
  nowMs: number,
  zone: string,
): string | undefined {
  const { value, metric, unit, raised_at_ms } = alert;
  if (value === null || metric === null) return undefined;
  const then = quantityText(metric, value, unit ?? undefined);
  if (present !== undefined)
    return present.value === then
      ? then
      : t('alerts.valueNow', { value: then, when: present.when, now: present.value });
  return nowMs - raised_at_ms < mentionMs
    ? then
    : t('alerts.valueAt', { value: then, when: momentText(raised_at_ms, nowMs, zone) });
}
