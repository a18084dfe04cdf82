/**
 * What becomes of a node's message: pure, and never throws. A mapping and the parameters of one device are compiled once;
 * after that a message is a look-up of its topic and a walk over its values.
 */
import {
  legacyTimeMs,
  metricDefinition,
  toMetricValue,
  type Finding,
  type MetricValue,
  type ParsedTelemetry,
  conversionTo,
} from '@villagrid/contracts';
import { compileCommand, type CompiledCommand } from './commands.js';
import { parsePath, valuesAt, type JsonPath } from './path.js';
import type { MappedMessage, MappedValue, Mapping } from './schema.js';
import { fillTopic, matches } from './topics.js';

/** Another metric for what a mapping gives, or null to leave it out. */
export type Renames = Readonly<
  Record<string, { readonly metric: string; readonly negate?: boolean | undefined } | null>
>;

/** What a message says. */
export type Said =
  | { readonly kind: 'link'; readonly state: 'up' | 'down' }
  | { readonly kind: 'reading'; readonly parsed: ParsedTelemetry }
  /** Nothing that is wanted. */
  | { readonly kind: 'nothing' };

/** A mapping for one device. */
export interface CompiledMapping {
  /** Filters it may publish to, and those it may subscribe to, filled in. */
  readonly publishes: readonly string[];
  readonly tolerates: readonly string[];
  readonly subscribes: readonly string[];
  /** Topics, or filters, of which something is taken. */
  readonly takes: readonly string[];
  readonly linkTopic: string | undefined;
  readonly commands: readonly CompiledCommand[];
  /** What a message on a topic says. */
  read(topic: string, payload: string): Said;
}

interface CompiledValue {
  readonly path: JsonPath | undefined;
  readonly metric: string;
  readonly convert: (raw: number) => number;
  readonly spec: MappedValue;
  readonly when: { readonly path: JsonPath; readonly equals: unknown } | undefined;
}

interface CompiledMessage {
  readonly filter: string;
  readonly spec: MappedMessage;
  readonly timePath: JsonPath | undefined;
  readonly values: readonly CompiledValue[];
}

const nothing: Said = { kind: 'nothing' };
const numberForm = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/;
/** How firmwares write that there is no number. */
const noNumber = new Set(['', 'nan', 'null', 'none', 'unknown', 'unavailable', 'inf', '-inf']);

