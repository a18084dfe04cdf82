/** A whole gateway in a temporary folder, for tests: real broker, real SQLite, real sockets on free ports. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { cryptoRandom, hashSecret, realClock } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import type { Clock } from '@villagrid/contracts';
import type { TimeSources } from '../clock/sources.js';
import { createGateway, loadGatewayConfig, type Gateway, type GatewayAddresses } from '../index.js';

/** Secret of every device of these tests. */
export const devicePassword = 'a long test secret';
export const gridId = 'kisima';

/** Writes a gateway's folder with devices `cabinet-1`, `meter-1` and `battery-1`; gives the path of its settings. */
export async function gatewayFolder(t: Test, over: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = tempDir(t);
  const secret = await hashSecret(devicePassword, cryptoRandom(), { logN: 10 });
  const ids = ['cabinet-1', 'meter-1', 'battery-1'];
  writeFileSync(
    join(folder, 'device-credentials.json'),
    JSON.stringify({ devices: Object.fromEntries(ids.map((id) => [id, { secret }])) }),
    { mode: 0o600 },
  );
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric }] });
  const settings = {
    site: {
      grid_id: gridId,
      gateway_id: 'gw-kisima',
      name: 'Kisima',
      plant: { pv_kwp: 20 },
      devices: ids.map((device_id) => ({ device_id, name: `Device ${device_id}`, protocol: 'mqtt' })),
      wiring: {
        'equipment_temp_c.cabinet': wire('cabinet-1', 'equipment_temp_c'),
        consumption_kw: wire('meter-1', 'consumption_kw'),
        battery_soc_pct: wire('battery-1', 'battery_soc_pct'),
      },
    },
    http: { host: '127.0.0.1', port: 0 },
    mqtt_plain: { host: '127.0.0.1', port: 0 },
    log: { hold_ms: 20 },
    clock_trust: 'ntp',
    ...over,
  };
  const path = join(folder, 'gateway.yaml');
  writeFileSync(path, stringify(settings));
  return path;
}

/** A running gateway and its hands. */
export interface House {
  readonly gateway: Gateway;
  readonly addresses: GatewayAddresses;
  readonly lines: ReturnType<typeof memoryLog>['lines'];
  /** Connects a device, or with no id a program on the box without a credential. */
  connect(deviceId?: string, options?: IClientOptions): Promise<MqttClient>;
}

/** Starts a gateway on a folder; it stops with the test unless stopped before. */
export async function startHouse(
  t: Test,
  path: string,
  { clock = realClock(), timeSources }: { clock?: Clock; timeSources?: TimeSources } = {},
): Promise<House> {
  const { log, lines } = memoryLog({ level: 'info', foldAfter: 1000 });
  const gateway = createGateway(loadGatewayConfig({ path }), {
    clock,
    realClock: realClock(),
    ...(timeSources ? { timeSources } : {}),
    random: cryptoRandom(),
    log,
    brokerLimits: { refusalDelayMs: 5 },
  });
  t.teardown(() => gateway.stop());
  const addresses = await gateway.start();
  return { gateway, addresses, lines, connect: (deviceId, options) => connectTo(t, addresses.mqtt, deviceId, options) };
}

/** Connects to a broker; rejects when refused. */
export async function connectTo(
  t: Test,
  url: string,
  deviceId?: string,
  options: IClientOptions = {},
): Promise<MqttClient> {
  const client = mqtt.connect(url, {
    ...(deviceId === undefined ? {} : { username: deviceId, password: devicePassword }),
    clientId: `${deviceId ?? 'local'}-${Math.trunc(realClock().monotonicMs() * 1000)}`,
    reconnectPeriod: 0,
    connectTimeout: 5000,
    ...options,
  });
  t.teardown(() => void client.end(true));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed')));
  });
  client.on('error', () => {});
  return client;
}

/** Waits for something to become true; false after `withinMs`. */
export async function until(what: () => boolean | Promise<boolean>, withinMs = 8000): Promise<boolean> {
  const clock = realClock();
  const endMs = clock.monotonicMs() + withinMs;
  while (!(await what())) {
    if (clock.monotonicMs() > endMs) return false;
    await clock.sleep(10);
  }
  return true;
}
