/** The channels that the settings ask for. Adding one is its line here. */
import { createHash } from 'node:crypto';
import type { Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { NotifyConfig } from '../../config/notify-schema.js';
import type { NotifySecrets } from '../../config/notify-secrets.js';
import { serialLine, type OpenLine } from '../../links/index.js';
import type { ModemWaits, PinMemory } from '../modem/modem.js';
import { emailChannel } from './email.js';
import { gpioPin } from './gpio-pin.js';
import type { NotifyChannel } from './port.js';
import { relayChannel } from './relay.js';
import { serialBoard } from './serial-board.js';
import { smsChannel } from './sms.js';

export interface MakeChannelsOptions {
  readonly config: NotifyConfig;
  readonly secrets: NotifySecrets;
  /** A state that outlives restarts; what a SIM was given as PIN is kept in it. */
  readonly pinState: { get(): string | undefined; put(value: string): void };
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly logger: Logger;
  /** For tests: shorter waits of the modem. */
  readonly modemWaits?: Partial<ModemWaits> | undefined;
}

/** Makes them; nothing is opened before it is needed. */
export function makeChannels(options: MakeChannelsOptions): NotifyChannel[] {
  const { config, secrets, clock, realClock, logger } = options;
  const { sms, email, relay } = config;
  const line = (path: string, baud: number): OpenLine => serialLine({ path, baud, parity: 'none', stopBits: 1 });
  const channels: NotifyChannel[] = [];
  if (sms)
    channels.push(
      smsChannel({
        open: line(sms.path, sms.baud),
        pin: secrets.sms_pin,
        pins: pinMemory(secrets.sms_pin_given ?? '', options.pinState),
        serviceCentre: sms.service_centre,
        balanceCode: sms.balance_code,
        clock,
        realClock,
        logger: logger.child('sms'),
        ...(options.modemWaits ? { waits: options.modemWaits } : {}),
      }),
    );
  if (email)
    channels.push(
      emailChannel({
        host: email.host,
        port: email.port,
        security: email.security,
        from: email.from,
        username: email.username,
        password: secrets.email_password,
        logger: logger.child('email'),
      }),
    );
  const { serial, gpio } = relay ?? {};
  const relaySwitch = serial
    ? serialBoard(serial.path, line(serial.path, 9600), serial.relay, realClock)
    : gpio &&
      gpioPin({ chip: gpio.chip, line: gpio.line, activeLow: gpio.active_low, program: gpio.program, realClock });
  if (relay && relaySwitch)
    channels.push(relayChannel({ switch: relaySwitch, soundMs: relay.sound_s * 1000, realClock }));
  return channels;
}

/** A PIN counts as another one when it was given anew. Kept is a hash beside the giving, not the PIN. */
function pinMemory(given: string, state: MakeChannelsOptions['pinState']): PinMemory {
  const mark = (pin: string) => createHash('sha256').update(`${given} ${pin}`).digest('base64');
  return {
    wasTried: (pin) => state.get() === mark(pin),
    trying: (pin) => state.put(mark(pin)),
    right() {
      if ((state.get() ?? '') !== '') state.put('');
    },
  };
}
