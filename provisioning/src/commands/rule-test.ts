/** `villagrid rule test`: a rule, or one with other limits, on the stored past of a running gateway. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  durationText,
  VillagridError,
  type RuleTest,
  type RuleTestRequest,
  type RuleTestResult,
} from '@villagrid/contracts';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { openAs, withPerson, type PersonOptions } from './as-person.js';
import type { CommandPorts } from './command.js';

interface RuleTestOptions extends PersonOptions {
  readonly set: readonly string[];
  readonly days?: string;
  readonly from?: string;
  readonly to?: string;
  readonly compare?: boolean;
  readonly list?: boolean;
  readonly json?: boolean;
}

const pollMs = 250;
/** Occurrences that are printed of each variant. */
const mostPrinted = 20;

const wrong = (detail: string, next: string) => new VillagridError('E_REQUEST_INVALID', detail, { next });

export function addRuleTest(program: Command, ports: CommandPorts): void {
  const { print, exitCode, realClock } = ports;
  const rule =
    program.commands.find((one) => one.name() === 'rule') ??
    program.command('rule').description('alert rules of a site');
  withPerson(
    rule
      .command('test <file-or-id>')
      .description('try a rule on the stored past of a running gateway: how often it would have rung, when, how long'),
    'who asks; an operator',
  )
    .option(
      '--set <path=value>',
      'another value for a parameter, e.g. parameters.below=25; may be given several times',
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option('--days <days>', 'how far back (default: 30)')
    .option('--from <time>', 'from when on, instead of --days')
    .option('--to <time>', 'until when (default: now)')
    .option('--compare', 'hold the changed rule against the rule as it is')
    .option('--list', `also when it would have rung, the first ${mostPrinted}`)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      `
A rule is named by its id, or by a YAML or JSON file that holds one (kind, selector and parameters are enough).
Exit code: 0 it was tried, 1 it could not be, 2 the command line or the rule is wrong.

Examples:
  villagrid rule test low_battery --folder /etc/villagrid --username asha
  villagrid rule test low_battery --set parameters.below=25 --compare --folder /etc/villagrid --username asha
  villagrid rule test hot-room.yaml --days 7 --list --folder /etc/villagrid --username asha
`,
    )
    .action(async (named: string, options: RuleTestOptions) => {
      const body = requestOf(named, options);
      const session = await openAs(options, ports);
      const path = `/api/rules/${session.gridId}/tests`;
      let test = (await session.ask('POST', path, body)) as RuleTest;
      let told = 0;
      while (test.state === 'waiting' || test.state === 'running') {
        await realClock.sleep(pollMs);
        test = (await session.ask('GET', `${path}/${test.test_id}`)) as RuleTest;
        const quarter = Math.floor(test.progress * 4);
        if (!options.json && test.state === 'running' && quarter > told) print(`... ${(told = quarter) * 25} %`);
      }
      if (test.result === null) {
        const { detail } = test.error ?? { detail: 'Somebody ended it.' };
        throw new VillagridError('E_INTERNAL', detail, { next: 'Try it again, or over a shorter time.' });
      }
      if (options.json) print(JSON.stringify(test.result));
      else for (const line of resultLines(test.result, options.list === true)) print(line);
      exitCode(0);
    });
}

/** What is asked of the gateway. */
function requestOf(named: string, { set, days, from, to, compare }: RuleTestOptions): RuleTestRequest {
  const changes = Object.fromEntries(set.map(changeOf));
  if (compare && set.length === 0)
    throw wrong('--compare needs a change to compare.', 'Give --set, e.g. parameters.below=25.');
  const asked = days === undefined ? undefined : Number(days);
  if (asked !== undefined && !(asked > 0))
    throw wrong(`--days is ${days}; it must be a number above 0.`, 'Give --days 30.');
  return {
    ...ruleOf(named),
    variants: compare ? [{}, { set: changes }] : [{ set: changes }],
    ...(asked === undefined ? {} : { days: asked }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

function changeOf(text: string): [string, number | string | boolean | null] {
  const at = text.indexOf('=');
  if (at < 1) throw wrong(`--set ${text} has no value.`, 'Write it as --set parameters.below=25.');
  const value = text.slice(at + 1);
  const path = text.slice(0, at);
  if (value === 'true' || value === 'false') return [path, value === 'true'];
  if (value === 'null') return [path, null];
  return [path, value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value];
}

/** The rule of a file, or the id of one. */
function ruleOf(named: string): Pick<RuleTestRequest, 'rule' | 'rule_id'> {
  const isFile = /\.(ya?ml|json)$/i.test(named) || existsSync(named);
  if (!isFile) return { rule_id: named };
  let document: unknown;
  try {
    document = parse(readFileSync(resolve(named), 'utf8'));
  } catch (error) {
    throw wrong(
      `${named} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'Look at the file.',
    );
  }
  const listed = (document as { rules?: unknown } | null)?.rules ?? document;
  const rules: unknown[] = Array.isArray(listed) ? listed : [listed];
  if (rules.length !== 1 || typeof rules[0] !== 'object' || rules[0] === null)
    throw wrong(`${named} holds ${rules.length} rules.`, 'Put the one to be tried into a file of its own.');
  return { rule: rules[0] as NonNullable<RuleTestRequest['rule']> };
}

/** The result as a table and sentences. */
function resultLines(result: RuleTestResult, withList: boolean): string[] {
  const { variants, live, zone, from_ms, to_ms, notes, granularities } = result;
  const format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: zone });
  const rows = [
    ...variants.map((one) => ({ ...one, name: one.name })),
    ...(live === null ? [] : [{ ...live, name: 'really rang' }]),
  ];
  const width = Math.max(...rows.map(({ name }) => name.length));
  const row = (name: string, cells: readonly (string | number)[]) =>
    `${name.padEnd(width)}  ${cells.map((cell) => String(cell).padStart(12)).join('  ')}`.trimEnd();
  const lines = [
    `${result.rule_id}: ${variants[0]?.description ?? ''}`,
    `${format.format(from_ms)} to ${format.format(to_ms)}, ${zone}`,
    '',
    row('', ['times', 'at night', 'longest', 'in all']),
    ...rows.map((one) =>
      row(one.name, [one.count, one.at_night, durationText(one.longest_ms), durationText(one.total_ms)]),
    ),
    '',
  ];
  for (const one of variants) lines.push(one.comparison ?? one.sentence);
  if (live !== null && !live.whole)
    lines.push('What really rang is listed only in part: older alerts are no longer kept at hand.');
  if (granularities.some((one) => one.granularity !== 'raw'))
    for (const one of granularities)
      lines.push(
        `${format.format(one.from_ms)} to ${format.format(one.to_ms)}: from ${one.granularity === 'raw' ? 'samples' : `windows of ${one.granularity}`}`,
      );
  lines.push(...notes);
  if (!withList) return lines;
  for (const { name, occurrences, occurrences_left_out: left } of variants) {
    lines.push('', `${name}:`);
    for (const one of occurrences.slice(0, mostPrinted)) {
      const lasted = one.cleared_at_ms === null ? 'still' : durationText(one.cleared_at_ms - one.raised_at_ms);
      const what = [one.device_id, one.metric, one.value].filter((part) => part !== null).join(' ');
      lines.push(`  ${format.format(one.raised_at_ms)}  ${lasted.padEnd(12)}  ${what}`);
    }
    const more = occurrences.length + left - Math.min(occurrences.length, mostPrinted);
    if (more > 0) lines.push(`  and ${more} more; --json gives ${left === 0 ? 'all' : 'the first thousand'}`);
  }
  return lines;
}
