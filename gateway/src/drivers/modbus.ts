/** Polls the Modbus devices of one connection. A dead device is asked ever more rarely and never holds up the others. */
import type { Clock, RandomSource, Timer } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { decodeMetrics } from '../devices/decode.js';
import { planReads } from '../devices/plan.js';
import type { Profile } from '../devices/profile.js';
import type { Link } from '../links/tcp-link.js';
import type { Driver, DriverSink } from './port.js';
import { findSunSpecModel } from './sunspec.js';

/** A connection and the devices behind it. */
export interface ModbusConnectionOptions {
  readonly name: string;
  readonly devices: ReadonlyArray<{
    readonly device_id: string;
    readonly profile: string;
    readonly unit: number;
    readonly period_s: number;
  }>;
}

/** Failed reads in a row after which a device counts as down. */
const failuresUntilDown = 3;
/** Longest pause between tries of a dead device: 5 minutes. */
const longestPauseMs = 300_000;
/** Shortest real pause between polls of a device, however fast the village's time runs. */
const shortestPollMs = 40;

/** Makes the driver of one connection. `profiles` holds every profile that is named. */
export function createModbusDriver(options: {
  readonly connection: ModbusConnectionOptions;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly link: Link;
  readonly sink: DriverSink;
  /** The village's time: polling periods and time stamps. */
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}): Driver {
  const { connection, link, sink, clock, realClock, random, log } = options;
  let stopped = false;
  const timers = new Set<Timer>();

  const later = (of: Clock, delayMs: number, run: () => void) => {
    const timer = of.after(delayMs, () => {
      timers.delete(timer);
      if (!stopped) run();
    });
    timers.add(timer);
  };

  const poll = (device: ModbusConnectionOptions['devices'][number], profile: Profile) => {
    let failures = 0;
    let down: boolean | undefined;
    let base: number | undefined = profile.sunspec === undefined ? 0 : undefined;
    const periodMs = device.period_s * 1000;

    const readOnce = async () => {
      if (base === undefined && profile.sunspec !== undefined) {
        const found = await findSunSpecModel(
          link,
          device.unit,
          profile.sunspec.models,
          profile.sunspec.bases,
          profile.limits.timeout_ms,
        );
        if (found === undefined)
          throw new Error(`none of the SunSpec models ${profile.sunspec.models.join(', ')} is there`);
        base = found.address;
        log.info('SunSpec model found', { device: device.device_id, model: found.model, address: found.address });
      }
      const registers = new Map<number, number>();
      for (const request of planReads(profile, profile.points, base)) {
        const words = await link.read({
          unit: device.unit,
          ...request,
          timeoutMs: profile.limits.timeout_ms,
          gapMs: profile.limits.gap_ms,
        });
        for (const [i, word] of words.entries()) registers.set(request.function * 65_536 + request.address + i, word);
      }
      return decodeMetrics(profile, (function_, address) => registers.get(function_ * 65_536 + address), base);
    };

    const turn = async () => {
      const begunMs = clock.monotonicMs();
      let pauseMs = periodMs;
      try {
        const values = await readOnce();
        if (stopped) return;
        failures = 0;
        if (down !== false) sink.link(device.device_id, 'up', 'it answers');
        down = false;
        sink.reading({ deviceId: device.device_id, timeMs: clock.nowMs(), values });
      } catch (error) {
        if (stopped) return;
        failures += 1;
        const reason = error instanceof Error ? error.message : String(error);
        log.warn('a device was not read', { device: device.device_id, reason });
        if (failures >= failuresUntilDown) {
          if (down !== true) sink.link(device.device_id, 'down', reason);
          down = true;
          // A model may lie elsewhere after an exchange or an update of the device.
          if (profile.sunspec !== undefined) base = undefined;
          pauseMs = Math.max(periodMs, Math.min(periodMs * 2 ** (failures - failuresUntilDown + 1), longestPauseMs));
        }
      }
      const realBegun = realClock.monotonicMs();
      const waitMs = Math.max(0, pauseMs - (clock.monotonicMs() - begunMs));
      later(clock, waitMs, () => {
        const rest = shortestPollMs - (realClock.monotonicMs() - realBegun);
        if (rest > 1) later(realClock, rest, () => void turn());
        else void turn();
      });
    };
    // Spread the devices over their first period, so that they do not all ask at once.
    later(clock, random.float() * Math.min(periodMs, 1000), () => void turn());
  };

  return {
    name: `modbus ${connection.name}`,
    async start() {
      stopped = false;
      for (const device of connection.devices) poll(device, options.profiles.get(device.profile) as Profile);
    },
    async stop() {
      stopped = true;
      for (const timer of timers) timer.cancel();
      timers.clear();
      await link.close();
    },
  };
}
