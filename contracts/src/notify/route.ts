/**
 * Who is told what, when and by which way. Fed with alerts as they change, with what became of messages, and with time;
 * says what is to be sent now. Its whole memory is plain data, so that nobody is told twice after a restart. Pure.
 */
import { shelvedAt, type Alert } from '../alerts/reduce.js';
import { compareSeverity, type Severity } from '../alerts/events.js';
import { isRecord } from '../json/record.js';
import type { WordedAlert } from '../rules/texts/worded.js';
import { isWithinHours, waysFor, type NotifyPlan, type NotifyWay, type Recipient } from './plan.js';

/** Why an alert is told: it began, got worse, is still not acknowledged, went to the next on call, ended, or just happened. */
export type NotifyReason = 'raised' | 'worse' | 'again' | 'escalated' | 'cleared' | 'happened';

/** What is kept of an alert while somebody is to be told of it. */
export interface NotifyFacts {
  readonly alert_id: string;
  /** What it is about: a further occurrence of the same has the same. */
  readonly key: string;
  readonly severity: Severity;
  readonly message: string;
  readonly what: string;
  readonly why: string;
  readonly steps: readonly string[];
  /** What its texts in other languages are made from. */
  readonly subject: WordedAlert;
  readonly raised_at_ms: number;
  readonly cleared_at_ms: number | null;
  readonly active: boolean;
  /** How often it was acknowledged. */
  readonly acknowledgements: number;
  readonly shelved_until_ms: number | null;
  /** Something else explains it, its cause's alert or planned work: it wakes nobody meanwhile. */
  readonly suppressed: boolean;
}

/** An alert within a message. */
export interface NotifyItem {
  readonly alert_id: string;
  readonly why: NotifyReason;
}

/** A message to be handed to a channel. The same id comes again after a restart when nobody told what became of it. */
export interface NotifyMessage {
  readonly id: number;
  readonly recipient: string;
  readonly way: NotifyWay;
  readonly severity: Severity;
  readonly items: readonly NotifyItem[];
}

/** What is to be done now. */
export interface NotifyOrders {
  readonly send: readonly NotifyMessage[];
  /** Devices that are to be silent: nothing is left that they sound for. */
  readonly hush: readonly string[];
}

interface Pending {
  readonly why: NotifyReason;
  readonly sinceMs: number;
}

interface Tracked {
  facts: NotifyFacts;
  /** Recipient to what they are to be told. */
  pending: Record<string, Pending>;
  /** Recipient to when they were told that it is there. */
  told: Record<string, number>;
  /** Places of the order of call that were called in this round. */
  called: number[];
  escalateAtMs: number | null;
  round: number;
  /** Acknowledgements that no longer count, because it got worse since. */
  outdated: number;
  /** Whether it got worse since the order of call began. */
  worse: boolean;
  /** It came too late to ring, or was kept back and is not to be told when that ends. */
  quiet: boolean;
  /** Whether its end was dealt with. */
  ended: boolean;
}

interface UnderWay {
  id: number;
  recipient: string;
  /** Index into the ways for its severity. */
  way: number;
  severity: Severity;
  items: NotifyItem[];
  sinceMs: number;
}

interface OfRecipient {
  lastMs: number | null;
  /** When the last message reached nobody, and until when such a one waits. */
  failedMs: number | null;
  notBeforeMs: number | null;
  failures: number;
}

interface State {
  alerts: Record<string, Tracked>;
  underWay: UnderWay[];
  recipients: Record<string, OfRecipient>;
  nextId: number;
}

const tracking = (facts: NotifyFacts, ended: boolean): Tracked => ({
  facts,
  pending: {},
  told: {},
  called: [],
  escalateAtMs: null,
  round: 0,
  outdated: 0,
  worse: false,
  quiet: false,
  ended,
});
const has = (of: Readonly<Record<string, unknown>>, id: string): boolean => Object.hasOwn(of, id);
const isBeginning = (why: NotifyReason): boolean => why !== 'cleared' && why !== 'happened';

