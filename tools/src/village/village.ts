/** `npm run village -- ...` without argv and exit: asks a running village, switches faults, stops and starts its parts. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, type Clock } from '@villagrid/contracts';
import { askSimulator, type ControlAnswer, type ControlRequest, controlSocketPath } from '@villagrid/simulator';
import { villageFiles } from '../start/layout.js';
import { askLine } from '../start/line-socket.js';
import { quoted, wrongOption } from '../words.js';
import { faultsText, faultText, type Part, statusText, type VillageStatus } from './tell.js';

const help = `Talks to a running village.

npm run village -- status                       what runs, and the state of the virtual village
npm run village -- faults                       which faults there are
npm run village -- fault NAME [TARGET] [--off]  switch a fault on or off, e.g. fault node-dies meteo-1
npm run village -- stop PART                    stop cloud, gateway or simulator
npm run village -- start PART                   start it again
  --data DIR    the village's data folder (default: .village)
  --grid ID     of several villages, which (with status and fault)
  --json        answer as one line of JSON, for programs

Exit code: 0 done, 1 refused or nothing runs, 2 wrong command line.
`;

export interface VillagePorts {
  /** The real clock, for how long to wait for an answer. */
  readonly clock: Clock;
  /** Data folder when the command line names none. */
  readonly defaultData: string;
  print(text: string): void;
  printError(text: string): void;
}

/** The command line is wrong: exit code 2. */
class WrongWords extends Error {}
/** What was asked is refused or cannot be done: exit code 1. */
class Refused extends Error {}

/** Words each command takes after its name (least, most), and options of its own. */
const commands: Readonly<Record<string, { words: readonly [number, number]; options: readonly string[] }>> = {
  status: { words: [0, 0], options: ['grid'] },
  faults: { words: [0, 0], options: [] },
  fault: { words: [1, 2], options: ['grid', 'off'] },
  stop: { words: [1, 1], options: [] },
  start: { words: [1, 1], options: [] },
};

function read(words: string[]) {
  try {
    return parseArgs({
      args: words,
      allowPositionals: true,
      options: {
        data: { type: 'string' },
        grid: { type: 'string' },
        off: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new WrongWords(wrongOption(error), { cause: error });
  }
}

async function run(words: string[], { clock, defaultData, print }: VillagePorts): Promise<number> {
  const { values, positionals } = read(words);
  const [command, ...rest] = positionals;
  if (values.help) {
    print(help.trimEnd());
    return 0;
  }
  if (command === undefined) throw new WrongWords('Say what to do.');
  const form = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (form === undefined) throw new WrongWords(`There is no command "${command}".`);
  if (rest.length < form.words[0])
    throw new WrongWords(`${command} needs ${command === 'fault' ? 'a NAME' : 'a PART'}.`);
  if (rest.length > form.words[1]) throw new WrongWords(`${command} does not take "${rest[form.words[1]]}".`);
  for (const option of ['grid', 'off'] as const)
    if (values[option] !== undefined && !form.options.includes(option))
      throw new WrongWords(`${command} takes no --${option}.`);
  for (const option of ['data', 'grid'] as const)
    if (values[option] === '') throw new WrongWords(`--${option} needs a value.`);

  const files = villageFiles(resolve(values.data ?? defaultData));
  const withData = values.data === undefined ? '' : ` -- --data ${quoted(values.data)}`;
  const ofStart = async (question: Record<string, unknown>): Promise<unknown> => {
    const answer = await askLine(controlSocketPath(files.startSocket), question).catch((error: unknown) => {
      throw new Refused(messageOf(error));
    });
    if (answer === undefined)
      throw new Refused(`No village runs on this data folder: run \`npm start${withData}\` first.`);
    return answer;
  };
  const ofSimulator = async (question: ControlRequest): Promise<ControlAnswer & { ok: true }> => {
    let answer: ControlAnswer;
    try {
      answer = await askSimulator(controlSocketPath(files.simulatorSocket), question, clock);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw new Refused(message, { cause: error });
      // Says that nothing runs at all, if so.
      await ofStart({ command: 'status' });
      throw new Refused('The simulator does not run: start it with `start simulator`.', { cause: error });
    }
    if (!answer.ok) throw new Refused(answer.error);
    return answer;
  };
  const answer = (document: unknown, text: () => string) => print(values.json ? JSON.stringify(document) : text());

  const [name = '', target] = rest;
  if (command === 'status') {
    const parts = (await ofStart({ command: 'status' })) as Part[];
    const runs = parts.find((one) => one.part === 'simulator')?.running === true;
    let village = runs ? ((await ofSimulator({ command: 'status' })) as unknown as VillageStatus) : undefined;
    if (values.grid !== undefined && village !== undefined) {
      const grids = village.grids.filter((one) => one.grid_id === values.grid);
      if (grids.length === 0)
        throw new Refused(
          `There is no village "${values.grid}". Villages are ${village.grids.map((one) => one.grid_id).join(', ')}.`,
        );
      village = { ...village, grids };
    }
    answer({ parts, village: village ?? null }, () => statusText(parts, village));
  } else if (command === 'faults') {
    const all = await ofSimulator({ command: 'faults' });
    answer(all, () => faultsText(all.faults as Parameters<typeof faultsText>[0]));
  } else if (command === 'fault') {
    const on = !values.off;
    const done = await ofSimulator({
      command: 'fault',
      name,
      ...(target === undefined ? {} : { target }),
      ...(values.grid === undefined ? {} : { grid_id: values.grid }),
      on,
    });
    answer(done, () => faultText(String(done.grid_id), name, on, done.faults as Parameters<typeof faultText>[3]));
  } else {
    const part = (await ofStart({ command, part: name })) as Part;
    answer(part, () => `${part.part} ${part.running ? `runs, pid ${part.pid}` : 'is stopped'}.`);
  }
  return 0;
}

/** Runs a command line; resolves with the exit code, see the help. */
export async function runVillage(words: readonly string[], ports: VillagePorts): Promise<number> {
  try {
    return await run([...words], ports);
  } catch (error) {
    if (!(error instanceof WrongWords) && !(error instanceof Refused)) throw error;
    if (error instanceof Refused && words.includes('--json'))
      ports.print(JSON.stringify({ ok: false, error: error.message }));
    else ports.printError(error instanceof Refused ? error.message : `${error.message}\n\n${help.trimEnd()}`);
    return error instanceof Refused ? 1 : 2;
  }
}
