/** What an alert says in the reader's language. */
import type { AlertView, RuleTexts } from '@villagrid/contracts';
import { language } from './messages.js';

/** The words of an alert. */
export type AlertWords = Omit<RuleTexts, 'how_long'>;

/** What a rule says before it has raised anything; undefined where only its English words are there. */
export function ruleWordsOf(ruleId: string): Pick<AlertWords, 'message' | 'why'> | undefined {
  const none = { device_id: null, device_name: null, metric: null, value: null, limit: null, unit: null };
  return language.value.alertWords?.({ rule_id: ruleId, ...none });
}

/** The rule's words in the reader's language; those it was raised with where the language, or the rule, has no others. */
export const wordsOf = (alert: AlertView): AlertWords => language.value.alertWords?.(alert) ?? alert;
