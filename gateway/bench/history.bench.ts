/** History over HTTP: a year and a month of a gateway that has kept a year, and what is asked of its event loop meanwhile. */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { periodsMs } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import type { Bench, Contestant, Lap } from '@villagrid/tools/bench';
import { gridId, makeGatewayFolder } from './gateway-folder.js';
import { gridPath, startGateway, startProgram } from './gateway-process.js';
import type { HttpLoadReport, HttpLoadSettings } from './http-load.js';
import type { YearSettings } from './year.js';

const deviceCount = 10;
const month = ['consumption_kw', 'generation_kw', 'battery_soc_pct', 'irradiance_w_m2'] as const;
/** Devices these figures are wired to, see gateway-folder.ts. */
const askedSeries = [
  ['node-01', 'consumption_kw'],
  ['node-02', 'generation_kw'],
  ['node-03', 'battery_soc_pct'],
  ['node-08', 'irradiance_w_m2'],
] as const;
const windowMs = 4000;

/** A year's data, made once and copied for each run. Gives when the year ends. */
async function withYear(lap: Lap, dataDirectory: string): Promise<number> {
  const kept = join(lap.kept, 'year-1');
  const endFile = join(kept, 'ends.json');
  const dayMs = 86_400_000;
  const untilMs = Math.floor(realClock().nowMs() / dayMs) * dayMs;
  if (!existsSync(endFile) || (JSON.parse(readFileSync(endFile, 'utf8')) as number) < untilMs - 7 * dayMs) {
    const making = `${kept}-making`;
    rmSync(making, { recursive: true, force: true });
    rmSync(kept, { recursive: true, force: true });
    mkdirSync(making, { recursive: true });
    const settings: YearSettings = {
      dataDirectory: making,
      gridId,
      devices: Array.from({ length: deviceCount }, (_, index) => `node-${String(index + 1).padStart(2, '0')}`),
      asked: askedSeries,
      days: 365,
      untilMs,
      rawDays: 83,
    };
    await startProgram(lap, 'year', settings).next('year', 900_000);
    writeFileSync(join(making, 'ends.json'), String(untilMs));
    renameSync(making, kept);
  }
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  cpSync(join(kept, 'telemetry.db'), join(dataDirectory, 'telemetry.db'));
  return JSON.parse(readFileSync(endFile, 'utf8')) as number;
}

interface Question {
  readonly metrics: readonly string[];
  readonly periodMs: number;
  readonly points: number;
}

/** Asks the same question again and again on one connection; checks the answer first. */
async function ask(lap: Lap, { metrics, periodMs, points }: Question) {
  const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount });
  const untilMs = await withYear(lap, gateway.dataDirectory);
  const running = await startGateway(lap, gateway);
  const token = await running.token();
  const query = `?from=${untilMs - periodMs}&to=${untilMs}&points=${points}`;
  const path = gridPath('historical', `/${metrics.join(',')}${query}`);
  const answer = (await (
    await fetch(`${running.http}${path}`, { headers: { authorization: `Bearer ${token}` } })
  ).json()) as { series: ReadonlyArray<{ times_ms: number[]; completeness_pct: number; count: number[] }> };
  for (const { times_ms: times, completeness_pct: whole } of answer.series)
    if (times.length > points || times.length < points * 0.9 || whole < 99.5)
      throw new Error(`the answer has ${times.length} windows of ${points}, ${whole} % complete`);
  if (answer.series.length !== metrics.length) throw new Error(`the answer has ${answer.series.length} series`);
  const settings: HttpLoadSettings = {
    port: Number(new URL(running.http).port),
    path,
    token,
    connections: 1,
    warmUpMs: 1500,
    windowMs,
  };
  const load = startProgram(lap, 'http-load', settings);
  await load.next('window', 30_000);
  await running.probe();
  const report = (await load.next('http', windowMs + 30_000)) as unknown as HttpLoadReport;
  const { loop_longest_ms: loopMs } = await running.probe();
  await running.running.end('SIGTERM');
  return { report, loopMs };
}

const year: Question = { metrics: ['consumption_kw'], periodMs: periodsMs['1y'], points: 500 };
const fourMonths: Question = { metrics: month, periodMs: periodsMs['30d'], points: 720 };

const timed = (question: Question): Contestant => ({
  what: 'the gateway as villagrid init makes it, with a year of history',
  async run(lap) {
    const { report, loopMs } = await ask(lap, question);
    const { p99Ms, longestMs, answerBytes, requests } = report;
    return {
      value: report.p50Ms,
      beside: { p99_ms: p99Ms, longest_ms: longestMs, loop_ms: loopMs, bytes: answerBytes, requests },
    };
  },
});

export const benches: readonly Bench[] = [
  {
    id: 'gateway.history.year',
    unit: 'ms',
    what: 'Median time of an answer over HTTP: one metric over a year to 500 points, one question after the other.',
    own: timed(year),
  },
  {
    id: 'gateway.history.month_of_four',
    unit: 'ms',
    what: 'Median time of an answer over HTTP: four metrics over 30 days to 720 points, one question after the other.',
    own: timed(fourMonths),
  },
  {
    id: 'gateway.history.event_loop',
    unit: 'ms',
    what: 'Longest time the event loop was held up while a year of one metric was asked again and again for 4 s.',
    own: {
      what: 'the same gateway',
      async run(lap) {
        const { loopMs, report } = await ask(lap, year);
        return { value: loopMs, beside: { requests: report.requests } };
      },
    },
  },
  {
    id: 'gateway.history.report_event_loop',
    unit: 'ms',
    what: 'Longest time the event loop was held up while three reports of a year were made.',
    own: {
      what: 'the same gateway',
      async run(lap) {
        const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount });
        const untilMs = await withYear(lap, gateway.dataDirectory);
        const running = await startGateway(lap, gateway);
        const headers = { authorization: `Bearer ${await running.token()}` };
        const report = async () => {
          const beganMs = performance.now();
          const query = `?from=${untilMs - periodsMs['1y']}&to=${untilMs}&by=month`;
          const answer = await fetch(`${running.http}${gridPath('reports', query)}`, { headers });
          if (!answer.ok) throw new Error(`the report failed: ${await answer.text()}`);
          await answer.arrayBuffer();
          return performance.now() - beganMs;
        };
        await report();
        await running.probe();
        const tookMs = [await report(), await report(), await report()].sort((a, b) => a - b)[1] ?? Number.NaN;
        const { loop_longest_ms: loopMs } = await running.probe();
        await running.running.end('SIGTERM');
        return { value: loopMs, beside: { report_ms: tookMs } };
      },
    },
  },
];
