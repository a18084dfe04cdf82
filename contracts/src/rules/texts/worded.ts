/** An alert of a default rule in one language, filled with the figures that its event carries. Knows no texts itself. */
import type { AlertSubject } from '../../alerts/events.js';
import { parseMetricId } from '../../metrics/catalogue.js';
import { othersSuffix } from '../fold.js';
import { fillText, namesComponent, shortNumber } from './fill.js';
import { wordedRules, type RuleLanguageTexts, type RuleTexts, type WordedRule } from './texts.js';

/** Under which id a rule's texts are kept; undefined for a rule that the site made itself. */
export function wordedAs(ruleId: string): WordedRule | undefined {
  if ((wordedRules as readonly string[]).includes(ruleId)) return ruleId as WordedRule;
  return ruleId.startsWith('no_power_') ? 'no_power_feeder' : undefined;
}

/** The figures of an alert that its texts are filled with. */
export type WordedAlert = Pick<
  AlertSubject,
  'rule_id' | 'device_id' | 'device_name' | 'metric' | 'value' | 'limit' | 'unit' | 'said'
>;

/**
 * What an alert says with the texts of a language; undefined where the words it was raised with are to be shown: for a rule
 * of the site's own, and for an alert whose words were made for the occasion (a meter that was named).
 */
export function wordedIn(alert: WordedAlert, texts: RuleLanguageTexts): RuleTexts | undefined {
  const id = wordedAs(alert.rule_id);
  if (id === undefined || id === 'meter_disagrees') return undefined;
  const one = texts.rules[id];
  const number = (value: number | null) => (value === null ? '' : shortNumber(value).replace('.', texts.decimal));
  const suffix = alert.metric === null ? undefined : parseMetricId(alert.metric).suffix;
  // A rule that the site made itself may be called alike.
  if (id !== alert.rule_id && alert.rule_id !== `no_power_${suffix?.replaceAll('-', '_')}`) return undefined;
  const isOfMany = suffix === othersSuffix;
  const values: Readonly<Record<string, string>> = {
    device: alert.device_name ?? alert.device_id ?? texts.village,
    component: suffix === undefined || isOfMany || namesComponent(alert.device_name, suffix) ? '' : ` (${suffix})`,
    place: suffix ?? '',
    value: number(alert.value),
    limit: number(alert.limit),
    unit: alert.unit ?? '',
    said: alert.said ?? texts.fault,
  };
  const fill = (text: string) => fillText(text, values);
  return {
    message: fill(one.message),
    what: isOfMany ? `${fill(one.what)} ${texts.furtherPlaces}` : fill(one.what),
    why: fill(one.why),
    steps: one.steps.map(fill),
    how_long: fill(one.how_long),
  };
}

/** What a rule is called in a language, and why it matters, before it has raised anything; undefined for a site's own. */
export function ruleWordsIn(ruleId: string, texts: RuleLanguageTexts): Pick<RuleTexts, 'message' | 'why'> | undefined {
  const id = wordedAs(ruleId);
  if (id === undefined) return undefined;
  const place = ruleId.replace(/^no_power_/, '').replaceAll('_', '-');
  const { message, why } = texts.rules[id];
  return { message: fillText(message, { place }), why: fillText(why, { place }) };
}
