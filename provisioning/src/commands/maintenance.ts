/** `villagrid maintenance`: planned work, in which alerts are recorded and wake nobody. */
import {
  durationText,
  longestMaintenanceMs,
  newId,
  VillagridError,
  type MaintenanceList,
  type MaintenanceView,
} from '@villagrid/contracts';
import type { Command } from 'commander';
import { durationOf, momentOf, momentText } from '../site/village-time.js';
import { openAs, plainText, withPerson, type PersonOptions } from './as-person.js';
import type { CommandPorts } from './command.js';

interface StartOptions extends PersonOptions {
  readonly devices?: string;
  readonly wholeGrid?: boolean;
  readonly reason: string;
  readonly from?: string;
  readonly for?: string;
  readonly until?: string;
  readonly json?: boolean;
}

interface ListOptions extends PersonOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

const shortestMs = 60_000;
/** How long ago work may have begun that is written down only now. */
const oldestStartMs = 86_400_000;

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });
const pathOf = (gridId: string) => `/api/maintenance/${gridId}`;

export function addMaintenanceCommands(program: Command, ports: CommandPorts): void {
  const maintenance = program
    .command('maintenance')
    .description('planned work: alerts are recorded meanwhile and wake nobody; it ends by itself');
  addStart(maintenance, ports);
  addList(maintenance, ports);
  addEnd(maintenance, ports);
}

function addStart(maintenance: Command, ports: CommandPorts): void {
  withPerson(
    maintenance.command('start').description('plan work on devices or on the whole grid, from now or later'),
    'who plans it; an operator',
  )
    .requiredOption('--reason <text>', 'what is done; everybody sees it')
    .option('--devices <ids>', 'what is worked on, separated by commas (device ids, as in gateway.yaml)')
    .option('--whole-grid', 'instead of --devices: no alert of this village wakes anybody')
    .option('--for <duration>', 'how long, e.g. 45min, 2h, 1h30min, 1d; at most 7d')
    .option('--until <time>', 'instead of --for: 17:30, or 2026-11-29T06:00')
    .option('--from <time>', 'when it begins (default: now)')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      `
Times are the village's; 17:30 is the next time its clock shows that.
Exit code: 0 it is planned, 1 the gateway could not be asked or does not know the person, 2 the command line is wrong or the gateway refused.

Examples:
  villagrid maintenance start --devices meter-1,meter-2 --for 2h --reason "new meters" --folder /etc/villagrid --username asha
  villagrid maintenance start --whole-grid --from 22:00 --until 23:30 --reason "generator service" --folder /etc/villagrid --username asha
`,
    )
    .action(async (options: StartOptions) => {
      const devices = devicesOf(options);
      if (options.reason.trim() === '') throw wrong('--reason is empty.', 'Say what is done.');
      if ((options.for === undefined) === (options.until === undefined))
        throw wrong('Give either --for or --until.', 'Give e.g. --for 2h.');
      const session = await openAs(options, ports);
      const { zone } = session;
      const path = pathOf(session.gridId);
      // The clock that counts is the gateway's, not that of whoever types.
      const { now_ms } = (await session.ask('GET', path)) as MaintenanceList;
      const { fromMs, untilMs } = spanOf(options, { zone, nowMs: now_ms });
      const id = newId(ports.realClock.nowMs(), ports.random);
      const answer = (await session.ask('POST', path, {
        act_id: id,
        reason: options.reason,
        ...(devices === undefined ? {} : { device_ids: devices }),
        from_ms: fromMs,
        duration_s: (untilMs - fromMs) / 1000,
      })) as MaintenanceList;
      const planned = answer.maintenance.find(({ maintenance_id }) => maintenance_id === id);
      if (planned === undefined) throw new VillagridError('E_INTERNAL', 'The gateway does not list what was planned.');
      if (options.json) ports.print(JSON.stringify(planned));
      else {
        ports.print(sentenceOf(planned, zone));
        ports.print(`To end it before: villagrid maintenance end ${id}`);
      }
      ports.exitCode(0);
    });
}

function addList(maintenance: Command, ports: CommandPorts): void {
  withPerson(maintenance.command('list').description('work that goes on or is ahead'), 'who asks; a viewer is enough')
    .option('--all', 'also what is over')
    .option('--json', 'answer as JSON; holds also what is over')
    .addHelpText(
      'after',
      '\nTimes are the village’s.\nExit code: 0 listed, 1 the gateway could not be asked or does not know the person, 2 the command line is wrong.\n\nExample:\n  villagrid maintenance list --all --folder /etc/villagrid --username asha\n',
    )
    .action(async (options: ListOptions) => {
      const session = await openAs(options, ports);
      const answer = (await session.ask('GET', pathOf(session.gridId))) as MaintenanceList;
      if (options.json) ports.print(JSON.stringify(answer));
      else {
        const shown = answer.maintenance.filter(({ state }) => options.all === true || state !== 'over');
        for (const line of tableOf(shown, session.zone)) ports.print(line);
      }
      ports.exitCode(0);
    });
}

