/** Telemetry and history as the settings say: in SQLite, or by way of SQLite in InfluxDB. */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError, type Clock, type RandomSource } from '@villagrid/contracts';
import type { Logger, TelemetryStoreOptions } from '@villagrid/runtime';
import type { CloudConfig } from '../config/load.js';
import type { Directory } from '../directory/directory.js';
import { createInfluxClient } from './influxdb/client.js';
import { createInfluxHistory } from './influxdb/history.js';
import { createProjectedTelemetry, type ProjectedTelemetry } from './telemetry.js';
import type { SqliteUplinkStore } from './sqlite-uplink-store.js';
import { createSqliteHistory, type WindowHistory } from './window-history.js';

export interface HistoryServices extends TelemetryStoreOptions {
  readonly store: Pick<SqliteUplinkStore, 'keepDeadLetter'>;
  readonly directory: Pick<Directory, 'ofGrid'>;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Opens both. Throws E_STORE_OPEN, or E_TELEMETRY_SETTINGS when the token is not where the settings say. */
export function openHistory(
  config: Pick<CloudConfig, 'telemetry' | 'cloud_id'>,
  services: HistoryServices,
): { readonly telemetry: ProjectedTelemetry; readonly history: WindowHistory } {
  const { database, frames, zoneOf, store, directory, clock, realClock, random, log } = services;
  const { kind, url, org, bucket, database: mapped, keep_here_days: keepDays } = config.telemetry;
  if (kind === 'sqlite' || url === undefined || bucket === undefined) {
    const telemetry = createProjectedTelemetry({ database, frames, zoneOf });
    return { telemetry, history: createSqliteHistory({ database, telemetry, log }) };
  }
  const token = tokenOf(config.telemetry, services.environment);
  const settings = { url: url.replace(/\/+$/, ''), org, bucket, database: mapped ?? bucket, token };
  const telemetry = createProjectedTelemetry({ database, frames, zoneOf }, `${settings.url} ${org} ${bucket}`);
  if (!telemetry.outbox) throw new VillagridError('E_INTERNAL', 'there is no outbox');
  const history = createInfluxHistory({
    client: createInfluxClient(settings, realClock),
    outbox: telemetry.outbox,
    cloudId: config.cloud_id,
    zoneOf,
    keepDays,
    clock,
    realClock,
    random,
    log,
    quarantine: (gridId, line, reason) =>
      store.keepDeadLetter(
        {
          stage: 'history',
          gatewayId: directory.ofGrid(gridId)?.gateway_id ?? '',
          gridId,
          epoch: null,
          number: null,
          code: 'E_TELEMETRY_REFUSED',
          reason,
          bytes: Buffer.from(line),
        },
        clock.nowMs(),
      ),
  });
  return { telemetry, history };
}

/** The token, from file or environment; undefined when neither is named. */
function tokenOf(
  { token_file: path, token_environment: name }: CloudConfig['telemetry'],
  environment: HistoryServices['environment'],
): string | undefined {
  const refuse = (why: string): never => {
    throw new VillagridError('E_TELEMETRY_SETTINGS', why);
  };
  if (path !== undefined) {
    let text = '';
    try {
      text = readFileSync(path, 'utf8').trim();
    } catch (error) {
      refuse(`telemetry.token_file: ${messageOf(error)}.`);
    }
    return /^[\x21-\x7e]+$/.test(text) ? text : refuse(`telemetry.token_file: ${path} holds no token alone.`);
  }
  if (name === undefined) return undefined;
  const value = environment[name]?.trim();
  return value ? value : refuse(`telemetry.token_environment: ${name} is not set.`);
}
