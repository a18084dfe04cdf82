/** What commands share that ask a running gateway as a person whom it knows. */
import { resolve } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import type { Command } from 'commander';
import { openGateway, type Credentials, type GatewaySession } from '../site/ask-gateway.js';
import type { CommandPorts } from './command.js';

/** Where the gateway is and who asks. */
export interface PersonOptions {
  readonly folder: string;
  readonly username: string;
  readonly passwordStdin?: boolean;
}

/** Gives a command the options of `PersonOptions`. `who` says what the person must be. */
export function withPerson(command: Command, who: string): Command {
  return command
    .requiredOption('--folder <folder>', "the gateway's folder")
    .requiredOption('--username <name>', who)
    .option('--password-stdin', 'read the password from standard input instead of asking');
}

/** Name and password, the latter as given or asked for. Throws E_REQUEST_INVALID when nobody is there to ask. */
export async function credentialsOf(
  { username, passwordStdin }: PersonOptions,
  { readStdin, ask }: CommandPorts,
): Promise<Credentials> {
  const typed = passwordStdin ? await readStdin() : await ask(`Password of ${username}: `);
  if (typed === undefined)
    throw new VillagridError('E_REQUEST_INVALID', 'There is no password, and nobody to ask for it.', {
      next: 'Give --password-stdin.',
    });
  return { username, password: typed.replace(/\r?\n$/, '') };
}

/** Logs in at the gateway. Throws what `credentialsOf` and `openGateway` throw. */
export async function openAs(options: PersonOptions, ports: CommandPorts): Promise<GatewaySession> {
  return openGateway(resolve(options.folder), await credentialsOf(options, ports));
}

/** Text that a person wrote, for a terminal: no control characters, which could move the cursor or hide words. */
export function plainText(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, ' ');
}
