import { compareAlerts, localDayStartMs, periodsMs, type Alert, type Site } from '@villagrid/contracts';
import { seededRandom } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import t from 'tap';
import { completenessUntilMs } from '../handlers/grids.js';
import { GridBoard } from '../board.js';
import type { GatewayFacts, GridPort } from '../ports.js';
import { isOwnName, isPrivateAddress } from '../server/private-address.js';
import { fakePorts, MemoryGrid, memorySite } from '../testing/index.js';
import { readAlertLoad } from './alert-load.js';
import { alertView, readAlertPage, type AlertFilter } from './alerts.js';
import { deviceViews, seenDevices } from './devices.js';
import { figureViews, gridFigures } from './figures.js';
import { historyRange, parseMetrics, parseTime } from './history-request.js';
import { historyView } from './history.js';
import { legacyRealtime } from './legacy.js';
import { plainPage } from './plain-page.js';
import { addRaw, fillRaw } from './raw-series.js';
import { ageWords, gridState, matchesSearch } from './state.js';
import { recentBatteryPowerKw } from './summary.js';
import { todayView } from './today.js';

const seed = process.env.SEED ?? 'views';
const minute = 60_000;
const hour = 60 * minute;
/** 10:00 in Nairobi. */
const ten = Date.UTC(2026, 10, 25, 7);

function make(more: Partial<Site> = {}, nowMs = ten) {
  const clock = testClock(nowMs);
  const grid = new MemoryGrid(memorySite('amani', more), { clock, random: seededRandom(seed) });
  return { clock, grid };
}

t.test(
  'figures: a sum needs all its terms, the hottest is named, a stale one does not outshine a fresh one',
  async (t) => {
    const { grid } = make();
    grid.feed('meter-a', { consumption_kw: 3 }, ten - 1000);
    let views = figureViews(grid, ten, gridFigures(grid, ten));
    t.match(views.consumption_kw, { value: null, quality: 'bad_no_value' });
    t.match(views.battery_soc_pct, { value: null, time_ms: null, age_s: null, freshness: 'unknown' });
    grid.feed('meter-b', { consumption_kw: 1.5 }, ten - 4000);
    grid.feed('cabinet', { equipment_temp_c: 52 }, ten - 2000);
    grid.feed('inverter', { 'equipment_temp_c.inverter': 90 }, ten - hour);
    views = figureViews(grid, ten, gridFigures(grid, ten));
    t.match(views.consumption_kw, { value: 4.5, age_s: 4, freshness: 'live', unit: 'kW' }, 'as old as its oldest term');
    t.match(views.equipment_temp_c, {
      value: 52,
      label: 'Equipment temperature, cabinet',
      sources: [{ device_id: 'cabinet', metric: 'equipment_temp_c.cabinet' }],
    });
    grid.feed('inverter', { 'equipment_temp_c.inverter': 61 }, ten - 500);
    views = figureViews(grid, ten, gridFigures(grid, ten));
    t.match(views.equipment_temp_c, { value: 61, sources: [{ device_id: 'inverter' }] });
    t.match(views['equipment_temp_c.cabinet'], { value: 52, label: 'Equipment temperature, cabinet' });
    grid.feed('inverter', { 'equipment_temp_c.inverter': 400 }, ten - 100, 64);
    views = figureViews(grid, ten, gridFigures(grid, ten));
    t.equal(views.equipment_temp_c?.value, 52, 'a bad value is not the hottest');
    t.match(views['equipment_temp_c.inverter'], { value: null, quality: 'bad_range' });
  },
);

t.test('figures: a series that comes more slowly than its device is judged by its own pace', async (t) => {
  const { grid: bare } = make();
  const { devices, wiring } = bare.site();
  const counter = { consumption_energy_kwh: { terms: [{ device_id: 'meter-a', metric: 'energy_kwh', factor: 1 }] } };
  const slow = devices.map((one) =>
    one.device_id === 'meter-a' ? { ...one, series_period_s: { energy_kwh: 60 } } : one,
  );
  const { grid } = make({ devices: slow, wiring: { ...wiring, ...counter } });
  grid.feed('meter-a', { consumption_kw: 3, energy_kwh: 7 }, ten - 45_000);
  const views = figureViews(grid, ten, gridFigures(grid, ten));
  t.match(views.consumption_energy_kwh, { freshness: 'live', period_s: 60 });
  t.match(views.consumption_kw, { period_s: 10 });
  grid.feed('meter-b', { consumption_kw: 3 }, ten - 45_000);
  t.match(figureViews(grid, ten, gridFigures(grid, ten)).consumption_kw, { freshness: 'late', period_s: 10 });
});

