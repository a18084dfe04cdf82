/** Options of `npm start`. */
import { parseArgs } from 'node:util';
import { wrongOption } from '../words.js';

/** What was asked for. */
export interface StartOptions {
  readonly data: string;
  readonly portBase: number | undefined;
  readonly speed: number;
  readonly seed: number;
  readonly grids: number;
  readonly help: boolean;
  /** Those of the options for a village that were on the command line, as they are written there. */
  readonly given: readonly SettingName[];
}

/** Options that make the village what it is; a start that finds it running cannot change them. */
export const settings = ['port-base', 'speed', 'seed', 'grids'] as const;
export type SettingName = (typeof settings)[number];

/** The value of such an option. */
export const settingOf = (start: StartOptions, name: SettingName): number | undefined =>
  name === 'port-base' ? start.portBase : start[name];

/** Most villages one start runs: their ports are 100 apart. */
export const mostGrids = 9;

export const help = `Runs a whole village: gateway, virtual devices, cloud and app.

npm start -- [options]
  --data DIR       where everything is kept (default: .village in this folder)
  --port-base N    ports from N on: N http, N+1 https, N+2 mqtt, N+3 mqtts of the gateway;
                   N+10 http, N+11 https, N+13 mqtts of the cloud; N+14 the virtual link; N+20 and up virtual Modbus devices
                   (default: 8080, 8443, 1883, 8883; 9080, 9443, 9883; 9884; 5020 and up; further villages 100 higher each)
  --speed N        village time runs N times as fast (default 1)
  --seed N         another village's weather and habits (default 1)
  --grids N        so many villages, each with its own gateway (1 to ${mostGrids}; default 1)

Example: npm start -- --port-base 20000 --speed 60 --seed 7
`;

const number = (name: string, text: string | undefined, fallback: number, min: number, max: number): number => {
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < min || value > max)
    throw new Error(`--${name} ${text}: give a number from ${min} to ${max}.`);
  return value;
};

/** Reads the options; throws an Error that says which is wrong. */
export function readOptions(words: readonly string[], defaultData: string): StartOptions {
  const values = parse(words);
  if (values.data === '') throw new Error('--data needs a value.');
  const portBase = values['port-base'];
  return {
    data: values.data ?? defaultData,
    portBase: portBase === undefined ? undefined : Math.round(number('port-base', portBase, 0, 1024, 64_000)),
    speed: number('speed', values.speed, 1, 0.01, 1000),
    seed: Math.round(number('seed', values.seed, 1, 0, 2 ** 31)),
    grids: Math.round(number('grids', values.grids, 1, 1, mostGrids)),
    help: values.help ?? false,
    given: settings.filter((name) => values[name] !== undefined),
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        data: { type: 'string' },
        'port-base': { type: 'string' },
        speed: { type: 'string' },
        seed: { type: 'string' },
        grids: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new Error(wrongOption(error), { cause: error });
  }
}
