/**
 * A GSM modem that sends SMS (3GPP TS 27.005, 27.007): PIN, registration, messages, credit and signal. The line is opened when it
 * is needed and found again by its name after it was unplugged. One conversation at a time.
 */
import { messageOf, type Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { ByteLine, OpenLine } from '../../links/index.js';
import { ChannelError } from '../channels/port.js';
import { AtError, createAtSession, type AtAsk, type AtSession } from './at-session.js';
import { errorMeaning } from './errors.js';
import { fromUcs2Hex, smsForm, ucs2Hex, validityDay, type SmsForm } from './sms-form.js';

/** What was tried of PINs, kept over restarts: a SIM locks itself after three wrong ones. */
export interface PinMemory {
  /** Whether this PIN was given to the SIM and it is not known that it was right. */
  wasTried(pin: string): boolean;
  /** Before it is given. */
  trying(pin: string): void;
  /** It was right. */
  right(): void;
}

export interface ModemOptions {
  readonly open: OpenLine;
  readonly pin: string | undefined;
  readonly pins: PinMemory;
  /** Number of the SMS centre, where the SIM does not know it. */
  readonly serviceCentre: string | undefined;
  /** USSD code that asks for the credit, such as `*102#`. */
  readonly balanceCode: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Longest waits, real milliseconds; for tests. */
  readonly waits?: Partial<ModemWaits>;
}

/** Real milliseconds. */
export interface ModemWaits {
  /** For an ordinary answer. */
  readonly answer: number;
  /** For the network to take a message: makers name up to two minutes. */
  readonly sending: number;
  /** For the SIM to be found on the network. */
  readonly network: number;
  /** For the operator's answer to a USSD code. */
  readonly ussd: number;
  /** Between two looks. */
  readonly between: number;
}

const usualWaits: ModemWaits = { answer: 10_000, sending: 120_000, network: 60_000, ussd: 60_000, between: 2000 };

/** What a modem says of itself. */
export interface ModemLook {
  /** dBm; null when it cannot tell. */
  readonly signalDbm: number | null;
  readonly operator: string | null;
  readonly roaming: boolean;
}

/** A modem. All reject with ChannelError. */
export interface Modem {
  /** Resolves with the number of messages it took when the network has all of them. */
  send(to: string, text: string): Promise<number>;
  look(): Promise<ModemLook>;
  /** What the operator says of the credit; undefined without a code. */
  balance(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Makes a modem; nothing is opened before it is needed. */
export function createModem(options: ModemOptions): Modem {
  const { clock, logger, pins } = options;
  const waits = { ...usualWaits, ...options.waits };
  let line: ByteLine | undefined;
  let session: AtSession | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let reference = 0;
  let closed = false;

  const inTurn = <T>(work: (session: AtSession) => Promise<T>): Promise<T> => {
    const result = turn.then(async () => {
      if (closed) throw new ChannelError('the modem is closed');
      try {
        return await work(await ready());
      } catch (error) {
        // After a late answer the conversation finds its step by itself.
        if (error instanceof AtError && error.failure === 'lost') await letGo();
        throw inWords(error);
      }
    });
    turn = result.catch(() => {});
    return result;
  };

  const letGo = async (): Promise<void> => {
    const open = line;
    line = undefined;
    session = undefined;
    await open?.close();
  };

  const usual = (prefix?: string): AtAsk => ({
    timeoutMs: waits.answer,
    ...(prefix === undefined ? {} : { prefix }),
  });

  /** The line open, the modem awake, the SIM unlocked and on the network. */
  async function ready(): Promise<AtSession> {
    let at = session;
    if (!at) {
      let opened: AtSession | undefined;
      try {
        line = await options.open({
          bytes: (data) => opened?.receive(data),
          lost: (reason) => {
            opened?.lost(reason);
            if (session === opened) {
              session = undefined;
              line = undefined;
            }
          },
        });
      } catch (error) {
        throw new ChannelError(`${messageOf(error)}`, { cause: error });
      }
      const writeTo = line;
      at = opened = createAtSession((bytes) => writeTo.write(bytes), clock);
      await greet(at);
      session = at;
    }
    await unlock(at);
    await findNetwork(at);
    return at;
  }

  async function greet(at: AtSession): Promise<void> {
    // A modem that finds out the speed by itself may miss the first.
    for (let tries = 1; ; tries += 1) {
      try {
        await at.ask('AT', { timeoutMs: Math.min(1500, waits.answer) });
        break;
      } catch (error) {
        // Nor is it about us what one says late that was asked before the gateway started.
        if (tries < 4 && error instanceof AtError && error.failure !== 'lost') continue;
        await letGo();
        if (error instanceof AtError && /does? not answer|did not answer/.test(error.message))
          throw new ChannelError(
            'nothing that answers AT is on this port: is it the right one, and has the modem power?',
          );
        throw error;
      }
    }
    await at.ask('ATE0', usual());
    await at.ask('AT+CMEE=1', usual()).catch(onlyRefused);
    await at.ask('AT+CREG=0', usual()).catch(onlyRefused);
  }

  async function unlock(at: AtSession): Promise<void> {
    const endMs = clock.monotonicMs() + waits.network;
    for (;;) {
      const state = await pinState(at);
      if (state === 'READY') {
        pins.right();
        return;
      }
      if (state === 'SIM PIN') await givePin(at);
      else if (state !== 'busy')
        throw new ChannelError(
          /PUK/.test(state)
            ? 'the SIM is locked and wants its PUK: unlock it in a phone'
            : `the modem wants something only a person can give: ${state}`,
        );
      if (clock.monotonicMs() > endMs) throw new ChannelError('the SIM stays busy: put it in again');
      await clock.sleep(waits.between);
    }
  }

  async function pinState(at: AtSession): Promise<string> {
    try {
      const [said = ''] = await at.ask('AT+CPIN?', usual('+CPIN:'));
      return said.replace(/^\+CPIN: ?/, '').trim();
    } catch (error) {
      // After the PIN, and after power, a SIM is busy for some seconds.
      if (error instanceof AtError && error.failure === 'cme' && /^(14|SIM busy)$/i.test(error.code)) return 'busy';
      throw error;
    }
  }

  async function givePin(at: AtSession): Promise<void> {
    const { pin } = options;
    if (pin === undefined)
      throw new ChannelError('the SIM wants its PIN: give it with `villagrid notify secret sms-pin`');
    if (pins.wasTried(pin))
      throw new ChannelError(
        'the SIM did not take the PIN and is not given it again, because it locks itself after three: give the right one with `villagrid notify secret sms-pin`',
      );
    pins.trying(pin);
    try {
      await at.ask(`AT+CPIN="${pin}"`, { ...usual(), shown: 'AT+CPIN' });
    } catch (error) {
      logger.warn('the SIM did not take its PIN');
      throw error;
    }
  }

  async function findNetwork(at: AtSession): Promise<void> {
    const endMs = clock.monotonicMs() + waits.network;
    for (;;) {
      const found = await registration(at);
      if (found === 'home' || found === 'roaming') return;
      if (found === 'denied') throw new ChannelError('the network refuses this SIM: is it active and paid for?');
      if (clock.monotonicMs() > endMs)
        throw new ChannelError(
          'there is no network: look at the antenna and its place, and whether the SIM works in a phone',
        );
      await clock.sleep(waits.between);
    }
  }

  async function registration(at: AtSession): Promise<'home' | 'roaming' | 'denied' | 'none'> {
    const [said = ''] = (await at.ask('AT+CREG?', usual('+CREG:'))).filter((one) => one.includes(','));
    const state = Number(/^\+CREG: ?\d+, ?(\d+)/.exec(said)?.[1] ?? 4);
    // 6 and 7: registered for SMS only, on LTE.
    if (state === 1 || state === 6) return 'home';
    if (state === 5 || state === 7) return 'roaming';
    return state === 3 ? 'denied' : 'none';
  }

  async function put(at: AtSession, to: string, form: SmsForm): Promise<number> {
    if (options.serviceCentre !== undefined) await at.ask(`AT+CSCA="${options.serviceCentre}"`, usual());
    if (form.mode === 'pdu') {
      await at.ask('AT+CMGF=0', usual());
      for (const { hex, length } of form.pdus) await hand(at, `AT+CMGS=${length}`, hex);
      return form.pdus.length;
    }
    const wide = form.charset === 'UCS2';
    await at.ask('AT+CMGF=1', usual());
    await at.ask(`AT+CSCS="${form.charset}"`, usual());
    await at.ask(`AT+CSMP=17,${validityDay},0,${wide ? 8 : 0}`, usual());
    await hand(at, `AT+CMGS="${wide ? ucs2Hex(to) : to}"`, form.text);
    return 1;
  }

  async function hand(at: AtSession, command: string, data: string): Promise<void> {
    const [taken] = await at.ask(command, { timeoutMs: waits.sending, prefix: '+CMGS:', data });
    if (taken === undefined) throw new ChannelError('the modem said OK without a number for the message');
  }

  async function send(at: AtSession, to: string, text: string): Promise<number> {
    reference = (reference + 1) & 0xff;
    const form = smsForm(to, text, reference);
    try {
      return await put(at, to, form);
    } catch (error) {
      if (!isMemoryFull(error)) throw error;
      // Nobody reads this SIM: what the operator sent to it only takes room.
      await at.ask('AT+CMGD=1,4', { timeoutMs: waits.sending });
      logger.info('messages on the SIM were deleted, because its memory was full');
      return put(at, to, form);
    }
  }

  async function ussd(at: AtSession, code: string): Promise<string> {
    await at.ask('AT+CSCS="IRA"', usual()).catch(onlyRefused);
    let heard: ((line: string) => void) | undefined;
    const answer = new Promise<string>((resolve) => (heard = resolve));
    at.onLine = (said) => {
      if (said.startsWith('+CUSD:')) heard?.(said);
    };
    const limit = clock.after(waits.ussd, () => heard?.(''));
    try {
      await at.ask(`AT+CUSD=1,"${code}",15`, { timeoutMs: waits.ussd });
      const said = await answer;
      if (said === '') throw new ChannelError(`the operator did not answer ${code}`);
      const [, state = '', text = ''] = /^\+CUSD: ?(\d)(?:, ?"([\s\S]*)"(?:, ?\d+)?)?/.exec(said) ?? [];
      // It waits for a choice from its menu, which nobody makes.
      if (state === '1') await at.ask('AT+CUSD=2', usual()).catch(onlyRefused);
      if (text === '') throw new ChannelError(`the operator has no answer to ${code} (${said})`);
      return (fromUcs2Hex(text) ?? text).replaceAll(/\s+/g, ' ').trim();
    } finally {
      limit.cancel();
      at.onLine = () => {};
    }
  }

  return {
    send: (to, text) => inTurn((at) => send(at, to, text)),
    look: () =>
      inTurn(async (at) => {
        const [quality = ''] = await at.ask('AT+CSQ', usual('+CSQ:'));
        const level = Number(/^\+CSQ: ?(\d+)/.exec(quality)?.[1] ?? 99);
        const [operator = ''] = await at.ask('AT+COPS?', usual('+COPS:')).catch(onlyRefused);
        return {
          signalDbm: level > 31 ? null : -113 + 2 * level,
          operator: /"([^"]*)"/.exec(operator)?.[1] ?? null,
          roaming: (await registration(at)) === 'roaming',
        };
      }),
    async balance() {
      const { balanceCode } = options;
      return balanceCode === undefined ? undefined : inTurn((at) => ussd(at, balanceCode));
    },
    async close() {
      closed = true;
      await turn.catch(() => {});
      await letGo();
    },
  };
}

/** A modem without a command goes on without it. */
function onlyRefused(error: unknown): readonly string[] {
  if (error instanceof AtError && (error.failure === 'error' || error.failure === 'cme')) return [];
  throw error;
}

function isMemoryFull(error: unknown): boolean {
  return (
    error instanceof AtError &&
    (error.failure === 'cms' || error.failure === 'cme') &&
    errorMeaning(error.failure, error.code).fault === 'memory'
  );
}

function inWords(error: unknown): unknown {
  if (!(error instanceof AtError)) return error;
  if (error.failure !== 'cms' && error.failure !== 'cme') return new ChannelError(error.message, { cause: error });
  const { words, fault } = errorMeaning(error.failure, error.code);
  return new ChannelError(words, { receiver: fault === 'number', cause: error });
}
