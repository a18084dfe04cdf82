/** `villagrid fleet`: which grids of a cloud want somebody, and how their gateways do. */
import { gridNeeds, VillagridError, type GridNeed, type GridState } from '@villagrid/contracts';
import type { Command } from 'commander';
import { openServer } from '../site/ask-gateway.js';
import type { CommandPorts } from './command.js';

interface FleetOptions {
  readonly url: string;
  readonly username: string;
  readonly passwordStdin?: boolean;
  readonly search?: string;
  readonly needs?: string | true;
  readonly json?: boolean;
}

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });

export function addFleet(program: Command, { print, exitCode, readStdin, ask }: CommandPorts): void {
  program
    .command('fleet')
    .description('the grids of a cloud: which want somebody and why, and how their gateways do')
    .requiredOption('--url <url>', 'address of the cloud, https://name:port')
    .requiredOption('--username <name>', 'who asks; shown is what this person may see')
    .option('--password-stdin', 'read the password from standard input instead of asking')
    .option('--search <words>', 'only grids with these words in name, id, organisation, gateway or version')
    .option('--needs [reason]', `only those that want somebody: for any reason, or for one of ${gridNeeds.join(', ')}`)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      `
Those that want somebody come first. Exit code: 0 none of those shown wants somebody, 1 some do, 2 the command line is wrong.

Examples:
  villagrid fleet --url https://cloud.example.org --username asha
  villagrid fleet --url https://cloud.example.org --username asha --needs silent --json
A cloud with a certificate of its own authority: NODE_EXTRA_CA_CERTS=ca.pem villagrid fleet ...
`,
    )
    .action(async ({ url, username, passwordStdin, search, needs, json }: FleetOptions) => {
      if (!/^https?:\/\/[^/]+\/?$/.test(url))
        throw wrong(`--url is ${url}, which is no address of a server.`, 'Give it as https://name:port.');
      if (needs !== undefined && needs !== true && !gridNeeds.includes(needs as GridNeed))
        throw wrong(`--needs is ${needs}.`, `Give one of ${gridNeeds.join(', ')}, or none.`);
      const typed = passwordStdin ? await readStdin() : await ask(`Password of ${username}: `);
      if (typed === undefined) throw wrong('There is no password, and nobody to ask for it.', 'Give --password-stdin.');
      const session = await openServer(url.replace(/\/$/, ''), '', { username, password: typed.replace(/\r?\n$/, '') });
      const query = new URLSearchParams({
        ...(search === undefined ? {} : { search }),
        ...(needs === undefined ? {} : { needs: needs === true ? 'any' : needs }),
      });
      const path = query.size === 0 ? '/api/grids' : `/api/grids?${query}`;
      const answer = (await session.ask('GET', path)) as { readonly grids: readonly GridState[] };
      const grids = [...answer.grids].sort((a, b) => needsOf(b) - needsOf(a) || (a.grid_id < b.grid_id ? -1 : 1));
      if (json) print(JSON.stringify({ ...answer, grids }));
      else for (const line of lines(grids)) print(line);
      exitCode(grids.some((grid) => needsOf(grid) > 0) ? 1 : 0);
    });
}

const needsOf = ({ needs }: GridState): number => needs?.length ?? 0;

function lines(grids: readonly GridState[]): string[] {
  if (grids.length === 0) return ['No grid fits.'];
  const rows = grids.map((grid) => {
    const { gateway } = grid;
    return [
      grid.grid_id,
      (grid.needs ?? []).join(' ') || '-',
      gateway?.complete_until_ms == null ? '-' : `${new Date(gateway.complete_until_ms).toISOString().slice(0, 16)}Z`,
      gateway?.backlog_age_s == null ? '-' : ageText(gateway.backlog_age_s),
      gateway?.version ?? '-',
      gateway?.clock_trust ?? '-',
      pct(gateway?.disk_used_pct),
      pct(gateway?.card_life_used_pct),
      grid.state,
    ];
  });
  const heads = ['grid', 'needs', 'complete until', 'backlog', 'version', 'clock', 'disk', 'card', 'state'];
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const wanting = grids.filter((grid) => needsOf(grid) > 0).length;
  return [
    ...[heads, ...rows].map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
    '',
    `${wanting} of ${grids.length} want somebody.`,
  ];
}

const pct = (value: number | null | undefined): string => (value == null ? '-' : `${Math.round(value)} %`);

function ageText(seconds: number): string {
  if (seconds < 60) return 'none';
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
