/**
 * The virtual village: pure physics in fixed steps of village time. Its state is a function of name, seed, plant, place and start, and of
 * the faults it was given; nothing here reads a clock, a file or a random source.
 */
import {
  batteryTerminals,
  converterAcForDcKw,
  converterLossKw,
  panelDcKw,
  pvInverterAcKw,
  pvInverterLossKw,
  relax,
} from './electric.js';
import { createDemand } from './load.js';
import type { MeasuredData } from './measured.js';
import { hashNumbers, hashText, noise, smoothNoise } from './noise.js';
import { defaultPlace, type Place } from './place.js';
import { defaultPlant, inverterId, type Plant } from './plant.js';
import {
  type InverterSnapshot,
  inverterStates,
  type VillageFaults,
  type VillageSnapshot,
  type VillageState,
} from './state.js';
import { createWeather } from './weather.js';

/** What a village is made from. `state` resumes one that was saved; without it the two days before `startMs` are lived through first. */
export interface VillageOptions {
  readonly name: string;
  readonly seed: number;
  readonly measured: MeasuredData;
  readonly startMs: number;
  readonly plant?: Plant;
  readonly place?: Place;
  readonly stepMs?: number;
  readonly state?: VillageState;
}

/** A running village. */
export interface Village {
  readonly name: string;
  readonly plant: Plant;
  readonly faults: VillageFaults;
  /** Lives on to the time (Unix ms); long gaps in bigger steps. Going back is not possible and changes nothing. */
  advanceTo(timeMs: number): void;
  snapshot(): VillageSnapshot;
  /** A copy of the state, to be saved as JSON. */
  state(): VillageState;
}

/** Fixed step of village time, ms. */
export const defaultStepMs = 5000;
const warmUpMs = 2 * 86_400_000;
const batteryEfficiency = 0.985;
const derateC = 70;
const tripC = 85;
/** SoC points above the floor at which a dark village is connected again. */
const comeBackPct = 10;

