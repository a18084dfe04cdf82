/** Latest values over HTTP, against an answer that is just as long and costs nothing to make. */
import type { Bench, Lap } from '@villagrid/tools/bench';
import { makeGatewayFolder } from './gateway-folder.js';
import { gridPath, startGateway, startProgram } from './gateway-process.js';
import type { HttpLoadReport, HttpLoadSettings } from './http-load.js';
import type { VillageLoadSettings } from './village-load.js';

const connections = 20;
const warmUpMs = 1500;
const windowMs = 4000;
/** About what the summary of ten wired figures takes; the figure of each run says it. */
const answerBytes = 3200;

async function flood(lap: Lap, to: Pick<HttpLoadSettings, 'port' | 'path' | 'token'>) {
  const settings: HttpLoadSettings = { ...to, connections, warmUpMs, windowMs };
  const load = startProgram(lap, 'http-load', settings);
  const report = (await load.next('http', warmUpMs + windowMs + 30_000)) as unknown as HttpLoadReport;
  return { value: report.perSecond, beside: { answer_bytes: report.answerBytes } };
}

export const benches: readonly Bench[] = [
  {
    id: 'gateway.http.latest_values',
    unit: 'requests/s',
    what: `Answers a second with all newest values (the summary), ${connections} connections, while ten devices report every 5 s.`,
    own: {
      what: 'the gateway as villagrid init makes it, the viewer logged in',
      async run(lap) {
        const gateway = await makeGatewayFolder(`${lap.folder}/gateway`, { devices: 10 });
        const running = await startGateway(lap, gateway, { bare: true });
        const village: VillageLoadSettings = { port: running.mqtt, devices: gateway.devices, speed: 1, messages: 1e9 };
        await startProgram(lap, 'village-load', village).next('village', 30_000);
        const figure = await flood(lap, {
          port: Number(new URL(running.http).port),
          path: gridPath('dashboard/summary'),
          token: await running.token(),
        });
        await running.running.end('SIGTERM');
        return figure;
      },
    },
    limit: {
      what: 'an empty handler on the same server: no login, a made text of about the same length',
      async run(lap) {
        const { port } = (await startProgram(lap, 'empty-server', { bytes: answerBytes }).next('ready', 20_000)) as {
          port: number;
        };
        return flood(lap, { port, path: '/empty' });
      },
    },
  },
];
