/** Keys of an archive from a passphrase: one encrypts its secret parts, one proves that nobody changed what it says. */
import { createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { RandomSource } from '@villagrid/contracts';

/** How the keys are made, as the archive's head says it. */
export interface KeyRecipe {
  readonly salt: string;
  readonly log_n: number;
  /** Tells a wrong passphrase from a changed file. */
  readonly check: string;
}

export interface ArchiveKeys {
  readonly encrypt: Buffer;
  readonly prove: Buffer;
}

/** One of OWASP's settings: 32 MiB of memory, and about a second on a small board for each guess. */
const usualLogN = 15;
const parallel = 3;
/** A hostile file must not take the memory. */
const largestLogN = 18;
const blockSize = 8;

/** New keys and their recipe; `logN` is lower in tests only. */
export async function makeKeys(
  passphrase: string,
  random: RandomSource,
  logN = usualLogN,
): Promise<{ readonly keys: ArchiveKeys; readonly recipe: KeyRecipe }> {
  const salt = Buffer.from(random.bytes(16));
  const keys = await derive(passphrase, salt, logN);
  return { keys, recipe: { salt: salt.toString('hex'), log_n: logN, check: checkOf(keys) } };
}

/** The keys of an archive; undefined when the passphrase is another one. */
export async function keysOf(passphrase: string, recipe: KeyRecipe): Promise<ArchiveKeys | undefined> {
  if (!Number.isInteger(recipe.log_n) || recipe.log_n < 10 || recipe.log_n > largestLogN) return undefined;
  const keys = await derive(passphrase, Buffer.from(recipe.salt, 'hex'), recipe.log_n);
  const [ours, theirs] = [Buffer.from(checkOf(keys)), Buffer.from(recipe.check)];
  return ours.length === theirs.length && timingSafeEqual(ours, theirs) ? keys : undefined;
}

const checkOf = ({ prove }: ArchiveKeys): string =>
  createHmac('sha256', prove).update('passphrase').digest('hex').slice(0, 16);

function derive(passphrase: string, salt: Buffer, cost: number): Promise<ArchiveKeys> {
  const options = { N: 2 ** cost, r: blockSize, p: parallel, maxmem: 160 * 2 ** cost * blockSize };
  return new Promise((resolve, reject) => {
    // Terminals compose accents differently.
    scrypt(passphrase.normalize('NFC'), salt, 64, options, (error, bytes) => {
      if (error) reject(error);
      else resolve({ encrypt: bytes.subarray(0, 32), prove: bytes.subarray(32) });
    });
  });
}
