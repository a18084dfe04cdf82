/** `villagrid balance`. */
import { resolve } from 'node:path';
import type { BalanceAnswer } from '@villagrid/contracts';
import type { Command } from 'commander';
import { askGateway } from '../site/ask-gateway.js';
import { credentialsOf, withPerson, type PersonOptions } from './as-person.js';
import type { CommandPorts } from './command.js';

interface BalanceOptions extends PersonOptions {
  readonly to?: string;
  readonly json?: boolean;
}

export function addBalance(program: Command, ports: CommandPorts): void {
  const { print, exitCode } = ports;
  withPerson(
    program
      .command('balance')
      .description('hold the meters of a running gateway against each other and name the one that is wrong'),
    'who asks; a viewer is enough',
  )
    .option('--to <time>', 'judge the day that ends then (default: now)')
    .option('--json', 'answer as JSON, with all residuals')
    .addHelpText(
      'after',
      '\nExit code: 0 all agree, 1 a meter is wrong, 3 it cannot be told.\n\nExample:\n  villagrid balance --folder /etc/villagrid --username asha\n',
    )
    .action(async (options: BalanceOptions) => {
      const to = options.to === undefined ? '' : `?to=${encodeURIComponent(options.to)}`;
      const answer = (await askGateway(
        resolve(options.folder),
        await credentialsOf(options, ports),
        (gridId) => `/api/balance/${gridId}${to}`,
      )) as BalanceAnswer;
      if (options.json) print(JSON.stringify(answer));
      else for (const line of balanceLines(answer)) print(line);
      exitCode({ right: 0, named: 1, ambiguous: 1, unexplained: 3, unknown: 3 }[answer.state]);
    });
}

/** The answer as a table and sentences. */
function balanceLines({ headline, why, steps, relations, lacks, needs_whole_day }: BalanceAnswer): string[] {
  const lines = [headline];
  if (needs_whole_day) lines.push('If something was changed within the last day, look again when a day has passed.');
  if (relations.length > 0) {
    lines.push('', '       off  what was held against what');
    for (const { holds, residual_share, words } of relations)
      lines.push(`${holds ? 'ok  ' : 'BAD '} ${`${(residual_share * 100).toFixed(1)} %`.padStart(8)}  ${words}`);
  }
  for (const lack of lacks) lines.push(`-              ${lack}`);
  if (steps.length > 0) lines.push('', why, '', ...steps.map((step, index) => `${index + 1}. ${step}`));
  return lines;
}
