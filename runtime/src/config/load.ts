/**
 * Reading a configuration file. The schema is the only source of defaults, help and reference; an error says file, line,
 * setting, what was found and what is allowed, for up to ten problems at once.
 */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError } from '@villagrid/contracts';
import type { Static, TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import { dottedPath, type DocumentPath } from './place.js';
import { describeAllowed, describeFound, nearest } from './allowed.js';
import { applyDefaults, asNode, childNode, isMapping, pickVariant, type SchemaNode } from './schema-walk.js';

export interface LoadConfigOptions {
  /** The file, for reading and for messages. */
  readonly path: string;
  /** Its text, when it was read already. */
  readonly text?: string;
  /** Settings that win over the file, by dotted path: `{'http.port': 8081}`. Undefined values are ignored. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

type Path = DocumentPath;
interface Problem {
  readonly path: Path;
  readonly what: string;
}
const maxProblems = 10;

/** Reads, fills in defaults and checks. Throws E_CONFIG_READ, E_CONFIG_SYNTAX or E_CONFIG_INVALID. */
export function loadConfig<T extends TSchema>(schema: T, { path, text, overrides = {} }: LoadConfigOptions): Static<T> {
  const lines = new LineCounter();
  const document = parseDocument(text ?? read(path), { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const broken = document.errors[0];
  if (broken)
    throw new VillagridError('E_CONFIG_SYNTAX', `${path}:${lines.linePos(broken.pos[0]).line}: ${broken.message}.`);
  let value = parse(document, path) ?? {};
  if (!isMapping(value))
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${path}:1: found ${describeFound(value)}; the file must be a mapping of settings.`,
    );
  const overridden = new Set<string>();
  for (const [dotted, setting] of Object.entries(overrides)) {
    if (setting === undefined) continue;
    value = withSetting(value, dotted.split('.'), setting);
    overridden.add(dotted);
  }
  const filled = applyDefaults(asNode(schema), value);
  const unknown = [...unknownKeys(asNode(schema), filled, [])];
  const toldAlready = new Set(unknown.map(({ path: at }) => dottedPath(at)));
  const wrong = [...wrongValues(asNode(schema), filled)].filter(({ path: at }) => !toldAlready.has(dottedPath(at)));
  const problems = [...unknown, ...wrong];
  if (problems.length === 0) return filled as Static<T>;
  const told = problems.slice(0, maxProblems).map((problem) => {
    const name = dottedPath(problem.path) || '(whole file)';
    const where = overridden.has(name) ? `(given beside ${path})` : `${path}:${lineOf(document, lines, problem.path)}`;
    return `${where}: ${name}: ${problem.what}.`;
  });
  if (problems.length > maxProblems) told.push(`and ${problems.length - maxProblems} more.`);
  throw new VillagridError('E_CONFIG_INVALID', told.join('\n'));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${path}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

function parse(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 50 });
  } catch (error) {
    throw new VillagridError('E_CONFIG_SYNTAX', `${path}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

function withSetting(value: unknown, path: readonly string[], setting: unknown): Record<string, unknown> {
  const [key, ...rest] = path;
  const mapping = isMapping(value) ? value : {};
  if (key === undefined) return mapping;
  return { ...mapping, [key]: rest.length === 0 ? setting : withSetting(mapping[key], rest, setting) };
}

/** Keys that the schema does not know, each with the nearest one it does. */
function* unknownKeys(node: SchemaNode, value: unknown, path: Path): Generator<Problem> {
  const variant = pickVariant(node, value);
  if (Array.isArray(value)) {
    if (variant.items)
      for (const [index, item] of value.entries()) yield* unknownKeys(variant.items, item, [...path, index]);
    return;
  }
  if (!isMapping(value) || variant.type !== 'object') return;
  const known = Object.keys(variant.properties ?? {});
  for (const [key, item] of Object.entries(value)) {
    const child = childNode(variant, key);
    if (child) {
      yield* unknownKeys(child, item, [...path, key]);
    } else if (variant.additionalProperties !== true) {
      const guess = nearest(key, known);
      const hint = guess ? `did you mean ${guess}?` : `known here: ${known.join(', ') || describePatterns(variant)}`;
      yield { path: [...path, key], what: `unknown setting; ${hint.replace(/\.$/, '')}` };
    }
  }
}

const describePatterns = (node: SchemaNode) =>
  `names of the form ${Object.keys(node.patternProperties ?? {}).join(' or ') || '(none)'}`;

/** Values that do not fit, one problem per setting; what unions complain of is told for the variant that was meant. */
function* wrongValues(root: SchemaNode, value: unknown): Generator<Problem> {
  const told = new Set<string>();
  const errors = Errors(root as TSchema, value);
  const paths: Path[] = errors.flatMap((error) => {
    const at = pointerPath(error.instancePath, value);
    return error.keyword === 'required'
      ? error.params.requiredProperties.map((key) => [...at, key])
      : error.keyword === 'additionalProperties'
        ? []
        : [at];
  });
  for (const path of paths) {
    const name = dottedPath(path);
    const below = paths.some((other) => other.length > path.length && path.every((step, i) => step === other[i]));
    if (told.has(name) || below) continue;
    told.add(name);
    const found = get(value, path);
    const node = schemaAt(root, value, path);
    // A mapping or list that fits its kind is complained of only because of something inside it, unless its size is wrong.
    const what =
      found === undefined
        ? `missing; it must be ${describe(node)}`
        : `found ${describeFound(found)}; it must be ${describe(node)}${typeof found === 'number' && node?.type === 'string' ? ', written in quotes' : ''}`;
    yield { path, what };
  }
}

const describe = (node: SchemaNode | undefined) =>
  node
    ? describeAllowed(node) + (node.description ? ` (${node.description.replace(/\.$/, '')})` : '')
    : 'something else';

function schemaAt(root: SchemaNode, value: unknown, path: Path): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  let at = value;
  for (const step of path) {
    if (!node) return undefined;
    const variant = pickVariant(node, at);
    node = typeof step === 'number' ? variant.items : childNode(variant, step);
    at = get(at, [step]);
  }
  return node;
}

function get(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (Array.isArray(at) && typeof step === 'number') at = at[step];
    else if (isMapping(at) && Object.hasOwn(at, step)) at = at[step];
    else return undefined;
  }
  return at;
}

function pointerPath(pointer: string, value: unknown): Path {
  const path: Array<string | number> = [];
  for (const raw of pointer.split('/').slice(1)) {
    const step = raw.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(get(value, path)) ? Number(step) : step);
  }
  return path;
}

/** The line of a setting, or of the nearest one around it that is in the file. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1];
    const node = keyNode(parent, key) ?? document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** The node of a key itself: a value may begin lines below it. */
function keyNode(parent: unknown, key: string | number | undefined): unknown {
  if (typeof parent !== 'object' || parent === null || !('items' in parent) || !Array.isArray(parent.items))
    return undefined;
  for (const item of parent.items as unknown[]) {
    if (typeof item !== 'object' || item === null || !('key' in item)) continue;
    const node = item.key;
    if (typeof node === 'object' && node !== null && 'value' in node && node.value === key) return node;
  }
  return undefined;
}
