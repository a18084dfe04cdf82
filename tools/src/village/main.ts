/** `npm run village -- ...`: asks a running village, switches faults, stops and starts its parts. */
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { realClock } from '@villagrid/runtime';
import { askSimulator, controlSocketPath } from '@villagrid/simulator';
import { villageFiles } from '../start/layout.js';
import { askLine } from '../start/line-socket.js';

const help = `Talks to a running village.

npm run village -- status                       what runs, and the state of the virtual village
npm run village -- faults                       which faults there are
npm run village -- fault NAME [TARGET] [--off]  switch a fault on or off, e.g. fault node-dies meteo-1
npm run village -- stop PART                    stop cloud, gateway or simulator
npm run village -- start PART                   start it again
  --data DIR    the village's data folder (default: .village)
  --grid ID     of several villages, which
  --json        answer as JSON

Exit code: 0 done, 1 refused or nothing runs, 2 wrong command line.
`;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const clock = realClock();

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      data: { type: 'string' },
      grid: { type: 'string' },
      off: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [command, name, target] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(help);
    return values.help ? 0 : 2;
  }
  const files = villageFiles(resolve(values.data ?? join(root, '.village')));
  const ofStart = (question: Record<string, unknown>) => askLine(controlSocketPath(files.startSocket), question);
  const ofSimulator = (question: Parameters<typeof askSimulator>[1]) =>
    askSimulator(controlSocketPath(files.simulatorSocket), question, clock);
  let answer: unknown;
  if (command === 'status') {
    const parts = await ofStart({ command: 'status' });
    answer =
      parts === undefined ? undefined : { parts, village: await ofSimulator({ command: 'status' }).catch(() => null) };
  } else if (command === 'faults') answer = await ofSimulator({ command: 'faults' });
  else if (command === 'fault' && name !== undefined) {
    answer = await ofSimulator({
      command: 'fault',
      name,
      ...(target === undefined ? {} : { target }),
      ...(values.grid === undefined ? {} : { grid_id: values.grid }),
      on: !values.off,
    });
  } else if ((command === 'stop' || command === 'start') && name !== undefined)
    answer = await ofStart({ command, part: name });
  else {
    process.stderr.write(help);
    return 2;
  }
  if (answer === undefined) {
    process.stderr.write('No village runs on this data folder: run `npm start` first.\n');
    return 1;
  }
  process.stdout.write(`${JSON.stringify(answer, null, values.json ? 0 : 2)}\n`);
  return 0;
}

try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
