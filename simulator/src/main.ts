/** The simulator's process: `node main.js --config FILE`. */
import { parseArgs } from 'node:util';
import { messageOf, VillagridError } from '@villagrid/contracts';
import {
  acceleratedClock,
  createLifecycle,
  createLogger,
  realClock,
  runUntilSignal,
  seededRandom,
} from '@villagrid/runtime';
import { startSimulator, type Simulator } from './app.js';
import { loadSimulatorConfig } from './config.js';

/** The starter of the village kills what has not ended after 1.9 s, if the gateways have used up their time. */
const stopWithinMs = 1800;

async function main(): Promise<void> {
  const path = parseArgs({ options: { config: { type: 'string' } } }).values.config;
  if (path === undefined) throw new VillagridError('E_CONFIG_READ', 'Say which with --config FILE.');
  const config = loadSimulatorConfig({ path });
  const clock = realClock();
  // Standard output has the ready line and nothing else.
  const log = createLogger({
    name: 'simulator',
    clock,
    destination: { write: (line) => void process.stderr.write(line) },
  });
  const lifecycle = createLifecycle({ log, clock, stopWithinMs });
  let simulator: Simulator | undefined;
  lifecycle.add({
    name: 'villages',
    async start() {
      simulator = await startSimulator(config, {
        realClock: clock,
        villageClock: acceleratedClock(config.clock),
        random: seededRandom(config.seed),
        log,
      });
    },
    stop: () => simulator?.stop(),
  });
  await runUntilSignal(lifecycle, { log });
  if (simulator === undefined) return;
  const ready = {
    simulator: 'ready',
    pid: process.pid,
    control_socket: simulator.controlSocket,
    grids: simulator.grids.map((grid) => ({
      grid_id: grid.gridId,
      modbus: grid.ports.modbus,
      line: grid.ports.line ?? null,
      wan: grid.ports.wan ?? null,
    })),
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

main().catch((error: unknown) => {
  const next = error instanceof VillagridError ? ` ${error.next}` : '';
  process.stderr.write(`${messageOf(error)}${next}\n`);
  process.exit(1);
});
