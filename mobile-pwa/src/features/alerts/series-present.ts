/** The present value of a series that feeds no figure: the summary does not carry it, so it is asked for while an alert is read. */
import { useEffect, useState } from 'preact/hooks';
import type { AlertView } from '@villagrid/contracts';
import { agoText, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import type { Present } from './alert-value.js';

/** How far back a value is looked for, ms. */
const askedMs = 15 * 60_000;
/** A window of a minute this old is the newest there can be, ms. */
const newMs = 150_000;

/** The newest value of the series of an open alert, asked for once a minute while it is `wanted`; undefined when not known. */
export function useSeriesPresent(alert: AlertView | undefined, wanted: boolean, zone: string): Present | undefined {
  const { api, state } = useApp();
  const [found, setFound] = useState<{ readonly timeMs: number; readonly value: number }>();
  const nowMs = state.nowMs.value;
  const { metric = null, device_id: device = null, grid_id: gridId = '', alert_id: alertId } = alert ?? {};
  const asks = wanted && metric !== null && device !== null && alert?.status === 'active';
  useEffect(() => setFound(undefined), [alertId]);
  useEffect(() => {
    if (!asks) return;
    let gone = false;
    const asked = { from: Math.round(nowMs - askedMs), to: Math.round(nowMs), granularity: '1m', device };
    api.history(gridId, [metric], asked).then(
      ({ series }) => {
        const [one] = series;
        const at = one?.mean.findLastIndex((value) => value !== null) ?? -1;
        const [timeMs, value] = [one?.times_ms[at], one?.mean[at]];
        if (!gone && timeMs !== undefined && typeof value === 'number') setFound({ timeMs, value });
      },
      // What is known from before stays, with its age.
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [alertId, asks, Math.floor(nowMs / 60_000)]);
  if (!asks || found === undefined) return undefined;
  return {
    value: quantityText(metric, found.value, alert?.unit ?? undefined),
    when: nowMs - found.timeMs < newMs ? t('age.now') : agoText(found.timeMs, nowMs, zone),
  };
}