/** Waits after a message reached nobody, ms; the last one goes on. */
const retryAfterMs = [60_000, 120_000, 300_000, 900_000, 1_800_000];
/** What of an end is told at night, because its beginning woke somebody: up to so long after, ms. */
const wokenForMs = 12 * 3_600_000;
/** An end that could not be told for longer is no news any more, ms. */
const endIsNewsMs = 24 * 3_600_000;
const theWorst: Severity = 'critical';

/** What routing needs of an alert; a pause that begins ahead of our clock is none. */
export function notifyFacts(alert: Alert, nowMs: number): NotifyFacts {
  return {
    alert_id: alert.alert_id,
    key: [alert.rule_id, alert.device_id ?? '', alert.metric ?? ''].join('|'),
    severity: alert.severity,
    message: alert.message,
    what: alert.what,
    why: alert.why,
    steps: alert.steps,
    subject: {
      rule_id: alert.rule_id,
      device_id: alert.device_id,
      device_name: alert.device_name,
      metric: alert.metric,
      value: alert.value,
      limit: alert.limit,
      unit: alert.unit,
    },
    raised_at_ms: alert.raised_at_ms,
    cleared_at_ms: alert.cleared_at_ms,
    active: alert.status === 'active',
    acknowledgements: alert.timeline.filter((one) => one.kind === 'acknowledged').length,
    shelved_until_ms: shelvedAt(alert, nowMs)?.until_ms ?? null,
    suppressed: alert.suppressed_by !== null,
  };
}

/** Routing of one grid's alerts. Times are Unix milliseconds of the village's clock. */
export interface NotifyRouter {
  /**
   * An alert as it is now; the same again changes nothing. `isNew`: it was only just raised, so that one which is over
   * already is told as something that happened. `quiet`: nobody is to hear of it unless it gets worse.
   */
  alert(facts: NotifyFacts, nowMs: number, change: { readonly isNew: boolean; readonly quiet?: boolean }): void;
  /** All alerts that are active after a start: those known and not among them ended meanwhile. */
  started(active: readonly NotifyFacts[], nowMs: number): void;
  /** The clock was moved by so much: what waits keeps its length. */
  clockMoved(byMs: number): void;
  /** What is to be sent now. While the time is not known, hours keep nothing back. */
  step(nowMs: number, timeKnown: boolean): NotifyOrders;
  /** What became of a message: arrived at the far side, or not. */
  result(id: number, arrived: boolean, nowMs: number): void;
  /** What a message speaks of. */
  facts(alertId: string): NotifyFacts | undefined;
  /** How many recipients wait to be told something. */
  waiting(): number;
  exportState(): string;
}

