/**
 * A relay that sounds a buzzer or lights a lamp. The switch behind it is a serial relay board or a pin of the box; it is on for
 * as long as an alert rings, and off before this room lets go of it.
 */
import type { Clock, Timer } from '@villagrid/contracts';
import { ChannelError, type NotifyChannel } from './port.js';

/** What a relay is switched by. Rejects with ChannelError. */
export interface Switch {
  /** What it is, for status. */
  readonly name: string;
  set(on: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface RelayOptions {
  readonly switch: Switch;
  /** How long it stays on for one alert unless somebody acknowledges, real milliseconds. */
  readonly soundMs: number;
  readonly realClock: Clock;
}

/** Makes the channel. */
export function relayChannel({ switch: relay, soundMs, realClock }: RelayOptions): NotifyChannel {
  let turn: Promise<unknown> = Promise.resolve();
  let isOn: boolean | undefined;
  let timer: Timer | undefined;
  const set = (on: boolean): Promise<void> => {
    const done = turn.then(async () => {
      // Even when it fails it may have switched.
      isOn = undefined;
      await relay.set(on);
      isOn = on;
    });
    turn = done.catch(() => {});
    return done;
  };
  const off = async (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    await turn;
    if (isOn === false) return;
    await set(false);
  };
  const offLater = (): void => {
    timer?.cancel();
    timer = realClock.after(soundMs, () => {
      off().catch(() => {
        // The board was unplugged while it was on, and is off without power. Plugged in again it is switched off by the next look.
      });
    });
  };
  return {
    name: 'relay',
    async send() {
      await set(true);
      offLater();
    },
    async check() {
      if (isOn !== true) await set(false);
      return { state: 'ok', detail: `${relay.name} answers to on and off${isOn ? '; it is on' : ''}` };
    },
    async hush() {
      if (isOn === true) await off();
    },
    async close() {
      await off().catch(() => {});
      await relay.close();
    },
  };
}

/** The code that a switch without a way to tell fails with. */
export const switchFailed = (name: string, reason: string): ChannelError => new ChannelError(`${name}: ${reason}`);
