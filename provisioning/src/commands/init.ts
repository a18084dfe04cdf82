/** `villagrid init`: the folder of a new gateway. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { defaultGatewayPorts, initGateway } from '../site/gateway-site.js';
import type { CommandPorts } from './command.js';

/** A whole number from the command line. */
export function wholeNumber(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('give a whole number of 0 or more.');
  return value;
}

/** The first of a row of ports. */
export function basePort(text: string): number {
  const value = wholeNumber(text);
  if (value < 1 || value > 65_000) throw new InvalidArgumentError('give a port from 1 to 65000.');
  return value;
}

const decimal = (text: string): number => {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError('give a number.');
  return value;
};

export function addInit(program: Command, { realClock, print }: CommandPorts): void {
  program
    .command('init')
    .description('make the folder of a new gateway: configuration, own authority, certificates')
    .requiredOption('--folder <folder>', 'where to make it')
    .requiredOption('--grid <id>', 'id of the grid: lower-case letters, digits, - and _')
    .requiredOption('--name <name>', 'name of the village')
    .option('--gateway <id>', 'id of the gateway (default: gw-<grid>)')
    .option('--zone <zone>', 'time zone of the village', 'UTC')
    .option('--pv-kwp <kWp>', 'peak power of the panels', decimal)
    .option('--battery-kwh <kWh>', 'energy of the battery', decimal)
    .option(
      '--certificate-name <name...>',
      'further names and addresses people and nodes reach it by (--name is the village)',
    )
    .option('--host <address>', 'address to listen on', '0.0.0.0')
    .option('--port-base <port>', 'ports from here on instead of the usual ones', basePort)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  villagrid init --folder /etc/villagrid --grid kisima --name Kisima --zone Africa/Nairobi --pv-kwp 45 --battery-kwh 160\n',
    )
    .action(
      async (options: {
        folder: string;
        grid: string;
        name: string;
        gateway?: string;
        zone: string;
        pvKwp?: number;
        batteryKwh?: number;
        certificateName?: string[];
        host: string;
        portBase?: number;
        json?: boolean;
      }) => {
        const folder = resolve(options.folder);
        const base = options.portBase;
        const files = await initGateway({
          folder,
          site: {
            grid_id: options.grid,
            gateway_id: options.gateway ?? `gw-${options.grid}`,
            name: options.name,
            zone: options.zone,
            plant: {
              ...(options.pvKwp === undefined ? {} : { pv_kwp: options.pvKwp }),
              ...(options.batteryKwh === undefined ? {} : { battery_kwh: options.batteryKwh }),
              battery_floor_pct: 20,
              has_genset: false,
              has_mains: false,
            },
            devices: [],
            wiring: {},
          },
          host: options.host,
          ...(options.certificateName === undefined ? {} : { names: options.certificateName }),
          ports:
            base === undefined ? defaultGatewayPorts : { http: base, https: base + 1, mqtt: base + 2, mqtts: base + 3 },
          realNowMs: realClock.nowMs(),
        });
        if (options.json) print(JSON.stringify(files));
        else {
          print(`Made ${files.config}`);
          print(`Next: villagrid device add --folder ${folder} --device <id> --name <name>`);
          print(`      villagrid user add --folder ${folder} --username <name> --role admin`);
          print(`      villagrid doctor --folder ${folder}`);
        }
      },
    );
}
