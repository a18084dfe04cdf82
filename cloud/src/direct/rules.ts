/**
 * Rules over devices without a gateway: the engine of the contracts, run here because no box in the village does. In a
 * grid with a gateway only what these devices measure is judged; where there is none, the grid's figures too. What is
 * open is in the alert store, so a restart raises nothing twice.
 */
import { gridFigures } from '@villagrid/api';
import {
  alertSubject,
  createRuleEngine,
  newId,
  oldestRingingMs,
  qualityClass,
  stateKey,
  whyUnwatched,
  type Alert,
  type AlertEvent,
  type Clock,
  type RandomSource,
  type Rule,
  type RuleEngine,
  type RuleFigure,
  type RuleTransition,
  type Sample,
} from '@villagrid/contracts';
import type { AlertStore, LifecyclePart, Logger } from '@villagrid/runtime';
import type { DirectDevice } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { CloudGrid } from '../grids/grid.js';
import { ownRules } from '../watch/watch.js';
import { deviceAlertRuleId } from './intake.js';
import type { DirectStore } from './store.js';

/** How often silence is looked for, real milliseconds. */
const tickEveryMs = 5000;
/** How long devices have after a start to be heard again before their silence is told, real milliseconds. */
const comeBackMs = 120_000;

export interface DirectRulesOptions {
  readonly directory: Pick<Directory, 'grids' | 'devicesOf' | 'onChange'>;
  readonly grid: (gridId: string) => CloudGrid | undefined;
  readonly alerts: AlertStore;
  readonly direct: DirectStore;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** How much faster than real time the villages run. */
  readonly speed: number;
}

export interface DirectRules extends LifecyclePart {
  /** Samples of a grid were projected. */
  projected(gridId: string, samples: readonly Sample[]): void;
  /** Time has passed. */
  tick(): void;
}

/** The rules of one grid at work. */
interface Evaluation {
  readonly engine: RuleEngine;
  /** What it was made of. */
  readonly of: readonly Rule[];
  readonly devices: ReadonlySet<string>;
  readonly hasFigures: boolean;
  /** Alert id of each raised rule and subject. */
  readonly open: Map<string, string>;
  /** Newest time that was told of each figure. */
  readonly figures: Map<string, number>;
}

