/** What is out of the ordinary at a grid and what is expected, as the API says it. */
import { anomalyWords, type AnomalyView, type InsightAnswer, type TrackFigures } from '@villagrid/contracts';
import type { AnomalySpan, SiteInsight } from '../insight/site-insight.js';

const round = (value: number, digits = 2): number => Math.round(value * 10 ** digits) / 10 ** digits;
const orNull = (value: number | null, digits = 2): number | null => (value === null ? null : round(value, digits));

const track = ({ scored, hitShare, error, plainError }: TrackFigures) => ({
  scored,
  interval_held_pct: hitShare === null ? null : round(hitShare * 100, 1),
  error: orNull(error),
  simple_error: orNull(plainError),
});

/** One anomaly. */
export function anomalyView({ sinceMs, untilMs, explanation }: AnomalySpan): AnomalyView {
  const { headline, why, steps } = anomalyWords(explanation);
  const range = <T extends { readonly low: number; readonly high: number }>(one: T) => ({
    low: round(one.low),
    high: round(one.high),
  });
  return {
    since_ms: sinceMs,
    until_ms: untilMs,
    score: round(explanation.score, 1),
    headline,
    why,
    steps: [...steps],
    inputs: explanation.inputs.map(({ series, kind, share, value, expected, usual, against }) => ({
      device_id: series.deviceId,
      device_name: series.deviceName,
      metric: series.metric,
      kind,
      share: round(share, 3),
      value: orNull(value),
      expected: expected === null ? null : range(expected),
      usual: usual === null ? null : { ...range(usual), middle: round(usual.middle), days: usual.days },
      against: [...against],
    })),
    silenced_by:
      explanation.silencedBy === null
        ? null
        : {
            from: round(explanation.silencedBy.from),
            to: round(explanation.silencedBy.to),
            whole: explanation.silencedBy.whole,
          },
  };
}

/** The answer of the API. */
export function insightView(gridId: string, insight: SiteInsight): InsightAnswer {
  const open = insight.anomaly();
  const battery = insight.battery();
  const { emptyHours, morningPct } = insight.batteryTrack();
  return {
    grid_id: gridId,
    until_ms: insight.untilMs,
    learnt_days: insight.learntDays,
    behind: insight.behind,
    anomaly: open === undefined ? null : anomalyView(open),
    recent: insight.recent().map(anomalyView),
    battery:
      battery === undefined
        ? null
        : {
            made_at_ms: battery.madeAtMs,
            soc_pct: round(battery.socPct, 1),
            floor_pct: battery.floorPct,
            empty_at_ms: battery.emptyAtMs,
            earliest_ms: battery.earliestMs,
            latest_ms: battery.latestMs,
            chance: round(battery.chance),
            morning_ms: battery.morning.atMs,
            morning_pct: {
              low: round(battery.morning.low, 1),
              middle: round(battery.morning.middle, 1),
              high: round(battery.morning.high, 1),
            },
            days: battery.days,
            usable_kwh: orNull(battery.usableKwh, 1),
          },
    battery_track: { empty_hours: track(emptyHours), morning_points: track(morningPct) },
    temperatures: insight.temperatures().map((one) => ({
      device_id: one.series.deviceId,
      metric: one.series.metric,
      now_c: round(one.nowC, 1),
      limit_c: one.limitC,
      over_at_ms: one.overAtMs,
      earliest_ms: one.earliestMs,
      course: one.course.map(({ atMs, low, middle, high }) => ({
        at_ms: atMs,
        low: round(low, 1),
        middle: round(middle, 1),
        high: round(high, 1),
      })),
    })),
    temperature_track: track(insight.temperatureTrack()),
  };
}
