/**
 * Runs rules over samples in event time: which rule watches which subject, state per rule and subject, transitions out.
 * Pure: the same samples and ticks give the same transitions live, in a back-test and after a restart from `exportState`.
 */
import type { DeviceSeries } from '../codec/reading-block.js';
import { parseMetricId } from '../metrics/catalogue.js';
import { Calendar } from './calendar.js';
import { checkRule } from './check.js';
import { Fold, othersSuffix } from './fold.js';
import { type Listening, type RuleContext, type RuleKind, type RuleSample, type Transition } from './kind.js';
import { KeptState, restoredState } from './kept-state.js';
import { ruleKinds, type Rule } from './rule.js';
import { coversDevice, coversSeries, type RuleDevice } from './selector.js';

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

/** A new value of a grid figure. */
export interface RuleFigure {
  readonly metric: string;
  readonly timeMs: number;
  /** Null when it is not usable: of bad quality, or not known. It raises nothing then. */
  readonly value: number | null;
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
  /** Whether any rule asks for a figure: of another one the engine need not be told. */
  concerns(metric: string): boolean;
  /** A new value of a grid figure; null when it is not usable. */
  onFigure(metric: string, timeMs: number, value: number | null): readonly RuleTransition[];
  /** Values of figures that changed together: all are known before the first is judged. */
  onFigures(figures: readonly RuleFigure[]): readonly RuleTransition[];
  /** Time has passed: missing data is noticed here. Call about every few seconds. */
  onTick(nowMs: number): readonly RuleTransition[];
  /** The clock that dates samples was moved by so many milliseconds: all delays go on as they were. */
  moveClock(byMs: number): void;
  /** After a restart: makes the state agree with what is raised, given as `rule id|subject`. */
  restarted(raised: ReadonlySet<string>, listening: Listening): void;
  /** State of all subjects as JSON text, and whether it changed since the last export. */
  exportState(): string;
  readonly dirty: boolean;
}

const none: readonly RuleTransition[] = [];
const unchanged: readonly (Transition | undefined)[] = [undefined];

/** A condition that is over and stays raised for the rule's `keep_firing_ms`. */
interface KeptFiring {
  readonly untilMs: number;
  readonly value: number | null;
}

interface Subject {
  readonly rule: Rule;
  readonly kind: UntypedKind;
  readonly key: string;
  readonly deviceId: string | null;
  readonly metric: string | null;
  /** Of a series: what bounds the alerts of its rule and device. */
  readonly fold?: { readonly metric: string; readonly of: Fold };
  state: unknown;
  kept?: KeptFiring | undefined;
}

/** What an engine is made of. */
export interface RuleEngineOptions {
  readonly rules: readonly Rule[];
  /** Ids of the devices that device rules watch. */
  readonly devices: readonly string[];
  readonly context: RuleContext;
  /** A former `exportState`. States of rules and devices that no longer exist are dropped, so are damaged ones. */
  readonly saved?: string | undefined;
  /** What selectors ask about devices: kind and tags. */
  readonly inventory?: readonly RuleDevice[] | undefined;
  /** IANA zone of the grid, for schedules; UTC when left out. */
  readonly zone?: string | undefined;
}

