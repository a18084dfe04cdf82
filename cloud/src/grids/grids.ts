/** The grids of this cloud: one per entry of the directory. */
import type { GridsPort } from '@villagrid/api';
import type { Directory } from '../directory/directory.js';
import { createGrid, type CloudGrid, type GridServices } from './grid.js';

export interface CloudGrids extends GridsPort {
  list(): readonly CloudGrid[];
  get(gridId: string): CloudGrid | undefined;
}

/** Makes them; a grid whose entry stays the same stays the same object, so that its subscribers stay too. */
export function createGrids(directory: Directory, services: GridServices): CloudGrids {
  let grids = new Map<string, CloudGrid>();
  /** What each grid was made of. */
  let made = new Map<string, string>();
  const refresh = (): void => {
    const before = grids;
    const madeBefore = made;
    grids = new Map();
    made = new Map();
    for (const entry of directory.grids()) {
      const { grid_id: gridId } = entry;
      const devices = directory.devicesOf(gridId);
      const of = JSON.stringify([entry, devices]);
      made.set(gridId, of);
      const known = madeBefore.get(gridId) === of ? before.get(gridId) : undefined;
      grids.set(gridId, known ?? createGrid(entry, devices, services));
    }
  };
  refresh();
  directory.onChange(refresh);
  return {
    list: () => [...grids.values()],
    get: (gridId) => grids.get(gridId),
    async gridOfAlert(alertId) {
      const gridId = services.alerts.gridOfAlert(alertId);
      return gridId !== undefined && grids.has(gridId) ? gridId : undefined;
    },
  };
}
