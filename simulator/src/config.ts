/** The simulator's settings: one file, JSON or YAML, read and checked as those of the servers are. */
import { identifierPattern, VillagridError, zoneOffsetMs } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import { Type, type Static } from 'typebox';
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
  readonly modbus: {
    readonly host: string;
    readonly devices: readonly ModbusPlace[];
    /** A serial line that is made under a name. */
    readonly line:
      | { readonly path: string; readonly baud: number; readonly devices: readonly Omit<ModbusPlace, 'port'>[] }
      | undefined;
  };
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

const closed = { additionalProperties: false };
const identifier = Type.String({ pattern: identifierPattern });
const text = (standard?: string) =>
  Type.String({ minLength: 1, ...(standard === undefined ? {} : { default: standard }) });
const number = (minimum: number, maximum: number, standard?: number) =>
  Type.Number({ minimum, maximum, ...(standard === undefined ? {} : { default: standard }) });
const port = (minimum: number, standard?: number) =>
  Type.Integer({ minimum, maximum: 65_535, ...(standard === undefined ? {} : { default: standard }) });
const size = (standard: number) => number(1e-6, 1e9, standard);
const time = () => number(0, 8.64e15);

const gridSchema = Type.Object(
  {
    grid_id: identifier,
    name: Type.Optional(text()),
    zone: text(defaultPlace.zone),
    latitude: number(-90, 90, defaultPlace.latitude),
    longitude: number(-180, 180, defaultPlace.longitude),
    plant: Type.Object(
      {
        pv_kwp: size(defaultPlant.pvKwp),
        inverters: Type.Integer({ minimum: 1, maximum: 50, default: defaultPlant.inverters }),
        /** Left out, it fits the panels. */
        inverter_kw: Type.Optional(number(1e-6, 1e9)),
        battery_kwh: size(defaultPlant.batteryKwh),
        battery_floor_pct: number(5, 80, defaultPlant.batteryFloorPct),
        load_scale: size(defaultPlant.loadScale),
      },
      closed,
    ),
    mqtt: Type.Object(
      {
        host: text('127.0.0.1'),
        port: port(0, 8883),
        ca_file: Type.Optional(text()),
        period_factor: number(0.01, 1000, 1),
        nodes: Type.Array(Type.Object({ device_id: identifier, username: text(), password: text() }, closed), {
          default: [],
        }),
      },
      closed,
    ),
    modbus: Type.Object(
      {
        host: text('127.0.0.1'),
        devices: Type.Array(
          Type.Object(
            { device_id: identifier, port: port(0), unit: Type.Integer({ minimum: 0, maximum: 255, default: 1 }) },
            closed,
          ),
          { default: [] },
        ),
        line: Type.Optional(
          Type.Object(
            {
              path: text(),
              baud: Type.Integer({ minimum: 300, maximum: 230_400, default: 9600 }),
              devices: Type.Array(
                Type.Object({ device_id: identifier, unit: Type.Integer({ minimum: 1, maximum: 247 }) }, closed),
                { minItems: 1 },
              ),
            },
            closed,
          ),
        ),
      },
      closed,
    ),
    wan_proxy: Type.Optional(
      Type.Object({ listen_port: port(0), target_host: text('127.0.0.1'), target_port: port(1) }, closed),
    ),
  },
  closed,
);

const simulatorConfigSchema = Type.Object(
  {
    seed: number(0, 2 ** 32 - 1, 1),
    clock: Type.Object(
      {
        real_epoch_ms: number(0, 8.64e15, 0),
        /** Left out, the village's time is the real one. */
        village_epoch_ms: Type.Optional(time()),
        speed: number(0.01, 10_000, 1),
      },
      closed,
    ),
    control_socket: text(),
    state_dir: text(),
    grids: Type.Array(gridSchema, { minItems: 1 }),
  },
  closed,
);

/** Reads settings from a file, or from its text; throws E_CONFIG_READ, E_CONFIG_SYNTAX or E_CONFIG_INVALID that names the setting. */
export function loadSimulatorConfig(options: { readonly path: string; readonly text?: string }): SimulatorConfig {
  const { seed, clock, control_socket, state_dir, grids } = loadConfig(simulatorConfigSchema, options);
  return {
    seed,
    clock: {
      realEpochMs: clock.real_epoch_ms,
      villageEpochMs: clock.village_epoch_ms ?? clock.real_epoch_ms,
      speed: clock.speed,
    },
    controlSocket: control_socket,
    stateDir: state_dir,
    grids: grids.map((grid, i) => gridConfig(grid, `${options.path}: grids[${i}]`)),
  };
}

function gridConfig(
  {
    grid_id,
    name = grid_id,
    zone,
    latitude,
    longitude,
    plant,
    mqtt,
    modbus,
    wan_proxy: proxy,
  }: Static<typeof gridSchema>,
  where: string,
): GridConfig {
  try {
    zoneOffsetMs(zone, 0);
  } catch {
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${where}.zone: "${zone}" is not an IANA time zone such as Africa/Nairobi.`,
    );
  }
  return {
    gridId: grid_id,
    name,
    zone,
    latitude,
    longitude,
    plant: {
      pvKwp: plant.pv_kwp,
      inverters: plant.inverters,
      inverterKw: plant.inverter_kw ?? Math.round((plant.pv_kwp / plant.inverters / 1.125) * 10) / 10,
      batteryKwh: plant.battery_kwh,
      batteryFloorPct: plant.battery_floor_pct,
      loadScale: plant.load_scale,
    },
    mqtt: {
      host: mqtt.host,
      port: mqtt.port,
      caFile: mqtt.ca_file,
      periodFactor: mqtt.period_factor,
      nodes: mqtt.nodes.map(({ device_id, username, password }) => ({ deviceId: device_id, username, password })),
    },
    modbus: {
      host: modbus.host,
      devices: modbus.devices.map(({ device_id, port: at, unit }) => ({ deviceId: device_id, port: at, unit })),
      line:
        modbus.line === undefined
          ? undefined
          : {
              path: modbus.line.path,
              baud: modbus.line.baud,
              devices: modbus.line.devices.map(({ device_id, unit }) => ({ deviceId: device_id, unit })),
            },
    },
    wanProxy:
      proxy === undefined
        ? undefined
        : { listenPort: proxy.listen_port, targetHost: proxy.target_host, targetPort: proxy.target_port },
  };
}
