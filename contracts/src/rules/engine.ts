/**
 * Runs rules over samples in event time: which rule watches which subject, state per rule and subject, transitions out.
 * Pure: the same samples and ticks give the same transitions live, in a back-test and after a restart from `exportState`.
 */
import type { DeviceSeries } from '../codec/reading-block.js';
import { parseMetricId } from '../metrics/catalogue.js';
import type { RuleContext, RuleKind, RuleSample, Step, Transition } from './kind.js';
import { checkRule } from './check.js';
import { Fold, othersSuffix } from './fold.js';
import { ruleKinds, type Rule } from './rule.js';

/** A transition of one rule for one subject. */
export interface RuleTransition {
  readonly rule: Rule;
  /** Key of the subject, stable over restarts: figure, series or device. */
  readonly subject: string;
  readonly deviceId: string | null;
  readonly metric: string | null;
  /** The series that raised it, where one alert stands for many series of a device. */
  readonly foldedMetric?: string;
  readonly transition: Transition;
}

type UntypedKind = RuleKind<unknown, unknown>;

/** The engine over one grid's rules. */
export interface RuleEngine {
  /** A sample of a device's series. */
  onSeriesSample(sample: RuleSample): readonly RuleTransition[];
  /**
   * The same for whole readings of a device, each with a number for all its series: gives the function that takes them,
   * values scaled as in `DeviceSeries`. What no rule watches costs nothing then.
   */
  onReadings(series: DeviceSeries): (timeMs: number, values: Float64Array) => readonly RuleTransition[];
  /** A new value of a grid figure. */
  onFigure(metric: string, timeMs: number, value: number): readonly RuleTransition[];
  /** Time has passed: missing data is noticed here. Call about every few seconds. */
  onTick(nowMs: number): readonly RuleTransition[];
  /** The clock that dates samples was moved by so many milliseconds: all delays go on as they were. */
  moveClock(byMs: number): void;
  /** State of all subjects as JSON text, and whether it changed since the last export. */
  exportState(): string;
  readonly dirty: boolean;
}

const none: readonly RuleTransition[] = [];

interface Subject {
  readonly rule: Rule;
  readonly kind: UntypedKind;
  readonly key: string;
  readonly deviceId: string | null;
  readonly metric: string | null;
  /** Of a series: what bounds the alerts of its rule and device. */
  readonly fold?: { readonly metric: string; readonly of: Fold };
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
  /** What watches a series or its device, by device and metric: asked for every sample. */
  const seriesSubjects = new Map<string, Map<string, Subject[]>>();
  const byDevice = new Map<string, Subject[]>();
  const all = new Map<string, Subject>();
  const folds = new Map<string, Fold>();
  let dirty = false;

