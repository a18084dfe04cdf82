import { powerState, resolveFigure, type Wire } from '@villagrid/contracts';
import t from 'tap';
import { createVillage, defaultPlant, loadMeasured, villageWiring, type VillageState } from '../src/index.js';
import { meterSignal, nodeSignals, type Signal } from '../src/reference/signals.js';
import { createDemand } from '../src/village/load.js';
import { batteryTerminals, pvInverterAcKw, pvInverterLossKw } from '../src/village/electric.js';
import { clearSkyWm2 } from '../src/village/sun.js';

const measured = loadMeasured();
const seed = Number(process.env.SEED ?? 20261125);
const hourMs = 3_600_000;
const midnightMs = Date.UTC(2026, 10, 24, 21);
const seeds = process.env.SEED === undefined ? [1, 2, seed] : [seed];

t.test('the measured series are whole', async (t) => {
  t.equal(measured.loadDays.length, 31);
  t.ok(measured.loadDays.every((day) => day.length === 288));
  t.equal(measured.dailyMeanKw.length, 366);
  t.equal(measured.airTempC.length, 1440);
  t.ok(measured.cloudTexture.length > 400, `${measured.cloudTexture.length} minutes of texture`);
  t.ok(Math.max(...measured.cloudTexture) <= 1.25 && Math.min(...measured.cloudTexture) > 0.2);
});

t.test('the pieces of the model follow their formulas', async (t) => {
  const dcKw = 12;
  const acKw = pvInverterAcKw(dcKw, 20);
  t.ok(Math.abs(acKw + pvInverterLossKw(acKw, 20) - dcKw) < 1e-9, 'inverter: DC in = AC out + loss');
  t.ok(acKw / dcKw > 0.97 && acKw / dcKw < 0.99);
  const { voltageV, currentA } = batteryTerminals(-8, 0.5, 0.0025);
  t.ok(Math.abs(voltageV * currentA + 8000) < 1e-6, 'battery: V x I = P');
  const noonMs = Date.UTC(2026, 10, 25, 9, 15);
  t.ok(clearSkyWm2(noonMs, -3.4, 38) > 950, 'the sun stands high at noon near the equator');
  t.equal(clearSkyWm2(noonMs + 12 * hourMs, -3.4, 38), 0, 'and is away at midnight');
});

t.test(
  'the load has the shape of the measured day and a peak below the limit, whatever the seed and season',
  async (t) => {
    for (const one of seeds) {
      const demand = createDemand({ seed: one, zone: 'Africa/Nairobi', measured, scale: 1 });
      const peaks: number[] = [];
      for (let day = 0; day < 360; day += 9) {
        const startMs = midnightMs + day * 24 * hourMs;
        const values = Array.from({ length: 288 }, (_, i) => demand(startMs + i * 300_000));
        const peak = Math.max(...values);
        peaks.push(peak);
        if (peak >= 13.2) t.fail(`seed ${one} day ${day}: peak ${peak} kW`);
        const mean = (from: number, to: number) =>
          values.slice(from * 12, to * 12).reduce((a, b) => a + b, 0) / ((to - from) * 12);
        if (!(mean(19, 22) > 1.4 * mean(6, 10))) t.fail(`seed ${one} day ${day}: the evening is not the peak`);
      }
      const usual = [...peaks].sort((a, b) => a - b)[Math.floor(peaks.length / 2)] ?? 0;
      t.ok(usual > 11 && usual < 12.2, `seed ${one}: usual peak ${usual.toFixed(2)} kW`);
    }
    // 10 March is in the measured month: five-minute values are the measured ones, scaled.
    const demand = createDemand({ seed, zone: 'America/La_Paz', measured, scale: 1 });
    const startMs = Date.UTC(2016, 2, 10, 4);
    const day = measured.loadDays[9] ?? [];
    const ratios = [0, 60, 120, 180, 240].map((slot) => demand(startMs + slot * 300_000) / (day[slot] ?? 1));
    t.ok(
      Math.max(...ratios) / Math.min(...ratios) < 1.12,
      `one scale for the whole day: ${ratios.map((r) => r.toFixed(3))}`,
    );
  },
);

