import t from 'tap';
import { ask, logIn } from '@villagrid/api/testing';
import { testClock } from '@villagrid/runtime/testing';
import { gatewayFolder, gridId, startHouse, until } from '../testing/house.js';

t.setTimeout(120_000);

const minute = 60_000;
const hour = 3_600_000;

/** A small plant whose meters agree: a sine of sun, an evening load, a battery that takes the rest less 4 % loss. */
function plant(timeMs: number) {
  const ofDay = ((timeMs / hour + 3) % 24) / 24;
  const sun = Math.max(0, Math.sin((ofDay - 0.25) * 2 * Math.PI)) * 12;
  const load = 2 + 1.5 * Math.exp(-(((ofDay - 0.82) * 12) ** 2)) + 0.3 * Math.sin(timeMs / 7e5);
  const net = sun - load;
  const battery = net > 0 ? net * 0.96 : net / 0.96;
  const volts = 51 + battery / 8;
  return { sun, load, battery, volts, amps: (battery * 1000) / volts };
}

t.test(
  'a meter that is wired the wrong way round is named in an alert, and the alert ends when it is right again',
  async (t) => {
    const wire = (device_id: string, metric: string) => ({ [metric]: { terms: [{ device_id, metric }] } });
    const path = await gatewayFolder(t, {
      site: {
        grid_id: gridId,
        gateway_id: 'gw-kisima',
        name: 'Kisima',
        zone: 'Africa/Nairobi',
        plant: { pv_kwp: 20, battery_kwh: 60 },
        devices: ['meter-1', 'pv-1', 'battery-1', 'shunt-1'].map((device_id) => ({
          device_id,
          name: `Device ${device_id}`,
          protocol: 'mqtt',
          period_s: 450,
        })),
        wiring: {
          ...wire('meter-1', 'consumption_kw'),
          ...wire('pv-1', 'generation_kw'),
          ...wire('battery-1', 'battery_power_kw'),
          ...wire('shunt-1', 'dc_bus_voltage_v'),
          ...wire('shunt-1', 'dc_bus_current_a'),
        },
      },
    });
    const clock = testClock(Date.UTC(2026, 10, 28, 3));
    const { gateway, addresses } = await startHouse(t, path, { clock });
    await gateway.accounts.addUser({
      username: 'asha',
      displayName: 'Asha',
      password: 'correct horse battery',
      grants: [{ role: 'viewer', scope: { kind: 'grid', grid_id: gridId } }],
    });
    const token = await logIn(addresses.http ?? '', { username: 'asha', password: 'correct horse battery' });
    const balance = async () => (await ask(addresses.http ?? '', `/api/balance/${gridId}`, { token })).json;
    const grid = gateway.api.grids.list()[0]!;
    const wrong = async () => (await grid.alerts({})).filter((one) => one.rule_id === 'meter_disagrees');
    let isTwoWrong = false;
    /** Readings of [from, to), with the load's sign as wired. */
    const measure = (fromMs: number, toMs: number, sign: 1 | -1) => {
      for (let timeMs = fromMs; timeMs < toMs; timeMs += 7.5 * minute) {
        const { sun, load, battery, volts, amps } = plant(timeMs);
        gateway.sink.reading({ deviceId: 'meter-1', timeMs, values: { consumption_kw: sign * load } });
        gateway.sink.reading({ deviceId: 'pv-1', timeMs, values: { generation_kw: sun } });
        const seen = isTwoWrong ? 0.3 * battery + 4 : battery;
        gateway.sink.reading({ deviceId: 'battery-1', timeMs, values: { battery_power_kw: seen } });
        gateway.sink.reading({
          deviceId: 'shunt-1',
          timeMs,
          values: { dc_bus_voltage_v: volts, dc_bus_current_a: amps },
        });
      }
      gateway.log.flush();
    };
    const live = async (steps: number, stepMs: number, sign: 1 | -1, done: () => Promise<boolean>) => {
      for (let i = 0; i < steps && !(await done()); i += 1) {
        const nowMs = clock.nowMs();
        measure(nowMs, nowMs + stepMs, sign);
        await clock.advance(stepMs);
        await balance();
        await until(done, 20);
      }
    };

    measure(clock.nowMs() - 24 * hour, clock.nowMs(), -1);
    await until(async () => (await balance()).state === 'named');

    t.match(
      await balance(),
      {
        state: 'named',
        faults: [{ kind: 'flipped', device_id: 'meter-1', metric: 'consumption_kw' }],
        headline: /Consumption of Device meter-1 seems wired the wrong way round/,
      },
      'values out of every range are looked at too',
    );
    await live(5, hour, -1, async () => (await wrong()).length > 0);
    t.match(await wrong(), [
      {
        status: 'active',
        severity: 'high',
        device_id: 'meter-1',
        what: /seems wired the wrong way round/,
        why: /what comes in/,
      },
    ]);
    await live(7, 6 * hour, 1, async () => (await wrong())[0]?.status === 'resolved');
    t.match(await wrong(), [{ status: 'resolved' }], 'it ends, and no other meter was blamed meanwhile');
    t.match(await balance(), { state: 'right', faults: [] });
    // Two meters at once: no single fault explains it, and that is told once it lasted.
    isTwoWrong = true;
    const open = async () => (await wrong()).filter((one) => one.status === 'active');
    const beganMs = clock.nowMs();
    await live(20, 6 * hour, -1, async () => (await open()).length > 0);
    t.match(await balance(), { state: 'unexplained' });
    t.match(await open(), [{ severity: 'low', message: 'some meters do not agree', device_id: null }]);
    t.ok(clock.nowMs() - beganMs >= 48 * hour, 'not in the first two days');
  },
);
