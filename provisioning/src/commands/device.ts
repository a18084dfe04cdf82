/** `villagrid device add` and `device credential`. */
import { resolve } from 'node:path';
import { deviceKinds, type SiteDevice, VillagridError } from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway/config';
import { busPlans, type LinePlan, resolveProfiles } from '@villagrid/gateway/field';
import { type Command, Option } from 'commander';
import { GivenValueError } from '../site/check-gateway.js';
import { writeSecret } from '../site/files.js';
import { addDevice, gatewayFiles, issueDeviceCredential, siteOf } from '../site/gateway-site.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';

interface AddOptions {
  folder: string;
  device: string;
  name: string;
  kind: SiteDevice['kind'];
  period: number;
  wire?: string[];
  out?: string;
  json?: boolean;
}

export function addDeviceCommands(program: Command, { random, print }: CommandPorts): void {
  const device = program.command('device').description('devices of a gateway');

  const tell = (
    folder: string,
    credential: { username: string; password: string },
    options: { out?: string; json?: boolean },
  ) => {
    const site = siteOf(folder);
    const sheet = {
      grid_id: site.grid_id,
      device_id: credential.username,
      ...credential,
      topic: `microgrid/${site.grid_id}/device/${credential.username}/telemetry`,
      ca: gatewayFiles(folder).authority,
    };
    if (options.out !== undefined) {
      writeSecret(resolve(options.out), `${JSON.stringify(sheet, null, 2)}\n`);
      print(`Credential written to ${resolve(options.out)} (readable by you only).`);
    } else if (options.json) print(JSON.stringify(sheet));
    else {
      for (const [key, value] of Object.entries(sheet)) print(`${key.padEnd(10)} ${value}`);
      print('The password is shown once and kept nowhere: put it into the node now.');
    }
    print('Restart the gateway so that it takes the change.');
  };

  device
    .command('add')
    .description('add an MQTT device and issue its credential')
    .requiredOption('--folder <folder>', "the gateway's folder")
    .requiredOption('--device <id>', 'id of the device')
    .requiredOption('--name <name>', 'name people read')
    .addOption(new Option('--kind <kind>', 'what it is').choices([...deviceKinds]).default('sensor'))
    .option('--period <seconds>', 'how often it reports', wholeNumber, 10)
    .option('--wire <figure=metric...>', 'grid figures that come from this device')
    .option('--out <file>', 'write the credential to a file instead of showing it')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  villagrid device add --folder /etc/villagrid --device cabinet-1 --name "Cabinet" --wire equipment_temp_c.cabinet=equipment_temp_c\n',
    )
    .action(async (options: AddOptions) => {
      const folder = resolve(options.folder);
      const wires: Record<string, string> = {};
      for (const wire of options.wire ?? []) {
        const [figure, metric, more] = wire.split('=');
        if (!figure || !metric || more !== undefined) throw new GivenValueError(`--wire ${wire}: give figure=metric.`);
        wires[figure] = metric;
      }
      addDevice(
        folder,
        {
          device_id: options.device,
          name: options.name,
          kind: options.kind,
          protocol: 'mqtt',
          period_s: options.period,
          expected: true,
        },
        wires,
      );
      tell(folder, await issueDeviceCredential(folder, options.device, random), options);
    });

  device
    .command('credential')
    .description('issue a new credential for a device; the former one stops to work')
    .requiredOption('--folder <folder>', "the gateway's folder")
    .requiredOption('--device <id>', 'id of the device')
    .option('--out <file>', 'write it to a file instead of showing it')
    .option('--json', 'answer as JSON')
    .action(async (options: { folder: string; device: string; out?: string; json?: boolean }) => {
      const folder = resolve(options.folder);
      const { devices } = siteOf(folder);
      const known = devices.filter((one) => one.protocol === 'mqtt').map((one) => one.device_id);
      if (!known.includes(options.device))
        throw new VillagridError(
          'E_DEVICE_NOT_FOUND',
          `"${options.device}" is no MQTT device of this gateway; there are ${known.join(', ') || 'none'}.`,
          { next: 'Add it with `villagrid device add`.' },
        );
      tell(folder, await issueDeviceCredential(folder, options.device, random), options);
    });

  device
    .command('plan')
    .description("what polling asks of each line: every device's requests, and the wire's time they take")
    .requiredOption('--folder <folder>', "the gateway's folder")
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nWhat a SunSpec device is asked it tells itself, at the first connection: its usual models are reckoned with here.\n\nExample:\n  villagrid device plan --folder /etc/villagrid\n',
    )
    .action((options: { folder: string; json?: boolean }) => {
      const config = loadGatewayConfig({ path: gatewayFiles(resolve(options.folder)).config });
      const { connections, profiles } = resolveProfiles(config.modbus?.connections ?? [], config.modbus?.profiles_dir);
      const plans = busPlans(connections, ({ profile }) => profiles.get(profile));
      if (options.json) print(JSON.stringify(plans));
      else for (const line of planSheet(plans)) print(line);
    });
}

function* planSheet(plans: readonly LinePlan[]): Generator<string> {
  if (plans.length === 0) yield 'This gateway has no Modbus devices.';
  for (const { line, devices, load, roundMs } of plans) {
    yield `${line}: ${devices.length} devices, one round ${(roundMs / 1000).toFixed(2)} s, ${(100 * load).toFixed(1)} % of its time`;
    for (const { deviceId, profile, unit, requests, assumedModels } of devices) {
      yield `  ${deviceId} (${profile}, unit ${unit})${assumedModels ? `: reckoned with its usual SunSpec models (${assumedModels.join(', ')}); which it has, and where, it tells at the first connection` : ''}`;
      for (const { function: code, address, count, everyS, busMs } of requests)
        yield `    function ${code}  ${String(address).padStart(5)} +${String(count).padEnd(3)} ${everyS === undefined ? 'at first contact' : `every ${everyS} s`}, ${busMs} ms`;
    }
    if (load > 0.8) yield '  Too much for this line: longer periods, a faster line, or a second one.';
  }
}
