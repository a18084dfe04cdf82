/**
 * A plausible village for developing and for pictures of states that a real one does not show on demand. It computes
 * the same documents a server gives; numbers agree with each other (in = out + losses).
 */
import type {
  AlertView,
  DeviceView,
  FigureView,
  GridState,
  HandOverView,
  History,
  MaintenanceView,
  Report,
  Summary,
} from '@villagrid/contracts';
import {
  chooseResolution,
  denseQuarters,
  emptyColumns,
  integratedQuarters,
  localPeriod,
  makeReport,
  metricDefinition,
  periodsMs,
  quarterRaster,
  quarterStartMs,
  resolutionMs,
} from '@villagrid/contracts';

/** States of the village that screens must be able to show. */
export type Scenario = 'normal' | 'alert' | 'stale' | 'dark' | 'empty' | 'many' | 'young';

const zone = 'Africa/Nairobi';
const hour = 3_600_000;

/** Kilowatts of the village at an hour of the local day: two peaks, a mill at noon. */
function load(localHour: number, seed: number): number {
  const bump = (centre: number, width: number, height: number) =>
    height * Math.exp(-(((localHour - centre) / width) ** 2));
  const ripple = 0.25 * Math.sin(localHour * 9.7 + seed) + 0.18 * Math.sin(localHour * 23.1 + seed * 2);
  return Math.max(1.2, 2.9 + bump(7, 1.4, 2.1) + bump(12.6, 1.1, 2.6) + bump(19.7, 2.1, 6.2) + ripple);
}
/** Share of clear sky at an hour: one half sine with moving clouds. */
function sun(localHour: number, seed: number): number {
  const height = Math.sin(((localHour - 6.2) / 12.1) * Math.PI);
  if (localHour < 6.2 || localHour > 18.3) return 0;
  const cloud = 0.86 + 0.14 * Math.sin(localHour * 7.3 + seed) * Math.sin(localHour * 19 + seed);
  return Math.max(0, height) * Math.min(1, cloud);
}

/** One village at any moment. */
export interface Moment {
  readonly consumption: number;
  readonly generation: number;
  readonly battery: number;
  readonly soc: number;
  readonly irradiance: number;
  readonly ambient: number;
  readonly humidity: number;
}

export class Village {
  readonly id: string;
  readonly name: string;
  scenario: Scenario;
  readonly #nowMs: () => number;
  readonly #seed: number;
  #overrides: Record<string, number> = {};
  readonly alerts: AlertView[] = [];
  works: MaintenanceView[] = [];
  handOver: HandOverView['notes'] = [];
  readonly kind: 'gateway' | 'cloud';

  constructor(options: {
    id: string;
    name: string;
    scenario: Scenario;
    nowMs: () => number;
    seed: number;
    kind: 'gateway' | 'cloud';
  }) {
    this.id = options.id;
    this.name = options.name;
    this.scenario = options.scenario;
    this.#nowMs = options.nowMs;
    this.#seed = options.seed;
    this.kind = options.kind;
    const now = options.nowMs();
    if (this.scenario === 'alert') {
      this.raise({
        severity: 'high',
        rule: 'high_equipment_temperature',
        message: 'high temperature on equipment',
        what: 'Inverter 1 has 68 °C; the limit is 60 °C.',
        why: 'Hot equipment stops to protect itself, and ages faster. If it stops, the village goes dark.',
        steps: [
          'Check that fans turn and air can flow; clear dust and things that stand in the way.',
          'Switch off big loads until it has cooled.',
          'Do not open the cabinet while it is under voltage.',
          'If it keeps rising, call your technician.',
        ],
        device: ['inverter-1', 'Inverter 1'],
        metric: 'equipment_temp_c.inverter-1',
        value: 68,
        limit: 60,
        unit: '°C',
        atMs: now - 14 * 60_000,
      });
      const meteo = this.raise({
        severity: 'medium',
        rule: 'device_silent',
        message: 'device is silent',
        what: 'Meteo node has sent nothing for 41 min.',
        why: 'Irradiance, ambient temperature and humidity are not measured.',
        steps: ['Look whether its lamp is on.', 'Press its button for a restart.'],
        device: ['meteo', 'Meteo node'],
        metric: null,
        value: null,
        limit: null,
        unit: null,
        atMs: now - 41 * 60_000,
      });
      this.acknowledge(meteo, 'ACK0', 'Amina', null, now - 30 * 60_000);
    }
    if (this.scenario === 'dark')
      this.raise({
        severity: 'critical',
        rule: 'no_ac_voltage',
        message: 'inverter stopped: overload',
        what: 'The line has 0 V since the inverter stopped.',
        why: 'Clinic and fridges have no power.',
        steps: [
          'Switch off the mill and the pump.',
          'Wait five minutes, then start the inverter.',
          'Call your technician if it stops again.',
        ],
        device: ['inverter-1', 'Inverter 1'],
        metric: 'ac_output_voltage_v',
        value: 0,
        limit: 196,
        unit: 'V',
        atMs: now - 95 * 60_000,
      });
    if (this.scenario !== 'empty' && this.scenario !== 'young') {
      const old = this.raise({
        severity: 'medium',
        rule: 'low_battery',
        message: 'battery is low',
        what: 'The battery holds 29 %; the limit is 30 %.',
        why: 'Without sun the village may go dark before morning.',
        steps: ['Ask people to switch off what they do not need.'],
        device: null,
        metric: 'battery_soc_pct',
        value: 29,
        limit: 30,
        unit: '%',
        atMs: now - 29 * hour,
      });
      this.acknowledge(old, 'ACK1', 'Juma', 'told the mill', now - 28.5 * hour);
      this.clear(old, now - 26 * hour);
    }
  }

