import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { VillagridError, type Site } from '@villagrid/contracts';
import { seededRandom } from '@villagrid/runtime';
import fc from 'fast-check';
import t from 'tap';
import { findBase, walkChain } from '../drivers/sunspec-discovery.js';
import { withPollPeriods } from '../drivers/site-periods.js';
import { LinkError } from '../links/index.js';
import {
  decodePoints,
  fixedLayout,
  guardsHold,
  type Layout,
  loadProfile,
  loadProfiles,
  metricValues,
  planReads,
  probeFits,
  type PointType,
  type Profile,
  RegisterImage,
  type ResolvedPoint,
  splitBlock,
  sunspecLayout,
  troubleOf,
} from './index.js';

const profiles = loadProfiles();
const profileOf = (id: string): Profile => {
  const found = profiles.get(id);
  if (!found) throw new Error(`no profile ${id}`);
  return found;
};
const limitsOf = ({ limits }: Profile) => ({
  maxRegisters: limits.max_registers,
  maxGap: limits.max_gap,
  forbidden: limits.forbidden as Array<[number, number]>,
});

interface Fixture {
  readonly base: number;
  readonly registers: readonly number[];
  readonly chain: ReadonlyArray<{ id: number; address: number; L: number }>;
  readonly expected: Readonly<Record<string, Record<string, number | null>>>;
}
const fixture = JSON.parse(
  readFileSync(fileURLToPath(new URL('./fixtures/sunspec_image_constructed_a.json', import.meta.url)), 'utf8'),
) as Fixture;
const readFixture = async (address: number, count: number) => {
  const at = address - fixture.base;
  if (at < 0 || at + count > fixture.registers.length) throw new LinkError('exception', 'no such address', 2);
  return fixture.registers.slice(at, at + count);
};

/** Decodes a profile's fixed points from registers given by address. */
function decodeFixed(id: string, words: Record<number, readonly number[]>) {
  const profile = profileOf(id);
  const layout = fixedLayout(profile);
  const image = new RegisterImage();
  for (const [address, list] of Object.entries(words)) image.add(profile.function as 3 | 4, Number(address), list);
  return metricValues(layout, decodePoints(layout, image), profile.combine);
}

t.test('the profiles the reference village needs are there, and each plans within its own limits', async (t) => {
  for (const id of ['eastron-sdm630', 'eastron-sdm120', 'victron-gx-battery', 'sunspec-inverter'])
    t.ok(profiles.has(id), id);
  for (const [id, profile] of profiles) {
    if (profile.site_points) continue;
    const chain = profile.sunspec?.models.map((model, i) => ({
      id: model.ids[0] ?? 0,
      address: 40_002 + i * 100,
      length: 66,
    }));
    const layout = chain ? sunspecLayout(profile, chain) : fixedLayout(profile);
    t.ok(
      layout.points.some((point) => point.metric !== undefined),
      `${id} feeds metrics`,
    );
    const blocks = planReads(layout, limitsOf(profile));
    t.ok(blocks.length > 0 && blocks.every(({ count }) => count <= profile.limits.max_registers), `${id} plans`);
    t.ok(Object.keys(profile.sources).length > 0, `${id} names its sources`);
  }
});

