/** Runs one back-test over a grid's past and words what it found. */
import {
  Backtest,
  backtestNeeds,
  changedRule,
  changesText,
  checkedRule,
  comparisonSentence,
  countsSentence,
  describeRule,
  longestTestDays,
  matchOccurrences,
  measuredSentence,
  mostListed,
  nightOf,
  Tally,
  VillagridError,
  type Alert,
  type BacktestVariant,
  type Granularity,
  type Occurrence,
  type OccurrenceCounts,
  type Rule,
  type RuleChanges,
  type RuleTestRequest,
  type RuleTestResult,
  type Site,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { parseTime } from '../views/history-request.js';
import { pastSlices } from './read.js';

const dayMs = 86_400_000;
/** How long before the stretch the past is played, so that what stood at its beginning is known, milliseconds. */
const leadMs = 6 * 3_600_000;
const usualDays = 30;
/** What rang and what would have rung count as the same up to this far apart, milliseconds. */
const slackMs = 60_000;
/** Most alerts that a grid lists, see GridPort. */
const mostAlerts = 2000;

/** A test that was asked for, checked. */
export interface AskedTest {
  readonly rule: Rule;
  /** Whether the rule runs in the village as it is: then there is something to hold it against. */
  readonly isLive: boolean;
  readonly variants: ReadonlyArray<BacktestVariant & { readonly set: RuleChanges }>;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Watches over a run. */
export interface RunControl {
  readonly monotonicMs: () => number;
  progress(share: number): void;
  isCancelled(): boolean;
}

const refuse = (detail: string) => new VillagridError('E_REQUEST_INVALID', detail);

/** Checks what was asked. Throws E_RULE_NOT_FOUND, and E_REQUEST_INVALID also for a rule that watches what is not kept. */
export function askedTest(grid: GridPort, body: RuleTestRequest, nowMs: number): AskedTest {
  const { rule, isLive } = askedRule(grid, body);
  const asked = body.variants ?? [{}];
  const variants = asked.map(({ name, set = {} }) => {
    const changed = changedRule(rule, set);
    const words = changesText(changed, set);
    return { name: name ?? (words === '' ? 'as it is' : words), rule: changed, set };
  });
  const { unkept } = backtestNeeds(
    variants.map((one) => one.rule),
    grid.site(),
    () => [],
  );
  if (unkept.length > 0)
    throw refuse(`No history keeps ${unkept.join(', ')}, so this rule cannot be tried on the past.`);
  const [fromMs, toMs] = askedStretch(grid.site().zone, body, nowMs);
  return { rule, isLive, variants, fromMs, toMs };
}

function askedRule(grid: GridPort, { rule_id, rule }: RuleTestRequest): { rule: Rule; isLive: boolean } {
  if ((rule_id === undefined) === (rule === undefined)) throw refuse('body needs either rule_id or rule.');
  if (rule_id !== undefined) {
    const known = grid.rules().find((one) => one.id === rule_id);
    if (known === undefined)
      throw new VillagridError('E_RULE_NOT_FOUND', `Grid ${grid.gridId} has no rule of this id.`);
    return { rule: checkedRule(known), isLive: true };
  }
  const { kind, selector, parameters } = rule ?? {};
  if (kind === undefined || selector === undefined || parameters === undefined)
    throw refuse('body.rule needs kind, selector and parameters.');
  const whole: Rule = {
    id: 'tried',
    enabled: true,
    severity: 'medium',
    message: 'tried',
    what: '',
    why: '',
    steps: [],
    ...rule,
    kind,
    selector,
    parameters,
  };
  return { rule: checkedRule(whole), isLive: grid.rules().some((one) => one.id === whole.id) };
}

function askedStretch(zone: string, { days, from, to }: RuleTestRequest, nowMs: number): [number, number] {
  if (days !== undefined && from !== undefined) throw refuse('body needs either days or from.');
  const toMs = Math.min(to === undefined ? nowMs : parseTime(to, 'to', zone), nowMs);
  const fromMs = from === undefined ? toMs - (days ?? usualDays) * dayMs : parseTime(from, 'from', zone);
  if (!(fromMs < toMs)) throw refuse('body.from must lie before body.to, and before now.');
  if (toMs - fromMs > longestTestDays * dayMs) throw refuse(`A test covers at most ${longestTestDays} days.`);
  return [Math.floor(fromMs), Math.floor(toMs)];
}

/** Runs a test; undefined when it was cancelled. */
export async function runTest(
  grid: GridPort,
  { rule, isLive, variants, fromMs, toMs }: AskedTest,
  { monotonicMs, progress, isCancelled }: RunControl,
): Promise<RuleTestResult | undefined> {
  const beganMs = monotonicMs();
  const site = grid.site();
  const metricsOf = (deviceId: string) => grid.metricsOf(deviceId);
  const test = new Backtest({ variants, site, metricsOf, fromMs, toMs, leadMs });
  const used: { granularity: Granularity; from_ms: number; to_ms: number }[] = [];
  for await (const slice of pastSlices(grid, test.needs.series, test.playFromMs, toMs)) {
    for (const steps = test.play(slice.series, slice.toMs); steps.next().done !== true; ) {
      await nextTurn();
      if (isCancelled()) return undefined;
    }
    if (slice.granularity !== undefined && slice.toMs > fromMs) note(used, slice.granularity, slice, fromMs);
    progress((slice.toMs - test.playFromMs) / (toMs - test.playFromMs));
    await nextTurn();
    if (isCancelled()) return undefined;
  }
  const isNight = nightOf(site.zone);
  const results = test.results();
  const { measured } = test;
  const shown = results.map(({ name, rule: own, counts, occurrences }, index) => {
    const set = variants[index]?.set ?? {};
    const first = results[0]?.counts as OccurrenceCounts;
    return {
      name,
      description: describeRule(own),
      set: { ...set },
      sentence: countsSentence(counts),
      comparison: index === 0 ? null : comparisonSentence(name, counts, first),
      ...countsView(site, counts, occurrences, isNight),
    };
  });
  const real = isLive ? liveOccurrences(await grid.alerts({ ruleId: rule.id }), fromMs, toMs) : undefined;
  return {
    rule_id: rule.id,
    kind: rule.kind,
    from_ms: fromMs,
    to_ms: toMs,
    zone: site.zone,
    samples: test.samples,
    measured_from_ms: measured.fromMs,
    measured_ms: Math.round(measured.totalMs),
    measured_share: Math.round((measured.totalMs / (toMs - fromMs)) * 10_000) / 10_000,
    took_ms: Math.round(monotonicMs() - beganMs),
    granularities: used,
    notes: notesOf(used, measuredSentence(measured, toMs - fromMs), rule),
    variants: shown,
    live: real === undefined ? null : liveView(site, real, results[0]?.occurrences ?? [], { fromMs, toMs }, isNight),
  };
}

function note(
  used: { granularity: Granularity; from_ms: number; to_ms: number }[],
  granularity: Granularity,
  slice: { readonly fromMs: number; readonly toMs: number },
  fromMs: number,
): void {
  const last = used.at(-1);
  if (last?.granularity === granularity) last.to_ms = slice.toMs;
  else used.push({ granularity, from_ms: Math.max(slice.fromMs, fromMs), to_ms: slice.toMs });
}

const windowWords: Readonly<Record<Granularity, string>> = {
  raw: 'samples',
  '1m': 'minutes',
  '15m': 'quarter hours',
  '1h': 'hours',
  '1d': 'days',
};

function notesOf(used: RuleTestResult['granularities'], measured: string | null, rule: Rule): string[] {
  const notes: string[] = [];
  if (measured !== null) notes.push(measured);
  const coarse = [...new Set(used.map((one) => one.granularity))].filter((one) => one !== 'raw');
  if (coarse.length > 0)
    notes.push(
      `For a part of this time samples are no longer kept; ${coarse.map((one) => windowWords[one]).join(' and ')} stand for them. What was shorter is not seen there.`,
    );
  if (rule.selector.scope === 'device')
    notes.push(
      'While the gateway itself was off, or a line of several devices was down, it raises nothing about single devices; a test does.',
    );
  return notes;
}

function countsView(
  site: Site,
  counts: OccurrenceCounts,
  occurrences: readonly Occurrence[],
  isNight: (timeMs: number) => boolean,
) {
  const { count, atNight, standingAtStart, openAtEnd, longestMs, totalMs, days, devices } = counts;
  const nameOf = (deviceId: string | null) => site.devices.find((one) => one.device_id === deviceId)?.name ?? null;
  return {
    count,
    at_night: atNight,
    standing_at_start: standingAtStart,
    open_at_end: openAtEnd,
    longest_ms: longestMs,
    total_ms: totalMs,
    days: days.map((one) => ({ start_ms: one.startMs, count: one.count })),
    devices: devices.slice(0, 100).map((one) => ({
      device_id: one.deviceId,
      device_name: nameOf(one.deviceId),
      count: one.count,
      total_ms: one.totalMs,
    })),
    occurrences: occurrences.slice(0, mostListed).map((one) => ({
      device_id: one.deviceId,
      metric: one.metric,
      raised_at_ms: one.raisedMs,
      cleared_at_ms: one.clearedMs,
      value: one.value,
      limit: one.limit,
      at_night: isNight(one.raisedMs),
    })),
    occurrences_left_out: Math.max(0, count + standingAtStart - occurrences.length),
  };
}

/** What a rule really raised in a stretch, and whether that is all of it. */
function liveOccurrences(alerts: readonly Alert[], fromMs: number, toMs: number) {
  const found = alerts
    .map(
      (one): Occurrence => ({
        deviceId: one.device_id,
        metric: one.metric,
        raisedMs: one.raised_at_ms,
        clearedMs: one.cleared_at_ms,
        value: one.value,
        limit: one.limit,
      }),
    )
    .filter((one) => one.raisedMs < toMs && (one.clearedMs ?? toMs) > fromMs)
    .sort((a, b) => a.raisedMs - b.raisedMs);
  const oldestMs = Math.min(...alerts.map((one) => one.raised_at_ms));
  return { found, whole: alerts.length < mostAlerts || oldestMs < fromMs };
}

function liveView(
  site: Site,
  { found, whole }: ReturnType<typeof liveOccurrences>,
  tested: readonly Occurrence[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  isNight: (timeMs: number) => boolean,
): NonNullable<RuleTestResult['live']> {
  const tally = new Tally({ fromMs, toMs, zone: site.zone });
  const within = found.filter((one) => tally.add(one));
  const { both, onlyFirst, onlySecond } = matchOccurrences(within, tested, slackMs);
  return {
    ...countsView(site, tally.counts(), within, isNight),
    both,
    only_live: onlyFirst,
    only_test: onlySecond,
    whole,
  };
}