t.test('devices: link states, and only expected ones are counted', async (t) => {
  const { grid } = make();
  grid.feed('meter-a', { consumption_kw: 3 }, ten - 1000);
  grid.feed('meter-b', { consumption_kw: 3 }, ten - 5 * minute);
  grid.feed('inverter', { generation_kw: 3 }, ten - hour);
  grid.feed('spare', { equipment_temp_c: 3 }, ten - 1000);
  const views = deviceViews(grid, ten);
  const states = Object.fromEntries(views.map(({ device_id, link_state }) => [device_id, link_state]));
  t.match(states, { 'meter-a': 'connected', 'meter-b': 'late', inverter: 'offline', battery: 'never_seen' });
  t.same(seenDevices(views), { seen: 2, total: 5 });
  const link = { line: '/dev/rs485', latency_ms: 40, error_rate: 0.25, trouble: null };
  const polled = Object.assign(Object.create(grid) as typeof grid, {
    linkQuality: (deviceId: string) => (deviceId === 'meter-a' ? link : undefined),
  });
  t.same(
    deviceViews(polled, ten).flatMap((one) => (one.link ? [[one.device_id, one.link]] : [])),
    [['meter-a', link]],
    'how it answers is told of a device that is asked',
  );
  grid.feed('legacy', { consumption_kw: 12.5 }, ten - 1000);
  const spoken = deviceViews(grid, ten);
  t.match(spoken.at(-1), { device_id: 'legacy', expected: false, link_state: 'connected' }, 'the prototype has spoken');
  t.same(seenDevices(spoken), { seen: 2, total: 5 });
  const { devices, wiring } = grid.site();
  const legacy = { ...devices[0]!, device_id: 'legacy', name: 'First node' };
  const consumption_kw = { terms: [{ device_id: 'legacy', metric: 'consumption_kw', factor: 1 }] };
  const { grid: wired } = make({ devices: [...devices, legacy], wiring: { ...wiring, consumption_kw } });
  wired.feed('legacy', { consumption_kw: 12.5 }, ten - 1000);
  const names = deviceViews(wired, ten).filter(({ device_id }) => device_id === 'legacy');
  t.match(names, [{ name: 'First node', expected: true }], 'once, as the site calls it');
  t.match(figureViews(wired, ten, gridFigures(wired, ten)).consumption_kw, { value: 12.5, freshness: 'live' });
});

t.test('state: a gateway that does not report is neither healthy nor off', async (t) => {
  const { grid } = make();
  const tenMinutes = 10 * minute;
  t.match(gridState(grid, tenMinutes, [], ten), { reachable: false, power: 'unknown', state: 'nothing reported yet' });
  grid.feed('inverter', { ac_output_voltage_v: 3 }, ten - 1000);
  t.match(gridState(grid, tenMinutes, [], ten), { reachable: true, power: 'off', state: 'no power, no alerts' });
  const later = ten + 3 * hour;
  t.match(gridState(grid, tenMinutes, [], later), {
    reachable: false,
    power: 'unknown',
    state: 'not reached for 3 h, no alerts',
  });
  t.equal(gridState(grid, 4 * hour, [], later).reachable, true, 'how long that is belongs to the server');
  t.equal(gridState(grid, null, [], later).reachable, true, 'a gateway reaches itself');
  t.same([30_000, 90 * minute, 5 * hour, 72 * hour].map(ageWords), ['1 min', '90 min', '5 h', '3 days']);
});

