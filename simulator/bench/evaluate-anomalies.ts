/** Holds the anomaly detector against injected faults and clean weeks, beside a plain z-score on the same windows. */
import {
  createDetector,
  explainFindings,
  isAnomalous,
  localQuarter,
  usualRange,
  type AnomalyDetector,
  type AnomalyExplanation,
  type SiteWindow,
} from '@villagrid/contracts';
import type { VillageState } from '../src/village/state.js';
import { troublesOf, type ShapeFamily, type TroubleKind } from './troubles.js';
import { seriesOfRun, siteOfRun, windowsOfRun } from './windows.js';
import { createZScore } from './z-score.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The village's local midnight. */
const firstMs = Date.UTC(2026, 4, 1) - 3 * hourMs;
/** Alarms less than this apart are one. */
const mergedMs = 2 * hourMs;

/** Limits of the z-score that are tried. */
export const zLimits = [3, 4, 5, 6, 8] as const;

/** What one contestant did with a fault. */
export interface Hit {
  readonly found: boolean;
  /** Whether the first device it named was right. */
  readonly named: boolean;
  readonly minutes: number;
}

export interface TroubleResult {
  readonly name: string;
  readonly isFault: boolean;
  readonly own: Hit;
  readonly z: readonly Hit[];
  readonly explanation: AnomalyExplanation | undefined;
}

export interface SeedResult {
  readonly seed: number;
  /** Weeks that were looked at without a fault, after three weeks of learning. */
  readonly cleanWeeks: number;
  readonly ownAlarms: number;
  readonly zAlarms: readonly number[];
  readonly troubles: readonly TroubleResult[];
  /** Longest and mean time of one look, ms. */
  readonly slowestMs: number;
  readonly meanMs: number;
  /** Alarms of the clean time in words, for whoever tunes. */
  readonly heard: readonly string[];
}

const nothing: Hit = { found: false, named: false, minutes: Number.NaN };

const explain = (detector: AnomalyDetector, zone: string, window: SiteWindow) => {
  const findings = detector.look(window);
  if (findings === undefined) return { findings, explanation: undefined };
  const { quarter } = localQuarter(zone, window.startMs);
  const isOdd = isAnomalous(findings) || findings.still.some((one) => one.fires);
  return {
    findings,
    explanation: isOdd ? explainFindings(findings, (id) => usualRange(detector.usualDay, id, quarter)) : undefined,
  };
};

/** Counts alarms, those close to each other as one. */
function counter() {
  let [count, lastMs] = [0, Number.NEGATIVE_INFINITY];
  return {
    hear(timeMs: number): boolean {
      const isNew = timeMs - lastMs > mergedMs;
      if (isNew) count += 1;
      lastMs = timeMs;
      return isNew;
    },
    count: () => count,
  };
}

/** Learns three weeks, counts alarms over a clean month after them, then injects each fault on the day after. */
export function evaluateSeed(
  seed: number,
  family: ShapeFamily,
  cleanDays = 30,
  now: () => number = () => performance.now(),
): SeedResult {
  const site = siteOfRun();
  const learnDays = 21;
  const detector = createDetector(site, seriesOfRun);
  const zScore = createZScore(site.zone, detector.series);
  const own = counter();
  const z = zLimits.map(() => counter());
  const heard: string[] = [];
  const run = windowsOfRun({ seed, startMs: firstMs, days: learnDays + cleanDays });
  let state: VillageState | undefined;
  let [slowestMs, totalMs, looks] = [0, 0, 0];
  for (;;) {
    const step = run.next();
    if (step.done === true) {
      state = step.value;
      break;
    }
    const window = step.value;
    const isCounted = window.startMs >= firstMs + learnDays * dayMs;
    const began = now();
    const { explanation } = explain(detector, site.zone, window);
    const took = now() - began;
    // The first looks pay for the compiler.
    if (isCounted) {
      slowestMs = Math.max(slowestMs, took);
      totalMs += took;
      looks += 1;
    }
    const alarms = zScore.look(window);
    if (!isCounted) continue;
    if (explanation !== undefined && own.hear(window.startMs))
      heard.push(
        `${new Date(window.startMs).toISOString()} ${explanation.inputs.map((one) => `${one.series.id} ${one.kind} ${one.share.toFixed(2)} ${one.value}`).join('; ')}`,
      );
    for (const [at, limit] of zLimits.entries()) if ((alarms[0]?.z ?? 0) > limit) z[at]?.hear(window.startMs);
  }
  const saved = JSON.stringify(detector.state());
  const zSaved = zScore.state();
  const startMs = firstMs + (learnDays + cleanDays) * dayMs;
  const troubles = troublesOf(family, seed, startMs).map((kind): TroubleResult => {
    const fresh = createDetector(site, seriesOfRun, JSON.parse(saved));
    zScore.restore(zSaved);
    return judge(
      kind,
      fresh,
      zScore,
      windowsOfRun({ seed, startMs, days: 2, trouble: kind.trouble, state: state as VillageState }),
    );
  });
  return {
    seed,
    cleanWeeks: cleanDays / 7,
    ownAlarms: own.count(),
    zAlarms: z.map((one) => one.count()),
    troubles,
    slowestMs,
    meanMs: totalMs / Math.max(1, looks),
    heard,
  };

  function judge(
    kind: TroubleKind,
    fresh: AnomalyDetector,
    plain: typeof zScore,
    windows: Iterable<SiteWindow>,
  ): TroubleResult {
    const isFault = kind.devices.length > 0;
    const { fromMs, toMs } = kind.trouble;
    const endMs = isFault ? fromMs + kind.withinMinutes * 60_000 : toMs;
    let ownHit = nothing;
    let explanation: AnomalyExplanation | undefined;
    const zHits = zLimits.map(() => nothing);
    for (const window of windows) {
      // Told when the window is over.
      const toldMs = window.startMs + 900_000;
      const inTime = toldMs > fromMs && toldMs <= endMs + 900_000;
      const { explanation: said } = explain(fresh, site.zone, window);
      const alarms = plain.look(window);
      if (!inTime) continue;
      const minutes = (toldMs - fromMs) / 60_000;
      if (said !== undefined && !ownHit.found) {
        explanation = said;
        const named = kind.devices.includes(said.inputs[0]?.series.deviceId ?? '');
        ownHit = { found: true, named, minutes };
      }
      for (const [at, limit] of zLimits.entries()) {
        const first = alarms[0];
        if (first === undefined || first.z <= limit || zHits[at]?.found === true) continue;
        zHits[at] = { found: true, named: kind.devices.includes(first.series.deviceId), minutes };
      }
    }
    return { name: kind.name, isFault, own: ownHit, z: zHits, explanation };
  }
}
