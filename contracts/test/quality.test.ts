/** Right values: what a jump, a stuck value and a frozen counter are, and what is none of them. */
import fc from 'fast-check';
import t from 'tap';
import {
  DeviceWatch,
  metricCatalogue,
  metricIds,
  qualityCodes,
  qualityName,
  SeriesWatch,
  type JumpLimit,
} from '@villagrid/contracts';
import { holds } from './property.js';

/** Values a minute apart (or as said) through a fresh watch: the qualities by name, shortened to those that are not good. */
function watched(metric: string, values: readonly number[], stepMs = 60_000): string[] {
  const watch = new SeriesWatch(metric);
  return values.map((value, i) => qualityName(watch.judge(value, 1_000_000 + i * stepMs)));
}
const good = (count: number) => new Array<string>(count).fill('good');

t.test('a jump that cannot be is bad; a new level that stays is believed at the third sample', async (t) => {
  const spike = watched('battery_soc_pct', [90, 91, 0, 91, 90]);
  t.same(spike, ['good', 'good', 'bad_jump', 'good', 'good'], 'one wrong answer');
  const moved = watched('battery_soc_pct', [15, 99, 99.2, 99.1, 99]);
  t.same(moved, ['good', 'bad_jump', 'bad_jump', 'good', 'good'], 'the battery monitor was synchronised');
  t.same(
    watched('battery_soc_pct', [100, 10, 100, 11, 100]),
    ['good', 'bad_jump', 'good', 'bad_jump', 'good'],
    'two readers of one series: the first level stays',
  );
  t.same(watched('dc_bus_voltage_v', [52, 2.1, 52.1]), ['good', 'bad_jump', 'good']);
  t.same(
    watched('equipment_temp_c.inverter', [40, 127, 41]),
    ['good', 'bad_jump', 'good'],
    'a suffix is watched like its metric',
  );
  t.same(watched('consumption_energy_kwh', [1000, 71_000, 1001, 1002]), ['good', 'bad_jump', 'good', 'good']);
  t.same(watched('consumption_energy_kwh', [1000, 0, 1]), good(3), 'a counter that begins again is no jump');
  t.same(watched('equipment_temp_c', [41.25, 75.25]), good(2), 'a hot cabinet is an alarm at once');
  t.same(watched('battery_soc_pct', [80, 12]), good(2), 'so is an empty battery');
  t.same(watched('ac_output_voltage_v', [230, 0, 231]), good(3), 'the village may go dark at once');
  t.same(watched('consumption_kw', [2, 14, 1]), good(3), 'a mill may be switched on');
  t.same(watched('battery_soc_pct', [100, 0], 3 * 3_600_000), good(2), 'after three hours it may be anywhere');
});

t.test(
  'a value that varies by nature and does not is stuck until it changed twice; what may rest, rests',
  async (t) => {
    const hours = (count: number, value: number) => new Array<number>(count * 60).fill(value);
    const stuck = watched('consumption_kw', [4, ...hours(3, 4.2), 4.3, 4.3, 4.1, 4]);
    t.equal(stuck.indexOf('bad_stuck'), 1 + 120, 'after two hours');
    t.same(stuck.slice(-4), ['bad_stuck', 'bad_stuck', 'good', 'good'], 'one change is not enough');
    t.same(watched('consumption_kw', hours(30, 0)), good(1800), 'a dark village uses nothing');
    t.same(watched('generation_kw', hours(14, 0)), good(840), 'night');
    t.same(watched('battery_soc_pct', hours(48, 100)), good(2880), 'a full battery');
    t.same(watched('ac_frequency_hz', hours(48, 50)), good(2880), 'an inverter keeps the frequency by its crystal');
    t.same(watched('consumption_kw', new Array<number>(10).fill(3), 3_600_000), good(10), 'few values are no proof');
    const gap = new SeriesWatch('consumption_kw');
    const at = (minute: number) => qualityName(gap.judge(4.2, minute * 60_000));
    for (let minute = 0; minute < 100; minute += 1) at(minute);
    t.same([at(200), at(201)], ['good', 'good'], 'across a gap nobody knows');
  },
);

t.test('a counter that stands while its power flows is frozen, until it moves', async (t) => {
  const watch = new DeviceWatch();
  const told: string[] = [];
  for (let minute = 0; minute < 300; minute += 1) {
    const nowMs = minute * 60_000;
    watch.judge('consumption_kw', 6 + (minute % 2) / 10, nowMs);
    const counted = minute < 60 ? 100 + minute / 10 : minute < 250 ? 106 : 106.1 + (minute - 250) / 10;
    told.push(qualityName(watch.judge('consumption_energy_kwh', counted, nowMs)));
  }
  // 10 kWh at 6.05 kW take 99 minutes.
  t.same([told.indexOf('bad_stuck'), told.lastIndexOf('bad_stuck')], [160, 249]);
  const idle = new DeviceWatch();
  for (let minute = 0; minute < 3000; minute += 1) {
    idle.judge('battery_power_kw', -5, minute * 60_000);
    const quality = idle.judge('battery_charge_energy_kwh', 500, minute * 60_000);
    if (quality !== 0) t.fail(`a battery that discharges charges nothing: minute ${minute}`);
    const other = qualityName(idle.judge('battery_discharge_energy_kwh', 700, minute * 60_000));
    // 10 kWh at 5 kW take two hours; the first power is known at minute 0.
    if ((other === 'bad_stuck') !== minute > 120)
      t.fail(`its counter of discharge stands: ${other} at minute ${minute}`);
  }
});