t.test('the line of a grid tells of a paused alert only while no other is as pressing', async (t) => {
  const { grid } = make();
  const alert = (severity: Alert['severity'], pausedUntilMs?: number) =>
    ({
      alert_id: severity,
      severity,
      message: severity,
      status: 'active',
      acknowledged: false,
      suppressed_by: null,
      raised_at_ms: ten - hour,
      shelvings:
        pausedUntilMs === undefined ? [] : [{ from_ms: ten - minute, until_ms: pausedUntilMs, reason: 'known' }],
    }) as unknown as Alert;
  const until = ten + hour;
  const worst = (nowMs: number, ...alerts: Alert[]) => {
    const { worst_severity, worst_paused_until_ms } = gridState(grid, null, alerts, nowMs);
    return [worst_severity, worst_paused_until_ms];
  };
  t.same(worst(ten, alert('high', until)), ['high', until]);
  t.same(worst(ten, alert('high', until), alert('low')), ['low', null]);
  t.same(worst(until, alert('high', until), alert('low')), ['high', null], 'the pause is over');
  t.same(worst(ten, alert('critical', until), alert('high')), ['high', null]);
  t.same(worst(ten, alert('critical', until), alert('medium')), ['critical', until], 'nothing small hides it');
});

t.test('today: energies from local midnight, minutes without power, completeness', async (t) => {
  const { grid } = make();
  const midnight = localDayStartMs('Africa/Nairobi', ten);
  t.equal(ten - midnight, 10 * hour);
  t.same(await todayView(grid, ten), {
    from_ms: midnight,
    generation_kwh: null,
    consumption_kwh: null,
    battery_charge_kwh: null,
    battery_discharge_kwh: null,
    without_power_min: null,
    completeness_pct: 0,
  });
  for (let at = midnight - hour; at < ten + 5 * minute; at += 30_000) {
    const early = at < midnight + 2 * hour;
    grid.feed('meter-a', { consumption_kw: 2 }, at);
    grid.feed('meter-b', { consumption_kw: 1 }, at);
    grid.feed('battery', { battery_power_kw: early ? -3 : 1 }, at);
    const off = at >= midnight + hour && at < midnight + hour + 7 * minute;
    if (at < midnight + 5 * hour || at >= midnight + 6 * hour)
      grid.feed('inverter', { ac_output_voltage_v: off ? 0 : 230 }, at);
  }
  const now = ten + 5 * minute;
  const today = await todayView(grid, now);
  t.equal(today.consumption_kwh, 30.25);
  t.equal(today.generation_kwh, null, 'never heard is not zero');
  t.equal(today.battery_discharge_kwh, 6);
  t.equal(today.battery_charge_kwh, 8.08);
  t.equal(today.without_power_min, 7, 'an hour without data is not an hour without power');
  t.equal(today.completeness_pct, 100);
  t.equal(await recentBatteryPowerKw(grid, now), 1);
});

t.test('today: an energy is what counters counted, it never leaps and never falls', async (t) => {
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
  const { grid: bare } = make();
  const counter = { consumption_energy_kwh: wire('meter-a', 'consumption_energy_kwh') };
  const wiring = { ...bare.site().wiring, consumption_kw: wire('meter-a', 'consumption_kw'), ...counter };
  const { grid } = make({ wiring });
  const midnight = localDayStartMs('Africa/Nairobi', ten);
  let kwh = 1000;
  let shown = 0;
  const live = async (fromMs: number, toMs: number, { power = true, counts = true } = {}) => {
    for (let at = fromMs; at < toMs; at += 10_000) {
      kwh += (6 * 10) / 3600;
      if (power) grid.feed('meter-a', { consumption_kw: 6 }, at);
      if (counts && (at - midnight) % 30_000 === 0)
        grid.feed('meter-a', { consumption_energy_kwh: Math.round(kwh * 100) / 100 }, at);
      if ((at - midnight) % 50_000 !== 0) continue;
      const { consumption_kwh } = await todayView(grid, at + 1000);
      const truth = kwh - 1000;
      if (consumption_kwh === null) continue;
      if (consumption_kwh < shown) t.fail(`fell from ${shown} to ${consumption_kwh} at ${new Date(at).toISOString()}`);
      if (consumption_kwh > truth + 0.35) t.fail(`${consumption_kwh} of ${truth} kWh at ${new Date(at).toISOString()}`);
      shown = consumption_kwh;
    }
  };
  const begin = midnight + 8 * hour + 13.5 * minute;
  await live(begin, begin + 20 * minute);
  t.ok(Math.abs(shown - 2) < 0.25, `${shown} of 2 kWh after twenty minutes`);
  await live(begin + 20 * minute, begin + 70 * minute, { power: false, counts: false });
  await live(begin + 70 * minute, begin + 75 * minute);
  t.ok(Math.abs(shown - 7.5) < 0.35, `${shown} of 7.5 kWh: the counter went on while nobody listened`);
  const before = shown;
  for (const [second, wrong] of [0, 42_949_672.95, 3].entries())
    grid.feed('meter-a', { consumption_energy_kwh: wrong }, begin + 76 * minute + second * 1000);
  const after = (await todayView(grid, begin + 77 * minute)).consumption_kwh as number;
  t.ok(after >= before && after < before + 10, `${after} kWh after resets and nonsense`);
  const { grid: yesterday } = make({ wiring });
  for (let at = midnight - hour; at < midnight + hour; at += 30_000)
    yesterday.feed('meter-a', { consumption_energy_kwh: 500 + (at - midnight) / hour }, at);
  t.equal((await todayView(yesterday, midnight + hour)).consumption_kwh, 1, 'counted from the last word of yesterday');
});

