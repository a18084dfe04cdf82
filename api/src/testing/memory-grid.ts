/** One grid in memory for tests of this room: real rollups from the samples it is fed, real reduction of alerts, no storage. */
import {
  compareAlerts,
  appendWindow,
  defaultLimits,
  defaultRules,
  emptyColumns,
  foldSample,
  isGridRecord,
  localDayStartMs,
  newId,
  qualityClass,
  reduceAlert,
  resolutionMs,
  seriesHasher,
  emptyDigest,
  digestHex,
  windowOf,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Clock,
  type DesiredDocument,
  type RandomSource,
  type Resolution,
  type RollupWindow,
  type Site,
} from '@villagrid/contracts';
import type { AlertQuery, DesiredPort, GridChange, GridPort } from '../ports.js';

/** A sample of a series in memory. */
interface Sample {
  readonly timeMs: number;
  readonly value: number | null;
  readonly quality: number;
}

const emptyDocument: Omit<DesiredDocument, 'grid_id' | 'name'> = {
  rev: 0,
  sha256: '',
  state: 'none',
  reason: null,
  decided_at_ms: null,
  changed_at_ms: null,
  changed_by: null,
  cause: null,
  body: {},
  lost: [],
};

/** One grid in memory, with hands to feed it. */
export class MemoryGrid implements GridPort {
  readonly gridId: string;
  readonly origin: AlertEvent['origin'];
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #series = new Map<string, Sample[]>();
  readonly #events: AlertEvent[] = [];
  readonly #listeners = new Set<(change: GridChange) => void>();
  readonly #links = new Map<string, 'up' | 'down'>();
  #site: Site;
  #reportedMs: number | null = null;
  /** Documents that nobody ever changed. */
  readonly desired: DesiredPort = {
    list: () => [],
    get: (name) => ({ ...emptyDocument, grid_id: this.gridId, name }),
    history: () => [],
    put: async (name) => ({ ok: true, document: { ...emptyDocument, grid_id: this.gridId, name } }),
  };
  bands: Record<string, { low?: number; high?: number }> = {};

  constructor(site: Site, { clock, random }: { clock: Clock; random: RandomSource }) {
    this.gridId = site.grid_id;
    this.origin = { kind: 'gateway', id: site.gateway_id };
    this.#site = site;
    this.#clock = clock;
    this.#random = random;
  }

  /** Feeds samples of one device at a time (now when left out) and tells subscribers. */
  feed(
    deviceId: string,
    values: Readonly<Record<string, number | null>>,
    timeMs = this.#clock.nowMs(),
    quality = 0,
  ): void {
    for (const [metric, value] of Object.entries(values)) {
      const key = `${deviceId} ${metric}`;
      const samples = this.#series.get(key) ?? [];
      samples.push({ timeMs: Math.floor(timeMs), value, quality });
      samples.sort((a, b) => a.timeMs - b.timeMs);
      this.#series.set(key, samples);
    }
    this.#reportedMs = Math.max(this.#reportedMs ?? 0, Math.floor(timeMs));
    this.#tell({ type: 'samples', series: Object.keys(values).map((metric) => ({ deviceId, metric })) });
  }