t.test('a SunSpec device is walked and read to its known values; what it lacks is null, not 0', async (t) => {
  const profile = profileOf('sunspec-inverter');
  const base = await findBase(profile.sunspec?.bases ?? [], readFixture, () => t.fail('nothing is silent here'));
  t.equal(base, 40_000);
  const chain = await walkChain(40_000, readFixture);
  t.same(
    chain,
    fixture.chain.map(({ id, address, L }) => ({ id, address, length: L })),
  );
  const layout = sunspecLayout(profile, chain);
  const image = new RegisterImage();
  for (const block of planReads(layout, limitsOf(profile)))
    image.add(3, block.address, await readFixture(block.address, block.count));
  t.ok(guardsHold(layout, image));
  const points = decodePoints(layout, image);
  t.equal(points.get('1.Mn'), fixture.expected.maker as unknown);
  t.equal(points.get('1.Md'), fixture.expected.model as unknown);
  t.equal(points.get('1.SN'), fixture.expected.serial as unknown);
  // What no metric needs is not polled; here all of the model is read to compare each value.
  image.add(3, 40_069, await readFixture(40_069, 52));
  const all = decodePoints(layout, image);
  for (const [name, value] of Object.entries(fixture.expected['103'] ?? {}))
    t.equal(all.get(`103.${name}`), value, name);
  t.match(metricValues(layout, points, profile.combine), {
    generation_kw: 4.98,
    generation_energy_kwh: 12_345.67,
    ac_output_voltage_v: 230.1,
    'ac_output_voltage_v.l2': 229.4,
    'ac_output_voltage_v.l3': 231,
    ac_frequency_hz: 50.02,
    equipment_temp_c: 43.8,
  });
  const moved = new RegisterImage();
  moved.add(3, 40_069, [101, 50]);
  t.notOk(guardsHold(layout, moved), 'another model at that place is noticed');
});

t.test(
  'SunSpec bases are tried in turn; a device that ends in an exception or says nothing does not hang the walk',
  async (t) => {
    const marked = async (address: number, count: number) => {
      if (address === 0 && count === 2) return [0x5375, 0x6e53];
      if (address === 2) return [103];
      if (address === 3) return [50];
      if (address === 50_000) return [0, 0];
      throw new LinkError('exception', 'illegal address', 2);
    };
    t.equal(await findBase([40_000, 50_000, 0], marked, () => t.fail('nothing is silent')), 0);
    t.same(await walkChain(0, marked), [{ id: 103, address: 2, length: 50 }]);
    let silent: number | undefined;
    await t.rejects(
      findBase(
        [40_000, 0],
        () => Promise.reject(new LinkError('timeout', 'silence')),
        (base) => (silent = base),
      ),
      { message: 'silence' },
    );
    t.equal(silent, 40_000, 'one base costs one wait');
    const endless = async (address: number, count: number) =>
      count === 1 ? [address % 2 === 0 ? 7 : 0] : [0x5375, 0x6e53];
    t.equal((await walkChain(0, endless)).length, 100, 'a chain that never ends is cut');
  },
);

t.test('register vectors, computed by hand, decode to metrics with our signs', async (t) => {
  // 230.5 = 0x43668000, 229 = 0x43650000, 1234.5 W = 0x449A5000, 49.98 Hz = 0x4247EB85, 1234.56 kWh = 0x449A51EC
  const sdm630 = decodeFixed('eastron-sdm630', {
    0: [0x4366, 0x8000, 0x4365, 0x0000, 0x7fc0, 0x0000],
    52: [0x449a, 0x5000],
    70: [0x4247, 0xeb85, 0x449a, 0x51ec],
  });
  t.equal(sdm630.ac_output_voltage_v, 230.5);
  t.equal(sdm630['ac_output_voltage_v.l2'], 229);
  t.equal(sdm630['ac_output_voltage_v.l3'], null, 'not a number is no value');
  t.equal(sdm630.consumption_kw, 1.2345);
  t.equal(sdm630.ac_frequency_hz, 49.98);
  t.equal(sdm630.consumption_energy_kwh, 1234.56);
  t.same(decodeFixed('eastron-sdm120', { 0: [0x4366, 0x8000], 12: [0xc49a, 0x5000] }), {
    ac_output_voltage_v: 230.5,
    consumption_kw: -1.2345,
  });
  // 0xFFFFFC18 = -1000 W: discharging. 5276 * 0.01 V, -189 * 0.1 A, 251 * 0.1 degC, 735 * 0.1 %
  const battery = { 256: [0xffff, 0xfc18, 0xfc18, 5276, 0, 0xff43, 251, 0, 0, 0, 735], 301: [12_345, 23_456] };
  t.same(decodeFixed('victron-gx-battery', battery), {
    battery_power_kw: -1,
    dc_bus_voltage_v: 52.76,
    dc_bus_current_a: -18.9,
    equipment_temp_c: 25.1,
    battery_soc_pct: 73.5,
    battery_discharge_energy_kwh: 1234.5,
    battery_charge_energy_kwh: 2345.6,
  });
  t.same(
    Object.values(decodeFixed('victron-gx-battery', { 256: new Array<number>(11).fill(0), 301: [0, 0] })),
    new Array(7).fill(null),
    'a GX device that shows 0 for everything has no battery: charge 0 % is not believed',
  );
  t.equal(
    decodeFixed('victron-gx-battery', { 258: [0xfc18, 5276] }).battery_power_kw,
    -1,
    'old firmware: the 16-bit power',
  );
  const system = (l2: readonly number[]) =>
    decodeFixed('victron-gx-system', { 826: [240], 902: [0, 1500], 904: l2, 906: [1, 0] });
  t.match(system([0, 500]), { consumption_kw: 67.536, grid_tie_connected: 0 });
  t.notOk('consumption_kw' in system([]), 'a sum with a part unread is no sum');
  t.match(decodeFixed('imt-si-rs485tc', { 0: [8421], 7: [0xffce, 312] }), {
    irradiance_w_m2: 842.1,
    equipment_temp_c: -5,
    ambient_temp_c: 31.2,
  });
});

