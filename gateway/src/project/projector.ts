/** The reader that projects committed frames into the telemetry store: rollups, newest values, digests. In small steps. */
import type { Clock, Timer } from '@villagrid/contracts';
import type { LifecyclePart, Logger, TelemetryStore } from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';

/** Frames of one step, and how often a step is made at least, real milliseconds. */
const framesPerStep = 200;
const bytesPerStep = 100_000;
const stepEveryMs = 1000;

export interface ProjectorOptions {
  readonly gridId: string;
  readonly gatewayId: string;
  readonly log: DurableLog;
  readonly telemetry: TelemetryStore;
  readonly realClock: Clock;
  readonly logger: Logger;
}

/** Keeps the telemetry store up to the log. */
export interface Projector extends LifecyclePart {
  /** Projects everything committed so far, breathing between steps. What reads history waits for it. */
  catchUp(): Promise<void>;
  /** Frames not projected yet. */
  behind(): number;
}

/** Makes the projector; its cursor is the store's own, so both agree after any crash. */
export function createProjector({ gridId, gatewayId, log, telemetry, realClock, logger }: ProjectorOptions): Projector {
  let done = telemetry.cursor(gatewayId, log.epoch);
  let running: Promise<void> | undefined;
  let stopped = false;
  let timer: Timer | undefined;
  let leave: (() => void) | undefined;

  const step = (): boolean => {
    const frames = log.read(done + 1, { maxFrames: framesPerStep, maxBytes: bytesPerStep });
    if (frames.length === 0) return false;
    done = telemetry.applyFrames(gridId, gatewayId, log.epoch, frames).upTo;
    return done < log.newestNumber();
  };
  const run = async (): Promise<void> => {
    while (!stopped && step()) await new Promise((resolve) => setImmediate(resolve));
  };
  const catchUp = (): Promise<void> => {
    running ??= run().finally(() => (running = undefined));
    return running;
  };
  const inBackground = (): void => {
    catchUp().catch((error: unknown) => logger.error('history could not be brought up to the log', { error }));
  };

  return {
    name: 'projector',
    catchUp: () => (done < log.newestNumber() ? catchUp() : Promise.resolve()),
    behind: () => log.newestNumber() - done,
    async start() {
      timer = realClock.every(stepEveryMs, inBackground);
      leave = log.onCommit(({ number }) => {
        if (number - done >= framesPerStep) inBackground();
      });
      inBackground();
    },
    async stop() {
      timer?.cancel();
      leave?.();
      await catchUp().catch(() => {});
      stopped = true;
    },
  };
}
