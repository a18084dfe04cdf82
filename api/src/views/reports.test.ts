/** Reports and exports over the port of a grid, and the stream over a real socket. */
import { request, type IncomingMessage } from 'node:http';
import {
  emptyColumns,
  localDayStartMs,
  reportSchema,
  resolutionMs,
  zoneOffsetMs,
  type Report,
  type Resolution,
  type Site,
} from '@villagrid/contracts';
import { cryptoRandom, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import t from 'tap';
import { Check } from 'typebox/value';
import { createApiServer } from '../index.js';
import { ask, fakePorts, logIn, MemoryGrid, memoryPerson, memorySite } from '../testing/index.js';
import { numberCell, plainForm, spreadsheetForm, textCell } from './csv.js';
import { exportCsv } from './export.js';
import { historyView } from './history.js';
import { reportRange } from './report-request.js';
import { reportView } from './report.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const zone = 'Asia/Kathmandu';

/** A grid of Nepal (UTC+5:45) whose devices report every 5 minutes. */
function site(more: Partial<Site> = {}): Site {
  const plain = memorySite('himal', { zone });
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
  return {
    ...plain,
    devices: plain.devices.map((device) => ({ ...device, period_s: 300 })),
    wiring: {
      ...plain.wiring,
      consumption_energy_kwh: {
        terms: ['meter-a', 'meter-b'].map((device_id) => ({ device_id, metric: 'consumption_energy_kwh', factor: 1 })),
      },
      ambient_temp_c: wire('cabinet', 'ambient_temp_c'),
    },
    ...more,
  };
}

/** Feeds a village from `fromMs` to `toMs`: 3 kW used, sun of 8 kW from 9 to 15, and what `change` says of a moment. */
function feedVillage(
  grid: MemoryGrid,
  fromMs: number,
  toMs: number,
  change: (timeMs: number) => { off?: boolean; gap?: boolean; soc?: number } = () => ({}),
): void {
  const series: Record<string, Record<string, (number | null)[]>> = {};
  const times: number[] = [];
  const put = (device: string, metric: string, value: number) => ((series[device] ??= {})[metric] ??= []).push(value);
  let kwh = 0;
  for (let at = fromMs; at < toMs; at += 5 * minute) {
    const { off = false, gap = false, soc = 60 } = change(at);
    const local = (at + zoneOffsetMs(zone, at)) % day;
    const sunny = local >= 9 * hour && local < 15 * hour;
    kwh += off ? 0 : 3 / 12;
    if (gap) continue;
    times.push(at);
    put('meter-a', 'consumption_kw', off ? 0 : 2);
    put('meter-b', 'consumption_kw', off ? 0 : 1);
    put('meter-a', 'consumption_energy_kwh', 500 + (kwh * 2) / 3);
    put('meter-b', 'consumption_energy_kwh', 70 + kwh / 3);
    put('inverter', 'generation_kw', sunny ? 8 : 0);
    put('inverter', 'ac_output_voltage_v', off ? 0 : 231);
    put('battery', 'battery_power_kw', sunny ? 4.5 : off ? 0 : -3.2);
    put('battery', 'battery_soc_pct', soc);
    put('cabinet', 'irradiance_w_m2', sunny ? 500 : -6);
    put('cabinet', 'ambient_temp_c', 20);
  }
  for (const [deviceId, metrics] of Object.entries(series)) grid.fill(deviceId, times, metrics);
}

function make(nowMs: number, more: Partial<Site> = {}) {
  const clock = testClock(nowMs);
  return { clock, grid: new MemoryGrid(site(more), { clock, random: seededRandom('reports') }) };
}
const figure = (report: Report, id: string) => report.figures.find((one) => one.id === id);

t.test(
  'a report of a month: local days of :45, counters over gaps, outages with causes, unknown time apart',
  async (t) => {
    // 5 November 2026, 12:00 in Nepal.
    const nowMs = Date.UTC(2026, 10, 5, 6, 15);
    const { grid } = make(nowMs);
    const today = localDayStartMs(zone, nowMs);
    const third = today - 2 * day;
    feedVillage(grid, today - 20 * day, nowMs, (at) => ({
      // 3 November: 40 minutes without power at 20:00, the battery empty; 4 November: 2 hours nobody measured.
      off: at >= third + 20 * hour && at < third + 20 * hour + 40 * minute,
      gap: at >= third + day + 10 * hour && at < third + day + 12 * hour,
      soc: at >= third + 19 * hour && at < third + 21 * hour ? 20 : 60,
    }));
    const report = await reportView(grid, { period: 'month' }, nowMs);
    t.ok(Check(reportSchema, report));
    t.equal(report.from_ms, today - 4 * day, 'the month began at local midnight');
    t.equal(report.rows.length, 5, 'a row per local day so far');
    t.same(
      report.rows.map(({ from_ms }) => from_ms - report.from_ms),
      [0, 1, 2, 3, 4].map((n) => n * day),
    );
    const used = figure(report, 'consumption_kwh');
    // 4 days of 72 kWh and 36 kWh today, less 40 minutes of 3 kW: 322 kWh by the counters, the gap bridged.
    t.ok(Math.abs((used?.value ?? 0) - 322) < 0.5, `${used?.value} kWh used`);
    t.match(used, { basis: 'counter', estimate: false });
    t.ok((used?.high ?? 0) - (used?.low ?? 0) < 0.1, 'a counter leaves nothing open');
    const made = figure(report, 'generation_kwh');
    // 4 days of 48 kWh and 24 kWh today; 16 kWh of the gap are filled from other days, all of which had the same sun.
    t.ok(Math.abs((made?.value ?? 0) - 216) < 0.5, `${made?.value} kWh made`);
    t.match(made, { basis: 'integrated', estimate: true });
    t.ok((made?.completeness ?? 1) < 0.99, 'the gap is in the completeness');
    t.equal(figure(report, 'without_power_h')?.value, 0.6667);
    t.equal(figure(report, 'unknown_h')?.value, 2);
    t.match(report.interruptions, [
      { from_ms: third + 20 * hour, minutes: 40, cause: 'battery_empty', sustained: true },
    ]);
    t.same(report.minutes_by_cause, { battery_empty: 40 });
    // 500 W/m² for 6 h: 3 kWh/m² per day; today has half of it in half a day.
    t.equal(figure(report, 'reference_yield')?.value, 3);
    t.equal(figure(report, 'capacity_factor')?.value, 10, '216 / (20 x 108 h)');
    t.equal(figure(report, 'genset_kwh'), undefined, 'what is not there has no figure');
    const lost = report.rows.map(({ without_power_min, unknown_min }) => [without_power_min, unknown_min]);
    t.same(lost, [
      [0, 0],
      [0, 0],
      [40, 0],
      [0, 120],
      [0, 0],
    ]);
    const hours = await reportView(grid, { period: 'day', date: String(third) }, nowMs);
    t.equal(hours.rows.length, 24, 'a day has its hours');
    t.equal(hours.rows[20]?.without_power_min, 40);
    const young = await reportView(grid, { period: 'year' }, nowMs);
    t.equal(young.since_ms, today - 20 * day, 'a plant is judged from its first measurement on');
    t.ok(young.completeness > 0.98);
    const born = make(nowMs).grid;
    feedVillage(born, nowMs - 20 * minute, nowMs);
    const minutes = await reportView(born, { period: 'day' }, nowMs);
    t.match(minutes, { since_ms: nowMs - 20 * minute, completeness: 1 }, 'of its first quarter hour 5 minutes count');
    t.match(figure(minutes, 'average_load_kw'), { value: 3 });
    t.match(figure(minutes, 'unknown_h'), { value: 0 }, 'its supply is known from its first sample on');
    const nothing = await reportView(make(nowMs).grid, { period: 'month' }, nowMs);
    t.match(nothing, { state: 'unknown', completeness: 0, interruptions: [] });
  },
);

t.test('questions for reports: periods, stretches, contradictions', async (t) => {
  const nowMs = Date.UTC(2026, 10, 5, 6, 15);
  t.match(reportRange({}, zone, nowMs), { period: 'day', by: 'hour' });
  t.match(reportRange({ period: 'year', date: '2025-07-01' }, zone, nowMs), {
    fromMs: Date.UTC(2024, 11, 31, 18, 15),
    toMs: Date.UTC(2025, 11, 31, 18, 15),
    by: 'day',
  });
  t.match(reportRange({ from: '2026-10-01', to: '2026-10-03T12:00' }, zone, nowMs), {
    period: null,
    fromMs: Date.UTC(2026, 8, 30, 18, 15),
    toMs: Date.UTC(2026, 9, 3, 18, 15),
  });
  for (const query of [
    { period: 'day', from: '0' },
    { date: '2026-01-01', from: '2026-01-01' },
    { to: '2026-01-01' },
    { from: '2026-02-01', to: '2026-01-01' },
    { from: '2020-01-01', to: '2026-01-01' },
    { period: 'day', date: '2027-01-01' },
    { period: 'month', date: 'soon' },
    { period: 'year', by: 'hour' },
  ] as const)
    t.throws(() => reportRange(query, zone, nowMs), { code: 'E_REQUEST_INVALID' }, JSON.stringify(query));
});

t.test('history says which stretches are empty and how many samples a window should hold', async (t) => {
  const nowMs = Date.UTC(2026, 10, 5, 6);
  const { grid } = make(nowMs);
  feedVillage(grid, nowMs - 6 * hour, nowMs, (at) => ({ gap: at >= nowMs - 4 * hour && at < nowMs - 3 * hour }));
  const { series } = await historyView(
    grid,
    { metric: 'consumption_kw,generation_kw', period: '6h', granularity: '15m' },
    nowMs,
  );
  t.same(
    series.map(({ metric, expected, gaps }) => ({ metric, expected, gaps })),
    ['consumption_kw', 'generation_kw'].map((metric) => ({
      metric,
      expected: 3,
      gaps: [{ from_ms: nowMs - 4 * hour, to_ms: nowMs - 3 * hour }],
    })),
  );
  const raw = await historyView(grid, { metric: 'generation_kw', period: '6h', granularity: 'raw' }, nowMs);
  t.same(raw.series[0]?.gaps, [{ from_ms: nowMs - 4 * hour - 5 * minute, to_ms: nowMs - 3 * hour }]);
  t.equal(raw.series[0]?.expected, null);
  const days = await historyView(grid, { metric: 'generation_kw', period: '7d', granularity: '1d' }, nowMs);
  t.equal(days.series[0]?.gaps.length, 1, 'empty days are one stretch');
});

const read = async (parts: AsyncIterable<string>): Promise<string> => {
  let text = '';
  for await (const part of parts) text += part;
  return text;
};

t.test('CSV: RFC 4180, units, both clocks, completeness; a spreadsheet gets its own form', async (t) => {
  const nowMs = Date.UTC(2026, 10, 5, 6, 15);
  const { grid } = make(nowMs);
  feedVillage(grid, nowMs - 2 * hour, nowMs, (at) => ({ gap: at >= nowMs - 25 * minute && at < nowMs - 20 * minute }));
  const metric = 'consumption_kw,consumption_energy_kwh';
  const file = exportCsv(grid, { metric, from: String(nowMs - 30 * minute), granularity: '15m' }, nowMs);
  t.equal(file.fileName, 'villagrid_himal_15m_2026-11-05_2026-11-05.csv');
  t.same((await read(file.parts)).split('\r\n'), [
    'time Asia/Kathmandu,time UTC,consumption_kw mean [kW],consumption_kw min [kW],consumption_kw max [kW],consumption_kw completeness [%],consumption_energy_kwh last [kWh],consumption_energy_kwh completeness [%]',
    '2026-11-05T11:30:00+05:45,2026-11-05T05:45:00Z,3,3,3,66.7,575.25,66.7',
    '2026-11-05T11:45:00+05:45,2026-11-05T06:00:00Z,3,3,3,100,576,100',
    '',
  ]);
  const sheet = exportCsv(grid, { metric, period: '1h', granularity: '1h', format: 'spreadsheet' }, nowMs);
  const [head, ...lines] = (await read(sheet.parts)).split('\r\n');
  t.match(head, /^\ufefftime Asia\/Kathmandu;time UTC;consumption_kw mean \[kW\];/);
  t.match(lines[0], /^2026-11-05 10:45:00;2026-11-05T05:00:00Z;3;3;3;91,7;575,25;91,7$/);
  const point = exportCsv(grid, { metric, period: '1h', format: 'spreadsheet', decimal: 'point' }, nowMs);
  t.match(await read(point.parts), /;576;100\r\n$/);
  const raw = await read(exportCsv(grid, { metric: 'consumption_kw', period: '1h', granularity: 'raw' }, nowMs).parts);
  t.equal(raw.trim().split('\r\n').length, 1 + 11, 'a sum at each time of its first term, also where a slice begins');
  t.throws(() => exportCsv(grid, { metric: 'nonsense' }, nowMs), { code: 'E_METRIC_UNKNOWN' });
  t.throws(() => exportCsv(grid, { metric, decimal: 'comma' }, nowMs), { code: 'E_REQUEST_INVALID' });
  for (const text of ['=cmd|calc', '+1', '-1', '@x', '\t=1', '|x'])
    t.match(textCell(text, plainForm), /^"?'/, `${JSON.stringify(text)} stays a text`);
  t.equal(textCell('a "b", c', plainForm), '"a ""b"", c"');
  t.equal(textCell('a;b', spreadsheetForm(',')), '"a;b"');
  t.equal(textCell('two\nlines', plainForm), '"two\nlines"');
  t.equal(numberCell(-1.5, plainForm), '-1.5', 'a negative number is a number');
  t.equal(numberCell(-1.5, spreadsheetForm(',')), '-1,5');
  t.equal(numberCell(Number.NaN, plainForm), '');
});

t.test(
  'a year of raw is streamed in slices, waits for a slow reader, and stops when the reader goes away',
  async (t) => {
    const clock = realClock();
    const people = [memoryPerson('viewer', 'viewer', 'himal'), memoryPerson('operator', 'operator', 'himal')];
    const ports = fakePorts({ clock, random: cryptoRandom(), sites: [site()], people });
    const grid = ports.grid('himal');
    let asked = 0;
    let longestMs = 0;
    grid.raw = async (_device, _metric, fromMs, toMs) => {
      asked += 1;
      longestMs = Math.max(longestMs, toMs - fromMs);
      const t: number[] = [];
      for (let at = Math.ceil(fromMs / 10_000) * 10_000; at < toMs; at += 10_000) t.push(at);
      return { t, value: t.map(() => 1.234), quality: t.map(() => 0) };
    };
    const server = createApiServer({
      ports,
      clock,
      realClock: clock,
      random: cryptoRandom(),
      log: silentLogger(),
      listen: [{ host: '127.0.0.1', port: 0 }],
    });
    const { addresses } = await server.start();
    t.teardown(() => server.stop());
    const url = addresses[0]?.url ?? '';
    const path = '/api/export/himal?metric=generation_kw&period=1y&granularity=raw';
    t.equal(
      (await ask(url, path, { token: await logIn(url, { username: 'viewer', password: 'pass-viewer' }) })).status,
      403,
    );
    const token = await logIn(url, { username: 'operator', password: 'pass-operator' });
    const before = asked;
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    /** Waits until nothing more is made for a while. */
    const settled = async (): Promise<number> => {
      for (let known = -1; known !== asked; ) {
        known = asked;
        await pause(300);
      }
      return asked;
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url + path, { headers: { authorization: `Bearer ${token}` } }, resolve)
        .on('error', reject)
        .end();
    });
    t.match(
      response.headers['content-disposition'],
      /attachment; filename="villagrid_himal_generation_kw_raw_.*\.csv"/,
    );
    response.on('error', () => undefined);
    // A reader that does not read: what is made meanwhile must stay within the buffers.
    const held = await settled();
    t.ok(held - before < 3000, `${held - before} of 8,760 hours were made for a reader that waits`);
    response.resume();
    while (asked < held + 20) await pause(5);
    response.destroy();
    const stopped = await settled();
    t.ok(stopped - before < 6000, `${stopped - before} hours were made for a reader that went away`);
    t.ok(longestMs <= hour + 15 * minute, 'never more than an hour at once');
    const day1 = await ask(url, '/api/export/himal?metric=generation_kw&period=24h&granularity=raw', { token });
    t.equal(day1.status, 200);
    t.equal(day1.text.trim().split('\r\n').length, 1 + 8640);
    t.equal((await ask(url, '/api/export/himal?metric=nonsense', { token })).json.code, 'E_METRIC_UNKNOWN');
    t.equal((await ask(url, '/api/export/himal', { token })).status, 400);
  },
);

