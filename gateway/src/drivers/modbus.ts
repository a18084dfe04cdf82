/** The Modbus driver: polls each device of a link by its period, leaves the dead more and more alone, tells links up and down. */
import { setMaxListeners } from 'node:events';
import { type Clock, type RandomSource, VillagridError } from '@villagrid/contracts';
import { type Logger, realClock as machineClock } from '@villagrid/runtime';
import { isWritten, type Profile } from '../devices/index.js';
import { type Link, LinkError } from '../links/index.js';
import { endpointOf, isRtu, type ModbusConnectionConfig, type ModbusDeviceConfig, openLink } from './connection.js';
import { ModbusDevice, type PollOutcome } from './modbus-device.js';
import type { Driver, DriverSink } from './port.js';

export interface ModbusDriversOptions {
  readonly connections: readonly ModbusConnectionConfig[];
  /** By id, as `loadProfiles` gives them. */
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly sink: DriverSink;
  /** Village time: periods, back-off of dead devices, the time of readings. */
  readonly clock: Clock;
  /** Real time: deadlines and gaps on the wire, reconnecting. The machine's own when left out. */
  readonly realClock?: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}

/** Longest back-off of a device that does not answer, village milliseconds. */
export const longestBackoffMs = 300_000;
/** The same where nothing answers at the address at all: asking costs the others nothing there. */
const longestUnreachableBackoffMs = 30_000;
/** Failed polls in a row after which a device that was up counts as down. */
const failuresUntilDown = 2;

/**
 * One driver per line or endpoint: connections to the same one share one link. Nothing is opened before `start`.
 * Throws E_CONFIG_INVALID for a profile that is not there.
 */
export function createModbusDrivers(options: ModbusDriversOptions): Driver[] {
  const { connections, profiles, sink, clock, realClock = machineClock(), random, log } = options;
  const endpoints = new Map<string, ModbusConnectionConfig[]>();
  for (const connection of connections) {
    const endpoint = endpointOf(connection);
    endpoints.set(endpoint, [...(endpoints.get(endpoint) ?? []), connection]);
  }
  return [...endpoints.values()].map((together) => {
    const first = together[0] as ModbusConnectionConfig;
    const name = together.map((one) => one.name).join('+');
    const devices = together.flatMap((connection) =>
      connection.devices.map((config) => ({ config, profile: profileOf(connection, config, profiles) })),
    );
    const driverLog = log.child(`modbus/${name}`);
    let running:
      | {
          readonly link: Link;
          readonly stop: AbortController;
          readonly loops: Promise<void>[];
          readonly devices: ReadonlyMap<string, ModbusDevice>;
        }
      | undefined;
    const unitOf = ({ config, profile: { transport } }: (typeof devices)[number]): number =>
      config.unit ?? (first.serial ? transport.rtu?.unit : transport.tcp?.unit) ?? 1;
    /** Why a device gave nothing when last asked. */
    const troubles = new Map<string, string>();
    return {
      name: `modbus/${name}`,
      quality(deviceId) {
        const device = devices.find(({ config }) => config.device_id === deviceId);
        if (!running || !device) return undefined;
        const health = running.link.health(unitOf(device));
        return {
          line: running.link.name,
          latency_ms: health?.latencyMs === undefined ? null : Math.round(health.latencyMs),
          error_rate: health ? Math.round(1000 * health.errorRate) / 1000 : null,
          trouble: troubles.get(deviceId) ?? null,
        };
      },
      faultWords: (deviceId) => running?.devices.get(deviceId)?.faultWords,
      line: (endpoint) => (endpoint === endpointOf(first) ? running?.link : undefined),
      write(deviceId, key, value, withinMs) {
        const profile = devices.find(({ config }) => config.device_id === deviceId)?.profile;
        if (!profile) return undefined;
        const point = profile.write_points?.find((one) => one.key === key);
        const device = running?.devices.get(deviceId);
        if (!point || !device)
          return Promise.reject(new LinkError('stopped', `${deviceId} cannot be written to just now`));
        return device.write(point, value, withinMs, realClock).then((said) => ({
          said: typeof said === 'number' ? said : undefined,
          isDone: typeof said === 'number' && isWritten(point, value, said),
        }));
      },
      async start() {
        if (running) return;
        const link = openLink(first, { clock: realClock, random, log: driverLog });
        const ids = devices.map(({ config }) => config.device_id);
        link.onState((state, reason) => quietly(driverLog, () => sink.line?.(link.name, state, ids, reason)));
        const stop = new AbortController();
        // One listener for each device that waits.
        setMaxListeners(0, stop.signal);
        const made = new Map<string, ModbusDevice>();
        const loops = devices.map((one) => {
          const { config, profile } = one;
          const unit = unitOf(one);
          const device = new ModbusDevice({ deviceId: config.device_id, profile, unit, link, clock, log: driverLog });
          made.set(config.device_id, device);
          return pollForever({
            device,
            troubles,
            link,
            periodMs: config.period_s * 1000,
            // On a line without numbered answers, the time for one that is late comes on top.
            costMs: profile.limits.timeout_ms * (isRtu(first) ? 2 : 1),
            sink,
            clock,
            realClock,
            log: driverLog,
            stop,
          });
        });
        running = { link, stop, loops, devices: made };
      },
      async stop() {
        if (!running) return;
        const { link, stop, loops } = running;
        running = undefined;
        stop.abort();
        await link.close();
        await Promise.all(loops);
      },
    };
  });
}

