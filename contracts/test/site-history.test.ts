import fc from 'fast-check';
import t from 'tap';
import { Check } from 'typebox/value';
import {
  appendWindow,
  batteryEmptyAtMs,
  chooseResolution,
  emptyColumns,
  energyKwh,
  errorCatalogue,
  figureWindows,
  figuresBySource,
  foldedEndMs,
  foldedStartMs,
  foldingOf,
  foldSample,
  foldWindow,
  foldWindowColumns,
  freshness,
  hottestEquipment,
  linkState,
  localDayStartMs,
  makeVerdict,
  maxPoints,
  mayOnGrid,
  periodsMs,
  qualityClass,
  qualityCodes,
  qualityName,
  resolutionMs,
  resolveFigure,
  roleIncludes,
  roles,
  routes,
  siteSchema,
  VillagridError,
  windowOf,
  windowStartMs,
  zoneOffsetMs,
  type Figure,
  type Grant,
  type Plant,
  type SnapshotSample,
  type WindowColumns,
} from '@villagrid/contracts';
import { holds } from './property.js';

const now = 1_767_225_600_000;
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

t.test('the resolution fits the screen: enough points, never more than one answer may hold', async (t) => {
  for (const [period, expected] of [
    ['1h', 'raw'],
    ['6h', '1m'],
    ['24h', '1m'],
    ['7d', '15m'],
    ['30d', '1h'],
    ['1y', '1d'],
  ] as const)
    t.equal(chooseResolution(now - periodsMs[period], now), expected, period);
  t.equal(chooseResolution(now - 30 * day, now, 60), '1h');
  t.equal(chooseResolution(now - 90 * day, now, 90), '1d');
  t.equal(chooseResolution(now, now), 'raw');
  t.equal(chooseResolution(now, now - day), 'raw', 'backwards');
  holds(
    t,
    'bounds',
    fc.property(fc.integer({ min: 1, max: 3650 * 24 * 60 }), fc.integer({ min: 10, max: 5000 }), (minutes, points) => {
      const range = minutes * minute;
      const chosen = chooseResolution(now - range, now, points);
      if (range <= hour) return chosen === 'raw';
      if (chosen === 'raw') return false;
      const given = range / resolutionMs[chosen];
      if (given > maxPoints) return false;
      // A coarser one would have too few points; a finer one too many, or more than are needed.
      const coarser = { '1m': '15m', '15m': '1h', '1h': '1d', '1d': undefined }[chosen] as
        | keyof typeof resolutionMs
        | undefined;
      return coarser === undefined || range / resolutionMs[coarser] < points * 0.8;
    }),
    1000,
  );
});

t.test('windows of fixed width start on their multiples, also before 1970', async (t) => {
  t.equal(windowStartMs(now + 59_999, '1m'), now);
  t.equal(windowStartMs(now + 899_999, '15m'), now);
  t.equal(windowStartMs(now + hour, '1h'), now + hour);
  t.equal(windowStartMs(-1, '1h'), -hour);
});

