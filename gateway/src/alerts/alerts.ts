/**
 * Alerts of the gateway's grid: rules over what arrives, events committed at once together with their cause, people's
 * acts by id if absent. Told to screens and on the broker when durable. Open alerts survive a restart; none is raised twice.
 */
import {
  VillagridError,
  alertFloodRuleId,
  alertSubject,
  defaultLimits,
  gatewayOnlyEvents,
  isAlertEvent,
  isGridRecord,
  lineDownRuleId,
  newId,
  oldestRingingMs,
  reduceMaintenance,
  stateKey,
  whyUnwatched,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Clock,
  type DeviceSeries,
  type Frame,
  type RandomSource,
  type Rule,
  type RuleContext,
  type RuleLimits,
  type RuleTransition,
  type Sample,
  type Site,
} from '@villagrid/contracts';
import type { AlertStore, LifecyclePart, Logger } from '@villagrid/runtime';
import type { Lines } from '../live/lines.js';
import type { ChangedFigure, Live } from '../live/live.js';
import type { DurableLog } from '../log/log.js';
import { OverlaidAlerts, type AlertReads } from '../log/overlaid-alerts.js';
import { Grouping } from './grouping.js';
import { LateDigest } from './late-digest.js';
import { LegacyAlerts, legacyRuleId } from './legacy.js';
import { comeBackMs, createEvaluation } from './evaluation.js';

const tickEveryMs = 5000;
const retryMs = 1000;
/** Name of how alerts are grouped, as it is kept in the log. */
const groupsState = 'alert_groups';
const lateState = 'late_data';
/** How long nothing late has to come until what it told is said, real milliseconds. */
const lateQuietMs = 60_000;
/** How long it waits for that at most, real milliseconds. */
const lateLongestMs = 6 * 3_600_000;

export interface AlertsOptions {
  readonly site: Site;
  readonly limits: Partial<RuleLimits>;
  /** The rules in force: defaults with these limits, and the site's own. */
  readonly rules: readonly Rule[];
  readonly log: DurableLog;
  /** A frame of the log with its times put right as far as that is known. */
  readonly corrected: (frame: Frame) => Frame;
  readonly store: AlertStore;
  readonly live: Live;
  /** Lines that are down: the silence of their devices has one alert, the line's. */
  readonly lines: Lines;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** How much faster than real time the village runs; 1 when left out. */
  readonly speed?: number | undefined;
  /** What is usual at a time of day, for rules of that kind; left out, they conclude nothing. */
  readonly usual?: RuleContext['usual'] | undefined;
  /** Whether that changes with the present commit, or has since this was asked last. */
  readonly usualChanges?: (() => boolean) | undefined;
  /** What a rule's alert says where its texts are not the rule's own. */
  readonly ownWords?: ((ruleId: string) => Partial<AlertSubject> | undefined) | undefined;
  /** What a device says of its own fault. */
  readonly saidBy?: ((deviceId: string) => string | undefined) | undefined;
  /** The rules cannot be evaluated; gives whether others have taken their place. Left out, the error is passed on. */
  readonly broken?: ((error: unknown) => boolean) | undefined;
  /** Called for each event once it is durable; for one of the gateway's own also when the card did not take it. */
  readonly tell: (event: AlertEvent, alert: Alert | undefined) => void;
}

/** The alerts of one grid. `start` begins the ticks; the state is restored when made. */
export interface Alerts extends LifecyclePart {
  /** Samples that arrived, and the figures they changed. */
  onSamples(samples: readonly Sample[], figures: readonly ChangedFigure[]): void;
  /**
   * The same for whole readings of a device of usable quality: gives the function that takes them, values scaled as in
   * `DeviceSeries`.
   */
  onReadings(
    series: DeviceSeries,
  ): (timeMs: number, values: Float64Array, figures: readonly ChangedFigure[], arrivalMs: number) => void;
  /** A figure of the gateway itself. */
  onInternalFigure(metric: string, value: number): void;
  /** The clock that dates samples was moved by so many milliseconds. */
  clockMoved(byMs: number): void;
  /** Times of what people said were put right in the store. */
  retimed(): void;
  /** Something that happened and is over: an alert that is resolved from the start. */
  happened(subject: AlertSubject): void;
  /** A text on the prototype's alert topic; resolves when it may be acknowledged. */
  legacyText(payload: Uint8Array): Promise<void>;
  /** A person's event, from the API or from the cloud: stored if absent, durable when resolved. */
  append(event: AlertEvent): Promise<void>;
  readonly origin: AlertEvent['origin'];
  /** The alerts as people see them: also those that the card would not take yet. */
  readonly shown: AlertReads;
  readonly limits: RuleLimits;
  readonly rules: readonly Rule[];
  /**
   * Other rules from now on: what none of them watches any more is resolved. Throws E_CONFIG_INVALID for a rule that
   * cannot work, and changes nothing then.
   */
  setRules(rules: readonly Rule[], limits: Partial<RuleLimits>): void;
  openCount(): number;
}

