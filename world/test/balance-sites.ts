/** Days of metered sites for the balance check: the simulator's village and a second, independent model of other sites, seen by imperfect meters. */
import type { BalanceDay, BalancePlant, MeterChannel, MeterColumns } from '@villagrid/contracts';
import { meterChannels } from '@villagrid/contracts';
import { createVillage, loadMeasured, villageSite, villageWiring } from '@villagrid/simulator';

export const minutesPerDay = 1440;
const minuteMs = 60_000;
const windowMinutes = 15;

/** A seeded stream of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a site's meters showed minute by minute; NaN where nothing came. */
export type Minutes = Map<string, Float64Array>;

/** A site whose minutes are known. */
export interface MeteredSite {
  readonly name: string;
  readonly channels: readonly MeterChannel[];
  readonly plant: BalancePlant;
  readonly startMs: number;
  /** Local minutes ahead of UTC. */
  readonly zoneMinutes: number;
  readonly minutes: Minutes;
  readonly irradiance: Float64Array | undefined;
  readonly days: number;
}

/** How good the meters are: spread of their gain, noise of each sample, and share of windows and minutes that never came. */
export interface MeterClass {
  readonly gainPct: number;
  readonly noisePct: number;
  readonly lostWindows: number;
}
export const usualMeters: MeterClass = { gainPct: 1.5, noisePct: 0.7, lostWindows: 0.02 };

/** What true minutes look like through imperfect meters: gain error, noise, late samples, gaps, steps of the display. */
function throughMeters(
  site: MeteredSite,
  { gainPct, noisePct, lostWindows }: MeterClass,
  random: () => number,
): MeteredSite {
  const gains = new Map<string, number>();
  const lags = new Map<string, number>();
  const lost = new Map<string, Set<number>>();
  const out: Minutes = new Map();
  for (const channel of site.channels) {
    const values = site.minutes.get(channel.id);
    if (values === undefined) continue;
    const exact = channel.measure === 'charge';
    // A device computes its power and its counters from the same sensor.
    const sensor = `${channel.deviceId} ${channel.measure === 'voltage' ? 'volts' : 'power'}`;
    const gain =
      gains.get(sensor) ?? 1 + ((2 * random() - 1) * gainPct) / 100 / (channel.measure === 'voltage' ? 3 : 1);
    gains.set(sensor, gain);
    const lag = lags.get(channel.deviceId) ?? Math.floor(random() * 2);
    lags.set(channel.deviceId, lag);
    let gaps = lost.get(channel.deviceId);
    if (gaps === undefined) {
      gaps = new Set();
      for (let window = 0; window < values.length / windowMinutes; window += 1)
        if (random() < lostWindows) gaps.add(window);
      lost.set(channel.deviceId, gaps);
    }
    out.set(
      channel.id,
      values.map((_, i) => {
        if (gaps.has(Math.floor(i / windowMinutes)) || random() < 0.01) return Number.NaN;
        const value = values[Math.max(0, i - lag)] as number;
        const noisy = channel.measure === 'counter' || exact ? 0 : ((2 * random() - 1) * noisePct) / 100;
        const seen = exact ? value : value * gain * (1 + noisy);
        return Math.round(seen / channel.step) * channel.step;
      }),
    );
  }
  return { ...site, minutes: out };
}

/** Days of the simulator's reference village. */
export function referenceDays(seed: number, days: number, meters: MeterClass = usualMeters): MeteredSite {
  const random = seeded(seed * 7919 + 13);
  const site = villageSite(0, 'gw');
  const startMs = Date.UTC(2026, Math.floor(random() * 12), 1 + Math.floor(random() * 27), 21);
  const village = createVillage({ name: 'Kisima', seed, measured: loadMeasured(), startMs, stepMs: minuteMs });
  const length = days * minutesPerDay;
  const channels = meterChannels({ devices: site.devices, wiring: villageWiring() });
  const column = () => new Float64Array(length);
  const minutes: Minutes = new Map(channels.map((one) => [one.id, column()]));
  const irradiance = column();
  const put = (id: string, at: number, value: number) => {
    (minutes.get(id) as Float64Array)[at] = value;
  };
  for (let at = 0; at < length; at += 1) {
    village.advanceTo(startMs + at * minuteMs);
    const v = village.snapshot();
    for (const one of v.inverters) {
      put(`${one.id}/generation_kw`, at, one.powerKw);
      put(`${one.id}/generation_energy_kwh`, at, one.energyKwh);
    }
    put('village-meter/consumption_kw', at, v.consumptionKw);
    put('village-meter/consumption_energy_kwh', at, v.counters.consumptionKwh);
    put('battery-monitor/battery_soc_pct', at, v.batterySocPct);
    put('battery-monitor/battery_power_kw', at, v.batteryPowerKw);
    put('battery-monitor/battery_charge_energy_kwh', at, v.counters.batteryChargeKwh);
    put('battery-monitor/battery_discharge_energy_kwh', at, v.counters.batteryDischargeKwh);
    for (const device of ['battery-monitor', 'bus-meter']) {
      put(`${device}/dc_bus_voltage_v`, at, v.batteryVoltageV);
      put(`${device}/dc_bus_current_a`, at, v.batteryCurrentA);
    }
    irradiance[at] = v.irradianceWm2;
  }
  const { pv_kwp, battery_kwh } = site.plant;
  const plain: MeteredSite = {
    name: 'reference village',
    channels,
    plant: { pvKwp: pv_kwp, batteryKwh: battery_kwh, hasGenset: false, hasMains: false },
    startMs,
    zoneMinutes: 180,
    minutes,
    irradiance,
    days,
  };
  return throughMeters(plain, meters, random);
}

