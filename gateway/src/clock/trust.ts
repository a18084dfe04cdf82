/** How far the wall clock is trusted. First form: whether the system says that NTP has set it. */
import { existsSync } from 'node:fs';
import type { ClockTrust } from '@villagrid/contracts';

/** Made by systemd-timesyncd once the clock was set. */
const synchronisedFiles = ['/run/systemd/timesync/synchronized'];

/** Makes the question; a setting other than `auto` is its constant answer. */
export function createClockTrust(
  setting: ClockTrust | 'auto',
  files: readonly string[] = synchronisedFiles,
): () => ClockTrust {
  if (setting !== 'auto') return () => setting;
  return () => (files.some((file) => existsSync(file)) ? 'ntp' : 'floor');
}