t.test('what a device says of its own fault is told as a state, with its maker’s words', async (t) => {
  const said = (id: string, words: Record<number, readonly number[]>, code: 3 | 4 = 3) => {
    const layout = fixedLayout(profileOf(id));
    const image = new RegisterImage();
    for (const [address, list] of Object.entries(words)) image.add(code, Number(address), list);
    return troubleOf(layout, decodePoints(layout, image));
  };
  const overvoltage = ['VE.Bus Error 5: Overvoltage on AC-out'];
  t.same(said('victron-gx-vebus', { 31: [2], 32: [5] }), { state: 2, words: overvoltage });
  t.same(
    said('victron-gx-vebus', { 31: [9], 32: [5] }),
    { state: 2, words: overvoltage },
    'an error is a fault by itself',
  );
  t.same(
    said('victron-gx-vebus', { 31: [2], 32: [0] }),
    { state: 2, words: ['Fault'] },
    'the state, where nothing says more',
  );
  t.same(said('victron-gx-vebus', { 31: [9], 32: [0] }), { state: 0, words: [] });
  t.same(said('victron-gx-vebus', { 31: [0], 32: [0] }), { state: 1, words: ['Off'] });
  t.same(
    said('victron-gx-vebus', { 31: [9], 32: [0xffff] }),
    { state: 0, words: [] },
    'a code nobody knows is no fault',
  );
  t.equal(said('victron-gx-vebus', {}), undefined, 'nothing read, nothing said');
  t.match(said('deye-sunsynk-1p', { 59: [4], 103: [0, 0, 0, 0x8000] }), {
    state: 2,
    words: ['F64 heat sink temperature'],
  });
  t.same(
    said('deye-sunsynk-1p', { 59: [2], 103: [0x1000, 0, 0, 0] }),
    { state: 0, words: [] },
    'bits of a device that works',
  );
  t.same(said('growatt-spf', { 0: [3], 40: [5] }, 4), { state: 2, words: ['bit 0', 'bit 2'] });
  t.same(said('sma-sunny-boy', { 30_201: [0, 35] }), { state: 2, words: ['fault'] });
  t.same(said('sma-sunny-boy', { 30_201: [0x00ff, 0xfffd] }), undefined, 'no value is no state');
  t.same(said('srne-hybrid', { 516: [19, 0, 0, 0], 528: [11] }), { state: 2, words: ['code 19'] });
  t.same(said('schneider-conext-xw', { 75: [1], 122: [1031] }), { state: 2, words: ['fault'] });
  const layout = sunspecLayout(
    profileOf('sunspec-inverter'),
    fixture.chain.map(({ id, address, L }) => ({ id, address, length: L })),
  );
  const at = fixture.chain.find(({ id }) => id === 103)?.address ?? 0;
  const words = [...fixture.registers];
  words.splice(at - fixture.base + 38, 4, 7, 0, 0, 0x0080);
  const image = new RegisterImage();
  image.add(3, fixture.base, words);
  t.same(troubleOf(layout, decodePoints(layout, image)), { state: 2, words: ['over temp'] });
  const asked = planReads(layout, limitsOf(profileOf('sunspec-inverter')), new Set(['fast']));
  t.ok(
    asked.some(({ address, count }) => address <= at + 38 && address + count >= at + 42),
    'it is polled, though it feeds no metric by itself',
  );
});

