/**
 * A GSM modem as 3GPP TS 27.007 and 27.005 describe one, for the far end of a serial line: it takes bytes, gives bytes, and keeps
 * what was sent through it. It decodes messages by 23.040 and 23.038 by itself, so that a wrong one is seen as a phone would see it.
 */
import type { Clock } from '@villagrid/contracts';

/** An SMS as its receiver gets it. */
export interface ReceivedSms {
  readonly to: string;
  readonly text: string;
  /** How many parts it came in. */
  readonly parts: number;
}

/** How a modem behaves. Everything may be changed while it runs. */
export interface GsmModemSettings {
  /** PIN of its SIM; none is wanted when left out. Three wrong ones lock it. */
  pin?: string;
  /** Whether it repeats what it is told until ATE0. */
  echo: boolean;
  /** `+CREG` state: 1 home, 2 searching, 3 denied, 5 roaming. */
  registration: number;
  /** `+CSQ` level, 0 to 31, 99 unknown. */
  signal: number;
  /** Milliseconds before each answer. */
  delayMs: number;
  /** Lines it says by itself before each answer. */
  unsolicited: readonly string[];
  /** Free places for messages; sending fails with +CMS ERROR: 322 at 0 until messages are deleted. */
  free: number;
  /** Errors for the next messages: `+CMS ERROR: 38`; `silent` answers nothing. */
  failures: string[];
  /** Answers to USSD codes: the rest of a `+CUSD:` line. */
  readonly ussd: Record<string, string>;
  /** Answers nothing at all. */
  dead: boolean;
}

/** The modem. */
export interface GsmModem {
  readonly settings: GsmModemSettings;
  /** Everything it was told, in order: commands, and texts behind their prompt. */
  readonly told: string[];
  readonly received: ReceivedSms[];
  /** Wrong PINs so far. */
  readonly wrongPins: () => number;
  /** Takes bytes from the line. */
  receive(bytes: Uint8Array): void;
  /** Power off and on: echo, unlocked SIM and modes are as at the beginning. */
  restart(): void;
}

const gsmBasic =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const gsmExtension: Readonly<Record<number, string>> = {
  0x14: '^',
  0x28: '{',
  0x29: '}',
  0x2f: '\\',
  0x3c: '[',
  0x3d: '~',
  0x3e: ']',
  0x40: '|',
  0x65: '€',
};