/** Makes the routing; `saved` is what `exportState` gave before, anything else begins anew. */
export function createNotifyRouter(plan: NotifyPlan, saved?: string): NotifyRouter {
  const state = readState(saved);
  const byId = new Map(plan.recipients.map((one) => [one.id, one]));
  const people = plan.recipients.filter((one) => one.kind === 'person');
  const ordered = people.some((one) => one.onCall !== null);
  /** Place in the order of call; without any order everybody has the first. */
  const placeOf = (one: Recipient): number | null => (ordered ? one.onCall : one.kind === 'person' ? 1 : null);
  const places = [...new Set(people.map(placeOf).filter((one) => one !== null))].sort((a, b) => a - b);
  forget();

  /** People who are no more in the plan. */
  function forget(): void {
    for (const tracked of Object.values(state.alerts))
      for (const known of [tracked.pending, tracked.told])
        for (const id of Object.keys(known)) if (!byId.has(id)) delete known[id];
    state.underWay = state.underWay.filter((one) => wayOf(one) !== undefined);
  }

  function wayOf({ recipient, severity, way }: UnderWay): NotifyWay | undefined {
    const known = byId.get(recipient);
    return known && waysFor(known, severity)[way];
  }
  const of = (id: string): OfRecipient =>
    (state.recipients[id] ??= { lastMs: null, failedMs: null, notBeforeMs: null, failures: 0 });
  const isSeen = ({ facts, outdated }: Tracked) => facts.acknowledgements > outdated;
  const isShelved = ({ facts }: Tracked, nowMs: number) =>
    facts.shelved_until_ms !== null && facts.shelved_until_ms > nowMs;
  const admits = (one: Recipient, severity: Severity) => waysFor(one, severity).length > 0;
  const isUnderWay = (recipient: string, alertId: string) =>
    state.underWay.some((one) => one.recipient === recipient && one.items.some((item) => item.alert_id === alertId));

  function want(tracked: Tracked, recipient: Recipient, why: NotifyReason, nowMs: number): void {
    if (!admits(recipient, tracked.facts.severity)) return;
    const known = tracked.pending[recipient.id];
    tracked.pending[recipient.id] = { why: known?.why === 'raised' ? 'raised' : why, sinceMs: known?.sinceMs ?? nowMs };
  }

  function callAnew(tracked: Tracked): void {
    tracked.called = [];
    tracked.escalateAtMs = null;
    tracked.round = 0;
  }

  function track(facts: NotifyFacts, nowMs: number): void {
    const tracked = tracking(facts, false);
    // What ended and began again before its end was told has not ended, for those who were told of it.
    const before = Object.values(state.alerts).find(
      (one) =>
        one.ended && one.facts.key === facts.key && Object.values(one.pending).some(({ why }) => why === 'cleared'),
    );
    state.alerts[facts.alert_id] = tracked;
    if (before) {
      for (const [id, { why }] of Object.entries(before.pending))
        if (why === 'cleared' && before.told[id] !== undefined) {
          tracked.told[id] = before.told[id];
          delete before.pending[id];
        }
      if (compareSeverity(facts.severity, before.facts.severity) < 0) worsened(tracked, nowMs);
      else Object.assign(tracked, { called: before.called, escalateAtMs: before.escalateAtMs, round: before.round });
    }
  }

  function worsened(tracked: Tracked, nowMs: number): void {
    // Whoever saw it saw something smaller.
    tracked.outdated = Math.max(tracked.outdated, tracked.facts.acknowledgements);
    tracked.worse = true;
    tracked.quiet = false;
    for (const one of plan.recipients)
      if (placeOf(one) === null && has(tracked.told, one.id)) want(tracked, one, 'worse', nowMs);
    callAnew(tracked);
  }

  function alert(
    facts: NotifyFacts,
    nowMs: number,
    { isNew, quiet = false }: { readonly isNew: boolean; readonly quiet?: boolean },
  ): void {
    const tracked = state.alerts[facts.alert_id];
    if (!tracked) {
      if (facts.active) track(facts, nowMs);
      else if (isNew && !quiet) happened(facts, nowMs);
      const begun = state.alerts[facts.alert_id];
      if (begun && quiet) begun.quiet = true;
      return;
    }
    // Who was told already goes on to be told.
    if (quiet && Object.keys(tracked.told).length === 0) tracked.quiet = true;
    const was = tracked.facts.severity;
    tracked.facts = facts;
    if (facts.active && compareSeverity(facts.severity, was) < 0) worsened(tracked, nowMs);
    if (!facts.active && !tracked.ended) end(tracked, nowMs);
  }

  function happened(facts: NotifyFacts, nowMs: number): void {
    const tracked = tracking(facts, true);
    for (const one of people) want(tracked, one, 'happened', nowMs);
    if (Object.keys(tracked.pending).length > 0) state.alerts[facts.alert_id] = tracked;
  }

  function end(tracked: Tracked, nowMs: number): void {
    tracked.ended = true;
    tracked.pending = {};
    for (const one of people)
      if (has(tracked.told, one.id)) tracked.pending[one.id] = { why: 'cleared', sinceMs: nowMs };
  }

  /** Calls the next of the order: of those who may be called now, the first. */
  function call(tracked: Tracked, nowMs: number, timeKnown: boolean): void {
    const { severity } = tracked.facts;
    const uncalled = places.filter((place) => !tracked.called.includes(place));
    const at = (place: number) => people.filter((one) => placeOf(one) === place && admits(one, severity));
    const awake = (place: number) => at(place).some((one) => isAwake(one, nowMs, timeKnown));
    const next =
      uncalled.find(awake) ?? (severity === theWorst ? uncalled.find((place) => at(place).length > 0) : undefined);
    if (next === undefined) {
      const none = uncalled.every((place) => at(place).length === 0);
      if (!none) return;
      tracked.escalateAtMs = null;
      if (tracked.called.length === 0 || tracked.round >= plan.repeats) return;
      if (plan.escalateAfterMs[severity] === null) return;
      tracked.round += 1;
      tracked.called = [];
      tracked.escalateAtMs = nowMs + plan.repeatAfterMs;
      return;
    }
    for (const one of at(next)) {
      const told = has(tracked.told, one.id);
      const first = told ? (tracked.worse && tracked.round === 0 ? 'worse' : 'again') : 'raised';
      want(tracked, one, tracked.round === 0 && tracked.called.length > 0 ? 'escalated' : first, nowMs);
    }
    tracked.called.push(next);
    tracked.escalateAtMs = null;
  }

  function isAwake(one: Recipient, nowMs: number, timeKnown: boolean): boolean {
    return one.hours === null || !timeKnown || isWithinHours(one.hours, nowMs, plan.zone);
  }

  /** Brings an alert's wishes to what holds now. */
  function settle(tracked: Tracked, nowMs: number, timeKnown: boolean): void {
    if (tracked.ended) {
      for (const [id, { sinceMs }] of Object.entries(tracked.pending))
        if (nowMs - sinceMs > endIsNewsMs) delete tracked.pending[id];
      return;
    }
    if (isSeen(tracked) || isShelved(tracked, nowMs)) {
      tracked.pending = {};
      // When the shelving ends, those who were told hear that it is still there.
      callAnew(tracked);
      return;
    }
    if (tracked.facts.suppressed || tracked.quiet) return;
    const uncalled = tracked.called.length === 0 && tracked.escalateAtMs === null && tracked.round === 0;
    if (uncalled || (tracked.escalateAtMs !== null && nowMs >= tracked.escalateAtMs)) call(tracked, nowMs, timeKnown);
    for (const one of plan.recipients) {
      if (placeOf(one) !== null || has(tracked.pending, one.id) || isUnderWay(one.id, tracked.facts.alert_id)) continue;
      const toldMs = has(tracked.told, one.id) ? tracked.told[one.id] : undefined;
      if (toldMs === undefined) want(tracked, one, 'raised', nowMs);
      else if (one.kind === 'device' && nowMs - toldMs >= plan.leastGapMs) want(tracked, one, 'again', nowMs);
    }
  }

  function mayRing(tracked: Tracked, one: Recipient, { why }: Pending, nowMs: number, timeKnown: boolean): boolean {
    if (isBeginning(why) && tracked.facts.suppressed) return false;
    if (isAwake(one, nowMs, timeKnown)) return true;
    if (why === 'happened' || tracked.facts.severity !== theWorst) return false;
    return why !== 'cleared' || nowMs - (tracked.told[one.id] ?? 0) < wokenForMs;
  }

  /** The message that a recipient is due, when there is one. */
  function dueFor(one: Recipient, nowMs: number, timeKnown: boolean): UnderWay | undefined {
    if (state.underWay.some((known) => known.recipient === one.id)) return undefined;
    const ready = Object.values(state.alerts).flatMap((tracked) => {
      const pending = tracked.pending[one.id];
      return pending && mayRing(tracked, one, pending, nowMs, timeKnown) ? [{ tracked, ...pending }] : [];
    });
    if (ready.length === 0) return undefined;
    const beginnings = ready.filter(({ why }) => isBeginning(why));
    const urgent = beginnings.some(({ tracked }) => tracked.facts.severity === theWorst);
    const gatherMs = urgent ? plan.criticalGatherMs : beginnings.length > 0 ? plan.gatherMs : plan.settleMs;
    const gapMs = urgent ? plan.criticalGapMs : plan.leastGapMs;
    const counted = urgent
      ? beginnings.filter(({ tracked }) => tracked.facts.severity === theWorst)
      : beginnings.length > 0
        ? beginnings
        : ready;
    const sinceMs = Math.min(...counted.map((item) => item.sinceMs));
    const known = of(one.id);
    // What is critical and new does not wait for what could not be told before it.
    const isHeld = !urgent || counted.every((item) => item.sinceMs <= (known.failedMs ?? -Infinity));
    const dueMs = Math.max(
      sinceMs + gatherMs,
      (known.lastMs ?? -Infinity) + gapMs,
      (isHeld ? known.notBeforeMs : null) ?? -Infinity,
    );
    if (nowMs < dueMs) return undefined;
    // An end that is not held back long enough yet waits for the next message.
    const told = ready.filter(({ why, sinceMs: since }) => why !== 'cleared' || nowMs - since >= plan.settleMs);
    if (told.length === 0) return undefined;
    const severity = told.map(({ tracked }) => tracked.facts.severity).sort(compareSeverity)[0] as Severity;
    const items = told.map(({ tracked, why }) => ({ alert_id: tracked.facts.alert_id, why }));
    return { id: state.nextId++, recipient: one.id, way: 0, severity, items, sinceMs };
  }

  /** A box without a clock may begin before what it remembers: that must not keep it silent until then. */
  function notAhead(nowMs: number): void {
    const longestMs = Math.max(plan.repeatAfterMs, ...Object.values(plan.escalateAfterMs).map((ms) => ms ?? 0));
    for (const tracked of Object.values(state.alerts)) {
      for (const [id, pending] of Object.entries(tracked.pending))
        tracked.pending[id] = { ...pending, sinceMs: Math.min(pending.sinceMs, nowMs) };
      for (const [id, atMs] of Object.entries(tracked.told)) tracked.told[id] = Math.min(atMs, nowMs);
      if (tracked.escalateAtMs !== null) tracked.escalateAtMs = Math.min(tracked.escalateAtMs, nowMs + longestMs);
    }
    for (const one of Object.values(state.recipients)) {
      if (one.lastMs !== null) one.lastMs = Math.min(one.lastMs, nowMs);
      if (one.failedMs !== null) one.failedMs = Math.min(one.failedMs, nowMs);
      if (one.notBeforeMs !== null)
        one.notBeforeMs = Math.min(one.notBeforeMs, nowMs + (retryAfterMs.at(-1) as number));
    }
    for (const one of state.underWay) one.sinceMs = Math.min(one.sinceMs, nowMs);
  }

  function step(nowMs: number, timeKnown: boolean): NotifyOrders {
    for (const tracked of Object.values(state.alerts)) settle(tracked, nowMs, timeKnown);
    for (const one of plan.recipients) {
      const message = dueFor(one, nowMs, timeKnown);
      if (!message) continue;
      for (const { alert_id } of message.items) delete state.alerts[alert_id]?.pending[one.id];
      state.underWay.push(message);
    }
    for (const [id, tracked] of Object.entries(state.alerts))
      if (tracked.ended && Object.keys(tracked.pending).length === 0 && !isUnderWayAt(id)) delete state.alerts[id];
    const send = state.underWay.flatMap((one) => {
      const way = wayOf(one);
      return way ? [{ id: one.id, recipient: one.recipient, way, severity: one.severity, items: one.items }] : [];
    });
    const sounding = (id: string) =>
      Object.values(state.alerts).some(
        (one) => has(one.told, id) && !one.ended && !isSeen(one) && !isShelved(one, nowMs) && !one.facts.suppressed,
      );
    const hush = plan.recipients.flatMap((one) => (one.kind === 'device' && !sounding(one.id) ? [one.id] : []));
    return { send, hush };
  }

  const isUnderWayAt = (alertId: string) => plan.recipients.some((one) => isUnderWay(one.id, alertId));

  function result(id: number, arrived: boolean, nowMs: number): void {
    const message = state.underWay.find((one) => one.id === id);
    if (!message) return;
    const recipient = byId.get(message.recipient);
    const known = of(message.recipient);
    if (!arrived && recipient && message.way + 1 < waysFor(recipient, message.severity).length) {
      message.way += 1;
      return;
    }
    state.underWay = state.underWay.filter((one) => one !== message);
    if (arrived) {
      known.lastMs = nowMs;
      known.notBeforeMs = null;
      known.failures = 0;
    } else {
      known.failedMs = nowMs;
      known.notBeforeMs = nowMs + (retryAfterMs[Math.min(known.failures, retryAfterMs.length - 1)] as number);
      known.failures += 1;
    }
    for (const { alert_id, why } of message.items) {
      const tracked = state.alerts[alert_id];
      if (!tracked) continue;
      const beginning = isBeginning(why);
      if (arrived && beginning) {
        tracked.told[message.recipient] = nowMs;
        // It ended while the word of its beginning was on its way.
        if (tracked.ended && recipient?.kind === 'person')
          tracked.pending[message.recipient] ??= { why: 'cleared', sinceMs: nowMs };
      }
      if (!arrived && !(beginning && tracked.ended) && !has(tracked.pending, message.recipient))
        tracked.pending[message.recipient] = { why, sinceMs: message.sinceMs };
      if (beginning && recipient && placeOf(recipient) !== null && !tracked.ended) {
        const afterMs = plan.escalateAfterMs[tracked.facts.severity];
        // Somebody who cannot be reached is not waited for.
        if (!arrived) tracked.escalateAtMs ??= afterMs === null ? null : nowMs;
        else if (afterMs !== null) tracked.escalateAtMs = nowMs + afterMs;
      }
    }
  }

  return {
    alert,
    started(active, nowMs) {
      notAhead(nowMs);
      const open = new Set(active.map((one) => one.alert_id));
      for (const facts of active) alert(facts, nowMs, { isNew: false });
      for (const [id, tracked] of Object.entries(state.alerts))
        if (!open.has(id) && !tracked.ended) {
          tracked.facts = { ...tracked.facts, active: false };
          end(tracked, nowMs);
        }
    },
    clockMoved(byMs) {
      const move = (value: number | null) => (value === null ? null : value + byMs);
      for (const tracked of Object.values(state.alerts)) {
        for (const [id, pending] of Object.entries(tracked.pending))
          tracked.pending[id] = { ...pending, sinceMs: pending.sinceMs + byMs };
        for (const id of Object.keys(tracked.told)) tracked.told[id] = (tracked.told[id] as number) + byMs;
        tracked.escalateAtMs = move(tracked.escalateAtMs);
        // A pause that was dated by a clock ahead of time must not last until then; it may end early.
        if (byMs < 0) tracked.facts = { ...tracked.facts, shelved_until_ms: move(tracked.facts.shelved_until_ms) };
      }
      for (const one of Object.values(state.recipients)) {
        one.lastMs = move(one.lastMs);
        one.failedMs = move(one.failedMs);
        one.notBeforeMs = move(one.notBeforeMs);
      }
      for (const one of state.underWay) one.sinceMs += byMs;
    },
    step,
    result,
    facts: (alertId) => state.alerts[alertId]?.facts,
    waiting: () => new Set(Object.values(state.alerts).flatMap(({ pending }) => Object.keys(pending))).size,
    exportState: () => JSON.stringify(state),
  };
}

function readState(saved: string | undefined): State {
  const fresh: State = { alerts: {}, underWay: [], recipients: {}, nextId: 1 };
  if (saved === undefined) return fresh;
  try {
    const state: unknown = JSON.parse(saved);
    if (!isRecord(state) || !isRecord(state.alerts) || !isRecord(state.recipients)) return fresh;
    if (!Array.isArray(state.underWay) || typeof state.nextId !== 'number') return fresh;
    return state as unknown as State;
  } catch {
    return fresh;
  }
}
