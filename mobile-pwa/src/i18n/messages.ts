/** Turns message keys into text of the reader's language: a small part of ICU (value and plural). */
import type { Summary } from '@villagrid/contracts';
import { signal } from '@preact/signals';
import { en, type MessageKey } from './en.js';
import type { Language } from './language.js';

export type { MessageKey } from './en.js';
export type MessageValues = Readonly<Record<string, string | number>>;

/** English is always there: it is what every other language falls back to. */
export const english: Language = {
  tag: 'en',
  formats: ['en-GB'],
  form: (n) => (n === 1 ? 'one' : 'other'),
  texts: {},
};

/** The reader's language. Whoever draws a text is drawn anew when it changes. */
export const language = signal(english);

/** Texts that the people of the open grid have put in the place of the app's own, by language. */
export const ownWords = signal<NonNullable<Summary['words']>>({});

/** Holds a number, unit or name together where the sentence around it runs from right to left. */
export const isolated = (text: string): string => (language.value.rightToLeft ? `\u2068${text}\u2069` : text);

/** Fills a pattern of the catalogue; a value that is missing leaves its braces, so that a test can find it. */
export function fill(pattern: string, values: MessageValues = {}): string {
  return pattern
    .replace(/\{(\w+), plural,((?: \w+ \{[^}]*\})+)\}/g, (whole, name: string, forms: string) => {
      const count = values[name];
      if (typeof count !== 'number') return whole;
      const of = (form: string) => forms.split(` ${form} {`)[1]?.split('}')[0];
      return (of(language.value.form(count)) ?? of('other') ?? whole).replaceAll('#', String(count));
    })
    .replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      return value === undefined ? whole : isolated(String(value));
    });
}

/** Every English text that is loaded. */
export const texts: Record<string, string> = { ...en };

/** Adds the English texts of a screen that is loaded later. */
export function addTexts(more: Readonly<Record<string, string>>): void {
  Object.assign(texts, more);
}

const find = (key: string): string | undefined => language.value.texts[key] ?? texts[key];

/** The text of a key in the reader's language; the key itself where its screen is not loaded. */
export function t(key: MessageKey, values?: MessageValues): string {
  const own = fill(ownWords.value[language.value.tag]?.[key] ?? '', values);
  // One that asks for what is not there is none.
  return own === '' || own.includes('{') ? fill(find(key) ?? key, values) : own;
}

/** Whether a computed text is a key of the catalogue. */
export function isMessageKey(key: string): key is MessageKey {
  return find(key) !== undefined;
}