/** Makes a village. The same options give the same village, number by number. */
export function createVillage(options: VillageOptions): Village {
  const plant = options.plant ?? defaultPlant;
  const place = options.place ?? defaultPlace;
  const stepMs = options.stepMs ?? defaultStepMs;
  const seed = hashNumbers(options.seed, hashText(options.name));
  const weatherAt = createWeather({ seed, place, measured: options.measured });
  const demandAt = createDemand({ seed, zone: place.zone, measured: options.measured, scale: plant.loadScale });
  const faults: VillageFaults = { overheating: new Set(), tripped: new Set(), batteryCollapsed: false };
  const maxChargeKw = plant.batteryKwh * 0.3;
  const acRatedKw = plant.inverters * plant.inverterKw;
  const resistanceOhm = 0.0025 * (160 / plant.batteryKwh);
  const shares = Array.from(
    { length: plant.inverters },
    (_, i) => (1 + 0.03 * (noise(seed, 'mismatch', i) - 0.5)) / plant.inverters,
  );
  let state: VillageState;
  let snapshot: VillageSnapshot;

  function step(dtMs: number): void {
    const timeMs = state.timeMs + dtMs;
    const dtH = dtMs / 3_600_000;
    const dtS = dtMs / 1000;
    const { irradianceWm2, clearSkyWm2, ambientC, humidityPct } = weatherAt(timeMs);
    const demandKw = demandAt(timeMs);
    const soc = state.storedKwh / plant.batteryKwh;
    const floor = plant.batteryFloorPct / 100;
    const collapsed = faults.batteryCollapsed;
    const resistance = collapsed ? resistanceOhm * 6 : resistanceOhm;

    // An empty battery cannot form the AC bus; in strong sun the inverters start it again.
    state.busAlive = soc > 0.04 || irradianceWm2 > 150;
    if (soc <= floor) state.dark = true;
    else if (soc >= floor + comeBackPct / 100) state.dark = false;
    let consumptionKw = state.dark || !state.busAlive ? 0 : demandKw;

    // What each inverter could make now.
    const available = state.inverters.map((inverter, index) => {
      const id = inverterId(index);
      if (inverter.tripped && !faults.overheating.has(id) && inverter.temperatureC < 55) inverter.tripped = false;
      if (inverter.tripped || faults.tripped.has(id) || !state.busAlive) return 0;
      const dcKw = panelDcKw(plant.pvKwp * (shares[index] ?? 0), irradianceWm2, ambientC);
      const derate =
        inverter.temperatureC > derateC
          ? Math.max(0.4, 1 - (inverter.temperatureC - derateC) / (tripC - derateC) / 1.6)
          : 1;
      return Math.min(pvInverterAcKw(dcKw, plant.inverterKw), plant.inverterKw * derate);
    });
    const availableKw = available.reduce((sum, kw) => sum + kw, 0);

    // A battery that fills up takes less and less; what nobody takes is not made.
    const roomKwh = Math.max(0, plant.batteryKwh - state.storedKwh);
    const taper = Math.min(1, Math.max(0, (1 - soc) / 0.04));
    const takesKw = Math.min(maxChargeKw * taper * (collapsed ? 0.2 : 1), roomKwh / dtH);
    const usableKw = consumptionKw + converterAcForDcKw(takesKw);
    const ratio = availableKw > usableKw ? usableKw / availableKw : 1;
    const curtailed = ratio < 0.98 && availableKw > 0.5;

    // A step whose battery would run below its floor is lived in the dark, so that a long step breaks no balance.
    const drainKw = consumptionKw + converterLossKw(consumptionKw) - availableKw * ratio;
    if (consumptionKw > 0 && drainKw > 0 && drainKw * dtH > Math.max(0, (soc - floor) * plant.batteryKwh) + 0.02) {
      state.dark = true;
      consumptionKw = 0;
    }
    const limitKw = consumptionKw + converterAcForDcKw(takesKw);
    const share = availableKw > limitKw ? limitKw / availableKw : 1;
    const acKw = available.map((kw) => kw * share);
    const generationKw = acKw.reduce((sum, kw) => sum + kw, 0);
    const netKw = generationKw - consumptionKw;
    const lossKw = state.busAlive ? converterLossKw(netKw) : 0;
    const batteryPowerKw = netKw - lossKw;

    const { voltageV, currentA } = batteryTerminals(batteryPowerKw, soc, resistance);
    const resistiveKw = (currentA * currentA * resistance) / 1000;
    const cellKw = batteryPowerKw - resistiveKw;
    let storedChangeKwh = (cellKw > 0 ? cellKw * batteryEfficiency : cellKw / batteryEfficiency) * dtH;
    // A collapsed battery loses its charge inside, 2 % of its size a minute.
    if (collapsed)
      storedChangeKwh -= Math.min(
        Math.max(0, state.storedKwh - 0.045 * plant.batteryKwh),
        (plant.batteryKwh * 0.02 * dtS) / 60,
      );
    const before = state.storedKwh;
    state.storedKwh = Math.min(plant.batteryKwh, Math.max(0, state.storedKwh + storedChangeKwh));
    const batteryLossKw = batteryPowerKw - (state.storedKwh - before) / dtH;

    const lossesKw = acKw.map((kw) => pvInverterLossKw(kw, plant.inverterKw));
    const inverterLossKw = lossesKw.reduce((sum, kw) => sum + kw, 0);
    heat(dtS, ambientC, irradianceWm2, lossesKw, batteryLossKw, consumptionKw);

    const { counters } = state;
    counters.panelsKwh += (generationKw + inverterLossKw) * dtH;
    counters.generationKwh += generationKw * dtH;
    counters.consumptionKwh += consumptionKw * dtH;
    if (batteryPowerKw > 0) counters.batteryChargeKwh += batteryPowerKw * dtH;
    else counters.batteryDischargeKwh -= batteryPowerKw * dtH;
    counters.lossKwh += (inverterLossKw + lossKw + batteryLossKw) * dtH;
    state.timeMs = timeMs;

    const jitter = (stream: string): number => smoothNoise(seed, stream, timeMs / 15_000);
    const frequencyHz =
      50.02 -
      (0.35 * consumptionKw) / acRatedKw +
      (curtailed ? 0.25 * Math.min(1, 1 - share) : 0) +
      0.015 * jitter('hz');
    const acVoltageV = 231.8 - (9 * consumptionKw) / acRatedKw + (3 * generationKw) / acRatedKw + 0.35 * jitter('volt');
    const inverters: InverterSnapshot[] = state.inverters.map((inverter, index) => {
      const id = inverterId(index);
      const powerKw = acKw[index] ?? 0;
      inverter.energyKwh += powerKw * dtH;
      const faulty = inverter.tripped || faults.tripped.has(id);
      const running = share < 0.98 || inverter.temperatureC > derateC ? inverterStates.throttled : inverterStates.mppt;
      const idle = state.busAlive ? inverterStates.sleeping : inverterStates.standby;
      return {
        id,
        powerKw,
        dcPowerKw: powerKw + (lossesKw[index] ?? 0),
        dcVoltageV:
          irradianceWm2 < 5
            ? 0
            : 560 + 90 * Math.min(1, irradianceWm2 / 250) - 1.6 * (ambientC + 0.03 * irradianceWm2 - 25),
        temperatureC: inverter.temperatureC,
        state: faulty ? inverterStates.fault : powerKw > 0 ? running : idle,
        overTemperature: inverter.tripped || inverter.temperatureC > derateC,
        energyKwh: inverter.energyKwh,
      };
    });
    snapshot = {
      timeMs,
      dark: state.dark,
      busAlive: state.busAlive,
      curtailed,
      irradianceWm2,
      clearSkyWm2,
      ambientC,
      humidityPct,
      demandKw,
      consumptionKw,
      generationKw,
      panelsKw: generationKw + inverterLossKw,
      inverters,
      batterySocPct: (state.storedKwh / plant.batteryKwh) * 100,
      batteryPowerKw,
      batteryVoltageV: voltageV,
      batteryCurrentA: currentA,
      batteryC: state.batteryC,
      storedKwh: state.storedKwh,
      acVoltageV: state.busAlive ? acVoltageV : 0,
      feederVoltageV: state.busAlive && !state.dark ? acVoltageV - 1.2 - (4 * consumptionKw) / acRatedKw : 0,
      acFrequencyHz: state.busAlive ? frequencyHz : 0,
      transformerC: state.transformerC,
      cabinetC: state.cabinetC,
      converterLossKw: lossKw,
      batteryLossKw,
      counters: { ...counters },
    };
  }

  /** First-order temperatures: each piece runs towards the air around it plus what its own loss heats it. */
  function heat(
    dtS: number,
    ambientC: number,
    irradianceWm2: number,
    lossesKw: readonly number[],
    batteryLossKw: number,
    loadKw: number,
  ): void {
    const roomC = ambientC + 2 + irradianceWm2 / 500;
    for (const [index, inverter] of state.inverters.entries()) {
      const overheats = faults.overheating.has(inverterId(index)) && !inverter.tripped;
      inverter.faultHeatK = overheats
        ? Math.min(80, inverter.faultHeatK + 0.25 * dtS)
        : Math.max(0, inverter.faultHeatK - 0.08 * dtS);
      const relativeLoss = (lossesKw[index] ?? 0) / plant.inverterKw;
      const ownC = relax(inverter.temperatureC - lastFaultHeat(index), roomC + 800 * relativeLoss, dtS, 720);
      inverter.temperatureC = ownC + inverter.faultHeatK;
      faultHeats[index] = inverter.faultHeatK;
      if (inverter.temperatureC >= tripC) inverter.tripped = true;
    }
    const collapseC = faults.batteryCollapsed ? 22 : 0;
    const lossC = faults.batteryCollapsed ? 0 : 9 * Math.min(2, Math.abs(batteryLossKw) * (160 / plant.batteryKwh));
    state.batteryC = relax(
      state.batteryC,
      roomC - 1 + lossC + collapseC,
      dtS,
      faults.batteryCollapsed ? 900 : 4 * 3600,
    );
    state.transformerC = relax(
      state.transformerC,
      ambientC + 7 + 60 * (loadKw / acRatedKw) ** 2 + irradianceWm2 / 400,
      dtS,
      2 * 3600,
    );
    state.cabinetC = relax(state.cabinetC, ambientC + 4 + irradianceWm2 / 160, dtS, 2400);
  }

  const faultHeats: number[] = [];
  const lastFaultHeat = (index: number): number => faultHeats[index] ?? 0;

  function advanceTo(timeMs: number): void {
    let left = timeMs - state.timeMs;
    while (left >= stepMs) {
      const dt = left > 20 * 86_400_000 ? 300_000 : left > 3_600_000 ? 60_000 : stepMs;
      step(dt);
      left -= dt;
    }
  }

  const alignedStartMs = Math.floor(options.startMs / stepMs) * stepMs;
  const restored = options.state;
  if (restored !== undefined && restored.inverters.length === plant.inverters) {
    state = structuredClone(restored);
    // Village time may begin earlier than it was left (another clock setting): counters go on, time starts where it is asked to.
    state.timeMs = Math.floor(Math.min(state.timeMs, alignedStartMs - stepMs) / stepMs) * stepMs;
  } else {
    const firstMs = alignedStartMs - warmUpMs;
    const { ambientC } = weatherAt(firstMs);
    state = {
      timeMs: firstMs,
      storedKwh: plant.batteryKwh * 0.65,
      dark: false,
      busAlive: true,
      inverters: shares.map(() => ({ temperatureC: ambientC + 3, faultHeatK: 0, tripped: false, energyKwh: 0 })),
      batteryC: ambientC + 3,
      transformerC: ambientC + 8,
      cabinetC: ambientC + 5,
      counters: {
        panelsKwh: 0,
        generationKwh: 0,
        consumptionKwh: 0,
        batteryChargeKwh: 0,
        batteryDischargeKwh: 0,
        lossKwh: 0,
      },
    };
  }
  for (const [index, inverter] of state.inverters.entries()) faultHeats[index] = inverter.faultHeatK;
  step(stepMs);
  advanceTo(options.startMs);

  return {
    name: options.name,
    plant,
    faults,
    advanceTo,
    snapshot: () => snapshot,
    state: () => structuredClone(state),
  };
}
