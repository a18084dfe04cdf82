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

/** Every text that is loaded. */
const texts: Record<string, string> = { ...en };

/** Adds the texts of a screen that is loaded later. */
export function addTexts(more: Readonly<Record<string, string>>): void {
  Object.assign(texts, more);
}

/** The text of a key in the reader's language; the key itself where its screen is not loaded. */
export function t(key: MessageKey, values?: MessageValues): string {
  return fill(texts[key] ?? key, values);
}

/** Whether a computed text is a key of the catalogue. */
export function isMessageKey(key: string): key is MessageKey {
  return Object.hasOwn(texts, key);
}
