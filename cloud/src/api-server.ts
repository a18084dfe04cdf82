/** The API of the cloud: the shared server over this cloud's ports. */
import {
  createApiServer,
  type ApiServer,
  type AuthPort,
  type HealthPort,
  type Listen,
  type PeoplePort,
} from '@villagrid/api';
import type { Clock, RandomSource } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { CloudConfig } from './config/load.js';
import type { CloudGrids } from './grids/grids.js';
import { readPem } from './uplink/uplink-broker.js';
import { version } from './version.js';

export interface ApiParts {
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly auth: AuthPort;
  readonly people: PeoplePort;
  readonly grids: CloudGrids;
  readonly health: HealthPort;
}

/** Makes it; throws E_CERTIFICATE when a PEM file cannot be read. */
export function createApi(config: CloudConfig, parts: ApiParts): ApiServer {
  const { clock, realClock, random, log, auth, people, grids, health } = parts;
  const listen: Listen[] = [{ host: config.http.host, port: config.http.port }];
  if (config.https)
    listen.push({
      host: config.https.host,
      port: config.https.port,
      tls: {
        key: readPem(config.https.key_file, 'https.key_file'),
        cert: readPem(config.https.certificate_file, 'https.certificate_file'),
      },
    });
  return createApiServer({
    ports: {
      identity: {
        kind: 'cloud',
        serverId: config.cloud_id,
        version,
        gridId: null,
        silentAfterMs: config.silent_after_s * 1000,
        // A server keeps its time by NTP; where it does not, TLS tells soonest.
        clockTrust: () => 'ntp',
      },
      auth,
      people,
      grids,
      health,
    },
    clock,
    realClock,
    random,
    log,
    listen,
    appDirectory: config.app_dir,
    speed: config.clock.speed,
  });
}
