/** `villagrid desired`: the documents a grid is to have, at its cloud or at the gateway itself. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  documentNames,
  messageOf,
  VillagridError,
  type DesiredDocument,
  type DesiredHistory,
  type DesiredState,
  type DocumentName,
} from '@villagrid/contracts';
import type { Command } from 'commander';
import { parse, stringify } from 'yaml';
import { openGateway, openServer, type ServerSession } from '../site/ask-gateway.js';
import { plainText } from './as-person.js';
import type { CommandPorts } from './command.js';

/** Who is asked and by whom. */
export interface ServerOptions {
  readonly folder?: string;
  readonly url?: string;
  readonly username: string;
  readonly passwordStdin?: boolean;
  readonly json?: boolean;
  /** A document that may come by standard input. */
  readonly file?: string;
}

interface DesiredOptions extends ServerOptions {
  readonly rev?: string;
  readonly basedOn?: string;
}

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });

const examples = `
Documents: rules, limits, grid (name, place, size), users. A cloud with a certificate of its own authority:
NODE_EXTRA_CA_CERTS=ca.pem villagrid desired ...
`;

const whoAsks = 'who asks: an installer, for grid and users an administrator';

/** Gives a command the options of `ServerOptions`. `who` says what the person must be. */
export function withServer(command: Command, who: string): Command {
  return command
    .option('--url <url>', 'address of the cloud, https://name:port')
    .option('--folder <folder>', "the gateway's folder, to ask the gateway instead")
    .requiredOption('--username <name>', who)
    .option('--password-stdin', 'read the password from standard input instead of asking')
    .option('--json', 'answer as JSON');
}

export function addDesired(program: Command, ports: CommandPorts): void {
  const desired = program
    .command('desired')
    .description(
      'documents a grid is to have: rules, limits, its name and place, its people; and how far each has come',
    )
    .addHelpText(
      'after',
      `${examples}
Examples:
  villagrid desired list kisima --url https://cloud.example.org --username asha
  villagrid desired show kisima limits --url https://cloud.example.org --username asha > limits.yaml
  villagrid desired set kisima limits --file limits.yaml --based-on 3 --url https://cloud.example.org --username asha
  villagrid desired history kisima rules --url https://cloud.example.org --username asha --json
`,
    );
  addList(desired, ports);
  addShow(desired, ports);
  addSet(desired, ports);
  addHistory(desired, ports);
}

/** Logs in at the cloud or at the gateway of a folder. Throws E_REQUEST_INVALID, and what those throw. */
export async function sessionOf(gridId: string, options: ServerOptions, ports: CommandPorts): Promise<ServerSession> {
  const { folder, url, username } = options;
  if ((folder === undefined) === (url === undefined))
    throw wrong('Who is asked must be given by one of --folder and --url.', 'Give the address of the cloud as --url.');
  if (url !== undefined && !/^https?:\/\/[^/]+\/?$/.test(url))
    throw wrong(`--url is ${url}, which is no address of a server.`, 'Give it as https://name:port.');
  // A file that is set may come by standard input; then the password must not.
  if (options.passwordStdin && options.file === '-')
    throw wrong('Password and document cannot both come by standard input.', 'Give the document as a file.');
  const typed = options.passwordStdin ? await ports.readStdin() : await ports.ask(`Password of ${username}: `);
  if (typed === undefined) throw wrong('There is no password, and nobody to ask for it.', 'Give --password-stdin.');
  const credentials = { username, password: typed.replace(/\r?\n$/, '') };
  return url === undefined
    ? openGateway(resolve(folder ?? '.'), credentials)
    : openServer(url.replace(/\/$/, ''), gridId, credentials);
}

const pathOf = (gridId: string, name?: string) =>
  `/api/desired/${encodeURIComponent(gridId)}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;

function nameOf(text: string): DocumentName {
  if (!documentNames.includes(text as DocumentName))
    throw wrong(`There is no document "${text}".`, `Give one of ${documentNames.join(', ')}.`);
  return text as DocumentName;
}

const stateWords: Readonly<Record<DesiredState['state'], string>> = {
  none: 'none yet',
  waiting: 'waiting for the gateway',
  applied: 'in force',
  refused: 'refused',
  rolled_back: 'rolled back',
};
const when = (ms: number | null) => (ms === null ? '-' : `${new Date(ms).toISOString().slice(0, 16)}Z`);
const stateText = ({ state, reason }: Pick<DesiredState, 'state' | 'reason'>) =>
  plainText(reason === null ? stateWords[state] : `${stateWords[state]}: ${reason}`);
/** 0 in force, 1 refused or rolled back, 3 not decided yet. */
const codeOf = (states: readonly DesiredState['state'][]): number =>
  states.some((one) => one === 'refused' || one === 'rolled_back') ? 1 : states.includes('waiting') ? 3 : 0;

function addList(desired: Command, ports: CommandPorts): void {
  withServer(desired.command('list <grid>'), whoAsks)
    .description('the documents, their revisions, and whether the gateway has taken them')
    .addHelpText(
      'after',
      `${examples}
Exit code: 0 all are in force, 1 one was refused or rolled back, 3 the gateway has not decided on one yet.

Example:
  villagrid desired list kisima --url https://cloud.example.org --username asha
