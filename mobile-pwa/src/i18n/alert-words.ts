/** What an alert says in the reader's language. */
import type { AlertView, RuleTexts } from '@villagrid/contracts';
import { language } from './messages.js';

/** The words of an alert. */
export type AlertWords = Omit<RuleTexts, 'how_long'>;

/** The rule's words in the reader's language; those it was raised with where the language, or the rule, has no others. */
export const wordsOf = (alert: AlertView): AlertWords => language.value.alertWords?.(alert) ?? alert;
