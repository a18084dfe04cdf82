/**
 * A pin of the box, by the kernel's character device. Node has no ioctl, so `gpioset` of libgpiod holds the line for as long as its
 * process lives: one that holds the pin off follows one that holds it on. Versions 1 and 2 of the tool are called differently.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import type { Clock } from '@villagrid/contracts';
import { switchFailed, type Switch } from './relay.js';

export interface GpioPin {
  /** Such as `gpiochip0`. */
  readonly chip: string;
  readonly line: number;
  /** Whether the pin is low when the relay is to be on. */
  readonly activeLow: boolean;
  /** The program; `gpioset` as a rule. */
  readonly program: string;
  readonly realClock: Clock;
}

/** A process that is alive after so long holds the line, real milliseconds. */
const settledMs = 150;
const versionWithinMs = 5000;

/** Words for `gpioset` of a major version. */
export function gpioArguments(
  version: number,
  { chip, line, activeLow }: Omit<GpioPin, 'program' | 'realClock'>,
  on: boolean,
): string[] {
  const value = `${line}=${on ? 1 : 0}`;
  const low = activeLow ? ['--active-low'] : [];
  return version >= 2 ? ['--chip', chip, ...low, value] : ['--mode=signal', ...low, chip, value];
}

/** A pin as a switch. */
export function gpioPin(pin: GpioPin): Switch {
  const name = `pin ${pin.line} of ${pin.chip}`;
  let version: number | undefined;
  let holder: ChildProcess | undefined;

  const end = (child: ChildProcess): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    });
  const hold = (on: boolean): Promise<ChildProcess> =>
    new Promise((resolve, reject) => {
      const child = spawn(pin.program, gpioArguments(version ?? 2, pin, on), { stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(0, 500)));
      const timer = pin.realClock.after(settledMs, () => {
        child.removeAllListeners();
        child.on('error', () => {});
        resolve(child);
      });
      const fail = (reason: string) => {
        timer.cancel();
        reject(switchFailed(name, reason));
      };
      child.once('error', (error: NodeJS.ErrnoException) => fail(programText(pin.program, error)));
      child.once('exit', () => fail(holdText(said.trim() || `${pin.program} ended at once`)));
    });

  return {
    name,
    async set(on) {
      version ??= await versionOf(pin.program, name);
      if (holder) await end(holder);
      holder = undefined;
      holder = await hold(on);
    },
    async close() {
      if (holder) await end(holder);
      holder = undefined;
    },
  };
}

function versionOf(program: string, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile(program, ['--version'], { timeout: versionWithinMs }, (error, stdout) => {
      const [, major] = /v(\d+)\./.exec(stdout) ?? [];
      if (major !== undefined) resolve(Number(major));
      else reject(switchFailed(name, error ? programText(program, error) : `${program} does not tell its version`));
    });
  });
}

function programText(program: string, error: Error): string {
  return 'code' in error && error.code === 'ENOENT'
    ? `${program} is not there: install the package gpiod`
    : `${program} cannot be started: ${error.message}`;
}

function holdText(said: string): string {
  if (/busy/i.test(said)) return `the pin is in use by another program (${said})`;
  if (/permission|denied/i.test(said)) return `the pin may not be used by this user: it needs the group gpio (${said})`;
  return said;
}
