/** Who a device is: its id and secret, checked against the credentials file. A right secret is remembered, so that forty nodes that come back after a restart of the Wi-Fi do not cost forty scrypt runs again and again. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import type { RandomSource } from '@villagrid/contracts';
import { verifySecret, type Logger } from '@villagrid/runtime';
import { readDeviceCredentials, type DeviceCredentials } from '../config/credentials.js';

export interface DeviceLoginOptions {
  readonly credentialsFile: string;
  readonly gridId: string;
  readonly random: RandomSource;
  readonly logger: Logger;
}

/** Checks a device's username and password; gives its id, or why it is refused (for the log). */
export type DeviceLogin = (
  username: string,
  password: string,
) => Promise<{ readonly deviceId: string } | { readonly refused: string }>;

/** Makes the check. The file is read again when it changed, so a new credential needs no restart. */
export function createDeviceLogin({ credentialsFile, gridId, random, logger }: DeviceLoginOptions): DeviceLogin {
  let credentials: DeviceCredentials = readDeviceCredentials(credentialsFile);
  let changedMs = modified();
  // Kept as a digest with this process's own salt, by stored hash: a new credential misses it.
  const salt = random.bytes(16);
  const remembered = new Map<string, string>();
  const digest = (secret: string) => createHash('sha256').update(salt).update(secret).digest('base64');

  function modified(): number {
    try {
      return statSync(credentialsFile).mtimeMs;
    } catch {
      return 0;
    }
  }
  const refresh = (): void => {
    const now = modified();
    if (now === changedMs) return;
    try {
      credentials = readDeviceCredentials(credentialsFile);
      changedMs = now;
      remembered.clear();
      logger.info('device credentials were read again', { devices: credentials.size });
    } catch (error) {
      logger.error('the changed device credentials cannot be used; the former ones stay', { error });
    }
  };

  return async (username, password) => {
    refresh();
    const slash = username.indexOf('/');
    if (slash >= 0 && username.slice(0, slash) !== gridId) return { refused: 'the username names another grid' };
    const deviceId = username.slice(slash + 1);
    const stored = credentials.get(deviceId);
    if (stored === undefined) return { refused: 'no credential was issued for this device' };
    const found = digest(password);
    if (remembered.get(stored) === found) return { deviceId };
    if (!(await verifySecret(password, stored))) return { refused: 'wrong password' };
    remembered.set(stored, found);
    return { deviceId };
  };
}
