/** What the rules cost: a sample that none concerns, an evaluation of each kind, what is kept with a commit, and a start. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createRuleEngine,
  defaultLimits,
  defaultRules,
  DeviceSeries,
  qualityCodes,
  ruleKinds,
  siteSchema,
  type Rule,
  type RuleContext,
  type RuleSample,
  type Site,
} from '@villagrid/contracts';
import { realClock as machineClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { villageDevices, villageWiring } from '@villagrid/simulator';
import type { Bench } from '@villagrid/tools/bench';
import { Default, Parse } from 'typebox/value';
import { createEvaluation } from '../src/alerts/evaluation.js';
import { Lines } from '../src/live/lines.js';
import { Live } from '../src/live/live.js';
import { encodeRecord, type StateWrite } from '../src/log/journal-record.js';
import { openLogStore } from '../src/log/log-store.js';
import { packFrame } from '../src/log/packed.js';

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

/** A change within ten minutes of each of these series: the rule with the largest state. */
const warmSeries = Array.from({ length: 40 }, (_, index) => `equipment_temp_c.place_${index}`);
const warms: Rule = {
  id: 'warms',
  kind: 'rate_of_change',
  enabled: true,
  severity: 'low',
  message: 'm',
  what: 'w',
  why: 'y',
  steps: ['s'],
  selector: { scope: 'series', metric: 'equipment_temp_c' },
  parameters: { rises_by: 10, window_ms: 600_000, deadband: 2, on_delay_ms: 0, off_delay_ms: 0 },
};

interface Kept {
  /** Bytes of state a commit keeps: the median, and all of them by the commits. */
  readonly medianBytes: number;
  readonly meanBytes: number;
  /** Bytes of the journal a commit takes, with and without that state. */
  readonly journalBytes: number;
  readonly journalWithoutBytes: number;
  /** A start after the last of them, milliseconds. */
  readonly startMs: number;
}

/** A gateway's rules over commits of five seconds each, and then a start. In a flood every reading comes `times` times. */
async function kept(rules: readonly Rule[], commits: number, times = 1): Promise<Kept> {
  const site: Site = Parse(
    siteSchema,
    Default(siteSchema, {
      grid_id: 'bench',
      gateway_id: 'gw',
      name: 'Bench',
      zone: 'Africa/Nairobi',
      plant: { pv_kwp: 45 },
      devices: [
        ...villageDevices().map(({ device_id, name, kind }) => ({ device_id, name, kind, protocol: 'mqtt' })),
        { device_id: 'warm', name: 'warm', kind: 'sensor', protocol: 'mqtt' },
      ],
      wiring: villageWiring(),
    }),
  );
  const folder = mkdtempSync(join(tmpdir(), 'villagrid-rules-'));
  let nowMs = startMs;
  const machine = machineClock();
  const realClock = { ...machine, monotonicMs: () => machine.monotonicMs() + nowMs - startMs };
  const clock = { ...realClock, nowMs: () => nowMs };
  const random = seededRandom('rules');
  const open = () => {
    const store = openLogStore({
      path: join(folder, 'log.db'),
      clock,
      realClock,
      random,
      log: silentLogger(),
      trust: () => 'ntp',
      holdMs: 86_400_000,
      maxSamples: 1_000_000,
      maxBytes: 1e9,
      journalBytes: 64 * 1024 * 1024,
    });
    const states: StateWrite[] = [];
    const log = {
      ...store.log,
      putState(name: string, number: number, value: string) {
        states.push({ name, number, value });
        store.log.putState(name, number, value);
      },
    };
    const live = new Live({ site, clock, logger: silentLogger() });
    const began = process.cpuUsage();
    const evaluation = createEvaluation({
      rules,
      site,
      log,
      corrected: (frame) => frame,
      live,
      lines: new Lines(),
      clock,
      realClock,
      logger: silentLogger(),
      usual: context.usual,
      raised: new Set(),
    });
    const { user, system } = process.cpuUsage(began);
    return { ...store, states, live, evaluation, startMs: (user + system) / 1000 };
  };
  try {
    const house = open();
    const { log, states, live, evaluation } = house;
    const devices = [
      ...villageDevices().map(({ device_id, metrics }) => new DeviceSeries(device_id, metrics)),
      ...(rules.includes(warms) ? [new DeviceSeries('warm', warmSeries)] : []),
    ].map((series) => ({ series, show: live.onReadings(series), judge: evaluation.readings(series) }));
    let record = { frame: new Uint8Array() as Uint8Array, number: 0 };
    log.onCommit(({ number, bytes }) => void (record = { frame: packFrame(bytes), number }));
    const taken: number[] = [];
    const journal: number[] = [];
    const without: number[] = [];
    for (let commit = 0; commit < commits; commit += 1) {
      states.length = 0;
      for (let time = 0; time < times; time += 1)
        for (const { series, show, judge } of devices) {
          const timeMs = nowMs + time;
          const values = series.factors.map((factor) => Math.round((20 + random.float()) * factor));
          judge(timeMs, values, show(timeMs, values, qualityCodes.good, timeMs), timeMs);
          const reading = { series, timeMs, values, quality: qualityCodes.good, boot: undefined, seq: undefined };
          void log.append({ reading });
        }
      nowMs += 5000;
      evaluation.tick();
      await log.flush();
      const head = { epoch: log.epoch, attempt: 1, durable: record.number, ...record, cursors: [] };
      taken.push(states.reduce((sum, { name, value }) => sum + name.length + value.length, 0));
      journal.push(encodeRecord({ ...head, states }).length);
      without.push(encodeRecord({ ...head, states: [] }).length);
    }
    await house.close();
    const again = open();
    await again.close();
    const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
    return {
      medianBytes: taken.sort((a, b) => a - b)[Math.floor(taken.length / 2)] ?? 0,
      meanBytes: mean(taken),
      journalBytes: mean(journal),
      journalWithoutBytes: mean(without),
      startMs: again.startMs,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
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
    what: "What is kept of the rules' state with a commit of five seconds, on average: reference village, default rules.",
    own: {
      what: 'a whole state now and then, and between what was heard',
      async run() {
        // 255 commits: the last whole state is then as old as it gets.
        const village = await kept(defaults(), 255);
        const warm = await kept([...defaults(), warms], 255);
        const flood = await kept([...defaults(), warms], 30, 20);
        const named = (name: string, one: Kept) => ({
          [`${name}_median_B`]: one.medianBytes,
          [`${name}_mean_B`]: one.meanBytes,
          [`${name}_journal_B`]: one.journalBytes,
          [`${name}_journal_without_B`]: one.journalWithoutBytes,
          [`${name}_start_ms`]: one.startMs,
        });
        return {
          value: village.meanBytes,
          beside: { ...named('village', village), ...named('rate_of_40_series', warm), ...named('flood', flood) },
        };
      },
    },
  },
];
