/** Randomised tests: the seed is printed with each, `SEED=n` replays it, `RUNS=n` tries more cases. */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Test } from 'tap';

/** Fails the test with the smallest counterexample found. */
export function holds<T extends [unknown, ...unknown[]]>(
  t: Test,
  name: string,
  property: fc.IProperty<T> | fc.IPropertyWithHooks<T>,
  runs = 100,
): void {
  const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };
  const result = fc.check(property, { numRuns: Number(process.env.RUNS ?? runs), ...seed });
  t.comment(`${name}: SEED=${result.seed}, ${result.numRuns} cases`);
  if (result.failed) t.fail(`${name}\n${fc.defaultReportMessage(result)}`);
  else t.pass(name);
}

/** A file of language-neutral vectors. */
export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../testing/vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** Hexadecimal text to bytes. */
export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Whether two documents are the same as JSON. */
export const same = (a: unknown, b: unknown): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
