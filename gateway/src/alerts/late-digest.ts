/**
 * Late data does not ring. Samples that come long after they were measured are judged by rules of their own state, and what
 * they tell is said once, when the backlog is in: "While the link was down: …".
 */
import {
  createRuleEngine,
  qualityClass,
  type AlertSubject,
  type DeviceSeries,
  type Rule,
  type RuleEngine,
  type RuleTransition,
  type Sample,
  type Severity,
  type Site,
  compareSeverity,
  metricDefinition,
  shortNumber,
} from '@villagrid/contracts';
import { momentFormat } from '../clock/corrected-alert.js';

/** Rule id and type of the digest. */
export const lateDigestRuleId = 'late_data';
/** Conditions told one by one; of further ones only how many there are. */
const mostTold = 5;

export interface LateDigestOptions {
  readonly rules: readonly Rule[];
  readonly site: Site;
  /** Samples that come this long after they were measured are late, milliseconds. */
  readonly oldestRingingMs: number;
  /** How long nothing late has to come until the digest is made, milliseconds. */
  readonly quietMs: number;
  /** And at the latest so long after the first: some devices are late for ever. Milliseconds. */
  readonly longestMs: number;
}

interface Found {
  readonly rule: Rule;
  readonly deviceId: string | null;
  readonly metric: string | null;
  count: number;
  value: number | null;
  firstMs: number;
  isOpen: boolean;
}

/** What was found of a backlog that is not in yet, as it is kept. */
interface Kept {
  readonly span: Span;
  readonly found: ReadonlyArray<Omit<Found, 'rule'> & { readonly ruleId: string; readonly subject: string }>;
}

interface Span {
  fromMs: number;
  toMs: number;
  firstArrivalMs: number;
  lastArrivalMs: number;
}

/**
 * What late samples tell of the time they are from. Its memory is that of one backlog; what it found so far is kept with
 * each commit, since the devices do not send again what was committed.
 */
export class LateDigest {
  readonly #options: LateDigestOptions;
  #rules: readonly Rule[];
  #isChanged = false;
  /** Figures of one series each: of others the parts come at different times. */
  readonly #figures = new Map<string, { readonly metric: string; readonly factor: number }>();
  #engine: RuleEngine | undefined;
  #found = new Map<string, Found>();
  #span: Span | undefined;

  /** `kept` is what `state` gave last; another program's, or one that was damaged, counts for nothing. */
  constructor(options: LateDigestOptions, kept?: string) {
    this.#options = options;
    this.#rules = options.rules;
    if (kept !== undefined) this.#restore(kept);
    for (const [metric, { terms }] of Object.entries(options.site.wiring)) {
      const [term] = terms;
      if (term !== undefined && terms.length === 1)
        this.#figures.set(`${term.device_id} ${term.metric}`, { metric, factor: term.factor });
    }
  }

  /** Other rules judge what comes from now on; what was found stays. */
  setRules(rules: readonly Rule[]): void {
    this.#rules = rules;
    this.#engine = undefined;
  }

  /** Takes the late ones of samples that arrived. */
  samples(samples: readonly Sample[], arrivalMs: number): void {
    const oldestMs = arrivalMs - this.#options.oldestRingingMs;
    for (const { deviceId, metric, timeMs, value, quality } of samples)
      if (timeMs < oldestMs && value !== null && qualityClass(quality) !== 'bad')
        this.#judge(deviceId, metric, timeMs, value, arrivalMs);
  }

