/** The simulator's configuration: one JSON file, checked field by field. */
import { VillagridError } from '@villagrid/contracts';
import { defaultPlace } from './village/place.js';
import { defaultPlant, type Plant } from './village/plant.js';

/** A node's credential. */
export interface NodeCredential {
  readonly deviceId: string;
  readonly username: string;
  readonly password: string;
}

/** A virtual Modbus device's place. */
export interface ModbusPlace {
  readonly deviceId: string;
  readonly port: number;
  readonly unit: number;
}

/** One village. */
export interface GridConfig {
  readonly gridId: string;
  readonly name: string;
  readonly zone: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly plant: Plant;
  readonly mqtt: {
    readonly host: string;
    readonly port: number;
    readonly caFile: string | undefined;
    /** Factor on the nodes' periods; 1 is 5 s of village time (the weather station 10 s). */
    readonly periodFactor: number;
    readonly nodes: readonly NodeCredential[];
  };
  readonly modbus: { readonly host: string; readonly devices: readonly ModbusPlace[] };
  readonly wanProxy:
    | { readonly listenPort: number; readonly targetHost: string; readonly targetPort: number }
    | undefined;
}

/** The whole configuration. */
export interface SimulatorConfig {
  readonly seed: number;
  readonly clock: { readonly realEpochMs: number; readonly villageEpochMs: number; readonly speed: number };
  readonly controlSocket: string;
  readonly stateDir: string;
  readonly grids: readonly GridConfig[];
}

const bad = (where: string, what: string): never => {
  throw new VillagridError('E_CONFIG_INVALID', `${where}: ${what}`);
};

/** Reads fields of one object; what is not asked for is refused at the end. */
class Fields {
  private readonly record: Readonly<Record<string, unknown>>;
  private readonly asked = new Set<string>();
  private readonly where: string;

  constructor(value: unknown, where: string) {
    this.where = where;
    this.record =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Record<string, unknown>)
        : bad(where || 'the file', 'must be an object');
  }

  path(key: string): string {
    return this.where === '' ? key : `${this.where}.${key}`;
  }

  raw(key: string): unknown {
    this.asked.add(key);
    return this.record[key];
  }

  text(key: string, fallback?: string): string {
    const value = this.raw(key) ?? fallback;
    return typeof value === 'string' && value !== '' ? value : bad(this.path(key), 'must be a text');
  }

  number(key: string, range: { readonly min: number; readonly max: number }, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    if (typeof value === 'number' && value >= range.min && value <= range.max) return value;
    return bad(this.path(key), `must be a number from ${range.min} to ${range.max}`);
  }

  list<T>(key: string, read: (fields: Fields) => T): T[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) return bad(this.path(key), 'must be a list');
    return value.map((item: unknown, index) => {
      const fields = new Fields(item, `${this.path(key)}[${index}]`);
      const result = read(fields);
      fields.done();
      return result;
    });
  }

  object<T>(key: string, read: (fields: Fields) => T): T {
    const fields = new Fields(this.raw(key) ?? {}, this.path(key));
    const result = read(fields);
    fields.done();
    return result;
  }

  done(): void {
    for (const key of Object.keys(this.record)) {
      if (!this.asked.has(key))
        bad(this.path(key), `is not a setting here; settings are ${[...this.asked].join(', ')}`);
    }
  }
}

const port = { min: 0, max: 65_535 };
const positive = { min: 1e-6, max: 1e9 };
const anyTime = { min: 0, max: 8.64e15 };

function readPlant(fields: Fields): Plant {
  const pvKwp = fields.number('pv_kwp', positive, defaultPlant.pvKwp);
  const inverters = Math.round(fields.number('inverters', { min: 1, max: 50 }, defaultPlant.inverters));
  return {
    pvKwp,
    inverters,
    inverterKw: fields.number('inverter_kw', positive, Math.round((pvKwp / inverters / 1.125) * 10) / 10),
    batteryKwh: fields.number('battery_kwh', positive, defaultPlant.batteryKwh),
    batteryFloorPct: fields.number('battery_floor_pct', { min: 5, max: 80 }, defaultPlant.batteryFloorPct),
    loadScale: fields.number('load_scale', positive, defaultPlant.loadScale),
  };
}

function readGrid(fields: Fields): GridConfig {
  const zone = fields.text('zone', defaultPlace.zone);
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
  } catch {
    bad(fields.path('zone'), `"${zone}" is not an IANA time zone such as Africa/Nairobi`);
  }
  const gridId = fields.text('grid_id');
  return {
    gridId,
    name: fields.text('name', gridId),
    zone,
    latitude: fields.number('latitude', { min: -90, max: 90 }, defaultPlace.latitude),
    longitude: fields.number('longitude', { min: -180, max: 180 }, defaultPlace.longitude),
    plant: fields.object('plant', readPlant),
    mqtt: fields.object('mqtt', (mqtt) => ({
      host: mqtt.text('host', '127.0.0.1'),
      port: mqtt.number('port', port, 8883),
      caFile: mqtt.raw('ca_file') === undefined ? undefined : mqtt.text('ca_file'),
      periodFactor: mqtt.number('period_factor', { min: 0.01, max: 1000 }, 1),
      nodes: mqtt.list('nodes', (node) => ({
        deviceId: node.text('device_id'),
        username: node.text('username'),
        password: node.text('password'),
      })),
    })),
    modbus: fields.object('modbus', (modbus) => ({
      host: modbus.text('host', '127.0.0.1'),
      devices: modbus.list('devices', (device) => ({
        deviceId: device.text('device_id'),
        port: device.number('port', port),
        unit: device.number('unit', { min: 0, max: 255 }, 1),
      })),
    })),
    wanProxy:
      fields.raw('wan_proxy') === undefined
        ? undefined
        : fields.object('wan_proxy', (proxy) => ({
            listenPort: proxy.number('listen_port', port),
            targetHost: proxy.text('target_host', '127.0.0.1'),
            targetPort: proxy.number('target_port', { min: 1, max: 65_535 }),
          })),
  };
}

/** Checks a configuration already decoded from JSON; throws E_CONFIG_INVALID naming the field. */
export function parseSimulatorConfig(value: unknown): SimulatorConfig {
  const fields = new Fields(value, '');
  const config: SimulatorConfig = {
    seed: fields.number('seed', { min: 0, max: 2 ** 32 - 1 }, 1),
    clock: fields.object('clock', (clock) => {
      const realEpochMs = clock.number('real_epoch_ms', anyTime, 0);
      return {
        realEpochMs,
        villageEpochMs: clock.number('village_epoch_ms', anyTime, realEpochMs),
        speed: clock.number('speed', { min: 0.01, max: 10_000 }, 1),
      };
    }),
    controlSocket: fields.text('control_socket'),
    stateDir: fields.text('state_dir'),
    grids: fields.list('grids', readGrid),
  };
  fields.done();
  if (config.grids.length === 0) bad('grids', 'must name at least one village');
  return config;
}

/** Checks a configuration text; throws E_CONFIG_SYNTAX or E_CONFIG_INVALID. */
export function parseSimulatorConfigText(text: string): SimulatorConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new VillagridError('E_CONFIG_SYNTAX', `Not JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return parseSimulatorConfig(value);
}