const point = (type: PointType, more: Partial<ResolvedPoint> = {}): ResolvedPoint => ({
  key: 'p',
  function: 3,
  address: 0,
  count: { u32: 2, s32: 2, f32: 2, u64: 4, s64: 4, f64: 4 }[type as string] ?? 1,
  type,
  lswFirst: false,
  scale: 1,
  offset: 0,
  scaleFactor: undefined,
  missing: [],
  validIf: undefined,
  metric: 'consumption_kw',
  metricFactor: 1,
  metricMap: undefined,
  polling: 'fast',
  ...more,
});
const decodeOne = (one: ResolvedPoint, words: readonly number[], others: readonly ResolvedPoint[] = []) => {
  const image = new RegisterImage();
  image.add(3, 0, words);
  return decodePoints({ points: [one, ...others], guards: [] }, image).get('p');
};

t.test('every type, both word orders, offsets, scale factors and codes of no value', async (t) => {
  t.equal(decodeOne(point('u16'), [0xffff]), 65_535);
  t.equal(decodeOne(point('s16'), [0xffff]), -1);
  t.equal(decodeOne(point('u32'), [1, 2]), 65_538);
  t.equal(decodeOne(point('u32', { lswFirst: true }), [2, 1]), 65_538);
  t.equal(decodeOne(point('s32'), [0xffff, 0xfffe]), -2);
  t.equal(decodeOne(point('u64'), [0, 1, 0, 0]), 2 ** 32);
  t.equal(decodeOne(point('s64'), [0xffff, 0xffff, 0xffff, 0xfff0]), -16);
  t.equal(decodeOne(point('s64', { lswFirst: true }), [0xfff0, 0xffff, 0xffff, 0xffff]), -16);
  t.equal(decodeOne(point('f32'), [0x3dcc, 0xcccd]), 0.1);
  t.equal(decodeOne(point('f32', { lswFirst: true }), [0xcccd, 0x3dcc]), 0.1);
  t.equal(decodeOne(point('f32'), [0x7f80, 0]), null, 'infinity');
  t.equal(decodeOne(point('f64'), [0x3fb9, 0x9999, 0x9999, 0x999a]), 0.1);
  t.equal(decodeOne(point('u16', { scale: 0.1, offset: -100 }), [1250]), 25, 'Deye writes temperatures so');
  t.equal(decodeOne(point('s16', { missing: [0x8000n] }), [0x8000]), null);
  t.equal(decodeOne(point('u64', { missing: [0xffff_ffff_ffff_ffffn] }), [65_535, 65_535, 65_535, 65_535]), null);
  t.equal(decodeOne(point('u32'), [1]), undefined, 'half a value is none');
  const factor = (exponent: number) =>
    decodeOne(
      point('u16', { scaleFactor: 'sf' }),
      [1234, exponent & 0xffff],
      [point('sf16', { key: 'sf', address: 1, missing: [0x8000n], metric: undefined })],
    );
  t.equal(factor(-2), 12.34);
  t.equal(factor(2), 123_400);
  t.equal(factor(-32_768), null, 'a value whose scale factor is missing is unknown');
  t.equal(factor(11), null);
});

