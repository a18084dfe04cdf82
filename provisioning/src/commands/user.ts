/** `villagrid user add`, `user password`, `user role` and `user list`. */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type Grant, highestRole, type Role, roles, VillagridError } from '@villagrid/contracts';
import { type Command, Option } from 'commander';
import { makePassword } from '@villagrid/runtime';
import { withAccounts } from '../site/people.js';
import { GivenValueError } from '../site/check-gateway.js';
import { siteOf } from '../site/gateway-site.js';
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

interface RoleOptions {
  folder: string;
  username: string;
  role: Role;
  grid?: string;
  organisation?: string;
  json?: boolean;
}

/** The grant that the options ask for. Throws GivenValueError when a gateway does not have that grid. */
function grantOf({ folder, role, grid, organisation }: RoleOptions, configFile: string): Grant {
  if (grid !== undefined && organisation !== undefined)
    throw new GivenValueError('Give --grid or --organisation, not both.');
  if (organisation !== undefined) return { role, scope: { kind: 'organisation', organisation_id: organisation } };
  if (grid === undefined) return { role, scope: { kind: 'everything' } };
  const own = basename(configFile) === 'gateway.yaml' ? siteOf(resolve(folder)).grid_id : grid;
  if (own !== grid) throw new GivenValueError(`--grid ${grid}: this gateway has the grid "${own}".`);
  return { role, scope: { kind: 'grid', grid_id: grid } };
}

export function addUserCommands(program: Command, ports: CommandPorts): void {
  const { print, random } = ports;
  const user = program.command('user').description('people who may log in');
  const folder = ['--folder <folder>', "the gateway's or cloud's folder"] as const;
  const username = ['--username <name>', 'name to log in with'] as const;
  const role = () => new Option('--role <role>', 'what the person may do').choices([...roles]).makeOptionMandatory();
  const grid = ['--grid <id>', 'only for this grid (default: everything on this server)'] as const;
  const organisation = ['--organisation <id>', 'only for the grids of this organisation'] as const;
  const passwordStdin = ['--password-stdin', 'read the password from standard input instead of making one'] as const;

  const passwordFor = async (given: boolean | undefined): Promise<string> =>
    given ? (await ports.readStdin()).replace(/\r?\n$/, '') : makePassword(random);
  const show = (
    told: Record<string, string>,
    text: string,
    password: string | undefined,
    json: boolean | undefined,
  ) => {
    if (json) return print(JSON.stringify({ ...told, ...(password === undefined ? {} : { password }) }));
    print(text);
    if (password !== undefined) print(`password   ${password}   (shown once and kept nowhere)`);
  };

  user
    .command('add')
    .description('add a person')
    .requiredOption(...folder)
    .requiredOption(...username)
    .addOption(role())
    .option('--name <name>', 'name others see (default: the username)')
    .option(...grid)
    .option(...organisation)
    .option(...passwordStdin)
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid user add --folder /etc/villagrid --username asha --role operator\n')
    .action(async (options: RoleOptions & { name?: string; passwordStdin?: boolean }) => {
      const config = configIn(options.folder);
      const grant = grantOf(options, config);
      const password = await passwordFor(options.passwordStdin);
      await withAccounts(config, ports, async (accounts) => {
        try {
          await accounts.addUser({
            username: options.username,
            displayName: options.name ?? options.username,
            password,
            grants: [grant],
          });
        } catch (error) {
          if (!(error instanceof VillagridError) || error.code !== 'E_CONFLICT') throw error;
          throw new VillagridError('E_CONFLICT', error.detail, {
            next: 'Nothing was changed. A new password: `villagrid user password`; another role: `villagrid user role`.',
          });
        }
      });
      show(
        { username: options.username, result: 'added' },
        `${options.username}: added, ${options.role}`,
        options.passwordStdin ? undefined : password,
        options.json,
      );
    });

  user
    .command('password')
    .description('give a person a new password; their logins end')
    .requiredOption(...folder)
    .requiredOption(...username)
    .option(...passwordStdin)
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid user password --folder /etc/villagrid --username asha\n')
    .action(async (options: { folder: string; username: string; passwordStdin?: boolean; json?: boolean }) => {
      const password = await passwordFor(options.passwordStdin);
      await withAccounts(configIn(options.folder), ports, (accounts) =>
        accounts.setPassword(options.username, password),
      );
      show(
        { username: options.username, result: 'changed' },
        `${options.username}: new password`,
        options.passwordStdin ? undefined : password,
        options.json,
      );
    });

  user
    .command('role')
    .description('give a person another role instead of the ones they have')
    .requiredOption(...folder)
    .requiredOption(...username)
    .addOption(role())
    .option(...grid)
    .option(...organisation)
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid user role --folder /etc/villagrid --username asha --role admin\n')
    .action(async (options: RoleOptions) => {
      const config = configIn(options.folder);
      const grant = grantOf(options, config);
      await withAccounts(config, ports, async (accounts) => accounts.setGrants(options.username, [grant]));
      show(
        { username: options.username, result: 'changed' },
        `${options.username}: ${options.role} from now on`,
        undefined,
        options.json,
      );
    });

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