for (const one of seeds) {
  t.test(`energy in = energy out + losses within 1 % over a day (seed ${one})`, async (t) => {
    const village = createVillage({ name: 'Kisima', seed: one, measured, startMs: midnightMs });
    const before = village.snapshot();
    let generation = 0;
    let consumption = 0;
    let charge = 0;
    let loss = 0;
    for (let ms = 5000; ms <= 24 * hourMs; ms += 5000) {
      village.advanceTo(midnightMs + ms);
      const s = village.snapshot();
      const agree = s.consumptionKw + s.batteryPowerKw + s.converterLossKw - s.generationKw;
      if (Math.abs(agree) > 1e-9) t.fail(`at ${ms}: numbers disagree by ${agree} kW`);
      if (Math.abs(s.batteryVoltageV * s.batteryCurrentA - s.batteryPowerKw * 1000) > 1e-6)
        t.fail(`at ${ms}: V x I is not P`);
      const sum = s.inverters.reduce((kw, inverter) => kw + inverter.powerKw, 0);
      if (Math.abs(sum - s.generationKw) > 1e-9) t.fail(`at ${ms}: the inverters do not add up`);
      if (s.batteryVoltageV < 46 || s.batteryVoltageV > 56) t.fail(`at ${ms}: bus at ${s.batteryVoltageV} V`);
      if (s.converterLossKw < 0 || s.batteryLossKw < -1e-9) t.fail(`at ${ms}: a negative loss`);
      if (!s.dark && (s.acVoltageV < 225 || s.acVoltageV > 238 || s.acFrequencyHz < 49.7 || s.acFrequencyHz > 50.5)) {
        t.fail(`at ${ms}: ${s.acVoltageV} V ${s.acFrequencyHz} Hz`);
      }
      if (s.inverters.some((inverter) => inverter.temperatureC > 58))
        t.fail(`at ${ms}: an inverter is hot on a normal day`);
      // What an observer would add up from the readings alone.
      generation += s.generationKw / 720;
      consumption += s.consumptionKw / 720;
      charge += s.batteryPowerKw / 720;
      loss += (s.converterLossKw + s.batteryLossKw) / 720;
    }
    const after = village.snapshot();
    const stored = ((after.batterySocPct - before.batterySocPct) / 100) * defaultPlant.batteryKwh;
    const gap = generation - consumption - stored - loss;
    t.ok(
      Math.abs(gap) < 0.01 * generation,
      `in ${generation.toFixed(1)} out ${consumption.toFixed(1)} stored ${stored.toFixed(1)} lost ${loss.toFixed(1)} gap ${gap.toFixed(3)} kWh`,
    );
    t.ok(generation > 60 && consumption > 100, 'a day worth the name');
    const counted =
      after.counters.batteryChargeKwh -
      before.counters.batteryChargeKwh -
      (after.counters.batteryDischargeKwh - before.counters.batteryDischargeKwh);
    t.ok(Math.abs(counted - charge) < 0.01, 'the battery counters are the integral of its power');
    const whole =
      after.counters.panelsKwh -
      before.counters.panelsKwh -
      (after.counters.consumptionKwh - before.counters.consumptionKwh) -
      stored;
    t.ok(
      Math.abs(whole - (after.counters.lossKwh - before.counters.lossKwh)) < 0.01 * generation,
      'panels to consumption balances too',
    );
  });
}

t.test('a long gap is caught up in bigger steps without breaking the balance', async (t) => {
  const village = createVillage({ name: 'Kisima', seed, measured, startMs: midnightMs });
  const before = village.snapshot();
  village.advanceTo(midnightMs + 60 * 24 * hourMs);
  const after = village.snapshot();
  const of = (key: keyof typeof after.counters) => after.counters[key] - before.counters[key];
  const gap = of('panelsKwh') - of('consumptionKwh') - of('lossKwh') - (after.storedKwh - before.storedKwh);
  t.ok(Math.abs(gap) < 0.01 * of('panelsKwh'), `gap ${gap} of ${of('panelsKwh')} kWh`);
  t.ok(of('consumptionKwh') > 60 * 110, 'the village lived through it');
});

t.test(
  'the same name, seed and start give the same village; it goes on from a saved state; another seed is another village',
  async (t) => {
    const options = { name: 'Kisima', seed, measured, startMs: midnightMs + 9 * hourMs };
    const a = createVillage(options);
    t.same(a.snapshot(), createVillage(options).snapshot());
    t.notSame(a.snapshot(), createVillage({ ...options, seed: seed + 1 }).snapshot());
    const saved = JSON.parse(JSON.stringify(a.state())) as VillageState;
    const laterMs = options.startMs + 600_000;
    const b = createVillage({ ...options, startMs: laterMs, state: saved });
    a.advanceTo(laterMs);
    t.ok(Math.abs(a.snapshot().batterySocPct - b.snapshot().batterySocPct) < 0.05, 'charge goes on');
    t.ok(b.snapshot().counters.generationKwh >= saved.counters.generationKwh, 'counters never step back');
  },
);