t.test(
  'random maps: every value is read whole, with its scale factor, within the limits, however blocks are split',
  async (t) => {
    const seed = process.env.SEED ?? String(Math.floor(seededRandom(process.pid).float() * 1e9));
    t.comment(`SEED=${seed}`);
    const random = seededRandom(seed);
    const upTo = (n: number) => Math.floor(random.float() * n);
    for (let round = 0; round < 200; round += 1) {
      const points: ResolvedPoint[] = [];
      let address = upTo(50);
      for (let i = 0; i < 1 + upTo(30); i += 1) {
        const count = 1 + upTo(4);
        points.push({ ...point('u16'), key: `k${i}`, address, count, function: random.float() < 0.5 ? 3 : 4 });
        address += count + (random.float() < 0.5 ? 0 : upTo(12));
      }
      const limits = { maxRegisters: 4 + upTo(60), maxGap: upTo(10), forbidden: [] as Array<[number, number]> };
      const free = address + 10;
      if (random.float() < 0.5) {
        const first = upTo(free);
        const last = first + upTo(3);
        if (points.every((one) => one.address > last || one.address + one.count <= first))
          limits.forbidden.push([first, last]);
      }
      const layout: Layout = { points, guards: [] };
      const covered = (blocks: ReturnType<typeof planReads>) =>
        points.every((one) =>
          blocks.some(
            (b) =>
              b.function === one.function && b.address <= one.address && b.address + b.count >= one.address + one.count,
          ),
        );
      let blocks = planReads(layout, limits);
      const sound = () =>
        blocks.every(
          (b) =>
            b.count <= limits.maxRegisters &&
            limits.forbidden.every(([f, l]) => b.address > l || b.address + b.count <= f),
        );
      if (!covered(blocks) || !sound()) t.fail(`round ${round}: ${JSON.stringify({ limits, blocks })}`);
      for (let splits = 0; splits < 100; splits += 1) {
        blocks = blocks.flatMap((block) => splitBlock(block) ?? [block]);
      }
      if (!covered(blocks)) t.fail(`round ${round} after splitting`);
    }
    const pair = [
      point('u16', { key: 'a', address: 10, scaleFactor: 'f' }),
      point('sf16', { key: 'f', address: 30, metric: undefined }),
      point('u16', { key: 'between', address: 20 }),
    ];
    const plan = planReads({ points: pair, guards: [] }, { maxRegisters: 125, maxGap: 0, forbidden: [] });
    t.same(
      plan.map(({ address, count }) => [address, count]),
      [[10, 21]],
    );
  },
);

/** Points one behind the other, none of which breaks a limit by itself. */
const planned = fc
  .record({
    points: fc.array(
      fc.record({
        gap: fc.integer({ min: 0, max: 14 }),
        count: fc.integer({ min: 1, max: 4 }),
        function: fc.constantFrom(3 as const, 4 as const),
        polling: fc.constantFrom('fast' as const, 'slow' as const, 'once' as const),
        alone: fc.boolean(),
        // Known to the profile, asked for by nobody.
        idle: fc.boolean(),
      }),
      { minLength: 1, maxLength: 40 },
    ),
    maxRegisters: fc.integer({ min: 4, max: 125 }),
    maxGap: fc.integer({ min: 0, max: 20 }),
    window: fc.option(fc.integer({ min: 8, max: 60 }), { nil: undefined }),
    step: fc.constantFrom(1, 2),
    forbidden: fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 3 })), { maxLength: 4 }),
  })
  .map(({ points, maxRegisters, maxGap, window, step, forbidden }) => {
    const ranges = forbidden.map(([first, more]): [number, number] => [first, first + more]);
    let address = 0;
    const laid: ResolvedPoint[] = [];
    for (const [i, { gap, idle, count, ...one }] of points.entries()) {
      address += gap * step;
      const end = address + count * step;
      const crosses = window !== undefined && Math.floor(address / window) !== Math.floor((end - 1) / window);
      const start = address;
      address = end;
      if (crosses || ranges.some(([first, last]) => start <= last && end > first)) continue;
      const metric = idle ? undefined : 'consumption_kw';
      laid.push({ ...point('u16'), ...one, key: `k${i}`, address: start, count, step, metric });
    }
    return { points: laid, limits: { maxRegisters, maxGap, forbidden: ranges, window } };
  });

