/** What a gateway takes of a small box: memory after a day of the reference village, and the time until it listens. */
import { join } from 'node:path';
import type { Bench, Lap } from '@villagrid/tools/bench';
import { gridId, makeGatewayFolder } from './gateway-folder.js';
import { startGateway, startProgram, type GatewayProcess } from './gateway-process.js';
import type { WatchSettings } from './watch.js';
import type { VillageLoadReport, VillageLoadSettings } from './village-load.js';

const deviceCount = 10;
/** Village time per real time: a day takes a minute and a half. */
const speed = 960;
const messagesOfDay = 86_400 / 5;
const startsPerRun = 5;

/** Lives through a day of the village, a phone watching; throws when a message was not acknowledged. */
async function liveADay(lap: Lap, running: GatewayProcess, devices: VillageLoadSettings['devices'], hours: number) {
  const watch: WatchSettings = {
    liveUrl: `${running.http.replace('http', 'ws')}/api/live/${gridId}`,
    token: await running.token(),
  };
  await startProgram(lap, 'watch', watch).next('watching', 30_000);
  const messages = Math.round((messagesOfDay * hours) / 24);
  const village: VillageLoadSettings = { port: running.mqtt, devices, speed, messages };
  const load = startProgram(lap, 'village-load', village);
  await load.next('village', 30_000);
  const { acknowledged } = (await load.next('village', 600_000)) as unknown as VillageLoadReport;
  if (acknowledged !== messages * devices.length)
    throw new Error(`${acknowledged} of ${messages * devices.length} messages were acknowledged`);
}

/** Time from the start of the process until MQTT and HTTP accept, milliseconds. */
async function startTime(lap: Lap, gateway: Awaited<ReturnType<typeof makeGatewayFolder>>): Promise<number> {
  const beganMs = performance.now();
  const running = await startGateway(lap, gateway, { bare: true });
  const tookMs = performance.now() - beganMs;
  const [http, mqtt] = await Promise.all([
    fetch(`${running.http}/.well-known/villagrid`),
    running.token().then((token) => token.length > 0),
  ]);
  if (!http.ok || !mqtt) throw new Error('the gateway says that it is ready and is not');
  await running.running.end('SIGTERM');
  return tookMs;
}

export const benches: readonly Bench[] = [
  {
    id: 'gateway.footprint.memory',
    unit: 'MB',
    what: `Resident memory after a day of the reference village (${deviceCount} devices of 12 metrics every 5 s) at ${speed} times its pace, TLS listeners on, a phone watching, half a minute of quiet.`,
    own: {
      what: 'the gateway as villagrid init makes it',
      async run(lap) {
        const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount, speed });
        const running = await startGateway(lap, gateway);
        const { rss_mb: atStart } = await running.probe();
        await liveADay(lap, running, gateway.devices, 24);
        const busy = await running.probe();
        await new Promise((resolve) => setTimeout(resolve, 30_000));
        const quiet = await running.probe();
        await running.running.end('SIGTERM');
        return {
          value: quiet.rss_mb,
          beside: {
            at_start_mb: atStart,
            busy_mb: busy.rss_mb,
            heap_mb: quiet.heap_mb,
            external_mb: quiet.external_mb,
            loop_ms: busy.loop_longest_ms,
          },
        };
      },
    },
  },
  {
    id: 'gateway.footprint.start',
    unit: 'ms',
    what: `From starting the process until it accepts MQTT and HTTP, ${startsPerRun} starts on a folder in use, the median.`,
    own: {
      what: 'the gateway as villagrid init makes it, the app served',
      async run(lap) {
        const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount });
        const first = await startTime(lap, gateway);
        const times: number[] = [];
        for (let i = 0; i < startsPerRun; i += 1) times.push(await startTime(lap, gateway));
        const sorted = times.sort((a, b) => a - b);
        return {
          value: sorted[startsPerRun >> 1] ?? Number.NaN,
          beside: { first_ever_ms: first, least_ms: sorted[0] ?? 0 },
        };
      },
    },
  },
];