t.test(
  'a local day starts at the first moment of its date, in zones of :30 and :45 and across changes of the clock',
  async (t) => {
    const starts = (zone: string, at: string, expected: string) =>
      t.equal(
        new Date(localDayStartMs(zone, Date.parse(at))).toISOString(),
        expected.replace('Z', ':00.000Z'),
        `${zone} ${at}`,
      );
    starts('UTC', '2026-01-01T00:00Z', '2026-01-01T00:00Z');
    starts('Asia/Kathmandu', '2026-01-01T18:14Z', '2025-12-31T18:15Z');
    starts('Asia/Kathmandu', '2026-01-01T18:15Z', '2026-01-01T18:15Z');
    starts('Asia/Kolkata', '2026-01-01T12:00Z', '2025-12-31T18:30Z');
    starts('Australia/Adelaide', '2026-07-01T14:29Z', '2026-06-30T14:30Z');
    starts('Africa/Dar_es_Salaam', '2026-01-01T20:59Z', '2025-12-31T21:00Z');
    starts('Pacific/Kiritimati', '2026-01-01T11:00Z', '2026-01-01T10:00Z');
    starts('America/St_Johns', '2026-01-01T03:29Z', '2025-12-31T03:30Z');
    // Summer time begins (23 hours) and ends (25 hours) in the night.
    starts('Europe/Berlin', '2026-03-29T12:00Z', '2026-03-28T23:00Z');
    starts('Europe/Berlin', '2026-03-29T22:00Z', '2026-03-29T22:00Z');
    starts('Europe/Berlin', '2026-10-25T22:59Z', '2026-10-24T22:00Z');
    starts('Europe/Berlin', '2026-10-25T23:00Z', '2026-10-25T23:00Z');
    // The clock jumps at midnight itself: the day begins at 01:00, or midnight comes twice.
    starts('Africa/Cairo', '2026-04-24T10:00Z', '2026-04-23T22:00Z');
    starts('America/Havana', '2026-11-01T04:30Z', '2026-11-01T04:00Z');
    starts('America/Havana', '2026-11-01T05:30Z', '2026-11-01T04:00Z');
    starts('America/Havana', '2026-11-01T18:00Z', '2026-11-01T04:00Z');
    t.equal(zoneOffsetMs('Asia/Kathmandu', now), 5.75 * hour);
    t.throws(() => zoneOffsetMs('Mars/Olympus', now), RangeError);

    const dates = new Map<string, Intl.DateTimeFormat>();
    const dateOf = (zone: string, timeMs: number) => {
      const format = dates.get(zone) ?? new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
      dates.set(zone, format);
      return format.format(timeMs);
    };
    holds(
      t,
      'first moment of its date',
      fc.property(
        fc.constantFrom(
          'Asia/Kathmandu',
          'Europe/Berlin',
          'America/Havana',
          'Africa/Cairo',
          'Australia/Lord_Howe',
          'America/Santiago',
          'Africa/Casablanca',
          'Asia/Beirut',
          'Pacific/Chatham',
          'UTC',
        ),
        fc.integer({ min: Date.parse('2024-01-01') / minute, max: Date.parse('2028-01-01') / minute }),
        (zone, at) => {
          const timeMs = at * minute;
          const startMs = localDayStartMs(zone, timeMs);
          return (
            startMs <= timeMs &&
            timeMs - startMs < 25 * hour &&
            dateOf(zone, startMs) === dateOf(zone, timeMs) &&
            dateOf(zone, startMs - 1) !== dateOf(zone, timeMs) &&
            localDayStartMs(zone, startMs) === startMs
          );
        },
      ),
      1500,
    );
  },
);

t.test('windows add up: any split of samples gives the same minimum, maximum, mean, count and last', async (t) => {
  const samples = fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: -100, max: 100 })), {
    minLength: 2,
    maxLength: 20,
  });
  holds(
    t,
    'split',
    fc.property(samples, fc.nat(), (all, at) => {
      const cut = 1 + (at % (all.length - 1));
      const fold = (part: typeof all) => {
        const [first, ...rest] = part as [[number, number], ...[number, number][]];
        const window = windowOf(0, first[0], first[1]);
        for (const [time, value] of rest) foldSample(window, time, value);
        return window;
      };
      const whole = fold(all);
      const parts = fold(all.slice(0, cut));
      foldWindow(parts, fold(all.slice(cut)));
      const values = all.map(([, value]) => value);
      const newest = Math.max(...all.map(([time]) => time));
      const last = all.filter(([time]) => time === newest).at(-1)?.[1];
      return (
        JSON.stringify(parts) === JSON.stringify(whole) &&
        whole.min === Math.min(...values) &&
        whole.max === Math.max(...values) &&
        whole.sum === values.reduce((a, b) => a + b, 0) &&
        whole.count === all.length &&
        whole.last === last
      );
    }),
    300,
  );
});

