/** SMS through a serial GSM modem. */
import { messageOf, type Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { createModem, type ModemOptions } from '../modem/modem.js';
import { ChannelError, type ChannelStatus, type NotifyChannel } from './port.js';

/** Below this the network is so weak that messages may fail, dBm: two of five bars. */
const weakDbm = -97;
/** The credit is asked for at most so often: every question may cost. Real milliseconds. */
const balanceEveryMs = 6 * 3_600_000;

export interface SmsOptions extends Omit<ModemOptions, 'logger' | 'clock'> {
  /** Real time: waits. */
  readonly realClock: Clock;
  /** Dates what is shown. */
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes the channel. */
export function smsChannel({ realClock, clock, logger, ...options }: SmsOptions): NotifyChannel {
  const modem = createModem({ ...options, clock: realClock, logger });
  let balance: NonNullable<ChannelStatus['balance']> | null = null;
  let balanceAskedMs = Number.NEGATIVE_INFINITY;

  const lookAtBalance = async (): Promise<string | undefined> => {
    const nowMs = realClock.monotonicMs();
    if (options.balanceCode === undefined || nowMs - balanceAskedMs < balanceEveryMs) return undefined;
    balanceAskedMs = nowMs;
    try {
      const text = await modem.balance();
      if (text !== undefined) balance = { text, amount: amountIn(text), at_ms: Math.round(clock.nowMs()) };
      return undefined;
    } catch (error) {
      // That the credit cannot be told does not keep messages from being sent.
      return messageOf(error);
    }
  };

  return {
    name: 'sms',
    async send({ to, text }) {
      const parts = await modem.send(to, text.short);
      logger.info('SMS sent', { messages: parts });
    },
    async check() {
      const { signalDbm, operator, roaming } = await modem.look();
      const unknown = await lookAtBalance();
      const strength =
        signalDbm === null
          ? 'signal not known'
          : `signal ${signalDbm} dBm${signalDbm < weakDbm ? ', weak: try another place for the antenna' : ''}`;
      const credit = balance
        ? `; credit: ${balance.text}`
        : unknown === undefined
          ? ''
          : `; credit not known: ${unknown}`;
      return {
        state: 'ok',
        detail: `on the network${operator === null ? '' : ` of ${operator}`}${roaming ? ', roaming' : ''}, ${strength}${credit}`,
        signal_dbm: signalDbm,
        balance,
      };
    },
    async hush() {},
    close: () => modem.close(),
  };
}

/** The first number of an operator's sentence: `1,234.50` or `1234` or `1.234,50`. */
export function amountIn(text: string): number | null {
  const [found] = /\d[\d.,]*\d|\d/.exec(text) ?? [];
  if (found === undefined) return null;
  const [, whole = '', cents] = /^(.*?)(?:[.,](\d{1,2}))?$/.exec(found) ?? [];
  return Number(`${whole.replaceAll(/[.,]/g, '')}${cents === undefined ? '' : `.${cents}`}`);
}

/** A number as people write it, without spaces; undefined when it is none of the international form `+...`. */
export function phoneNumber(text: string): string | undefined {
  const plain = text.replaceAll(/[\s()./-]/g, '').replace(/^00/, '+');
  return /^\+[1-9]\d{6,14}$/.test(plain) ? plain : undefined;
}

/** For those who call a channel with a number of their own. */
export function mustBePhoneNumber(text: string): string {
  const number = phoneNumber(text);
  if (number === undefined)
    throw new ChannelError(`${text} is no telephone number in the international form, such as +255712345678`, {
      receiver: true,
    });
  return number;
}
