/** How long after a device published it a value, and an alert, is on a phone's live channel. */
import { join } from 'node:path';
import type { Bench, Contestant } from '@villagrid/tools/bench';
import { noShim } from '../src/testing/disk/shim.js';
import { figures, gridId, makeGatewayFolder } from './gateway-folder.js';
import { startGateway, startProgram } from './gateway-process.js';
import type { LiveLoadReport, LiveLoadSettings } from './live-load.js';

/** The first ten are wired to a figure each; so many, because the alerts of one device are bounded. */
const deviceCount = 40;
const perSecond = 200;
/** No divisor of the devices, so that the alerts are of all of them. */
const alertEvery = 9;
const warmUpMs = 2000;
const windowMs = 7000;
const slowSyncMs = 10;

const contestant = (what: 'values' | 'alerts', slow: boolean): Contestant => ({
  what: `the gateway as villagrid init makes it${slow ? `, each sync of its disk ${slowSyncMs} ms longer` : ''}`,
  missing: () => (slow ? noShim() : undefined),
  async run(lap) {
    const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount });
    const running = await startGateway(lap, gateway, slow ? { slowSyncMs } : {});
    const settings: LiveLoadSettings = {
      mqttPort: running.mqtt,
      liveUrl: `${running.http.replace('http', 'ws')}/api/live/${gridId}`,
      token: await running.token(),
      devices: gateway.devices,
      figures,
      perSecond,
      alertEvery,
      warmUpMs,
      windowMs,
    };
    const load = startProgram(lap, 'live-load', settings);
    await load.next('window', 30_000);
    await running.probe();
    const report = (await load.next('live', windowMs + 30_000)) as unknown as LiveLoadReport;
    const { loop_longest_ms: loopMs } = await running.probe();
    await running.running.end('SIGTERM');
    const { p99, p50, longest, count } = report[what];
    const wanted =
      (windowMs / 1000) * (what === 'values' ? (perSecond * figures.length) / deviceCount : perSecond / alertEvery);
    if (count < wanted * 0.95) throw new Error(`${count} ${what} arrived of about ${wanted}`);
    const frames = (report.frames * 1000) / windowMs;
    return {
      value: p99,
      beside: { p50_ms: p50, longest_ms: longest, count, frames_a_second: frames, loop_ms: loopMs },
    };
  },
});

const bench = (what: 'values' | 'alerts', slow: boolean): Bench => ({
  id: `gateway.live.${what}${slow ? '_slow_disk' : ''}`,
  unit: 'ms',
  what: `99th percentile from a device's publish to the live channel of a phone, ${what === 'values' ? 'of a value' : 'of a new alert'}, ${perSecond} messages and ${Math.round(perSecond / alertEvery)} alerts a second${slow ? `, each sync ${slowSyncMs} ms longer` : ''}.`,
  own: contestant(what, slow),
});

export const benches: readonly Bench[] = [
  bench('values', false),
  bench('values', true),
  bench('alerts', false),
  bench('alerts', true),
];
