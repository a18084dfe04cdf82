/**
 * A language for tests: English, longer and with strange letters. What is shown in plain letters does not come from the
 * dictionary, and what does not fit now will not fit in French.
 */
import { rulesInEnglish, type RuleLanguageTexts } from '@villagrid/contracts';
import type { Language } from '../language.js';
import { texts } from '../messages.js';
import { wording } from './worded.js';

const plain = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const strange = [...'àƀçđéƒĝĥîĵķļɱñôþɋŕšţûṽŵẋýžÀƁÇĐÉƑĜĤÎĴĶĻṀÑÔÞɊŔŠŢÛṼŴẊÝŽ'];

/** A text in strange letters, about a third longer; what is filled in and the forms of plurals keep their names. */
export const strangely = (text: string): string =>
  text
    .split(/(\{\w+, plural,|(?:zero|one|two|few|many|other) \{|\{\w+\}|\}+)/)
    .map((part) =>
      /^\{|\{$/.test(part)
        ? part
        : [...part]
            .map((letter) => strange[plain.indexOf(letter)] ?? letter)
            .join('')
            .replace(/\p{L}{3,}/gu, (word) => word + '·'.repeat(Math.ceil(word.length * 0.3))),
    )
    .join('');

const deep = <T>(value: T): T =>
  (typeof value === 'string'
    ? strangely(value)
    : Array.isArray(value)
      ? value.map(deep)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, deep(one)]))
        : value) as T;
const rules: RuleLanguageTexts = { ...deep(rulesInEnglish), decimal: '.' };

const pseudo: Language = {
  tag: 'en-XA',
  // Greek months and decimal commas: whatever is not formatted by the language shows too.
  formats: ['el'],
  form: (n) => (n === 1 ? 'one' : 'other'),
  // Screens add their English texts when they are opened.
  texts: new Proxy<Record<string, string>>(
    {},
    {
      get: (_, key) => {
        const name = /^(?:metric|component|reports\.figure)\.(.+)$/.exec(String(key))?.[1]?.replaceAll('_', ' ');
        const text = texts[String(key)] ?? name;
        return text === undefined ? undefined : strangely(text);
      },
    },
  ),
  ...wording(rules),
};
export default pseudo;