/** Creates an engine. Throws E_CONFIG_INVALID for an enabled rule that cannot work. */
export function createRuleEngine(options: RuleEngineOptions): RuleEngine {
  const saved = restoredState(options.saved);
  const calendar = new Calendar(options.zone ?? 'UTC');
  const inventory = new Map((options.inventory ?? []).map((one) => [one.device_id, one]));
  const deviceOf = (deviceId: string): RuleDevice => inventory.get(deviceId) ?? { device_id: deviceId };
  const byFigure = new Map<string, Subject[]>();
  const seriesRules = new Map<string, Rule[]>();
  const seriesRuleIds = new Set<string>();
  /** What watches a series or its device, by device and metric: asked for every sample. */
  const seriesSubjects = new Map<string, Map<string, readonly Subject[]>>();
  const byDevice = new Map<string, { readonly subject: Subject; readonly only: readonly string[] | undefined }[]>();
  const all = new Map<string, Subject>();
  const folds = new Map<string, Fold>();
  /** Newest values of the figures that rules compare; part of the state, so that a restart changes no conclusion. */
  const figures = saved.figures;
  const compared = new Set<string>();
  let dirty = false;

  const context: RuleContext = {
    ...options.context,
    figure(metric, timeMs, maxAgeMs) {
      const known = figures.get(metric);
      if (known === undefined) return options.context.figure(metric, timeMs, maxAgeMs);
      return known.value === null || timeMs - known.timeMs > maxAgeMs ? undefined : known.value;
    },
  };

  const make = (
    rule: Rule,
    key: string,
    deviceId: string | null,
    metric: string | null,
    fold?: Subject['fold'],
  ): Subject => {
    const kind = ruleKinds[rule.kind] as unknown as UntypedKind;
    const full = `${rule.id}|${key}`;
    const before = saved.take(full, key, kind);
    const kept = saved.kept.get(full);
    const subject: Subject = {
      rule,
      kind,
      key,
      deviceId,
      metric,
      ...(fold === undefined ? {} : { fold }),
      state: before ?? kind.initial(),
      ...(kept !== undefined && rule.keep_firing_ms !== undefined ? { kept } : {}),
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
    const kind = ruleKinds[rule.kind] as unknown as UntypedKind;
    const watched = kind.watches?.(rule.parameters);
    for (const metric of kind.figures?.(rule.parameters) ?? []) compared.add(metric);
    if (selector.scope === 'figure') {
      const subject = make(rule, `figure:${selector.metric}`, null, selector.metric);
      for (const metric of new Set([...(watched ?? []), selector.metric])) {
        push(byFigure, metric, subject);
        if (watched) compared.add(metric);
      }
    } else if (selector.scope === 'series') {
      push(seriesRules, parseMetricId(selector.metric).base, rule);
      seriesRuleIds.add(rule.id);
    } else {
      for (const deviceId of options.devices)
        if (coversDevice(selector, deviceOf(deviceId)))
          push(byDevice, deviceId, { subject: make(rule, `device:${deviceId}`, deviceId, null), only: watched });
    }
  }
  for (const metric of [...figures.keys()]) if (!compared.has(metric)) figures.delete(metric);

  /** What stands for many series may come before them, and outlives further saves. */
  const waiting = (key: string): boolean => {
    const bar = key.indexOf('|');
    return key.startsWith('series:', bar + 1) && seriesRuleIds.has(key.slice(0, bar));
  };

  const told = ({ rule, key, deviceId, metric }: Subject, transition: Transition): RuleTransition => ({
    rule,
    subject: key,
    deviceId,
    metric,
    transition,
  });

  /** What is told of what a kind concluded, where what is over stays raised for a while. */
  const afterKeeping = (subject: Subject, atMs: number, concluded: Transition | undefined): readonly Transition[] => {
    const keepMs = subject.rule.keep_firing_ms;
    if (keepMs === undefined) return concluded === undefined ? [] : [concluded];
    const out: Transition[] = [];
    const before = subject.kept;
    const dueMs = concluded?.type === 'raise' ? concluded.atMs : atMs;
    if (before !== undefined && dueMs >= before.untilMs) {
      subject.kept = undefined;
      out.push({ type: 'clear', atMs: before.untilMs, value: before.value });
    }
    if (concluded?.type === 'raise') {
      // It came back in time: the same alert goes on.
      if (subject.kept !== undefined) subject.kept = undefined;
      else out.push(concluded);
    } else if (concluded !== undefined) {
      const untilMs = concluded.atMs + keepMs;
      if (atMs >= untilMs) out.push({ ...concluded, atMs: untilMs });
      else subject.kept = { untilMs, value: concluded.value };
    }
    if (before !== subject.kept) dirty = true;
    return out;
  };

  /** Takes a step of a subject; adds what is told of it to the list, which is made when there is something. */
  const take = (
    subject: Subject,
    state: unknown,
    concluded: Transition | undefined,
    atMs: number,
    found: RuleTransition[] | undefined,
  ): RuleTransition[] | undefined => {
    if (state !== subject.state) {
      subject.state = state;
      dirty = true;
    }
    if (concluded === undefined && subject.kept === undefined && subject.fold === undefined) return found;
    const { fold, metric, rule, deviceId } = subject;
    const transitions = afterKeeping(subject, atMs, concluded);
    let all = found;
    if (fold === undefined || metric === null) {
      for (const one of transitions) (all ??= []).push(told(subject, one));
      return all;
    }
    const raised = (state as { readonly raised?: unknown }).raised === true || subject.kept !== undefined;
    if (!raised && transitions.length === 0 && fold.of.isQuiet) return found;
    for (const [index, one] of (transitions.length === 0 ? unchanged : transitions).entries()) {
      const isRaised = index < transitions.length - 1 ? one?.type === 'raise' : raised;
      const { own, others } = fold.of.take(metric, isRaised, atMs, one);
      if (own !== undefined) (all ??= []).push(told(subject, own));
      if (others === undefined) continue;
      dirty = true;
      (all ??= []).push({
        rule,
        subject: `series:${deviceId}/${fold.metric}`,
        deviceId,
        metric: fold.metric,
        foldedMetric: metric,
        transition: others,
      });
    }
    return all;
  };

  /** Whether a subject is to be left alone: outside of its rule's hours nothing begins, and what is pending is forgotten. */
  const isOff = (subject: Subject, atMs: number): boolean => {
    const { schedule } = subject.rule;
    if (schedule === undefined || calendar.isOn(schedule, atMs)) return false;
    const state = subject.state as { readonly raised?: boolean; readonly pendingSinceMs?: number | null };
    if (state.raised === true || subject.kept !== undefined) return false;
    if (typeof state.pendingSinceMs === 'number') {
      subject.state = { ...state, pendingSinceMs: null };
      dirty = true;
    }
    return true;
  };

  /** Shows a sample to subjects. Most samples change nothing: then nothing is made. */
  const show = (
    subjects: readonly Subject[],
    sample: RuleSample,
    found?: RuleTransition[],
  ): RuleTransition[] | undefined => {
    let all = found;
    for (const subject of subjects) {
      const { kind, rule } = subject;
      // Silence is counted at all hours: when the hours begin it is known how long it has lasted.
      if (rule.schedule !== undefined && kind.oncePerTime !== true && isOff(subject, sample.timeMs)) continue;
      // What was over for long enough ended before this sample, whether or not somebody looked at the clock meanwhile.
      if (isEnding(subject.state)) {
        const passed = kind.onTick(rule.parameters, subject.state, sample.timeMs, context);
        all = take(subject, passed.state, passed.transition, sample.timeMs, all);
      }
      const step = kind.onSample(rule.parameters, subject.state, sample, context);
      all = take(subject, step.state, step.transition, sample.timeMs, all);
    }
    return all;
  };

  const foldOf = (rule: Rule, deviceId: string, metric: string): Subject['fold'] => {
    const others = `${parseMetricId(metric).base}.${othersSuffix}`;
    const key = `${rule.id}|series:${deviceId}/${others}`;
    let of = folds.get(key);
    if (of === undefined) {
      of = new Fold(saved.states.get(key));
      saved.states.delete(key);
      folds.set(key, of);
    }
    return { metric: others, of };
  };

  const noSubjects: readonly Subject[] = [];
  const subjectsOfSeries = (deviceId: string, metric: string): readonly Subject[] => {
    let ofDevice = seriesSubjects.get(deviceId);
    if (!ofDevice) seriesSubjects.set(deviceId, (ofDevice = new Map()));
    const known = ofDevice.get(metric);
    if (known !== undefined) return known;
    const subjects: Subject[] = [];
    for (const rule of seriesRules.get(parseMetricId(metric).base) ?? [])
      if (coversSeries(rule.selector, deviceOf(deviceId), metric))
        subjects.push(make(rule, `series:${deviceId}/${metric}`, deviceId, metric, foldOf(rule, deviceId, metric)));
    for (const { subject, only } of byDevice.get(deviceId) ?? [])
      if (only === undefined || only.includes(metric)) subjects.push(subject);
    const made = subjects.length === 0 ? noSubjects : subjects;
    ofDevice.set(metric, made);
    return made;
  };

  /** Whether a source is a series that a rule watches and that was not heard since the state was read. */
  const isUnheard = (source: string): boolean => {
    const [, deviceId = '', metric = ''] = /^series:([^/]+)\/(.+)$/.exec(source) ?? [];
    return seriesRules.has(parseMetricId(metric).base) && seriesSubjects.get(deviceId)?.has(metric) !== true;
  };

  // Time goes on for series of before, also while they are not heard.
  for (const key of [...saved.states.keys()]) {
    const [, deviceId, metric] = /\|series:([^/]+)\/(.+)$/.exec(key) ?? [];
    if (deviceId !== undefined && metric !== undefined && !metric.endsWith(`.${othersSuffix}`) && waiting(key))
      subjectsOfSeries(deviceId, metric);
  }

  const sample = { deviceId: null as string | null, metric: '', timeMs: 0.5, value: 0.5 };
  const remember = ({ metric, timeMs, value }: RuleFigure): void => {
    if (!compared.has(metric)) return;
    const known = figures.get(metric);
    if (known === undefined) figures.set(metric, { timeMs, value });
    else {
      known.timeMs = timeMs;
      known.value = value;
    }
    dirty = true;
  };
  const judge = ({ metric, timeMs, value }: RuleFigure, found?: RuleTransition[]): RuleTransition[] | undefined => {
    const subjects = byFigure.get(metric);
    if (subjects === undefined) return found;
    if (value === null) {
      for (const subject of subjects) {
        const after = subject.kind.lost?.(subject.state, metric);
        if (after !== undefined) subject.state = after;
      }
      return found;
    }
    sample.deviceId = null;
    sample.metric = metric;
    sample.timeMs = timeMs;
    sample.value = value;
    return show(subjects, sample, found);
  };

  return {
    onSeriesSample: (one) =>
      one.deviceId === null ? none : (show(subjectsOfSeries(one.deviceId, one.metric), one) ?? none),
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
        let found: RuleTransition[] | undefined;
        for (const { index, factor, subjects, sample } of watched) {
          sample.timeMs = timeMs;
          sample.value = (values[index] as number) / factor;
          found = show(subjects, sample, found);
        }
        return found ?? none;
      };
    },
    concerns: (metric) => byFigure.has(metric) || compared.has(metric),
    onFigure(metric, timeMs, value) {
      const figure = { metric, timeMs, value };
      remember(figure);
      return judge(figure) ?? none;
    },
    onFigures(changed) {
      let found: RuleTransition[] | undefined;
      for (const one of changed) remember(one);
      for (const one of changed) found = judge(one, found);
      return found ?? none;
    },
    onTick(nowMs) {
      let found: RuleTransition[] | undefined;
      for (const subject of all.values()) {
        const { kind, rule, state, deviceId } = subject;
        if (kind.excused && deviceId !== null && context.excused?.(deviceId)) {
          const excused = kind.excused(state, nowMs);
          if (excused !== state) dirty = true;
          subject.state = excused;
          continue;
        }
        if (rule.schedule !== undefined && isOff(subject, nowMs)) continue;
        const step = kind.onTick(rule.parameters, state, nowMs, context);
        if (step.state === state && step.transition === undefined && subject.kept === undefined) continue;
        found = take(subject, step.state, step.transition, nowMs, found);
      }
      // In an order that does not depend on which subject was heard first, which a restart forgets.
      return found?.sort(inOrder) ?? none;
    },
    moveClock(byMs) {
      for (const subject of all.values()) {
        subject.state = subject.kind.moved(subject.state, byMs);
        if (subject.kept) subject.kept = { ...subject.kept, untilMs: subject.kept.untilMs + byMs };
      }
      for (const figure of figures.values()) figure.timeMs += byMs;
      dirty = true;
    },
    restarted(raised, listening) {
      for (const key of raised) {
        const [, deviceId, metric] = /\|series:([^/]+)\/(.+)$/.exec(key) ?? [];
        if (deviceId !== undefined && metric !== undefined && waiting(key) && !metric.endsWith(`.${othersSuffix}`))
          subjectsOfSeries(deviceId, metric);
      }
      for (const [key, fold] of folds) {
        const device = key.slice(0, key.lastIndexOf('/') + 1);
        fold.restarted(raised.has(key), (metric) => raised.has(`${device}${metric}`));
      }
      for (const [key, subject] of all) {
        const { kind, rule } = subject;
        const stands = subject.fold !== undefined && subject.metric !== null && subject.fold.of.holds(subject.metric);
        const isRaised = (raised.has(key) && subject.kept === undefined) || stands;
        if (!raised.has(key)) subject.kept = undefined;
        subject.state = kind.restarted?.(rule.parameters, subject.state, isRaised, listening) ?? subject.state;
      }
      saved.foldsRaised((key) => waiting(key) && !folds.has(key), raised);
      for (const figure of figures.values()) figure.timeMs = Math.min(figure.timeMs, listening.sinceMs);
      dirty = true;
    },
    exportState() {
      dirty = false;
      const kept = new KeptState();
      for (const [full, { key, kind, state, kept: firing }] of all) kept.add(full, key, kind, state, firing);
      for (const [key, fold] of folds) if (!fold.isQuiet) kept.addPlain(key, fold.state());
      for (const [key, state] of saved.states) if (waiting(key)) kept.addPlain(key, state);
      kept.addUnheard(saved.rest, isUnheard);
      return kept.text(figures);
    },
    get dirty() {
      return dirty;
    },
  };
}

/** Whether a state is raised and its condition was over at the last sample. */
const isEnding = (state: unknown): boolean => {
  const { raised, pendingSinceMs } = state as { readonly raised?: unknown; readonly pendingSinceMs?: unknown };
  return raised === true && typeof pendingSinceMs === 'number';
};

const inOrder = (a: RuleTransition, b: RuleTransition): number =>
  a.transition.atMs - b.transition.atMs || compare(a.rule.id, b.rule.id) || compare(a.subject, b.subject);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
