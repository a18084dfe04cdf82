/**
 * One cause, one alert. Says which of the open alerts are explained by another one or by planned work (these wake nobody and
 * come back by themselves when they outlive it), which stay only as last known, and when there are too many at once. Holds
 * no clock and writes nothing: it is told of events and answers with the events that belong beside them.
 */
import {
  alertFloodRuleId,
  compareSeverity,
  isMaintenanceInForce,
  maintenanceCovers,
  parseMetricId,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Maintenance,
  type RaisedEvent,
  type SuppressionReason,
} from '@villagrid/contracts';

/** More alerts than this within this time are a flood (ISA-18.2: more than 10 in 10 minutes). */
export const floodAlerts = 10;
export const floodMs = 600_000;

/** What an alert says of whether something is heard: the silence of a device, of a whole line, or neither. */
export type SilenceKind = 'device' | 'line' | undefined;

/** What grouping asks of the rest of the gateway. */
export interface GroupingPorts {
  /** Whether a rule's alerts speak of silence. */
  readonly silence: (subject: Pick<AlertSubject, 'rule_id' | 'device_id' | 'metric'>) => SilenceKind;
  /** Whether a device cannot be heard because its line is down. */
  readonly keepsBack: (deviceId: string) => boolean;
  /** The devices whose values an alert is about; none for the gateway itself. */
  readonly sources: (subject: Pick<AlertSubject, 'device_id' | 'metric'>) => readonly string[];
  readonly maintenance: () => readonly Maintenance[];
  /** Of a rule: the one that says the same with more weight. */
  readonly partOf: (ruleId: string) => string | undefined;
  /** What a device is, as the site says: `inverter`. */
  readonly kindOf: (deviceId: string) => string | undefined;
  /** How long a child has, once its parent is over, to be over too: it is one recovery then. Milliseconds. */
  readonly graceMs: number;
  /** Makes an event of this alert with an id and an origin. */
  readonly event: <Kind extends AlertEvent['kind']>(
    alertId: string,
    what: Omit<Extract<AlertEvent, { kind: Kind }>, 'id' | 'alert_id' | 'grid_id' | 'at_ms' | 'origin'>,
    atMs: number,
  ) => AlertEvent;
  readonly newAlertId: () => string;
}

interface Open {
  readonly alertId: string;
  readonly subject: AlertSubject;
  readonly silence: SilenceKind;
  readonly sources: readonly string[];
  suppressed: Suppressed | undefined;
  /** Id of the mark that its sensor is silent. */
  mark: string | undefined;
  /** Whether people were told of it, or would have been. */
  told: boolean;
}

interface Suppressed {
  readonly eventId: string;
  readonly parentId: string;
  readonly because: SuppressionReason;
  /** Since when its parent is over. */
  overSinceMs?: number | undefined;
}

interface Cause {
  readonly parentId: string;
  readonly because: SuppressionReason;
}

/** What is kept over a restart; times in Unix milliseconds. */
interface Kept {
  /** The open alerts in the order in which they came. */
  readonly open: ReadonlyArray<Pick<Open, 'alertId' | 'told'> & Partial<Pick<Open, 'suppressed' | 'mark'>>>;
  readonly raised: ReadonlyArray<{ readonly atMs: number; readonly alertId: string; readonly message: string }>;
  readonly floodMs?: number;
}

/** What was kept; nothing of a text that is not ours. */
function keptFrom(text: string | undefined): Kept {
  const none: Kept = { open: [], raised: [] };
  if (text === undefined) return none;
  try {
    const kept = JSON.parse(text) as Partial<Kept> | null;
    return Array.isArray(kept?.open) && Array.isArray(kept.raised) ? { ...none, ...kept } : none;
  } catch {
    return none;
  }
}

export class Grouping {
  readonly #ports: GroupingPorts;
  readonly #open = new Map<string, Open>();
  /** When alerts that stand alone were raised, within the last ten minutes. */
  #raised: { readonly atMs: number; readonly alertId: string; readonly message: string }[] = [];
  #flood: { readonly alertId: string; lastMs: number } | undefined;

