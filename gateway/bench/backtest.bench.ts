/** Trying rules on the past, over HTTP: a month of the reference village, and what is asked of the event loop meanwhile. */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RuleTest, RuleTestRequest } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import type { Bench, Contestant, Lap } from '@villagrid/tools/bench';
import { gridId, makeGatewayFolder } from './gateway-folder.js';
import { gridPath, startGateway, startProgram } from './gateway-process.js';
import type { PastSettings } from './past.js';

const deviceCount = 10;
const days = 30;
const dayMs = 86_400_000;
const readings = (days * dayMs) / 5000;

/** A month's data, made once and copied for each run. Gives when it ends. */
async function withMonth(lap: Lap, dataDirectory: string): Promise<number> {
  const kept = join(lap.kept, 'past-1');
  const endFile = join(kept, 'ends.json');
  const untilMs = Math.floor(realClock().nowMs() / dayMs) * dayMs;
  if (!existsSync(endFile) || (JSON.parse(readFileSync(endFile, 'utf8')) as number) < untilMs - 7 * dayMs) {
    const making = `${kept}-making`;
    rmSync(making, { recursive: true, force: true });
    rmSync(kept, { recursive: true, force: true });
    mkdirSync(making, { recursive: true });
    const settings: PastSettings = {
      dataDirectory: making,
      gridId,
      devices: Array.from({ length: deviceCount }, (_, index) => `node-${String(index + 1).padStart(2, '0')}`),
      days: days + 1,
      untilMs,
    };
    await startProgram(lap, 'past', settings).next('past', 900_000);
    writeFileSync(join(making, 'ends.json'), String(untilMs));
    renameSync(making, kept);
  }
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  cpSync(join(kept, 'telemetry.db'), join(dataDirectory, 'telemetry.db'));
  return JSON.parse(readFileSync(endFile, 'utf8')) as number;
}

/** Tries a rule and gives how long it took; checks that it read what it should. */
const tried = (what: string, request: RuleTestRequest, samples: number, value: 'took' | 'loop'): Contestant => ({
  what,
  async run(lap) {
    const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), { devices: deviceCount });
    const untilMs = await withMonth(lap, gateway.dataDirectory);
    const running = await startGateway(lap, gateway);
    const authorization = `Bearer ${await running.token()}`;
    const path = `${running.http}${gridPath('rules', '/tests')}`;
    const ask = async (to: string, init: RequestInit = {}): Promise<RuleTest> => {
      const headers = { authorization, 'content-type': 'application/json' };
      const answer = await fetch(to, { ...init, headers });
      if (!answer.ok) throw new Error(`the test failed: ${await answer.text()}`);
      return (await answer.json()) as RuleTest;
    };
    const body = JSON.stringify({ ...request, from: String(untilMs - days * dayMs), to: String(untilMs) });
    const once = async (): Promise<RuleTest> => {
      let test = await ask(path, { method: 'POST', body });
      while (test.state === 'waiting' || test.state === 'running') {
        await realClock().sleep(10);
        test = await ask(`${path}/${test.test_id}`);
      }
      return test;
    };
    await running.probe();
    const { result, state } = await once();
    const { loop_longest_ms: loopMs, rss_mb: rssMb } = await running.probe();
    await running.running.end('SIGTERM');
    if (result === null) throw new Error(`the test is ${state}`);
    if (result.samples < samples) throw new Error(`${result.samples} samples were played, not ${samples}`);
    const figures = { took_ms: result.took_ms, loop_ms: loopMs };
    return {
      value: value === 'took' ? figures.took_ms : figures.loop_ms,
      beside: { ...figures, rss_mb: rssMb, samples: result.samples, occurrences: result.variants[0]?.count ?? 0 },
    };
  },
});

const series: RuleTestRequest = {
  rule: {
    kind: 'threshold',
    selector: { scope: 'series', metric: 'consumption_kw', device_id: 'node-01' },
    parameters: { above: 8, deadband: 1, on_delay_ms: 60_000, off_delay_ms: 120_000 },
  },
};
const figure: RuleTestRequest = { rule_id: 'low_battery' };
const all: RuleTestRequest = { rule_id: 'device_silent' };

export const benches: readonly Bench[] = [
  {
    id: 'gateway.backtest.series',
    unit: 'ms',
    what: 'Time of a back-test of a threshold over 30 days of one series with a sample every 5 s.',
    own: tried('the gateway as villagrid init makes it', series, readings, 'took'),
  },
  {
    id: 'gateway.backtest.figure',
    unit: 'ms',
    what: 'The same over 30 days of a figure of the grid.',
    own: tried('the same gateway', figure, readings, 'took'),
  },
  {
    id: 'gateway.backtest.village',
    unit: 'ms',
    what: 'Time of a back-test of a rule over all 120 series of the reference village, 30 days at 5 s.',
    own: tried('the same gateway', all, readings * 120, 'took'),
  },
  {
    id: 'gateway.backtest.event_loop',
    unit: 'ms',
    what: 'Longest time the event loop was held up during a back-test over all series of the reference village.',
    own: tried('the same gateway', all, readings * 120, 'loop'),
  },
];