t.test('a village whose feeders are all dead is without power, whatever its inverters give', async (t) => {
  const { grid } = make();
  const wired = (device_id: string) => ({ terms: [{ device_id, metric: 'ac_output_voltage_v', factor: 1 }] });
  const site = grid.site();
  const feeders = { 'ac_output_voltage_v.north': wired('meter-a'), 'ac_output_voltage_v.south': wired('meter-b') };
  const { grid: fed } = make({ wiring: { ...site.wiring, ...feeders } });
  for (let at = ten - hour; at < ten; at += 10_000) {
    const late = at - (ten - hour);
    fed.feed('inverter', { ac_output_voltage_v: 232 }, at);
    fed.feed('meter-a', { ac_output_voltage_v: late >= 20 * minute && late < 50 * minute ? 0 : 231 }, at);
    fed.feed('meter-b', { ac_output_voltage_v: late >= 30 * minute ? 0 : 231 }, at);
  }
  t.equal((await todayView(fed, ten)).without_power_min, 20, 'only while both were dead');
  t.equal(gridState(fed, null, [], ten).power, 'partly');
  fed.feed('meter-a', { ac_output_voltage_v: 1 }, ten);
  t.match(gridState(fed, null, [], ten), { power: 'off', state: 'no power, no alerts' });
});

t.test('a grid says why it wants somebody, and is found by words of its names', async (t) => {
  const { grid } = make();
  grid.feed('meter-a', { consumption_kw: 2 }, ten);
  const facts: GatewayFacts = {
    ...{ gatewayId: 'gw-7', version: '1.4.0', clockTrust: 'ntp', helloMs: ten, diskUsedPct: 40, cardLifeUsedPct: null },
    ...{ backlogFrames: 0, completeUntilMs: ten - 3 * hour, differingDays: 0 },
  };
  const state = (more: Partial<GatewayFacts>, nowMs = ten) =>
    gridState(Object.assign(grid, { gateway: () => ({ ...facts, ...more }) }), hour, [], nowMs);
  t.match(state({}), { needs: [], gateway: { backlog_age_s: 0, version: '1.4.0', disk_used_pct: 40 } });
  t.match(state({ backlogFrames: 9 }), { needs: ['backlog'], gateway: { backlog_age_s: 3 * 3600 } });
  t.match(state({}, ten + 2 * hour), { needs: ['silent'], gateway: { backlog_age_s: 5 * 3600 } });
  t.same(state({ clockTrust: 'none', diskUsedPct: 95, cardLifeUsedPct: 90, differingDays: 1 }).needs, [
    'differs',
    'clock',
    'disk',
    'card',
  ]);
  const named = { ...state({}), name: 'Kétou Nord', organisation_id: 'soleil' };
  for (const words of ['ketou', 'NORD gw-7', 'soleil 1.4']) t.ok(matchesSearch(named, words), words);
  t.notOk(matchesSearch(named, 'ketou sud'));
});

