/** The clock of this machine: plausible, and synchronised. */
import { existsSync } from 'node:fs';
import type { Check } from '../check.js';

/** No machine that runs this can be older than this: 2026-01-01. */
const floorMs = Date.UTC(2026, 0, 1);

export const clock: Check = {
  id: 'clock',
  title: 'Clock',
  async run({ realClock }) {
    const now = realClock.nowMs();
    if (now < floorMs) {
      return [
        {
          state: 'bad',
          found: `the clock says ${new Date(now).toISOString()}`,
          next: 'Set it (timedatectl set-time), or give the box a link or a hardware clock.',
        },
      ];
    }
    const synchronised = existsSync('/run/systemd/timesync/synchronized') || existsSync('/run/chrony');
    return synchronised
      ? [{ state: 'good', found: 'synchronised by the network' }]
      : [
          {
            state: 'warning',
            found: 'not synchronised by the network',
            next: 'Nothing is lost, and times are put right when the gateway learns the time: from the cloud, a phone, or a hardware clock.',
          },
        ];
  },
};
