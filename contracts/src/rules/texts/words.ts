/** An alert of a default rule in the reader's language: from the rule's id and the figures that its event carries. */
import { ar } from './ar.js';
import { en } from './en.js';
import { fr } from './fr.js';
import { sw } from './sw.js';
import type { RuleLanguage, RuleLanguageTexts, RuleTexts } from './texts.js';
import { wordedIn, type WordedAlert } from './worded.js';

/** Every language's texts. */
export const ruleTexts: Readonly<Record<RuleLanguage, RuleLanguageTexts>> = { en, fr, sw, ar };

/** What an alert says in a language; undefined where the words it was raised with are to be shown, in English above all. */
export const alertWords = (alert: WordedAlert, language: RuleLanguage): RuleTexts | undefined =>
  language === 'en' ? undefined : wordedIn(alert, ruleTexts[language]);
