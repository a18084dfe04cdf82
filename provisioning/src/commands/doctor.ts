/** `villagrid doctor`. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { diagnose, worstState } from '../doctor/doctor.js';
import type { CommandPorts } from './command.js';

const marks = { good: 'ok  ', warning: 'look', bad: 'BAD ', skipped: '-   ' } as const;

export function addDoctor(program: Command, { realClock, print, exitCode }: CommandPorts): void {
  program
    .command('doctor')
    .description('check a gateway or cloud and say what to do')
    .requiredOption('--folder <folder>', "the gateway's or cloud's folder")
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 good, 1 something is bad, 3 only warnings.\n\nExample:\n  villagrid doctor --folder /etc/villagrid\n',
    )
    .action(async (options: { folder: string; json?: boolean }) => {
      const diagnoses = await diagnose(resolve(options.folder), realClock);
      if (options.json) print(JSON.stringify(diagnoses));
      else {
        for (const { title, findings } of diagnoses) {
          print(title);
          for (const finding of findings) {
            print(`  ${marks[finding.state]}  ${finding.found}`);
            if (finding.next !== undefined && finding.next !== '') print(`        -> ${finding.next}`);
          }
        }
      }
      const worst = worstState(diagnoses);
      exitCode(worst === 'bad' ? 1 : worst === 'warning' ? 3 : 0);
    });
}
