/** Tests of the usual day, of explained anomalies and of forecasts. */
import t from 'tap';
import {
  anomalyWords,
  createBatteryForecaster,
  createDetector,
  createTemperatureForecaster,
  explainFindings,
  isAnomalous,
  learnFigure,
  learnQuarter,
  localQuarter,
  usualDayFrom,
  usualDayOf,
  usualDayState,
  usualRange,
  type AnomalyExplanation,
  type BatteryForecast,
  type SeriesWindow,
  type Site,
  type SiteWindow,
} from '@villagrid/contracts';

const zone = 'Asia/Kathmandu';
const firstMs = Date.UTC(2026, 2, 1) - 20_700_000;

/** Windows of whole days of a value that depends on day and quarter hour. */
function windowsOf(days: number, value: (day: number, quarter: number) => number) {
  const columns = { t: [] as number[], min: [], mean: [] as number[], max: [], last: [], count: [] };
  for (let day = 0; day < days; day += 1)
    for (let quarter = 0; quarter < 96; quarter += 1) {
      columns.t.push(firstMs + (day * 96 + quarter) * 900_000);
      columns.mean.push(value(day, quarter));
    }
  return columns;
}

t.test('the usual range is that of the same quarter hour of the local day, also in a zone of :45', async (t) => {
  const evening = (day: number, quarter: number) => (quarter >= 72 && quarter < 88 ? 9 : 3) + (day % 5) / 10;
  const profile = usualDayOf(zone, new Map([['consumption_kw', windowsOf(14, evening)]]));
  const range = usualRange(profile, 'consumption_kw', 80);
  t.match(range, { days: 14 });
  t.ok(range!.low >= 9 && range!.high <= 9.4 && range!.low < range!.middle && range!.middle < range!.high);
  t.ok(usualRange(profile, 'consumption_kw', 40)!.high <= 3.4);
  t.equal(usualRange(profile, 'generation_kw', 40), undefined);
});

t.test('one wild day in twenty does not widen what is usual beyond recognition', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(20, (day) => (day === 7 ? 500 : 3 + (day % 4) / 10))]]));
  t.ok(usualRange(profile, 'x', 40)!.high < 3.5);
});

t.test('what is usual follows a village that changes, and forgets what is long ago', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(60, (day) => (day < 30 ? 3 : 6))]]));
  t.match(usualRange(profile, 'x', 10), { low: 6, middle: 6, high: 6, days: 21 });
});

t.test(
  'what is usual of a wired figure is that of the sum, where all terms are known, or else of the fallback',
  async (t) => {
    // Two that share one load: each varies much, their sum hardly.
    const share = (day: number) => (day % 5) / 5;
    const profile = usualDayOf(
      zone,
      new Map([
        ['a/p', windowsOf(10, (day) => 5 + share(day))],
        ['b/p', windowsOf(10, (day, quarter) => (quarter < 40 ? 1 + share(day) : Number.NaN))],
        ['c/p', windowsOf(9, () => 7)],
      ]),
    );
    const term = (device_id: string, factor = 1) => ({ device_id, metric: 'p', factor });
    learnFigure(profile, 'p', { terms: [term('a'), term('b', -1)], fallback: [term('c')] });
    learnFigure(profile, 'q', { terms: [term('a'), term('b', -1)] });
    const near = ({ low, middle, high, days }: NonNullable<ReturnType<typeof usualRange>>) => [
      ...[low, middle, high].map((value) => Math.round(value * 1e6) / 1e6),
      days,
    ];
    t.same(near(usualRange(profile, 'p', 20)!), [4, 4, 4, 10]);
    t.same(near(usualRange(profile, 'p', 60)!), [7, 7, 7, 9]);
    t.equal(usualRange(profile, 'q', 60), undefined);
  },
);

t.test('the usual day survives a restart', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(9, (day, quarter) => Math.sin(day * 7 + quarter))]]));
  const { date } = localQuarter(zone, firstMs + 20 * 86_400_000);
  learnQuarter(profile, 'x', date, 3, 0.25);
  const back = usualDayFrom(JSON.parse(JSON.stringify(usualDayState(profile))), zone)!;
  for (let quarter = 0; quarter < 96; quarter += 1) {
    const [was, is] = [usualRange(profile, 'x', quarter)!, usualRange(back, 'x', quarter)!];
    t.ok(Math.abs(was.low - is.low) < 1e-3 && Math.abs(was.high - is.high) < 1e-3 && was.days === is.days);
  }
  t.equal(usualDayFrom({ zone }, zone), undefined, 'what is no state is not believed');
  t.equal(usualDayFrom(usualDayState(profile), 'Africa/Nairobi'), undefined, 'nor one of another zone');
});