/** Makes the alerts and restores their state. */
export function createAlerts(options: AlertsOptions): Alerts {
  const { site, log, store, clock, realClock, random, logger } = options;
  const gridId = site.grid_id;
  const origin = { kind: 'gateway', id: site.gateway_id } as const;
  const limitsOf = (given: Partial<RuleLimits>): RuleLimits => ({ ...defaultLimits(site.plant), ...given });
  let limits = limitsOf(options.limits);
  let { rules } = options;
  const isLegacy = (one: Alert) => one.rule_id === legacyRuleId;
  const activeAtStart = store.list(gridId, { status: 'active' });
  const active = activeAtStart.filter((one) => !isLegacy(one) && one.rule_id !== alertFloodRuleId);
  const keyOf = (one: Alert) => stateKey(one.rule_id, one.device_id, one.metric);
  /** Alert id of each raised rule and subject. */
  const open = new Map(active.map((one) => [keyOf(one), one.alert_id]));
  const orphans = new Map<Alert, string>();
  for (const one of active) {
    const reason = whyUnwatched(one, rules, site);
    if (reason !== undefined) orphans.set(one, reason);
  }
  // What still is as it was rings anew, if anything watches it.
  const raised = new Set(active.filter((one) => !orphans.has(one)).map(keyOf));
  const evaluation = createEvaluation({ ...options, raised });

  // The gateway's own events that the card would not take: shown all the same, because a gateway that cannot write must
  // still say so, and a battery that runs empty meanwhile too. They are committed as soon as that works.
  const notDurable = new OverlaidAlerts(store);
  log.onCommit(({ frame }) => {
    if (frame.events.some(isGridRecord)) planned = reduceMaintenance(notDurable.records(gridId));
    for (const event of frame.events) if (!notDurable.remove(event)) options.tell(event, store.get(event.alert_id));
  });
  let planned = reduceMaintenance(store.records(gridId));

  /** Makes the gateway's own events durable, however long that takes. */
  const commit = (events: readonly AlertEvent[]): Promise<void> =>
    log.append({ events }, { urgent: true }).then(
      () => {},
      async (error: unknown) => {
        if (stopped) throw error;
        // Told all the same: a card that fails must not silence the village's alarms, least of all the one about itself.
        // Of each it is known what else was said with it: what is over or kept back already is not told as it began.
        const fresh = events.filter((event) => notDurable.add(event));
        for (const event of fresh) options.tell(event, notDurable.get(event.alert_id));
        await realClock.sleep(retryMs);
        return commit(events);
      },
    );
  let stopped = false;

  let rulesById = new Map(rules.map((rule) => [rule.id, rule]));
  const grouping = new Grouping(
    {
      silence: ({ rule_id, device_id }) =>
        rule_id === lineDownRuleId
          ? 'line'
          : rulesById.get(rule_id)?.kind === 'no_data' && device_id !== null
            ? 'device'
            : undefined,
      keepsBack: (deviceId) => options.lines.keepsBack(deviceId),
      sources: ({ device_id, metric }) =>
        device_id !== null ? [device_id] : (site.wiring[metric ?? '']?.terms ?? []).map((term) => term.device_id),
      maintenance: () => planned,
      partOf: (ruleId) => [rulesById.get(ruleId)?.part_of ?? []].flat(),
      kindOf: (deviceId) => site.devices.find(({ device_id }) => device_id === deviceId)?.kind,
      graceMs: comeBackMs * (options.speed ?? 1),
      newAlertId: () => newId(Math.round(clock.nowMs()), random),
      event: (alertId, what, atMs) =>
        ({
          ...what,
          id: newId(Math.round(clock.nowMs()), random),
          alert_id: alertId,
          grid_id: gridId,
          at_ms: Math.round(atMs),
          origin,
        }) as AlertEvent,
    },
    activeAtStart,
    clock.nowMs(),
    log.state(groupsState)?.value,
  );
  let groupsMoved = false;
  log.join((number, { events }) => {
    if (events.length === 0 && !groupsMoved) return;
    groupsMoved = false;
    log.putState(groupsState, number, grouping.state());
  });
  /** Commits alerts with what belongs beside them: who sees one sees at once what explains it. */
  const commitGrouped = (events: readonly AlertEvent[]): Promise<void> =>
    commit([...events, ...grouping.beside(events, Math.round(clock.nowMs()))]);
  const speed = options.speed ?? 1;
  const late = new LateDigest(
    { rules, site, oldestRingingMs, quietMs: lateQuietMs * speed, longestMs: lateLongestMs * speed },
    log.state(lateState)?.value,
  );
  log.join((number) => {
    const state = late.state();
    if (state !== undefined) log.putState(lateState, number, state);
  });
  /** Rises with each change of rules: what was made for the former ones is made anew. */
  let generation = 0;
  const lost = (error: unknown) => logger.error('alert events were lost at the stop', { error });

  const legacy = new LegacyAlerts({
    gridId,
    origin,
    clock,
    random,
    commit: commitGrouped,
    open: activeAtStart.filter(isLegacy),
  });

  const act = (transitions: readonly RuleTransition[]): void => {
    if (transitions.length === 0) return;
    const events: AlertEvent[] = [];
    for (const found of transitions) {
      const { rule, deviceId, metric, transition } = found;
      const key = stateKey(rule.id, deviceId, metric);
      const nowMs = Math.round(clock.nowMs());
      const known = open.get(key);
      const base = {
        id: newId(nowMs, random),
        grid_id: gridId,
        at_ms: Math.min(Math.round(transition.atMs), nowMs),
        origin,
      };
      if (transition.type === 'raise') {
        if (known !== undefined) continue;
        const alertId = newId(nowMs, random);
        open.set(key, alertId);
        const name = site.devices.find((one) => one.device_id === deviceId)?.name ?? null;
        const subject = {
          ...alertSubject(found, name, deviceId === null ? undefined : options.saidBy?.(deviceId)),
          ...options.ownWords?.(rule.id),
        };
        events.push({ ...base, kind: 'raised', alert_id: alertId, subject });
      } else if (known !== undefined) {
        open.delete(key);
        events.push({ ...base, kind: 'cleared', alert_id: known, value: transition.value });
      }
    }
    if (events.length === 0) return;
    for (const event of events)
      logger.info(event.kind === 'raised' ? 'alert raised' : 'alert cleared', {
        alert_id: event.alert_id,
        ...(event.kind === 'raised' ? { type: event.subject.type, what: event.subject.what } : {}),
      });
    commitGrouped(events).catch(lost);
  };

  /** Rules that failed may have been replaced: what failed is not judged again then. */
  const failed = (error: unknown): void => {
    if (options.broken?.(error) !== true) throw error;
  };
  const judged = (judge: () => readonly RuleTransition[]): void => {
    let found: readonly RuleTransition[];
    try {
      found = judge();
    } catch (error) {
      return failed(error);
    }
    act(found);
  };

  /** Alerts of rules that are no more, or that no longer watch what it is about, would stay open for ever. */
  const closeOrphans = (): void => {
    const nowMs = Math.round(clock.nowMs());
    for (const [alert, note] of orphans) {
      orphans.delete(alert);
      open.delete(keyOf(alert));
      const { alert_id } = alert;
      const id = newId(nowMs, random);
      const cleared = {
        kind: 'cleared',
        id,
        alert_id,
        grid_id: gridId,
        at_ms: nowMs,
        origin,
        value: null,
        note,
      } as const;
      void commitGrouped([cleared]).catch(() => {});
    }
  };

  const pending = new Map<string, Promise<void>>();
  const append = (event: AlertEvent): Promise<void> => {
    // A frame with an event that nobody here can read could not be read itself: a newer cloud may know further kinds.
    if (!isAlertEvent(event))
      return Promise.reject(
        new VillagridError('E_REQUEST_INVALID', 'This is no alert event as this version knows them.'),
      );
    if (event.grid_id !== gridId)
      return Promise.reject(new VillagridError('E_GRID_NOT_FOUND', `This gateway's grid is ${gridId}.`));
    if (gatewayOnlyEvents.includes(event.kind))
      return Promise.reject(new VillagridError('E_REQUEST_INVALID', `Only the gateway itself states ${event.kind}.`));
    const waiting = pending.get(event.id);
    if (waiting) return waiting;
    if (store.events(event.alert_id).some((one) => one.id === event.id)) return Promise.resolve();
    const durable = log
      .append({ events: [event] }, { urgent: true })
      .then(() => {})
      .finally(() => pending.delete(event.id));
    pending.set(event.id, durable);
    return durable;
  };

  const happened = (subject: AlertSubject): void => {
    const nowMs = Math.round(clock.nowMs());
    const alertId = newId(nowMs, random);
    const base = { alert_id: alertId, grid_id: gridId, at_ms: nowMs, origin };
    commit([
      { ...base, kind: 'raised', id: newId(nowMs, random), subject },
      { ...base, kind: 'cleared', id: newId(nowMs, random), value: null },
    ]).catch(lost);
  };

  let timer: { cancel(): void } | undefined;
  return {
    name: 'alerts',
    origin,
    shown: notDurable,
    get limits() {
      return limits;
    },
    get rules() {
      return rules;
    },
    setRules(next, given) {
      const standing = store
        .list(gridId, { status: 'active' })
        .filter((one) => !isLegacy(one) && one.rule_id !== alertFloodRuleId && open.has(keyOf(one)));
      const unwatched = new Map<Alert, string>();
      for (const one of standing) {
        const reason = whyUnwatched(one, next, site);
        if (reason !== undefined) unwatched.set(one, reason);
      }
      evaluation.setRules(next, new Set(standing.filter((one) => !unwatched.has(one)).map(keyOf)));
      rules = next;
      rulesById = new Map(rules.map((rule) => [rule.id, rule]));
      limits = limitsOf(given);
      late.setRules(rules);
      generation += 1;
      for (const [alert, reason] of unwatched) orphans.set(alert, reason);
      if (timer !== undefined) closeOrphans();
    },
    append,
    openCount: () => open.size + legacy.size + grouping.size,
    onSamples(samples, figures) {
      late.samples(samples, clock.nowMs());
      judged(() => evaluation.samples(samples, figures, clock.nowMs()));
    },
    onReadings(series) {
      let judge = evaluation.readings(series);
      const judgeLate = late.readings(series);
      let of = generation;
      return (timeMs, values, figures, arrivalMs) => {
        if (of !== generation) {
          judge = evaluation.readings(series);
          of = generation;
        }
        judgeLate(timeMs, values, arrivalMs);
        let found: readonly RuleTransition[];
        try {
          found = judge(timeMs, values, figures, arrivalMs);
        } catch (error) {
          return failed(error);
        }
        act(found);
      };
    },
    onInternalFigure: (metric, value) => judged(() => evaluation.internal(metric, value)),
    clockMoved(byMs) {
      evaluation.clockMoved(byMs);
      legacy.clockMoved(byMs);
      grouping.clockMoved(byMs);
      groupsMoved = true;
      late.clockMoved(byMs);
    },
    retimed: () => void (planned = reduceMaintenance(notDurable.records(gridId))),
    happened,
    legacyText: (payload) => legacy.say(payload),
    start() {
      closeOrphans();
      const tick = () => {
        judged(() => evaluation.tick());
        legacy.expire();
        const found = grouping.tick(Math.round(clock.nowMs()));
        if (found.length > 0) commit(found).catch(lost);
        const digest = late.tick(clock.nowMs());
        if (digest !== undefined) happened(digest);
      };
      // At whole five seconds: another start, or a back-test, looks at the same moments.
      timer = clock.after(tickEveryMs - (clock.nowMs() % tickEveryMs), () => {
        tick();
        timer = clock.every(tickEveryMs, tick);
      });
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