t.test('history of windows: sums, means, alignment, completeness, days of the village', async (t) => {
  const { grid } = make();
  const from = ten - 2 * hour;
  for (let at = from; at < ten; at += 10_000) {
    grid.feed('meter-a', { consumption_kw: 2 }, at);
    if (at < from + hour) grid.feed('meter-b', { consumption_kw: 1 }, at);
  }
  const history = await historyView(grid, { metric: 'consumption_kw', period: '6h', granularity: '15m' }, ten);
  const [series] = history.series;
  t.equal(history.step_ms, 15 * minute);
  t.same(series?.mean, [3, 3, 3, 3], 'a window counts where every term has data');
  t.equal(series?.completeness_pct, 16.7);
  t.equal(history.from_ms % (15 * minute), 0);
  const own = await historyView(
    grid,
    { metric: 'consumption_kw', device: 'meter-a', period: '6h', granularity: '1h' },
    ten,
  );
  t.same(own.series[0]?.times_ms, [from, from + hour]);
  Object.assign(grid, { kept: () => ({ raw: hour, '1m': hour }) });
  const minutes = { metric: 'consumption_kw', period: '6h', granularity: '1m' } as const;
  t.match(
    await historyView(grid, minutes, ten),
    { granularity: '15m', not_kept: { granularity: '1m', since_ms: ten - hour }, series: [{ mean: [3, 3, 3, 3] }] },
    'minutes that are gone are answered from what is kept, and that is said',
  );
  const days = await historyView(grid, { metric: 'consumption_kw', period: '7d', granularity: '1d' }, ten);
  t.same(days.series[0]?.times_ms, [localDayStartMs('Africa/Nairobi', ten)]);
  t.equal(days.series[0]?.completeness_pct, 0, 'today is not over, the days before are empty');
  const two = await historyView(grid, { metric: 'consumption_kw,generation_kw', period: '24h' }, ten);
  t.same(
    two.series.map(({ metric }) => metric),
    ['consumption_kw', 'generation_kw'],
  );
  await t.rejects(historyView(grid, { metric: 'dc_bus_voltage_v' }, ten), {
    code: 'E_METRIC_UNKNOWN',
    detail: /not wired/,
  });
  await t.rejects(historyView(grid, { metric: 'nonsense' }, ten), { code: 'E_METRIC_UNKNOWN', detail: /No metric/ });
  await t.rejects(historyView(grid, { metric: 'consumption_kw', device: 'gone' }, ten), { code: 'E_DEVICE_NOT_FOUND' });
  grid.feed('cabinet', { equipment_temp_c: 40 }, ten - minute);
  grid.feed('inverter', { 'equipment_temp_c.inverter': 70 }, ten - minute);
  const hottest = await historyView(grid, { metric: 'equipment_temp_c', period: '6h', granularity: '1m' }, ten);
  t.same(hottest.series[0]?.mean, [70]);
});

t.test(
  'raw history: terms sampled at different instants are added by the last known value of two periods',
  async (t) => {
    const { grid } = make();
    grid.feed('meter-a', { consumption_kw: 1 }, ten - 50_000);
    grid.feed('meter-b', { consumption_kw: 10 }, ten - 47_000);
    grid.feed('meter-a', { consumption_kw: 2 }, ten - 40_000);
    grid.feed('meter-a', { consumption_kw: 3 }, ten - 30_000);
    grid.feed('meter-a', { consumption_kw: 4 }, ten - 20_000);
    grid.feed('meter-b', { consumption_kw: 20 }, ten - 10_000);
    grid.feed('meter-a', { consumption_kw: 999 }, ten - 9_000, 64);
    const history = await historyView(grid, { metric: 'consumption_kw', period: '1h' }, ten);
    t.equal(history.granularity, 'raw');
    t.same(
      history.series[0]?.times_ms.map((time) => time - ten),
      [-40_000, -30_000, -9_000],
    );
    t.same(history.series[0]?.mean, [12, 13, null], 'a bad sample is a gap, not a number');
    t.same(history.series[0]?.count, [1, 1, 0]);
    const term = { device_id: 'a', metric: 'generation_kw', factor: -1 };
    const one = addRaw('generation_kw', [{ term, values: { t: [1, 2], value: [5, null] }, periodMs: 1 }]);
    t.same(one, { t: [1, 2], value: [-5, null] });
    const filled = fillRaw({ t: [0, 10, 100], value: [1, 1, 1] }, { t: [5, 50, 95, 130], value: [2, 2, 2, 2] }, 10);
    t.same(filled, { t: [0, 10, 50, 100, 130], value: [1, 1, 2, 1, 2] });
  },
);

