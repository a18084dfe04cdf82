/** Readings of the reference village: ten devices of twelve metrics, from the simulator's physics with the noise of meters. */
import { seededRandom } from '@villagrid/runtime';
import { createVillage, loadMeasured, type VillageSnapshot } from '@villagrid/simulator';

/** What a device reads of the village, and by how many of its last digits meters of this kind disagree with themselves. */
const signals: ReadonlyArray<
  readonly [metric: string, decimals: number, noiseDigits: number, of: (village: VillageSnapshot) => number]
> = [
  ['consumption_kw', 3, 2, (v) => v.consumptionKw],
  ['generation_kw', 3, 2, (v) => v.generationKw],
  ['battery_soc_pct', 1, 0, (v) => v.batterySocPct],
  ['mains_power_kw', 3, 0, () => 0],
  ['genset_power_kw', 3, 0, () => 0],
  ['genset_hours', 1, 0, () => 412.5],
  ['fuel_level_pct', 1, 0, () => 61],
  ['ac_frequency_hz', 2, 1, (v) => (v.dark ? 0 : v.acFrequencyHz)],
  ['irradiance_w_m2', 1, 2, (v) => v.irradianceWm2],
  ['ambient_temp_c', 2, 1, (v) => v.ambientC],
  ['equipment_temp_c', 2, 1, (v) => v.batteryC],
  ['humidity_pct', 1, 1, (v) => v.humidityPct],
];

/** Gives the readings of all devices, period by period. */
export interface Readings {
  next(): Record<string, number>[];
}

/** Starts a village at a summer's midnight. Each device sees it with its own noise, so that no two series are the same. */
export function createReadings(devices: number, periodMs: number): Readings {
  const startMs = Date.UTC(2026, 5, 1);
  const village = createVillage({ name: 'Bench', seed: 1, measured: loadMeasured(), startMs });
  const random = seededRandom('readings');
  let timeMs = startMs;
  const about = (): number => random.float() + random.float() + random.float() - 1.5;
  return {
    next() {
      timeMs += periodMs;
      village.advanceTo(timeMs);
      const seen = village.snapshot();
      return Array.from({ length: devices }, (_, device) =>
        Object.fromEntries(
          signals.map(([metric, decimals, noiseDigits, of]) => {
            const value = of(seen);
            const noise = value === 0 ? 0 : about() * noiseDigits * 10 ** -decimals;
            const own = value * (1 + device / 1000) + noise;
            return [metric, Number(own.toFixed(decimals))];
          }),
        ),
      );
    },
  };
}
