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
  const spike = watched('battery_soc_pct', [70, 71, 0, 71, 70]);
  t.same(spike, ['good', 'good', 'bad_jump', 'good', 'good'], 'one wrong answer');
  const moved = watched('battery_soc_pct', [70, 95, 95.2, 95.1, 95]);
  t.same(moved, ['good', 'bad_jump', 'bad_jump', 'good', 'good'], 'the battery monitor was synchronised');
  t.same(
    watched('battery_soc_pct', [70, 10, 95, 12, 70]),
    ['good', 'bad_jump', 'bad_jump', 'bad_jump', 'good'],
    'noise is no level',
  );
  t.same(watched('dc_bus_voltage_v', [52, 2.1, 52.1]), ['good', 'bad_jump', 'good']);
  t.same(
    watched('equipment_temp_c.inverter', [40, -100, 41]),
    ['good', 'bad_jump', 'good'],
    'a suffix is watched like its metric',
  );
  t.same(watched('consumption_energy_kwh', [1000, 71_000, 1001, 1002]), ['good', 'bad_jump', 'good', 'good']);
  t.same(watched('consumption_energy_kwh', [1000, 0, 1]), good(3), 'a counter that begins again is no jump');
  t.same(watched('ac_output_voltage_v', [230, 0, 231]), good(3), 'the village may go dark at once');
  t.same(watched('consumption_kw', [2, 14, 1]), good(3), 'a mill may be switched on');
  t.same(watched('battery_soc_pct', [70, 20], 3 * 3_600_000), good(2), 'after three hours it may be anywhere');
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

t.test('old values are not judged, the same value twice is judged the same, and good data stays good', async (t) => {
  const watch = new SeriesWatch('battery_soc_pct');
  t.same(
    [watch.judge(70, 2000), watch.judge(1, 3000), watch.judge(1, 3000), watch.judge(99, 1000), watch.judge(70, 4000)],
    [0, qualityCodes.bad_jump, qualityCodes.bad_jump, 0, 0],
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
