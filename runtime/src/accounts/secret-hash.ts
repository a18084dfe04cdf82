/**
 * Secrets as scrypt hashes in the PHC text form `$scrypt$ln=15,r=8,p=1$<salt>$<hash>` (base64 without padding). For
 * passwords of people and credentials of devices. N = 2^15, r = 8 is one of OWASP's scrypt settings in memory and 32 MiB of memory.
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import type { RandomSource } from '@villagrid/contracts';

/** log2 of scrypt's N for passwords of people. */
export const passwordLogN = 15;

const blockSize = 8;
const saltBytes = 16;
const hashBytes = 32;
/** A stored hash may not ask for more than this: a hostile file must not take the memory. */
const largestLogN = 18;
const form = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{22,86})$/;

/**
 * Hashes a secret with a new salt. `logN` may be lower (at least 10) for long random secrets, such as those of devices,
 * where a guess is hopeless anyway and forty nodes reconnect at once.
 */
export async function hashSecret(secret: string, random: RandomSource, { logN = passwordLogN } = {}): Promise<string> {
  if (!Number.isInteger(logN) || logN < 10 || logN > largestLogN) throw new RangeError(`logN is ${logN}; 10 to 18`);
  const salt = Buffer.from(random.bytes(saltBytes));
  const hash = await derive(secret, salt, hashBytes, logN, blockSize, 1);
  return `$scrypt$ln=${logN},r=${blockSize},p=1$${base64(salt)}$${base64(hash)}`;
}

/** Whether a text is a hash this module can check. */
export function isSecretHash(text: string): boolean {
  return parse(text) !== undefined;
}

/** Whether a secret is the one that was hashed. False, never an error, for a text that is no hash. */
export async function verifySecret(secret: string, stored: string): Promise<boolean> {
  const parsed = parse(stored);
  if (!parsed) return false;
  const { logN, r, p, salt, hash } = parsed;
  return timingSafeEqual(await derive(secret, salt, hash.length, logN, r, p), hash);
}

function parse(text: string) {
  const match = form.exec(text);
  if (!match) return undefined;
  const [logN, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (logN < 1 || logN > largestLogN || r < 1 || r > 16 || p < 1 || p > 4) return undefined;
  return { logN, r, p, salt: Buffer.from(match[4] ?? '', 'base64'), hash: Buffer.from(match[5] ?? '', 'base64') };
}

/** Same letters, same secret: phones compose accents differently (NFC, as RFC 8265 asks). */
function derive(secret: string, salt: Buffer, length: number, logN: number, r: number, p: number): Promise<Buffer> {
  const N = 2 ** logN;
  return new Promise((resolve, reject) => {
    scrypt(secret.normalize('NFC'), salt, length, { N, r, p, maxmem: 256 * N * r * p }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