/** Makes a modem whose answers go to `write`. */
export function gsmModem(
  write: (bytes: Uint8Array) => void,
  clock: Clock,
  given: Partial<GsmModemSettings> = {},
): GsmModem {
  const settings: GsmModemSettings = {
    echo: true,
    registration: 1,
    signal: 18,
    delayMs: 0,
    unsolicited: [],
    free: 10,
    failures: [],
    ussd: {},
    dead: false,
    ...given,
  };
  const told: string[] = [];
  const received: ReceivedSms[] = [];
  const halves = new Map<string, string[]>();
  let state = fresh();
  let wrong = 0;
  let held = '';
  let awaiting: string | undefined;
  let reference = 0;

  function fresh() {
    return { echo: settings.echo, unlocked: false, textMode: false, charset: 'GSM', coding: 0, numeric: false };
  }
  const bytesOf = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const say = (...lines: string[]) => {
    if (settings.dead) return;
    const text = lines.map((line) => `\r\n${line}\r\n`).join('');
    if (settings.delayMs === 0) write(bytesOf(text));
    else clock.after(settings.delayMs, () => write(bytesOf(text)));
  };
  const answer = (...lines: string[]) => say(...settings.unsolicited, ...lines);
  const error = (code: number) => answer(state.numeric ? `+CME ERROR: ${code}` : 'ERROR');
  const ready = () => settings.pin === undefined || state.unlocked;

  function command(line: string): void {
    told.push(line);
    const upper = line.toUpperCase();
    const [, name = '', rest = ''] = /^AT(\+[A-Z]+|[A-Z]?\d?)(.*)$/.exec(upper) ?? [];
    const argument = line.slice(line.length - rest.length);
    if (name === '' && upper === 'AT') return answer('OK');
    if (name === 'E0') state.echo = false;
    if (name === 'E0') return answer('OK');
    if (name === '+CMEE') {
      state.numeric = true;
      return answer('OK');
    }
    if (name === '+CPIN') return pin(argument);
    if (name === '+CSQ') return answer(`+CSQ: ${settings.signal},99`, 'OK');
    if (name === '+COPS') return answer('+COPS: 0,0,"Village Net"', 'OK');
    if (name === '+CREG' && rest === '?') return answer(`+CREG: 0,${settings.registration}`, 'OK');
    if (name === '+CREG') return answer('OK');
    if (!ready()) return error(11);
    if (name === '+CMGF') {
      state.textMode = rest === '=1';
      return answer('OK');
    }
    if (name === '+CSCS') {
      state.charset = /"(\w+)"/.exec(argument)?.[1] ?? '';
      return ['IRA', 'GSM', 'UCS2'].includes(state.charset) ? answer('OK') : error(4);
    }
    if (name === '+CSMP') {
      state.coding = Number(argument.split(',')[3]);
      return answer('OK');
    }
    if (name === '+CSCA') return answer('OK');
    if (name === '+CMGD') {
      settings.free = 10;
      return answer('OK');
    }
    if (name === '+CMGS') {
      awaiting = argument.slice(1);
      return settings.dead ? undefined : void write(bytesOf('\r\n> '));
    }
    if (name === '+CUSD') {
      const [, code = ''] = /"([^"]*)"/.exec(argument) ?? [];
      answer('OK');
      const text = settings.ussd[code];
      if (text !== undefined) say(`+CUSD: ${text}`);
      return;
    }
    answer('ERROR');
  }

  function pin(argument: string): void {
    if (argument === '?') {
      if (wrong >= 3) return answer('+CPIN: SIM PUK', 'OK');
      return answer(`+CPIN: ${ready() ? 'READY' : 'SIM PIN'}`, 'OK');
    }
    if (argument === `="${settings.pin}"` && wrong < 3) {
      state.unlocked = true;
      wrong = 0;
      return answer('OK');
    }
    wrong += 1;
    error(16);
  }

  function message(to: string, data: string): void {
    told.push(data);
    const failure = settings.failures.shift();
    if (failure === 'silent') return;
    if (failure !== undefined) return answer(failure);
    if (settings.registration !== 1 && settings.registration !== 5) return answer('+CMS ERROR: 331');
    if (settings.free <= 0) return answer('+CMS ERROR: 322');
    const sms = state.textMode ? ofText(to, data) : ofPdu(Number(to), data);
    if (typeof sms === 'string') return answer(sms);
    if (sms) received.push(sms);
    reference += 1;
    answer(`+CMGS: ${reference}`, 'OK');
  }

  /** Text mode: the number in the character set of the terminal, the text in it too, or hexadecimal for UCS-2 (27.005, 3.5.1). */
  function ofText(quoted: string, data: string): ReceivedSms | string {
    const [, number = ''] = /^"([^"]*)"/.exec(quoted) ?? [];
    const wide = (hex: string) =>
      (hex.match(/.{4}/g) ?? []).map((one) => String.fromCharCode(Number.parseInt(one, 16))).join('');
    const to = state.charset === 'UCS2' ? wide(number) : number;
    if (!/^\+?\d+$/.test(to)) return '+CMS ERROR: 305';
    if (state.coding === 8)
      return /^([0-9A-F]{4}){1,70}$/.test(data) ? { to, text: wide(data), parts: 1 } : '+CMS ERROR: 305';
    return data.length <= 160 ? { to, text: data, parts: 1 } : '+CMS ERROR: 305';
  }

  /** PDU mode: an SMS-SUBMIT (23.040, 9.2.2.2). Undefined while parts are missing. */
  function ofPdu(length: number, hex: string): ReceivedSms | string | undefined {
    const octets = (hex.match(/../g) ?? []).map((one) => Number.parseInt(one, 16));
    if (!/^([0-9A-F]{2})+$/.test(hex) || octets[0] !== 0 || octets.length - 1 !== length) return '+CMS ERROR: 304';
    const first = octets[1] ?? 0;
    const digits = octets[3] ?? 0;
    const addressOctets = Math.ceil(digits / 2);
    const number = octets
      .slice(5, 5 + addressOctets)
      .map((one) => `${(one & 15).toString(16)}${(one >> 4).toString(16)}`)
      .join('')
      .slice(0, digits);
    const to = `${octets[4] === 0x91 ? '+' : ''}${number}`;
    const [, coding = 0, validity = 0, userLength = 0] = octets.slice(5 + addressOctets);
    const user = octets.slice(9 + addressOctets);
    if ((first & 3) !== 1 || (first & 0x18) !== 0x10 || validity === 0) return '+CMS ERROR: 304';
    const header = first & 0x40 ? user.slice(0, (user[0] ?? 0) + 1) : [];
    const fits = coding === 8 ? user.length === userLength : user.length === Math.ceil((userLength * 7) / 8);
    if (!fits || user.length > 140) return '+CMS ERROR: 304';
    const text = coding === 8 ? wideText(user.slice(header.length)) : gsmText(user, userLength, header.length);
    if (header.length === 0) return { to, text, parts: 1 };
    const [, , , ref = 0, total = 0, sequence = 0] = header;
    const key = `${to} ${ref}`;
    const parts = halves.get(key) ?? Array.from<string>({ length: total });
    parts[sequence - 1] = text;
    halves.set(key, parts);
    if (parts.filter((part) => part !== undefined).length < total) return undefined;
    halves.delete(key);
    return { to, text: parts.join(''), parts: total };
  }

  const wideText = (octets: readonly number[]): string => {
    let text = '';
    for (let i = 0; i < octets.length; i += 2)
      text += String.fromCharCode(((octets[i] ?? 0) << 8) | (octets[i + 1] ?? 0));
    return text;
  };

  /** 7-bit codes, of which those before the end of the header are none. */
  const gsmText = (octets: readonly number[], count: number, headerLength: number): string => {
    const from = Math.ceil((headerLength * 8) / 7);
    let text = '';
    let escaped = false;
    for (let i = from; i < count; i += 1) {
      const bit = i * 7;
      const pair = (octets[bit >> 3] ?? 0) | ((octets[(bit >> 3) + 1] ?? 0) << 8);
      const code = (pair >> (bit & 7)) & 0x7f;
      if (escaped) text += gsmExtension[code] ?? '?';
      else if (code !== 0x1b) text += [...gsmBasic][code] ?? '?';
      escaped = !escaped && code === 0x1b;
    }
    return text;
  };

  return {
    settings,
    told,
    received,
    wrongPins: () => wrong,
    receive(bytes) {
      if (settings.dead) return;
      for (const byte of bytes) {
        const letter = String.fromCharCode(byte);
        if (state.echo) write(bytesOf(letter));
        if (awaiting !== undefined) {
          if (byte === 0x1b) {
            awaiting = undefined;
            held = '';
            answer('OK');
          } else if (byte === 0x1a) {
            const to = awaiting;
            const data = held;
            awaiting = undefined;
            held = '';
            message(to, data);
          } else held += letter;
        } else if (letter === '\r') {
          const line = held;
          held = '';
          if (line !== '') command(line);
        } else if (byte !== 0x1b) held += letter;
      }
    },
    restart() {
      state = fresh();
      held = '';
      awaiting = undefined;
    },
  };
}
