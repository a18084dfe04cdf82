/**
 * A conversation in AT commands (ITU-T V.250, 3GPP TS 27.007): one command at a time, its lines told apart from what a modem says
 * by itself in between (+CMTI, RING), from its echo and from answers that came too late.
 */
import type { Clock, Timer } from '@villagrid/contracts';

/** Why a command got no OK. */
export type AtFailure = 'cms' | 'cme' | 'error' | 'timeout' | 'lost';

/** A command that failed; `code` is the number or text of `+CMS ERROR` and `+CME ERROR`. */
export class AtError extends Error {
  readonly failure: AtFailure;
  readonly code: string;

  constructor(failure: AtFailure, code: string, message: string) {
    super(message);
    this.name = 'AtError';
    this.failure = failure;
    this.code = code;
  }
}

/** How a command is asked. */
export interface AtAsk {
  readonly timeoutMs: number;
  /** Start of the lines that belong to the answer; others are the modem's own. */
  readonly prefix?: string;
  /** Sent when the modem prompts with `>`; ended with Ctrl-Z. */
  readonly data?: string;
  /** What to call the command in errors, where it holds a secret. */
  readonly shown?: string;
}

/** One modem's conversation. */
export interface AtSession {
  /** Asks; gives the lines of the answer without OK. Rejects with AtError. Not before the last one was answered. */
  ask(command: string, how: AtAsk): Promise<readonly string[]>;
  /** Bytes that came. */
  receive(bytes: Uint8Array): void;
  /** The line is gone: who waits is told. */
  lost(reason: string): void;
  /** A line that belongs to no command, such as `+CUSD: ...`. */
  onLine: (line: string) => void;
}

const escape = 0x1b;
const endOfText = 0x1a;
/** How long it must be quiet until a modem counts as having said all, real ms. */
const quietMs = 150;
const longestLine = 8192;

interface Waiting {
  readonly command: string;
  readonly how: AtAsk;
  readonly lines: string[];
  prompted: boolean;
  readonly resolve: (lines: readonly string[]) => void;
  readonly reject: (error: AtError) => void;
  readonly timer: Timer;
}

/** Begins a conversation on a line that is open. Times are real milliseconds. */
export function createAtSession(write: (bytes: Uint8Array) => void, clock: Clock): AtSession {
  const text = new TextDecoder('latin1');
  const bytesOf = (line: string): Uint8Array => Uint8Array.from(line, (letter) => letter.charCodeAt(0) & 0xff);
  let held = '';
  let waiting: Waiting | undefined;
  let heardMs = Number.NEGATIVE_INFINITY;
  /** Whether answers to a command that was given up may still come. */
  let outOfStep = false;
  let gone: string | undefined;
  /** A line of the modem's own whose quoted text goes on. */
  let open = '';

  const finish = (outcome: (of: Waiting) => void): void => {
    const of = waiting;
    if (!of) return;
    waiting = undefined;
    of.timer.cancel();
    outcome(of);
  };
  const nameOf = ({ command, how }: Waiting) => how.shown ?? command;

  const line = (said: string): void => {
    if (open !== '') {
      open += `\n${said}`;
      if (isWhole(open)) {
        const whole = open;
        open = '';
        session.onLine(whole);
      }
      return;
    }
    if (said === '') return;
    if (waiting) {
      if (said === 'OK') return finish(({ resolve, lines }) => resolve(lines));
      const [, kind = '', code = ''] = /^\+(CM[ES]) ERROR: ?(.*)$/.exec(said) ?? [];
      if (kind !== '')
        return finish((of) =>
          of.reject(new AtError(kind === 'CMS' ? 'cms' : 'cme', code.trim(), `${nameOf(of)}: ${said}`)),
        );
      if (said === 'ERROR' || said === 'COMMAND NOT SUPPORT')
        return finish((of) => of.reject(new AtError('error', '', `${nameOf(of)}: the modem says ${said}`)));
      if (waiting.how.prefix !== undefined && said.startsWith(waiting.how.prefix)) {
        waiting.lines.push(said);
        return;
      }
    }
    if (!isWhole(said)) {
      open = said;
      return;
    }
    session.onLine(said);
  };

  /** After a command that was given up: until the modem answers again and has nothing more to say. */
  const getInStep = async (): Promise<void> => {
    for (let tries = 0; outOfStep; tries += 1) {
      // Out of a text that it may still wait for.
      write(Uint8Array.of(escape));
      held = '';
      const answered = await put('AT', { timeoutMs: 1000 }).then(
        () => true,
        (error: AtError) => {
          if (error.failure === 'lost') throw error;
          if (tries >= 4) throw new AtError('lost', '', 'the modem does not answer any more');
          return false;
        },
      );
      if (!answered) continue;
      while (clock.monotonicMs() - heardMs < quietMs) await clock.sleep(quietMs);
      outOfStep = false;
    }
  };

  const put = (command: string, how: AtAsk): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(new AtError('lost', '', gone));
        return;
      }
      const timer = clock.after(how.timeoutMs, () =>
        finish((of) => {
          outOfStep = true;
          const seconds = Math.round(how.timeoutMs / 1000);
          of.reject(new AtError('timeout', '', `${nameOf(of)}: the modem did not answer within ${seconds} s`));
        }),
      );
      waiting = { command, how, lines: [], prompted: false, resolve, reject, timer };
      write(bytesOf(`${command}\r`));
    });

  const session: AtSession = {
    onLine: () => {},
    async ask(command, how) {
      await getInStep();
      return put(command, how);
    },
    receive(bytes) {
      heardMs = clock.monotonicMs();
      held += text.decode(bytes);
      for (let end = held.search(/[\r\n]/); end >= 0; end = held.search(/[\r\n]/)) {
        const said = held.slice(0, end);
        held = held.slice(end + 1);
        line(said.trim());
      }
      if (waiting?.how.data !== undefined && !waiting.prompted && /^\s*>/.test(held)) {
        held = '';
        waiting.prompted = true;
        write(Uint8Array.of(...bytesOf(waiting.how.data), endOfText));
      }
      // Noise of a wrong speed must not grow for ever.
      if (held.length > longestLine) held = '';
      if (open.length > longestLine) open = '';
    },
    lost(reason) {
      gone = reason;
      finish((of) => of.reject(new AtError('lost', '', reason)));
    },
  };
  return session;
}

/** Whether the quotes of a line are closed. */
const isWhole = (said: string): boolean => !said.startsWith('+') || (said.split('"').length - 1) % 2 === 0;
