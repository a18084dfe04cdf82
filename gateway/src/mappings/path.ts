/** Paths into a JSON document: `ENERGY.Power`, `params.em:0.act_power`, `Voltage[0]`, `Voltage[*]`. */

type Step = string | number | '*'[];
const every: '*'[] = ['*'];

/** A path, taken apart. */
export interface JsonPath {
  readonly steps: readonly Step[];
  /** Whether it can lead to several values. */
  readonly many: boolean;
}

/** Takes a path apart; undefined when it has not the form. */
export function parsePath(text: string): JsonPath | undefined {
  const steps: Step[] = [];
  for (const part of text.split('.')) {
    const match = /^([^[\]]*)((?:\[(?:\d{1,4}|\*)\])*)$/.exec(part);
    const [, name = '', places = ''] = match ?? [];
    if (!match || (name === '' && (places === '' || steps.length > 0))) return undefined;
    if (name !== '') steps.push(name);
    for (const [, place = ''] of places.matchAll(/\[(\d+|\*)\]/g)) steps.push(place === '*' ? every : Number(place));
  }
  return { steps, many: steps.includes(every) };
}

/** The values a path leads to; none where a step is missing. A single value counts as a list of one. */
export function valuesAt(document: unknown, { steps }: JsonPath): unknown[] {
  let here: unknown[] = [document];
  for (const step of steps) {
    const next: unknown[] = [];
    for (const value of here) {
      if (typeof step === 'string') {
        if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, step))
          next.push((value as Record<string, unknown>)[step]);
      } else if (!Array.isArray(value)) {
        if (step === every || step === 0) next.push(value);
      } else if (typeof step === 'number') {
        if (step < value.length) next.push(value[step]);
      } else next.push(...value);
    }
    here = next;
  }
  return here;
}
