/** The verdict in words: three questions answered in one breath. Pure: facts in, three lines of text out. */
import type { AlertView, Summary } from '@villagrid/contracts';
import { zoneOffsetMs } from '@villagrid/contracts';
import { clockText, durationText, momentText, percentText, sentenceMiddle, sentenceStart } from './format.js';
import { t } from './messages.js';

/** Lines of the verdict: the bold fact, the plain second line, the small third. */
export interface VerdictWords {
  readonly lead: string;
  readonly rest: string;
  readonly small: string;
}

/** Local hour at which the night counts as survived: the sun is up and charges again. */
const morningHour = 7;

/** Whether `emptyAtMs` lies behind the next local morning after `nowMs`. */
export function lastsTheNight(emptyAtMs: number, nowMs: number, zone: string): boolean {
  const offset = zoneOffsetMs(zone, nowMs);
  const localNow = nowMs + offset;
  const day = 86_400_000;
  let morning = Math.floor(localNow / day) * day + morningHour * 3_600_000;
  if (morning <= localNow) morning += day;
  return emptyAtMs + offset >= morning;
}

/**
 * Puts the verdict into words. `current` is false when the facts are too old to be said in the present tense; then the
 * sentence says what was known at `asOfMs`.
 */
export function verdictWords(options: {
  readonly summary: Pick<Summary, 'verdict' | 'zone' | 'plant'>;
  readonly openAlerts: readonly Pick<AlertView, 'type' | 'severity' | 'message' | 'shelved_until_ms'>[];
  readonly current: boolean;
  readonly asOfMs: number | null;
  readonly nowMs: number;
}): VerdictWords {
  const { summary, openAlerts, current, asOfMs, nowMs } = options;
  const { verdict, zone } = summary;
  const soc = verdict.battery_soc_pct === null ? null : percentText(verdict.battery_soc_pct);
  if (!current || verdict.power === 'unknown') {
    if (asOfMs === null) return { lead: t('verdict.unknown'), rest: t('verdict.neverSeen'), small: '' };
    const when = momentText(asOfMs, nowMs, zone);
    if (verdict.power === 'unknown' && current)
      return { lead: t('verdict.unknown'), rest: soc === null ? '' : batteryLine(soc, options).rest, small: '' };
    const power = sentenceMiddle(t(`power.${verdict.power}`));
    return {
      lead: t('verdict.unknown'),
      rest: soc === null ? t('verdict.thenNoBattery', { when, power }) : t('verdict.then', { when, power, soc }),
      small: '',
    };
  }
  // Whether there is power is the lead itself; another alert may say why.
  const serious = openAlerts.find(
    ({ severity, type }) => (severity === 'critical' || severity === 'high') && !type.startsWith('no_power'),
  );
  const what = serious === undefined ? undefined : serious.message.replace(/\.$/, '');
  const lead =
    verdict.power === 'off'
      ? what === undefined
        ? t('verdict.off')
        : t('verdict.offBecause', { what: sentenceStart(what) })
      : verdict.power === 'partly'
        ? t('verdict.partly')
        : what === undefined
          ? t('verdict.powered')
          : t('verdict.poweredBut', { what: sentenceMiddle(what) });
  const { rest, small } = soc === null ? { rest: '', small: '' } : batteryLine(soc, options);
  const calm = openAlerts.length === 0 ? t('verdict.noAlerts') : '';
  return { lead, rest: [rest, calm].filter((part) => part !== '').join(' '), small };
}

function batteryLine(
  soc: string,
  { summary, nowMs }: { readonly summary: Pick<Summary, 'verdict' | 'zone' | 'plant'>; readonly nowMs: number },
): { rest: string; small: string } {
  const { verdict, zone, plant } = summary;
  if (verdict.power === 'off' && verdict.charging !== true) return { rest: t('verdict.battery', { soc }), small: '' };
  const empty = verdict.empty_at_ms;
  if (empty !== null) {
    const when = empty - nowMs > 20 * 3_600_000 ? momentText(empty, nowMs, zone) : clockText(empty, zone);
    return lastsTheNight(empty, nowMs, zone)
      ? { rest: t('verdict.lastsNight', { soc }), small: t('verdict.atThisLoad', { when }) }
      : {
          rest: t('verdict.batteryUntil', { soc, when }),
          small: t('verdict.atThisLoadLeft', { left: durationText(empty - nowMs) }),
        };
  }
  // Only a forecast knows the evening and the sun; what the battery does at noon tells nothing of the night.
  if (verdict.forecast_lasts === true && verdict.charging === false)
    return { rest: t('verdict.lastsNight', { soc }), small: '' };
  const left = verdict.at_this_load_ms ?? null;
  const small =
    left === null
      ? verdict.charging === false && plant.battery_kwh !== null
        ? t('verdict.lastsUnknown')
        : ''
      : left > 72 * 3_600_000
        ? t('verdict.withoutSunLong')
        : t('verdict.withoutSun', { left: durationText(left) });
  return { rest: t(verdict.charging === true ? 'verdict.batteryCharging' : 'verdict.battery', { soc }), small };
}
