/** The grids of this cloud: one per entry of the directory. */
import type { GridsPort } from '@villagrid/api';
import type { GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import { createGrid, type CloudGrid, type GridServices } from './grid.js';

export interface CloudGrids extends GridsPort {
  list(): readonly CloudGrid[];
  get(gridId: string): CloudGrid | undefined;
}

/** Makes them; a grid whose entry stays the same stays the same object, so that its subscribers stay too. */
export function createGrids(directory: Directory, services: GridServices): CloudGrids {
  let grids = new Map<string, CloudGrid>();
  const same = (a: GatewayEntry, b: GatewayEntry) => JSON.stringify(a) === JSON.stringify(b);
  const refresh = (): void => {
    const before = grids;
    grids = new Map(
      directory.all().map((entry) => {
        const known = before.get(entry.grid_id);
        return [entry.grid_id, known && same(known.entry, entry) ? known : createGrid(entry, services)];
      }),
    );
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
