import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  decodePoints,
  fixedLayout,
  loadProfiles,
  loadVectors,
  metricValues,
  type Profile,
  type ProfiledDevice,
  type ProfilePoint,
  profilesDirectory,
  RegisterImage,
  resolveProfiles,
  sunspecLayout,
  vectorProblems,
} from './index.js';

const folder = fileURLToPath(new URL('../../profiles/', import.meta.url));
const profiles = loadProfiles();

t.test(
  'every profile has vectors and decodes them, and every point is in one: signs, orders, steps, no-value codes',
  async (t) => {
    const written = readdirSync(`${folder}vectors`).map((name) => name.replace(/\.yaml$/, ''));
    const withPoints = [...profiles].filter(([, profile]) => !profile.site_points);
    t.same(written.sort(), withPoints.map(([id]) => id).sort(), 'vectors/<id>.yaml belongs to <id>.yaml');
    for (const [id, profile] of withPoints) {
      const cases = loadVectors(`${folder}vectors/${id}.yaml`);
      t.same(vectorProblems(profile, cases), [], id);
      const without = cases.map((one) => ({ ...one, points: {} }));
      t.match(vectorProblems(profile, without).join(), /no case has a value of/, `${id}: a point left out is told`);
    }
  },
);

interface Frame {
  readonly request_hex: string;
  readonly response_hex: string;
  readonly expected?: Readonly<Record<string, number | string | readonly number[]>>;
}
const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(fileURLToPath(new URL(`./fixtures/${name}.json`, import.meta.url)), 'utf8')) as T;

/** Decodes the answer of a recorded RTU frame with a profile; undefined for an exception or for bits. */
function decodedFrame(profile: Profile, { request_hex: request, response_hex: response }: Frame) {
  const asked = Buffer.from(request, 'hex');
  const answer = Buffer.from(response, 'hex');
  const functionCode = answer[1];
  if (functionCode !== 3 && functionCode !== 4) return undefined;
  const words = Array.from({ length: (answer[2] ?? 0) / 2 }, (_, i) => answer.readUInt16BE(3 + 2 * i));
  const image = new RegisterImage();
  image.add(functionCode, asked.readUInt16BE(2), words, profile.address_step);
  const layout = fixedLayout(profile);
  return decodePoints(layout, image);
}
const profileOf = (id: string): Profile => {
  const found = profiles.get(id);
  if (!found) throw new Error(`no profile ${id}`);
  return found;
};

t.test('every recorded frame decodes to the values it is known to mean', async (t) => {
  // What the dumps call a value, and the profile and point it is there.
  const seplosPack: Record<string, string> = {
    voltage_v: 'voltage',
    current_a: 'current',
    capacity_left_ah: 'capacity_left',
    capacity_total_ah: 'capacity_total',
    discharge_total_ah: 'discharge_total',
    soc_pct: 'soc',
    soh_pct: 'soh',
    cycles: 'cycles',
    cell_avg_v: 'cell_avg',
    temp_avg_c: 'temp_avg',
    cell_max_v: 'cell_max',
    cell_min_v: 'cell_min',
    temp_max_c: 'temp_max',
    temp_min_c: 'temp_min',
    max_discharge_a: 'max_discharge_current',
    max_charge_a: 'max_charge_current',
    env_temp_c: 'env_temp',
    mos_temp_c: 'mos_temp',
  };
  const seplosBus: Record<string, string> = {
    voltage_v: 'system_voltage',
    current_a: 'system_current',
    capacity_left_ah: 'system_capacity_left',
    capacity_total_ah: 'system_capacity_total',
    discharge_total_ah: 'system_discharge_total',
    rated_ah: 'system_rated_capacity',
    soc_pct: 'system_soc',
    soh_pct: 'system_soh',
  };
  let compared = 0;
  for (const frame of fixture<{ frames: Frame[] }>('modbus_rtu_seplos_v3_sg16').frames) {
    const bus = 'word_order' in (frame.expected ?? {});
    const points = decodedFrame(profileOf(bus ? 'seplos-v3-bus' : 'seplos-v3'), frame);
    for (const [name, value] of Object.entries(frame.expected ?? {})) {
      if (name === 'word_order') continue;
      compared += 1;
      if (typeof value === 'object') {
        const key = name === 'cells_v' ? 'cell' : 'temp';
        t.same(
          value.map((_, i) => points?.get(`${key}_${i + 1}`)),
          value,
          name,
        );
      } else t.equal(points?.get((bus ? seplosBus : seplosPack)[name] ?? name), value, name);
    }
  }
  const epever: Record<string, string> = {
    battery_voltage_v: 'battery_voltage',
    capacity_ah: 'battery_capacity',
    temp_coeff_mv: 'temp_compensation',
    over_voltage_disconnect_v: 'over_voltage_disconnect',
    charge_limit_v: 'charge_limit',
    over_voltage_reconnect_v: 'over_voltage_reconnect',
    equalize_v: 'equalize_voltage',
    boost_v: 'boost_voltage',
    float_v: 'float_voltage',
    boost_reconnect_v: 'boost_reconnect',
    low_voltage_reconnect_v: 'low_voltage_reconnect',
    under_voltage_recover_v: 'under_voltage_recover',
    under_voltage_warning_v: 'under_voltage_warning',
    low_voltage_disconnect_v: 'low_voltage_disconnect',
    discharge_limit_v: 'discharge_limit',
    equalize_min: 'equalize_duration',
    boost_min: 'boost_duration',
    rated_pv_voltage_v: 'rated_pv_voltage',
  };
  for (const frame of fixture<{ frames: Frame[] }>('modbus_rtu_epever_vendor_examples').frames) {
    const points = decodedFrame(profileOf('epever-tracer'), frame);
    for (const [name, value] of Object.entries(frame.expected ?? {})) {
      if (name === 'meaning') continue;
      compared += 1;
      if (name === 'rtc')
        for (const [, part, number] of String(value).matchAll(/(\w+) (\d+)/g))
          t.equal(points?.get(`rtc_${part}`), Number(number), `rtc ${String(part)}`);
      else t.equal(points?.get(epever[name] ?? name), value, name);
    }
  }
  t.equal(compared, 77, 'nothing was left out');
});

