/** `villagrid cloud init` and `cloud grid add`; what is about devices without a gateway is in cloud-device.ts. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { addGatewayToCloud, initCloud } from '../site/cloud-site.js';
import { addCloudDeviceCommands } from './cloud-device.js';
import type { CommandPorts } from './command.js';
import { basePort } from './init.js';

export function addCloudCommands(program: Command, ports: CommandPorts): void {
  const { realClock, print } = ports;
  const cloud = program.command('cloud').description('the cloud on one machine');

  cloud
    .command('init')
    .description("make the cloud's folder: configuration, own authority, certificates")
    .requiredOption('--folder <folder>', 'where to make it')
    .option('--name <name...>', 'names and addresses people and gateways reach it by')
    .option('--port-base <port>', 'ports from here on: +10 http, +11 https, +13 mqtts', basePort)
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid cloud init --folder /etc/villagrid-cloud --name cloud.example.org\n')
    .action(async (options: { folder: string; name?: string[]; portBase?: number; json?: boolean }) => {
      const base = options.portBase;
      const files = await initCloud({
        folder: resolve(options.folder),
        ...(options.name === undefined ? {} : { names: options.name }),
        ...(base === undefined ? {} : { ports: { http: base + 10, https: base + 11, mqtts: base + 13 } }),
        realNowMs: realClock.nowMs(),
      });
      print(options.json ? JSON.stringify(files) : `Made ${files.config}`);
    });

  const grid = cloud.command('grid').description('grids of the cloud');
  addCloudDeviceCommands(cloud, grid, ports);
  grid
    .command('add')
    .description(
      "register a gateway: client certificate, entry in the directory, uplink in the gateway's configuration",
    )
    .requiredOption('--folder <folder>', "the cloud's folder")
    .requiredOption('--gateway-folder <folder>', "the gateway's folder")
    .requiredOption('--url <url>', 'address of the cloud as the gateway reaches it, mqtts://name:port')
    .option('--organisation <id>', 'organisation the grid belongs to')
    .addHelpText(
      'after',
      '\nExample:\n  villagrid cloud grid add --folder /etc/villagrid-cloud --gateway-folder ./kisima --url mqtts://cloud.example.org:9883\n',
    )
    .action(async (options: { folder: string; gatewayFolder: string; url: string; organisation?: string }) => {
      await addGatewayToCloud({
        cloudFolder: resolve(options.folder),
        gatewayFolder: resolve(options.gatewayFolder),
        url: options.url,
        ...(options.organisation === undefined ? {} : { organisationId: options.organisation }),
        realNowMs: realClock.nowMs(),
      });
      print('Registered. Copy the gateway’s folder to the box, or restart the gateway if it is there.');
    });
}
