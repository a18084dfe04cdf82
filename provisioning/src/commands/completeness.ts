/** `villagrid completeness`. */
import { resolve } from 'node:path';
import { VillagridError, type Completeness, type DayProof, type LogProof } from '@villagrid/contracts';
import type { Command } from 'commander';
import { openGateway, openServer } from '../site/ask-gateway.js';
import type { CommandPorts } from './command.js';

interface CompletenessOptions {
  readonly folder?: string;
  readonly url?: string;
  readonly username: string;
  readonly passwordStdin?: boolean;
  readonly json?: boolean;
}

/** Ranges and refused numbers that are printed of each log. */
const mostPrinted = 10;

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });

export function addCompleteness(program: Command, { print, exitCode, readStdin, ask }: CommandPorts): void {
  program
    .command('completeness <grid> [day]')
    .description('what of a gateway’s log a cloud has: proven, missing, given up, refused and why')
    .option('--url <url>', 'address of the cloud, https://name:port')
    .option('--folder <folder>', "the gateway's folder, to ask the gateway instead")
    .requiredOption('--username <name>', 'who asks; a viewer is enough')
    .option('--password-stdin', 'read the password from standard input instead of asking')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      `
Without a day: the last seven, and the whole log. A day is one of the village's zone, YYYY-MM-DD.
A cloud with a certificate of its own authority: NODE_EXTRA_CA_CERTS=ca.pem villagrid completeness ...
Exit code: 0 complete, 1 something is missing, given up or refused, 3 it cannot be told (yet).

Examples:
  villagrid completeness kisima --url https://cloud.example.org --username asha
  villagrid completeness kisima 2026-11-22 --url https://cloud.example.org --username asha --json
  villagrid completeness kisima --folder /etc/villagrid --username asha
`,
    )
    .action(async (gridId: string, day: string | undefined, options: CompletenessOptions) => {
      const { folder, url, username } = options;
      if ((folder === undefined) === (url === undefined))
        throw wrong(
          'Who is asked must be given by one of --folder and --url.',
          'Give the address of the cloud as --url.',
        );
      if (url !== undefined && !/^https?:\/\/[^/]+\/?$/.test(url))
        throw wrong(`--url is ${url}, which is no address of a server.`, 'Give it as https://name:port.');
      const typed = options.passwordStdin ? await readStdin() : await ask(`Password of ${username}: `);
      if (typed === undefined) throw wrong('There is no password, and nobody to ask for it.', 'Give --password-stdin.');
      const credentials = { username, password: typed.replace(/\r?\n$/, '') };
      const session =
        url === undefined
          ? await openGateway(resolve(folder ?? '.'), credentials)
          : await openServer(url.replace(/\/$/, ''), gridId, credentials);
      const query = day === undefined ? '' : `?day=${encodeURIComponent(day)}`;
      const answer = (await session.ask(
        'GET',
        `/api/completeness/${encodeURIComponent(gridId)}${query}`,
      )) as Completeness;
      if (options.json) print(JSON.stringify(answer));
      else for (const line of linesOf(answer)) print(line);
      exitCode(codeOf(answer, day !== undefined));
    });
}

/** 0 complete, 1 not, 3 it cannot be told. Of a day that was asked for, only that day counts. */
function codeOf({ logs, days }: Completeness, ofDay: boolean): number {
  if (logs === undefined || days === undefined || logs.length === 0) return 3;
  if (ofDay) {
    if (days.some(({ manifest }) => manifest?.state === 'differs')) return 1;
    if (days.length > 0 && days.every(({ state }) => state === 'proven')) return 0;
    return days.some(({ state }) => state !== 'proven' && state !== 'open' && state !== 'empty') ? 1 : 3;
  }
  return logs.every((log) => log.missing_count + log.given_up_count + log.refused_count === 0) ? 0 : 1;
}

function linesOf({ logs, days, kept, complete_until_number: until, side }: Completeness): string[] {
  if (logs === undefined || days === undefined)
    return [
      side === 'gateway'
        ? `The log of this gateway holds everything up to number ${until ?? 0}.`
        : 'This cloud does not tell what is proven: it is older than this command.',
      'What of it is proven to be at the cloud, ask the cloud: villagrid completeness <grid> --url <address>',
    ];
  if (logs.length === 0) return ['The cloud has never heard of a log of this grid.'];
  return [
    ...logs.flatMap(logLines),
    '',
    'day         state      frames  missing  given up  refused  gateway says',
    ...days.map(dayLine),
    '',
    ...keptLines(kept),
    'A hole counts for every day it may be of. What cannot be known here: what the gateway never wrote down, and days of',
    'samples whose clock was wrong and is not put right yet.',
  ];
}

const keptNames = {
  raw: 'samples as measured',
  '1m': 'minutes',
  '15m': 'quarter hours',
  '1h': 'hours',
  '1d': 'days',
} as const;

/** How far back the cloud keeps what; nothing where it does not tell. */
function keptLines(kept: Completeness['kept']): string[] {
  if (kept === undefined) return [];
  const since = kept.map(({ granularity, since_ms: ms }) => {
    const date = ms === null ? 'for ever' : `since ${new Date(ms).toISOString().slice(0, 10)}`;
    return `${keptNames[granularity]} ${date}`;
  });
  return [`Kept there: ${since.join(', ')}. What went for its age stays proven.`, ''];
}

function logLines(log: LogProof): string[] {
  const ranges = (all: readonly (readonly number[])[]) =>
    all.slice(-mostPrinted).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  const line = (name: string, count: number, told: readonly string[], separator: string) => {
    if (count === 0) return [];
    const more = told.length >= mostPrinted ? `${separator}the newest ${mostPrinted}; all with --json` : '';
    return [`  ${name.padEnd(9)} ${String(count).padStart(7)}  ${told.join(separator)}${more}`];
  };
  return [
    `Log ${log.epoch}: explained up to ${log.explained_up_to} of ${log.newest_number}`,
    ...line('missing', log.missing_count, ranges(log.missing), ', '),
    ...line('given up', log.given_up_count, ranges(log.given_up), ', '),
    ...line(
      'refused',
      log.refused_count,
      log.refused.slice(-mostPrinted).map(({ number, reason }) => `${number}: ${reason}`),
      '; ',
    ),
  ];
}

/** Whether the gateway counted the same samples. */
const manifestWords = (manifest: DayProof['manifest']): string => {
  if (manifest === undefined) return ' nothing yet';
  const { state, samples, samples_here: here, differing_count: differing } = manifest;
  if (state === 'equal') return ` the same ${samples} samples`;
  return ` ${state}: ${samples} samples, here ${here} (${differing} series)`;
};

const dayLine = ({ day, state, frames, missing, given_up, refused, manifest }: DayProof): string =>
  [
    day.padEnd(11),
    state.replace('_', ' ').padEnd(8),
    String(frames).padStart(8),
    String(missing).padStart(8),
    String(given_up).padStart(9),
    String(refused).padStart(8),
    manifestWords(manifest),
  ].join(' ');