/** A site with two inverters, a meter, a battery and a weather station. */
const wire = (...terms: [string, string][]) => ({
  terms: terms.map(([device_id, metric]) => ({ device_id, metric, factor: 1 })),
});
const site: Site = {
  grid_id: 'g',
  gateway_id: 'gw',
  name: 'G',
  zone,
  plant: { pv_kwp: 20, battery_kwh: 60, battery_floor_pct: 20, has_genset: false, has_mains: false },
  devices: ['sun-1', 'pv-1', 'pv-2', 'meter-1', 'battery-1'].map((device_id) => ({
    device_id,
    name: device_id,
    kind: 'other',
    protocol: 'mqtt',
    period_s: 10,
    expected: true,
  })),
  wiring: {
    irradiance_w_m2: wire(['sun-1', 'irradiance_w_m2']),
    generation_kw: wire(['pv-1', 'generation_kw'], ['pv-2', 'generation_kw']),
    consumption_kw: wire(['meter-1', 'consumption_kw']),
    ac_output_voltage_v: wire(['meter-1', 'ac_output_voltage_v']),
    battery_power_kw: wire(['battery-1', 'battery_power_kw']),
    battery_soc_pct: wire(['battery-1', 'battery_soc_pct']),
  },
};

/** Noise of -1 to 1 that is the same in every run. */
const wobble = (n: number): number => ((Math.imul(n ^ 0x5bd1e995, 0x85ebca6b) >>> 8) % 2001) / 1000 - 1;

/** The site's windows: sun with cloudy days, an evening load, a battery that takes the rest. `bend` changes what is shown. */
function* siteWindows(
  days: number,
  bend: (series: string, value: number, at: number) => number | undefined = (_, value) => value,
): Generator<SiteWindow> {
  let soc = 60;
  for (let at = 0; at < days * 96; at += 1) {
    const [day, quarter] = [Math.floor(at / 96), at % 96];
    const cloud = 0.75 + 0.25 * wobble(day * 31);
    const sun = Math.max(0, Math.sin(((quarter - 24) / 48) * Math.PI)) * 950 * (cloud + 0.08 * wobble(at));
    const load = (quarter >= 72 && quarter < 90 ? 7 : 2.2) * (1 + 0.06 * wobble(at * 7) + 0.05 * wobble(day * 3));
    let made = (sun / 1000) * 19;
    if (soc >= 99.9) made = Math.min(made, load);
    const power = (made - load) * 0.97;
    const before = soc;
    soc = Math.min(100, Math.max(5, soc + (power * 25) / 60));
    const values: Record<string, [mean: number, last: number]> = {
      'sun-1/irradiance_w_m2': [sun, sun],
      'pv-1/generation_kw': [made / 2, made / 2],
      'pv-2/generation_kw': [made / 2, made / 2],
      'meter-1/consumption_kw': [load, load],
      'meter-1/ac_output_voltage_v': [231 - 0.4 * load + 0.1 * made, 230],
      'battery-1/battery_power_kw': [power, power],
      'battery-1/battery_soc_pct': [(before + soc) / 2, soc],
    };
    const series = new Map<string, SeriesWindow>();
    let n = 0;
    for (const [id, [mean, last]] of Object.entries(values)) {
      const noise = id.endsWith('soc_pct') ? 1 : 1 + 0.002 * wobble(at * 13 + (n += 1));
      const shown = bend(id, mean * noise, at);
      if (shown === undefined) continue;
      const by = shown - mean;
      series.set(id, { mean: shown, min: shown - 0.01, max: shown + 0.01, last: last + by });
    }
    yield { startMs: firstMs + at * 900_000, series };
  }
}

