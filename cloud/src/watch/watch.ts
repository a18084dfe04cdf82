/**
 * The cloud's own rules: silent gateways, and what happens to many grids at once. Looks every half minute; what is open is in
 * the alert store, so a restart changes nothing. Its alerts end by themselves.
 */
import {
  isMaintenanceInForce,
  newId,
  reduceMaintenance,
  zoneOffsetMs,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Clock,
  type RandomSource,
} from '@villagrid/contracts';
import { gridFigures, nominal } from '@villagrid/api';
import type { AlertStore, LifecyclePart, Logger } from '@villagrid/runtime';
import type { CloudGrid } from '../grids/grid.js';
import type { Presence } from '../uplink/presence.js';
import {
  fleetPatternRuleId,
  fleetPatternSubject,
  fleetSilentRuleId,
  fleetSilentSubject,
  gatewaySilentRuleId,
  isMany,
  isNightAt,
  silencePatienceMs,
  silenceSubject,
  wasDark,
  type SilenceFacts,
} from './silence.js';

/** How often it looks, real milliseconds. */
const lookEveryMs = 30_000;
/** Shortest silence that is told, real milliseconds. */
const leastSilenceMs = 30 * 60_000;
/** Gateways that fell silent within this time did so together; grids that raised the same within an hour too. */
const togetherMs = 15 * 60_000;
const patternMs = 3_600_000;
/** Former silences of a gateway that are looked at. */
const formerLooked = 5;
/** Rules of the watch over gateways. */
export const ownRules = [gatewaySilentRuleId, fleetSilentRuleId, fleetPatternRuleId];

export interface WatchOptions {
  readonly grids: () => readonly CloudGrid[];
  readonly alerts: AlertStore;
  readonly presence: Presence;
  /** Whether the log of a gateway holds anything of a stretch of time: then it ran. */
  readonly ranBetween: (gridId: string, fromMs: number, toMs: number) => boolean;
  readonly silentAfterMs: number;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** How much faster than real time the villages run. */
  readonly speed: number;
}

export interface Watch extends LifecyclePart {
  /** Looks now. */
  look(): void;
}

/** A gateway that says nothing, and the alert there is to raise of it. */
interface Silence {
  readonly sinceMs: number;
  readonly subject?: AlertSubject;
}

/** What explains an alert. */
type Cause = Pick<Extract<AlertEvent, { kind: 'suppressed' }>, 'parent_id' | 'because'>;