  override(metric: string, value: number): void {
    this.#overrides[metric] = value;
  }

  raise(o: {
    severity: AlertView['severity'];
    rule: string;
    message: string;
    what: string;
    why: string;
    steps: string[];
    device: readonly [string, string] | null;
    metric: string | null;
    value: number | null;
    limit: number | null;
    unit: string | null;
    atMs: number;
  }): AlertView {
    const prefix = `01J${this.id.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')}`;
    const alert_id = prefix + String(this.alerts.length).padStart(26 - prefix.length, '0');
    const alert = {
      alert_id,
      id: alert_id,
      grid_id: this.id,
      rule_id: o.rule,
      type: o.rule,
      severity: o.severity,
      message: o.message,
      what: o.what,
      why: o.why,
      steps: o.steps,
      recommended_action: o.steps.join(' '),
      device_id: o.device?.[0] ?? null,
      device_name: o.device?.[1] ?? null,
      metric: o.metric,
      value: o.value,
      limit: o.limit,
      unit: o.unit,
      status: 'active',
      acknowledged: false,
      acknowledged_by: null,
      acknowledged_at_ms: null,
      seen_after_clearing: false,
      raised_at_ms: o.atMs,
      cleared_at_ms: null,
      assignee: null,
      shelved_until_ms: null,
      shelved_reason: null,
      suppressed_by: null,
      suppressed_because: null,
      last_known_since_ms: null,
      notes: [],
      timeline: [
        {
          event_id: `${alert_id}-raised`,
          kind: 'raised',
          at_ms: o.atMs,
          actor: null,
          note: null,
          about: null,
          until_ms: null,
          origin: { kind: 'gateway', id: `gw-${this.id}` },
        },
      ],
    } satisfies AlertView;
    this.alerts.unshift(alert);
    return alert;
  }
  #replace(alert: AlertView, change: Partial<AlertView>, entry: AlertView['timeline'][number]): AlertView {
    const current = this.alerts.find((one) => one.alert_id === alert.alert_id) ?? alert;
    if (current.timeline.some((one) => one.event_id === entry.event_id)) return current;
    const next = { ...current, ...change, timeline: [...current.timeline, entry].sort((a, b) => a.at_ms - b.at_ms) };
    this.alerts[this.alerts.indexOf(current)] = next;
    return next;
  }
  /** Given to somebody, paused, or its pause ended. */
  change(
    alert: AlertView,
    kind: 'assigned' | 'shelved' | 'unshelved',
    change: Partial<AlertView>,
    said: Pick<AlertView['timeline'][number], 'event_id' | 'at_ms' | 'note' | 'about' | 'until_ms'>,
  ): AlertView {
    const origin = { kind: 'gateway', id: `gw-${this.id}` } as const;
    return this.#replace(alert, change, { ...said, kind, actor: { user_id: 'amina', name: 'Amina' }, origin });
  }
  acknowledge(alert: AlertView, actId: string, name: string, note: string | null, atMs: number): AlertView {
    const actor = { user_id: name.toLowerCase(), name };
    const first = alert.acknowledged ? {} : { acknowledged: true, acknowledged_by: actor, acknowledged_at_ms: atMs };
    return this.#replace(alert, first, {
      event_id: actId,
      kind: 'acknowledged',
      at_ms: atMs,
      actor,
      note,
      about: null,
      until_ms: null,
      origin: { kind: this.kind, id: 'stub' },
    });
  }
  note(alert: AlertView, actId: string, name: string, note: string, atMs: number): AlertView {
    return this.#replace(
      alert,
      {},
      {
        event_id: actId,
        kind: 'noted',
        at_ms: atMs,
        actor: { user_id: name.toLowerCase(), name },
        note,
        about: null,
        until_ms: null,
        origin: { kind: this.kind, id: 'stub' },
      },
    );
  }
  clear(alert: AlertView, atMs: number): AlertView {
    return this.#replace(
      alert,
      { status: 'resolved', cleared_at_ms: atMs },
      {
        event_id: `${alert.alert_id}-cleared`,
        kind: 'cleared',
        at_ms: atMs,
        actor: null,
        note: null,
        about: null,
        until_ms: null,
        origin: { kind: 'gateway', id: `gw-${this.id}` },
      },
    );
  }

  /** The village at a time. Charge is the integral of a day's balance, near enough for a picture. */
  at(timeMs: number): Moment {
    const local = ((timeMs + 3 * hour) % 86_400_000) / hour;
    const seed = this.#seed;
    const off = this.scenario === 'dark' && timeMs > this.#nowMs() - 95 * 60_000;
    const consumption = off ? 0 : load(local, seed);
    const strength = sun(local, seed);
    const generation = 21 * strength;
    const balance = generation * 0.97 - consumption * 1.03;
    const soc = 62 + 24 * Math.sin(((local - 11.2) / 24) * 2 * Math.PI) + 3 * Math.sin(local + seed);
    return {
      consumption,
      generation,
      battery: balance,
      soc: Math.min(98, Math.max(21, soc)),
      irradiance: strength * 960,
      ambient: 23 + 6.5 * Math.sin(((local - 9) / 24) * 2 * Math.PI),
      humidity: 62 - 18 * Math.sin(((local - 9) / 24) * 2 * Math.PI),
    };
  }
  /** Value of a figure at a time; null when it was not measured then. */
  value(metric: string, timeMs: number): number | null {
    const now = this.#nowMs();
    if (this.scenario === 'empty') return null;
    if (this.scenario === 'young' && timeMs < now - 2.2 * hour) return null;
    if (this.scenario === 'alert' && timeMs > now - 13.2 * hour && timeMs < now - 9.7 * hour) return null;
    const meteo = ['irradiance_w_m2', 'ambient_temp_c', 'humidity_pct'].includes(metric);
    if (meteo && this.scenario === 'alert' && timeMs > now - 41 * 60_000) return null;
    const m = this.at(timeMs);
    const wobble = Math.sin(timeMs / 7_000 + metric.length) + 0.6 * Math.sin(timeMs / 2_900);
    const voltage = 50.4 + (m.soc - 50) * 0.06 + m.battery * 0.05;
    switch (metric) {
      case 'consumption_kw':
        return m.consumption;
      case 'generation_kw':
        return m.generation;
      case 'battery_power_kw':
        return m.battery;
      case 'battery_soc_pct':
        return m.soc;
      case 'dc_bus_voltage_v':
        return voltage;
      case 'dc_bus_current_a':
        return (m.battery * 1000) / voltage;
      case 'ac_output_voltage_v':
        return m.consumption === 0 ? 0 : 230 + wobble;
      case 'ac_frequency_hz':
        return m.consumption === 0 ? 0 : 50 + wobble * 0.02;
      case 'grid_tie_enabled':
        return 0;
      case 'grid_tie_connected':
        return 0;
      case 'genset_power_kw':
        return 0;
      case 'equipment_temp_c.inverter-1': {
        const hot = this.scenario === 'alert' ? Math.max(0, 30 - (now - timeMs) / 120_000) : 0;
        return 38 + m.consumption * 0.9 + m.generation * 0.4 + hot;
      }
      case 'equipment_temp_c.battery':
        return 27 + Math.abs(m.battery) * 0.35;
      case 'equipment_temp_c.cabinet':
        return m.ambient + 7;
      case 'irradiance_w_m2':
        return m.irradiance;
      case 'ambient_temp_c':
        return m.ambient;
      case 'humidity_pct':
        return m.humidity;
      default:
        return null;
    }
  }
  static readonly metrics = [
    'consumption_kw',
    'generation_kw',
    'battery_soc_pct',
    'battery_power_kw',
    'dc_bus_voltage_v',
    'dc_bus_current_a',
    'ac_output_voltage_v',
    'ac_frequency_hz',
    'grid_tie_enabled',
    'grid_tie_connected',
    'genset_power_kw',
    'equipment_temp_c.inverter-1',
    'equipment_temp_c.battery',
    'equipment_temp_c.cabinet',
    'irradiance_w_m2',
    'ambient_temp_c',
    'humidity_pct',
  ] as const;

  figures(): Record<string, FigureView> {
    const now = this.#nowMs();
    const out: Record<string, FigureView> = {};
    for (const metric of Village.metrics) {
      const meteo = ['irradiance_w_m2', 'ambient_temp_c', 'humidity_pct'].includes(metric);
      const lag =
        this.scenario === 'stale'
          ? 3 * hour
          : meteo && this.scenario === 'alert'
            ? 41.2 * 60_000
            : meteo && this.scenario === 'normal'
              ? 4 * 60_000
              : 2000;
      const time =
        this.scenario === 'empty' || (this.scenario === 'young' && metric === 'humidity_pct') ? null : now - lag;
      const raw = time === null ? null : (this.#overrides[metric] ?? this.value(metric, time));
      const definition = metricDefinition(metric);
      out[metric] = {
        value: raw === null ? null : Math.round(raw * 1000) / 1000,
        unit: definition?.unit ?? '',
        label: definition?.label ?? metric,
        time_ms: time,
        age_s: time === null ? null : (now - time) / 1000,
        quality: 'good',
        freshness: 'live',
        period_s: 5,
        sources: [
          {
            device_id: meteo ? 'meteo' : metric.includes('inverter') ? 'inverter-1' : 'meter',
            metric: metric.split('.')[0] ?? metric,
          },
        ],
        fallback: false,
      };
    }
    return out;
  }
  summary(): Summary {
    const now = this.#nowMs();
    const figures = this.figures();
    const open = this.alerts.filter(({ status }) => status === 'active');
    const soc = figures.battery_soc_pct?.value ?? null;
    const power = figures.battery_power_kw?.value ?? 0;
    const hours = soc === null || power >= -0.01 ? null : (((soc - 20) / 100) * 160) / -power;
    const order = ['critical', 'high', 'medium', 'low'] as const;
    const none = this.scenario === 'empty';
    const stale = this.scenario === 'stale';
    return {
      grid_id: this.id,
      name: this.name,
      zone,
      now_ms: now,
      source: {
        kind: this.kind,
        id: this.kind === 'cloud' ? 'cloud' : `gw-${this.id}`,
        clock_trust: 'ntp',
        last_reported_ms: none ? null : now - (stale ? 3 * hour : 1500),
      },
      figures,
      verdict: {
        power: none || stale ? 'unknown' : this.scenario === 'dark' ? 'off' : 'powered',
        battery_soc_pct: stale ? null : soc,
        empty_at_ms: hours === null ? null : Math.round(now + hours * hour),
        charging: none ? null : power > 0,
        open_alerts: open.length,
        worst_severity: order.find((one) => open.some(({ severity }) => severity === one)) ?? null,
      },
      today: {
        from_ms: now - ((now + 3 * hour) % 86_400_000),
        generation_kwh: none ? null : 124.3,
        consumption_kwh: none ? null : 85.42,
        battery_charge_kwh: none ? null : 32.8,
        battery_discharge_kwh: none ? null : 18.41,
        without_power_min: none ? null : this.scenario === 'dark' ? 95 : 0,
        completeness_pct: none ? null : this.scenario === 'alert' ? 75.4 : 100,
      },
      devices: {
        seen: this.devices().filter(({ link_state }) => link_state === 'connected').length,
        total: this.devices().length,
      },
      plant: { pv_kwp: 30, battery_kwh: 160, battery_floor_pct: 20, has_genset: true, has_mains: false },
      maintenance: this.works,
      limits: {
        ac_output_voltage_v: { low: 196, high: 253 },
        'equipment_temp_c.inverter-1': { high: 60 },
        equipment_temp_c: { high: 60 },
        dc_bus_voltage_v: { low: 44, high: 58 },
        consumption_kw: { high: 14 },
        battery_soc_pct: { low: 30 },
      },
    };
  }
  gridState(): GridState {
    const { verdict, source } = this.summary();
    const worst = this.alerts
      .filter(({ status }) => status === 'active')
      .sort(
        (a, b) =>
          ['critical', 'high', 'medium', 'low'].indexOf(a.severity) -
          ['critical', 'high', 'medium', 'low'].indexOf(b.severity),
      )[0];
    return {
      grid_id: this.id,
      name: this.name,
      organisation_id: null,
      zone,
      power: verdict.power,
      reachable: this.scenario !== 'stale' && this.scenario !== 'empty',
      last_reported_ms: source.last_reported_ms,
      battery_soc_pct: this.scenario === 'stale' ? 63 : verdict.battery_soc_pct,
      open_alerts: verdict.open_alerts,
      worst_severity: worst?.severity ?? null,
      worst_message: worst?.message ?? null,
      worst_rule_id: worst?.rule_id ?? null,
      worst_since_ms: worst?.raised_at_ms ?? null,
      worst_acknowledged: worst?.acknowledged ?? false,
      worst_paused_until_ms: worst?.shelved_until_ms ?? null,
      state: verdict.power,
      needs:
        this.scenario === 'stale'
          ? ['silent']
          : worst !== undefined && (worst.severity === 'critical' || worst.severity === 'high') && !worst.acknowledged
            ? ['alert']
            : [],
    };
  }
  devices(): DeviceView[] {
    if (this.scenario === 'empty') return [];
    const now = this.#nowMs();
    const make = (
      device_id: string,
      name: string,
      kind: string,
      protocol: string,
      location: string | null,
      metrics: string[],
    ): DeviceView => {
      const silent = this.scenario === 'stale' || (device_id === 'meteo' && this.scenario === 'alert');
      const seen = now - (silent ? (this.scenario === 'stale' ? 3 * hour : 41 * 60_000) : 2000);
      return {
        device_id,
        name,
        kind,
        protocol,
        location,
        link_state: silent ? 'offline' : 'connected',
        last_seen_ms: seen,
        ...(protocol === 'modbus'
          ? { link: { line: '/dev/rs485', latency_ms: 38, error_rate: silent ? 1 : 0.02, trouble: null } }
          : {}),
        period_s: 5,
        expected: true,
        metrics: metrics.map((metric) => ({
          metric,
          unit: metricDefinition(metric)?.unit ?? '',
          value: this.value(metric, seen),
          time_ms: seen,
          quality: 'good',
        })),
      };
    };
    return [
      make('inverter-1', 'Inverter 1', 'inverter', 'modbus', 'Powerhouse, left wall', [
        'generation_kw',
        'equipment_temp_c.inverter-1',
      ]),
      make('meter', 'Village meter', 'meter', 'modbus', 'Powerhouse', [
        'consumption_kw',
        'ac_output_voltage_v',
        'ac_frequency_hz',
      ]),
      make('battery', 'Battery monitor', 'battery', 'modbus', 'Battery room', [
        'battery_soc_pct',
        'dc_bus_voltage_v',
        'dc_bus_current_a',
        'equipment_temp_c.battery',
      ]),
      make('meteo', 'Meteo node', 'weather', 'mqtt', 'Roof of the school', [
        'irradiance_w_m2',
        'ambient_temp_c',
        'humidity_pct',
      ]),
      make('cabinet', 'Cabinet node', 'sensor', 'mqtt', 'Cabinet', ['equipment_temp_c.cabinet']),
      make('tie', 'Grid tie switch', 'switch', 'mqtt', null, ['grid_tie_enabled', 'grid_tie_connected']),
    ];
  }
  /** The report the formulas make of this village's values, with the power gone for 40 minutes two evenings ago. */
  report(query: URLSearchParams): Report {
    const now = this.#nowMs();
    const period = (query.get('period') ?? 'day') as 'day' | 'month' | 'year';
    const { fromMs, toMs } = localPeriod(zone, period, Number(query.get('date') ?? now));
    // Nobody needs a year of a stub: it was commissioned six weeks ago.
    const bornMs = now - 42 * 24 * hour;
    const raster = quarterRaster(zone, Math.min(fromMs, bornMs), Math.max(fromMs + 1, Math.min(toMs, now)));
    const outMs = localPeriod(zone, 'day', now - 48 * hour).fromMs + 20 * hour;
    const silent = (timeMs: number) => timeMs >= outMs - 30 * hour && timeMs < outMs - 25 * hour;
    const column = (metric: string) => {
      const windows = emptyColumns();
      for (let at = 0; at < raster.length; at += 1) {
        const timeMs = quarterStartMs(raster, at);
        const value = timeMs < bornMs || timeMs > now || silent(timeMs) ? null : this.value(metric, timeMs);
        if (value === null) continue;
        windows.t.push(timeMs);
        for (const key of ['min', 'mean', 'max', 'last'] as const) windows[key].push(value);
        windows.count.push(90);
      }
      return denseQuarters(raster, windows, 10);
    };
    const generation = column('generation_kw');
    const consumption = column('consumption_kw');
    const irradiance = column('irradiance_w_m2');
    const perKilowatt = { ...irradiance, mean: irradiance.mean.map((value) => value / 1000) };
    const sinceMs = Math.max(fromMs, bornMs);
    const spans = [];
    for (let timeMs = sinceMs; timeMs < Math.min(toMs, now); timeMs += 5 * 60_000)
      if (!silent(timeMs))
        spans.push({
          fromMs: timeMs,
          toMs: timeMs + 5 * 60_000,
          voltageV: timeMs >= outMs && timeMs < outMs + 40 * 60_000 ? 0 : 230,
          frequencyHz: null,
        });
    const figures = makeReport({
      grid: {
        gridId: this.id,
        name: this.name,
        plant: { pv_kwp: 20, battery_kwh: 60, battery_floor_pct: 20, has_genset: false, has_mains: false },
      },
      raster,
      period,
      fromMs,
      toMs,
      nowMs: now,
      by: (query.get('by') ?? (period === 'day' ? 'hour' : 'day')) as 'hour' | 'day' | 'month',
      amounts: {
        generation: integratedQuarters(raster, generation),
        consumption: integratedQuarters(raster, consumption),
        irradiation: integratedQuarters(raster, perKilowatt, 'positive'),
      },
      columns: { generation, consumption, irradiance, air: column('ambient_temp_c'), soc: column('battery_soc_pct') },
      irradianceInPlane: false,
      spans,
      nominalV: 230,
      nominalHz: 50,
      causes: ['battery_empty'],
    });
    return {
      ...figures,
      alert_load: {
        from_ms: fromMs,
        to_ms: Math.min(toMs, now),
        days: (Math.min(toMs, now) - fromMs) / 86_400_000,
        alerts: 61,
        suppressed: 14,
        per_day: 6.1,
        most_per_day: 13,
        per_night: 0.7,
        peak_10_min: { count: 9, from_ms: fromMs },
        flood_share: 0,
        by_severity: { critical: 2, high: 11, medium: 30, low: 18 },
        worst_rules: [
          { rule_id: 'high_consumption', message: 'unusual load increase', count: 31, share: 0.51 },
          { rule_id: 'low_battery', message: 'battery is low', count: 12, share: 0.2 },
        ],
        chattering: [{ rule_id: 'high_consumption', message: 'unusual load increase', device_name: null, count: 31 }],
        standing: this.alerts.filter(({ status }) => status === 'active').length,
        stale: 1,
        median_seen_ms: 26 * 60_000,
        judgement: 'fair',
      },
    };
  }
  history(metricList: string, query: URLSearchParams): History {
    const now = this.#nowMs();
    const to = Number(query.get('to') ?? now);
    const from = Number(
      query.get('from') ?? to - (periodsMs[(query.get('period') ?? '24h') as keyof typeof periodsMs] ?? 86_400_000),
    );
    const asked = query.get('granularity') ?? 'auto';
    const chosen =
      asked === 'auto'
        ? chooseResolution(from, to, Number(query.get('points') ?? 400))
        : (asked as History['granularity']);
    const granularity = chosen === 'raw' ? '1m' : chosen;
    const step = resolutionMs[granularity];
    const series = metricList.split(',').map((metric) => {
      const one: History['series'][number] = {
        metric,
        unit: metricDefinition(metric)?.unit ?? '',
        times_ms: [],
        mean: [],
        min: [],
        max: [],
        last: [],
        count: [],
        expected: 12,
        gaps: [],
        completeness_pct: 97.5,
      };
      for (let time = Math.floor(from / step) * step; time <= to; time += step) {
        const samples = Array.from({ length: step > 60_000 ? 12 : 1 }, (_, i) =>
          this.value(metric, Math.min(to, time + (i * step) / 12)),
        ).filter((value) => value !== null);
        if (samples.length === 0) continue;
        one.times_ms.push(time);
        one.mean.push(samples.reduce((sum, value) => sum + value, 0) / samples.length);
        one.min.push(Math.min(...samples));
        one.max.push(Math.max(...samples));
        one.last.push(samples.at(-1) ?? null);
        one.count.push(samples.length);
      }
      return one;
    });
    return { grid_id: this.id, from_ms: from, to_ms: to, zone, granularity, step_ms: step, metric: metricList, series };
  }
}
