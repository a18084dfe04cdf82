/** Where devices usually are: addresses and line settings, the most usual first, as the profiles tell. Pure. */
import type { Profile } from '../devices/index.js';
import type { LineSettings } from './scan.js';

/** Settings of a serial line that some profile's devices are shipped with, most profiles first; then common others. */
export function usualSettings(profiles: Iterable<Profile>): LineSettings[] {
  const common: LineSettings[] = [9600, 19_200, 115_200, 4800, 38_400].flatMap((baud) =>
    (['none', 'even'] as const).map((parity) => ({ baud, parity, stop_bits: 1 as const })),
  );
  const counts = new Map<string, number>(common.map((one) => [JSON.stringify(one), 0]));
  for (const { transport } of profiles) {
    if (!transport.rtu) continue;
    const { baud, parity, stop_bits: stopBits } = transport.rtu;
    const key = JSON.stringify({ baud, parity, stop_bits: stopBits } satisfies LineSettings);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([key]) => JSON.parse(key) as LineSettings);
}

/** Addresses to look at: those devices are shipped with, and the first sixteen of a line. */
export function usualUnits(profiles: Iterable<Profile>, serial: boolean): number[] {
  const shipped = [...profiles].flatMap(({ transport: { tcp, rtu } }) => (serial ? rtu?.unit : tcp?.unit) ?? []);
  const low = Array.from({ length: serial ? 16 : 4 }, (_, i) => i + 1);
  // Behind a network gateway: Victron's system (100) and services, SMA's inverters (126, 3), Fronius meters (240).
  const network = serial ? [] : [100, 126, 200, 223, 225, 227, 240, 247];
  return [...new Set([...low, ...[...shipped].sort((a, b) => a - b), ...network])].filter(
    (unit) => unit >= 1 && unit <= 247,
  );
}