t.test(
  'history to so many points: neighbours are folded by their counts, gaps and completeness stay exact',
  async (t) => {
    const { grid } = make();
    for (let at = ten - 6 * hour; at < ten; at += 30_000) {
      const minuteOfDay = (at - ten + 6 * hour) / minute;
      // A hole of two minutes, and one of the folded windows with samples of one half only.
      if (minuteOfDay >= 62 && minuteOfDay < 64) continue;
      grid.feed('inverter', { generation_kw: minuteOfDay % 2 < 1 ? 2 : 4 }, at);
    }
    const asked = { metric: 'generation_kw', period: '6h', points: 90 } as const;
    const { series, ...history } = await historyView(grid, asked, ten);
    t.match(history, { granularity: '1m', step_ms: 4 * minute });
    const [one] = series;
    t.equal(one?.times_ms.length, 90);
    t.same([one?.mean[0], one?.min[0], one?.max[0], one?.last[0], one?.count[0]], [3, 2, 4, 4, 8]);
    t.equal(one?.expected, 8);
    t.same([one?.count[15], one?.mean[15]], [4, 3], 'what is there of a window with a hole');
    t.same(one?.gaps, [{ from_ms: ten - 6 * hour + 62 * minute, to_ms: ten - 6 * hour + 64 * minute }]);
    t.equal(one?.completeness_pct, 99.4);
    t.equal((await historyView(grid, { metric: 'generation_kw', period: '6h' }, ten)).series[0]?.times_ms.length, 358);
  },
);

t.test('questions about time: local dates, offsets, contradictions, too many points', async (t) => {
  t.equal(parseTime('1767225600000', 'from', 'UTC'), 1767225600000);
  t.equal(parseTime('2026-11-25', 'from', 'Africa/Nairobi'), Date.UTC(2026, 10, 24, 21));
  t.equal(parseTime('2026-11-25T10:00', 'from', 'Asia/Kathmandu'), Date.UTC(2026, 10, 25, 4, 15));
  t.equal(parseTime('2026-11-25T10:00:00+03:00', 'from', 'UTC'), ten);
  t.equal(parseTime('2026-11-25T10:00:00 03:00', 'from', 'UTC'), ten, 'a bare plus of an address');
  for (const text of ['', 'now', '2026-13-01', '25.11.2026', '1e12', '2026-11-25T10', '-5'])
    t.throws(() => parseTime(text, 'from', 'UTC'), { code: 'E_REQUEST_INVALID' }, text);
  t.same(historyRange({}, 'UTC', ten, 10), { fromMs: ten - 24 * hour, toMs: ten, granularity: '1m', by: 1 });
  t.match(historyRange({ period: '1y', points: 500 }, 'UTC', ten, 10), { granularity: '1h', by: 18 });
  t.equal(historyRange({ period: '1h' }, 'UTC', ten, 0.1).granularity, '1m', 'raw of a very fast device is too much');
  t.throws(() => historyRange({ period: '1y', granularity: '1m' }, 'UTC', ten, 10), {
    code: 'E_REQUEST_INVALID',
    detail: /12000 points/,
  });
  const day = 24 * hour;
  const kept = { raw: 30 * day, '1m': 30 * day, '15m': 730 * day };
  const asked = (query: Parameters<typeof historyRange>[0]) => historyRange(query, 'UTC', ten, 10, kept);
  const ago = (days: number) => ({ from: String(ten - days * day), to: String(ten - days * day + hour) });
  t.match(asked({ ...ago(30), granularity: 'raw' }), { granularity: 'raw', notKept: undefined });
  const notKept = { granularity: 'raw', since_ms: ten - 30 * day };
  t.match(asked({ ...ago(31), granularity: 'raw' }), { granularity: '15m', notKept });
  t.match(asked({ ...ago(31) }), { granularity: '15m', notKept }, 'also when nothing was asked for');
  t.match(asked({ from: String(ten - 60 * day), granularity: 'raw' }).granularity, '15m', 'the whole of one kind');
  t.match(asked({ ...ago(731), granularity: '15m' }), { granularity: '1h', notKept: { since_ms: ten - 730 * day } });
  t.match(asked({ ...ago(4000), granularity: '1d' }), { granularity: '1d', notKept: undefined });
  t.throws(() => historyRange({ period: '24h', from: '0' }, 'UTC', ten, 10), {
    code: 'E_REQUEST_INVALID',
    detail: /contradict/,
  });
  t.same(parseMetrics('a, b,a'), ['a', 'b']);
  t.throws(() => parseMetrics('a,,b'), { code: 'E_REQUEST_INVALID' });
  for (const period of Object.keys(periodsMs) as (keyof typeof periodsMs)[])
    t.ok(historyRange({ period }, 'America/Sao_Paulo', ten, 10).fromMs <= ten - periodsMs[period]);
  t.equal(completenessUntilMs(1_000_019_999, 1), 1_000_000_000);
  t.equal(completenessUntilMs(1_000_019_999, 60) % 600_000, 0);
});

