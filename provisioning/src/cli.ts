/** The installer's command line, without argv, clock or exit: those come from main.ts. */
import { Command, CommanderError } from 'commander';
import { VillagridError } from '@villagrid/contracts';
import { addBackup } from './commands/backup.js';
import { addBalance } from './commands/balance.js';
import { addCloudCommands } from './commands/cloud.js';
import type { CommandPorts } from './commands/command.js';
import { addCompleteness } from './commands/completeness.js';
import { addDesired } from './commands/desired.js';
import { addDeviceCommands } from './commands/device.js';
import { addDoctor } from './commands/doctor.js';
import { addFleet } from './commands/fleet.js';
import { addHandOverCommands } from './commands/handover.js';
import { addInit } from './commands/init.js';
import { addMaintenanceCommands } from './commands/maintenance.js';
import { addNotifyCommands } from './commands/notify.js';
import { addProfileCommands } from './commands/profile.js';
import { addRuleCommands } from './commands/rule.js';
import { addRemoteCommand } from './commands/remote-command.js';
import { addRestore } from './commands/restore.js';
import { addRuleTest } from './commands/rule-test.js';
import { addScan } from './commands/scan.js';
import { addUserCommands } from './commands/user.js';
import { GivenValueError } from './site/check-gateway.js';

/** Runs one command line (without the program's name). Resolves with the exit code: 2 for a wrong command line. */
export async function runCli(
  words: readonly string[],
  ports: Omit<CommandPorts, 'exitCode'> & { printError(text: string): void },
): Promise<number> {
  let code = 0;
  const program = new Command('villagrid');
  const all: CommandPorts = { ...ports, exitCode: (value) => (code = value) };
  program
    .description("Villagrid's command line for installers")
    .configureOutput({
      writeOut: (text) => ports.print(text.trimEnd()),
      writeErr: (text) => ports.printError(text.trimEnd()),
    })
    .exitOverride();
  addInit(program, all);
  addDeviceCommands(program, all);
  addScan(program, all);
  addUserCommands(program, all);
  addCloudCommands(program, all);
  addProfileCommands(program, all);
  addRuleCommands(program, all);
  addBackup(program, all);
  addRestore(program, all);
  addBalance(program, all);
  addCompleteness(program, all);
  addRuleTest(program, all);
  addDesired(program, all);
  addRemoteCommand(program, all);
  addMaintenanceCommands(program, all);
  addFleet(program, all);
  addHandOverCommands(program, all);
  addNotifyCommands(program, all);
  addDoctor(program, all);
  for (const command of program.commands)
    for (const inner of [command, ...command.commands]) inner.exitOverride().showHelpAfterError();
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof GivenValueError) {
      ports.printError(`${error.detail}\n-> ${error.next}`);
      return 2;
    }
    if (error instanceof VillagridError) {
      ports.printError(`${error.message}\n-> ${error.next}`);
      // What was typed is wrong, not what is there.
      return error.code === 'E_REQUEST_INVALID' ? 2 : 1;
    }
    const { code: system, path, message } = (error ?? {}) as { code?: unknown; path?: unknown; message?: string };
    if (typeof system === 'string' && typeof path === 'string') {
      const next =
        system === 'EACCES' || system === 'EPERM'
          ? 'Run it with sudo, or as the user whose folder it is.'
          : 'Check the path and the disk.';
      ports.printError(`${message}\n-> ${next}`);
      return 1;
    }
    throw error;
  }
}
