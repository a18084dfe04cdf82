/** A passphrase for a command: from a file, from standard input or asked for; never on the command line, where others see it. */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { VillagridError } from '@villagrid/contracts';
import { readText } from '../site/files.js';
import type { CommandPorts } from './command.js';

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseStdin?: boolean;
}

/** Adds the options to a command. */
export function withPassphrase(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'file that holds the passphrase, readable by its owner only')
    .option('--passphrase-stdin', 'read the passphrase from standard input instead of asking');
}

/** The passphrase; `twice` asks again when it is typed. Throws E_REQUEST_INVALID when there is none, or others may read its file. */
export async function passphraseOf(
  { passphraseFile, passphraseStdin }: PassphraseOptions,
  { ask, readStdin }: CommandPorts,
  { twice }: { readonly twice: boolean },
): Promise<string> {
  if (passphraseFile !== undefined) {
    if ((statSync(passphraseFile).mode & 0o077) !== 0)
      throw new VillagridError('E_REQUEST_INVALID', `Others may read ${passphraseFile}.`, {
        next: `chmod 600 ${passphraseFile}`,
      });
    return firstLine(readText(passphraseFile));
  }
  if (passphraseStdin === true) return firstLine(await readStdin());
  const typed = await ask('Passphrase of the backup: ');
  if (typed === undefined)
    throw new VillagridError('E_REQUEST_INVALID', 'There is no passphrase, and nobody to ask for it.', {
      next: 'Give --passphrase-file or --passphrase-stdin.',
    });
  if (twice && (await ask('The same again: ')) !== typed)
    throw new VillagridError('E_REQUEST_INVALID', 'The two were not the same.', { next: 'Try again.' });
  return typed;
}

const firstLine = (text: string): string => text.split(/\r?\n/, 1)[0] ?? '';
