/** Rules of the stub village: the real ones, tried with the real engine on a made-up month. */
import {
  Backtest,
  changedRule,
  countsSentence,
  defaultLimits,
  defaultRules,
  describeRule,
  metricDefinition,
  nightOf,
  parseMetricId,
  ruleLimits,
  sampleColumns,
  type RuleList,
  type RuleTest,
  type RuleTestRequest,
  type Site,
  type VariantResult,
} from '@villagrid/contracts';

const dayMs = 86_400_000;
/** Figures whose past can be made up. */
const kept = ['battery_soc_pct', 'consumption_kw', 'generation_kw', 'irradiance_w_m2', 'ac_output_voltage_v'] as const;
const rules = defaultRules(defaultLimits({ pv_kwp: 20 }));
const isKept = (metric: string): boolean => kept.some((one) => one === metric);

/** The list as the API gives it. */
export const stubRules = (gridId: string): RuleList => ({
  grid_id: gridId,
  rules: rules.map((rule) => {
    const metric = 'metric' in rule.selector ? rule.selector.metric : null;
    return {
      rule_id: rule.id,
      kind: rule.kind,
      enabled: true,
      severity: rule.severity,
      message: rule.message,
      why: rule.why,
      description: describeRule(rule),
      metric,
      unit: metric === null ? null : (metricDefinition(parseMetricId(metric).base)?.unit ?? null),
      limits: ruleLimits(rule),
      testable: rule.selector.scope !== 'figure' || isKept(rule.selector.metric),
    };
  }),
});

function counted({ counts, occurrences }: VariantResult, zone: string) {
  const isNight = nightOf(zone);
  return {
    count: counts.count,
    at_night: counts.atNight,
    standing_at_start: counts.standingAtStart,
    open_at_end: counts.openAtEnd,
    longest_ms: counts.longestMs,
    total_ms: counts.totalMs,
    days: counts.days.map((one) => ({ start_ms: one.startMs, count: one.count })),
    devices: [],
    occurrences: occurrences.map((one) => ({
      device_id: one.deviceId,
      metric: one.metric,
      raised_at_ms: one.raisedMs,
      cleared_at_ms: one.clearedMs,
      value: one.value,
      limit: one.limit,
      at_night: isNight(one.raisedMs),
    })),
    occurrences_left_out: 0,
  };
}

/** A finished test of a rule over the last days; `value` makes up what was measured. */
export function stubRuleTest(
  gridId: string,
  zone: string,
  request: RuleTestRequest,
  nowMs: number,
  value: (metric: string, timeMs: number) => number | null,
): RuleTest {
  const rule = rules.find(({ id }) => id === request.rule_id) ?? (rules[0] as (typeof rules)[number]);
  const [fromMs, toMs] = [nowMs - (request.days ?? 30) * dayMs, nowMs];
  const site: Site = {
    grid_id: gridId,
    gateway_id: 'gw',
    name: gridId,
    zone,
    plant: { battery_floor_pct: 20, has_genset: false, has_mains: false },
    devices: [{ device_id: 'meter', name: 'Meter', kind: 'meter', protocol: 'mqtt', period_s: 60, expected: true }],
    wiring: Object.fromEntries(kept.map((metric) => [metric, { terms: [{ device_id: 'meter', metric, factor: 1 }] }])),
  };
  const asked = (request.variants ?? [{}]).map(({ set = {} }, at) => ({
    name: at === 0 ? 'as it is' : 'changed',
    rule: changedRule(rule, set),
    set,
  }));
  const test = new Backtest({ variants: asked, site, metricsOf: () => kept, fromMs, toMs, leadMs: 0 });
  const times = Array.from({ length: Math.floor((toMs - fromMs) / 60_000) }, (_, at) => fromMs + at * 60_000);
  const month = test.needs.series.map(({ deviceId, metric }) => ({
    deviceId,
    metric,
    ...sampleColumns(
      times,
      // Days differ: some villages' evenings take more than others.
      times.map((one) => {
        const made = value(metric, one);
        const day = Math.floor(one / dayMs);
        return made === null || metric !== 'battery_soc_pct' ? made : made - 18 * Math.abs(Math.sin(day * 1.7));
      }),
      times.map(() => 0),
    ),
  }));
  for (const _ of test.play(month, toMs));
  const results = test.results();
  const first = results[0] as VariantResult;
  return {
    test_id: 'stub-test',
    grid_id: gridId,
    state: 'done',
    progress: 1,
    error: null,
    result: {
      rule_id: rule.id,
      kind: rule.kind,
      from_ms: fromMs,
      to_ms: toMs,
      zone,
      samples: test.samples,
      measured_from_ms: test.measured.fromMs,
      measured_ms: test.measured.totalMs,
      measured_share: test.measured.totalMs / (toMs - fromMs),
      took_ms: 400,
      granularities: [{ granularity: 'raw', from_ms: fromMs, to_ms: toMs }],
      notes: [],
      variants: results.map((one, at) => ({
        name: one.name,
        description: describeRule(one.rule),
        set: { ...asked[at]?.set },
        sentence: countsSentence(one.counts),
        comparison: null,
        ...counted(one, zone),
      })),
      live: { ...counted(first, zone), both: first.counts.count, only_live: 0, only_test: 0, whole: true },
    },
  };
}