t.test('a site brings its own profiles and its own points; what does not fit is refused with its place', async (t) => {
  const folder = t.testdir({
    'eastron-sdm120.yaml': readFileSync(`${profilesDirectory}/eastron-sdm120.yaml`, 'utf8').replace(
      'timeout_ms: 1500',
      'timeout_ms: 3000',
    ),
    'own-meter.yaml': readFileSync(`${profilesDirectory}/eastron-sdm630.yaml`, 'utf8').replace(
      'id: eastron-sdm630',
      'id: own-meter',
    ),
  });
  const point: ProfilePoint = {
    key: 'power',
    address: 100,
    type: 's32',
    unit: 'W',
    metric: 'consumption_kw',
    metric_factor: 0.001,
  };
  const resolve = (device: object, site?: string) =>
    resolveProfiles([{ devices: [{ device_id: 'd', ...device } as ProfiledDevice] }], site);
  const { profiles: loaded } = resolve({ profile: 'own-meter' }, folder);
  t.same([...loaded.keys()], ['own-meter'], 'only what is used is read');
  t.equal(resolve({ profile: 'eastron-sdm120' }, folder).profiles.get('eastron-sdm120')?.limits.timeout_ms, 3000);
  const given = resolve({ profile: 'generic', points: [point] });
  const name = given.connections[0]?.devices[0]?.profile ?? '';
  const profile = given.profiles.get(name);
  t.ok(profile);
  if (!profile) return;
  const image = new RegisterImage();
  image.add(3, 100, [0xffff, 0xfb2e]);
  const layout = fixedLayout(profile);
  t.same(metricValues(layout, decodePoints(layout, image), profile.combine), { consumption_kw: -1.234 });
  const replaced = resolve({ profile: 'eastron-sdm120', points: [{ ...point, function: 3 }] });
  const fromSite = replaced.profiles.get(replaced.connections[0]?.devices[0]?.profile ?? '');
  t.same(
    fromSite?.points?.filter(({ key }) => key === 'power').map(({ address }) => address),
    [100],
    'a point of the site takes the place of the one with its key',
  );
  t.throws(() => resolve({ profile: 'generic' }), /has no points; give the device its own/);
  t.throws(() => resolve({ profile: 'nonesuch' }), /there is no profile "nonesuch"; there are .*eastron-sdm120/);
  t.throws(() => resolve({ profile: 'sunspec', points: [point] }), /finds its points by SunSpec/);
  t.throws(
    () => resolve({ profile: 'generic', points: [{ ...point, adress: 1 }] }),
    /device "d": points\[0\].adress: unknown setting; did you mean address/,
  );
  t.throws(
    () => resolve({ profile: 'generic', points: [{ ...point, metric_factor: 1 }] }),
    /device "d": points\[0\].metric_factor: from W to kW the factor is 0.001/,
  );
  t.throws(() => resolve({ profile: 'generic' }, `${folder}/none`), { code: 'E_CONFIG_READ' });
});

interface Image {
  readonly base: number;
  readonly registers: readonly number[];
  readonly chain: ReadonlyArray<{ readonly id: number; readonly address: number; readonly L: number }>;
  readonly expected: Readonly<Record<string, Record<string, unknown>>>;
}

t.test('every model of the SunSpec image decodes to its known values', async (t) => {
  const { base, registers, chain, expected } = fixture<Image>('sunspec_image_constructed_a');
  const layout = sunspecLayout(
    profileOf('sunspec'),
    chain.map(({ id, address, L }) => ({ id, address, length: L })),
  );
  const image = new RegisterImage();
  image.add(3, base, registers);
  const points = decodePoints(layout, image);
  for (const id of ['103', '802', '307'])
    for (const [name, value] of Object.entries(expected[id] ?? {})) t.equal(points.get(`${id}.${name}`), value, name);
  const modules = expected['160']?.modules as Array<Record<string, number | null>>;
  for (const [i, module] of modules.entries())
    for (const [name, value] of Object.entries(module)) t.equal(points.get(`160.${name}_${i + 1}`), value, name);
  t.equal(Number(points.get('160.DCW_1')) + Number(points.get('160.DCW_2')), expected['160']?.sum_dcw);
  t.equal(points.has('160.DCW_3'), false, 'the device has two inputs, not eight');
  t.equal(points.get('302.GHI_1'), expected['302']?.GHI);
  t.equal(points.get('302.POAI_2'), expected['302']?.POAI_block2);
});