  /** The same for whole readings of a device. */
  readings({ deviceId, metrics, factors }: DeviceSeries) {
    return (timeMs: number, values: Float64Array, arrivalMs: number): void => {
      if (timeMs >= arrivalMs - this.#options.oldestRingingMs) return;
      for (const [at, metric] of metrics.entries())
        this.#judge(deviceId, metric, timeMs, (values[at] as number) / (factors[at] as number), arrivalMs);
    };
  }

  /** The digest of a backlog that is in, when it tells anything. */
  tick(nowMs: number): AlertSubject | undefined {
    const span = this.#span;
    if (span === undefined) return undefined;
    const isIn = nowMs - span.lastArrivalMs >= this.#options.quietMs;
    if (!isIn && nowMs - span.firstArrivalMs < this.#options.longestMs) return undefined;
    const found = [...this.#found.values()];
    // While more comes, what goes on is not found anew.
    if (isIn) this.#engine = undefined;
    this.#isChanged = true;
    this.#found = new Map();
    this.#span = undefined;
    return found.length === 0 ? undefined : this.#subject(found, span);
  }

  /** What was found so far, as text; undefined while that is as it was when this was asked last. */
  state(): string | undefined {
    if (!this.#isChanged) return undefined;
    this.#isChanged = false;
    if (this.#span === undefined) return '';
    const found = [...this.#found].map(([key, { rule, ...one }]) => ({
      ...one,
      ruleId: rule.id,
      subject: key.slice(rule.id.length + 1),
    }));
    return JSON.stringify({ span: this.#span, found } satisfies Kept);
  }

  #restore(kept: string): void {
    if (kept === '') return;
    try {
      const { span, found } = JSON.parse(kept) as Kept;
      const times = [span.fromMs, span.toMs, span.firstArrivalMs, span.lastArrivalMs];
      if (!times.every((one) => Number.isFinite(one))) return;
      for (const { ruleId, subject, ...one } of found) {
        const rule = this.#rules.find(({ id }) => id === ruleId);
        if (rule !== undefined) this.#found.set(`${ruleId}|${subject}`, { ...one, rule });
      }
      this.#span = { ...span };
    } catch {
      this.#found = new Map();
    }
  }

  /** The clock was moved by so many milliseconds. */
  clockMoved(byMs: number): void {
    if (this.#span === undefined) return;
    this.#isChanged = true;
    this.#span.firstArrivalMs += byMs;
    this.#span.lastArrivalMs += byMs;
  }

  #judge(deviceId: string, metric: string, timeMs: number, value: number, arrivalMs: number): void {
    const { site } = this.#options;
    this.#engine ??= createRuleEngine({
      rules: this.#rules,
      devices: [],
      inventory: site.devices,
      zone: site.zone,
      context: { figure: () => undefined },
    });
    const span = (this.#span ??= {
      fromMs: timeMs,
      toMs: timeMs,
      firstArrivalMs: arrivalMs,
      lastArrivalMs: arrivalMs,
    });
    span.fromMs = Math.min(span.fromMs, timeMs);
    span.toMs = Math.max(span.toMs, timeMs);
    span.lastArrivalMs = arrivalMs;
    this.#isChanged = true;
    this.#note(this.#engine.onSeriesSample({ deviceId, metric, timeMs, value }));
    const figure = this.#figures.get(`${deviceId} ${metric}`);
    if (figure !== undefined) this.#note(this.#engine.onFigure(figure.metric, timeMs, value * figure.factor));
  }

  #note(transitions: readonly RuleTransition[]): void {
    for (const { rule, deviceId, metric, subject, transition } of transitions) {
      const key = `${rule.id}|${subject}`;
      const known = this.#found.get(key);
      if (transition.type === 'clear') {
        if (known !== undefined) known.isOpen = false;
      } else if (known === undefined) {
        const { atMs, value } = transition;
        this.#found.set(key, { rule, deviceId, metric, count: 1, value, firstMs: atMs, isOpen: true });
      } else if (!known.isOpen) {
        // Rules that begin anew with a restart tell once more of what goes on.
        known.count += 1;
        known.isOpen = true;
      }
    }
  }

  #subject(found: readonly Found[], span: { readonly fromMs: number; readonly toMs: number }): AlertSubject {
    const { site } = this.#options;
    const moment = momentFormat(site.zone);
    const sorted = [...found].sort(
      (a, b) => compareSeverity(a.rule.severity, b.rule.severity) || a.firstMs - b.firstMs,
    );
    const parts = sorted.slice(0, mostTold).map((one) => {
      const device = site.devices.find(({ device_id }) => device_id === one.deviceId)?.name;
      const unit = one.metric === null ? undefined : metricDefinition(one.metric)?.unit;
      const value = one.value === null ? undefined : [shortNumber(one.value), unit].filter(Boolean).join(' ');
      return [
        device === undefined ? one.rule.message : `${one.rule.message} (${device})`,
        `from ${moment.format(one.firstMs)}`,
        value,
        one.count > 1 ? `${one.count} times` : undefined,
        one.isOpen ? 'until the end of it' : undefined,
      ]
        .filter((part) => part !== undefined)
        .join(', ');
    });
    const more = sorted.length - mostTold;
    if (more > 0) parts.push(`and ${more} more`);
    const worst: Severity = sorted[0]?.rule.severity ?? 'low';
    return {
      rule_id: lateDigestRuleId,
      type: lateDigestRuleId,
      // It is over: nothing that has to be done at once.
      severity: compareSeverity(worst, 'medium') < 0 ? 'medium' : 'low',
      message: 'alerts from while the link was down',
      what: `While the link was down (${moment.format(span.fromMs)} to ${moment.format(span.toMs)}): ${parts.join('; ')}.`,
      why: 'These readings came late. What they tell is over or has an alert of its own by now.',
      steps: ['Look at the history of that time.', 'If something of it was not known to you, look at the equipment.'],
      device_id: null,
      device_name: null,
      metric: null,
      value: found.length,
      limit: null,
      unit: null,
    };
  }
}
