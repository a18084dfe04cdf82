/** `villagrid command`: tells a device to do something, or asks a gateway how it does; at the cloud or at the gateway. */
import { VillagridError, type CommandAnswer, type CommandList, type CommandRecord } from '@villagrid/contracts';
import type { Command } from 'commander';
import { plainText } from './as-person.js';
import type { CommandPorts } from './command.js';
import { sessionOf, withServer, type ServerOptions } from './desired.js';

interface RemoteOptions extends ServerOptions {
  readonly yes?: boolean;
  readonly expires?: string;
}

export function addRemoteCommand(program: Command, ports: CommandPorts): void {
  withServer(
    program.command('command <grid> [device] [command] [value]'),
    'who asks: what the command needs, at least an operator; to list an installer',
  )
    .description('tell a device to do something and wait for what becomes of it; without a device: what was told')
    .option('--yes', 'it is meant: without this only the question is shown')
    .option('--expires <seconds>', 'how long it may take, 1 to 60')
    .addHelpText(
      'after',
      `
The gateway decides what is allowed. The gateway's own id with the command diagnose asks how it does.
Exit code: 0 done (or listed), 1 refused, failed or not known, 2 the command line is wrong, 3 asked, not done: say --yes.

Examples:
  villagrid command kisima --url https://cloud.example.org --username asha
  villagrid command kisima gw-kisima diagnose now --yes --url https://cloud.example.org --username asha
  villagrid command kisima pump run no --expires 10 --yes --url https://cloud.example.org --username asha --json
`,
    )
    .action(
      async (
        gridId: string,
        device: string | undefined,
        command: string | undefined,
        value: string | undefined,
        options: RemoteOptions,
      ) => {
        if (device !== undefined && (command === undefined || value === undefined))
          throw new VillagridError('E_REQUEST_INVALID', 'Device, command and value go together.', {
            next: 'Look at `villagrid command --help`.',
          });
        const seconds = options.expires === undefined ? undefined : Number(options.expires);
        const session = await sessionOf(gridId, options, ports);
        if (device === undefined) {
          const list = (await session.ask('GET', `/api/device/${encodeURIComponent(gridId)}/commands`)) as CommandList;
          if (options.json) return ports.print(JSON.stringify(list));
          for (const one of list.offers)
            ports.print(plainText(`can be told: ${one.device_id} ${one.command} (${one.label})`));
          for (const record of list.records) ports.print(lineOf(record));
          return;
        }
        const tell = (more: object) =>
          session.ask('POST', `/api/device/${encodeURIComponent(device)}/command`, {
            ...{ grid_id: gridId, command, value: numberOr(value ?? '') },
            ...(seconds === undefined ? {} : { expires_in_s: seconds }),
            ...more,
          }) as Promise<CommandAnswer>;
        let answer = await tell({});
        if (answer.state === 'needs_confirmation' && options.yes === true)
          answer = await tell({ confirmation: answer.confirmation });
        if (options.json) ports.print(JSON.stringify(answer));
        if (answer.state === 'needs_confirmation') {
          if (!options.json) ports.print(`${plainText(answer.question)} Say --yes if so.`);
          return ports.exitCode(3);
        }
        if (!options.json) ports.print(lineOf(answer.record));
        ports.exitCode(answer.record.state === 'acknowledged' ? 0 : 1);
      },
    );
}

/** Values are words or numbers. */
const numberOr = (text: string): string | number => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text);

const lineOf = ({ sent_at_ms, device_id, command, value, state, reason, read_back, actor }: CommandRecord): string =>
  plainText(
    [
      `${new Date(sent_at_ms).toISOString().slice(0, 19)}Z ${device_id} ${command} ${value} (${actor.name}): ${state}`,
      reason === null ? '' : `; ${reason}`,
      read_back === null ? '' : `; it says: ${read_back}`,
    ].join(''),
  );
