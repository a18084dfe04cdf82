/** `villagrid cloud grid own`, `cloud device …`, `cloud letters` and `cloud replay`. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type DeviceKind, deviceKinds, messageOf, VillagridError } from '@villagrid/contracts';
import { aclOf, askControl, type ControlAnswer } from '@villagrid/runtime';
import { type Command, Option } from 'commander';
import { GivenValueError } from '../site/check-gateway.js';
import { addDeviceToCloud, addGridToCloud, devicesOfCloud } from '../site/cloud-device.js';
import { cloudFiles } from '../site/cloud-site.js';
import { readYaml } from '../site/files.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';

interface AddOptions {
  readonly folder: string;
  readonly grid: string;
  readonly device: string;
  readonly out: string;
  readonly name?: string;
  readonly kind: DeviceKind;
  readonly location?: string;
  readonly period: number;
  readonly figure?: readonly string[];
  readonly json?: boolean;
}

/** Letters as the cloud tells them. */
interface Letter {
  readonly id: number;
  readonly stage: string;
  readonly gatewayId: string;
  readonly gridId: string;
  readonly code: string;
  readonly reason: string;
  readonly lastMs: number;
  readonly times: number;
}
interface Replayed {
  readonly id: number;
  readonly stage: string;
  readonly outcome: string;
  readonly reason: string | null;
}

const folderOption = ['--folder <folder>', "the cloud's folder"] as const;
const replayWithinMs = 120_000;