t.test(
  'any map: each point is in exactly one request, within every limit, and no forbidden register is touched',
  async () => {
    fc.assert(
      fc.property(planned, fc.subarray(['fast', 'slow', 'once'] as const), ({ points, limits }, classes) => {
        const due = new Set(classes);
        const blocks = planReads({ points, guards: [] }, limits, due);
        for (const { function: asked, address, count, step, items } of blocks) {
          const end = address + count * step;
          if (count < 1 || count > limits.maxRegisters) return false;
          if (limits.forbidden.some(([first, last]) => address <= last && end > first)) return false;
          if (
            limits.window !== undefined &&
            Math.floor(address / limits.window) !== Math.floor((end - 1) / limits.window)
          )
            return false;
          if (items.some((item) => item.function !== asked || item.start < address || item.end > end)) return false;
        }
        return points.every((one) => {
          const end = one.address + one.count * (one.step ?? 1);
          const within = blocks.filter(
            (block) =>
              block.function === one.function &&
              block.address < end &&
              one.address < block.address + block.count * block.step,
          );
          const wanted = due.has(one.polling) && (one.metric !== undefined || one.polling === 'once');
          if (!wanted) return within.length <= 1;
          const [block] = within;
          const whole =
            block !== undefined && block.address <= one.address && block.address + block.count * block.step >= end;
          return within.length === 1 && whole && (!one.alone || block.count === one.count);
        });
      }),
      { numRuns: 2000 },
    );
  },
);

t.test('a few known registers are read along rather than asked for again; unknown ones are not', async (t) => {
  const at = (key: string, address: number, more: Partial<ResolvedPoint> = {}) =>
    point('u16', { key, address, ...more });
  const limits = { maxRegisters: 125, maxGap: 0, forbidden: [] };
  const requests = (points: readonly ResolvedPoint[]) =>
    planReads({ points, guards: [] }, limits).map(({ address, count }) => [address, count]);
  const idle = { metric: undefined };
  t.same(requests([at('a', 10), at('b', 12)]), [
    [10, 1],
    [12, 1],
  ]);
  t.same(requests([at('a', 10), at('known', 11, idle), at('b', 12)]), [[10, 3]]);
  const many = Array.from({ length: 11 }, (_, i) => at(`known${i}`, 11 + i, idle));
  t.equal(requests([at('a', 10), ...many, at('b', 22)]).length, 2, 'eleven would cost more than a request');
});

