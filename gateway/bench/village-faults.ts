/**
 * What goes wrong in a watched village, when, how much, and which alert has to tell it: each kind in shapes for tuning and
 * in other ones that figures are taken from.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseMetricId } from '@villagrid/contracts';
import { loadMeasured, noise, villageDevices, type MeasuredData } from '@villagrid/simulator';
import { watchVillage, type Ended, type Hands, type Told } from './watched-village.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Which family of shapes: those that limits may be chosen with, and those that figures are taken from. */
export type ShapeFamily = 'tuning' | 'judging';

/** A fault of one kind in one shape. */
export interface VillageFault {
  readonly name: string;
  /** The shape in a few words. */
  readonly shape: string;
  /** Within so many minutes of its beginning it has to be told; undefined where nothing is to be told at all. */
  readonly withinMinutes: number | undefined;
  /** Devices that are right to name. */
  readonly devices: readonly string[];
  /** Rules that tell it. */
  readonly rules: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
  switch(hands: Hands, on: boolean): void;
  /** Whether it shows at all by now; the time is counted from then. Left out, it does at once. */
  isFelt?(hands: Hands): boolean;
  readonly measured?: MeasuredData;
  readonly line?: readonly string[];
}

const bus = ['pv-inverter-1', 'pv-inverter-2', 'village-meter', 'battery-monitor'];
const inverters = ['pv-inverter-1', 'pv-inverter-2'];
const feeders = ['feeder-1-meter', 'feeder-2-meter'];
const nodes = ['meteo-1', 'powerhouse', 'battery-room', 'transformer', 'bus-meter', 'tie-switch', 'feeder-1'];

/** Sensors that vary by nature, as `device/metric`. */
const sensors = villageDevices()
  .filter((one) => one.simulated && one.kind !== 'switch')
  .flatMap(({ device_id, metrics }) =>
    metrics.filter((metric) => !metric.includes('energy')).map((metric) => `${device_id}/${metric}`),
  );
const sensorsOfTuning = new Set([
  'meteo-1/irradiance_w_m2',
  'battery-room/equipment_temp_c.battery',
  'bus-meter/dc_bus_current_a',
  'village-meter/consumption_kw',
  'feeder-1/ac_output_voltage_v',
]);

/** What is shown wrong by less than this harms nobody, by metric. */
const bands: Readonly<Record<string, number>> = {
  irradiance_w_m2: 50,
  ambient_temp_c: 1.5,
  humidity_pct: 4,
  equipment_temp_c: 1.5,
  dc_bus_voltage_v: 0.3,
  dc_bus_current_a: 10,
  battery_power_kw: 0.5,
  battery_soc_pct: 2,
  generation_kw: 0.5,
  consumption_kw: 0.5,
  ac_output_voltage_v: 1,
  ac_frequency_hz: 0.1,
};

