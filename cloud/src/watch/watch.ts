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
  type SilenceFacts,
} from './silence.js';

/** How often it looks, real milliseconds. */
const lookEveryMs = 30_000;
/** Shortest silence that is told, real milliseconds. */
const leastSilenceMs = 30 * 60_000;
/** Gateways that fell silent within this time did so together; grids that raised the same within an hour too. */
const togetherMs = 15 * 60_000;
const patternMs = 3_600_000;
const ownRules = [gatewaySilentRuleId, fleetSilentRuleId, fleetPatternRuleId];

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
  const say = (grid: CloudGrid, alertId: string, what: What): void => {
    const nowMs = clock.nowMs();
    const event = {
      ...what,
      id: newId(nowMs, random),
      alert_id: alertId,
      grid_id: grid.gridId,
      at_ms: nowMs,
      origin: grid.origin,
    } as AlertEvent;
    alerts.append(event);
    grid.projected({ samples: [], alertIds: new Set([alertId]), deviceIds: new Set(), restamped: false });
  };
  const raise = (grid: CloudGrid, subject: AlertSubject): string => {
    const alertId = newId(clock.nowMs(), random);
    say(grid, alertId, { kind: 'raised', subject });
    log.info('alert raised', { grid_id: grid.gridId, alert_id: alertId, type: subject.type, what: subject.what });
    return alertId;
  };

  const openOf = (grid: CloudGrid): readonly Alert[] => alerts.list(grid.gridId, { status: 'active' });
  const value = (grid: CloudGrid, metric: string): number | null => {
    const [term] = grid.site().wiring[metric]?.terms ?? [];
    return term === undefined ? null : (grid.latest(term.device_id, term.metric)?.value ?? null);
  };

  const factsOf = (grid: CloudGrid, heardMs: number): SilenceFacts => {
    const nowMs = clock.nowMs();
    const { zone, plant, gateway_id } = grid.site();
    const former = alerts
      .list(grid.gridId, { status: 'resolved' })
      .filter(({ rule_id, device_id }) => rule_id === gatewaySilentRuleId && device_id === gateway_id)
      .slice(0, 5);
    const ranOn = former.filter(({ raised_at_ms, cleared_at_ms }) => {
      const margin = ((cleared_at_ms ?? raised_at_ms) - raised_at_ms) / 4;
      return options.ranBetween(grid.gridId, raised_at_ms + margin, (cleared_at_ms ?? raised_at_ms) - margin);
    });
    const volts = value(grid, 'ac_output_voltage_v');
    return {
      nowMs,
      heardMs,
      isConnected: presence.state(grid.entry) === 'up',
      socPct: value(grid, 'battery_soc_pct'),
      floorPct: plant.battery_floor_pct,
      wasDark: volts !== null && volts < 100,
      isNight: isNightAt(nowMs + zoneOffsetMs(zone, nowMs)),
      formerLinkOnly: ranOn.length,
      former: former.length,
    };
  };

  /** Raises and ends the alert of one gateway's silence; gives since when it is silent while that is an alert. */
  const lookAtGateway = (grid: CloudGrid): number | undefined => {
    const heardMs = presence.heardMs(grid.entry);
    if (heardMs === null) return undefined;
    const nowMs = clock.nowMs();
    const open = openOf(grid).find(({ rule_id }) => rule_id === gatewaySilentRuleId);
    if (nowMs - heardMs < baseMs) {
      if (open !== undefined) say(grid, open.alert_id, { kind: 'cleared', value: null });
      return undefined;
    }
    if (open !== undefined) return heardMs;
    // While the cloud was off it heard nobody.
    const silentMs = nowMs - Math.max(heardMs, startedMs);
    if (silentMs < baseMs) return undefined;
    const facts = factsOf(grid, heardMs);
    if (silentMs < silencePatienceMs(facts, baseMs)) return undefined;
    const alertId = raise(grid, silenceSubject(facts, { id: grid.entry.gateway_id }));
    const work = reduceMaintenance(alerts.records(grid.gridId)).find(
      (one) => one.device_ids === null && isMaintenanceInForce(one, nowMs),
    );
    if (work !== undefined)
      say(grid, alertId, { kind: 'suppressed', parent_id: work.maintenance_id, because: 'maintenance' });
    return heardMs;
  };

  /** Many gateways that went silent together have one cause. */
  const lookAtFleet = (silent: ReadonlyMap<CloudGrid, number>, all: readonly CloudGrid[]): void => {
    const times = [...silent].sort(([, a], [, b]) => a - b);
    const together = times
      .map(([, fromMs]) => times.filter(([, atMs]) => atMs >= fromMs && atMs < fromMs + togetherMs * speed))
      .reduce<typeof times>((best, one) => (one.length > best.length ? one : best), []);
    const [found] = all.flatMap((grid) =>
      openOf(grid)
        .filter(({ rule_id }) => rule_id === fleetSilentRuleId)
        .map((alert) => ({ grid, alertId: alert.alert_id })),
    );
    if (!isMany(together.length, all.length)) {
      if (found !== undefined) say(found.grid, found.alertId, { kind: 'cleared', value: null });
      for (const grid of all) release(grid);
      return;
    }
    const [lead] = together[0] ?? [];
    if (lead === undefined) return;
    const parentId = found?.alertId ?? raise(lead, fleetSilentSubject(together.length, all.length));
    for (const [grid] of together)
      for (const { alert_id, rule_id, suppressed_by } of openOf(grid))
        if (rule_id === gatewaySilentRuleId && suppressed_by === null)
          say(grid, alert_id, { kind: 'suppressed', parent_id: parentId, because: 'parent' });
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
    const silent = new Map<CloudGrid, number>();
    for (const grid of all) {
      const sinceMs = lookAtGateway(grid);
      if (sinceMs !== undefined) silent.set(grid, sinceMs);
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
