/**
 * JSON as this server takes it: no doubled keys, no `__proto__`, no number that overflows, no lone surrogate, at most 32
 * levels. Details never quote the text, which may hold a password.
 */
import { VillagridError } from '@villagrid/contracts';

/** Deepest nesting taken. */
const maxDepth = 32;
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const loneSurrogate = /\p{Surrogate}/u;

const refuse = (what: string): never => {
  throw new VillagridError('E_REQUEST_INVALID', `The body ${what}.`);
};

/** Parses a body; an empty one is undefined. Throws E_REQUEST_INVALID with the reason. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  let text = '';
  try {
    text = utf8.decode(bytes);
  } catch {
    refuse('is not valid UTF-8');
  }
  checkShape(text);
  try {
    return JSON.parse(text, (_key, value: unknown) => {
      if (typeof value === 'number' && !Number.isFinite(value)) refuse('holds a number that is too large');
      if (typeof value === 'string' && loneSurrogate.test(value)) refuse('holds a text that is not valid Unicode');
      return value;
    });
  } catch (error) {
    if (error instanceof VillagridError) throw error;
    const position = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined;
    return refuse(`is not valid JSON${position === undefined ? '' : ` (at position ${position})`}`);
  }
}

/** One pass over the text for what JSON.parse lets through: depth, doubled and dangerous keys. */
function checkShape(text: string): void {
  const open: { readonly keys: Set<string> | undefined; expectsKey: boolean }[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    const top = open[open.length - 1];
    if (character === '{' || character === '[') {
      if (open.length >= maxDepth) refuse(`is nested deeper than ${maxDepth} levels`);
      open.push({ keys: character === '{' ? new Set() : undefined, expectsKey: character === '{' });
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === ',') {
      if (top?.keys !== undefined) top.expectsKey = true;
    } else if (character === '"') {
      const start = at;
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1;
      if (top?.keys !== undefined && top.expectsKey) {
        top.expectsKey = false;
        const key = keyOf(text.slice(start, at + 1));
        if (forbiddenKeys.has(key)) refuse('uses a name that is not allowed');
        if (top.keys.has(key)) refuse('names a field twice');
        top.keys.add(key);
      }
    }
  }
}

function keyOf(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return refuse('is not valid JSON');
  }
}
