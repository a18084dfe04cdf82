/** The simulator's process: `node main.js --config FILE`. */
import { readFileSync } from 'node:fs';
import { VillagridError } from '@villagrid/contracts';
import { acceleratedClock, realClock, seededRandom } from '@villagrid/runtime';
import { startSimulator } from './app.js';
import { parseSimulatorConfigText } from './config.js';
import type { Log } from './log.js';

const stopWithinMs = 1800;

async function main(): Promise<void> {
  const at = process.argv.indexOf('--config');
  const file = at < 0 ? undefined : process.argv[at + 1];
  if (file === undefined) throw new VillagridError('E_CONFIG_READ', 'Say which with --config FILE.');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${file}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const config = parseSimulatorConfigText(text);
  const clock = realClock();
  const write = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
    process.stderr.write(
      `${JSON.stringify({ level, time: clock.nowMs(), room: 'simulator', msg: event, ...fields })}\n`,
    );
  };
  const log: Log = { info: write('info'), warn: write('warn') };
  const simulator = await startSimulator(config, {
    realClock: clock,
    villageClock: acceleratedClock(config.clock),
    random: seededRandom(config.seed),
    log,
  });
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info('stopping', { signal });
    clock.after(stopWithinMs, () => process.exit(1));
    simulator.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.warn('did not stop cleanly', { reason: String(error) });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  const ready = {
    simulator: 'ready',
    pid: process.pid,
    control_socket: simulator.controlSocket,
    grids: simulator.grids.map((grid) => ({
      grid_id: grid.gridId,
      modbus: grid.ports.modbus,
      wan: grid.ports.wan ?? null,
    })),
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

main().catch((error: unknown) => {
  const next = error instanceof VillagridError ? ` ${error.next}` : '';
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}${next}\n`);
  process.exit(1);
});
