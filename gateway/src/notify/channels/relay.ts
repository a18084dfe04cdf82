/**
 * A relay that sounds a buzzer or lights a lamp. The switch behind it is a serial relay board or a pin of the box; it is on for
 * as long as an alert rings, and off before this room lets go of it.
 */
import { messageOf, type Clock, type Timer } from '@villagrid/contracts';
import { ChannelError, type ChannelStatus, type NotifyChannel } from './port.js';

/** How soon a switch that would not go off is tried again, and at most, real milliseconds; twice as long each time. */
const offAgainMs = 1000;
const offAgainLongestMs = 60_000;

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
  let wanted = false;
  let timer: Timer | undefined;
  /** Tries in a row to switch it off that failed. */
  let failedOffs = 0;
  let tell: (status: ChannelStatus) => void = () => {};
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
    wanted = false;
    timer?.cancel();
    timer = undefined;
    await turn;
    if (isOn === false || wanted) return;
    try {
      await set(false);
    } catch (error) {
      // Nobody can sleep beside a buzzer that stays on, and it tells nothing any more.
      if (!wanted) offAgain(error);
      throw error;
    }
    if (failedOffs > 0) tell({ state: 'ok', detail: `${relay.name} is off, after ${failedOffs} tries that failed` });
    failedOffs = 0;
  };
  const offAgain = (error: unknown): void => {
    const waitMs = Math.min(offAgainLongestMs, offAgainMs * 2 ** failedOffs);
    failedOffs += 1;
    const times = failedOffs === 1 ? 'once' : `${failedOffs} times`;
    tell({
      state: 'failing',
      detail: `${messageOf(error)}; it may still be on: switching it off failed ${times}, the next try is in ${waitMs / 1000} s`,
    });
    offIn(waitMs);
  };
  const offIn = (waitMs: number): void => {
    timer?.cancel();
    timer = realClock.after(waitMs, () => {
      // It goes on trying by itself.
      off().catch(() => {});
    });
  };
  return {
    name: 'relay',
    watch(listener) {
      tell = listener;
    },
    async send() {
      wanted = true;
      timer?.cancel();
      try {
        await set(true);
      } finally {
        // Whether it is known to have gone on or not: it does not stay on for ever.
        if (wanted) offIn(soundMs);
      }
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
      timer?.cancel();
      await relay.close();
    },
  };
}

/** The code that a switch without a way to tell fails with. */
export const switchFailed = (name: string, reason: string): ChannelError => new ChannelError(`${name}: ${reason}`);
