/** `villagrid backup`. */
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { gatewayVersion } from '@villagrid/gateway';
import { makeBackup } from '@villagrid/gateway/backup';
import { noteBackup, sizeOf } from '../site/last-backup.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';
import { type PassphraseOptions, passphraseOf, withPassphrase } from './passphrase.js';

const keepNumber = (text: string): number => {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('give a whole number of 1 or more.');
  return value;
};

export function addBackup(program: Command, ports: CommandPorts): void {
  const { print, random, realClock } = ports;
  withPassphrase(
    program
      .command('backup')
      .description('back up a gateway, running or not, into one file: measurements, settings, people, keys')
      .argument('<to>', 'file to make, or a folder that is there, such as a stick')
      .requiredOption('--folder <folder>', "the gateway's folder")
      .option('--keep <number>', 'in a folder: how many backups of this grid stay; the oldest go', keepNumber),
  )
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  sudo villagrid backup /media/stick --folder /etc/villagrid --keep 10\n\nKeep the passphrase apart from the stick: without it nobody can restore the backup.\n',
    )
    .action(
      async (
        to: string,
        options: PassphraseOptions & { readonly folder: string; readonly keep?: number; readonly json?: boolean },
      ) => {
        const configFile = join(resolve(options.folder), 'gateway.yaml');
        const made = await makeBackup({
          configFile,
          to: resolve(to),
          passphrase: await passphraseOf(options, ports, { twice: true }),
          productVersion: gatewayVersion,
          nowMs: realClock.nowMs(),
          random,
          ...(options.keep === undefined ? {} : { keep: options.keep }),
        });
        const { info } = made;
        noteBackup(configFile, { made_at_ms: info.made_at_ms, file: made.file, bytes: made.bytes });
        if (options.json) {
          print(
            JSON.stringify({
              file: made.file,
              bytes: made.bytes,
              grid_id: info.grid_id,
              epoch: info.epoch,
              newest_number: info.newest_number,
              made_at_ms: info.made_at_ms,
              left_out: info.left_out,
              removed: made.removed,
            }),
          );
          return;
        }
        print(`Made ${made.file} (${sizeOf(made.bytes)}) of ${info.grid_id}, up to frame ${info.newest_number}.`);
        for (const [file, why] of info.left_out) print(`Not in it: ${file}, because ${why}`);
        for (const file of made.removed) print(`Removed the older ${file}`);
      },
    );
}
