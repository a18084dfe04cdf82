/** What commands share: where they print, which clock and randomness they use, and how they end. */
import type { Clock, RandomSource } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';

/** What a command is given by main.ts. */
export interface CommandPorts {
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  print(text: string): void;
  /** Exit code to end with when the command has done its work. */
  exitCode(code: number): void;
  readStdin(): Promise<string>;
  /** Asks a person at the terminal without showing what is typed; undefined when nobody is there. */
  ask(question: string): Promise<string | undefined>;
}
