/** A gateway's process that is measured, from its bundle, as a box runs it. */
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lap, Running } from '@villagrid/tools/bench';
import { buildShim } from '../src/testing/disk/shim.js';
import { gridId, viewer, type GatewayFolder } from './gateway-folder.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What the gateway says of itself when asked, see probe.mjs. */
export interface Probe {
  readonly loop_longest_ms: number;
  readonly loop_p99_ms: number;
  readonly rss_mb: number;
  readonly heap_mb: number;
  readonly external_mb: number;
}

/** A running gateway. */
export interface GatewayProcess {
  readonly running: Running;
  readonly http: string;
  readonly mqtt: number;
  readonly mqtts: number;
  /** Asks it how it is; what it tells of its event loop is since it was asked before. */
  probe(): Promise<Probe>;
  /** Logs the viewer in. */
  token(): Promise<string>;
}

export interface GatewayProcessOptions {
  /** Milliseconds that every sync of its disk takes longer. */
  readonly slowSyncMs?: number;
  /** Without the probe, which itself wakes the process up. */
  readonly bare?: boolean;
  readonly nodeOptions?: readonly string[];
}

/** The environment that the service gives it on a box. */
function serviceEnvironment(): NodeJS.ProcessEnv {
  const unit = readFileSync(at('../../systemd/villagrid-gateway.service'), 'utf8');
  return Object.fromEntries(
    [...unit.matchAll(/^Environment="?(\w+)=([^"\n]*)"?$/gm)].map(([, name, value]) => [name, value]),
  );
}

/** Starts a gateway and waits until it says that it is ready. */
export async function startGateway(
  lap: Lap,
  { config, dataDirectory }: GatewayFolder,
  { slowSyncMs, bare = false, nodeOptions = [] }: GatewayProcessOptions = {},
): Promise<GatewayProcess> {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const env: NodeJS.ProcessEnv = serviceEnvironment();
  if (slowSyncMs !== undefined) {
    env.LD_PRELOAD = buildShim(dirname(lap.folder));
    env.DISK_SHIM_DIR = realpathSync(dataDirectory);
    env.DISK_SHIM_DELAY = String(slowSyncMs);
    env.UV_USE_IO_URING = '0';
  }
  const running = lap.processes.start({
    name: 'gateway',
    command: process.execPath,
    args: [
      ...(lap.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', lap.profile]),
      ...nodeOptions,
      ...(bare ? [] : ['--import', at('probe.mjs')]),
      at('../bundle/main.js'),
      '--config',
      config,
    ],
    env,
  });
  const ready = (await running.next('gateway', 60_000)) as { http: string; mqtt: string; mqtts: string };
  return {
    running,
    http: ready.http,
    mqtt: Number(new URL(ready.mqtt).port),
    mqtts: Number(new URL(ready.mqtts).port),
    async probe() {
      process.kill(running.pid, 'SIGUSR2');
      return (await running.next('probe', 30_000)) as unknown as Probe;
    },
    async token() {
      const answer = await fetch(`${ready.http}/api/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(viewer),
      });
      const { token } = (await answer.json()) as { token?: string };
      if (token === undefined) throw new Error(`the login failed: ${answer.status}`);
      return token;
    },
  };
}

/** Starts a program of this folder in a process of its own, its settings in a file. */
export function startProgram(lap: Lap, name: string, settings: unknown): Running {
  const file = join(lap.folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(settings), { mode: 0o600 });
  return lap.processes.start({ name, command: process.execPath, args: ['--import=tsx', at(`${name}.ts`), file] });
}

/** Address of a grid's own route, e.g. `/api/historical/bench/...`. */
export const gridPath = (kind: string, rest = ''): string => `/api/${kind}/${gridId}${rest}`;