t.test(`pages of alerts are the list, whatever comes between (SEED=${seed})`, async (t) => {
  const random = seededRandom(seed);
  for (let round = 0; round < 20; round += 1) {
    const { grid } = make();
    const pick = <T>(values: readonly T[]) => values[Math.floor(random.float() * values.length)] as T;
    const count = Math.floor(random.float() * 30);
    for (let i = 0; i < count; i += 1) {
      const id = grid.raise(
        { severity: pick(['critical', 'high', 'medium', 'low'] as const) },
        ten - Math.floor(random.float() * 5),
      );
      if (random.float() < 0.4) grid.clear(id);
    }
    const read = async (filter: AlertFilter) =>
      readAlertPage(grid, await grid.alerts({ status: 'active' }), filter, ten);
    const whole = (await read({ limit: 200 })).alerts.map(({ alert_id }) => alert_id);
    t.same(
      whole,
      [...(await grid.alerts({}))].sort(compareAlerts).map(({ alert_id }) => alert_id),
    );
    const walked: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await read({ limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      walked.push(...page.alerts.map(({ alert_id }) => alert_id));
      cursor = page.next_cursor ?? undefined;
      // One that comes meanwhile at the top moves nothing.
      grid.raise({ severity: 'critical' }, ten + 1000);
    } while (cursor !== undefined && walked.length < 100);
    t.same(
      walked.filter((id) => whole.includes(id)),
      whole,
    );
    t.equal(new Set(walked).size, walked.length);
  }
});

t.test('pages of alerts reach back over years, and read no more than they show', async (t) => {
  const { grid } = make();
  const asked: number[] = [];
  // Many in one millisecond, as a shower leaves them.
  const raise = (at: number, device: string) =>
    grid.clear(grid.raise({ severity: 'low', device_id: device }, at), at + 1);
  for (let at = 0; at < 450; at += 1) raise(ten - 3000 * hour, at === 3 ? 'rare' : 'meter');
  for (let at = 0; at < 2100; at += 1) raise(ten - (2100 - at) * hour, 'meter');
  const all = await grid.alerts({ raised: { fromMs: 0, toMs: ten } });
  const counted: Pick<GridPort, 'alerts'> = {
    alerts: async ({ raised, mostResolved }) => {
      const found = all
        .filter((one) => raised === undefined || (one.raised_at_ms >= raised.fromMs && one.raised_at_ms < raised.toMs))
        .slice(0, mostResolved);
      asked.push(found.length);
      return found;
    },
  };
  t.equal((await readAlertPage(counted, [], {}, ten)).alerts.length, 50);
  t.same(asked, [200]);
  const found: string[] = [];
  let pages = 0;
  for (let cursor: string | null | undefined; cursor !== null && pages < 100; pages += 1) {
    const page = await readAlertPage(
      counted,
      [],
      { deviceId: 'rare', ...(cursor === undefined ? {} : { cursor }) },
      ten,
    );
    found.push(...page.alerts.map(({ device_id }) => device_id ?? ''));
    cursor = page.next_cursor;
  }
  t.same([found, pages], [['rare'], 2]);
  const seen = new Set<string>();
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await readAlertPage(counted, [], { limit: 200, ...(cursor === undefined ? {} : { cursor }) }, ten);
    for (const { alert_id } of page.alerts) seen.add(alert_id);
    cursor = page.next_cursor;
  }
  t.equal(seen.size, 2550);
});

t.test('the load of a time counts all of its alerts, also where lists are cut', async (t) => {
  const { grid } = make();
  const from = ten - 20 * 24 * hour;
  for (let at = 0; at < 2100; at += 1) grid.clear(grid.raise({ severity: 'low' }, from + at * 13 * minute));
  grid.raise({ severity: 'high' }, from - hour);
  t.equal((await grid.alerts({})).length, 2001);
  const span = { fromMs: from, toMs: ten };
  t.match(await readAlertLoad(grid, span, ten), { alerts: 2100, by_severity: { low: 2100 }, standing: 1, stale: 1 });
});

