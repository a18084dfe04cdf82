/** Turns message keys into text: a small part of ICU (value and plural). */
import { en, type MessageKey } from './en.js';

export type { MessageKey } from './en.js';
export type MessageValues = Readonly<Record<string, string | number>>;

const pluralPattern = /\{(\w+), plural, one \{([^}]*)\} other \{([^}]*)\}\}/g;
const valuePattern = /\{(\w+)\}/g;
const plurals = new Intl.PluralRules('en');

/** Fills a pattern of the catalogue; a value that is missing leaves its braces, so that a test can find it. */
export function fill(pattern: string, values: MessageValues = {}): string {
  return pattern
    .replace(pluralPattern, (whole, name: string, one: string, other: string) => {
      const count = values[name];
      if (typeof count !== 'number') return whole;
      return (plurals.select(count) === 'one' ? one : other).replaceAll('#', String(count));
    })
    .replace(valuePattern, (whole, name: string) => String(values[name] ?? whole));
}

/** The text of a key in the reader's language. */
export function t(key: MessageKey, values?: MessageValues): string {
  return fill(en[key], values);
}

/** Whether a computed text is a key of the catalogue. */
export function isMessageKey(key: string): key is MessageKey {
  return Object.hasOwn(en, key);
}
