/**
 * Small ports in memory for tests of this room: real rollups from the samples it is fed, real reduction of alerts, no
 * storage. Not a stand-in for gateway or cloud in their own tests.
 */
import {
  appendWindow,
  emptyColumns,
  foldSample,
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
  type Health,
  type Principal,
  type RandomSource,
  type Resolution,
  type Role,
  type RollupWindow,
  type Site,
} from '@villagrid/contracts';
import type { ApiPorts, AuthPort, GridChange, GridPort } from '../ports.js';

/** A sample of a series in memory. */
interface Sample {
  readonly timeMs: number;
  readonly value: number | null;
  readonly quality: number;
}

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
    this.#tell({ type: 'alert', alertId: event.alert_id });
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

  async alerts({ status }: { readonly status?: 'active' | 'resolved' }) {
    return this.#reduced()
      .filter((alert) => status === undefined || alert.status === status)
      .sort((a, b) => b.raised_at_ms - a.raised_at_ms);
  }

  async alert(alertId: string) {
    return this.#reduced().find((alert) => alert.alert_id === alertId);
  }

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

/** A person of the test. */
export interface MemoryPerson {
  readonly principal: Principal;
  readonly password: string;
}

/** Makes a person with one role; `gridId` undefined gives it everywhere. */
export function memoryPerson(username: string, role: Role, gridId?: string): MemoryPerson {
  return {
    password: `pass-${username}`,
    principal: {
      user_id: `id-${username}`,
      username,
      display_name: `${username} by name`,
      grants: [{ role, scope: gridId === undefined ? { kind: 'everything' } : { kind: 'grid', grid_id: gridId } }],
    },
  };
}

/** Accounts in memory. */
export class MemoryAuth implements AuthPort {
  readonly #people: readonly MemoryPerson[];
  readonly #random: RandomSource;
  readonly tokens = new Map<string, Principal>();

  constructor(people: readonly MemoryPerson[], random: RandomSource) {
    this.#people = people;
    this.#random = random;
  }

  async login(username: string, password: string) {
    const person = this.#people.find(({ principal }) => principal.username === username);
    if (person === undefined || person.password !== password) return undefined;
    const token = Buffer.from(this.#random.bytes(24)).toString('base64url');
    this.tokens.set(token, person.principal);
    return { token, expiresInS: 3600, principal: person.principal };
  }

  authenticate = async (token: string) => this.tokens.get(token);
  logout = async (token: string) => void this.tokens.delete(token);
}

/** Everything `fakePorts` needs. */
export interface FakePortsOptions {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly sites: readonly Site[];
  readonly people: readonly MemoryPerson[];
  readonly kind?: 'gateway' | 'cloud';
}

/** The ports in memory, with the hands behind them. */
export interface FakePorts extends ApiPorts {
  readonly auth: MemoryAuth;
  grid(gridId: string): MemoryGrid;
  setHealth(status: Health['status']): void;
}

/** Builds ports in memory for some sites and people. A gateway's own grid is the first site. */
export function fakePorts({ clock, random, sites, people, kind = 'gateway' }: FakePortsOptions): FakePorts {
  const grids = new Map(sites.map((site) => [site.grid_id, new MemoryGrid(site, { clock, random })]));
  let status: Health['status'] = 'ok';
  return {
    identity: {
      kind,
      serverId: kind === 'gateway' ? (sites[0]?.gateway_id ?? 'gw') : 'cloud',
      version: '0.1.0',
      gridId: kind === 'gateway' ? (sites[0]?.grid_id ?? null) : null,
      clockTrust: () => 'ntp',
    },
    auth: new MemoryAuth(people, random),
    grids: {
      list: () => [...grids.values()],
      get: (gridId) => grids.get(gridId),
      gridOfAlert: async (alertId) => {
        for (const grid of grids.values()) if ((await grid.alert(alertId)) !== undefined) return grid.gridId;
        return undefined;
      },
    },
    health: {
      check: async () => ({ status, checks: [{ name: 'memory', ok: status !== 'down', detail: 'in memory' }] }),
      prometheus: () => 'villagrid_memory 1\n',
    },
    grid: (gridId) => {
      const grid = grids.get(gridId);
      if (grid === undefined) throw new RangeError(`no grid ${gridId} in this test`);
      return grid;
    },
    setHealth: (next) => {
      status = next;
    },
  };
}

/** A small site for tests: a battery, an inverter, two meters that add up, a cabinet sensor. */
export function memorySite(gridId: string, more: Partial<Site> = {}): Site {
  const device = (device_id: string, kind: Site['devices'][number]['kind'], period_s = 10) => ({
    device_id,
    name: `${device_id} of ${gridId}`,
    kind,
    protocol: 'mqtt' as const,
    period_s,
    expected: device_id !== 'spare',
  });
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
  return {
    grid_id: gridId,
    gateway_id: `gw-${gridId}`,
    name: `Village ${gridId}`,
    zone: 'Africa/Nairobi',
    plant: { pv_kwp: 20, battery_kwh: 60, battery_floor_pct: 20, has_genset: false, has_mains: false },
    devices: [
      device('meter-a', 'meter'),
      device('meter-b', 'meter'),
      device('inverter', 'inverter'),
      device('battery', 'battery'),
      device('cabinet', 'sensor'),
      device('spare', 'sensor'),
    ],
    wiring: {
      consumption_kw: {
        terms: [
          { device_id: 'meter-a', metric: 'consumption_kw', factor: 1 },
          { device_id: 'meter-b', metric: 'consumption_kw', factor: 1 },
        ],
      },
      generation_kw: wire('inverter', 'generation_kw'),
      ac_output_voltage_v: wire('inverter', 'ac_output_voltage_v'),
      battery_soc_pct: wire('battery', 'battery_soc_pct'),
      battery_power_kw: wire('battery', 'battery_power_kw'),
      irradiance_w_m2: wire('cabinet', 'irradiance_w_m2'),
      'equipment_temp_c.cabinet': wire('cabinet', 'equipment_temp_c'),
      'equipment_temp_c.inverter': wire('inverter', 'equipment_temp_c.inverter'),
    },
    ...more,
  };
}