t.test('the prototype: its fields, percent of full sun, null for what is not known', async (t) => {
  const { grid } = make();
  grid.feed('inverter', { generation_kw: 5 }, ten - 3000);
  grid.feed('cabinet', { irradiance_w_m2: 455.5, equipment_temp_c: 40 }, ten - 1000);
  t.same(legacyRealtime(gridFigures(grid, ten), ten), {
    timestamp: new Date(ten - 1000).toISOString(),
    live_power_consumption: null,
    live_generation: 5,
    battery_soc: null,
    temp_equipment: 40,
    solar_irradiance: 45.55,
  });
});

t.test('the summary is made once per change and second, and slow parts are not made for each', async (t) => {
  const { clock, grid } = make();
  const identity = {
    kind: 'gateway',
    serverId: 'gw',
    version: '1',
    gridId: 'amani',
    silentAfterMs: null,
    clockTrust: () => 'ntp' as const,
  } as const;
  const board = new GridBoard({ grid, identity, clock, realClock: clock });
  const windows = grid.windows.bind(grid);
  let asked = 0;
  grid.windows = (...question) => {
    asked += 1;
    return windows(...question);
  };
  const first = await board.summaryText();
  const cost = asked;
  t.equal(board.summaryText(), board.summaryText(), 'nothing happened');
  t.equal(await board.summaryText(), first);
  grid.feed('inverter', { generation_kw: 7 });
  const second = JSON.parse(await board.summaryText());
  t.equal(second.figures.generation_kw.value, 7);
  grid.raise({ severity: 'critical' });
  t.match(JSON.parse(await board.summaryText()).verdict, { open_alerts: 1, worst_severity: 'critical' });
  t.equal(asked, cost, 'history was read once');
  await clock.advance(20_000);
  t.equal(JSON.parse(await board.summaryText()).now_ms, ten + 20_000);
  t.ok(asked > cost, 'and again after a while');
  board.close();
  t.equal(grid.subscribers, 0);
});

t.test('the plain page tells what matters to any browser, and nothing that was named becomes part of it', async (t) => {
  const clock = testClock(Date.UTC(2026, 10, 25, 7));
  const hostile = '<script>alert("x")</script>';
  const grid = new MemoryGrid(memorySite('amani', { name: hostile }), { clock, random: seededRandom(2) });
  const identity = fakePorts({ clock, random: seededRandom(3), sites: [memorySite('amani')], people: [] }).identity;
  const board = new GridBoard({ grid, identity, clock, realClock: clock });
  t.teardown(() => board.close());
  grid.feed('inverter', { generation_kw: 1234.5678 });
  grid.raise({ what: 'hot', message: `${hostile} is hot` });
  const page = async () => {
    const [summary, active] = await Promise.all([board.summary(), board.active()]);
    return plainPage(
      summary,
      active.map((alert) => alertView(alert, clock.nowMs())),
    );
  };
  const now = await page();
  t.match(now, /<td>1230\u00a0kW<\/td><td>now<\/td>/);
  t.match(now, /<td>no\u00a0data<\/td>/, 'unknown is not 0');
  t.match(now, /is hot.*nobody has seen it/);
  t.notMatch(now, /<script|style=|onclick/i);
  t.match(now, /&#60;script/);
  await clock.advance(3_600_000);
  t.match(await page(), /<td>1230\u00a0kW<\/td><td>as of \d\d:\d\d<\/td>/, 'an old value is not now');
  for (const address of ['127.0.0.1', '::1', '10.77.0.9', '::ffff:192.168.4.2', 'fe80::1%wlan0', '172.31.0.1'])
    t.ok(isPrivateAddress(address), address);
  for (const address of ['8.8.8.8', '172.32.0.1', '2001:db8::1', '::ffff:8.8.8.8', 'localhost', ''])
    t.notOk(isPrivateAddress(address), address);
  for (const name of ['10.77.0.1', '[fe80::1]', 'localhost', 'villagrid', 'gw-kisima.local'])
    t.ok(isOwnName(name), name);
  for (const name of ['evil.example', 'villagrid.example.com', '', 'local.evil.com']) t.notOk(isOwnName(name), name);
});