  /** `open` are the alerts that were open before a restart, and `kept` the `state` that was kept with the last of them. */
  constructor(ports: GroupingPorts, open: readonly Alert[], nowMs: number, kept?: string) {
    this.#ports = ports;
    const before = keptFrom(kept);
    this.#raised = [...before.raised];
    const places = new Map(before.open.map((one, index) => [one.alertId, { index, one }]));
    const placeOf = ({ alert_id }: Alert) => places.get(alert_id)?.index ?? places.size;
    for (const alert of [...open].sort((a, b) => placeOf(a) - placeOf(b))) {
      const { alert_id: alertId } = alert;
      if (alert.rule_id === alertFloodRuleId) this.#flood = { alertId, lastMs: before.floodMs ?? nowMs };
      else this.#open.set(alertId, this.#restored(alert, places.get(alertId)?.one));
    }
  }

  /** How alerts are grouped: to be kept with each commit of events, because the events alone do not tell it all. JSON text. */
  state(): string {
    const open = [...this.#open.values()].map(({ alertId, told, suppressed, mark }) => ({
      alertId,
      told,
      ...(suppressed && { suppressed }),
      ...(mark !== undefined && { mark }),
    }));
    const kept: Kept = { open, raised: this.#raised, ...(this.#flood && { floodMs: this.#flood.lastMs }) };
    return JSON.stringify(kept);
  }

  #restored(alert: Alert, kept: Kept['open'][number] | undefined): Open {
    const described = this.#described(alert.alert_id, alert);
    if (kept) {
      const { told, suppressed, mark } = kept;
      return { ...described, told, suppressed: suppressed && { ...suppressed }, mark };
    }
    const suppression = [...alert.timeline].reverse().find(({ kind }) => kind === 'suppressed');
    const mark = [...alert.timeline].reverse().find(({ kind }) => kind === 'last_known');
    const suppressed =
      alert.suppressed_by === null || alert.suppressed_because === null || suppression === undefined
        ? undefined
        : {
            eventId: suppression.event_id,
            parentId: alert.suppressed_by,
            because: alert.suppressed_because,
            overSinceMs: undefined,
          };
    return {
      ...described,
      suppressed,
      mark: alert.last_known_since_ms === null ? undefined : mark?.event_id,
      told: suppressed === undefined || wasTold(alert),
    };
  }

  #described(alertId: string, subject: AlertSubject) {
    return { alertId, subject, silence: this.#ports.silence(subject), sources: this.#ports.sources(subject) };
  }

  /** Alerts of its own that are open. */
  get size(): number {
    return this.#flood === undefined ? 0 : 1;
  }

  /** What belongs beside alerts that were just raised and cleared; to be committed together with them. */
  beside(events: readonly AlertEvent[], nowMs: number): AlertEvent[] {
    const found: AlertEvent[] = [];
    for (const event of events) {
      if (event.kind === 'cleared') this.#over(event.alert_id, nowMs);
      else if (event.kind === 'raised') found.push(...this.#take(event, nowMs));
    }
    found.push(...this.#marks(nowMs));
    return found;
  }

  /** An alert is over. What it explains may still be over too; from now on that is waited for. */
  #over(alertId: string, nowMs: number): void {
    this.#open.delete(alertId);
    for (const { suppressed } of this.#open.values())
      if (suppressed?.parentId === alertId) suppressed.overSinceMs ??= nowMs;
  }

  /** Time has passed: who outlived what kept it back comes back, a flood ends. */
  tick(nowMs: number): AlertEvent[] {
    const found: AlertEvent[] = [];
    if (this.#flood !== undefined && nowMs - this.#flood.lastMs >= floodMs) {
      found.push(this.#ports.event<'cleared'>(this.#flood.alertId, { kind: 'cleared', value: null }, nowMs));
      this.#flood = undefined;
    }
    for (const one of this.#open.values()) found.push(...this.#review(one, nowMs));
    found.push(...this.#marks(nowMs));
    return found;
  }

  /** The clock was moved by so many milliseconds. */
  clockMoved(byMs: number): void {
    this.#raised = this.#raised.map((one) => ({ ...one, atMs: one.atMs + byMs }));
    if (this.#flood !== undefined) this.#flood.lastMs += byMs;
    for (const { suppressed } of this.#open.values())
      if (suppressed?.overSinceMs !== undefined) suppressed.overSinceMs += byMs;
  }

  #take({ alert_id, subject, at_ms }: RaisedEvent, nowMs: number): AlertEvent[] {
    const one: Open = { ...this.#described(alert_id, subject), suppressed: undefined, mark: undefined, told: false };
    this.#open.set(alert_id, one);
    const found: AlertEvent[] = [];
    const cause = this.#causeOf(one, nowMs);
    // Dated as it was raised, which may be some seconds ago: after a restart this tells that nobody was told of it.
    if (cause !== undefined) found.push(this.#suppress(one, cause, Math.min(at_ms, nowMs)));
    else {
      found.push(...this.#count(one, nowMs));
      one.told = one.suppressed === undefined;
    }
    // What was told before and is explained now goes under it.
    for (const other of this.#open.values()) {
      if (other === one || other.suppressed !== undefined) continue;
      if (this.#parentsOf(other).includes(one)) {
        const parent = { parentId: one.alertId, because: 'parent' } as const;
        found.push(this.#suppress(other, parent, nowMs));
      }
    }
    return found;
  }

  /** Counts an alert that stands alone; the one too many begins a flood, which takes in all that can wait. */
  #count(one: Open, nowMs: number): AlertEvent[] {
    const entry = { atMs: nowMs, alertId: one.alertId, message: one.subject.message };
    this.#raised = [...this.#raised.filter(({ atMs }) => nowMs - atMs < floodMs), entry];
    if (this.#flood !== undefined) {
      this.#flood.lastMs = nowMs;
      return canWait(one) ? [this.#suppress(one, { parentId: this.#flood.alertId, because: 'flood' }, nowMs)] : [];
    }
    if (this.#raised.length <= floodAlerts) return [];
    const alertId = this.#ports.newAlertId();
    this.#flood = { alertId, lastMs: nowMs };
    const members = this.#raised
      .map((member) => this.#open.get(member.alertId))
      .filter((member) => member !== undefined);
    const worst = members.map(({ subject }) => subject.severity).sort(compareSeverity)[0] ?? 'medium';
    const subject = floodSubject(this.#raised.length, this.#raised[0]?.message ?? '', worst);
    const found = [this.#ports.event<'raised'>(alertId, { kind: 'raised', subject }, nowMs)];
    for (const member of members)
      if (member.suppressed === undefined && canWait(member))
        found.push(this.#suppress(member, { parentId: alertId, because: 'flood' }, nowMs));
    return found;
  }

  #suppress(one: Open, cause: Cause, nowMs: number): AlertEvent {
    const { parentId, because } = cause;
    const event = this.#ports.event<'suppressed'>(
      one.alertId,
      { kind: 'suppressed', parent_id: parentId, because },
      nowMs,
    );
    one.suppressed = { eventId: event.id, parentId, because, overSinceMs: undefined };
    return event;
  }

  /** The open alerts that explain this one, the highest first. */
  #parentsOf(one: Open): Open[] {
    const { subject, silence, sources } = one;
    return [...this.#open.values()].filter((other) => {
      // What is worse than its cause is not to be overlooked behind it.
      if (other === one || compareSeverity(subject.severity, other.subject.severity) < 0) return false;
      // Values of a silent device are last known, not explained; only silence explains silence.
      if (silence === 'device' && other.silence === 'line') return sources.some(this.#ports.keepsBack);
      if (silence === 'device' && subject.metric !== null && other.silence === 'device')
        return other.subject.metric === null && other.subject.device_id === subject.device_id;
      if (other.subject.rule_id === this.#ports.partOf(subject.rule_id)) return true;
      if (other.suppressed !== undefined || !this.#isSameThing(subject, other.subject)) return false;
      // Of two inverters that run hot the sensor beside them stands for one: the other speaks for itself.
      return !this.#explains(other, one) && !this.#explains(one);
    });
  }

  /**
   * Whether two alerts of one rule are about one thing that is measured twice: by the device itself, and by a sensor that
   * names it as its component (`equipment_temp_c` of an inverter, `equipment_temp_c.inverter` of a sensor beside it).
   */
  #isSameThing(a: AlertSubject, b: AlertSubject): boolean {
    if (a.rule_id !== b.rule_id || a.metric === null || b.metric === null) return false;
    if (a.device_id === null || b.device_id === null || a.device_id === b.device_id) return false;
    const [one, other] = [parseMetricId(a.metric), parseMetricId(b.metric)];
    if (one.base !== other.base) return false;
    const names = (suffix: string | undefined, deviceId: string) =>
      suffix !== undefined && suffix === this.#ports.kindOf(deviceId);
    if (other.suffix === undefined) return names(one.suffix, b.device_id);
    return one.suffix === undefined && names(other.suffix, a.device_id);
  }

  /** Whether an alert explains any other of its rule. */
  #explains({ alertId, subject }: Open, but?: Open): boolean {
    return [...this.#open.values()].some(
      (one) => one !== but && one.suppressed?.parentId === alertId && one.subject.rule_id === subject.rule_id,
    );
  }

  #causeOf(one: Open, nowMs: number): Cause | undefined {
    const [parent] = this.#parentsOf(one);
    if (parent !== undefined) return { parentId: parent.alertId, because: 'parent' };
    const { device_id: deviceId, severity } = one.subject;
    const about = { deviceId, severity, sources: one.sources };
    const work = this.#ports
      .maintenance()
      .find((planned) => isMaintenanceInForce(planned, nowMs) && maintenanceCovers(planned, about));
    return work && { parentId: work.maintenance_id, because: 'maintenance' };
  }

  /** Looks whether what keeps an alert back still does. */
  #review(one: Open, nowMs: number): AlertEvent[] {
    const { suppressed } = one;
    if (suppressed === undefined || this.#isKept(suppressed, nowMs)) return [];
    suppressed.overSinceMs ??= nowMs;
    if (suppressed.because === 'parent' && nowMs - suppressed.overSinceMs < this.#ports.graceMs) return [];
    one.suppressed = undefined;
    const next = this.#causeOf(one, nowMs);
    // Of a flood people were told; of planned work and of a parent that is over they were not told this.
    const told = next === undefined && !one.told && suppressed.because !== 'flood';
    if (next === undefined) one.told = true;
    const release = this.#ports.event<'released'>(
      one.alertId,
      { kind: 'released', suppress_event_id: suppressed.eventId, told },
      nowMs,
    );
    return next === undefined ? [release] : [release, this.#suppress(one, next, nowMs)];
  }

  #isKept({ parentId, because }: Suppressed, nowMs: number): boolean {
    if (because === 'flood') return this.#flood?.alertId === parentId;
    if (because === 'parent') return this.#open.has(parentId);
    return this.#ports
      .maintenance()
      .some((planned) => planned.maintenance_id === parentId && isMaintenanceInForce(planned, nowMs));
  }

  /** Marks alerts whose sensor went silent, and takes the mark back when it is heard. */
  #marks(nowMs: number): AlertEvent[] {
    const all = [...this.#open.values()];
    const isSilent = (deviceId: string) =>
      all.some(
        ({ silence, subject }) =>
          (silence === 'device' && subject.metric === null && subject.device_id === deviceId) ||
          (silence === 'line' && this.#ports.keepsBack(deviceId)),
      );
    return all.flatMap((one) => {
      if (one.silence !== undefined) return [];
      const silent = one.sources.some(isSilent);
      if (silent === (one.mark !== undefined)) return [];
      if (one.mark === undefined) {
        const event = this.#ports.event<'last_known'>(one.alertId, { kind: 'last_known' }, nowMs);
        one.mark = event.id;
        return [event];
      }
      const event = this.#ports.event<'heard_again'>(
        one.alertId,
        { kind: 'heard_again', mark_event_id: one.mark },
        nowMs,
      );
      one.mark = undefined;
      return [event];
    });
  }
}

/**
 * Whether people were told of an alert, or would have been: it stood alone at first, or was released and not kept back
 * again in the same moment.
 */
function wasTold({ timeline, raised_at_ms }: Alert): boolean {
  const kept = new Set(timeline.flatMap(({ kind, at_ms }) => (kind === 'suppressed' ? [at_ms] : [])));
  return !kept.has(raised_at_ms) || timeline.some(({ kind, at_ms }) => kind === 'released' && !kept.has(at_ms));
}

/** What is serious speaks for itself also in a flood. */
const canWait = ({ subject }: Open): boolean => compareSeverity(subject.severity, 'high') > 0;

function floodSubject(count: number, first: string, worst: AlertSubject['severity']): AlertSubject {
  return {
    rule_id: alertFloodRuleId,
    type: alertFloodRuleId,
    severity: compareSeverity(worst, 'high') < 0 ? 'high' : worst,
    message: 'many alerts at once',
    what: `${count} alerts within 10 minutes, the first: ${first}.`,
    why: 'So many at once mostly have one cause, and it is easy to miss the one that matters.',
    steps: [
      'Look at the first one: it is mostly the cause.',
      'Look whether the village has power.',
      'Then go through the list, worst first.',
    ],
    device_id: null,
    device_name: null,
    metric: null,
    value: count,
    limit: floodAlerts,
    unit: null,
  };
}
