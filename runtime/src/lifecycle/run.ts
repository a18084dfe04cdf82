/** What a main.ts ends with: run until told to stop. */
import { VillagridError } from '@villagrid/contracts';
import type { Logger, RootLogger } from '../log/logger.js';
import type { Lifecycle } from './lifecycle.js';

/**
 * Starts the parts and stays until SIGINT or SIGTERM (exit code 0) or an error nobody caught (logged, exit code 1); stops
 * the parts in order before it exits. A second signal exits at once. Resolves when started. Call once per process.
 */
export async function runUntilSignal(
  lifecycle: Lifecycle,
  options: { readonly log: Logger | RootLogger },
): Promise<void> {
  const { log } = options;
  let ending = false;
  const end = (code: number): void => {
    if (ending) return;
    ending = true;
    void lifecycle.stop().then(() => {
      log.info('stopped', { exit_code: code });
      if ('flush' in log) log.flush();
      process.exit(code);
    });
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (ending) process.exit(130);
    log.info('stopping', { signal });
    end(0);
  };
  const onFault =
    (kind: string) =>
    (error: unknown): void => {
      log.error(kind, { error });
      // A fault during the stop must not be able to keep the process for ever.
      if (ending) process.exit(1);
      end(1);
    };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('uncaughtException', onFault('an error nobody caught'));
  process.on('unhandledRejection', onFault('a rejection nobody caught'));
  try {
    await lifecycle.start();
  } catch (error) {
    if (error instanceof VillagridError) log.error(error.message, { code: error.code, next: error.next });
    end(1);
  }
}
