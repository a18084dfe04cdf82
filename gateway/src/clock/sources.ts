/** What the system knows of the time: whether a time service has set its clock, and what its hardware clock says. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Clock } from '@villagrid/contracts';

/** What the clock room asks. Both are asked every few seconds and must be cheap. */
export interface TimeSources {
  /** Whether a time service (NTP) has set the system's clock and keeps it. */
  ntp(): boolean;
  /** Time of a hardware clock that runs on while the power is off, Unix ms, exact to a second; undefined without one. */
  rtcMs(): number | undefined;
}

/** Made by systemd-timesyncd once the clock was set. */
const timesyncdFile = '/run/systemd/timesync/synchronized';
/** Where chronyd has its sockets; others may not look inside, but it tells anybody whether it is synchronised. */
const chronyFolder = '/run/chrony';
const rtcFile = '/sys/class/rtc/rtc0/since_epoch';
const askChronyEveryMs = 30_000;

/** Runs a program and gives what it printed; undefined when it cannot or fails. */
export type RunProgram = (file: string, args: readonly string[], done: (output: string | undefined) => void) => void;

const runProgram: RunProgram = (file, args, done) => {
  execFile(file, [...args], { timeout: 5000 }, (error, stdout) => done(error ? undefined : stdout));
};

/** The system's own sources. `root` is for tests. */
export function systemTimeSources({
  realClock,
  root = '',
  run = runProgram,
}: {
  readonly realClock: Clock;
  readonly root?: string;
  readonly run?: RunProgram;
}): TimeSources {
  let chrony = false;
  let askedMs = -Infinity;
  const askChrony = (): void => {
    const nowMs = realClock.monotonicMs();
    if (nowMs - askedMs < askChronyEveryMs) return;
    askedMs = nowMs;
    run('chronyc', ['-c', 'tracking'], (output) => (chrony = output !== undefined && chronySynchronised(output)));
  };
  return {
    ntp() {
      if (existsSync(root + timesyncdFile)) return true;
      if (!existsSync(root + chronyFolder)) return false;
      askChrony();
      return chrony;
    },
    rtcMs() {
      try {
        const seconds = Number(readFileSync(root + rtcFile, 'utf8').trim());
        return Number.isFinite(seconds) ? seconds * 1000 : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * Reads `chronyc -c tracking`: 14 fields, the first the reference (7F7F01xx: its own clock, which proves nothing), the
 * third the stratum, the last the leap status.
 */
export function chronySynchronised(output: string): boolean {
  const fields = output.trim().split(',');
  const stratum = Number(fields[2]);
  return (
    fields.length >= 14 &&
    !/^7F7F01/i.test(fields[0] ?? '') &&
    stratum >= 1 &&
    stratum < 16 &&
    !/not sync/i.test(fields.at(-1) ?? '')
  );
}
