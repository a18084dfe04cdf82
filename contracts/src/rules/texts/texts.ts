/** What a default rule's alert says, in one language. */

/** Languages that the default rules speak. */
export const ruleLanguages = ['en', 'fr', 'sw', 'ar'] as const;
export type RuleLanguage = (typeof ruleLanguages)[number];

/**
 * The texts of one rule. They may use {device} (its name, or the village), {component} (in brackets), {place} (the component
 * itself), {value}, {limit} and {unit}, and {said} (the device's own words for its fault).
 */
export interface RuleTexts {
  /** Plain message, a few words without a full stop. */
  readonly message: string;
  /** One sentence with figures. */
  readonly what: string;
  /** Why it matters. */
  readonly why: string;
  /** What to do, in order. */
  readonly steps: readonly string[];
  /** How long there is to do it. */
  readonly how_long: string;
}

/** Rules that have texts; a rule of one feeder is worded as `no_power_feeder`. */
export const wordedRules = [
  'high_consumption',
  'high_equipment_temperature',
  'low_generation',
  'inverter_fault',
  'inverter_stopped',
  'low_battery',
  'critical_battery',
  'battery_falling_fast',
  'no_power',
  'no_power_feeder',
  'ac_voltage_out_of_limits',
  'ac_frequency_out_of_limits',
  'device_silent',
  'line_down',
  'clock_not_trusted',
  'storage_failing',
  'storage_rescued',
  'storage_reader_stuck',
  'disk_filling',
  'meter_disagrees',
  'out_of_the_ordinary',
  'battery_will_be_empty',
  'temperature_heads_over_limit',
  'backlog_old',
  'notify_channel_failing',
  'rules_broken',
] as const;
export type WordedRule = (typeof wordedRules)[number];

/** All texts of a language, and the small words that sentences are filled with. */
export interface RuleLanguageTexts {
  readonly rules: Readonly<Record<WordedRule, RuleTexts>>;
  /** Stands for {device} where an alert is about no device. */
  readonly village: string;
  /** Follows where one alert stands for several places of a device. */
  readonly furtherPlaces: string;
  /** Stands for {said} where the device has no words for its fault. */
  readonly fault: string;
  /** Between whole and decimal digits. */
  readonly decimal: '.' | ',';
}
