/** Devices of a grid with link state and last seen. */
import {
  legacyDeviceId,
  linkState,
  metricDefinition,
  qualityCodes,
  qualityName,
  type DeviceView,
  type SiteDevice,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';

/** One device as the API shows it. */
export function deviceView(grid: GridPort, device: SiteDevice, nowMs: number): DeviceView {
  const metrics: DeviceView['metrics'] = [];
  let lastSeenMs: number | null = null;
  let heard = false;
  for (const metric of [...grid.metricsOf(device.device_id)].sort()) {
    const sample = grid.latest(device.device_id, metric);
    if (sample === undefined) continue;
    heard ||= sample.quality !== qualityCodes.uncertain_last_known;
    lastSeenMs = Math.max(lastSeenMs ?? sample.timeMs, sample.timeMs);
    metrics.push({
      metric,
      unit: metricDefinition(metric)?.unit ?? '',
      value: sample.value,
      time_ms: sample.timeMs,
      quality: qualityName(sample.quality),
    });
  }
  const link = grid.linkQuality?.(device.device_id);
  return {
    device_id: device.device_id,
    name: device.name,
    kind: device.kind,
    protocol: device.protocol,
    location: device.location ?? null,
    link_state: linkState(
      lastSeenMs,
      nowMs,
      device.period_s * 1000,
      grid.link(device.device_id),
      heard ? qualityCodes.good : qualityCodes.uncertain_last_known,
    ),
    last_seen_ms: lastSeenMs,
    ...(link ? { link } : {}),
    period_s: device.period_s,
    expected: device.expected,
    metrics,
  };
}

/** What the prototype's messages come from, where the site has no entry for it: nobody knows its pace, so nobody watches it. */
const legacyDevice: SiteDevice = {
  device_id: legacyDeviceId,
  name: 'First-generation device',
  kind: 'other',
  protocol: 'mqtt',
  period_s: 60,
  expected: false,
};

/** Devices of a grid: those of the site, and the prototype's when it has spoken. */
export function gridDevices(grid: GridPort): readonly SiteDevice[] {
  const { devices } = grid.site();
  const declared = devices.some(({ device_id }) => device_id === legacyDeviceId);
  return declared || grid.metricsOf(legacyDeviceId).length === 0 ? devices : [...devices, legacyDevice];
}

/** All devices of a grid, in the site's order. */
export function deviceViews(grid: GridPort, nowMs: number): DeviceView[] {
  return gridDevices(grid).map((device) => deviceView(grid, device, nowMs));
}

/** How many of the expected devices were heard of lately (connected or late). */
export function seenDevices(devices: readonly DeviceView[]): { readonly seen: number; readonly total: number } {
  const expected = devices.filter((device) => device.expected);
  const seen = expected.filter(({ link_state }) => link_state === 'connected' || link_state === 'late');
  return { seen: seen.length, total: expected.length };
}
