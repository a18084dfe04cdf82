/** `villagrid user add` and `user list`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Grant, highestRole, type Role, roles, VillagridError } from '@villagrid/contracts';
import { type Command, Option } from 'commander';
import { makePassword } from '../site/password.js';
import { putUser, withAccounts } from '../site/people.js';
import type { CommandPorts } from './command.js';

/** The configuration file in a gateway's or cloud's folder. */
function configIn(folder: string): string {
  const found = ['gateway.yaml', 'cloud.yaml']
    .map((name) => join(resolve(folder), name))
    .find((path) => existsSync(path));
  if (found === undefined)
    throw new VillagridError('E_CONFIG_READ', `${resolve(folder)} holds neither gateway.yaml nor cloud.yaml.`);
  return found;
}

export function addUserCommands(program: Command, ports: CommandPorts): void {
  const { print, random } = ports;
  const user = program.command('user').description('people who may log in');

  user
    .command('add')
    .description('add a person, or give one a new password and role')
    .requiredOption('--folder <folder>', "the gateway's or cloud's folder")
    .requiredOption('--username <name>', 'name to log in with')
    .addOption(new Option('--role <role>', 'what the person may do').choices([...roles]).makeOptionMandatory())
    .option('--name <name>', 'name others see (default: the username)')
    .option('--grid <id>', 'only for this grid (default: everything on this server)')
    .option('--organisation <id>', 'only for the grids of this organisation')
    .option('--password-stdin', 'read the password from standard input instead of making one')
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid user add --folder /etc/villagrid --username asha --role operator\n')
    .action(
      async (options: {
        folder: string;
        username: string;
        role: Role;
        name?: string;
        grid?: string;
        organisation?: string;
        passwordStdin?: boolean;
        json?: boolean;
      }) => {
        const password = options.passwordStdin ? (await ports.readStdin()).replace(/\r?\n$/, '') : makePassword(random);
        const scope: Grant['scope'] = options.grid
          ? { kind: 'grid', grid_id: options.grid }
          : options.organisation
            ? { kind: 'organisation', organisation_id: options.organisation }
            : { kind: 'everything' };
        const result = await withAccounts(configIn(options.folder), ports, (accounts) =>
          putUser(accounts, {
            username: options.username,
            displayName: options.name ?? options.username,
            password,
            grants: [{ role: options.role, scope }],
          }),
        );
        const shown = options.passwordStdin ? {} : { password };
        if (options.json) print(JSON.stringify({ username: options.username, result, ...shown }));
        else {
          print(`${options.username}: ${result}, ${options.role}`);
          if (!options.passwordStdin) print(`password   ${password}   (shown once and kept nowhere)`);
        }
      },
    );

  user
    .command('list')
    .description('who may log in')
    .requiredOption('--folder <folder>', "the gateway's or cloud's folder")
    .option('--json', 'answer as JSON')
    .action(async (options: { folder: string; json?: boolean }) => {
      const people = await withAccounts(configIn(options.folder), ports, async (accounts) => accounts.list());
      const rows = people.map((one) => ({
        username: one.username,
        name: one.displayName,
        role:
          highestRole({
            user_id: one.userId,
            username: one.username,
            display_name: one.displayName,
            grants: one.grants,
          }) ?? 'none',
        disabled: one.disabled,
      }));
      if (options.json) print(JSON.stringify(rows));
      else
        for (const row of rows)
          print(`${row.username.padEnd(24)} ${row.role.padEnd(10)} ${row.name}${row.disabled ? ' (disabled)' : ''}`);
    });
}
