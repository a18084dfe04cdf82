/**
 * A USB relay board of the LCUS kind (CH340): four bytes at 9600 baud, 0xA0, relay, 1 or 0, and the sum of the three. It answers
 * nothing; that it took them is all that can be known.
 */
import { messageOf, type Clock } from '@villagrid/contracts';
import type { ByteLine, OpenLine } from '../../links/index.js';
import { switchFailed, type Switch } from './relay.js';

/** The bytes that switch a relay of the board, counted from 1. */
export function boardCommand(relay: number, on: boolean): Uint8Array {
  const state = on ? 1 : 0;
  return Uint8Array.of(0xa0, relay, state, (0xa0 + relay + state) & 0xff);
}

/** So long after the bytes were written a line that is gone has said so, real milliseconds. */
const settledMs = 100;

/** A relay of a board; its line is opened when it is needed and again after it was lost. */
export function serialBoard(path: string, open: OpenLine, relay: number, realClock: Clock): Switch {
  const name = `relay ${relay} of ${path}`;
  let line: ByteLine | undefined;
  let gone: string | undefined;
  return {
    name,
    async set(on) {
      try {
        line ??= await open({
          bytes: () => {},
          lost(why) {
            line = undefined;
            gone = why;
          },
        });
      } catch (error) {
        throw switchFailed(name, messageOf(error));
      }
      gone = undefined;
      line.write(boardCommand(relay, on));
      await realClock.sleep(settledMs);
      if (gone !== undefined) throw switchFailed(name, gone);
    },
    async close() {
      await line?.close();
      line = undefined;
    },
  };
}
