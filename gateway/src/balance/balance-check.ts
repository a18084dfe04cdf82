/**
 * Once an hour the gateway holds its meters against each other over the last day, and tells when one of them lies. What it
 * found is kept with the log; the alert goes the ordinary way, through the rule of kind `balance`.
 */
import { judgeBalance, readBalanceDay } from '@villagrid/api';
import {
  findingNumber,
  balanceDayMs,
  balanceWords,
  meterFindingFigure,
  needsWholeDay,
  type AlertSubject,
  type BalanceDiagnosis,
  type ChannelFaultKind,
  type Clock,
  type Timer,
} from '@villagrid/contracts';
import type { GridPort } from '@villagrid/api';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';

const checkEveryMs = 3_600_000;
/** How long after a start the first check waits: what was missed is read from the log first. */
const firstAfterMs = 300_000;
const stateName = 'balance';

/** What is remembered from check to check. */
interface Remembered {
  /** What was found last, as a text that is equal for equal findings; empty for nothing. */
  readonly finding: string;
  /** Since when, Unix ms. */
  readonly sinceMs: number;
  readonly headline: string;
  /** Since when something does not fit that no single fault explains, Unix ms; 0 when all is explained. */
  readonly unexplainedSinceMs: number;
  /** Whether an alert tells the finding. */
  readonly isTold: boolean;
}

export interface BalanceCheckOptions {
  readonly grid: Pick<GridPort, 'gridId' | 'site' | 'windows' | 'raw'>;
  readonly log: Pick<DurableLog, 'join' | 'state' | 'putState'>;
  /** Feeds a figure of the gateway itself to the rules. */
  readonly figure: (metric: string, value: number) => void;
  /** Whether times are known and none is being put right: day and night are told by them. */
  readonly timesAreRight: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The hourly check. */
export interface BalanceCheck extends LifecyclePart {
  /** One check now; a check that is under way is waited for. */
  look(): Promise<void>;
  /** What an alert about the present finding says, where there is one. */
  words(): Partial<AlertSubject> | undefined;
}

/** Kinds that differ only in size: a factor that began at noon looks like a drift until its day is full. */
const ofSize: readonly ChannelFaultKind[] = ['factor', 'gain', 'drift'];

/** What makes two findings the same: kind and channels, whatever their sizes. */
const keyOf = ({ faults }: BalanceDiagnosis): string =>
  faults
    .map(
      ({ kind, channel, other }) =>
        `${ofSize.includes(kind) ? 'size' : kind} ${[channel.id, other?.id ?? ''].sort().join(' ')}`,
    )
    .sort()
    .join('; ');

/** Makes the check. */
export function createBalanceCheck(options: BalanceCheckOptions): BalanceCheck {
  const { grid, log, figure, clock, logger } = options;
  let remembered = read(log.state(stateName)?.value);
  let dirty = false;
  let present: BalanceDiagnosis | undefined;
  let running: Promise<void> | undefined;
  let timers: Timer[] = [];
  let stopped = false;

  log.join((number) => {
    if (!dirty) return;
    dirty = false;
    log.putState(stateName, number, JSON.stringify(remembered));
  });

  const check = async (): Promise<void> => {
    if (!options.timesAreRight()) return;
    const nowMs = Math.floor(clock.nowMs());
    const found = await judgeBalance(await readBalanceDay(grid, nowMs));
    if (stopped) return;
    // What cannot be judged is no reason to raise an alert and none to clear one.
    if (found.state === 'unknown') return;
    if (found.state === 'unexplained') return unexplained(found, nowMs);
    if (remembered.unexplainedSinceMs !== 0) {
      remembered = { ...remembered, unexplainedSinceMs: 0 };
      dirty = true;
    }
    present = found;
    const finding = keyOf(found);
    if (finding !== remembered.finding) {
      const { headline } = balanceWords(found);
      remembered = { ...remembered, finding, sinceMs: nowMs, headline, isTold: false };
      dirty = true;
      logger.info('the meters were held against each other', { found: headline });
    }
    if (finding === '') figure(meterFindingFigure, 0);
    else if (!needsWholeDay(found) || nowMs - remembered.sinceMs >= balanceDayMs) {
      figure(meterFindingFigure, findingNumber(finding));
      if (!remembered.isTold) {
        remembered = { ...remembered, isTold: true };
        dirty = true;
      }
    }
  };

  /**
   * A day in which a meter was mended or changed fits no single fault and is over with that day. What still does not fit two
   * days later is told, where nothing else is.
   */
  const unexplained = (found: BalanceDiagnosis, nowMs: number): void => {
    if (remembered.unexplainedSinceMs === 0) {
      remembered = { ...remembered, unexplainedSinceMs: nowMs };
      dirty = true;
    }
    if (remembered.isTold || nowMs - remembered.unexplainedSinceMs < 2 * balanceDayMs) return;
    present = found;
    figure(meterFindingFigure, findingNumber('unexplained'));
  };

  const look = (): Promise<void> => {
    running ??= check().finally(() => (running = undefined));
    return running;
  };
  const inBackground = () => {
    look().catch((error: unknown) => logger.error('the meters could not be held against each other', { error }));
  };

  return {
    name: 'balance',
    look,
    words() {
      if (present === undefined || (present.faults.length === 0 && present.state !== 'unexplained')) return undefined;
      const { headline, why, steps, severity } = balanceWords(present);
      const [first] = present.faults;
      const alone = present.state === 'named' ? first?.channel : undefined;
      return {
        severity,
        message:
          present.state === 'unexplained'
            ? 'some meters do not agree'
            : alone === undefined
              ? 'one of several meters is wrong'
              : `${alone.deviceName} reads wrong`,
        what: headline,
        why,
        steps,
        device_id: alone?.deviceId ?? null,
        device_name: alone?.deviceName ?? null,
        metric: alone?.metric ?? null,
        value: null,
        limit: null,
        unit: null,
      };
    },
    start() {
      timers = [clock.after(firstAfterMs, inBackground), clock.every(checkEveryMs, inBackground)];
    },
    async stop() {
      stopped = true;
      for (const timer of timers) timer.cancel();
      await running?.catch(() => {});
    },
  };
}

function read(saved: string | undefined): Remembered {
  const nothing = { finding: '', sinceMs: 0, headline: '', unexplainedSinceMs: 0, isTold: false };
  if (saved === undefined) return nothing;
  try {
    const { finding, sinceMs, headline, unexplainedSinceMs, isTold } = JSON.parse(saved) as Partial<
      Record<keyof Remembered, unknown>
    >;
    if (typeof finding !== 'string' || typeof sinceMs !== 'number' || typeof headline !== 'string') return nothing;
    const since = typeof unexplainedSinceMs === 'number' ? unexplainedSinceMs : 0;
    return { finding, sinceMs, headline, unexplainedSinceMs: since, isTold: isTold === true };
  } catch {
    return nothing;
  }
}
