/** Schemas in words: what is allowed for a setting, and how a found value looks. */
import type { SchemaNode } from './schema-walk.js';

/** What a setting may be, e.g. `a whole number from 1 to 65535` or `one of "a", "b"`. */
export function describeAllowed(node: SchemaNode): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum) return `one of ${node.enum.map((one) => JSON.stringify(one)).join(', ')}`;
  if (node.anyOf) {
    const all = node.anyOf.map(describeAllowed);
    return node.anyOf.every((one) => one.const !== undefined)
      ? `one of ${all.join(', ')}`
      : [...new Set(all)].join(', or ');
  }
  switch (node.type) {
    case 'integer':
      return `a whole number${range(node)}`;
    case 'number':
      return `a number${range(node)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return `a text${length(node)}${node.pattern ? ` of the form ${node.pattern}` : ''}${node.format ? ` (${node.format})` : ''}`;
    case 'array':
      return `a list${node.minItems !== undefined ? ` of at least ${node.minItems}` : ''}${node.maxItems !== undefined ? ` of at most ${node.maxItems}` : ''}`;
    case 'object':
      return 'a mapping of settings';
    case 'null':
      return 'nothing (null)';
    default:
      return 'anything';
  }
}

function range(node: SchemaNode): string {
  const low = node.minimum ?? node.exclusiveMinimum;
  const high = node.maximum ?? node.exclusiveMaximum;
  const above = node.minimum === undefined ? 'above' : 'from';
  if (low !== undefined && high !== undefined)
    return ` ${above} ${low} ${node.maximum === undefined ? 'to below' : 'to'} ${high}`;
  if (low !== undefined) return node.minimum === undefined ? ` above ${low}` : ` of at least ${low}`;
  if (high !== undefined) return node.maximum === undefined ? ` below ${high}` : ` of at most ${high}`;
  return '';
}

function length(node: SchemaNode): string {
  if (node.minLength !== undefined && node.maxLength !== undefined)
    return ` of ${node.minLength} to ${node.maxLength} characters`;
  if (node.minLength !== undefined) return ` of at least ${node.minLength} character${node.minLength === 1 ? '' : 's'}`;
  if (node.maxLength !== undefined) return ` of at most ${node.maxLength} characters`;
  return '';
}

/** A found value, short. Secrets do not belong into configuration files, so it is shown. */
export function describeFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The known word nearest to a mistyped one; undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    // A forgotten unit (timeout for timeout_ms) is the most common slip of all.
    const unit = candidate.startsWith(`${word}_`) || word.startsWith(`${candidate}_`);
    const steps = unit ? 1 : editSteps(word.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into another. */
function editSteps(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let steps = Math.min(
        (previous[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (previous[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        steps = Math.min(steps, (before[j - 2] as number) + 1);
      row.push(steps);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] as number;
}
