/** The figures of reports: numbers worked out by hand, and promises held against random deletions and injected faults. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import {
  autonomy,
  balanceResidualKwh,
  baseLoadKw,
  basisOf,
  cellTemperatureC,
  counterSteps,
  countedQuarters,
  curtailedKwh,
  denseQuarters,
  depthOfDischarge,
  emptyColumns,
  equivalentCycles,
  evenings,
  expectedSamples,
  fillGaps,
  integratedQuarters,
  interruptionCause,
  interruptionLimits,
  loadFactor,
  localDays,
  localPeriod,
  makeReport,
  meterFindings,
  peakQuarter,
  percentile,
  preferCounted,
  qualityLimits,
  quarterMs,
  quarterRaster,
  quarterStartMs,
  reliability,
  renewableFraction,
  reportSchema,
  roundTripEfficiency,
  runningQuarters,
  solarYields,
  supplyOf,
  supplyQuality,
  temperatureFactor,
  temperatureWeight,
  throughputKwh,
  totalOf,
  usableKwh,
  zoneOffsetMs,
  type BalanceChannel,
  type CauseEvidence,
  type DenseQuarters,
  type QuarterRaster,
  type SupplySpan,
  type WindowColumns,
} from '@villagrid/contracts';
import { holds } from './property.js';

const hour = 3_600_000;
const day = 24 * hour;
const near = (t: Test, found: number | null | undefined, wanted: number, name: string, within = 1e-6): void =>
  void t.ok(typeof found === 'number' && Math.abs(found - wanted) <= within, `${name}: ${found} instead of ${wanted}`);
/** Seeded noise for plants that are made up. */
function noise(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Windows of 15 minutes of a device that reports every 10 s; undefined leaves the window out. */
function windows(raster: QuarterRaster, value: (at: number) => number | undefined): WindowColumns {
  const columns = emptyColumns();
  for (let at = 0; at < raster.length; at += 1) {
    const one = value(at);
    if (one === undefined) continue;
    columns.t.push(quarterStartMs(raster, at));
    for (const key of ['min', 'mean', 'max', 'last'] as const) columns[key].push(one);
    columns.count.push(90);
  }
  return columns;
}
const dense = (raster: QuarterRaster, value: (at: number) => number | undefined): DenseQuarters =>
  denseQuarters(raster, windows(raster, value), 10);

t.test('local days are whole in zones of :30 and :45 and at changes of the clock', async (t) => {
  const count = (zone: string, date: string) => {
    const noon = Date.parse(`${date}T12:00:00Z`);
    const raster = quarterRaster(zone, noon, noon + 1);
    t.equal(raster.hour[0], 0, `${zone} ${date} begins at hour 0`);
    t.equal(raster.hour.at(-1), 23, `${zone} ${date} ends in hour 23`);
    return raster.length;
  };
  t.equal(count('Asia/Kathmandu', '2026-06-01'), 96);
  t.equal(count('Asia/Kolkata', '2026-06-01'), 96);
  t.equal(count('Europe/Berlin', '2026-03-29'), 92, 'a day of 23 hours');
  t.equal(count('Europe/Berlin', '2026-10-25'), 100, 'a day of 25 hours');
  t.equal(count('Australia/Lord_Howe', '2026-10-04'), 94, 'a clock that moves by half an hour');
  for (const zone of ['Asia/Kathmandu', 'Europe/Berlin', 'America/La_Paz', 'Pacific/Auckland']) {
    const year = localPeriod(zone, 'year', Date.UTC(2026, 6, 1));
    const days = localDays(zone, year.fromMs, year.toMs);
    t.equal(days.length, 365, zone);
    t.equal(days[0]?.fromMs, year.fromMs, zone);
    t.equal(days.at(-1)?.toMs, year.toMs, zone);
    const month = localPeriod(zone, 'month', Date.UTC(2028, 1, 29, 9));
    t.equal(localDays(zone, month.fromMs, month.toMs).length, 29, `${zone} February of a leap year`);
  }
  const [evening] = evenings(
    'Europe/Berlin',
    localDays('Europe/Berlin', Date.UTC(2026, 9, 25, 12), Date.UTC(2026, 9, 25, 13)),
  );
  t.equal(evening?.fromMs, Date.UTC(2026, 9, 25, 17), '18:00 of winter time on the day of the change');
  t.equal((evening?.toMs ?? 0) - (evening?.fromMs ?? 0), 4 * hour);
});

t.test('a counter never counts backwards and never giant amounts', async (t) => {
  const at = (values: readonly (number | null)[], maxPerHour = 20) =>
    counterSteps(
      values.map((_, i) => i * quarterMs),
      values,
      { maxPerHour },
    ).map(({ from, to, amount, kind }) => [from, to, Math.round(amount * 1000) / 1000, kind]);
  t.same(
    at([100, 101, null, null, 104]),
    [
      [0, 1, 1, 'counted'],
      [1, 4, 3, 'counted'],
    ],
    'a gap is bridged',
  );
  t.same(
    at([100, 101, 65_535, 102]),
    [
      [0, 1, 1, 'counted'],
      [1, 3, 1, 'counted'],
    ],
    'no value of 16 bits',
  );
  t.same(
    at([100, 101, 655.35, 102]),
    [
      [0, 1, 1, 'counted'],
      [1, 3, 1, 'counted'],
    ],
    'the same, scaled',
  );
  t.same(
    at([500, 501, 0.5, 1.5]),
    [
      [0, 1, 1, 'counted'],
      [1, 2, 0.5, 'reset'],
      [2, 3, 1, 'counted'],
    ],
    'a reset',
  );
  // 655.36 - 655.3 + 0.02 = 0.08
  t.same(
    at([655.3, 0.02, 1]),
    [
      [0, 1, 0.08, 'rolled_over'],
      [1, 2, 0.98, 'counted'],
    ],
    '16 bits of 10 Wh roll over',
  );
  t.same(
    at([9998, 9999.5, 1]),
    [
      [0, 1, 1.5, 'counted'],
      [1, 2, 1.5, 'rolled_over'],
    ],
    'a display of four digits',
  );
  t.same(
    at([100, 101, 9000, 9001]),
    [
      [0, 1, 1, 'counted'],
      [1, 2, 0, 'replaced'],
      [2, 3, 1, 'counted'],
    ],
    'a new meter',
  );
  t.same(
    at([5000, 5001, 900, 901]),
    [
      [0, 1, 1, 'counted'],
      [1, 2, 0, 'replaced'],
      [2, 3, 1, 'counted'],
    ],
    'another meter with a lower count is not 900 kWh in a quarter of an hour',
  );
  t.same(at([100, 0, 101]), [[0, 2, 1, 'counted']], 'a single zero');
  t.same(at([100, 999, 998, 997, 101]), [[0, 4, 1, 'counted']], 'a run of wrong readings that returns');
  t.same(
    at([100, 99.99, 100.01]),
    [
      [0, 1, 0, 'counted'],
      [1, 2, 0.01, 'counted'],
    ],
    'noise of the last digit',
  );
  t.same(at([Number.NaN, -5, null]), [], 'nothing usable');

  holds(
    t,
    'whatever happens to the readings, energy is neither negative nor more than the plant can make',
    fc.property(
      fc.array(
        fc.oneof(
          { weight: 20, arbitrary: fc.double({ min: 0, max: 4, noNaN: true }) },
          { weight: 1, arbitrary: fc.constantFrom('reset', 'spike', 'gap', 'zero', 'jump') },
        ),
        { minLength: 2, maxLength: 200 },
      ),
      fc.double({ min: 0, max: 70_000, noNaN: true }),
      (events, start) => {
        let count = start;
        const values = events.map((event) => {
          if (typeof event === 'number') count += event;
          else if (event === 'reset') count = 0;
          else if (event === 'jump') count += 5000;
          else return event === 'gap' ? null : event === 'zero' ? 0 : 65_535;
          return count % 65_536;
        });
        const times = values.map((_, i) => i * quarterMs);
        const steps = counterSteps(times, values, { maxPerHour: 16 });
        const sum = steps.reduce((all, { amount }) => all + amount, 0);
        return (
          steps.every(({ amount, high }) => amount >= 0 && high >= amount) &&
          sum <= (16 * (values.length - 1)) / 4 + 0.03 * values.length
        );
      },
    ),
    300,
  );
  holds(
    t,
    'resets, roll-overs and spikes of 65,535 leave the energy true within what a reset hides',
    fc.property(
      fc.array(fc.double({ min: 0.1, max: 4, noNaN: true }), { minLength: 100, maxLength: 300 }),
      fc.array(fc.integer({ min: 10, max: 90 }), { maxLength: 4 }),
      (gains, spikes) => {
        let truth = 0;
        let count = 65_400;
        const values: number[] = [];
        for (const [i, gain] of gains.entries()) {
          if (i > 0) truth += gain;
          count = (count + (i > 0 ? gain : 0)) % 65_536;
          values.push(spikes.includes(i) ? 65_535 : count);
        }
        const sum = counterSteps(
          values.map((_, i) => i * quarterMs),
          values,
          { maxPerHour: 16 },
        ).reduce((all, { amount }) => all + amount, 0);
        return Math.abs(sum - truth) < 1e-6 * truth + 1e-6;
      },
    ),
    200,
  );
});

t.test('energies: counted first, integrated where there is no counter, and it says so', async (t) => {
  const raster = quarterRaster('Africa/Nairobi', Date.UTC(2026, 5, 1), Date.UTC(2026, 5, 1) + 1);
  // 4 kW for 96 quarter hours: 96 kWh. The counter shows 2 % more and has no reading from quarter 40 to 49.
  const power = dense(raster, (at) => (at >= 20 && at < 24 ? undefined : 4));
  const counter = windows(raster, (at) => (at >= 40 && at < 50 ? undefined : 500 + (at + 1) * 1.02));
  const integrated = integratedQuarters(raster, power);
  const counted = countedQuarters(raster, [{ columns: counter, factor: 1 }], { maxPerHour: 40 });
  const both = preferCounted(counted, integrated);
  // Quarter 0 has no reading before it: 1 kWh by power, then 95 x 1.02 = 96.9 kWh by the counter.
  t.equal(both && basisOf(both, 0, 96), 'mixed');
  t.equal(both && basisOf(both, 1, 96), 'counter');
  const total = totalOf(fillGaps(raster, both as never, raster.days[0]?.toMs ?? 0), 0, 96);
  near(t, total.value, 97.9, 'total');
  near(t, total.completeness, 86 / 96, 'a bridged gap was not measured');
  near(t, (total.high ?? 0) - (total.low ?? 0), 0, 'a bridged gap is still certain');
  t.equal(total.estimate, false);
  // Without a counter the 4 missing quarter hours are filled with what other hours held: 92 x 1 + 4 x 1.
  const alone = totalOf(fillGaps(raster, integrated, raster.days[0]?.toMs ?? 0), 0, 96);
  near(t, alone.value, 96, 'gaps are not zero load');
  t.equal(alone.estimate, true);
  t.ok((alone.low ?? 0) >= 92 && (alone.low ?? 99) <= 96 && (alone.high ?? 0) >= 96, 'bounds hold the truth');
  near(t, alone.completeness, 92 / 96, 'completeness');
  // Two counters, one of which begins again at 0: 10 kWh each.
  const first = windows(raster, (at) => 700 + Math.min(at, 40) * 0.25);
  const second = windows(raster, (at) => (at < 20 ? 60_000 + at * 0.25 : (at - 20) * 0.25));
  const sum = countedQuarters(
    raster,
    [first, second].map((columns) => ({ columns, factor: 1 })),
    { maxPerHour: 10 },
  );
  // 40 steps of 0.25; of the second 19 before and 75 after the reset: 10 + 4.75 + 18.75 = 33.5
  near(t, totalOf(fillGaps(raster, sum, raster.days[0]?.toMs ?? 0), 0, 96).value, 33.5, 'a reset of one of two');
  const battery = dense(raster, (at) => (at < 48 ? 2 : -1));
  near(t, sumOf(integratedQuarters(raster, battery, 'positive').amount), 24, '48 x 2 kW x 0.25 h');
  near(t, sumOf(integratedQuarters(raster, battery, 'negative').amount), 12, '48 x 1 kW x 0.25 h');
});

const sumOf = (values: Float64Array): number => values.reduce((sum, one) => sum + (Number.isNaN(one) ? 0 : one), 0);

/** A month of a village: load with evenings, sun with clouds, some days dark. */
function village(seed: number, days = 35, zone = 'Asia/Kolkata') {
  const random = noise(seed);
  const raster = quarterRaster(zone, Date.UTC(2026, 4, 1, 12), Date.UTC(2026, 4, 1, 12) + (days - 1) * day);
  const cloud = raster.days.map(() => 0.25 + 0.75 * random());
  const busy = raster.days.map(() => 0.8 + 0.4 * random());
  const generation = new Float64Array(raster.length);
  const load = new Float64Array(raster.length);
  for (let at = 0; at < raster.length; at += 1) {
    const h = ((quarterStartMs(raster, at) + zoneOffsetMs(zone, quarterStartMs(raster, at))) % day) / hour;
    const sun = Math.max(0, Math.sin(((h - 6) / 12) * Math.PI));
    generation[at] = 20 * sun * (cloud[raster.day[at] as number] as number) * (0.6 + 0.4 * random());
    const evening = Math.exp(-(((h - 19.5) / 2) ** 2));
    load[at] = (busy[raster.day[at] as number] as number) * (1.5 + 6 * evening + 1.2 * random());
  }
  return { raster, generation, load, random };
}

t.test('random deletions: the truth lies inside the stated bounds in at least 95 % of runs', async (t) => {
  const seed = Number(process.env.SEED ?? 7);
  t.comment(`SEED=${seed}`);
  const tally = { inside: 0, runs: 0, width: 0, off: 0 };
  for (let run = 0; run < 200; run += 1) {
    const { raster, generation, load, random } = village(seed * 1000 + run);
    const gone = new Uint8Array(raster.length);
    for (let k = 0; k < 3 + 10 * random(); k += 1) {
      const start = Math.floor(random() * raster.length);
      const length = Math.ceil(random() ** 3 * 300);
      gone.fill(1, start, start + length);
    }
    for (const truth of [generation, load]) {
      const filled = fillGaps(
        raster,
        integratedQuarters(
          raster,
          dense(raster, (at) => (gone[at] ? undefined : (truth[at] as number))),
        ),
        raster.days.at(-1)?.toMs ?? 0,
      );
      // The last week, and one day of it.
      for (const [from, to] of [
        [raster.length - 7 * 96, raster.length],
        [raster.length - 96, raster.length],
      ] as const) {
        const total = totalOf(filled, from, to);
        if (total.value === null || !total.estimate) continue;
        const true_ = truth.subarray(from, to).reduce((sum, one) => sum + one / 4, 0);
        tally.runs += 1;
        tally.width += ((total.high ?? 0) - (total.low ?? 0)) / true_;
        tally.off += Math.abs(total.value - true_) / true_;
        if (true_ >= (total.low ?? 0) - 1e-9 && true_ <= (total.high ?? 0) + 1e-9) tally.inside += 1;
      }
    }
  }
  const { inside, runs, width, off } = tally;
  t.comment(
    `${inside} of ${runs} inside; bounds ${((100 * width) / runs).toFixed(1)} % wide, value off by ${((100 * off) / runs).toFixed(1)} % on average`,
  );
  t.ok(runs > 150, 'enough runs had gaps');
  t.ok(inside / runs >= 0.95, `${inside} of ${runs}`);
});

t.test('completeness: a point that is read once a minute is whole at 15 samples, a gap is a gap', async (t) => {
  t.equal(expectedSamples([15, 15, 15, 14, 15, 15], 180), 15, 'the series tells how often it is read');
  t.equal(expectedSamples([90, 90, 20, 90, 45, 90], 90), 90, 'gaps do not lower what is expected');
  t.equal(expectedSamples([20, 20], 90), 90, 'two windows tell nothing');
  const raster = quarterRaster('UTC', 0, 1);
  const columns = windows(raster, () => 1);
  columns.count.fill(15);
  columns.count[3] = 5;
  const { coverage } = denseQuarters(raster, columns, 5);
  t.same([...coverage.subarray(2, 5)], [1, 1 / 3, 1]);
});

t.test('yields by hand', async (t) => {
  // 20 kWp, one day: 5 kWh/m², array 80 kWh, AC 76 kWh, used 64 kWh; hot cells leave 92 % of the sun.
  const yields = solarYields({
    ratedKwp: 20,
    irradiationKwhM2: 5,
    arrayKwh: 80,
    acKwh: 76,
    usefulKwh: 64,
    correctedKwhM2: 4.6,
    hours: 24,
  });
  near(t, yields.reference, 5, 'Yr');
  near(t, yields.array, 4, 'Ya = 80 / 20');
  near(t, yields.final, 3.2, 'Yf = 64 / 20');
  near(t, yields.captureLoss, 1, 'Lc = 5 - 4');
  near(t, yields.systemLoss, 0.8, 'Ls = 4 - 3.2');
  near(t, yields.performanceRatio, 0.64, 'PR = 3.2 / 5');
  near(t, yields.correctedPerformanceRatio, 0.6956521739, 'corrected PR = 3.2 / 4.6');
  near(t, yields.specificYield, 3.8, '76 / 20');
  near(t, yields.capacityFactor, 0.1583333333, '76 / (20 x 24)');
  near(t, yields.arrayToAc, 0.95, '76 / 80');
  const nothing = solarYields({ ...noYield, ratedKwp: null });
  t.ok(
    Object.values(nothing).every((one) => one === null),
    'nothing is made of nothing',
  );
  // NOCT 45: 30 °C air and 800 W/m² give 30 + 25 = 55 °C; 1 - 0.004 x 30 = 0.88.
  near(t, cellTemperatureC(30, 800), 55, 'cells');
  near(t, temperatureFactor(30, 800), 0.88, 'factor');
  const raster = quarterRaster('UTC', 0, 1);
  const irradiance = dense(raster, (at) => (at === 0 ? 800 : at === 1 ? 400 : 0));
  const air = dense(raster, () => 30);
  // 400 W/m²: 42.5 °C, factor 0.93. (800 x 0.88 + 400 x 0.93) / 1200 = 0.8966666667
  near(t, temperatureWeight(irradiance, air, 0, 96), 0.8966666667, 'weighted with irradiance');
});
const noYield = {
  irradiationKwhM2: null,
  arrayKwh: null,
  acKwh: 5,
  usefulKwh: 5,
  correctedKwhM2: null,
  hours: 24,
};

t.test('curtailment: what a full battery held back, judged by the site itself', async (t) => {
  const raster = quarterRaster('UTC', 0, day + 1);
  // 10 kWp at 800 W/m² gives 7.2 kW (ratio 0.9) on the first day; on the second the battery is full and 2 kW are taken.
  const sunny = (at: number) => at % 96 >= 40 && at % 96 < 56;
  const inputs = {
    generation: dense(raster, (at) => (sunny(at) ? (at < 96 ? 7.2 : 2) : 0)),
    irradiance: dense(raster, (at) => (sunny(at) ? 800 : 0)),
    air: undefined,
    soc: dense(raster, (at) => (at < 96 ? 60 : 100)),
    ratedKwp: 10,
  };
  // 16 quarter hours x (7.2 - 2) kW x 0.25 h = 20.8 kWh in 4 h
  const held = curtailedKwh(inputs, 96, 192);
  near(t, held?.kwh, 20.8, 'kWh');
  near(t, held?.hours, 4, 'hours');
  near(t, curtailedKwh(inputs, 0, 96)?.kwh, 0, 'a thirsty battery holds nothing back');
  t.equal(
    curtailedKwh({ ...inputs, soc: dense(raster, () => 100) }, 0, 192),
    null,
    'a site that was always full is not known',
  );
});

t.test('load and balance by hand', async (t) => {
  const raster = quarterRaster('UTC', 0, 1);
  const load = dense(raster, (at) => (at === 76 ? 9 : at < 20 || at >= 88 ? 1 + (at % 4) * 0.1 : 3));
  t.same(peakQuarter(load, 0, 96), { kw: 9, at: 76 }, 'peak at 19:00');
  // 20 + 8 quarter hours of the night hold 1.0, 1.1, 1.2, 1.3 seven times each: the 5th percentile is among the lowest.
  near(t, baseLoadKw(raster, load, 0, 96), 1, 'base load');
  near(t, percentile([1, 2, 3, 4, 5], 0.9), 4.6, '4 + 0.6 x 1');
  near(t, loadFactor(3, 9), 1 / 3, 'load factor');
  near(t, renewableFraction(100, 20, 10), 0.7, '1 - 30 / 100');
  near(t, renewableFraction(100, 20, 10, true), 0.8, 'the mains said to be renewable');
  near(
    t,
    sumOf(
      runningQuarters(
        raster,
        dense(raster, (at) => (at < 10 ? 4 : 0)),
        0.2,
      ).amount,
    ),
    2.5,
    '10 quarter hours',
  );
  const channels = {
    generation_kw: dense(raster, () => 5),
    consumption_kw: dense(raster, () => 3),
    battery_power_kw: dense(raster, (at) => (at < 48 ? 1.6 : undefined)),
  };
  // 48 quarter hours: (5 - 3 - 1.6) x 0.25 = 0.1 each
  const { residualKwh, quarters, inKwh } = balanceResidualKwh({ raster, channels }, 0, 96);
  near(t, residualKwh, 4.8, 'residual');
  near(t, inKwh, 60, '48 x 5 x 0.25');
  t.equal(quarters, 48, 'only where everything was measured');
});

t.test('battery by hand', async (t) => {
  near(t, throughputKwh(50, 40), 45, '(50 + 40) / 2');
  near(t, equivalentCycles(40, 60), 2 / 3, '40 / 60');
  near(t, roundTripEfficiency(50, 40, 0, 60), 0.8, '40 / 50 between equal charge');
  // 60 kWh, 80 % both ways (0.894427 each): 50 in stores 44.7214, 30 out takes 33.5410; the rest is 18.6339 % of 60.
  near(t, roundTripEfficiency(50, 30, ((50 * Math.sqrt(0.8) - 30 / Math.sqrt(0.8)) / 60) * 100, 60), 0.8, 'with stock');
  t.equal(roundTripEfficiency(1, 0.8, 0, 60), null, 'too little went through');
  // 60 x 0.9 x (70 - 20) / 100 x 0.95 = 25.65
  near(t, usableKwh({ ratedKwh: 60, socPct: 70, floorPct: 20, health: 0.9 }), 25.65, 'usable');
  const raster = quarterRaster('Africa/Nairobi', Date.UTC(2026, 5, 1), Date.UTC(2026, 5, 6));
  const soc = dense(raster, (at) => 90 - (at % 96) / 2);
  near(t, depthOfDischarge(soc, 0, 96), 0.575, '1 - (90 - 47.5) / 100');
  // At 20:00 of the last day 8 kWh are left and every hour takes 2 kW: empty at midnight.
  const nowMs = Date.UTC(2026, 5, 5, 17);
  const lasts = autonomy({
    raster,
    netLoad: new Float64Array(raster.length).fill(2),
    nowMs,
    usableKwh: 8,
    fullKwh: 40,
  });
  near(t, lasts?.emptyAtMs, nowMs + 4 * hour, 'clock time', 1);
  // Days of 1 to 5 kW alternate: the interval is wider than nothing and holds the mean.
  const uneven = raster.hour.map((_, at) => 1 + (raster.day[at] as number)) as unknown as ArrayLike<number>;
  const interval = autonomy({ raster, netLoad: Float64Array.from(uneven), nowMs, usableKwh: 8, fullKwh: 40 });
  t.ok(
    (interval?.earliestMs ?? 0) < (interval?.emptyAtMs ?? 0) && (interval?.emptyAtMs ?? 0) < (interval?.latestMs ?? 0),
  );
  t.equal(
    autonomy({ raster, netLoad: new Float64Array(raster.length).fill(-1), nowMs, usableKwh: 8, fullKwh: 40 })
      ?.emptyAtMs,
    null,
  );
});

t.test('scripted outages with scripted gaps: minutes, counts and causes are exact', async (t) => {
  const startMs = Date.UTC(2026, 5, 1, 21);
  const minute = (m: number) => startMs + m * 60_000;
  // Minutes of a day without power: 40, 3, 40 with a gap of 20 inside, 20 before a gap, 60 of which a gap hides 10.
  const out = [
    [60, 100],
    [300, 303],
    [600, 640],
    [700, 720],
    [900, 960],
  ];
  // Not known: 200-260 (all was well there), 610-630, 880-910, and an outage 1200-1230 nobody saw.
  const gaps = [
    [200, 260],
    [610, 630],
    [720, 730],
    [880, 910],
    [1190, 1240],
  ];
  out.push([1200, 1230]);
  const inside = (ranges: number[][], m: number) => ranges.some(([a, b]) => m >= (a as number) && m < (b as number));
  const spans: SupplySpan[] = [];
  for (let m = 0; m < 1440; m += 1)
    if (!inside(gaps, m))
      spans.push({
        fromMs: minute(m),
        toMs: minute(m + 1),
        voltageV: inside(out, m) ? 0 : 230,
        frequencyHz: inside(out, m) ? 0 : 50,
      });
  const supply = supplyOf(spans, interruptionLimits(230, 50), startMs, minute(1440));
  t.equal(supply.unknownMs / 60_000, 60 + 20 + 10 + 30 + 50, 'unknown minutes');
  t.equal(supply.offMs / 60_000, 40 + 3 + 20 + 20 + 50, 'minutes without power; what nobody saw is not among them');
  t.equal(supply.onMs + supply.offMs + supply.unknownMs, day, 'nothing is lost');
  t.same(
    supply.interruptions.map(({ fromMs, toMs, offMs, startsInGap, endsInGap }) => [
      (fromMs - startMs) / 60_000,
      (toMs - startMs) / 60_000,
      offMs / 60_000,
      startsInGap,
      endsInGap,
    ]),
    [
      [60, 100, 40, false, false],
      [300, 303, 3, false, false],
      [600, 640, 20, false, false],
      [700, 720, 20, false, true],
      [910, 960, 50, true, false],
    ],
  );
  const indices = reliability(supply);
  // Sustained: 40 + 20 + 20 + 50 = 130 min in 4; one momentary. Known: 1440 - 170 = 1270 min, of them 1137 with power.
  near(t, indices.saidiHours, 130 / 60, 'SAIDI');
  t.equal(indices.saifi, 4);
  t.equal(indices.maifi, 1);
  near(t, indices.caidiHours, 130 / 240, 'CAIDI');
  near(t, indices.availability, 1137 / 1270, 'availability over known time');
  // 230 V is good; 200 V (87 %) is a sag, not an outage; two of them with good supply between.
  const poor = spans
    .slice(0, 50)
    .map((span, m) => ({ ...span, voltageV: (m >= 10 && m < 15) || m === 30 ? 200 : 230 }));
  const quality = supplyQuality(poor, interruptionLimits(230, 50), qualityLimits(230, 50));
  near(t, quality.share, 44 / 50, 'good minutes');
  t.equal(quality.sags, 2);
  t.equal(supplyOf(poor, interruptionLimits(230, 50), startMs, minute(50)).offMs, 0);
  t.equal(supplyOf([], interruptionLimits(230, 50), startMs, minute(50)).offMs, 0, 'no samples are no outage');

  const before: CauseEvidence = {
    planned: false,
    socPct: 60,
    floorPct: 20,
    loadKw: 5,
    overloadKw: 14,
    equipmentC: 40,
    equipmentLimitC: 60,
    mainsLost: false,
  };
  t.equal(interruptionCause(before), 'unknown');
  t.equal(interruptionCause({ ...before, socPct: 21 }), 'battery_empty');
  t.equal(interruptionCause({ ...before, loadKw: 15 }), 'overload');
  t.equal(interruptionCause({ ...before, equipmentC: 75 }), 'inverter_fault');
  t.equal(interruptionCause({ ...before, mainsLost: true }), 'mains');
  t.equal(interruptionCause({ ...before, socPct: 10, planned: true }), 'planned');
  t.equal(interruptionCause({ ...before, socPct: null, loadKw: null, equipmentC: null }), 'unknown');
});

/** A village whose energies add up: sun, load, a battery that takes the difference, 6 % losses, meters of 1 %. */
function plant(seed: number, days: number) {
  const { raster, generation, load, random } = village(seed, days);
  const battery = new Float64Array(raster.length);
  const soc = new Float64Array(raster.length);
  const rated = 120;
  let charge = 60;
  for (let at = 0; at < raster.length; at += 1) {
    const wanted = (generation[at] as number) * 0.97 - (load[at] as number) * 1.03;
    const kw = Math.max(-(charge - 0.2 * rated) * 4, Math.min((rated - charge) * 4, wanted));
    battery[at] = kw;
    charge += (kw > 0 ? kw * 0.96 : kw / 0.96) / 4;
    soc[at] = Math.round((charge / rated) * 1000) / 10;
    // A full battery holds the sun back, an empty one drops the load.
    if (kw < wanted) generation[at] = (kw + (load[at] as number) * 1.03) / 0.97;
    if (kw > wanted) load[at] = ((generation[at] as number) * 0.97 - kw) / 1.03;
  }
  const read = (values: Float64Array) => values.map((value) => value * (1 + (random() - 0.5) * 0.02));
  return {
    raster,
    rated,
    soc,
    channels: { generation_kw: read(generation), consumption_kw: read(load), battery_power_kw: read(battery) },
  };
}

t.test('balance: the channel that lies is named, and 30 clean days name none', async (t) => {
  const seed = Number(process.env.SEED ?? 3);
  t.comment(`SEED=${seed}`);
  const judgeDays = (
    made: ReturnType<typeof plant>,
    change: Partial<Record<BalanceChannel | 'soc', (value: number, at: number) => number>>,
  ) => {
    const { raster, channels, soc, rated } = made;
    const column = (name: BalanceChannel) =>
      dense(raster, (at) =>
        (change[name] ?? ((value: number) => value))(channels[name as keyof typeof channels][at] as number, at),
      );
    return meterFindings(
      {
        raster,
        channels: {
          generation_kw: column('generation_kw'),
          consumption_kw: column('consumption_kw'),
          battery_power_kw: column('battery_power_kw'),
        },
        soc: dense(raster, (at) => (change.soc ?? ((value: number) => value))(soc[at] as number, at)),
        ratedKwh: rated,
      },
      0,
      raster.length,
    );
  };
  for (let run = 0; run < 5; run += 1)
    t.same(judgeDays(plant(seed + run, 30), {}), [], `30 clean days, seed ${seed + run}`);
  const faults: [string, Parameters<typeof judgeDays>[1], string, string][] = [
    ['flipped', { generation_kw: (v) => -v }, 'generation_kw', 'flipped_sign'],
    ['flipped', { consumption_kw: (v) => -v }, 'consumption_kw', 'flipped_sign'],
    ['flipped', { battery_power_kw: (v) => -v }, 'battery_power_kw', 'flipped_sign'],
    ['10 times', { generation_kw: (v) => v * 10 }, 'generation_kw', 'wrong_factor'],
    ['a tenth', { generation_kw: (v) => v / 10 }, 'generation_kw', 'wrong_factor'],
    ['10 times', { consumption_kw: (v) => v * 10 }, 'consumption_kw', 'wrong_factor'],
    ['a tenth', { consumption_kw: (v) => v / 10 }, 'consumption_kw', 'wrong_factor'],
    ['10 times', { battery_power_kw: (v) => v * 10 }, 'battery_power_kw', 'wrong_factor'],
    ['W for kW', { consumption_kw: (v) => v * 1000 }, 'consumption_kw', 'wrong_factor'],
    ['offset', { generation_kw: (v) => v + 3 }, 'generation_kw', 'offset'],
    ['offset', { consumption_kw: (v) => v + 3 }, 'consumption_kw', 'offset'],
    ['offset', { battery_power_kw: (v) => v - 3 }, 'battery_power_kw', 'offset'],
    ['stuck', { consumption_kw: (v, at) => (at % 96 > 30 ? 2.5 : v) }, 'consumption_kw', 'stuck'],
    ['stuck', { generation_kw: (v, at) => (at % 96 > 44 ? 9.5 : v) }, 'generation_kw', 'stuck'],
    ['stuck', { battery_power_kw: (v, at) => (at % 96 > 30 ? 4 : v) }, 'battery_power_kw', 'stuck'],
    ['SoC hangs', { soc: () => 55 }, 'battery_soc_pct', 'not_following'],
    ['SoC upside down', { soc: (v) => 100 - v }, 'battery_soc_pct', 'not_following'],
  ];
  const days = 10;
  for (const [name, change, channel, kind] of faults) {
    const found = judgeDays(plant(seed + 50, days), change);
    const right = found
      .filter((one) => one.channel === channel && one.kind === kind)
      .reduce((sum, one) => sum + one.days, 0);
    const wrong = found.filter((one) => one.channel !== channel).reduce((sum, one) => sum + one.days, 0);
    t.comment(`${name} ${channel}: ${right} of ${days} days named right, ${wrong} wrong`);
    t.ok(right >= days / 2, `${name} ${channel}: ${JSON.stringify(found)}`);
    t.equal(wrong, 0, `${name} ${channel}: nobody else is blamed: ${JSON.stringify(found)}`);
  }
  const made = plant(seed + 60, days);
  const swapped = meterFindings(
    {
      raster: made.raster,
      channels: {
        generation_kw: dense(made.raster, (at) => made.channels.consumption_kw[at]),
        consumption_kw: dense(made.raster, (at) => made.channels.generation_kw[at]),
        battery_power_kw: dense(made.raster, (at) => made.channels.battery_power_kw[at]),
      },
    },
    0,
    made.raster.length,
  );
  t.match(swapped[0], { kind: 'swapped' }, JSON.stringify(swapped));
  t.same(new Set([swapped[0]?.channel, swapped[0]?.other]), new Set(['generation_kw', 'consumption_kw']));
});

/**
 * A year with the figures a study published of a 375 kWp mini-grid in southern Ethiopia: capacity factor 13 %, corrected
 * PR 42 %, capture loss 2.75 and system loss 0.40 kWh/kWp per day, 13 h of load shedding per day. They do not come from
 * one set of energies: Yf = Yr - 3.15 and a PR of 0.4 (0.42 corrected for heat) give Yr = 5.25 and Yf = 2.1, which is a
 * capacity factor of 8.75 %. Here the AC meter stands behind the generator and counts its energy too: 3.12 kWh/kWp a day.
 */
function sickYear() {
  const zone = 'Africa/Addis_Ababa';
  const year = localPeriod(zone, 'year', Date.UTC(2025, 5, 1));
  const raster = quarterRaster(zone, year.fromMs, year.toMs);
  const kwp = 375;
  const airC = 24;
  const sunny = (at: number) => at % 96 >= 26 && at % 96 < 70;
  // 44 quarter hours of sun a day. The heat factor h of their irradiance g gives Yr: 2.1 = (Yr - 3.15), 2.1 / (Yr h) = 0.42 x k.
  const g = (5.25 * 1000) / (44 * 0.25);
  const heat = temperatureFactor(airC, g);
  // Yf so that Yf / (Yr h) = 0.42 and Yr = Yf + 3.15: Yf = 0.42 h (Yf + 3.15).
  const final = (0.42 * heat * 3.15) / (1 - 0.42 * heat);
  const sun = ((final + 3.15) * 1000) / (44 * 0.25);
  const heat2 = temperatureFactor(airC, sun);
  const final2 = (0.42 * heat2 * 3.15) / (1 - 0.42 * heat2);
  const powered = (at: number) => at % 96 >= 44 && at % 96 < 88;
  const genset = 0.9;
  const perQuarter = (daily: number, quarters: number) => (daily * kwp) / quarters / 0.25;
  return {
    raster,
    year,
    kwp,
    final: final2,
    powered,
    kw: {
      consumption: (at: number) => (powered(at) ? perQuarter(final2 + genset, 44) : 0),
      generation: (at: number) => (sunny(at) ? perQuarter(3.12, 44) : 0),
      array: (at: number) => (sunny(at) ? perQuarter(final2 + 0.4, 44) : 0),
      genset: (at: number) => (powered(at) ? perQuarter(genset, 44) : 0),
      irradiance: (at: number) => (sunny(at) ? sun : 0),
      air: () => airC,
    },
  };
}

t.test(
  'a year like the sick site of the literature shows as sick at first sight, with its published figures',
  async (t) => {
    const { raster, year, kwp, kw, powered } = sickYear();
    const amounts = (value: (at: number) => number) => integratedQuarters(raster, dense(raster, value));
    const spans: SupplySpan[] = [];
    for (let at = 0; at < raster.length; at += 1)
      spans.push({
        fromMs: quarterStartMs(raster, at),
        toMs: quarterStartMs(raster, at + 1),
        voltageV: powered(at) ? 230 : 0,
        frequencyHz: powered(at) ? 50 : 0,
      });
    const report = makeReport({
      grid: {
        gridId: 'sick',
        name: 'Sick site',
        plant: { pv_kwp: kwp, battery_floor_pct: 20, has_genset: true, has_mains: false },
      },
      raster,
      period: 'year',
      fromMs: year.fromMs,
      toMs: year.toMs,
      nowMs: year.toMs + day,
      by: 'month',
      amounts: {
        generation: amounts(kw.generation),
        consumption: amounts(kw.consumption),
        array: amounts(kw.array),
        genset: amounts(kw.genset),
        irradiation: integratedQuarters(
          raster,
          dense(raster, (at) => kw.irradiance(at) / 1000),
        ),
      },
      columns: {
        consumption: dense(raster, kw.consumption),
        irradiance: dense(raster, kw.irradiance),
        air: dense(raster, kw.air),
      },
      irradianceInPlane: true,
      spans,
      nominalV: 230,
      nominalHz: 50,
      causes: [],
    });
    t.ok(Check(Type.Omit(reportSchema, ['alert_load']), report), 'a report as the schema says, less the alerts');
    const figure = (id: string) => report.figures.find((one) => one.id === id);
    near(t, figure('capacity_factor')?.value, 13, 'capacity factor %', 0.01);
    near(t, figure('corrected_performance_ratio')?.value, 42, 'corrected PR %', 0.5);
    near(t, figure('capture_loss')?.value, 2.75, 'capture loss', 0.03);
    near(t, figure('system_loss')?.value, 0.4, 'system loss', 0.001);
    near(t, 24 - (figure('supply_hours_day')?.value ?? 0), 13, 'hours without power per day', 0.001);
    near(t, figure('without_power_h')?.value, 13 * 365, 'hours without power');
    t.equal(report.state, 'sick');
    const poor = report.findings.filter(({ severity }) => severity === 'poor').map(({ id }) => id);
    t.ok(
      ['availability', 'capture_loss', 'corrected_performance_ratio'].every((id) => poor.includes(id)),
      poor.join(),
    );
    t.equal(report.rows.length, 12);
    near(
      t,
      report.rows.reduce((sum, row) => sum + (row.generation_kwh ?? 0), 0),
      figure('generation_kwh')?.value ?? 0,
      'months add up',
      0.01,
    );
    t.equal(figure('availability')?.judgement, 'poor');
    t.equal(figure('generation_kwh')?.basis, 'integrated');
  },
);

t.test('a village that began at 14:28 is judged by the minutes it lived, not by the quarter hours around them', (t) => {
  const fromMs = Date.UTC(2026, 10, 28);
  const raster = quarterRaster('UTC', fromMs, fromMs + day);
  const beganMs = fromMs + 14 * hour + 28 * 60_000;
  /** Samples of 4.8 kW every 10 s from 14:28 on, and the counter beside them. */
  const reportAt = (hours: number, minutes: number, generation?: DenseQuarters) => {
    const nowMs = fromMs + hours * hour + minutes * 60_000;
    const power = emptyColumns();
    const energy = emptyColumns();
    for (let at = 57; at < raster.length && quarterStartMs(raster, at) < nowMs; at += 1) {
      const startMs = Math.max(beganMs, quarterStartMs(raster, at));
      const endMs = Math.min(nowMs, quarterStartMs(raster, at + 1));
      for (const [columns, value] of [
        [power, 4.8],
        [energy, 100 + (4.8 * (endMs - beganMs)) / hour],
      ] as const) {
        columns.t.push(quarterStartMs(raster, at));
        for (const key of ['min', 'mean', 'max', 'last'] as const) columns[key].push(value);
        columns.count.push((endMs - startMs) / 10_000);
      }
    }
    const consumption = denseQuarters(raster, power, 10);
    const counted = countedQuarters(raster, [{ columns: energy, factor: 1 }], { maxPerHour: 20 });
    const amounts = preferCounted(counted, integratedQuarters(raster, consumption));
    const report = makeReport({
      grid: { gridId: 'young', name: 'Young', plant: { battery_floor_pct: 20, has_genset: false, has_mains: false } },
      raster,
      period: 'day',
      fromMs,
      toMs: fromMs + day,
      nowMs,
      by: 'hour',
      amounts: {
        ...(amounts === undefined ? {} : { consumption: amounts }),
        ...(generation === undefined ? {} : { generation: integratedQuarters(raster, generation) }),
      },
      columns: { consumption },
      irradianceInPlane: true,
      spans: [],
      nominalV: 230,
      nominalHz: 50,
      causes: [],
    });
    return { report, figure: (id: string) => report.figures.find((one) => one.id === id) };
  };
  const unmeasured = reportAt(14, 29).report;
  t.match(unmeasured, { state: 'unknown', completeness: 0 }, 'nothing measured yet is not well');
  // 14:31, 14:34, 14:41: closed is 14:28 to 14:30, 2 min of 4.8 kW. 14:46: 17 min; 15:31: 62 min, two rows.
  for (const [hours, minutes, kwh] of [
    [14, 31, 0.16],
    [14, 34, 0.16],
    [14, 41, 0.16],
    [14, 46, 1.36],
    [15, 31, 4.96],
  ] as const) {
    const { report, figure } = reportAt(hours, minutes);
    const when = `${hours}:${minutes}`;
    t.equal(report.since_ms, beganMs, `${when}: since the first sample`);
    near(t, figure('consumption_kwh')?.value, kwh, `${when}: kWh`, 1e-4);
    near(t, figure('average_load_kw')?.value, 4.8, `${when}: average kW`, 1e-3);
    t.match(figure('consumption_kwh'), { completeness: 1, estimate: false }, `${when}: all of it was measured`);
    t.equal(report.rows[0]?.from_ms, beganMs);
    t.equal(report.rows[0]?.completeness, 1);
  }
  // The sun was measured from 12:00 on: 210 min. The load's average is over its own 62.
  const older = reportAt(
    15,
    31,
    dense(raster, (at) => (at >= 48 ? 2 : undefined)),
  );
  t.equal(older.report.since_ms, fromMs + 12 * hour);
  near(t, older.figure('average_load_kw')?.value, 4.8, 'a meter that came later: average kW', 1e-3);
  near(t, older.figure('consumption_kwh')?.completeness, 62 / 210, 'and its completeness', 1e-3);
  t.end();
});