/** Another kind of site: everything on a DC bus, own losses, a generator or weak mains, another battery. Its physics are its own, not the simulator's. */
export interface OtherSite {
  readonly name: string;
  readonly pvKwp: number;
  readonly batteryKwh: number;
  readonly volts: number;
  readonly loadScale: number;
  /** Charge efficiency of the battery one way; loss share of the inverter and its standing loss kW. */
  readonly oneWay: number;
  readonly inverterLoss: number;
  readonly standingKw: number;
  readonly gensetKw: number;
  readonly mainsKw: number;
  /** Metrics that are measured. */
  readonly metrics: readonly string[];
}

const device: Readonly<Record<string, string>> = {
  generation_kw: 'mppt',
  generation_energy_kwh: 'mppt',
  consumption_kw: 'meter',
  consumption_energy_kwh: 'meter',
  battery_power_kw: 'bms',
  battery_charge_energy_kwh: 'bms',
  battery_discharge_energy_kwh: 'bms',
  battery_soc_pct: 'bms',
  dc_bus_voltage_v: 'shunt',
  dc_bus_current_a: 'shunt',
  genset_power_kw: 'genset',
  mains_power_kw: 'mains-meter',
  mains_import_energy_kwh: 'mains-meter',
};

/** Days of another site. */
export function otherDays(of: OtherSite, seed: number, days: number, meters: MeterClass = usualMeters): MeteredSite {
  const random = seeded(seed * 104_729 + 7);
  const startMs = Date.UTC(2026, Math.floor(random() * 12), 1 + Math.floor(random() * 27), 21);
  // Only its sky and its people's wishes are the simulator's.
  const village = createVillage({ name: 'Other', seed, measured: loadMeasured(), startMs, stepMs: minuteMs });
  const length = days * minutesPerDay;
  const wired = of.metrics.map((metric) => ({ deviceId: device[metric] as string, metric }));
  const channels = meterChannels({
    devices: [],
    wiring: Object.fromEntries(
      wired.map(({ deviceId, metric }) => [metric, { terms: [{ device_id: deviceId, metric, factor: 1 }] }]),
    ),
  });
  const minutes: Minutes = new Map(channels.map((one) => [one.id, new Float64Array(length)]));
  const irradiance = new Float64Array(length);
  let stored = of.batteryKwh * (0.45 + 0.3 * random());
  let running = false;
  const sums = { generation: 0, consumption: 0, charge: 0, discharge: 0, import: 0 };
  let mainsUp = false;
  let wanted = true;
  for (let at = 0; at < length; at += 1) {
    village.advanceTo(startMs + at * minuteMs);
    const { irradianceWm2, demandKw } = village.snapshot();
    irradiance[at] = irradianceWm2;
    const load = demandKw * of.loadScale;
    const soc = stored / of.batteryKwh;
    if (soc < 0.3) running = of.gensetKw > 0;
    if (soc > 0.7) running = false;
    if (at % 60 === 0) mainsUp = of.mainsKw > 0 && random() < (mainsUp ? 0.8 : 0.35);
    const genset = running ? of.gensetKw * (0.85 + 0.05 * Math.sin(at / 50)) : 0;
    const available = of.pvKwp * (irradianceWm2 / 1000) * 0.82;
    const needed = load * (1 + of.inverterLoss) + of.standingKw;
    const acSource = genset * (1 - 0.03);
    let mains = 0;
    const takes = of.batteryKwh * 0.3 * Math.min(1, Math.max(0, (1 - soc) / 0.05));
    if (soc < 0.6) wanted = true;
    if (soc > 0.8) wanted = false;
    if (mainsUp && wanted) mains = of.mainsKw;
    const room = needed + takes - acSource - mains;
    const made = Math.max(0, Math.min(available, room));
    let battery = made + acSource + mains - needed;
    let served = load;
    if (soc < 0.08 && battery < 0) {
      served = 0;
      battery = made + acSource + mains - of.standingKw;
    }
    if (battery > takes) battery = takes;
    stored = Math.min(
      of.batteryKwh,
      Math.max(0, stored + (battery > 0 ? battery * of.oneWay : battery / of.oneWay) / 60),
    );
    sums.generation += made / 60;
    sums.consumption += served / 60;
    if (battery > 0) sums.charge += battery / 60;
    else sums.discharge -= battery / 60;
    sums.import += mains / 60;
    const volts = of.volts * (0.95 + 0.1 * (stored / of.batteryKwh) + 0.06 * (battery / of.batteryKwh));
    const truth: Record<string, number> = {
      generation_kw: made,
      generation_energy_kwh: sums.generation,
      consumption_kw: served,
      consumption_energy_kwh: sums.consumption,
      battery_power_kw: battery,
      battery_charge_energy_kwh: sums.charge,
      battery_discharge_energy_kwh: sums.discharge,
      battery_soc_pct: (100 * stored) / of.batteryKwh,
      dc_bus_voltage_v: volts,
      dc_bus_current_a: (1000 * battery) / volts,
      genset_power_kw: genset,
      mains_power_kw: mains,
      mains_import_energy_kwh: sums.import,
    };
    for (const { deviceId, metric } of wired)
      (minutes.get(`${deviceId}/${metric}`) as Float64Array)[at] = truth[metric] as number;
  }
  return throughMeters(
    {
      name: of.name,
      channels,
      plant: {
        pvKwp: of.pvKwp,
        batteryKwh: of.batteryKwh,
        hasGenset: of.gensetKw > 0,
        hasMains: of.mainsKw > 0,
      },
      startMs,
      zoneMinutes: 180,
      minutes,
      irradiance: undefined,
      days,
    },
    meters,
    random,
  );
}