t.test('folding leaves at most the asked windows, and each says what all its samples say', async (t) => {
  const zones = ['UTC', 'Asia/Kathmandu', 'Europe/Berlin', 'America/Sao_Paulo'] as const;
  const question = fc.record({
    resolution: fc.constantFrom('1m', '15m', '1h', '1d'),
    zone: fc.constantFrom(...zones),
    fromMs: fc.integer({ min: now - 9000 * day, max: now + 9000 * day }),
    windows: fc.integer({ min: 1, max: 1200 }),
    points: fc.integer({ min: 10, max: 500 }),
    cutMs: fc.nat(day),
  });
  holds(
    t,
    'folding',
    fc.property(question, ({ resolution, zone, windows, points, cutMs, ...range }) => {
      const toMs = range.fromMs + windows * resolutionMs[resolution] - Math.min(cutMs, resolutionMs[resolution] - 1);
      const { folding, fromMs } = foldingOf({ fromMs: range.fromMs, toMs }, resolution, zone, points);
      const fine = { resolution, zone, by: 1 };
      const columns = emptyColumns();
      let k = 0;
      for (let at = foldedStartMs(fine, fromMs); at < toMs; at = foldedEndMs(fine, at)) {
        k += 1;
        if (k % 7 !== 0) appendWindow(columns, { ...windowOf(at, at, (k * 37) % 101), count: 1 + (k % 3) });
      }
      columns.mean.forEach((_, i) => (columns.mean[i] = columns.last[i] as number));
      const folded = foldWindowColumns(columns, folding);
      const sum = (of: WindowColumns) => of.mean.reduce((all, mean, i) => all + mean * (of.count[i] as number), 0);
      const add = (all: number, one: number) => all + one;
      return (
        folded.t.length <= points &&
        // No wider than it must be, and no more than one window of the range is left out.
        (folding.by === 1 || windows > points * (folding.by - 1)) &&
        fromMs < range.fromMs + 2 * folding.by * resolutionMs[resolution] &&
        folded.t.every((at, i) => foldedStartMs(folding, at) === at && (i === 0 || at > (folded.t[i - 1] as number))) &&
        folded.count.reduce(add, 0) === columns.count.reduce(add, 0) &&
        Math.abs(sum(folded) - sum(columns)) < 1e-6 * (1 + Math.abs(sum(columns))) &&
        Math.min(...folded.min) === Math.min(...columns.min) &&
        Math.max(...folded.max) === Math.max(...columns.max) &&
        folded.last.at(-1) === columns.last.at(-1)
      );
    }),
    150,
  );
  t.same(
    foldingOf({ fromMs: now + 1 - 30 * day, toMs: now + 1 }, '1h', 'UTC', 720),
    { folding: { resolution: '1h', zone: 'UTC', by: 1 }, fromMs: now - 30 * day + hour },
    'a month to the hour, not at an hour',
  );
});

const good = (value: number | null, ageMs = 0, quality: number = qualityCodes.good): SnapshotSample => ({
  value,
  timeMs: now - ageMs,
  quality,
});