t.test('a wrong profile says file, line and what to do, and never loads by half', async (t) => {
  const good = readFileSync(fileURLToPath(new URL('../../profiles/eastron-sdm120.yaml', import.meta.url)), 'utf8');
  t.equal(loadProfile('eastron-sdm120.yaml', good).id, 'eastron-sdm120');
  const lineOf = (text: string, what: string) => text.slice(0, text.indexOf(what)).split('\n').length;
  const refused = (from: string | RegExp, to: string, at: string, message: RegExp) => {
    const text = good.replace(from, to);
    try {
      loadProfile('eastron-sdm120.yaml', text);
      t.fail(`${to} was taken`);
    } catch (error) {
      t.ok(error instanceof VillagridError && error.code === 'E_PROFILE_INVALID', String(error));
      const { detail } = error as VillagridError;
      t.match(detail, message);
      t.match(detail, `eastron-sdm120.yaml:${lineOf(text, at)}:`, detail);
    }
  };
  refused(
    'type: f32,\n      unit: W,',
    'type: float,\n      unit: W,',
    'type: float',
    /type: found "float"; it must be one of "u16"/,
  );
  refused('key: power,', 'kye: power,', 'kye:', /^(?!.*kye: found).*kye: unknown setting; did you mean key\?/s);
  refused('metric: consumption_kw', 'metric: consumtion_kw', 'metric: consumtion_kw', /not in the metric catalogue/);
  refused('metric_factor: 0.001', 'metric_factor: 1', 'metric_factor: 1', /from W to kW the factor is 0.001 or -0.001/);
  refused('key: power,', 'key: voltage,', 'key: voltage,\n      printed: "30013"', /there twice/);
  refused('id: eastron-sdm120', 'id: other', 'id: other', /must be the file's name/);
  refused('metric: ac_frequency_hz', 'metric: ac_output_voltage_v', 'address: 70', /cannot become V|say under combine/);
  refused(
    'address: 342, type: f32',
    'address: 342, type: f32, scale_factor: power',
    'address: 342',
    /not a point of type sf16/,
  );
  refused('address: 342', 'address: 65535', 'address: 65535', /addresses end at 65535/);
  refused(
    'max_registers: 80',
    'max_registers: 80\n  forbidden: [[10, 14]]',
    'key: power,',
    /registers 10 to 14 are forbidden/,
  );
  const missing = (codes: string) => `missing:\n  ${codes}\nword_order:`;
  refused('word_order:', missing('u64: [0xFFFFFFFFFFFFFFFF]'), 'u64:', /64 bits is written in quotes/);
  refused('word_order:', missing('u16: [0xFFFFFFFF]'), 'u16:', /type u16 has 16 bits; this code never comes/);
  refused('printed: "30013"', 'printed: 30013', 'printed: 30013', /must be a text .*, written in quotes/);
  refused('unit: Hz', 'unit: [', 'unit: [', /eastron-sdm120.yaml/);
});

t.test('a probe fits what its model answers and nothing else; a wrong one is refused with its line', async (t) => {
  const meter = readFileSync(fileURLToPath(new URL('../../profiles/eastron-sdm120.yaml', import.meta.url)), 'utf8');
  const plain = meter.replace(/^identify:\n(?: .*\n)+/m, '');
  const withProbe = (probe: string) =>
    loadProfile('eastron-sdm120.yaml', `${plain}identify:\n  probes:\n    - { ${probe}, confidence: 0.5 }\n`);
  const fits = (probe: string, words: readonly number[]) => {
    const profile = withProbe(probe);
    const [first] = profile.identify?.probes ?? [];
    return first !== undefined && probeFits(profile, first, words);
  };
  t.equal(
    withProbe('function: 3, address: 1, registers: 1, type: u16, one_of: [1]').identify?.closes_on_unknown,
    false,
  );
  t.ok(fits('function: 3, address: 1, registers: 1, type: s16, one_of: [7, 0xFFFF]', [0xffff]));
  t.notOk(fits('function: 3, address: 1, registers: 1, type: s16, one_of: [7, 0xFFFF]', [8]));
  t.ok(fits('function: 3, address: 1, registers: 2, type: u32, word_order: lsw_first, one_of: [65538]', [2, 1]));
  t.ok(fits('function: 4, address: 0, registers: 2, type: f32, between: [80, 300]', [0x4366, 0x8000]));
  t.notOk(fits('function: 4, address: 0, registers: 2, type: f32, between: [80, 300]', [0x7fc0, 0]), 'no number');
  t.notOk(fits('function: 4, address: 0, registers: 2, type: f32, between: [80, 300]', [0x4366]), 'half an answer');
  t.ok(fits('function: 3, address: 0, registers: 2, type: str, matches: "^SDM"', [0x5344, 0x4d31]));
  t.throws(() => withProbe('function: 3, address: 1, registers: 1, type: u16'), /exactly one of one_of/);
  t.throws(() => withProbe('function: 3, address: 1, registers: 1, type: f32, between: [0, 1]'), /takes 2 registers/);
  t.throws(() => withProbe('function: 3, address: 1, registers: 1, type: str, matches: "("'), /regular expression/);
});

t.test('a site is told how often polled series come, so that a slow counter is not called late', async (t) => {
  const device = (device_id: string, more = {}) => ({ device_id, period_s: 10, ...more });
  const site = { devices: [device('meter'), device('node'), device('inverter', { series_period_s: { x: 1 } })] };
  const poll = (device_id: string, profile: string, period_s: number) => ({ device_id, profile, period_s });
  const devices = [poll('meter', 'eastron-sdm630', 25), poll('inverter', 'sunspec-inverter', 5)];
  const told = withPollPeriods(site as unknown as Site, [{ name: 'a', host: 'h', port: 502, devices }], profiles);
  const [meter, node, inverter] = told.devices;
  t.match(meter, { period_s: 25, series_period_s: { consumption_energy_kwh: 75 } }, 'on the beat of its polls');
  t.notOk('consumption_kw' in (meter?.series_period_s ?? {}), 'what every poll reads comes with the device');
  t.same(node, device('node'));
  t.match(inverter?.series_period_s, { x: 1, generation_energy_kwh: 60 });
});