/** Every kind of fault in the shape that the seed draws, on the day that begins at the local midnight given. */
export function faultsOf(family: ShapeFamily, seed: number, dayMs: number): VillageFault[] {
  const draw = (name: string): number => noise(seed, `alerts ${family} ${name}`, 11);
  const pick = <T>(name: string, from: readonly T[]): T => from[Math.floor(draw(name) * from.length)] as T;
  const between = (name: string, low: number, high: number): number => low + draw(name) * (high - low);
  const isJudging = family === 'judging';
  const span = (name: string, low: number, high: number, hours: number) => {
    const fromMs = dayMs + Math.round(between(`${name} at`, low, high) * 60) * minuteMs;
    return { fromMs, toMs: fromMs + hours * hourMs, at: `${new Date(fromMs - dayMs).toISOString().slice(11, 16)}` };
  };

  const hot = pick('hot', inverters);
  const hotSpan = span('hot', isJudging ? 0 : 8, isJudging ? 23 : 16, 2);
  const collapse = span('collapse', isJudging ? 0 : 8, isJudging ? 22 : 20, 2);
  const tripped = pick('tripped', inverters);
  const trip = span('trip', isJudging ? 6.5 : 9, isJudging ? 16.5 : 14, 3);
  const stuck = pick('stuck', isJudging ? sensors.filter((one) => !sensorsOfTuning.has(one)) : [...sensorsOfTuning]);
  const [stuckDevice = '', stuckMetric = ''] = stuck.split('/');
  const isOfSun = /generation|irradiance/.test(stuckMetric);
  const stuckSpan = span('stuck', isOfSun ? 8 : isJudging ? 0 : 9, isOfSun ? 14 : isJudging ? 21 : 15, 6);
  let stuckAt = Number.NaN;
  const stuckBand = bands[parseMetricId(stuckMetric).base] ?? 1;
  const dead = pick('dead', isJudging ? nodes : ['bus-meter', 'transformer', 'feeder-1']);
  const deadSpan = span('dead', 0, 23, 1);
  const mute = pick('mute', bus);
  const muteSpan = span('mute', 0, 23, 1);
  const line = pick('line', [feeders, bus]);
  const isCut = draw('cut') < 0.5;
  const lineSpan = span('line', 0, 23, 1);
  const deepV = isJudging ? between('deep', 36, 90) : between('deep', 45, 60);
  const deep = span('deep', isJudging ? 0 : 17, isJudging ? 23 : 21, 1);
  const lowV = isJudging ? between('sag', 9, 20) : between('sag', 15, 25);
  const low = span('sag', isJudging ? 0 : 18, isJudging ? 22 : 21, 2);
  const isWide = isJudging && draw('wide') < 0.5;
  const sag =
    (volts: number) =>
    (hands: Hands, on: boolean): void => {
      hands.shows = on
        ? (deviceId, metric, value) =>
            metric === 'ac_output_voltage_v' && value > 50 && (isWide || deviceId === 'feeder-1')
              ? value - volts
              : value
        : undefined;
    };
  const grey = between('grey', isJudging ? 0.25 : 0.35, isJudging ? 0.5 : 0.45);
  const measured = loadMeasured();
  const sagDevices = isWide ? ['feeder-1', ...bus, ...feeders] : ['feeder-1'];
  return [
    {
      name: 'inverter overheats',
      shape: `${hot} at ${hotSpan.at}`,
      withinMinutes: 5,
      devices: [hot, 'powerhouse'],
      rules: ['high_equipment_temperature'],
      ...hotSpan,
      switch: ({ plant }, on) => void (on ? plant.overheating.add(hot) : plant.overheating.delete(hot)),
    },
    {
      name: 'battery collapses',
      shape: `at ${collapse.at}`,
      withinMinutes: 15,
      devices: ['battery-monitor', 'bus-meter'],
      rules: ['battery_falling_fast', 'low_battery', 'critical_battery'],
      ...collapse,
      switch({ plant }, on) {
        plant.batteryCollapsed = on;
      },
    },
    {
      name: 'inverter trips',
      shape: `${tripped} at ${trip.at}`,
      withinMinutes: 60,
      devices: [tripped],
      rules: ['inverter_stopped', 'inverter_fault', 'out_of_the_ordinary'],
      ...trip,
      switch: ({ plant }, on) => void (on ? plant.tripped.add(tripped) : plant.tripped.delete(tripped)),
    },
    {
      name: 'sensor stuck',
      shape: `${stuck} at ${stuckSpan.at}`,
      withinMinutes: 120,
      devices: [stuckDevice],
      rules: ['out_of_the_ordinary', 'meter_disagrees'],
      ...stuckSpan,
      switch({ sensors, read }, on) {
        stuckAt = read(stuckDevice)[stuckMetric] ?? Number.NaN;
        if (on) sensors.stick(stuckDevice, stuckMetric, read(stuckDevice));
        else sensors.release(stuckDevice, stuckMetric);
      },
      isFelt: ({ truth }) => Math.abs((truth(stuckDevice)[stuckMetric] ?? Number.NaN) - stuckAt) > stuckBand,
    },
    {
      name: 'node dead',
      shape: `${dead} at ${deadSpan.at}`,
      withinMinutes: 11,
      devices: [dead],
      rules: ['device_silent'],
      ...deadSpan,
      switch: ({ silent }, on) => void (on ? silent.add(dead) : silent.delete(dead)),
    },
    {
      name: 'device on its own line dead',
      shape: `${mute} at ${muteSpan.at}`,
      withinMinutes: 11,
      devices: [mute],
      rules: ['device_silent'],
      ...muteSpan,
      switch: ({ silent }, on) => void (on ? silent.add(mute) : silent.delete(mute)),
    },
    {
      name: 'bus dead',
      shape: `${line.length} devices, ${isCut ? 'cable cut' : 'adapter gone'} at ${lineSpan.at}`,
      withinMinutes: 7,
      devices: line,
      rules: ['line_down'],
      line,
      ...lineSpan,
      switch({ silent, adapter }, on) {
        if (!isCut) return adapter(!on);
        for (const one of line)
          if (on) silent.add(one);
          else silent.delete(one);
      },
    },
    {
      name: 'voltage sags below its limit',
      shape: `${deepV.toFixed(0)} V ${isWide ? 'everywhere' : 'at feeder 1'} at ${deep.at}`,
      withinMinutes: 1,
      devices: sagDevices,
      rules: ['ac_voltage_out_of_limits'],
      ...deep,
      switch: sag(deepV),
    },
    {
      name: 'voltage sags within its limits',
      shape: `${lowV.toFixed(0)} V ${isWide ? 'everywhere' : 'at feeder 1'} at ${low.at}`,
      withinMinutes: 60,
      devices: sagDevices,
      rules: ['out_of_the_ordinary'],
      ...low,
      switch: sag(lowV),
    },
    {
      name: 'cloudy day (no fault)',
      shape: `${(grey * 100).toFixed(0)} % of the light`,
      withinMinutes: undefined,
      devices: [],
      rules: [],
      fromMs: dayMs,
      toMs: dayMs + 24 * hourMs,
      switch() {},
      measured: { ...measured, cloudTexture: measured.cloudTexture.map((one) => Math.min(0.5, one * grey)) },
    },
  ];
}