/** A fault put into minutes. */
export type Injection = (minutes: Minutes) => Minutes;

/** Changes one series, from a minute on. */
export const change =
  (id: string, to: (value: number, at: number, values: Float64Array) => number, fromMinute = 0): Injection =>
  (minutes) => {
    const values = minutes.get(id) as Float64Array;
    return new Map([
      ...minutes,
      [id, values.map((value, at) => (at < fromMinute || Number.isNaN(value) ? value : to(value, at, values)))],
    ]);
  };

/** Two series exchanged. */
export const exchange =
  (a: string, b: string): Injection =>
  (minutes) =>
    new Map([...minutes, [a, minutes.get(b) as Float64Array], [b, minutes.get(a) as Float64Array]]);

/** The day of a site as the check takes it: windows of a quarter hour. */
export function dayOf(site: MeteredSite, firstMinute: number, injection: Injection = (one) => one): BalanceDay {
  const minutes = new Map(
    [...site.minutes].map(([id, values]) => [id, values.slice(firstMinute, firstMinute + minutesPerDay)] as const),
  );
  const length = minutesPerDay / windowMinutes;
  const columns = new Map<string, MeterColumns>();
  for (const [id, values] of injection(minutes)) {
    const make = () => new Float64Array(length).fill(Number.NaN);
    const out = { mean: make(), min: make(), max: make(), last: make() };
    for (let window = 0; window < length; window += 1) {
      let [sum, count, min, max, last] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
      for (let at = window * windowMinutes; at < (window + 1) * windowMinutes; at += 1) {
        const value = values[at] as number;
        if (Number.isNaN(value)) continue;
        sum += value;
        count += 1;
        min = Math.min(min, value);
        max = Math.max(max, value);
        last = value;
      }
      if (count < windowMinutes / 2) continue;
      out.mean[window] = sum / count;
      out.min[window] = min;
      out.max[window] = max;
      out.last[window] = last;
    }
    columns.set(id, out);
  }
  const fromMs = site.startMs + firstMinute * minuteMs;
  const dark = new Uint8Array(length);
  const irradiance = site.irradiance === undefined ? undefined : new Float64Array(length);
  for (let window = 0; window < length; window += 1) {
    const minute = (Math.floor(fromMs / minuteMs) + window * windowMinutes + site.zoneMinutes) % minutesPerDay;
    dark[window] = minute < 240 || minute >= 1320 ? 1 : 0;
    if (irradiance !== undefined && site.irradiance !== undefined)
      irradiance[window] = site.irradiance[firstMinute + window * windowMinutes + 7] as number;
  }
  return {
    channels: site.channels,
    plant: site.plant,
    fromMs,
    windowMs: windowMinutes * minuteMs,
    length,
    columns,
    dark,
    irradiance,
  };
}
