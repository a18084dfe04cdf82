/** `villagrid restore`. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { restoreBackup } from '@villagrid/gateway/backup';
import type { CommandPorts } from './command.js';
import { type PassphraseOptions, passphraseOf, withPassphrase } from './passphrase.js';

export function addRestore(program: Command, ports: CommandPorts): void {
  const { print, random, realClock, log } = ports;
  withPassphrase(
    program
      .command('restore')
      .description('put a backup of a gateway into empty folders, of this box or another one')
      .argument('<file>', 'the backup')
      .requiredOption('--to <folder>', "folder for the gateway's settings")
      .option('--data <folder>', 'folder for the databases (default: data in the folder)')
      .option('--grid <id>', 'refuse the backup of another grid'),
  )
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  sudo villagrid restore kisima-20261128-063000.vgbackup --to /etc/villagrid --data /var/lib/villagrid\n\nThe box it was made on must not run any more: two boxes with one identity spoil each other’s numbers.\n',
    )
    .action(
      async (
        file: string,
        options: PassphraseOptions & {
          readonly to: string;
          readonly data?: string;
          readonly grid?: string;
          readonly json?: boolean;
        },
      ) => {
        const folder = resolve(options.to);
        const restored = await restoreBackup({
          file: resolve(file),
          folder,
          dataDir: options.data === undefined ? join(folder, 'data') : resolve(options.data),
          passphrase: () => passphraseOf(options, ports, { twice: false }),
          ...(options.grid === undefined ? {} : { gridId: options.grid }),
          clock: realClock,
          random,
          log,
        });
        const { info } = restored;
        if (options.json) {
          print(
            JSON.stringify({
              grid_id: info.grid_id,
              gateway_id: info.gateway_id,
              made_at_ms: info.made_at_ms,
              epoch: restored.epoch,
              previous_epoch: restored.previousEpoch,
              previous_last_number: restored.previousLastNumber,
            }),
          );
          return;
        }
        print(`Restored ${info.grid_id} (${info.gateway_id}) as it was on ${new Date(info.made_at_ms).toISOString()}.`);
        for (const [missing, why] of info.left_out) print(`Not in the backup: ${missing}, because ${why}`);
        print('Next: make sure that the box it was made on is off and stays off');
        print('      sudo systemd-tmpfiles --create');
        print('      sudo systemctl restart villagrid-gateway');
        print(`      villagrid doctor --folder ${folder}`);
      },
    );
}