t.test(
  'what was seen survives being put down and taken up: stuck stays stuck, and time that went by counts',
  async (t) => {
    let watch = new DeviceWatch();
    const whole = new DeviceWatch();
    const metrics = ['consumption_kw', 'battery_soc_pct', 'consumption_energy_kwh'];
    for (let minute = 0; minute < 400; minute += 1) {
      if (minute % 7 === 3) {
        const again = new DeviceWatch();
        again.importState(JSON.parse(JSON.stringify(watch.exportState())));
        watch = again;
      }
      const values = [
        minute < 300 ? 6 : 6 + (minute % 2),
        minute % 50 === 49 ? 0 : 95,
        100 + Math.max(0, minute - 350),
      ];
      const told = values.map((value, i) => qualityName(watch.judge(metrics[i] as string, value, minute * 60_000)));
      const wanted = values.map((value, i) => qualityName(whole.judge(metrics[i] as string, value, minute * 60_000)));
      if (String(told) !== String(wanted)) t.fail(`minute ${minute}: ${String(told)} instead of ${String(wanted)}`);
      if (minute === 299) t.same(told, ['bad_stuck', 'bad_jump', 'bad_stuck']);
    }
    for (const nonsense of [null, 3, 'x', { consumption_kw: [1, 2] }, { consumption_kw: { a: 1 } }])
      watch.importState(nonsense);
    t.equal(qualityName(watch.judge('battery_soc_pct', 95, 400 * 60_000)), 'good', 'nonsense is not taken up');
  },
);

t.test('a whole reading is judged like its values', async (t) => {
  const metrics = ['consumption_kw', 'battery_soc_pct', 'consumption_energy_kwh'];
  const [one, other] = [new DeviceWatch(), new DeviceWatch()];
  const factors = Float64Array.of(1000, 10, 100);
  const row = one.row(metrics, factors);
  // Both know from the first value on which power the counter counts.
  other.row(metrics, factors);
  for (let minute = 0; minute < 300; minute += 1) {
    const values = [6 + (minute % 3) / 10, minute % 50 === 49 ? 0 : 95, 100];
    const scaled = Float64Array.from(values, (value, i) => Math.round(value * ([1000, 10, 100][i] as number)));
    const codes = row(scaled, minute * 60_000);
    const wanted = values.map((value, i) => other.judge(metrics[i] as string, value, minute * 60_000));
    const all = codes ? [...codes] : [0, 0, 0];
    if (String(all) !== String(wanted)) t.fail(`minute ${minute}: ${String(all)} instead of ${String(wanted)}`);
    if (minute === 49) t.same(all, [0, qualityCodes.bad_jump, 0]);
    if (minute === 299) t.same(all, [0, qualityCodes.bad_jump, qualityCodes.bad_stuck]);
  }
});

t.test('old values are not judged, the same value twice is judged the same, and good data stays good', async (t) => {
  const watch = new SeriesWatch('battery_soc_pct');
  t.same(
    [watch.judge(90, 2000), watch.judge(1, 3000), watch.judge(1, 3000), watch.judge(99, 1000), watch.judge(90, 4000)],
    [0, qualityCodes.bad_jump, qualityCodes.bad_jump, 0, 0],
  );
  const set = new SeriesWatch('battery_soc_pct');
  const hour = 3_600_000;
  t.same(
    [set.judge(90, 1000 * hour), set.judge(10, hour), set.judge(11, hour + 1000), set.judge(90, hour + 2000)],
    [0, 0, 0, qualityCodes.bad_jump],
    'a clock that was set back is no reason to judge nothing for months',
  );
  const walk = fc.array(fc.tuple(fc.integer({ min: 1, max: 600 }), fc.double({ min: -1, max: 1, noNaN: true })), {
    maxLength: 300,
  });
  holds(
    t,
    'changes within the limits are never bad',
    fc.property(fc.constantFrom(...metricIds), walk, (metric, steps) => {
      const { max, ...limits } = metricCatalogue[metric];
      const jump: JumpLimit | undefined = limits.jump;
      const one = new SeriesWatch(metric);
      let value = 50;
      let timeMs = 0;
      return steps.every(([seconds, part]) => {
        timeMs += seconds * 1000;
        // Never the same twice: nothing is stuck.
        if (jump) value += 0.99 * part * (jump.step + jump.perS * seconds) + (part === 0 ? 1e-6 : 0);
        else value = part === 0 ? value + 1e-6 : max * part;
        return one.judge(value, timeMs) === qualityCodes.good;
      });
    }),
  );
});