  const make = (
    rule: Rule,
    key: string,
    deviceId: string | null,
    metric: string | null,
    fold?: Subject['fold'],
  ): Subject => {
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
      ...(fold === undefined ? {} : { fold }),
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
      }
    }
  }

  // Whether a saved state is of a series rule: what stands for many series may come before them, and outlives further saves.
  const waiting = (key: string): boolean => {
    const [ruleId, subject = ''] = key.split('|');
    return subject.startsWith('series:') && [...seriesRules.values()].flat().some((rule) => rule.id === ruleId);
  };

  const take = (subject: Subject, { state, transition }: Step<unknown>): RuleTransition | undefined => {
    if (state !== subject.state) {
      subject.state = state;
      dirty = true;
    }
    if (!transition) return undefined;
    const { rule, key, deviceId, metric } = subject;
    return { rule, subject: key, deviceId, metric, transition };
  };

  /** Shows a sample to subjects. Most samples change nothing: then nothing is made. */
  const show = (subjects: readonly Subject[], sample: RuleSample): readonly RuleTransition[] => {
    let found: RuleTransition[] | undefined;
    for (const subject of subjects) {
      const { kind, rule, state, fold, metric } = subject;
      const step = kind.onSample(rule.parameters, state, sample, options.context);
      if (fold !== undefined && metric !== null) {
        const folded = takeFolded(subject, fold, metric, step, sample.timeMs);
        if (folded.length > 0) (found ??= []).push(...folded);
        continue;
      }
      const one = take(subject, step);
      if (one) (found ??= []).push(one);
    }
    return found ?? none;
  };

  /** A step of a series, whose alerts are bounded per rule and device. */
  const takeFolded = (
    subject: Subject,
    fold: NonNullable<Subject['fold']>,
    metric: string,
    { state, transition }: Step<unknown>,
    timeMs: number,
  ): readonly RuleTransition[] => {
    const { rule, deviceId } = subject;
    const { raised } = state as { readonly raised?: unknown };
    if (raised !== true && transition === undefined && fold.of.isQuiet) {
      take(subject, { state });
      return none;
    }
    const told = fold.of.take(metric, raised === true, timeMs, transition);
    const own = take(subject, { state, ...(told.own === undefined ? {} : { transition: told.own }) });
    if (told.others === undefined) return own ? [own] : none;
    dirty = true;
    const others: RuleTransition = {
      rule,
      subject: `series:${deviceId}/${fold.metric}`,
      deviceId,
      metric: fold.metric,
      foldedMetric: metric,
      transition: told.others,
    };
    return own ? [own, others] : [others];
  };

  const foldOf = (rule: Rule, deviceId: string, metric: string): Subject['fold'] => {
    const others = `${parseMetricId(metric).base}.${othersSuffix}`;
    const key = `${rule.id}|series:${deviceId}/${others}`;
    let of = folds.get(key);
    if (of === undefined) {
      of = new Fold(saved.get(key));
      saved.delete(key);
      folds.set(key, of);
    }
    return { metric: others, of };
  };

  const subjectsOfSeries = (deviceId: string, metric: string): Subject[] => {
    let ofDevice = seriesSubjects.get(deviceId);
    if (!ofDevice) seriesSubjects.set(deviceId, (ofDevice = new Map()));
    let subjects = ofDevice.get(metric);
    if (subjects === undefined) {
      subjects = [];
      for (const rule of seriesRules.get(parseMetricId(metric).base) ?? []) {
        const only = rule.selector.scope === 'series' ? rule.selector.device_id : undefined;
        if (only === undefined || only === deviceId)
          subjects.push(make(rule, `series:${deviceId}/${metric}`, deviceId, metric, foldOf(rule, deviceId, metric)));
      }
      subjects.push(...(byDevice.get(deviceId) ?? []));
      ofDevice.set(metric, subjects);
    }
    return subjects;
  };

  // Time goes on for series of before, also while they are not heard.
  for (const key of [...saved.keys()]) {
    const [, deviceId, metric] = /\|series:([^/]+)\/(.+)$/.exec(key) ?? [];
    if (deviceId !== undefined && metric !== undefined && !metric.endsWith(`.${othersSuffix}`) && waiting(key))
      subjectsOfSeries(deviceId, metric);
  }

  return {
    onSeriesSample: (sample) =>
      sample.deviceId === null ? none : show(subjectsOfSeries(sample.deviceId, sample.metric), sample),
    onReadings(series) {
      const { deviceId, metrics, factors } = series;
      const watched = metrics.flatMap((metric, index) => {
        const subjects = subjectsOfSeries(deviceId, metric).filter(({ kind }) => index === 0 || !kind.oncePerTime);
        if (subjects.length === 0) return [];
        // One object for all samples: kinds keep nothing of it.
        return [
          { index, factor: factors[index] as number, subjects, sample: { deviceId, metric, timeMs: 0.5, value: 0.5 } },
        ];
      });
      return (timeMs, values) => {
        let found: readonly RuleTransition[] = none;
        for (const { index, factor, subjects, sample } of watched) {
          sample.timeMs = timeMs;
          sample.value = (values[index] as number) / factor;
          const shown = show(subjects, sample);
          if (shown.length > 0) found = found.length === 0 ? shown : [...found, ...shown];
        }
        return found;
      };
    },
    onFigure(metric, timeMs, value) {
      const sample: RuleSample = { deviceId: null, metric, timeMs, value };
      return [...show(byFigure.get(metric) ?? [], sample), ...show(comparisonFigures.get(metric) ?? [], sample)];
    },
    onTick(nowMs) {
      const found: RuleTransition[] = [];
      for (const subject of all.values()) {
        const { kind, rule, state, fold, metric, deviceId } = subject;
        if (kind.excused && deviceId !== null && options.context.excused?.(deviceId)) {
          subject.state = kind.excused(state, nowMs);
          dirty = true;
          continue;
        }
        const step = kind.onTick(rule.parameters, state, nowMs, options.context);
        if (step.state === state && step.transition === undefined) continue;
        if (fold !== undefined && metric !== null) found.push(...takeFolded(subject, fold, metric, step, nowMs));
        else {
          const one = take(subject, step);
          if (one) found.push(one);
        }
      }
      return found;
    },
    moveClock(byMs) {
      for (const subject of all.values()) subject.state = subject.kind.moved(subject.state, byMs);
      dirty = true;
    },
    exportState() {
      dirty = false;
      const states: [string, unknown][] = [...all].map(([key, subject]) => [key, subject.state]);
      const folded = [...folds].map(([key, fold]) => [key, fold.state()]);
      return JSON.stringify([...states, ...folded, ...[...saved].filter(([key]) => waiting(key))]);
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
