/** What the rules cost: a sample that none concerns, an evaluation of each kind, and the state kept with a commit. */
import {
  createRuleEngine,
  defaultLimits,
  defaultRules,
  DeviceSeries,
  ruleKinds,
  type Rule,
  type RuleContext,
  type RuleSample,
} from '@villagrid/contracts';
import { villageDevices, villageWiring } from '@villagrid/simulator';
import type { Bench } from '@villagrid/tools/bench';

const startMs = 1_795_600_000_000;
const context: RuleContext = {
  figure: () => undefined,
  usual: () => ({ low: 4, middle: 5, high: 7, days: 20 }),
};

/** Microseconds of processor time of one call, the best of some rounds: what disturbs a round is not the rules'. */
function microseconds(times: number, run: (index: number) => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 7; round += 1) {
    const began = process.cpuUsage();
    for (let index = 0; index < times; index += 1) run(round * times + index);
    const { user, system } = process.cpuUsage(began);
    best = Math.min(best, (user + system) / times);
  }
  return best;
}

const devices = villageDevices().map(({ device_id, kind }) => ({ device_id, kind }));
const engineOf = (rules: readonly Rule[], ids = devices.map(({ device_id }) => device_id)) =>
  createRuleEngine({ rules, devices: ids, inventory: devices, context });
const defaults = () => defaultRules(defaultLimits({ pv_kwp: 45 }), { wiring: villageWiring() });

/** Each kind with parameters as people would give them; values go about the limit, so that delays begin and end. */
const kinds: Readonly<Record<string, object>> = {
  threshold: { above: 14, deadband: 1, on_delay_ms: 60_000, off_delay_ms: 120_000 },
  no_data: { silent_for_ms: 600_000 },
  rate_of_change: { falls_by: 15, window_ms: 900_000, deadband: 10, on_delay_ms: 60_000, off_delay_ms: 0 },
  state: { is: [14], on_delay_ms: 60_000, off_delay_ms: 0 },
  comparison: {
    all: [{ metric: 'consumption_kw', above: 10 }],
    unless: [{ metric: 'battery_soc_pct', above: 95 }],
    max_age_ms: 120_000,
    on_delay_ms: 300_000,
    off_delay_ms: 0,
  },
  expression: {
    when: 'consumption_kw > 1.5 * usual && (charge < 40 || abs(consumption_kw - peak) < 0.5)',
    inputs: {
      usual: { metric: 'consumption_kw', window_ms: 3_600_000, fold: 'mean' },
      peak: { metric: 'consumption_kw', window_ms: 900_000, fold: 'max' },
      charge: { metric: 'battery_soc_pct', otherwise: 50 },
    },
    max_age_ms: 120_000,
    on_delay_ms: 60_000,
    off_delay_ms: 0,
  },
  deviation: { side: 'both', times: 2, least: 0, min_days: 7, on_delay_ms: 900_000, off_delay_ms: 900_000 },
  balance: { confirmations: 3, clear_after: 2 },
};

/** Time of one evaluation of a kind, five seconds between samples. */
function evaluation(name: string, parameters: object): number {
  const kind = ruleKinds[name];
  if (!kind) throw new Error(name);
  let state = kind.initial();
  const sample = { deviceId: null, metric: 'consumption_kw', timeMs: startMs, value: 0 } as {
    -readonly [K in keyof RuleSample]: RuleSample[K];
  };
  return microseconds(20_000, (index) => {
    sample.timeMs = startMs + index * 5000;
    sample.value = 10 + (index % 100) / 12;
    state = kind.onSample(parameters as never, state, sample, context).state;
  });
}

export const benches: readonly Bench[] = [
  {
    id: 'gateway.rules.unwatched',
    unit: 'µs',
    what: 'A sample of a series that no rule concerns, with all default rules of the reference village.',
    own: {
      what: 'the engine, one sample at a time',
      async run() {
        // A device that is not watched for silence: else that rule would be asked.
        const engine = engineOf(defaults());
        const sample = { deviceId: 'spare-9', metric: 'humidity_pct', timeMs: startMs, value: 50 };
        const one = microseconds(500_000, (index) => {
          sample.timeMs = startMs + index;
          engine.onSeriesSample(sample);
        });
        const metrics = Array.from({ length: 12 }, (_, index) => `humidity_pct.place-${index}`);
        const take = engine.onReadings(new DeviceSeries('spare-9', metrics));
        const values = new Float64Array(metrics.length).fill(500);
        const reading = microseconds(500_000, (index) => void take(startMs + index, values));
        return { value: one, beside: { of_a_reading_us: reading / metrics.length } };
      },
    },
  },
  {
    id: 'gateway.rules.evaluation',
    unit: 'µs',
    what: 'One evaluation of a rule; the slowest kind, each kind beside it.',
    own: {
      what: 'every kind of rule, a sample each 5 s',
      async run() {
        const found = Object.fromEntries(
          Object.entries(kinds).map(([name, parameters]) => [`${name}_us`, evaluation(name, parameters)]),
        );
        return { value: Math.max(...Object.values(found)), beside: found };
      },
    },
  },
  {
    id: 'gateway.rules.state',
    unit: 'B',
    what: "The rules' state that is kept with a commit, reference village with all default rules.",
    own: {
      what: 'the state as text, every series heard',
      async run() {
        const engine = engineOf(defaults());
        for (const [index, metric] of Object.keys(villageWiring()).entries())
          engine.onFigure(metric, startMs + index * 700, 10.25);
        for (const { device_id, metrics } of villageDevices())
          for (const metric of metrics)
            engine.onSeriesSample({ deviceId: device_id, metric, timeMs: startMs + 321, value: 41.25 });
        engine.onTick(startMs + 5000);
        const exporting = microseconds(2000, () => void engine.exportState());
        return { value: engine.exportState().length, beside: { export_us: exporting } };
      },
    },
  },
];