t.test(
  'a figure is the sum of its terms with the oldest time and worst quality, or what its fallback gives',
  async (t) => {
    const newest: Record<string, SnapshotSample | undefined> = {};
    const lookup = (device: string, metric: string) => newest[`${device} ${metric}`];
    const wire = {
      terms: [
        { device_id: 'a', metric: 'generation_kw', factor: 1 },
        { device_id: 'b', metric: 'generation_kw', factor: 1 },
        { device_id: 'm', metric: 'consumption_kw', factor: -1 },
      ],
      fallback: [{ device_id: 'meter', metric: 'generation_kw', factor: 1 }],
    };
    const figure = () => resolveFigure('generation_kw', wire, lookup, now);
    t.match(figure(), { value: null, timeMs: null, usedFallback: false }, 'nothing heard');
    newest['a generation_kw'] = good(1.1, 5000);
    newest['b generation_kw'] = good(2.2, 9000, qualityCodes.uncertain_clock);
    newest['m consumption_kw'] = good(0.3, 1000);
    t.same(figure(), {
      value: 3,
      timeMs: now - 9000,
      quality: qualityCodes.uncertain_derived,
      sources: wire.terms.map((term) => ({ deviceId: term.device_id, metric: term.metric })),
      usedFallback: false,
    });
    t.match(
      resolveFigure('generation_kw', { terms: wire.terms.slice(0, 2) }, lookup, now),
      { value: 3.3, quality: qualityCodes.uncertain_clock },
      'a sum of meters is as certain as they are; one worked out from another quantity is derived',
    );
    newest['meter generation_kw'] = good(3.3, 2000);
    t.equal(figure().value, 3, 'the fallback is not asked while the first choice is whole');
    newest['b generation_kw'] = good(99, 0, qualityCodes.bad_range);
    t.match(
      figure(),
      { value: 3.3, usedFallback: true, sources: [{ deviceId: 'meter', metric: 'generation_kw' }] },
      'a bad term',
    );
    newest['b generation_kw'] = good(null, 0);
    t.match(figure(), { value: 3.3, usedFallback: true }, 'a term without number');
    newest['b generation_kw'] = good(2.2, 11 * minute);
    t.match(figure(), { value: 3.3, usedFallback: true }, 'a stale term');
    newest['meter generation_kw'] = good(3.3, 12 * minute);
    t.match(figure(), { value: 3, usedFallback: false }, 'both stale: the fresher one');
    newest['b generation_kw'] = undefined;
    newest['meter generation_kw'] = good(3.3, 0, qualityCodes.bad_stuck);
    t.match(figure(), { value: null, usedFallback: false }, 'neither is usable');
    t.match(resolveFigure('generation_kw', { terms: wire.terms.slice(0, 1) }, lookup, now), { value: 1.1 });
    const twoNames = {
      terms: [{ device_id: 'spare', metric: 'equipment_temp_c', factor: 1 }],
      fallback: [{ device_id: 'spare', metric: 'equipment_temp_c.cabinet', factor: 1 }],
    };
    newest['spare equipment_temp_c'] = good(40, 2000);
    newest['spare equipment_temp_c.cabinet'] = good(75.25, 1000);
    t.match(resolveFigure('equipment_temp_c.cabinet', twoNames, lookup, now), { value: 75.25 }, 'its newest word');
    newest['spare equipment_temp_c'] = good(41, 0);
    t.match(resolveFigure('equipment_temp_c.cabinet', twoNames, lookup, now), { value: 41, usedFallback: false });
    t.same(
      [...figuresBySource({ generation_kw: wire, net: { terms: wire.terms.slice(0, 1) } })],
      [
        ['a generation_kw', ['generation_kw', 'net']],
        ['b generation_kw', ['generation_kw']],
        ['m consumption_kw', ['generation_kw']],
        ['meter generation_kw', ['generation_kw']],
      ],
    );
    const temperature = (value: number | null) => ({
      value,
      timeMs: now,
      quality: 0,
      sources: [],
      usedFallback: false,
    });
    t.equal(
      hottestEquipment({
        'equipment_temp_c.inverter': temperature(41),
        'equipment_temp_c.battery': temperature(null),
        'equipment_temp_c.cabinet': temperature(55),
        ambient_temp_c: temperature(99),
      })?.metric,
      'equipment_temp_c.cabinet',
    );
    t.equal(hottestEquipment({ 'equipment_temp_c.battery': temperature(null) }), undefined);
  },
);

