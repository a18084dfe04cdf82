/** The single-process cloud: `node main-local.js --config cloud.yaml`. The only reader of arguments in this room. */
import { VillagridError } from '@villagrid/contracts';
import { acceleratedClock, createLogger, cryptoRandom, realClock, runUntilSignal } from '@villagrid/runtime';
import { createCloud, type Cloud } from './app.js';
import { loadCloudConfig, type CloudConfig } from './config/load.js';

const at = process.argv.indexOf('--config');
const path = at < 0 ? 'cloud.yaml' : (process.argv[at + 1] ?? '');

/** Ends before anything was started, with the error in words. */
function fail(error: unknown): never {
  const told =
    error instanceof VillagridError
      ? `${error.message}\n${error.next}`
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  process.stderr.write(`${told}\n`);
  process.exit(1);
}

let config: CloudConfig;
let cloud: Cloud;
const real = realClock();
try {
  config = loadCloudConfig({ path });
} catch (error) {
  fail(error);
}
const { real_epoch_ms, village_epoch_ms, speed } = config.clock;
// Standard output is for the ready line alone.
const log = createLogger({
  name: 'cloud',
  level: config.logging.level,
  clock: real,
  destination: { write: (line) => void process.stderr.write(line) },
});
try {
  cloud = createCloud(config, {
    clock: acceleratedClock({ realEpochMs: real_epoch_ms, villageEpochMs: village_epoch_ms, speed }),
    realClock: real,
    random: cryptoRandom(),
    environment: process.env,
    log,
  });
} catch (error) {
  fail(error);
}
process.on('SIGHUP', () => void cloud.directory.reload());
await runUntilSignal(cloud.lifecycle, { log });
const addresses = cloud.addresses();
if (addresses) process.stdout.write(`${JSON.stringify({ cloud: 'ready', ...addresses })}\n`);
