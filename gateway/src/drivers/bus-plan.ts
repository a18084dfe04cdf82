/** What polling asks of each line: the requests of every device, and how much of the wire's time they take. Pure. */
import {
  busTimeMs,
  fixedLayout,
  type FoundModel,
  planReads,
  type PollingClass,
  type Profile,
  type ReadBlock,
  readLimits,
  registersOf,
  sunspecLayout,
} from '../devices/index.js';
import { converterBaud, endpointOf, isRtu, type ModbusConnectionConfig } from './connection.js';

/** One request of a device. */
export interface PlannedRequest {
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
  readonly class: PollingClass;
  /** Seconds from one to the next; undefined for what is read at first contact only. */
  readonly everyS: number | undefined;
  /** Time on the wire with the pauses and a usual wait, milliseconds. */
  readonly busMs: number;
}

/** What is asked of a device. */
export interface DevicePlan {
  readonly deviceId: string;
  readonly profile: string;
  readonly unit: number;
  readonly requests: readonly PlannedRequest[];
  /**
   * SunSpec models the requests are reckoned with, as usual for the profile: which ones the device has, and where, it tells
   * at the first connection. Undefined where the profile itself says what is asked.
   */
  readonly assumedModels?: readonly number[];
}

/** What is asked of a line. */
export interface LinePlan {
  readonly line: string;
  readonly devices: readonly DevicePlan[];
  /** Part of the line's time that polling takes, 0 to 1. */
  readonly load: number;
  /** Time of one poll of all devices one after the other, milliseconds. */
  readonly roundMs: number;
}

/** The model in which every SunSpec device says who it is. */
const identityModel = 1;
/** A device's usual time to begin its answer, milliseconds. */
const usualWaitMs = 20;

/** The plans of these connections, one for each line or endpoint. Devices without a profile are left out. */
export function busPlans(
  connections: readonly ModbusConnectionConfig[],
  profileOf: (device: { readonly device_id: string; readonly profile: string }) => Profile | undefined,
): LinePlan[] {
  const lines = new Map<string, ModbusConnectionConfig[]>();
  for (const one of connections) lines.set(endpointOf(one), [...(lines.get(endpointOf(one)) ?? []), one]);
  return [...lines].map(([line, together]) => {
    const devices = together.flatMap((connection) =>
      connection.devices.flatMap((device) => {
        const profile = profileOf(device);
        return profile ? [devicePlan(connection, device, profile)] : [];
      }),
    );
    const all = devices.flatMap(({ requests }) => requests);
    const load = all.reduce((sum, { busMs, everyS }) => sum + (everyS === undefined ? 0 : busMs / 1000 / everyS), 0);
    const roundMs = all.reduce((sum, one) => sum + (one.class === 'fast' ? one.busMs : 0), 0);
    return { line, devices, load, roundMs };
  });
}

function devicePlan(
  connection: ModbusConnectionConfig,
  device: ModbusConnectionConfig['devices'][number],
  profile: Profile,
): DevicePlan {
  const { tcp, rtu } = profile.transport;
  const unit = device.unit ?? (connection.serial ? rtu?.unit : tcp?.unit) ?? 1;
  const base = { deviceId: device.device_id, profile: profile.id, unit };
  const usual = usualModels(profile);
  const layout = usual ? sunspecLayout(profile, usual) : fixedLayout(profile);
  const slowS = Math.max(1, Math.ceil(profile.slow_every_s / device.period_s)) * device.period_s;
  const every = { fast: device.period_s, slow: slowS, once: undefined } as const;
  const requests = (['fast', 'slow', 'once'] as const).flatMap((one) =>
    planReads(layout, readLimits(profile), new Set([one])).map((block) => ({
      function: block.function,
      address: block.address,
      count: block.count,
      class: one,
      everyS: every[one],
      busMs: Math.round(10 * busMs(connection, block, profile.limits.min_gap_ms)) / 10,
    })),
  );
  return { ...base, requests, ...(usual ? { assumedModels: usual.map(({ id }) => id) } : {}) };
}

/** The models of a usual device of a SunSpec profile: who it is, and the first that the profile polls. */
function usualModels({ sunspec }: Profile): FoundModel[] | undefined {
  if (!sunspec) return undefined;
  const { models, bases } = sunspec;
  const polled = models.find(({ points }) => points.some(({ metric, polling }) => metric && polling !== 'slow'));
  let address = (bases[0] ?? 40_000) + 2;
  return models.flatMap((model) => {
    const [id] = model.ids;
    if (id === undefined || (id !== identityModel && model !== polled)) return [];
    const ends = model.points.map((point) => point.model_offset + registersOf(point.type, point.registers));
    const found = { id, address, length: Math.max(...ends) - 2 };
    address += found.length + 2;
    return [found];
  });
}

function busMs(connection: ModbusConnectionConfig, block: ReadBlock, gapMs: number): number {
  if (!isRtu(connection)) return gapMs + usualWaitMs;
  return busTimeMs([block], connection.serial?.baud ?? converterBaud, gapMs) + usualWaitMs;
}
