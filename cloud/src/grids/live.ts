/** The live bus: who wants to know of changes in a grid, told in the tick of the change. */
import type { GridChange } from '@villagrid/api';
import type { Logger } from '@villagrid/runtime';

export interface LiveBus {
  subscribe(gridId: string, listener: (change: GridChange) => void): () => void;
  tell(gridId: string, change: GridChange): void;
  subscribers(): number;
}

/** Makes a bus; a listener that throws is logged and does not keep the others from hearing. */
export function createLiveBus(log: Logger): LiveBus {
  const byGrid = new Map<string, Set<(change: GridChange) => void>>();
  return {
    subscribe(gridId, listener) {
      const set = byGrid.get(gridId) ?? new Set();
      byGrid.set(gridId, set);
      // A wrapper of its own, so that the same listener given twice is told twice and taken back once.
      const own = (change: GridChange) => listener(change);
      set.add(own);
      return () => {
        set.delete(own);
        if (set.size === 0 && byGrid.get(gridId) === set) byGrid.delete(gridId);
      };
    },
    tell(gridId, change) {
      for (const listener of byGrid.get(gridId) ?? []) {
        try {
          listener(change);
        } catch (error) {
          log.error('a live subscriber failed', { grid_id: gridId, error });
        }
      }
    },
    subscribers: () => [...byGrid.values()].reduce((sum, set) => sum + set.size, 0),
  };
}