/** Looks at windows; gives the explanations from a window on, by window. */
function explained(windows: Iterable<SiteWindow>, fromAt: number, detector = experienced()) {
  const out = new Map<number, AnomalyExplanation>();
  for (const window of windows) {
    const findings = detector.look(window);
    const at = (window.startMs - firstMs) / 900_000;
    if (findings === undefined || at < fromAt || !isAnomalous(findings)) continue;
    const { quarter } = localQuarter(zone, window.startMs);
    const one = explainFindings(findings, (id) => usualRange(detector.usualDay, id, quarter));
    if (one !== undefined) out.set(at, one);
  }
  return out;
}
const seriesOfSite = [
  ['sun-1', 'irradiance_w_m2'],
  ['pv-1', 'generation_kw'],
  ['pv-2', 'generation_kw'],
  ['meter-1', 'consumption_kw'],
  ['meter-1', 'ac_output_voltage_v'],
  ['battery-1', 'battery_power_kw'],
  ['battery-1', 'battery_soc_pct'],
].map(([deviceId, metric]) => ({ deviceId: deviceId as string, metric: metric as string }));

/** Noon of the day after the learning. */
const noon = 16 * 96 + 44;

/** A detector that has learnt sixteen days; windows of that time it passes over. */
const experienced = (() => {
  let learnt: string | undefined;
  return () => {
    if (learnt === undefined) {
      const detector = createDetector(site, seriesOfSite);
      for (const window of siteWindows(16)) detector.look(window);
      learnt = JSON.stringify(detector.state());
    }
    return createDetector(site, seriesOfSite, JSON.parse(learnt));
  };
})();

t.test('cloudy and sunny days, evenings and nights are nothing out of the ordinary', async (t) => {
  t.same([...explained(siteWindows(21), 16 * 96)], []);
});

t.test(
  'an inverter that makes nothing in the sun is named, with what it should make and what would be silent',
  async (t) => {
    const fault = (id: string, value: number, at: number) => (id === 'pv-1/generation_kw' && at >= noon ? 0 : value);
    const [[at, first]] = [...explained(siteWindows(17, fault), noon)] as [[number, AnomalyExplanation]];
    t.ok(at <= noon + 2, 'within three quarters of an hour');
    t.match(first.inputs[0], { series: { id: 'pv-1/generation_kw' }, kind: 'off', value: 0 });
    t.ok(first.inputs[0]!.share > 0.5);
    t.ok(Math.abs(first.inputs.reduce((sum, one) => sum + one.share, 0) - 1) < 1e-9, 'the shares add up');
    t.ok(first.silencedBy!.to > 0, 'the smallest change is towards more');
    t.match(anomalyWords(first), { headline: /^Generation of pv-1 is 0 kW; .* would be ordinary\.$/, why: /instead/ });

    const silent = (id: string, value: number, now: number) =>
      id === 'pv-1/generation_kw' && now >= noon ? (now === at ? first.silencedBy!.to : 0) : value;
    const scores = [...siteWindows(17, silent)];
    const detector = createDetector(site, seriesOfSite);
    let worst = 0;
    for (const window of scores) {
      const findings = detector.look(window);
      if (window.startMs === firstMs + at * 900_000)
        for (const one of findings!.checks)
          if (one.check.series.id === 'pv-1/generation_kw') worst = Math.max(worst, one.score);
    }
    t.ok(worst <= 4.05, 'that change really keeps its checks within the ordinary');
  },
);

t.test('a light sensor that tells of night at noon is named, not the inverters that go on', async (t) => {
  const fault = (id: string, value: number, at: number) => (id.startsWith('sun-1') && at >= noon ? 5 : value);
  const [[, first]] = [...explained(siteWindows(17, fault), noon)] as [[number, AnomalyExplanation]];
  t.match(first.inputs[0], { series: { id: 'sun-1/irradiance_w_m2' } });
});

t.test('a fault that lasts for days is not learnt: it is still told, and what was usual stays usual', async (t) => {
  const fault = (id: string, value: number, at: number) =>
    id === 'meter-1/consumption_kw' && at >= noon ? value + 9 : value;
  const detector = experienced();
  const told = explained(siteWindows(20, fault), noon, detector);
  t.ok(told.has(20 * 96 - 1), 'after three days it is there');
  t.ok(usualRange(detector.usualDay, 'meter-1/consumption_kw', 44)!.high < 3);
});