t.test('slices give what one read gives', async (t) => {
  const { grid } = make(Date.UTC(2027, 0, 1), { zone: 'Europe/Berlin' });
  const whole: number[] = [];
  grid.windows = async (_device, _metric, resolution: Resolution, fromMs, toMs) => {
    const columns = emptyColumns();
    const width = resolutionMs[resolution];
    for (let at = Math.floor(fromMs / width) * width; at < toMs; at += width) {
      const start = resolution === '1d' ? localDayStartMs('Europe/Berlin', at + 12 * hour) : at;
      if (start < fromMs || start >= toMs) continue;
      for (const key of ['min', 'mean', 'max', 'last', 'count'] as const) columns[key].push(1);
      columns.t.push(start);
    }
    whole.push(columns.t.length);
    return columns;
  };
  for (const granularity of ['1h', '1d'] as const) {
    const { series } = await historyView(
      grid,
      { metric: 'generation_kw', from: '2026-01-01', to: '2027-01-01', granularity },
      Date.UTC(2027, 0, 1),
    );
    const times = series[0]?.times_ms ?? [];
    t.equal(times.length, granularity === '1h' ? 8760 : 365);
    t.equal(new Set(times).size, times.length, 'none twice');
    t.ok(
      times.every((time, at) => at === 0 || time > (times[at - 1] as number)),
      'in order',
    );
  }
  t.ok(Math.max(...whole) <= 2017, 'no read is long');
});
