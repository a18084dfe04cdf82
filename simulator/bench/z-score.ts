/** The plain z-score that people use: mean and standard deviation of each series at each hour of the day. */
import { localQuarter, type SiteWindow, type WatchedSeries } from '@villagrid/contracts';

/** An alarm of a window: the series that is furthest off. */
export interface ZAlarm {
  readonly series: WatchedSeries;
  readonly z: number;
}

/** Looks at windows in turn and learns from all of them, as a plain z-score does. */
export function createZScore(zone: string, series: readonly WatchedSeries[]) {
  const sums = new Map<string, { count: number; sum: number; squares: number }>();
  return {
    /** Series beyond `limit`, the furthest first. */
    look({ startMs, series: windows }: SiteWindow): ZAlarm[] {
      const hour = localQuarter(zone, startMs).quarter >> 2;
      const out: ZAlarm[] = [];
      for (const one of series) {
        const window = windows.get(one.id);
        if (window === undefined) continue;
        const key = `${one.id} ${hour}`;
        const known = sums.get(key) ?? { count: 0, sum: 0, squares: 0 };
        if (known.count >= 20) {
          const mean = known.sum / known.count;
          const spread = Math.sqrt(Math.max(0, known.squares / known.count - mean * mean));
          if (spread > 1e-6) out.push({ series: one, z: Math.abs(window.mean - mean) / spread });
        }
        known.count += 1;
        known.sum += window.mean;
        known.squares += window.mean ** 2;
        sums.set(key, known);
      }
      return out.sort((a, b) => b.z - a.z);
    },
    state: () => structuredClone(sums),
    restore(saved: typeof sums) {
      sums.clear();
      for (const [key, one] of structuredClone(saved)) sums.set(key, one);
    },
  };
}