function addEnd(maintenance: Command, ports: CommandPorts): void {
  withPerson(
    maintenance
      .command('end [id]')
      .description('end planned work before its time: alerts wake people again; without an id, the work that goes on'),
    'who ends it; an operator',
  )
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      `
Ending what is over already changes nothing.
Exit code: 0 it is over, 1 the gateway could not be asked or does not know the person, 2 there is no such work, or the gateway refused.

Examples:
  villagrid maintenance end --folder /etc/villagrid --username asha
  villagrid maintenance end 01KB0Z6Y4V3M8Q2R7T9W1X5C6D --folder /etc/villagrid --username asha
`,
    )
    .action(async (id: string | undefined, options: PersonOptions & { readonly json?: boolean }) => {
      const session = await openAs(options, ports);
      const path = pathOf(session.gridId);
      const { maintenance: known } = (await session.ask('GET', path)) as MaintenanceList;
      let ended = id === undefined ? theOneNow(known) : known.find(({ maintenance_id }) => maintenance_id === id);
      if (ended === undefined)
        throw wrong(`There is no planned work ${id ?? ''}.`, 'Look at `villagrid maintenance list`.');
      const { maintenance_id, state } = ended;
      let others = 0;
      if (state !== 'over') {
        const answer = (await session.ask('POST', `${path}/${maintenance_id}/end`, {})) as MaintenanceList;
        ended = answer.maintenance.find((one) => one.maintenance_id === maintenance_id) ?? ended;
        others = answer.maintenance.filter((one) => one.state === 'now').length;
      }
      if (options.json) ports.print(JSON.stringify(ended));
      else {
        const what = `Planned work on ${onWhat(ended)} (${plainText(ended.reason)})`;
        ports.print(
          state === 'over'
            ? `${what} was over already, since ${momentText(ended.until_ms, session.zone)}.`
            : `${what} is ended. ${others > 0 ? 'Other planned work goes on.' : 'Alerts wake people.'}`,
        );
      }
      ports.exitCode(0);
    });
}

/** The devices of the options; undefined for the whole grid, which has to be said. */
function devicesOf({ devices, wholeGrid }: StartOptions): string[] | undefined {
  if ((devices === undefined) === (wholeGrid !== true))
    throw wrong('Give either --devices or --whole-grid.', 'Give e.g. --devices meter-1, as in gateway.yaml.');
  if (devices === undefined) return undefined;
  const ids = [...new Set(devices.split(',').map((one) => one.trim()))].filter((one) => one !== '');
  if (ids.length === 0) throw wrong('--devices names none.', 'Give e.g. --devices meter-1,meter-2.');
  return ids;
}

/**
 * Begin and end of what the options ask for, Unix ms, now being the gateway's. Throws E_REQUEST_INVALID for what is no
 * time, is over, or lasts less than a minute or more than a week.
 */
export function spanOf(
  options: Pick<StartOptions, 'from' | 'for' | 'until'>,
  { zone, nowMs }: { readonly zone: string; readonly nowMs: number },
): { readonly fromMs: number; readonly untilMs: number } {
  const fromMs = options.from === undefined ? nowMs : momentOf(options.from, '--from', { zone, afterMs: nowMs });
  const untilMs =
    options.for === undefined
      ? momentOf(options.until ?? '', '--until', { zone, afterMs: fromMs })
      : fromMs + durationOf(options.for, '--for');
  if (fromMs < nowMs - oldestStartMs)
    throw wrong('--from lies more than a day back.', 'Give a later --from, or leave it out for now.');
  if (untilMs <= nowMs)
    throw wrong(`The work would be over already, at ${momentText(untilMs, zone)}.`, 'Give a later --until or --for.');
  if (untilMs - fromMs < shortestMs) throw wrong('The work would last less than a minute.', 'Give e.g. --for 2h.');
  if (untilMs - fromMs > longestMaintenanceMs)
    throw wrong(
      `The work would last ${durationText(untilMs - fromMs)}; at most 7 days can be planned.`,
      'Plan a week, and again when it is over: what is forgotten must not keep a village silent.',
    );
  return { fromMs, untilMs };
}

/** The only work that goes on. Throws E_REQUEST_INVALID when there is none, or several to choose from. */
function theOneNow(known: readonly MaintenanceView[]): MaintenanceView {
  const now = known.filter(({ state }) => state === 'now');
  const [one] = now;
  if (one === undefined) throw wrong('No planned work goes on.', 'Look at `villagrid maintenance list`.');
  if (now.length > 1)
    throw wrong(
      `${now.length} planned works go on: ${now.map((each) => `${each.maintenance_id} (${plainText(each.reason)})`).join(', ')}.`,
      'Give the id of the one to end.',
    );
  return one;
}

const onWhat = ({ device_ids }: MaintenanceView) => device_ids?.join(', ') ?? 'the whole grid';

function sentenceOf(one: MaintenanceView, zone: string): string {
  const from = one.state === 'ahead' ? `from ${momentText(one.from_ms, zone)} ` : '';
  return `Planned work on ${onWhat(one)} ${from}until ${momentText(one.until_ms, zone)} (${zone}): alerts are recorded and wake nobody.`;
}

function tableOf(works: readonly MaintenanceView[], zone: string): string[] {
  if (works.length === 0) return ['No work is planned.'];
  const rows = works.map((one) => [
    one.state,
    momentText(one.from_ms, zone),
    momentText(one.until_ms, zone),
    onWhat(one),
    plainText(one.ended_by === null ? one.planned_by.name : `${one.planned_by.name}, ended by ${one.ended_by.name}`),
    one.maintenance_id,
    plainText(one.reason).replaceAll('\n', ' '),
  ]);
  const all = [['state', 'from', 'until', 'on', 'planned by', 'id', 'reason'], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return [
    ...all.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
    `Times are of ${zone}.`,
  ];
}
