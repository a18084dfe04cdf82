/**
 * Runs rules over samples in event time: which rule watches which subject, state per rule and subject, transitions out.
 * Pure: the same samples and ticks give the same transitions live, in a back-test and after a restart from `exportState`.
 */
import { parseMetricId } from '../metrics/catalogue.js';
import type { RuleContext, RuleKind, RuleSample, Transition } from './kind.js';
import { checkRule } from './check.js';
import { ruleKinds, type Rule } from './rule.js';

/** A transition of one rule for one subject. */
export interface RuleTransition {
  readonly rule: Rule;
  /** Key of the subject, stable over restarts: figure, series or device. */
  readonly subject: string;
  readonly deviceId: string | null;
  readonly metric: string | null;
  readonly transition: Transition;
}

type UntypedKind = RuleKind<unknown, unknown>;

/** The engine over one grid's rules. */
export interface RuleEngine {
  /** A sample of a device's series. */
  onSeriesSample(sample: RuleSample): RuleTransition[];
  /** A new value of a grid figure. */
  onFigure(metric: string, timeMs: number, value: number): RuleTransition[];
  /** Time has passed: missing data is noticed here. Call about every few seconds. */
  onTick(nowMs: number): RuleTransition[];
  /** The clock that dates samples was moved by so many milliseconds: all delays go on as they were. */
  moveClock(byMs: number): void;
  /** State of all subjects as JSON text, and whether it changed since the last export. */
  exportState(): string;
  readonly dirty: boolean;
}

interface Subject {
  readonly rule: Rule;
  readonly kind: UntypedKind;
  readonly key: string;
  readonly deviceId: string | null;
  readonly metric: string | null;
  state: unknown;
}

/**
 * Creates an engine. `devices` are the ids that device rules watch; `saved` is a former `exportState` (states of rules
 * and devices that no longer exist are dropped, so are damaged ones). Throws E_CONFIG_INVALID for an enabled rule that
 * cannot work.
 */
export function createRuleEngine(options: {
  readonly rules: readonly Rule[];
  readonly devices: readonly string[];
  readonly context: RuleContext;
  readonly saved?: string | undefined;
}): RuleEngine {
  const saved = readSaved(options.saved);
  const byFigure = new Map<string, Subject[]>();
  const comparisonFigures = new Map<string, Subject[]>();
  const seriesRules = new Map<string, Rule[]>();
  const seriesSubjects = new Map<string, Subject[]>();
  const byDevice = new Map<string, Subject[]>();
  const ticking: Subject[] = [];
  const all = new Map<string, Subject>();
  let dirty = false;

  const make = (rule: Rule, key: string, deviceId: string | null, metric: string | null): Subject => {
    const kind = ruleKinds[rule.kind] as unknown as UntypedKind;
    const full = `${rule.id}|${key}`;
    const before = saved.get(full);
    saved.delete(full);
    const subject: Subject = {
      rule,
      kind,
      key,
      deviceId,
      metric,
      state: kind.isState(before) ? before : kind.initial(),
    };
    all.set(full, subject);
    return subject;
  };
  const push = <V>(map: Map<string, V[]>, key: string, value: V) => {
    const list = map.get(key);
    if (list) list.push(value);
    else map.set(key, [value]);
  };

  for (const given of options.rules) {
    if (!given.enabled) continue;
    const rule = checkRule(given);
    const { selector } = rule;
    if (selector.scope === 'figure') {
      const subject = make(rule, `figure:${selector.metric}`, null, selector.metric);
      push(byFigure, selector.metric, subject);
      if (rule.kind === 'comparison') {
        const parameters = rule.parameters as { all?: { metric: string }[]; unless?: { metric: string }[] };
        for (const one of [...(parameters.all ?? []), ...(parameters.unless ?? [])]) {
          if (one.metric !== selector.metric) push(comparisonFigures, one.metric, subject);
        }
      }
    } else if (selector.scope === 'series') push(seriesRules, selector.metric, rule);
    else {
      for (const deviceId of options.devices) {
        if (selector.device_id !== undefined && selector.device_id !== deviceId) continue;
        const subject = make(rule, `device:${deviceId}`, deviceId, null);
        push(byDevice, deviceId, subject);
        ticking.push(subject);
      }
    }
  }

  // Series make their subjects when they are first heard; until then their saved state must outlive further saves.
  const waiting = (key: string): boolean => {
    const [ruleId, subject = ''] = key.split('|');
    return subject.startsWith('series:') && [...seriesRules.values()].flat().some((rule) => rule.id === ruleId);
  };

  const run = (subject: Subject, step: { state: unknown; transition?: Transition }, out: RuleTransition[]) => {
    if (step.state !== subject.state) {
      subject.state = step.state;
      dirty = true;
    }
    if (step.transition) {
      out.push({
        rule: subject.rule,
        subject: subject.key,
        deviceId: subject.deviceId,
        metric: subject.metric,
        transition: step.transition,
      });
    }
  };

  const subjectsOfSeries = (deviceId: string, metric: string): Subject[] => {
    const key = `${deviceId} ${metric}`;
    let subjects = seriesSubjects.get(key);
    if (subjects === undefined) {
      subjects = [];
      for (const rule of seriesRules.get(parseMetricId(metric).base) ?? []) {
        const only = rule.selector.scope === 'series' ? rule.selector.device_id : undefined;
        if (only === undefined || only === deviceId)
          subjects.push(make(rule, `series:${deviceId}/${metric}`, deviceId, metric));
      }
      seriesSubjects.set(key, subjects);
    }
    return subjects;
  };

  return {
    onSeriesSample(sample) {
      const out: RuleTransition[] = [];
      if (sample.deviceId === null) return out;
      for (const subject of subjectsOfSeries(sample.deviceId, sample.metric)) {
        run(subject, subject.kind.onSample(subject.rule.parameters, subject.state, sample, options.context), out);
      }
      for (const subject of byDevice.get(sample.deviceId) ?? []) {
        run(subject, subject.kind.onSample(subject.rule.parameters, subject.state, sample, options.context), out);
      }
      return out;
    },
    onFigure(metric, timeMs, value) {
      const out: RuleTransition[] = [];
      const sample: RuleSample = { deviceId: null, metric, timeMs, value };
      for (const map of [byFigure, comparisonFigures]) {
        for (const subject of map.get(metric) ?? []) {
          run(subject, subject.kind.onSample(subject.rule.parameters, subject.state, sample, options.context), out);
        }
      }
      return out;
    },
    onTick(nowMs) {
      const out: RuleTransition[] = [];
      for (const subject of ticking)
        run(subject, subject.kind.onTick(subject.rule.parameters, subject.state, nowMs, options.context), out);
      return out;
    },
    moveClock(byMs) {
      for (const subject of all.values()) subject.state = subject.kind.moved(subject.state, byMs);
      dirty = true;
    },
    exportState() {
      dirty = false;
      const states: [string, unknown][] = [...all].map(([key, subject]) => [key, subject.state]);
      return JSON.stringify([...states, ...[...saved].filter(([key]) => waiting(key))]);
    },
    get dirty() {
      return dirty;
    },
  };
}

function readSaved(text: string | undefined): Map<string, unknown> {
  if (text === undefined) return new Map();
  try {
    const entries: unknown = JSON.parse(text);
    if (!Array.isArray(entries)) return new Map();
    return new Map(
      entries.filter((entry): entry is [string, unknown] => Array.isArray(entry) && typeof entry[0] === 'string'),
    );
  } catch {
    return new Map();
  }
}
