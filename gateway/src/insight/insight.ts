/**
 * Runs the detector of anomalies and the forecasts on the gateway: takes in each quarter of an hour when it is over, keeps
 * what was learnt with the log, and feeds what was found to the rules of kind `finding`.
 */
import {
  createSiteInsight,
  insightStateNames,
  type AnomalySpan,
  type GridPort,
  type SiteInsight,
} from '@villagrid/api';
import {
  findingNumber,
  anomalyRuleId,
  anomalyWindowMs,
  anomalyWords,
  batteryEndsRuleId,
  findingFigures,
  headingWords,
  parseMetricId,
  temperatureRisesRuleId,
  zoneOffsetMs,
  type Alert,
  type AlertSubject,
  type BatteryForecast,
  type Clock,
  type TemperatureForecast,
  type Timer,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';
import { usualDayState, type Usual } from './usual.js';

const checkEveryMs = 300_000;
/** How long after a start the first look waits: what was missed is read from the log first. */
const firstAfterMs = 60_000;
/** What was learnt is kept so often; a restart looks at the windows since then once more. */
const keepEveryMs = 6 * 3_600_000;
/** What was found in windows that are older tells of the past: it does not ring. */
const ringsForMs = 2_700_000;
/** The battery's end is worth an alert so long before, when so many of the courses end so. */
const warnBeforeMs = 8 * 3_600_000;
const warnChance = 0.8;
/** An anomaly of which others tell so much is not told by itself; nor so long after they were over. */
const explainedShare = 0.3;
const explainsForMs = 2 * 3_600_000;
/** Of alerts that are over, so many of the newest are looked at for one that explains an anomaly. */
const mostToldLooked = 50;
/** Forecasts of a site that is known for fewer days are shown, but ring no bell. */
const leastDays = 7;

export interface InsightOptions {
  readonly grid: Pick<GridPort, 'gridId' | 'site' | 'windows' | 'metricsOf' | 'limits' | 'alerts'>;
  readonly log: Pick<DurableLog, 'join' | 'state' | 'putState'>;
  /** Told when the usual day is kept anew. */
  readonly usual: Pick<Usual, 'keptWith'>;
  /** Feeds a figure of the gateway itself to the rules. */
  readonly figure: (metric: string, value: number) => void;
  /** Whether times are known and none is being put right: the hour of the day is told by them. */
  readonly timesAreRight: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The part that looks. */
export interface Insight extends LifecyclePart {
  /** What is known, as the API shows it. */
  readonly site: SiteInsight;
  /** One look now; one that is under way is waited for. */
  look(): Promise<void>;
  /** What an alert of a rule says, where there is something of it. */
  words(ruleId: string): Partial<AlertSubject> | undefined;
}

/** Makes the part. */
export function createInsight(options: InsightOptions): Insight {
  const { grid, log, figure, clock, logger } = options;
  const stateName = (name: string): string => (name === 'usual_day' ? usualDayState : `insight_${name}`);
  const saved = Object.fromEntries(insightStateNames.map((name) => [name, log.state(stateName(name))?.value]));
  const site = createSiteInsight(
    grid,
    Object.fromEntries(Object.entries(saved).filter(([, text]) => text !== undefined)),
  );
  let keptMs = Number.NEGATIVE_INFINITY;
  // Its own, because a page that is asked for takes windows in too, and they must be kept and told all the same.
  let seenUntilMs = site.untilMs;
  /** States that wait to be kept: one with each commit, so that none takes long. */
  const waiting: (typeof insightStateNames)[number][] = [];
  let anomaly: AnomalySpan | undefined;
  /** Until when an anomaly counts as told by others that are over. */
  let toldUntilMs = { sinceMs: 0, untilMs: 0 };
  let battery: BatteryForecast | undefined;
  let hot: TemperatureForecast | undefined;
  let running: Promise<void> | undefined;
  let timers: Timer[] = [];
  let stopped = false;

  log.join((number) => {
    const name = waiting.shift();
    if (name === undefined) return;
    log.putState(stateName(name), number, site.state(name));
    if (name === 'usual_day') options.usual.keptWith(number);
  });

  const check = async (): Promise<void> => {
    if (!options.timesAreRight()) return;
    const nowMs = Math.floor(clock.nowMs());
    await site.catchUp(nowMs);
    if (stopped || site.untilMs === null || site.untilMs === seenUntilMs) return;
    seenUntilMs = site.untilMs;
    if (nowMs - keptMs >= keepEveryMs) {
      keptMs = nowMs;
      waiting.splice(0, waiting.length, ...insightStateNames);
    }
    if (nowMs - site.untilMs > ringsForMs) return;
    await tell();
  };

  /** Feeds the rules with what there is now. */
  async function tell(): Promise<void> {
    const active = await grid.alerts({ status: 'active' });
    if (stopped) return;
    const open = site.anomaly();
    // One cause, one alert: what another rule has told of the same device or figure is explained, not told again.
    const isNew = open !== undefined && open !== anomaly;
    if (open === undefined || !isNew || !(await isTold(open, active))) {
      if (isNew) logger.info('out of the ordinary', { found: anomalyWords(open.explanation).headline });
      anomaly = open;
    }
    figure(findingFigures[anomalyRuleId], anomaly === undefined ? 0 : findingNumber(`${anomaly.sinceMs}`));

    const forecast = site.battery();
    const ends = forecast?.emptyAtMs;
    const isNear =
      forecast !== undefined &&
      ends !== null &&
      ends !== undefined &&
      ends - forecast.madeAtMs <= warnBeforeMs &&
      forecast.chance >= warnChance &&
      forecast.socPct > forecast.floorPct + 1 &&
      forecast.days >= leastDays;
    // Once told it stays until it is out of danger: an end that moves by minutes is the same one.
    const isStill =
      battery !== undefined &&
      forecast !== undefined &&
      ends !== null &&
      forecast.chance >= warnChance / 2 &&
      forecast.socPct > forecast.floorPct;
    battery = isNear || isStill ? forecast : undefined;
    figure(findingFigures[batteryEndsRuleId], battery === undefined ? 0 : 1);

    hot = site.temperatures().find((one) => one.overAtMs !== null);
    figure(findingFigures[temperatureRisesRuleId], hot === undefined ? 0 : findingNumber(hot.series.id));
  }

  /** Whether another rule tells of it, or told of it until a while ago: an inverter that tripped cools down, and is still odd. */
  const isTold = async (open: AnomalySpan, active: readonly Alert[]): Promise<boolean> => {
    if (toldUntilMs.sinceMs === open.sinceMs && clock.nowMs() < toldUntilMs.untilMs) return true;
    if (explains(open, active)) return true;
    const over = (await grid.alerts({ status: 'resolved', mostResolved: mostToldLooked })).filter(
      ({ cleared_at_ms }) => cleared_at_ms !== null && cleared_at_ms >= open.sinceMs - anomalyWindowMs,
    );
    const latestMs = Math.max(...over.filter((one) => explains(open, [one])).map((one) => one.cleared_at_ms ?? 0));
    toldUntilMs = { sinceMs: open.sinceMs, untilMs: latestMs + explainsForMs };
    return clock.nowMs() < toldUntilMs.untilMs;
  };

  /** Whether alerts are about what makes a good part of an anomaly. */
  const explains = ({ explanation }: AnomalySpan, alerts: readonly Alert[]): boolean => {
    const of = alerts.filter((alert) => alert.rule_id !== anomalyRuleId);
    const isMeant = ({ deviceId, metric }: { readonly deviceId: string; readonly metric: string }): boolean =>
      of.some((alert) =>
        alert.device_id === null
          ? alert.metric !== null && parseMetricId(alert.metric).base === parseMetricId(metric).base
          : alert.device_id === deviceId,
      );
    const share = explanation.inputs.reduce((sum, one) => sum + (isMeant(one.series) ? one.share : 0), 0);
    return share >= explainedShare;
  };

  const look = (): Promise<void> => {
    running ??= check().finally(() => (running = undefined));
    return running;
  };
  const inBackground = () => {
    look().catch((error: unknown) => {
      if (!stopped) logger.error('history could not be looked at for anomalies', { error });
    });
  };

  const clockText = (timeMs: number): string => {
    const local = new Date(timeMs + zoneOffsetMs(grid.site().zone, timeMs));
    return local.toISOString().slice(11, 16);
  };

  return {
    name: 'insight',
    site,
    look,
    words(ruleId) {
      if (ruleId === anomalyRuleId && anomaly !== undefined) {
        const { headline, why, steps } = anomalyWords(anomaly.explanation);
        const [first] = anomaly.explanation.inputs;
        return {
          message: `${first?.series.deviceName ?? 'something'} is out of the ordinary`,
          what: headline,
          why,
          steps,
          device_id: first?.series.deviceId ?? null,
          device_name: first?.series.deviceName ?? null,
          metric: first?.series.metric ?? null,
          value: null,
          limit: null,
          unit: null,
        };
      }
      if (ruleId === batteryEndsRuleId && battery?.emptyAtMs) {
        const { emptyAtMs, earliestMs, latestMs, socPct, floorPct, days } = battery;
        const between =
          earliestMs === null || latestMs === null
            ? ''
            : `, between ${clockText(earliestMs)} and ${clockText(latestMs)}`;
        const { scored, hitShare } = site.batteryTrack().emptyHours;
        const record =
          scored >= 20 && hitShare !== null
            ? ` Such a time was right ${Math.round(hitShare * 100)} times in a hundred here.`
            : '';
        return {
          what: `The battery has ${Math.round(socPct)} % and will be at its floor of ${floorPct} % at about ${clockText(emptyAtMs)}${between}.`,
          why: `When it is, the village goes dark until the sun has charged it. Expected from the last ${days} days of this village.${record}`,
          value: null,
          limit: null,
          unit: null,
        };
      }
      if (ruleId === temperatureRisesRuleId && hot?.overAtMs) {
        const { scored, error } = site.temperatureTrack();
        const record =
          scored >= 20 && error !== null ? ` An hour ahead such a forecast is off by ${error.toFixed(1)} K here.` : '';
        return {
          what: `${headingWords(hot)} It will be there at about ${clockText(hot.overAtMs)}.${record}`,
          device_id: hot.series.deviceId,
          device_name: hot.series.deviceName,
          metric: hot.series.metric,
          value: null,
          limit: null,
          unit: null,
        };
      }
      return undefined;
    },
    start() {
      timers = [clock.after(firstAfterMs, inBackground), clock.every(checkEveryMs, inBackground)];
    },
    async stop() {
      stopped = true;
      for (const timer of timers) timer.cancel();
      await running?.catch(() => {});
    },
  };
}
