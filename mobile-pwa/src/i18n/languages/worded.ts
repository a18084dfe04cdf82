/** What a language says of alerts and rules, from the contract's texts of it. */
import { ruleWordsIn, wordedIn, type RuleLanguageTexts } from '@villagrid/contracts';
import type { Language } from '../language.js';

/** The part of a language that words alerts. */
export const wording = (rules: RuleLanguageTexts): Pick<Language, 'alertWords' | 'ruleWords'> => ({
  alertWords: (alert) => wordedIn(alert, rules),
  ruleWords: (ruleId) => ruleWordsIn(ruleId, rules),
});
