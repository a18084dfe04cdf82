/** What an alert says in the reader's language. */
import type { AlertView, RuleTexts } from '@villagrid/contracts';
import { language } from './messages.js';

/** The words of an alert. */
export type AlertWords = Omit<RuleTexts, 'how_long'>;

/** What a rule is called, and why it matters; undefined where only its English words are there. */
export const ruleWordsOf = (ruleId: string): Pick<AlertWords, 'message' | 'why'> | undefined =>
  language.value.ruleWords?.(ruleId);

/** The rule's words in the reader's language; those it was raised with where the language, or the rule, has no others. */
export const wordsOf = (alert: AlertView): AlertWords => language.value.alertWords?.(alert) ?? alert;