t.test('an empty battery leaves the village dark until it has charged again', async (t) => {
  const village = createVillage({
    name: 'Kisima',
    seed,
    measured,
    startMs: midnightMs,
    plant: { ...defaultPlant, pvKwp: 18, inverterKw: 8 },
  });
  let sawDark = false;
  let sawBack = false;
  for (let hour = 0; hour < 72; hour += 0.25) {
    village.advanceTo(midnightMs + hour * hourMs);
    const s = village.snapshot();
    if (s.dark) {
      sawDark = true;
      t.equal(s.consumptionKw, 0);
      t.equal(s.feederVoltageV, 0);
    } else if (sawDark && s.batterySocPct >= 29) sawBack = true;
    if (s.batterySocPct < 15) t.fail(`SoC ${s.batterySocPct} %`);
  }
  t.ok(sawDark, 'it went dark');
  t.ok(sawBack, 'and came back');
});

t.test('a full battery holds generation back', async (t) => {
  const village = createVillage({
    name: 'Kisima',
    seed,
    measured,
    startMs: midnightMs,
    plant: { ...defaultPlant, pvKwp: 120, inverterKw: 55 },
  });
  village.advanceTo(midnightMs + 14 * hourMs);
  const s = village.snapshot();
  t.ok(s.curtailed && s.batterySocPct > 97, `SoC ${s.batterySocPct}`);
  t.ok(Math.abs(s.generationKw - s.consumptionKw) < 6);
  t.equal(s.inverters[0]?.state, 5, 'the inverters say throttled');
});

t.test(
  'an inverter without its fan passes 60 °C within minutes, derates, trips at 85 °C and runs again when mended',
  async (t) => {
    const village = createVillage({ name: 'Kisima', seed, measured, startMs: midnightMs + 12 * hourMs });
    village.faults.overheating.add('pv-inverter-1');
    let nowMs = midnightMs + 12 * hourMs;
    const run = (ms: number) => {
      nowMs += ms;
      village.advanceTo(nowMs);
      return village.snapshot().inverters[0];
    };
    t.ok((run(150_000)?.temperatureC ?? 0) > 60);
    let hottest = 0;
    let tripped = false;
    for (let i = 0; i < 60; i += 1) {
      const inverter = run(5000);
      hottest = Math.max(hottest, inverter?.temperatureC ?? 0);
      tripped ||= inverter?.state === 7 && inverter.powerKw === 0;
    }
    t.ok(tripped && hottest >= 85 && hottest < 88, `hottest ${hottest}`);
    village.faults.overheating.clear();
    t.not(run(30 * 60_000)?.state, 7, 'cooled down and running');
    village.faults.tripped.add('pv-inverter-2');
    run(5000);
    t.match(village.snapshot().inverters[1], { state: 7, powerKw: 0 });
  },
);

t.test('a collapsing battery loses its charge, sags, and takes the village down', async (t) => {
  const startMs = midnightMs + 22 * hourMs;
  const village = createVillage({ name: 'Kisima', seed, measured, startMs });
  const before = village.snapshot();
  village.faults.batteryCollapsed = true;
  village.advanceTo(startMs + 60_000);
  const early = village.snapshot();
  t.ok(early.batterySocPct < before.batterySocPct - 1.5 && early.batteryVoltageV < before.batteryVoltageV);
  village.advanceTo(startMs + 50 * 60_000);
  const dark = village.snapshot();
  t.ok(dark.dark && dark.acVoltageV > 200, 'the feeders are shed, the inverters still run');
  const wire = villageWiring().ac_output_voltage_v as Wire;
  const signals: Record<string, Signal> = { ...nodeSignals, 'village-meter': meterSignal() };
  const figure = resolveFigure(
    'ac_output_voltage_v',
    wire,
    (deviceId, metric) => ({ timeMs: dark.timeMs, quality: 0, value: signals[deviceId]?.(dark)[metric] ?? null }),
    dark.timeMs,
  );
  t.equal(powerState({ ac_output_voltage_v: figure }, dark.timeMs), 'off', 'as the reference village is wired');
});