t.test(
  'history of a figure: terms added where all have data, bounds for sums, the fallback in the holes',
  async (t) => {
    const columns = (rows: readonly (readonly [number, number, number, number])[]): WindowColumns => {
      const out = emptyColumns();
      for (const [at, min, mean, max] of rows)
        appendWindow(out, { startMs: at, min, max, sum: mean * 2, count: 2, last: mean, lastMs: at });
      return out;
    };
    const data: Record<string, WindowColumns> = {
      a: columns([
        [0, 1, 2, 3],
        [60, 1, 2.00004, 3],
        [120, 5, 6, 7],
      ]),
      b: columns([
        [0, 0.5, 1, 2],
        [120, 1, 1.5, 2],
        [180, 9, 9, 9],
      ]),
      f: columns([
        [0, 8, 8, 8],
        [60, 4, 4, 4],
        [240, 4.5, 4.5, 4.5],
      ]),
    };
    const series = (device: string) => data[device] ?? emptyColumns();
    const term = (device_id: string, factor = 1) => ({ device_id, metric: 'generation_kw', factor });
    t.same(figureWindows('generation_kw', { terms: [term('a'), term('b', -1)], fallback: [term('f')] }, series), {
      t: [0, 60, 120, 240],
      min: [-1, 4, 3, 4.5],
      mean: [1, 4, 4.5, 4.5],
      max: [2.5, 4, 6, 4.5],
      last: [1, 4, 4.5, 4.5],
      count: [2, 2, 2, 2],
    });
    t.same(figureWindows('generation_kw', { terms: [term('a')] }, series).mean, [2, 2, 6], 'no noise digits');
    t.same(figureWindows('generation_kw', { terms: [term('nobody')] }, series), emptyColumns());
    t.same(figureWindows('generation_kw', { terms: [term('nobody'), term('a')] }, series), emptyColumns());
    const quarter = 15 * minute;
    const powers = (at: number[], mean: number[], count: number[]) => ({
      ...emptyColumns(),
      t: at.map((one) => one * quarter),
      mean,
      count,
    });
    const timing = { widthMs: quarter, periodMs: 10_000, fromMs: 0, nowMs: 3 * quarter };
    t.same(energyKwh(powers([-1, 0, 1, 2], [9, 4, -2, 0], [90, 90, 90, 90]), timing), {
      kwh: 0.5,
      positiveKwh: 1,
      negativeKwh: 0.5,
    });
    const begun = powers([0, 2], [6, 6], [9, 3]);
    t.equal(
      energyKwh(begun, { ...timing, nowMs: 2.1 * quarter }).kwh,
      0.2,
      'windows only begun: 90 s and 30 s at 6 kW',
    );
  },
);

t.test('a value is live for two of its periods, late for ten minutes or six periods, then stale', async (t) => {
  const at = (ageMs: number, periodMs: number) => freshness(now - ageMs, now, periodMs);
  t.same([at(0, 1000), at(11_000, 1000), at(11_001, 1000)], ['live', 'live', 'late']);
  t.same([at(121_000, minute), at(121_001, minute)], ['live', 'late']);
  t.same([at(600_000, minute), at(600_001, minute)], ['late', 'stale']);
  t.same([at(90 * minute, 15 * minute), at(90 * minute + 1, 15 * minute)], ['late', 'stale']);
  t.equal(freshness(null, now, 1000), 'unknown');
  t.equal(
    freshness(now, now, 1000, qualityCodes.uncertain_last_known),
    'stale',
    'from before a restart of unknown length',
  );
  t.equal(linkState(now, now, 1000, 'down', qualityCodes.uncertain_last_known), 'offline');
  t.equal(at(-5000, 1000), 'live', 'a little ahead');
  const link = (ageMs: number | null, said?: 'up' | 'down') =>
    linkState(ageMs === null ? null : now - ageMs, now, 10_000, said);
  t.same([link(null), link(null, 'up'), link(null, 'down')], ['never_seen', 'never_seen', 'offline']);
  t.same([link(0), link(0, 'down'), link(minute), link(minute, 'down')], ['connected', 'connected', 'late', 'offline']);
  t.same([link(day), link(day, 'up'), link(day, 'down')], ['offline', 'stale', 'offline']);
});