  /** Gives a device its whole past at once: times in order, a column of values per metric. Tells nobody. */
  fill(
    deviceId: string,
    times: readonly number[],
    columns: Readonly<Record<string, readonly (number | null)[]>>,
  ): void {
    for (const [metric, values] of Object.entries(columns))
      this.#series.set(
        `${deviceId} ${metric}`,
        times.map((timeMs, at) => ({ timeMs, value: values[at] ?? null, quality: 0 })),
      );
    this.#reportedMs = Math.max(this.#reportedMs ?? 0, times.at(-1) ?? 0);
  }

  /** Raises an alert; returns its id. */
  raise(subject: Partial<AlertSubject> = {}, atMs = this.#clock.nowMs()): string {
    const alertId = newId(atMs, this.#random);
    this.#store({
      id: newId(atMs, this.#random),
      alert_id: alertId,
      grid_id: this.gridId,
      at_ms: Math.floor(atMs),
      origin: this.origin,
      kind: 'raised',
      subject: {
        rule_id: 'high_equipment_temperature',
        type: 'high_equipment_temperature',
        severity: 'high',
        message: 'high temperature on equipment',
        what: 'Cabinet has 75.25 °C; the limit is 60 °C.',
        why: 'Hot equipment stops to protect itself.',
        steps: ['Check that fans turn.', 'Switch off big loads.'],
        device_id: 'cabinet',
        device_name: 'Cabinet',
        metric: 'equipment_temp_c',
        value: 75.25,
        limit: 60,
        unit: '°C',
        ...subject,
      },
    });
    return alertId;
  }

  /** Ends an alert. */
  clear(alertId: string, atMs = this.#clock.nowMs()): void {
    this.#store({
      id: newId(atMs, this.#random),
      alert_id: alertId,
      grid_id: this.gridId,
      at_ms: Math.floor(atMs),
      origin: this.origin,
      kind: 'cleared',
      value: null,
    });
  }

  /** Says what the link tells of a device. */
  setLink(deviceId: string, state: 'up' | 'down'): void {
    this.#links.set(deviceId, state);
    this.#tell({ type: 'device', deviceId });
  }

  /** Changes the site document. */
  setSite(site: Site): void {
    this.#site = site;
    this.#tell({ type: 'site' });
  }

  #store(event: AlertEvent): void {
    if (this.#events.some(({ id }) => id === event.id)) return;
    this.#events.push(event);
    this.#tell(isGridRecord(event) ? { type: 'site' } : { type: 'alert', alertId: event.alert_id });
  }

  #tell(change: GridChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  get subscribers(): number {
    return this.#listeners.size;
  }

  site = () => this.#site;
  latest = (deviceId: string, metric: string) => this.#series.get(`${deviceId} ${metric}`)?.at(-1);
  metricsOf = (deviceId: string) =>
    [...this.#series.keys()].filter((key) => key.startsWith(`${deviceId} `)).map((key) => key.split(' ')[1] as string);
  link = (deviceId: string) => this.#links.get(deviceId);
  lastReportedMs = () => this.#reportedMs;
  limits = () => this.bands;
  rules = () => defaultRules(defaultLimits(this.#site.plant), this.#site);

  async windows(deviceId: string, metric: string, resolution: Resolution, fromMs: number, toMs: number) {
    const windows = new Map<number, RollupWindow>();
    for (const { timeMs, value, quality } of this.#series.get(`${deviceId} ${metric}`) ?? []) {
      if (value === null || qualityClass(quality) === 'bad') continue;
      const width = resolutionMs[resolution];
      const start = resolution === '1d' ? localDayStartMs(this.#site.zone, timeMs) : Math.floor(timeMs / width) * width;
      if (start < fromMs || start >= toMs) continue;
      const window = windows.get(start);
      if (window === undefined) windows.set(start, windowOf(start, timeMs, value));
      else foldSample(window, timeMs, value);
    }
    const columns = emptyColumns();
    for (const window of [...windows.values()].sort((a, b) => a.startMs - b.startMs)) appendWindow(columns, window);
    return columns;
  }

  async raw(deviceId: string, metric: string, fromMs: number, toMs: number) {
    const samples = (this.#series.get(`${deviceId} ${metric}`) ?? []).filter(
      ({ timeMs }) => timeMs >= fromMs && timeMs < toMs,
    );
    return {
      t: samples.map(({ timeMs }) => timeMs),
      value: samples.map(({ value }) => value),
      quality: samples.map(({ quality }) => quality),
    };
  }

  /** What a cloud could prove; a test may give it. */
  proof?: NonNullable<GridPort['proof']>;
  /** The link of a gateway to its cloud; a test may give it. */
  uplink?: NonNullable<GridPort['uplink']>;

  async completeness(untilMs: number) {
    const series = [...this.#series].map(([key, samples]) => {
      const [deviceId, metric] = key.split(' ') as [string, string];
      const digest = emptyDigest();
      const add = seriesHasher(deviceId, metric);
      for (const sample of samples)
        if (sample.timeMs < untilMs) add(digest, sample.timeMs, sample.value, sample.quality);
      return { deviceId, metric, count: digest.count, hash: digestHex(digest) };
    });
    return { epoch: null, completeUntilNumber: null, series };
  }

  #reduced(): Alert[] {
    const byAlert = group(this.#events);
    return [...byAlert.values()].map(reduceAlert).filter((alert) => alert !== undefined);
  }

  async alerts({ status, raised, ruleId, mostResolved }: AlertQuery) {
    const found = this.#reduced()
      .filter((alert) => status === undefined || alert.status === status)
      .filter((alert) => ruleId === undefined || alert.rule_id === ruleId)
      .filter(
        ({ raised_at_ms }) => raised === undefined || (raised_at_ms >= raised.fromMs && raised_at_ms < raised.toMs),
      )
      .sort(compareAlerts);
    // As the stores: of what is over the newest, unless a time is asked for.
    let left = mostResolved ?? (raised === undefined ? 2000 : Number.POSITIVE_INFINITY);
    return found.filter((alert) => alert.status === 'active' || (left -= 1) >= 0);
  }

  async alert(alertId: string) {
    return this.#reduced().find((alert) => alert.alert_id === alertId);
  }

  records = async () => this.#events.filter(isGridRecord);

  async append(event: AlertEvent) {
    this.#store(event);
  }

  subscribe(listener: (change: GridChange) => void) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

function group(events: readonly AlertEvent[]): Map<string, AlertEvent[]> {
  const map = new Map<string, AlertEvent[]>();
  for (const event of events) map.set(event.alert_id, [...(map.get(event.alert_id) ?? []), event]);
  return map;
}