/** Compiles a checked mapping for one device. */
export function compileMapping(
  mapping: Mapping,
  parameters: Readonly<Record<string, string>>,
  renames: Renames = {},
): CompiledMapping {
  const fill = (topic: string) => fillTopic(topic, parameters);
  const messages = mapping.messages.map((spec) => compileMessage(spec, fill(spec.topic), renames));
  const exact = new Map<string, CompiledMessage[]>();
  for (const message of messages)
    if (!/[+#]/.test(message.filter)) exact.set(message.filter, [...(exact.get(message.filter) ?? []), message]);
  const wild = messages.filter(({ filter }) => /[+#]/.test(filter));
  const { link } = mapping;
  const linkTopic = link && fill(link.topic);
  const commands = mapping.commands.map((spec) => compileCommand(spec, parameters));
  const answers = commands.flatMap(({ answerTopic }) => answerTopic ?? []);
  return {
    publishes: mapping.publishes.map(fill),
    tolerates: mapping.tolerates.map(fill),
    subscribes: mapping.subscribes.map(fill),
    takes: [...messages.map(({ filter }) => filter), ...(linkTopic === undefined ? [] : [linkTopic]), ...answers],
    linkTopic,
    commands,
    read(topic, payload) {
      if (link && topic === linkTopic) {
        const said = payload.trim();
        if (link.up.includes(said)) return { kind: 'link', state: 'up' };
        return link.down.includes(said) ? { kind: 'link', state: 'down' } : nothing;
      }
      const found = [...(exact.get(topic) ?? []), ...wild.filter(({ filter }) => matches(filter, topic))];
      return found.length === 0 ? nothing : readMessages(found, payload);
    },
  };
}

function compileMessage(spec: MappedMessage, filter: string, renames: Renames): CompiledMessage {
  const values = spec.values.flatMap((value): CompiledValue[] => {
    const rename = Object.hasOwn(renames, value.metric) ? renames[value.metric] : undefined;
    if (rename === null) return [];
    const metric = rename?.metric ?? value.metric;
    const sign = (value.negate === true) === (rename?.negate === true) ? 1 : -1;
    const when = value.when && { path: pathOf(value.when.path), equals: value.when.equals };
    return [
      {
        path: value.path === undefined ? undefined : pathOf(value.path),
        metric,
        convert: converter(value, metric, sign),
        spec: value,
        when,
      },
    ];
  });
  return { filter, spec, timePath: spec.time && pathOf(spec.time.path), values };
}

const pathOf = (text: string): JsonPath => parsePath(text) ?? { steps: [], many: false };

function converter({ scale = 1, offset = 0, unit, states }: MappedValue, metric: string, sign: 1 | -1) {
  const to = metricDefinition(metric)?.unit;
  const conversion = states || unit === undefined || to === undefined ? undefined : conversionTo(unit, to);
  const { factor, offset: shift } = conversion ?? { factor: 1, offset: 0 };
  return (raw: number): number => sign * ((raw * scale + offset) * factor + shift);
}

function readMessages(messages: readonly CompiledMessage[], payload: string): Said {
  const values: MetricValue[] = [];
  const findings: Finding[] = [];
  let document: unknown;
  let timeMs: number | undefined;
  let needed: CompiledMessage | undefined;
  for (const message of messages) {
    const { spec, timePath } = message;
    if (spec.form === 'json' && document === undefined) {
      try {
        document = JSON.parse(payload);
      } catch (error) {
        return refused('E_PAYLOAD_NOT_JSON', error instanceof Error ? error.message : 'not JSON');
      }
      if (typeof document !== 'object' || document === null || Array.isArray(document))
        return refused('E_PAYLOAD_SCHEMA', 'The message must be a JSON object.');
    }
    if (spec.needs_one) needed ??= message;
    if (timePath) timeMs ??= legacyTimeMs(valuesAt(document, timePath)[0]);
    for (const one of message.values) {
      const raw = spec.form === 'number' ? numberOf(payload) : rawOf(document, one);
      if (raw === undefined) continue;
      const { value, finding } = toMetricValue(one.metric, valueOf(one, raw));
      values.push(value);
      if (finding) findings.push(finding);
    }
  }
  if (values.length === 0)
    return needed
      ? refused('E_PAYLOAD_SCHEMA', `None of ${needed.spec.values.map(({ path }) => path).join(', ')} is there.`)
      : nothing;
  const reading = { boot: undefined, seq: undefined, upMs: undefined, timeMs, values };
  return { kind: 'reading', parsed: { ok: true, resent: false, findings, readings: [reading] } };
}

const refused = (code: 'E_PAYLOAD_NOT_JSON' | 'E_PAYLOAD_SCHEMA', detail: string): Said => ({
  kind: 'reading',
  parsed: { ok: false, code, detail },
});

/** What a payload says that is a number itself; the text where it is none. */
function numberOf(payload: string): unknown {
  const said = payload.trim();
  if (numberForm.test(said)) return Number(said);
  return noNumber.has(said.toLowerCase()) ? null : said;
}

/** The raw value of a JSON message; undefined where the message does not speak of it. */
function rawOf(document: unknown, { path, when, spec }: CompiledValue): unknown {
  if (when && valuesAt(document, when.path)[0] !== when.equals) return undefined;
  if (!path) return undefined;
  const found = valuesAt(document, path);
  if (!path.many || found.length <= 1 || spec.many === 'first') return found[0];
  // A part that is missing makes the whole missing: a sum of two phases is not the sum of three.
  if (found.some((one) => typeof one !== 'number')) return null;
  const sum = (found as number[]).reduce((total, one) => total + one, 0);
  return spec.many === 'mean' ? sum / found.length : sum;
}

/** A raw value as the metric wants it, for `toMetricValue` to judge. */
function valueOf({ spec, convert }: CompiledValue, raw: unknown): unknown {
  if (raw === null || (spec.missing as readonly unknown[] | undefined)?.includes(raw)) return null;
  if (spec.states) {
    // Only plain values are words; making one of a deep list could take the stack.
    const key = typeof raw === 'object' ? '' : String(raw);
    return Object.hasOwn(spec.states, key) ? convert(spec.states[key] as number) : null;
  }
  return typeof raw === 'number' ? convert(raw) : raw;
}
