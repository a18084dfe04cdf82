/** Options of `npm run bench`. */
import { parseArgs } from 'node:util';
import { wrongOption } from '../words.js';

/** What was asked for. */
export interface BenchOptions {
  readonly json: string | undefined;
  readonly runs: number;
  readonly only: string;
  readonly data: string;
  readonly peers: string | undefined;
  readonly profile: string | undefined;
  readonly list: boolean;
  readonly help: boolean;
}

/** Runs of each contestant when nothing is said. */
const defaultRuns = 5;

export const help = `Measures Villagrid with real processes, beside the limit of what is possible and beside what people use today.

npm run bench -- [options]
  --json FILE    write the results there too
  --runs N       rounds; each contestant runs once in each, the median counts (1 to 99; default ${defaultRuns})
  --only ID      only the bench with this id, or all whose id begins so
  --data DIR     where runs keep their files; the disk under it is part of what is measured (default: tmp/bench in this folder)
  --peers DIR    folder in which software that peers need is installed, e.g. by: npm install --prefix DIR node-red node-red-node-sqlite
                 (or the environment variable VILLAGRID_BENCH_PEERS)
  --profile DIR  write CPU profiles of our own processes there (open them in a browser's developer tools); figures are lower then
  --list         only say which benches there are
  --help         this text

Progress goes to stderr, the table to stdout. What a missing peer needs is said where it is skipped.
Exit code: 0 everything was measured, 1 a bench failed, 2 the command line is wrong.

Examples: npm run bench
          npm run bench -- --only gateway.intake --runs 3 --json results.json
`;

/** Reads the options; throws an Error that says which is wrong. */
export function readOptions(words: readonly string[], defaultData: string): BenchOptions {
  const values = parse(words);
  const runs = Number(values.runs ?? defaultRuns);
  if (!Number.isInteger(runs) || runs < 1 || runs > 99)
    throw new Error(`--runs ${values.runs}: give a whole number from 1 to 99.`);
  return {
    json: values.json,
    runs,
    only: values.only ?? '',
    data: values.data ?? defaultData,
    peers: values.peers ?? process.env.VILLAGRID_BENCH_PEERS,
    profile: values.profile,
    list: values.list ?? false,
    help: values.help ?? false,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        json: { type: 'string' },
        runs: { type: 'string' },
        only: { type: 'string' },
        data: { type: 'string' },
        peers: { type: 'string' },
        profile: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new Error(wrongOption(error), { cause: error });
  }
}
