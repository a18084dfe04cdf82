/** Options of `npm start`. */
import { parseArgs } from 'node:util';

/** What was asked for. */
export interface StartOptions {
  readonly data: string;
  readonly portBase: number | undefined;
  readonly speed: number;
  readonly seed: number;
  readonly grids: number;
  readonly help: boolean;
}

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
  const value = Number(text);
  if (!Number.isFinite(value) || value < min || value > max)
    throw new Error(`--${name} ${text}: give a number from ${min} to ${max}.`);
  return value;
};

/** Reads the options; throws an Error that says which is wrong. */
export function readOptions(words: readonly string[], defaultData: string): StartOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      data: { type: 'string' },
      'port-base': { type: 'string' },
      speed: { type: 'string' },
      seed: { type: 'string' },
      grids: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const portBase = values['port-base'];
  return {
    data: values.data ?? defaultData,
    portBase: portBase === undefined ? undefined : Math.round(number('port-base', portBase, 0, 1024, 64_000)),
    speed: number('speed', values.speed, 1, 0.01, 1000),
    seed: Math.round(number('seed', values.seed, 1, 0, 2 ** 31)),
    grids: Math.round(number('grids', values.grids, 1, 1, mostGrids)),
    help: values.help ?? false,
  };
}