/** Makes it; engines are made when first needed, and anew when the directory changes. */
export function createDirectRules(options: DirectRulesOptions): DirectRules {
  const { directory, alerts, direct, clock, realClock, random, log } = options;
  let evaluations = new Map<string, Evaluation>();
  let timer: { cancel(): void } | undefined;
  const stateName = (gridId: string) => `rules ${gridId}`;
  const nowMs = () => Math.round(clock.nowMs());

  /** Grids without devices of their own whose alerts were looked at since the directory changed. */
  let deserted = new Set<string>();

  /** Alerts of rules that are no more, or of devices that nobody watches here any more, would stay open for ever. */
  const closeUnwatched = (grid: CloudGrid, rules: readonly Rule[], devices: ReadonlySet<string>): void => {
    const { gridId, origin } = grid;
    const site = grid.site();
    const events = alerts.list(gridId, { status: 'active' }).flatMap((alert): AlertEvent[] => {
      const { alert_id, rule_id, device_id, timeline } = alert;
      // What a device or a gateway said, and what the watch over gateways found, ends as it began.
      const isRaisedHere = timeline.some((one) => one.kind === 'raised' && one.origin.kind === 'cloud');
      if (!isRaisedHere || rule_id === deviceAlertRuleId || ownRules.includes(rule_id)) return [];
      const note =
        device_id === null || devices.has(device_id)
          ? whyUnwatched(alert, rules, site)
          : 'The device is no longer in the directory.';
      if (note === undefined) return [];
      log.info('alert cleared', { grid_id: gridId, alert_id, rule: rule_id, reason: note });
      const id = newId(nowMs(), random);
      return [{ kind: 'cleared', id, alert_id, grid_id: gridId, at_ms: nowMs(), origin, value: null, note }];
    });
    if (events.length === 0) return;
    alerts.appendAll(events);
    const alertIds = new Set(events.map(({ alert_id }) => alert_id));
    grid.projected({ samples: [], alertIds, deviceIds: new Set(), restamped: false });
  };

  const make = (grid: CloudGrid, all: readonly DirectDevice[]): Evaluation => {
    const { gridId } = grid;
    const site = grid.site();
    const devices = new Set(all.map(({ device_id }) => device_id));
    const hasFigures = grid.entry.own !== undefined;
    const of = grid.rules();
    const rules = of.filter(({ selector }) => hasFigures || selector.scope !== 'figure');
    closeUnwatched(grid, rules, devices);
    const isOurs = ({ rule_id, device_id }: Alert) =>
      rules.some(({ id }) => id === rule_id) && (device_id === null ? hasFigures : devices.has(device_id));
    const open = new Map(
      alerts
        .list(gridId, { status: 'active' })
        .filter(isOurs)
        .map((one) => [stateKey(one.rule_id, one.device_id, one.metric), one.alert_id]),
    );
    const engine = createRuleEngine({
      rules,
      devices: all.filter(({ expected }) => expected).map(({ device_id }) => device_id),
      inventory: site.devices,
      zone: site.zone,
      context: { figure: () => undefined },
      saved: direct.state(stateName(gridId)),
    });
    engine.restarted(new Set(open.keys()), { sinceMs: nowMs(), graceMs: comeBackMs * options.speed });
    return { engine, of, devices, hasFigures, open, figures: new Map() };
  };
  const of = (gridId: string): { grid: CloudGrid; evaluation: Evaluation } | undefined => {
    const all = directory.devicesOf(gridId);
    const grid = all.length === 0 && deserted.has(gridId) ? undefined : options.grid(gridId);
    if (grid === undefined) return undefined;
    if (all.length === 0) {
      closeUnwatched(grid, [], new Set());
      deserted.add(gridId);
      return undefined;
    }
    let evaluation = evaluations.get(gridId);
    // Rules that changed begin from the state that was kept last.
    if (evaluation?.of !== grid.rules()) evaluations.set(gridId, (evaluation = make(grid, all)));
    return { grid, evaluation };
  };

  const tell = (grid: CloudGrid, { open, engine }: Evaluation, transitions: readonly RuleTransition[]): void => {
    const { gridId } = grid;
    const events: AlertEvent[] = [];
    for (const found of transitions) {
      const { rule, deviceId, metric, transition } = found;
      const key = `${rule.id}|${found.subject}`;
      const base = { id: newId(nowMs(), random), grid_id: gridId, at_ms: transition.atMs, origin: grid.origin };
      const known = open.get(key);
      if (transition.type === 'raise') {
        if (known !== undefined) continue;
        const alertId = newId(nowMs(), random);
        open.set(key, alertId);
        const name = grid.site().devices.find(({ device_id }) => device_id === deviceId)?.name ?? null;
        events.push({ ...base, kind: 'raised', alert_id: alertId, subject: alertSubject(found, name) });
        log.info('alert raised', { grid_id: gridId, alert_id: alertId, rule: rule.id, device_id: deviceId, metric });
      } else if (known !== undefined) {
        open.delete(key);
        events.push({ ...base, kind: 'cleared', alert_id: known, value: transition.value });
      }
    }
    if (events.length > 0) alerts.appendAll(events);
    if (engine.dirty) direct.putState(stateName(gridId), engine.exportState());
    if (events.length === 0) return;
    const alertIds = new Set(events.map(({ alert_id }) => alert_id));
    grid.projected({ samples: [], alertIds, deviceIds: new Set(), restamped: false });
  };

  const judge = (grid: CloudGrid, evaluation: Evaluation, samples: readonly Sample[]): readonly RuleTransition[] => {
    const { engine, devices, figures } = evaluation;
    const oldestMs = nowMs() - oldestRingingMs;
    const found: RuleTransition[] = [];
    let isOurs = false;
    for (const sample of samples) {
      if (!devices.has(sample.deviceId)) continue;
      isOurs = true;
      const { value } = sample;
      if (value === null || qualityClass(sample.quality) === 'bad' || sample.timeMs < oldestMs) continue;
      found.push(...engine.onSeriesSample({ ...sample, value }));
    }
    if (!isOurs || !evaluation.hasFigures) return found;
    const changed: RuleFigure[] = [];
    for (const [metric, { timeMs, value, quality }] of Object.entries(gridFigures(grid, nowMs()).figures)) {
      if (timeMs === null || timeMs < oldestMs || figures.get(metric) === timeMs) continue;
      figures.set(metric, timeMs);
      changed.push({ metric, timeMs, value: qualityClass(quality) === 'bad' ? null : value });
    }
    found.push(...engine.onFigures(changed));
    return found;
  };

  /** A grid whose rules fail harms no other. */
  const guarded = (gridId: string, run: () => void): void => {
    try {
      run();
    } catch (error) {
      // What was concluded and not kept is concluded again from what is open in the store.
      evaluations.delete(gridId);
      log.error('the rules of devices without a gateway failed and begin anew', { grid_id: gridId, error });
    }
  };
  directory.onChange(() => {
    evaluations = new Map();
    deserted = new Set();
  });

  const tick = (): void => {
    for (const { grid_id: gridId } of directory.grids())
      guarded(gridId, () => {
        const found = of(gridId);
        if (found) tell(found.grid, found.evaluation, found.evaluation.engine.onTick(nowMs()));
      });
  };

  return {
    name: 'rules of devices without a gateway',
    projected: (gridId, samples) =>
      guarded(gridId, () => {
        const found = samples.length === 0 ? undefined : of(gridId);
        if (found) tell(found.grid, found.evaluation, judge(found.grid, found.evaluation, samples));
      }),
    tick,
    start() {
      timer = realClock.every(tickEveryMs, tick);
    },
    stop: () => timer?.cancel(),
  };
}
