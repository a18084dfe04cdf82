/** A gateway as the installer's commands make it, with a device per connection of a load. */
import { join } from 'node:path';
import { createAuthority, issueServerCertificate, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import type { Site } from '@villagrid/contracts';
import {
  initGateway,
  issueDeviceCredential,
  setSetting,
  withAccounts,
  writePublic,
  writeSecret,
} from '@villagrid/provisioning';

/** Where the figures of the village come from: each from another device, so that all default rules have work. */
export const figures = [
  'consumption_kw',
  'generation_kw',
  'battery_soc_pct',
  'mains_power_kw',
  'genset_power_kw',
  'fuel_level_pct',
  'ac_frequency_hz',
  'irradiance_w_m2',
  'ambient_temp_c',
  'humidity_pct',
] as const;
/** The grid of every bench. */
export const gridId = 'bench';

/** The person who looks, and tries rules. */
export const viewer = { username: 'bench', password: 'bench-bench-bench' } as const;

/** A made gateway. */
export interface GatewayFolder {
  readonly config: string;
  readonly dataDirectory: string;
  readonly authorityFile: string;
  readonly devices: ReadonlyArray<{ deviceId: string; username: string; password: string; topic: string }>;
}

export interface GatewayFolderOptions {
  readonly devices: number;
  /** A commit closes at so many samples and bytes; as the gateway has it when left out. */
  readonly commitSamples?: number;
  readonly commitBytes?: number;
  /** Village milliseconds per real one, from now on. */
  readonly speed?: number;
  /** Further top-level settings. */
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/**
 * Makes a gateway with so many devices and one account. Different from what `villagrid init` leaves: its ports are free
 * ones of the loopback, its clients are exempt from the token bucket, and what `options` says.
 */
export async function makeGatewayFolder(folder: string, options: GatewayFolderOptions): Promise<GatewayFolder> {
  const ids = Array.from({ length: options.devices }, (_, index) => `node-${String(index + 1).padStart(2, '0')}`);
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
  const clock = realClock();
  const site: Site = {
    grid_id: gridId,
    gateway_id: 'gw-bench',
    name: 'Bench',
    zone: 'UTC',
    plant: { pv_kwp: 20, battery_kwh: 60, battery_floor_pct: 20, has_genset: true, has_mains: true },
    devices: ids.map((device_id) => ({
      device_id,
      name: device_id,
      kind: 'sensor',
      protocol: 'mqtt',
      period_s: 5,
      expected: true,
    })),
    wiring: Object.fromEntries(figures.map((metric, index) => [metric, wire(ids[index % ids.length] ?? '', metric)])),
  };
  const nowMs = Math.floor(clock.nowMs());
  const { speed, commitSamples, commitBytes } = options;
  const files = await initGateway({
    folder,
    site,
    host: '127.0.0.1',
    ports: { http: 0, https: 0, mqtt: 0, mqtts: 0 },
    realNowMs: nowMs,
    ...(speed === undefined ? {} : { clock: { real_epoch_ms: nowMs, village_epoch_ms: nowMs, speed } }),
  });
  setSetting(files.config, ['mqtt_limits'], { packets_per_second: 0 });
  const log = {
    ...(commitSamples === undefined ? {} : { max_batch: commitSamples }),
    ...(commitBytes === undefined ? {} : { max_batch_bytes: commitBytes }),
  };
  if (Object.keys(log).length > 0) setSetting(files.config, ['log'], log);
  for (const [name, value] of Object.entries(options.settings ?? {})) setSetting(files.config, [name], value);
  const random = seededRandom('bench');
  await withAccounts(files.config, { realClock: clock, random, log: silentLogger() }, (accounts) =>
    accounts.addUser({
      ...viewer,
      displayName: 'Bench',
      grants: [{ role: 'operator', scope: { kind: 'grid', grid_id: gridId } }],
    }),
  );
  const devices = [];
  for (const deviceId of ids) {
    const { username, password } = await issueDeviceCredential(folder, deviceId, random);
    devices.push({ deviceId, username, password, topic: `microgrid/${gridId}/device/${deviceId}/telemetry` });
  }
  return { config: files.config, dataDirectory: files.data, authorityFile: files.authority, devices };
}

/** Certificates for brokers that are measured beside the gateway, of the same kind as its own. */
export async function makeCertificates(folder: string) {
  const nowMs = realClock().nowMs();
  const authority = await createAuthority({ name: 'bench', nowMs });
  const server = await issueServerCertificate(authority, { names: ['localhost', '127.0.0.1'], nowMs, days: 2 });
  const files = {
    authority: join(folder, 'authority.crt'),
    certificate: join(folder, 'server.crt'),
    key: join(folder, 'server.key'),
  };
  writePublic(files.authority, authority.certificatePem);
  writePublic(files.certificate, server.certificatePem);
  writeSecret(files.key, server.privateKeyPem);
  return files;
}
