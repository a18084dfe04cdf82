/** What a language brings: its texts, its plural forms, its numbers, and its direction. */
import type { MetricId, ReportFigureId, RuleTexts, WordedAlert } from '@villagrid/contracts';
import type { MessageKey } from './en.js';

/** Words that installers put into the names of components. */
type ComponentWord =
  | 'inverter'
  | 'battery'
  | 'cabinet'
  | 'generator'
  | 'feeder'
  | 'controller'
  | 'transformer'
  | 'room'
  | 'panel'
  | 'phase';

/** Every key that a complete language has. English names of metrics and report figures come from the contract. */
export type TranslationKey =
  | MessageKey
  | `component.${ComponentWord}`
  | `metric.${MetricId}`
  | `reports.figure.${ReportFigureId}`;

/** Texts of a language that lacks none: a missing key is a type error. */
export type CompleteTexts = Readonly<Record<TranslationKey, string>>;
/** Texts of a draft: what it lacks is shown in English. */
export type DraftTexts = Readonly<Partial<CompleteTexts>>;

/** A language as the app uses it. */
export interface Language {
  /** BCP 47, for the document. */
  readonly tag: string;
  /** Whose numbers and dates are used, best first: browsers know few of our languages and would else use their own. */
  readonly formats: readonly string[];
  readonly rightToLeft?: true;
  /** Plural form of a whole number: zero, one, two, few, many or other (Unicode CLDR). */
  form(n: number): string;
  readonly texts: Readonly<Record<string, string>>;
  /** Between the parts of a date, and the like; a Latin comma when left out. */
  readonly comma?: string;
  /** An alert's words in this language; undefined where those it was raised with are shown. */
  alertWords?(alert: WordedAlert): RuleTexts | undefined;
  /** What a rule is called, and why it matters, before it has raised anything. */
  ruleWords?(ruleId: string): Pick<RuleTexts, 'message' | 'why'> | undefined;
}