/** Makes it; nothing is judged before the cloud itself has listened for long enough. */
export function createWatch(options: WatchOptions): Watch {
  const { alerts, presence, clock, realClock, random, log, speed } = options;
  const startedMs = clock.nowMs();
  const baseMs = Math.max(options.silentAfterMs, leastSilenceMs * speed);
  let timer: { cancel(): void } | undefined;

  type What = {
    [Kind in AlertEvent['kind']]: Omit<
      Extract<AlertEvent, { kind: Kind }>,
      'id' | 'alert_id' | 'grid_id' | 'at_ms' | 'origin'
    >;
  }[AlertEvent['kind']];
  /** Says things of one alert at once: who sees the first of them sees all. */
  const say = (grid: CloudGrid, alertId: string, ...all: readonly What[]): void => {
    const nowMs = clock.nowMs();
    const base = { alert_id: alertId, grid_id: grid.gridId, at_ms: nowMs, origin: grid.origin };
    alerts.appendAll(all.map((what) => ({ ...what, ...base, id: newId(nowMs, random) }) as AlertEvent));
    grid.projected({ samples: [], alertIds: new Set([alertId]), deviceIds: new Set(), restamped: false });
  };
  /** Raises an alert; one with a known cause is explained from the start, so that nobody is told of it. */
  const raise = (grid: CloudGrid, subject: AlertSubject, cause?: Cause): string => {
    const alertId = newId(clock.nowMs(), random);
    say(grid, alertId, { kind: 'raised', subject }, ...(cause ? [{ kind: 'suppressed', ...cause } as const] : []));
    log.info('alert raised', { grid_id: grid.gridId, alert_id: alertId, type: subject.type, what: subject.what });
    return alertId;
  };

  const openOf = (grid: CloudGrid): readonly Alert[] => alerts.list(grid.gridId, { status: 'active' });
  const factsOf = (grid: CloudGrid, heardMs: number): SilenceFacts => {
    const nowMs = clock.nowMs();
    const { zone, plant, gateway_id } = grid.site();
    const former = alerts
      .list(grid.gridId, { status: 'resolved', ruleId: gatewaySilentRuleId, mostResolved: formerLooked })
      .filter(({ device_id }) => device_id === gateway_id);
    const ranOn = former.filter(({ raised_at_ms, cleared_at_ms }) => {
      const margin = ((cleared_at_ms ?? raised_at_ms) - raised_at_ms) / 4;
      return options.ranBetween(grid.gridId, raised_at_ms + margin, (cleared_at_ms ?? raised_at_ms) - margin);
    });
    const { figures } = gridFigures(grid, nowMs);
    return {
      nowMs,
      heardMs,
      isConnected: presence.state(grid.entry) === 'up',
      socPct: figures.battery_soc_pct?.value ?? null,
      floorPct: plant.battery_floor_pct,
      wasDark: wasDark(figures, nominal(grid).nominalV),
      isNight: isNightAt(nowMs + zoneOffsetMs(zone, nowMs)),
      formerLinkOnly: ranOn.length,
      former: former.length,
    };
  };

  /** Ends the alert of one gateway's silence; gives since when it is silent, and what there is to raise of it now. */
  const lookAtGateway = (grid: CloudGrid): Silence | undefined => {
    const heardMs = presence.heardMs(grid.entry);
    if (heardMs === null) return undefined;
    const nowMs = clock.nowMs();
    const open = openOf(grid).find(({ rule_id }) => rule_id === gatewaySilentRuleId);
    if (nowMs - heardMs < baseMs) {
      if (open !== undefined) say(grid, open.alert_id, { kind: 'cleared', value: null });
      return undefined;
    }
    if (open !== undefined) return { sinceMs: heardMs };
    // While the cloud was off it heard nobody.
    const silentMs = nowMs - Math.max(heardMs, startedMs);
    if (silentMs < baseMs) return undefined;
    const facts = factsOf(grid, heardMs);
    if (silentMs < silencePatienceMs(facts, baseMs)) return undefined;
    return { sinceMs: heardMs, subject: silenceSubject(facts, { id: grid.entry.gateway_id }) };
  };

  /** Planned work on a whole grid that goes on. */
  const workOn = (grid: CloudGrid): Cause | undefined => {
    const work = reduceMaintenance(alerts.records(grid.gridId)).find(
      (one) => one.device_ids === null && isMaintenanceInForce(one, clock.nowMs()),
    );
    return work && { parent_id: work.maintenance_id, because: 'maintenance' };
  };

  /** Raises what is silent; of many gateways that went silent together, first the one cause. */
  const lookAtFleet = (silent: ReadonlyMap<CloudGrid, Silence>, all: readonly CloudGrid[]): void => {
    const times = [...silent].sort(([, a], [, b]) => a.sinceMs - b.sinceMs);
    const together = times
      .map(([, { sinceMs: from }]) =>
        times.filter(([, { sinceMs }]) => sinceMs >= from && sinceMs < from + togetherMs * speed),
      )
      .reduce<typeof times>((best, one) => (one.length > best.length ? one : best), []);
    const [found] = all.flatMap((grid) =>
      openOf(grid)
        .filter(({ rule_id }) => rule_id === fleetSilentRuleId)
        .map((alert) => ({ grid, alertId: alert.alert_id })),
    );
    const [lead] = together[0] ?? [];
    const isFleet = lead !== undefined && isMany(together.length, all.length);
    if (!isFleet && found !== undefined) say(found.grid, found.alertId, { kind: 'cleared', value: null });
    const parent: Cause | undefined = isFleet
      ? {
          parent_id: found?.alertId ?? raise(lead, fleetSilentSubject(together.length, all.length)),
          because: 'parent',
        }
      : undefined;
    const members = new Set(together.map(([grid]) => grid));
    for (const [grid, { subject }] of silent) {
      const cause = members.has(grid) ? parent : undefined;
      if (subject !== undefined) raise(grid, subject, workOn(grid) ?? cause);
      else if (cause !== undefined)
        for (const { alert_id, rule_id, suppressed_by } of openOf(grid))
          if (rule_id === gatewaySilentRuleId && suppressed_by === null)
            say(grid, alert_id, { kind: 'suppressed', ...cause });
    }
    for (const grid of all) release(grid);
  };

  /** What outlived the fleet's silence or planned work speaks for itself again. */
  const release = (grid: CloudGrid): void => {
    for (const alert of openOf(grid)) {
      if (alert.rule_id !== gatewaySilentRuleId || alert.suppressed_by === null) continue;
      const isKept =
        alert.suppressed_because === 'maintenance'
          ? reduceMaintenance(alerts.records(grid.gridId)).some(
              (one) => one.maintenance_id === alert.suppressed_by && isMaintenanceInForce(one, clock.nowMs()),
            )
          : alerts.get(alert.suppressed_by)?.status === 'active';
      const last = alert.timeline.findLast(({ kind }) => kind === 'suppressed');
      if (!isKept && last !== undefined)
        say(grid, alert.alert_id, { kind: 'released', suppress_event_id: last.event_id, told: true });
    }
  };

  /** The same alert in many grids within an hour. */
  const lookForPatterns = (all: readonly CloudGrid[]): void => {
    const nowMs = clock.nowMs();
    // By what it says, which is what its own alert is known by.
    const byMessage = new Map<string, { readonly grids: Set<CloudGrid>; readonly still: Set<CloudGrid> }>();
    const known = new Map<string, { readonly grid: CloudGrid; readonly alertId: string }>();
    for (const grid of all)
      for (const { rule_id, message, raised_at_ms, alert_id } of openOf(grid)) {
        if (rule_id === fleetPatternRuleId) known.set(message, { grid, alertId: alert_id });
        if (ownRules.includes(rule_id)) continue;
        const entry = byMessage.get(message) ?? { grids: new Set(), still: new Set() };
        byMessage.set(message, entry);
        entry.still.add(grid);
        if (nowMs - raised_at_ms < patternMs * speed) entry.grids.add(grid);
      }
    for (const [message, { grids, still }] of byMessage) {
      const subject = fleetPatternSubject(message, grids.size, all.length);
      const standing = known.get(subject.message);
      known.delete(subject.message);
      const [first] = grids;
      if (isMany(grids.size, all.length) && standing === undefined && first !== undefined) raise(first, subject);
      // It stands while half as many still have it, however long ago it was raised there.
      if (standing !== undefined && !isMany(still.size * 2, all.length))
        say(standing.grid, standing.alertId, { kind: 'cleared', value: null });
    }
    for (const { grid, alertId } of known.values()) say(grid, alertId, { kind: 'cleared', value: null });
  };

  const look = (): void => {
    const all = options.grids();
    const silent = new Map<CloudGrid, Silence>();
    for (const grid of all) {
      const silence = lookAtGateway(grid);
      if (silence !== undefined) silent.set(grid, silence);
    }
    lookAtFleet(silent, all);
    lookForPatterns(all);
  };

  return {
    name: 'watch over gateways',
    look,
    start() {
      timer = realClock.every(lookEveryMs, () => {
        try {
          look();
        } catch (error) {
          log.error('the watch over gateways failed and goes on', { error });
        }
      });
    },
    stop: () => timer?.cancel(),
  };
}
