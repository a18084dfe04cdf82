/** Walking a typebox schema: what kind a node is, its defaults, and which variant of a union a value means. */
import type { TSchema } from 'typebox';
import { Check, Clone, Errors } from 'typebox/value';

/** A schema node as plain data. */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | SchemaNode;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** A typebox schema as a node. */
export const asNode = (schema: TSchema): SchemaNode => schema as unknown as SchemaNode;

/** Whether a value is a mapping. */
export const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The schema of one key of a mapping; undefined when the key is not known. */
export function childNode(node: SchemaNode, key: string): SchemaNode | undefined {
  if (node.properties && Object.hasOwn(node.properties, key)) return node.properties[key];
  for (const [pattern, child] of Object.entries(node.patternProperties ?? {}))
    if (new RegExp(pattern).test(key)) return child;
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
}

/** The variant of a union that a value means: the one whose fixed texts fit, otherwise the one with the fewest errors. */
export function pickVariant(node: SchemaNode, value: unknown): SchemaNode {
  if (!node.anyOf) return node;
  const variants = node.anyOf.filter((variant) => variant.type === undefined || fitsKind(variant, value));
  const named = variants.find((variant) => {
    const fixed = Object.entries(variant.properties ?? {}).filter(([, child]) => child.const !== undefined);
    return isMapping(value) && fixed.length > 0 && fixed.every(([key, child]) => value[key] === child.const);
  });
  if (named) return named;
  let best = variants[0] ?? node;
  let fewest = Number.POSITIVE_INFINITY;
  for (const variant of variants) {
    const errors = Errors(variant as TSchema, applyDefaults(variant, Clone(value))).length;
    if (errors < fewest) [best, fewest] = [variant, errors];
  }
  return best;
}

function fitsKind(node: SchemaNode, value: unknown): boolean {
  if (node.type === 'object') return isMapping(value);
  if (node.type === 'array') return Array.isArray(value);
  return !isMapping(value) && !Array.isArray(value);
}

/**
 * A value with the schema's defaults filled in. A mapping that is left out (or left empty) and is not optional is made
 * from the defaults of its settings; a union's own default, or its variant's, likewise.
 */
export function applyDefaults(node: SchemaNode, value: unknown, optional = false): unknown {
  if (value === undefined || (value === null && node.type === 'object')) {
    if (node.default !== undefined) return applyDefaults(node, Clone(node.default));
    if (node.type !== 'object' || optional || !node.properties) return value === null ? {} : undefined;
    return applyDefaults(node, {});
  }
  const variant = pickVariant(node, value);
  if (variant.type === 'array' && Array.isArray(value)) {
    return variant.items ? value.map((item) => applyDefaults(variant.items as SchemaNode, item)) : value;
  }
  if (!isMapping(value)) return value;
  const filled: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const child = childNode(variant, key);
    // defineProperty, so that a key such as __proto__ stays a key.
    Object.defineProperty(filled, key, {
      value: child ? applyDefaults(child, item) : item,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  for (const [key, child] of Object.entries(variant.properties ?? {})) {
    if (Object.hasOwn(filled, key) && filled[key] !== undefined) continue;
    const made = applyDefaults(child, undefined, !(variant.required ?? []).includes(key));
    if (made !== undefined) filled[key] = made;
  }
  return filled;
}

/** Whether a value fits a node exactly. */
export const fits = (node: SchemaNode, value: unknown): boolean => Check(node as TSchema, value);
