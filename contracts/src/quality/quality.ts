/** Quality of a sample: good, uncertain or bad, with its reason. Codes are stored; never renumber one. */

/** One-byte quality codes. 0 is good, 1 to 63 uncertain, 64 and up bad. */
export const qualityCodes = {
  good: 0,
  uncertain_clock: 1,
  uncertain_unknown_metric: 2,
  uncertain_derived: 3,
  uncertain_last_known: 4,
  bad_range: 64,
  bad_not_finite: 65,
  bad_no_value: 66,
  bad_stuck: 67,
  bad_jump: 68,
  bad_type: 69,
} as const;

/** Name of a quality, e.g. `bad_range`. */
export type QualityName = keyof typeof qualityCodes;
/** One-byte code of a quality. */
export type QualityCode = number;
/** The three classes a screen distinguishes. */
export type QualityClass = 'good' | 'uncertain' | 'bad';

const names = new Map<number, QualityName>(
  Object.entries(qualityCodes).map(([name, code]) => [code, name as QualityName]),
);

/** The class of a quality code. */
export function qualityClass(code: QualityCode): QualityClass {
  if (code === 0) return 'good';
  return code < 64 ? 'uncertain' : 'bad';
}

/** The name of a quality code; an unknown code is named by its class and number. */
export function qualityName(code: QualityCode): string {
  return names.get(code) ?? `${qualityClass(code)}_${code}`;
}
