/**
 * Formulas of rules: the part of CEL (Common Expression Language) that cannot loop. Numbers and truth values only, of
 * bounded size, compiled once: so an evaluation takes a bounded, small time whatever somebody writes. What else the
 * language has (lists, texts, macros that go over lists, patterns) is refused with its place and the reason.
 */
import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js';

/** Longest formula, characters; most parts and deepest nesting. */
export const longestFormula = 1000;
const mostParts = 200;
const deepest = 24;

/** A formula that can be asked. */
export interface Formula {
  /** Names of the values it needs, each once. */
  readonly names: readonly string[];
  /** Whether it holds for these values; every name must be there. Pure, and of bounded time. */
  holds(values: Readonly<Record<string, number>>): boolean;
}

/** The formula, or why it is none: one sentence with line and column, counted from 1. */
export type CompiledFormula =
  | { readonly ok: true; readonly formula: Formula }
  | { readonly ok: false; readonly reason: string; readonly at: number };

/** Functions a formula may call, with their numbers of arguments. */
const functions: Readonly<Record<string, { readonly arity: number; readonly run: (...args: number[]) => number }>> = {
  abs: { arity: 1, run: Math.abs },
  sqrt: { arity: 1, run: Math.sqrt },
  min: { arity: 2, run: Math.min },
  max: { arity: 2, run: Math.max },
};

/** Macros of the language that go over lists, or bind names. */
const loops = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind', 'reduce', 'sortBy', 'transformList']);

const limits = {
  maxAstNodes: mostParts,
  maxDepth: deepest,
  maxListElements: 50,
  maxMapEntries: 50,
  maxCallArguments: 8,
};
// Made when the first formula is compiled: whoever has none pays nothing.
let shared: { readonly anything: Environment; readonly numbers: Environment } | undefined;

function environments() {
  if (shared) return shared;
  const numbers = new Environment({ limits: { ...limits, maxAstNodes: 2 * mostParts } });
  for (const [name, { arity, run }] of Object.entries(functions))
    numbers.registerFunction(`${name}(${Array.from({ length: arity }, () => 'double').join(', ')}): double`, run);
  shared = { anything: new Environment({ unlistedVariablesAreDyn: true, limits }), numbers };
  return shared;
}

class Refused extends Error {
  readonly at: number;
  constructor(reason: string, at: number) {
    super(reason);
    this.at = at;
  }
}

/** Compiles a formula. `known` are the names that have a value; left out, any name may be used. */
export function compileFormula(text: string, known?: ReadonlySet<string>): CompiledFormula {
  const refused = (reason: string, at: number): CompiledFormula => ({
    ok: false,
    at,
    reason: `${placeOf(text, at)}: ${reason}`,
  });
  if (text.length > longestFormula)
    return refused(`it has ${text.length} characters; at most ${longestFormula} are allowed`, longestFormula);
  const whole: ASTNode[] = [];
  const names = new Set<string>();
  try {
    walk(environments().anything.parse(text).ast, { whole, names, known });
  } catch (error) {
    if (error instanceof Refused) return refused(error.message, error.at);
    return refused(sentenceOf(error), startOf(error));
  }
  // Whole numbers of the language do not mix with measured ones: all numbers become measured ones.
  const ends = whole.map((node) => node.end).sort((a, b) => a - b);
  let widened = '';
  let from = 0;
  for (const end of ends) {
    widened += `${text.slice(from, end)}.0`;
    from = end;
  }
  widened += text.slice(from);
  try {
    const environment = environments().numbers.clone();
    for (const name of names) environment.registerVariable(name, 'double');
    const parsed = environment.parse(widened);
    const checked = parsed.check();
    if (!checked.valid) return refused(sentenceOf(checked.error), before(ends, startOf(checked.error)));
    if (checked.type !== 'bool') return refused('it must be something that holds or not, as load > 10', 0);
    return { ok: true, formula: { names: [...names], holds: (values) => parsed(values) === true } };
  } catch (error) {
    return refused(sentenceOf(error), before(ends, startOf(error)));
  }
}

/** A place in the text as it was before numbers were widened. */
const before = (ends: readonly number[], at: number): number =>
  at - 2 * ends.filter((end, i) => end + 2 * i < at).length;

const arithmetic = new Set<string>(['+', '-', '*', '/', '<', '<=', '>', '>=', '==', '!=', '&&', '||']);

function walk(
  node: ASTNode,
  found: { readonly whole: ASTNode[]; readonly names: Set<string>; readonly known: ReadonlySet<string> | undefined },
): void {
  const refuse = (reason: string): never => {
    throw new Refused(reason, node.start);
  };
  switch (node.op) {
    case 'value':
      if (typeof node.args === 'bigint') {
        if (!/^[0-9]+$/.test(node.input.slice(node.start, node.end))) refuse('numbers are written in decimals');
        found.whole.push(node);
      } else if (typeof node.args !== 'number' && typeof node.args !== 'boolean')
        refuse('only numbers and true or false may be used, no texts');
      return;
    case 'id':
      if (found.known && !found.known.has(node.args))
        refuse(`"${node.args}" is not known; there are ${[...found.known].sort().join(', ') || 'no names'}`);
      found.names.add(node.args);
      return;
    case 'call': {
      const [name, args] = node.args;
      const known = Object.hasOwn(functions, name) ? functions[name] : undefined;
      if (known === undefined)
        return refuse(
          loops.has(name)
            ? `"${name}" goes over lists; a rule must end after a bounded time`
            : `there is no function "${name}"; there are ${Object.keys(functions).join(', ')}`,
        );
      if (args.length !== known.arity) refuse(`${name} takes ${known.arity} number${known.arity === 1 ? '' : 's'}`);
      for (const one of args) walk(one, found);
      return;
    }
    case 'rcall':
      return void refuse(
        loops.has(node.args[0])
          ? `"${node.args[0]}" goes over lists; a rule must end after a bounded time`
          : `"${node.args[0]}" cannot be called; values are numbers`,
      );
    case '.':
    case '.?':
    case '[]':
    case '[?]':
      return void refuse('values are numbers and have no parts; name a metric with a component under inputs');
    case 'list':
    case 'map':
    case 'in':
      return void refuse('lists are not allowed; compare with each value');
    case '?:':
      for (const one of node.args) walk(one, found);
      return;
    case '!_':
    case '-_':
      return walk(node.args, found);
    default:
      if (!arithmetic.has(node.op)) return refuse(`"${node.op}" is not allowed`);
      for (const one of node.args) walk(one, found);
  }
}

const startOf = (error: unknown): number =>
  (error as { readonly range?: { readonly start?: number } } | undefined)?.range?.start ?? 0;

/** The first line of an error of the language, without its drawing of the place. */
function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  const sentence = text.trim().replace(/\.$/, '');
  if (/maxAstNodes|maxDepth|limit/i.test(sentence))
    return `it is too large: at most ${mostParts} parts, nested ${deepest} deep (${sentence})`;
  return error instanceof ParseError ? `it cannot be read: ${sentence}` : sentence;
}

function placeOf(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n');
  return `line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`;
}
