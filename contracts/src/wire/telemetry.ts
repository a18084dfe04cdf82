/**
 * The telemetry payload a device publishes: one reading, or `readings` when a node resends what it kept.
 * Parsing never throws: one bad metric harms no other, and everything odd is a finding that is counted.
 */
import { metricDefinition, metricFacts, metricPrecision, quantise, type MetricFacts } from '../metrics/catalogue.js';
import { qualityCodes, type QualityCode } from '../quality/quality.js';
import type { ErrorCode } from '../errors/catalogue.js';
import { largestTimeMs } from '../codec/frame-head.js';
import { isRecord } from '../json/record.js';
import { isWellFormedText } from '../json/well-formed.js';

/** Most readings in one publish; a node splits a longer backlog. */
export const maxReadingsPerPublish = 500;
/** Most metrics in one reading. */
export const maxMetricsPerReading = 64;

/** One metric of a reading, already quantised; null where there is no usable number. */
export interface MetricValue {
  readonly metric: string;
  readonly value: number | null;
  readonly quality: QualityCode;
}

/** One reading of a node as it arrived. */
export interface Reading {
  /** Identity of the node's boot; with seq it makes a reading recognisable when it comes again. */
  readonly boot: string | undefined;
  readonly seq: number | undefined;
  /** Milliseconds since the node's boot. */
  readonly upMs: number | undefined;
  /** Unix milliseconds, only from a node with a clock. */
  readonly timeMs: number | undefined;
  readonly values: readonly MetricValue[];
}

/** Something odd in a payload: what, and where in it. */
export interface Finding {
  readonly code: 'unknown_metric' | 'not_finite' | 'wrong_type' | 'out_of_range' | 'metric_name' | 'too_many_metrics';
  readonly metric: string;
}

/** A parsed payload, or the error that refuses it whole. */
export type ParsedTelemetry =
  | {
      readonly ok: true;
      readonly readings: readonly Reading[];
      readonly resent: boolean;
      readonly findings: readonly Finding[];
    }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

const refuse = (code: ErrorCode, detail: string): ParsedTelemetry => ({ ok: false, code, detail });

const wholeNumber = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(Math.round(value)) && value >= 0 ? Math.round(value) : undefined;

/** A foreign value in a message: what it is, never more of it than a few characters (it may be as deep as a publish is long). */
const shown = (value: unknown): string =>
  typeof value === 'number' ? String(value) : typeof value === 'string' ? `"${value.slice(0, 20)}"` : typeof value;

/** A number as a metric's value: quantised, with its quality. */
export function toMetricValue(
  metric: string,
  raw: unknown,
): { readonly value: MetricValue; readonly finding?: Finding } {
  const findings: Finding[] = [];
  const facts = { definition: metricDefinition(metric), precision: metricPrecision(metric) };
  const value = judge(metric, facts, raw, findings);
  const [finding] = findings;
  return finding ? { value, finding } : { value };
}

function judge(metric: string, { definition, precision }: MetricFacts, raw: unknown, findings: Finding[]): MetricValue {
  const number = typeof raw === 'boolean' ? Number(raw) : raw;
  if (typeof number !== 'number') {
    if (raw === null) return { metric, value: null, quality: qualityCodes.bad_no_value };
    findings.push({ code: 'wrong_type', metric });
    return { metric, value: null, quality: qualityCodes.bad_type };
  }
  if (!Number.isFinite(number)) {
    findings.push({ code: 'not_finite', metric });
    return { metric, value: null, quality: qualityCodes.bad_not_finite };
  }
  const rounded = Math.abs(number) < 1e12 ? quantise(number, precision) : null;
  if (definition === undefined) {
    findings.push({ code: rounded === null ? 'out_of_range' : 'unknown_metric', metric });
    const quality = rounded === null ? qualityCodes.bad_range : qualityCodes.uncertain_unknown_metric;
    return { metric, value: rounded, quality };
  }
  if (number < definition.min || number > definition.max) {
    findings.push({ code: 'out_of_range', metric });
    return { metric, value: rounded, quality: qualityCodes.bad_range };
  }
  return { metric, value: rounded, quality: qualityCodes.good };
}

/** The metrics of a reading, judged one by one; what is odd goes to the findings. */
function judgeAll(metrics: Record<string, unknown>, findings: Finding[]): MetricValue[] {
  const values: MetricValue[] = [];
  let place = 0;
  for (const metric of Object.keys(metrics)) {
    if (place >= maxMetricsPerReading) {
      findings.push({ code: 'too_many_metrics', metric: metric.slice(0, 64) });
      break;
    }
    place += 1;
    const facts = metricFacts(metric);
    if (facts === undefined) findings.push({ code: 'metric_name', metric: metric.slice(0, 64) });
    else values.push(judge(metric, facts, metrics[metric], findings));
  }
  return values;
}

/** Whether a foreign value can name a boot: logs are named after it. */
export const isBoot = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 32 && isWellFormedText(value);

const numberedKeys = ['seq', 'up', 'ts'] as const;

/** Parses a payload already decoded from JSON. */
export function parseTelemetry(payload: unknown): ParsedTelemetry {
  if (!isRecord(payload)) return refuse('E_PAYLOAD_SCHEMA', 'The payload must be a JSON object.');
  if (payload.v !== undefined && payload.v !== 1)
    return refuse('E_PAYLOAD_SCHEMA', `v is ${shown(payload.v)}; this gateway understands version 1.`);
  const findings: Finding[] = [];
  const many = payload.readings;
  if (many !== undefined && !Array.isArray(many)) return refuse('E_PAYLOAD_SCHEMA', 'readings must be an array.');
  const items: unknown[] = Array.isArray(many) ? many : [payload];
  if (items.length > maxReadingsPerPublish)
    return refuse(
      'E_PAYLOAD_SCHEMA',
      `readings has ${items.length} entries; at most ${maxReadingsPerPublish} fit one publish.`,
    );
  const readings: Reading[] = [];
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index];
    const where = many === undefined ? '' : `readings[${index}].`;
    if (!isRecord(item)) return refuse('E_PAYLOAD_SCHEMA', `${where || 'payload '}must be an object.`);
    const boot = item.boot ?? payload.boot;
    if (boot !== undefined && !isBoot(boot)) {
      return refuse('E_PAYLOAD_SCHEMA', `${where}boot must be a text of 1 to 32 characters.`);
    }
    for (const key of numberedKeys) {
      if (item[key] !== undefined && wholeNumber(item[key]) === undefined)
        return refuse('E_PAYLOAD_SCHEMA', `${where}${key} must be a number of 0 or more.`);
    }
    if ((wholeNumber(item.ts) ?? 0) > largestTimeMs)
      return refuse('E_PAYLOAD_SCHEMA', `${where}ts must be Unix milliseconds, before the year 70000.`);
    if (!isRecord(item.metrics))
      return refuse('E_PAYLOAD_SCHEMA', `${where}metrics must be an object of metric id to number.`);
    readings.push({
      boot,
      seq: wholeNumber(item.seq),
      upMs: wholeNumber(item.up),
      timeMs: wholeNumber(item.ts),
      values: judgeAll(item.metrics, findings),
    });
  }
  return { ok: true, readings, resent: many !== undefined, findings };
}

/** Parses the bytes of a publish, decoded as UTF-8 text. */
export function parseTelemetryText(text: string): ParsedTelemetry {
  let payload: unknown;
  try {
    payload = JSON.parse(text);
  } catch (error) {
    return refuse('E_PAYLOAD_NOT_JSON', error instanceof Error ? error.message : 'not JSON');
  }
  return parseTelemetry(payload);
}