/** So long after it was told it is looked what else is, ms. */
const afterMs = hourMs;

/** What became of a fault. */
export interface FaultResult {
  readonly fault: VillageFault;
  /** Minutes until it was told, right rule and device; undefined when it was not while it lasted. */
  readonly minutes: number | undefined;
  /** Whether it ever showed. */
  readonly isFelt: boolean;
  /** Whether the first that was told since it began named a right device. */
  readonly isNamed: boolean;
  /** What else was told since it began, until an hour after it was told. */
  readonly others: readonly Told[];
}

/** How a fault is lived through. */
export interface LivingThrough {
  /** Where the village ended; left out, a new one begins shortly before, which has learnt nothing. */
  readonly ended?: Ended;
  readonly seed: number;
  readonly fault: VillageFault;
  readonly folder: string;
  /** Stop as soon as it is told. */
  readonly untilTold?: boolean;
  /** Steps until shortly before, and how long before it they become those of five seconds, ms. */
  readonly beforeStepMs?: number;
  readonly leadMs?: number;
}

/** Lives up to a fault and through it, every five seconds. */
export async function liveThrough({
  ended,
  seed,
  fault,
  folder,
  untilTold = false,
  beforeStepMs = minuteMs,
  leadMs = 20 * minuteMs,
}: LivingThrough): Promise<FaultResult> {
  const own = mkdtempSync(join(folder, 'fault-'));
  const nearMs = fault.fromMs - leadMs;
  const startMs = ended?.atMs ?? nearMs - beforeStepMs;
  const village = watchVillage({
    folder: own,
    seed,
    startMs,
    ...(ended === undefined ? {} : { from: ended }),
    ...(fault.measured === undefined ? {} : { measured: fault.measured }),
    ...(fault.line === undefined ? {} : { line: fault.line }),
  });
  const isRight = (one: Told): boolean =>
    one.atMs > fault.fromMs && fault.rules.includes(one.ruleId) && one.devices.some((id) => fault.devices.includes(id));
  const isFault = fault.withinMinutes !== undefined;
  let feltMs: number | undefined;
  if (isFault) {
    const stepMs = 5000;
    if (nearMs > startMs) await village.live(nearMs, beforeStepMs);
    await village.live(fault.fromMs, stepMs);
    fault.switch(village.hands, true);
    feltMs = fault.isFelt === undefined ? fault.fromMs : undefined;
    for (let timeMs = fault.fromMs + minuteMs; timeMs <= fault.toMs; timeMs += minuteMs) {
      await village.live(timeMs, stepMs);
      if (feltMs === undefined && fault.isFelt?.(village.hands) === true) feltMs = timeMs;
      const told = village.told.find(isRight);
      if (told !== undefined && timeMs - told.atMs >= (untilTold ? 0 : afterMs)) break;
    }
  } else await village.live(fault.toMs, beforeStepMs);
  const since = village.told.filter(({ atMs }) => atMs > fault.fromMs);
  await village.end();
  rmSync(own, { recursive: true });
  const right = since.find(isRight);
  const [first] = since;
  // Who is told before it matters is told in time; the time until then is the time since it began.
  const countedMs = right !== undefined && feltMs !== undefined && feltMs <= right.atMs ? feltMs : fault.fromMs;
  return {
    fault,
    isFelt: feltMs !== undefined,
    minutes: right === undefined ? undefined : (right.atMs - countedMs) / minuteMs,
    isNamed: first?.devices.some((id) => fault.devices.includes(id)) === true,
    others: since.filter((one) => one !== right),
  };
}