t.test('a detector that was restarted from its state goes on as if it had not been', async (t) => {
  const fault = (id: string, value: number, at: number) =>
    id === 'pv-2/generation_kw' && at >= noon ? value / 3 : value;
  const whole = experienced();
  let cut = experienced();
  let at = 0;
  for (const window of siteWindows(17, fault)) {
    if (at === noon + 1) cut = createDetector(site, seriesOfSite, JSON.parse(JSON.stringify(cut.state())));
    const [a, b] = [whole.look(window), cut.look(window)];
    if (a !== undefined && b !== undefined && at > noon)
      t.same(
        b.checks.filter((one) => one.fires).map((one) => one.check.id),
        a.checks.filter((one) => one.fires).map((one) => one.check.id),
      );
    at += 1;
  }
  t.equal(cut.look({ startMs: firstMs, series: new Map() }), undefined, 'a window of the past changes nothing');
  createDetector(site, seriesOfSite, { checks: 'nonsense', usual_day: 7, series: [null] });
});

t.test(
  'a sensor that says nothing is no sensor that says nought, and a gateway that was away saw nothing odd',
  async (t) => {
    const silent = (id: string, value: number, at: number) =>
      id.startsWith('sun-1') && at >= noon && at < noon + 8 ? undefined : value;
    t.same([...explained(siteWindows(18, silent), noon)], []);
    const away = (_: string, value: number, at: number) => (at >= noon && at < noon + 8 ? undefined : value);
    t.same([...explained(siteWindows(18, away), noon)], []);
  },
);

t.test('the end of the battery is forecast from the days of the site, with an interval that holds it', async (t) => {
  const forecaster = createBatteryForecaster(site);
  const made: BatteryForecast[] = [];
  const charge = new Map<number, number>();
  for (const window of siteWindows(21)) {
    forecaster.look(window);
    charge.set(window.startMs + 900_000, window.series.get('battery-1/battery_soc_pct')!.last);
    const { quarter } = localQuarter(zone, window.startMs);
    // In the evening, when it matters.
    if (quarter === 75 && window.startMs > firstMs + 12 * 86_400_000) made.push(forecaster.forecast()!);
  }
  let held = 0;
  for (const one of made.slice(0, -1)) {
    const truth = charge.get(one.morning.atMs)!;
    if (one.morning.low <= Math.max(20, truth) && Math.max(20, truth) <= one.morning.high) held += 1;
  }
  t.ok(held >= (made.length - 1) * 0.6, `${held} of ${made.length - 1}`);
  const { morningPct } = forecaster.track();
  t.ok(morningPct.scored > 200 && morningPct.error! < morningPct.plainError!, 'better than as yesterday');
  t.ok(Math.abs(made.at(-1)!.usableKwh! - 48) < 8, 'it learnt what the battery really gives');
  const back = createBatteryForecaster(site, JSON.parse(JSON.stringify(forecaster.state())));
  t.match(back.track(), forecaster.track(), 'its record survives a restart');
});

t.test('a temperature that rises towards its limit is told before it is there', async (t) => {
  const hot = { ...site, devices: [...site.devices, { ...site.devices[1]!, device_id: 'room-1', name: 'Room' }] };
  const forecaster = createTemperatureForecaster(hot, [{ deviceId: 'room-1', metric: 'equipment_temp_c' }], 60);
  const course = (at: number) =>
    35 + 10 * Math.sin(((at % 96) / 96) * 2 * Math.PI) + 4 * Math.sin(at / 13) + 0.2 * wobble(at);
  let told: number | undefined;
  for (let at = 0; at < 16 * 96 + 24; at += 1) {
    const value = course(at) + Math.max(0, at - 16 * 96) * 1.6;
    const window = { mean: value, min: value, max: value, last: value };
    forecaster.look({ startMs: firstMs + at * 900_000, series: new Map([['room-1/equipment_temp_c', window]]) });
    if (value >= 60) break;
    if (forecaster.forecasts().some((one) => one.overAtMs !== null)) told ??= value;
  }
  t.ok(told !== undefined && told > 45 && told < 60, `told at ${told} °C`);
  const { scored, error, plainError } = forecaster.track();
  t.ok(scored > 500 && error! < plainError!);
});
