/** The file of device credentials: `{"devices": {"<device_id>": {"secret": "$scrypt$..."}}}`, mode 0600. */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError, isIdentifier } from '@villagrid/contracts';
import { isSecretHash } from '@villagrid/runtime';

/** Device id to the hash of its secret. */
export type DeviceCredentials = ReadonlyMap<string, string>;

/** Reads the credentials; a file that is not there is empty (no device may log in). Throws E_CONFIG_*, never with a secret. */
export function readDeviceCredentials(path: string): DeviceCredentials {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw new VillagridError('E_CONFIG_READ', `${path}: ${messageOf(error)}.`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new VillagridError('E_CONFIG_SYNTAX', `${path}: this is not JSON.`);
  }
  const devices = (content as { devices?: unknown } | null)?.devices;
  if (typeof devices !== 'object' || devices === null || Array.isArray(devices))
    throw new VillagridError('E_CONFIG_INVALID', `${path}: "devices" must be a mapping of device id to secret.`);
  const credentials = new Map<string, string>();
  for (const [deviceId, entry] of Object.entries(devices)) {
    const secret = (entry as { secret?: unknown } | null)?.secret;
    if (!isIdentifier(deviceId) || typeof secret !== 'string' || !isSecretHash(secret)) {
      throw new VillagridError(
        'E_CONFIG_INVALID',
        `${path}: the entry of device ${JSON.stringify(deviceId)} must be {"secret": "<scrypt hash>"}; issue it anew with \`villagrid device credential\`.`,
      );
    }
    credentials.set(deviceId, secret);
  }
  return credentials;
}