t.test(
  'the verdict: power by voltage, the hour the battery is empty, the worst alert; never from old values',
  async (t) => {
    const plant = { battery_kwh: 40, battery_floor_pct: 20, has_genset: false, has_mains: false } as Plant;
    const figure = (value: number | null, ageMs = 0): Figure => ({
      value,
      timeMs: now - ageMs,
      quality: 0,
      sources: [],
      usedFallback: false,
    });
    const verdict = (figures: Record<string, Figure>, more = {}) =>
      makeVerdict({ figures, plant, nowMs: now, openAlerts: [{ severity: 'low' }, { severity: 'high' }], ...more });
    t.same(verdict({ ac_output_voltage_v: figure(229), battery_soc_pct: figure(70), battery_power_kw: figure(-4) }), {
      power: 'powered',
      battery_soc_pct: 70,
      // 50 % of 40 kWh above the floor, at 4 kW: five hours.
      empty_at_ms: now + 5 * hour,
      charging: false,
      at_this_load_ms: 5 * hour,
      forecast_lasts: false,
      open_alerts: 2,
      worst_severity: 'high',
    });
    t.match(verdict({ ac_output_voltage_v: figure(3), battery_soc_pct: figure(15), battery_power_kw: figure(-4) }), {
      power: 'off',
      empty_at_ms: now,
    });
    const feeders = (...volts: (number | null)[]) =>
      Object.fromEntries(volts.map((value, at) => [`ac_output_voltage_v.feeder-${at + 1}`, figure(value)]));
    const plantAlive = { ac_output_voltage_v: figure(232) };
    t.equal(verdict({ ...plantAlive, ...feeders(0, 0) }).power, 'off', 'what the inverters give reaches nobody');
    t.equal(verdict({ ...plantAlive, ...feeders(231, 0) }).power, 'partly');
    t.equal(verdict({ ...plantAlive, ...feeders(231, null) }).power, 'powered');
    t.equal(verdict({ ac_output_voltage_v: figure(0), ...feeders(231, 230) }).power, 'partly', 'a phase or a place');
    t.equal(verdict({ ac_output_voltage_v: figure(70) }, { nominalV: 120 }).power, 'powered');
    const fromPlant = { ac_output_voltage_v: { ...figure(232), usedFallback: true } };
    t.equal(verdict({ ...fromPlant, consumption_kw: figure(3) }).power, 'powered');
    t.equal(verdict({ ...fromPlant, consumption_kw: figure(0) }).power, 'unknown', 'nobody uses what the plant offers');
    t.match(verdict({ battery_soc_pct: figure(70), battery_power_kw: figure(2) }), {
      power: 'unknown',
      charging: true,
      empty_at_ms: null,
    });
    const old = {
      ac_output_voltage_v: figure(229, hour),
      battery_soc_pct: figure(70, hour),
      battery_power_kw: figure(-4, hour),
    };
    t.match(verdict(old, { openAlerts: [] }), {
      power: 'unknown',
      battery_soc_pct: null,
      empty_at_ms: null,
      charging: null,
      worst_severity: null,
      open_alerts: 0,
    });
    t.match(verdict({ battery_soc_pct: figure(70), battery_power_kw: figure(-4, hour) }), {
      empty_at_ms: null,
      charging: null,
    });
    t.match(verdict({ battery_soc_pct: figure(70), battery_power_kw: figure(4) }, { batteryPowerKw: -2 }), {
      empty_at_ms: now + 10 * hour,
    });
    // 50 % of 40 kWh are 20 kWh. At noon the sun carries what is used, so the battery's own power tells nothing.
    const noon = (batteryKw: number, more = {}) =>
      verdict({ battery_soc_pct: figure(70), battery_power_kw: figure(batteryKw), consumption_kw: figure(5) }, more);
    for (const kw of [0, -0.02, -1, 3])
      t.match(noon(kw), { empty_at_ms: null, at_this_load_ms: 4 * hour, forecast_lasts: false }, `battery at ${kw} kW`);
    t.match(noon(-5), { empty_at_ms: now + 4 * hour, at_this_load_ms: 4 * hour }, 'the battery alone carries the load');
    t.match(noon(0, { lasting: { emptyAtMs: now + 9 * hour } }), { empty_at_ms: now + 9 * hour }, 'a forecast knows');
    t.match(noon(-1, { lasting: { emptyAtMs: null } }), { empty_at_ms: null, forecast_lasts: true });
    const loadUnknown = { battery_soc_pct: figure(70), battery_power_kw: figure(0), consumption_kw: figure(5, hour) };
    t.match(verdict(loadUnknown), { empty_at_ms: null, at_this_load_ms: null, forecast_lasts: false });
    t.equal(batteryEmptyAtMs(100, 0.1, plant, now), null, 'beyond three days');
    t.equal(batteryEmptyAtMs(70, 0, plant, now), null, 'not discharging');
    t.equal(batteryEmptyAtMs(70, 4, { battery_floor_pct: 20 } as Plant, now), null, 'unknown battery');
  },
);

