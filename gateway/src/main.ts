/** The gateway's process: the only reader of its arguments and environment. */
import { parseArgs } from 'node:util';
import { messageOf, VillagridError, type Clock } from '@villagrid/contracts';
import {
  acceleratedClock,
  createLogger,
  cryptoRandom,
  describeConfig,
  realClock,
  runUntilSignal,
} from '@villagrid/runtime';
import { checkNamedFiles, createGateway, gatewayVersion } from './app.js';
import { readDeviceCredentials } from './config/credentials.js';
import { loadGatewayConfig } from './config/load.js';
import { gatewayConfigSchema } from './config/schema.js';

const usage = `villagrid-gateway ${gatewayVersion}

Usage: node main.js --config <gateway.yaml> [--check]

  --config <file>   settings; default /etc/villagrid/gateway.yaml, or VILLAGRID_GATEWAY_CONFIG
  --check           only checks the settings, credentials and payload mappings, and ends
  --help            this text and every setting

Settings:
`;

function settingsHelp(): string {
  return describeConfig(gatewayConfigSchema)
    .map(({ path, type, default: standard, description }) => {
      const told = [
        type,
        ...(standard === undefined ? [] : [`default ${standard}`]),
        ...(description ? [description] : []),
      ];
      return `  ${path}\n      ${told.join('; ')}`;
    })
    .join('\n');
}

/** Says what is wrong and what to do, and ends. */
function fail(error: unknown): never {
  if (error instanceof VillagridError) process.stderr.write(`${error.message}\n${error.next}\n`);
  else process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}

function readArguments() {
  try {
    return parseArgs({
      options: { config: { type: 'string' }, check: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    return fail(error);
  }
}

async function main(): Promise<void> {
  const { config: given, check, help } = readArguments();
  if (help) {
    process.stdout.write(`${usage}${settingsHelp()}\n`);
    return;
  }
  const path = given ?? process.env.VILLAGRID_GATEWAY_CONFIG ?? '/etc/villagrid/gateway.yaml';
  const real = realClock();
  try {
    const config = loadGatewayConfig({ path });
    if (check) {
      readDeviceCredentials(config.device_credentials_file);
      checkNamedFiles(config);
      process.stdout.write(`${path}: the settings are right.\n`);
      return;
    }
    const clock: Clock = config.clock
      ? acceleratedClock({
          realEpochMs: config.clock.real_epoch_ms,
          villageEpochMs: config.clock.village_epoch_ms,
          speed: config.clock.speed,
        })
      : real;
    const log = createLogger({ name: 'gateway', level: config.logging.level, clock });
    const gateway = createGateway(config, { clock, realClock: real, random: cryptoRandom(), log });
    await runUntilSignal(gateway.lifecycle, { log });
    // Starting twice is once: a failed start is already being ended, and tells nobody that it is ready.
    const addresses = await gateway.start().catch(() => undefined);
    if (!addresses) return;
    const ready = { gateway: 'ready', grid_id: config.site.grid_id, pid: process.pid, ...addresses };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
  } catch (error) {
    fail(error);
  }
}

await main();
