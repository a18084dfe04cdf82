/** Addresses of this machine alone. */
import { isIP } from 'node:net';

/** Whether an address, or a host of the settings, can be reached from this machine only. */
export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