t.test('roles include those below them, in their scope only', async (t) => {
  for (const [i, a] of roles.entries())
    for (const [j, b] of roles.entries()) t.equal(roleIncludes(a, b), i >= j, `${a} ${b}`);
  const person = (...grants: Grant[]) => ({ user_id: 'u', username: 'u', display_name: 'U', grants });
  const operator = person({ role: 'operator', scope: { kind: 'grid', grid_id: 'alpha' } });
  t.ok(mayOnGrid(operator, 'viewer', 'alpha'));
  t.notOk(mayOnGrid(operator, 'installer', 'alpha'));
  t.notOk(mayOnGrid(operator, 'viewer', 'beta'));
  const organisation = person({ role: 'viewer', scope: { kind: 'organisation', organisation_id: 'coop' } });
  t.ok(mayOnGrid(organisation, 'viewer', 'beta', 'coop'));
  t.notOk(mayOnGrid(organisation, 'viewer', 'beta', 'other'));
  t.notOk(mayOnGrid(organisation, 'viewer', 'beta'));
  t.ok(mayOnGrid(person({ role: 'admin', scope: { kind: 'everything' } }), 'installer', 'anywhere'));
  t.notOk(mayOnGrid(person(), 'viewer', 'alpha'));
});

t.test(
  'catalogues are whole: routes have access and one id, errors say what to do, qualities have names',
  async (t) => {
    t.equal(new Set(routes.map((route) => route.id)).size, routes.length);
    t.equal(new Set(routes.map((route) => `${route.method} ${route.path}`)).size, routes.length);
    for (const route of routes) {
      t.ok(
        ['public', 'authenticated', 'anywhere', 'role'].includes(route.access.kind),
        `${route.id} declares who may call it`,
      );
      const named = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const declared = 'params' in route ? Object.keys(route.params.properties) : [];
      t.same(declared, named, `${route.id} declares the parameters of its path`);
    }
    for (const [code, entry] of Object.entries(errorCatalogue)) {
      t.ok(/^E_[A-Z_]+$/.test(code) && entry.status >= 400 && entry.status < 600, code);
      t.ok(entry.title && entry.next.endsWith('.'), `${code} says what to do next`);
    }
    const error = new VillagridError('E_LOGIN_SLOW_DOWN', 'ten tries', { cause: 5 });
    t.match(error, {
      status: 429,
      code: 'E_LOGIN_SLOW_DOWN',
      cause: 5,
      message: 'E_LOGIN_SLOW_DOWN: Too many tries. ten tries',
    });
    t.same([0, 1, 63, 64, 255].map(qualityClass), ['good', 'uncertain', 'uncertain', 'bad', 'bad']);
    t.same([0, 64, 63, 200].map(qualityName), ['good', 'bad_range', 'uncertain_63', 'bad_200']);
    const site = {
      grid_id: 'a',
      gateway_id: 'g',
      name: 'A',
      zone: 'UTC',
      plant: { battery_floor_pct: 20, has_genset: false, has_mains: false },
      devices: [],
      wiring: {},
    };
    t.ok(Check(siteSchema, site));
    t.notOk(Check(siteSchema, { ...site, grid_id: 'No Id' }));
  },
);
