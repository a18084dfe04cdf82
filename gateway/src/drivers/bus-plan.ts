/** What polling asks of each line: the requests of every device, and how much of the wire's time they take. Pure. */
import {
  busTimeMs,
  fixedLayout,
  planReads,
  type PollingClass,
  type Profile,
  type ReadBlock,
  readLimits,
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
  /** Undefined where the requests depend on what the device itself tells (SunSpec). */
  readonly requests: readonly PlannedRequest[] | undefined;
}

/** What is asked of a line. */
export interface LinePlan {
  readonly line: string;
  readonly devices: readonly DevicePlan[];
  /** Part of the line's time that polling takes, 0 to 1; of the devices whose requests are known. */
  readonly load: number;
  /** Time of one poll of all devices one after the other, milliseconds. */
  readonly roundMs: number;
}

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
    const all = devices.flatMap(({ requests = [] }) => requests);
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
  if (profile.sunspec) return { ...base, requests: undefined };
  const layout = fixedLayout(profile);
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
  return { ...base, requests };
}

function busMs(connection: ModbusConnectionConfig, block: ReadBlock, gapMs: number): number {
  if (!isRtu(connection)) return gapMs + usualWaitMs;
  return busTimeMs([block], connection.serial?.baud ?? converterBaud, gapMs) + usualWaitMs;
}
