/** How often polled series really come: the site is told, so that screens here and at the cloud judge ages by it. */
import type { Site } from '@villagrid/contracts';
import { type Profile, slowMetrics } from '../devices/index.js';
import type { ModbusConnectionConfig } from './connection.js';

/** The site with the periods of its Modbus devices and of their slow series; what the settings say of a series stays. */
export function withPollPeriods(
  site: Site,
  connections: readonly ModbusConnectionConfig[],
  profiles: ReadonlyMap<string, Profile>,
): Site {
  const polled = new Map(connections.flatMap(({ devices }) => devices.map((one) => [one.device_id, one] as const)));
  const devices = site.devices.map((device) => {
    const poll = polled.get(device.device_id);
    const profile = poll === undefined ? undefined : profiles.get(poll.profile);
    if (poll === undefined || profile === undefined) return device;
    // A slow point is read at the first poll after its time has come.
    const slowS = Math.max(1, Math.ceil(profile.slow_every_s / poll.period_s)) * poll.period_s;
    const slow = Object.fromEntries(slowMetrics(profile).map((metric) => [metric, slowS]));
    return { ...device, period_s: poll.period_s, series_period_s: { ...slow, ...device.series_period_s } };
  });
  return { ...site, devices };
}