export function addCloudDeviceCommands(
  cloud: Command,
  grid: Command,
  { realClock, print, exitCode }: CommandPorts,
): void {
  grid
    .command('own')
    .description('register a grid that has no gateway, only devices that publish to the cloud themselves')
    .requiredOption(...folderOption)
    .requiredOption('--grid <id>', 'id of the grid')
    .requiredOption('--name <name>', 'name people read')
    .option('--zone <zone>', 'IANA time zone of the village', 'UTC')
    .option('--organisation <id>', 'organisation the grid belongs to')
    .action((options: { folder: string; grid: string; name: string; zone: string; organisation?: string }) => {
      const { grid: grid_id, name, zone, organisation } = options;
      const entry = { grid_id, name, zone, ...(organisation === undefined ? {} : { organisation_id: organisation }) };
      addGridToCloud(resolve(options.folder), entry);
      print(`Registered grid ${grid_id}.`);
    });

  const device = cloud.command('device').description('devices that publish to the cloud themselves, without a gateway');
  device
    .command('add')
    .description('register a device and issue its certificate; again, it gets a new certificate')
    .requiredOption(...folderOption)
    .requiredOption('--grid <id>', 'grid it belongs to')
    .requiredOption('--device <id>', 'id of the device, unique in this cloud')
    .requiredOption('--out <folder>', 'where its certificate, key and the authority are put')
    .option('--name <name>', 'name people read')
    .addOption(new Option('--kind <kind>', 'what it is').choices([...deviceKinds]).default('other'))
    .option('--location <words>', 'where it is')
    .option('--period <seconds>', 'how often it reports', wholeNumber, 60)
    .option('--figure <figure=metric...>', 'figures of the grid that come from this device')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  villagrid cloud device add --folder /etc/villagrid-cloud --grid gamma --device meter-7 --kind meter --figure consumption_kw=consumption_kw --out ./meter-7\n',
    )
    .action(async (options: AddOptions) => {
      const { name, location } = options;
      const figures: Record<string, string> = {};
      for (const given of options.figure ?? []) {
        const [figure, metric, more] = given.split('=');
        if (!figure || !metric || more !== undefined)
          throw new GivenValueError(`--figure ${given}: give figure=metric.`);
        figures[figure] = metric;
      }
      const out = resolve(options.out);
      mkdirSync(out, { recursive: true, mode: 0o700 });
      const sheet = await addDeviceToCloud({
        cloudFolder: resolve(options.folder),
        out,
        device: {
          device_id: options.device,
          grid_id: options.grid,
          ...(name === undefined ? {} : { name }),
          kind: options.kind,
          ...(location === undefined ? {} : { location }),
          period_s: options.period,
          ...(Object.keys(figures).length === 0 ? {} : { figures }),
        },
        realNowMs: realClock.nowMs(),
      });
      if (options.json) print(JSON.stringify(sheet));
      else for (const [key, value] of Object.entries(sheet)) print(`${key.padEnd(12)} ${value}`);
    });
  device
    .command('acl')
    .description("lines for mosquitto's ACL: which grid's alerts topic each device may use")
    .requiredOption(...folderOption)
    .action((options: { folder: string }) => {
      print(aclOf(devicesOfCloud(resolve(options.folder))).trim());
    });
  device
    .command('show')
    .description('what came from a device of each of its boots, and what is missing; asks the running cloud')
    .requiredOption(...folderOption)
    .requiredOption('--device <id>', 'id of the device')
    .action(async (options: { folder: string; device: string }) => {
      const answer = await ask(options.folder, { command: 'device', id: options.device });
      print(JSON.stringify(answer, null, 2));
    });

  cloud
    .command('letters')
    .description('messages and parts that were refused and are kept; asks the running cloud')
    .requiredOption(...folderOption)
    .option('--json', 'answer as JSON')
    .action(async (options: { folder: string; json?: boolean }) => {
      const answer = await ask(options.folder, { command: 'letters' });
      if (options.json) return print(JSON.stringify(answer));
      const letters = answer.letters as readonly Letter[];
      if (letters.length === 0) print('There are none.');
      for (const { id, stage, gatewayId, gridId, code, reason, lastMs, times } of letters)
        print(
          `${String(id).padStart(6)} ${new Date(lastMs).toISOString()} ${stage} of ${gatewayId} (${gridId}), ${times} times: ${code} ${reason}`,
        );
    });
  cloud
    .command('replay [ids...]')
    .description('try refused messages once more, after what refused them was mended; asks the running cloud')
    .requiredOption(...folderOption)
    .option('--stage <stage>', 'all of one stage: telemetry, history, envelope')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 all were taken, 1 some were not.\nExample:\n  villagrid cloud replay --folder /etc/villagrid-cloud --stage history\n',
    )
    .action(async (ids: string[], options: { folder: string; stage?: string; json?: boolean }) => {
      if (ids.length === 0 && options.stage === undefined)
        throw new GivenValueError('Say which: ids as `villagrid cloud letters` shows them, or --stage.');
      const which = ids.length > 0 ? { ids: ids.map(wholeNumber) } : { stage: options.stage };
      const answer = await ask(options.folder, { command: 'replay', ...which });
      const replayed = answer.replayed as readonly Replayed[];
      if (options.json) print(JSON.stringify(answer));
      else
        for (const { id, stage, outcome, reason } of replayed)
          print(
            `${String(id).padStart(6)} ${stage}: ${outcome.replace('_', ' ')}${reason === null ? '' : `, ${reason}`}`,
          );
      if (replayed.some(({ outcome }) => outcome !== 'taken')) exitCode(1);
    });

  /** Asks the cloud that runs from a folder. Throws E_REQUEST_INVALID when it does not run or refuses. */
  async function ask(
    given: string,
    request: { readonly command: string; readonly [key: string]: unknown },
  ): Promise<ControlAnswer & { readonly ok: true }> {
    const folder = resolve(given);
    const dataDir = String(readYaml(cloudFiles(folder).config).get('data_dir') ?? 'data');
    const socket = join(resolve(folder, dataDir), 'cloud.sock');
    const answer = await askControl(socket, request, realClock, replayWithinMs).catch((error: unknown) => {
      throw new VillagridError('E_REQUEST_INVALID', `the cloud of ${folder} does not answer: ${messageOf(error)}.`, {
        next: 'Start it, and run this as the user it runs as.',
      });
    });
    if (!answer.ok) throw new VillagridError('E_REQUEST_INVALID', answer.error);
    return answer;
  }
}