`,
    )
    .action(async (gridId: string, options: DesiredOptions) => {
      const session = await sessionOf(gridId, options, ports);
      const answer = (await session.ask('GET', pathOf(gridId))) as { readonly documents: readonly DesiredState[] };
      if (options.json) ports.print(JSON.stringify(answer));
      else {
        ports.print('document  revision  entries  changed            state');
        for (const one of answer.documents)
          ports.print(
            [
              one.name.padEnd(9),
              String(one.rev).padStart(8),
              String(one.entries).padStart(8),
              ` ${when(one.changed_at_ms).padEnd(18)}`,
              stateText(one),
            ].join(' '),
          );
      }
      ports.exitCode(codeOf(answer.documents.map(({ state }) => state)));
    });
}

function addShow(desired: Command, ports: CommandPorts): void {
  withServer(desired.command('show <grid> <document>'), whoAsks)
    .description('one document, as YAML that `set` takes')
    .option('--rev <number>', 'an older revision; the newest when left out')
    .addHelpText(
      'after',
      `${examples}
Example:
  villagrid desired show kisima rules --url https://cloud.example.org --username asha > rules.yaml
`,
    )
    .action(async (gridId: string, given: string, options: DesiredOptions) => {
      const name = nameOf(given);
      if (options.rev !== undefined && !/^\d{1,9}$/.test(options.rev))
        throw wrong(`--rev is ${options.rev}, which is no number.`, 'Look at `villagrid desired history`.');
      const session = await sessionOf(gridId, options, ports);
      const query = options.rev === undefined ? '' : `?rev=${options.rev}`;
      const answer = (await session.ask('GET', `${pathOf(gridId, name)}${query}`)) as DesiredDocument;
      if (options.json) return ports.print(JSON.stringify(answer));
      ports.print(`# ${name} of ${gridId}, revision ${answer.rev}: ${stateText(answer).replaceAll('\n', ' ')}`);
      for (const { id, value, side } of answer.lost)
        ports.print(plainText(`# not taken, from the ${side}: ${id} = ${JSON.stringify(value)}`).replaceAll('\n', ' '));
      ports.print(stringify(answer.body).trimEnd());
    });
}

function addSet(desired: Command, ports: CommandPorts): void {
  withServer(desired.command('set <grid> <document>'), whoAsks)
    .description('set a whole document from a YAML or JSON file; what is left out of it is taken away')
    .requiredOption('--file <file>', 'the document, - for standard input')
    .requiredOption(
      '--based-on <revision>',
      'revision that was changed, so that nobody’s change is overwritten; 0 for a first one',
    )
    .addHelpText(
      'after',
      `${examples}
A person of users may be given a password; it is kept as a hash, and never shown.
Exit code: 0 kept, 1 not, 2 the command line or the document is wrong or somebody else was first.

Examples:
  villagrid desired set kisima limits --file limits.yaml --based-on 3 --url https://cloud.example.org --username asha
  echo '{"name": "Kisima cha Juu"}' | villagrid desired set kisima grid --file - --based-on 0 --folder /etc/villagrid --username asha
`,
    )
    .action(async (gridId: string, given: string, options: DesiredOptions) => {
      const name = nameOf(given);
      if (!/^\d{1,9}$/.test(options.basedOn ?? ''))
        throw wrong(`--based-on is ${options.basedOn}, which is no number.`, 'Look at `villagrid desired list`.');
      const session = await sessionOf(gridId, options, ports);
      const file = options.file ?? '';
      const text = file === '-' ? await ports.readStdin() : readFileSync(resolve(file), 'utf8');
      let body: unknown;
      try {
        body = parse(text) ?? {};
      } catch (error) {
        throw wrong(`${file}: ${messageOf(error)}`, 'It must be YAML or JSON.');
      }
      const based_on = Number(options.basedOn);
      const answer = (await session.ask('PUT', pathOf(gridId, name), { based_on, body })) as DesiredDocument;
      if (options.json) return ports.print(JSON.stringify(answer));
      ports.print(
        answer.rev === based_on
          ? `Nothing is different: ${name} stays at revision ${answer.rev}.`
          : `${name} of ${gridId} is at revision ${answer.rev}: ${stateText(answer)}.`,
      );
    });
}

function addHistory(desired: Command, ports: CommandPorts): void {
  withServer(desired.command('history <grid> <document>'), whoAsks)
    .description('revisions of a document: who, when, and what became of each')
    .addHelpText(
      'after',
      `${examples}
Example:
  villagrid desired history kisima rules --url https://cloud.example.org --username asha
`,
    )
    .action(async (gridId: string, given: string, options: DesiredOptions) => {
      const name = nameOf(given);
      const session = await sessionOf(gridId, options, ports);
      const answer = (await session.ask('GET', `${pathOf(gridId, name)}/history`)) as DesiredHistory;
      if (options.json) return ports.print(JSON.stringify(answer));
      if (answer.revisions.length === 0) ports.print('There is no revision yet.');
      for (const one of answer.revisions) {
        const by = one.changed_by?.name ?? (one.cause === 'merged' ? 'the village' : '-');
        const lost = one.lost === 0 ? '' : `; ${one.lost} changes of the village were not taken`;
        ports.print(
          plainText(
            `${String(one.rev).padStart(4)}  ${when(one.changed_at_ms)}  ${by.padEnd(20)}  ${stateText(one)}${lost}`,
          ),
        );
      }
    });
}
