/** A figure on screen: number, unit, age. The one component that draws values, so that the age rules hold everywhere. */
import { freshness, type FigureView } from '@villagrid/contracts';
import { agoText, momentText, quantity } from '../i18n/format.js';
import { t } from '../i18n/messages.js';

/**
 * Freshness recomputed as time passes, from the sample's own time and period. Without a server (`heard` false) nothing
 * is current, however young the saved value is.
 */
export function figureFreshness(figure: FigureView | undefined, nowMs: number, heard = true): FigureView['freshness'] {
  if (figure === undefined || figure.value === null) return 'unknown';
  if (!heard) return figure.time_ms === null ? 'unknown' : 'stale';
  if (figure.quality === 'uncertain_last_known') return 'stale';
  return freshness(figure.time_ms, nowMs, figure.period_s * 1000);
}

/** Words for an age that is not live; empty for a live figure. */
export function ageText(figure: FigureView | undefined, nowMs: number, zone: string, heard = true): string {
  const state = figureFreshness(figure, nowMs, heard);
  const time = figure?.time_ms ?? null;
  if (time === null || state === 'live') return '';
  if (state === 'late') return agoText(time, nowMs, zone);
  if (state === 'stale') return t('age.asOf', { when: momentText(time, nowMs, zone) });
  return '';
}

/** Whether a figure is worked out from others because there is no meter for it. */
export const isDerived = (figure: FigureView | undefined): boolean => figure?.quality === 'uncertain_derived';

/** The age of a live figure, in one calm word; nothing for the others, whose age stands in full where `ageText` is shown. */
export function LiveAge({
  figure,
  nowMs,
  heard = true,
}: {
  figure: FigureView | undefined;
  nowMs: number;
  heard?: boolean;
}) {
  return figureFreshness(figure, nowMs, heard) === 'live' ? (
    <span class="live-age">{t(isDerived(figure) ? 'age.nowDerived' : 'age.live')}</span>
  ) : null;
}

/** Number and unit of a figure; an em dash with "no data" when unknown. */
export function Value({
  metric,
  figure,
  nowMs,
  heard = true,
}: {
  metric: string;
  figure: FigureView | undefined;
  nowMs: number;
  heard?: boolean;
}) {
  const state = figureFreshness(figure, nowMs, heard);
  if (figure === undefined || figure.value === null)
    return (
      <span class="val none" data-figure={metric}>
        —<i> {t(figure?.quality.startsWith('bad') ? 'value.bad' : 'value.none')}</i>
      </span>
    );
  const { number, unit } = quantity(metric, figure.value, figure.unit);
  return (
    <span class={`val ${state === 'stale' ? 'stale' : ''}`} data-figure={metric} data-state={state}>
      {number}
      <i> {unit}</i>
    </span>
  );
}