function profileOf(
  connection: ModbusConnectionConfig,
  device: ModbusDeviceConfig,
  profiles: ReadonlyMap<string, Profile>,
): Profile {
  const profile = profiles.get(device.profile);
  if (profile) return profile;
  throw new VillagridError(
    'E_CONFIG_INVALID',
    `modbus connection "${connection.name}", device "${device.device_id}": there is no profile "${device.profile}"; there are ${[...profiles.keys()].join(', ') || 'none'}.`,
  );
}

interface PollLoop {
  readonly device: ModbusDevice;
  /** By device: why it gave nothing when last asked. */
  readonly troubles: Map<string, string>;
  readonly link: Link;
  readonly periodMs: number;
  /** What a poll of this device costs the others on its link when it is dead, real milliseconds. */
  readonly costMs: number;
  readonly sink: DriverSink;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly stop: AbortController;
}

/** Polls until stopped. Polls never overlap; those that were missed are skipped, not made up for. Does not reject. */
async function pollForever(loop: PollLoop): Promise<void> {
  const { device, periodMs, clock, realClock, log, stop } = loop;
  const tell = linkTeller(loop);
  let failures = 0;
  let dueMs = clock.monotonicMs();
  while (!stop.signal.aborted) {
    const outcome = await pollOnce(device, log);
    if (stop.signal.aborted) return;
    if (outcome.ok) {
      failures = 0;
      loop.troubles.delete(device.deviceId);
      tell.up();
      quietly(log, () =>
        loop.sink.reading({ deviceId: device.deviceId, timeMs: clock.nowMs(), values: outcome.values }),
      );
    } else {
      failures += 1;
      loop.troubles.set(device.deviceId, outcome.reason);
      tell.failed(outcome.reason, failures);
    }
    const nowMs = clock.monotonicMs();
    dueMs = nextDueMs(dueMs, nowMs, periodMs);
    const waits = [];
    if (outcome.ok || outcome.failure === 'refused') waits.push(clock.sleep(Math.max(0, dueMs - nowMs), stop.signal));
    else {
      const backoffMs = backoffAfterMs(failures, periodMs, outcome.failure);
      dueMs = nowMs + backoffMs;
      if (outcome.failure === 'unreachable') {
        if (await backOrUp(loop, backoffMs)) dueMs = clock.monotonicMs();
        continue;
      }
      waits.push(clock.sleep(backoffMs, stop.signal));
      // In a faster village the back-off may be shorter than the wait it is meant to make up for.
      if (outcome.failure === 'silent') waits.push(realClock.sleep(Math.min(failures, 5) * loop.costMs, stop.signal));
    }
    if (!(await settled(waits))) return;
  }
}

/** When the poll after the one due at `dueMs` is due: on the same beat, missed beats left out. Milliseconds. */
export function nextDueMs(dueMs: number, nowMs: number, periodMs: number): number {
  const next = dueMs + periodMs;
  return next > nowMs ? next : nowMs + periodMs - ((nowMs - next) % periodMs);
}

/** How long a device is left alone after so many failed polls in a row: doubling from its period. Village milliseconds. */
export function backoffAfterMs(
  failures: number,
  periodMs: number,
  failure: 'silent' | 'unreachable' | 'stopped',
): number {
  const longestMs = failure === 'unreachable' ? longestUnreachableBackoffMs : longestBackoffMs;
  return Math.max(periodMs, Math.min(longestMs, periodMs * 2 ** Math.min(failures - 1, 20)));
}

/** Waits that long, or until the line is there again, which is the answer. */
async function backOrUp({ link, clock, stop }: PollLoop, waitMs: number): Promise<boolean> {
  const up = new AbortController();
  const forget = link.onState((state) => state === 'up' && up.abort());
  try {
    await clock.sleep(waitMs, AbortSignal.any([stop.signal, up.signal]));
  } catch {
    return up.signal.aborted;
  } finally {
    forget();
  }
  return false;
}

async function settled(waits: ReadonlyArray<Promise<void>>): Promise<boolean> {
  const results = await Promise.allSettled(waits);
  return results.every((result) => result.status === 'fulfilled');
}

async function pollOnce(device: ModbusDevice, log: Logger): Promise<PollOutcome> {
  try {
    return await device.poll();
  } catch (error) {
    // Only a fault of ours comes here; the device waits like a dead one, the others go on.
    log.error('polling failed unexpectedly', { device_id: device.deviceId, error });
    return { ok: false, failure: 'silent', reason: 'an internal error, see the log' };
  }
}

function linkTeller({ device, sink, log }: PollLoop) {
  let state: 'unknown' | 'up' | 'down' = 'unknown';
  let told = '';
  const say = (next: 'up' | 'down', reason: string): void => {
    state = next;
    told = reason;
    log[next === 'up' ? 'info' : 'warn'](`device ${next}`, { device_id: device.deviceId, reason });
    quietly(log, () => sink.link(device.deviceId, next, reason));
  };
  return {
    up(): void {
      if (state !== 'up') say('up', 'it answers');
    },
    failed(reason: string, failures: number): void {
      if (state === 'up' && failures < failuresUntilDown) return;
      if (state !== 'down' || told !== reason) say('down', reason);
    },
  };
}

function quietly(log: Logger, run: () => void): void {
  try {
    run();
  } catch (error) {
    log.error('a reading or link state could not be taken', { error });
  }
}
