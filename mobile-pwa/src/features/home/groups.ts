/** Which grids need somebody: the order of the grid selection. Pure. */
import type { GridState } from '@villagrid/contracts';
import { worstCalm } from '../../live/apply.js';

/** The three groups of the list. */
export interface GridGroups {
  readonly needs: GridState[];
  readonly unreachable: GridState[];
  readonly rest: GridState[];
}

const order = ['critical', 'high', 'medium', 'low'];

/**
 * Needs you: no or partial power, or an open alert that nobody has seen or paused (a low one never pages by itself). Not
 * reachable is its own state: neither healthy nor off.
 */
export function groupGrids(grids: readonly GridState[], nowMs: number): GridGroups {
  const needs: GridState[] = [];
  const unreachable: GridState[] = [];
  const rest: GridState[] = [];
  for (const grid of grids) {
    const serious = grid.worst_severity !== null && grid.worst_severity !== 'low';
    if (!grid.reachable) unreachable.push(grid);
    else if (
      grid.power === 'off' ||
      grid.power === 'partly' ||
      (serious && !worstCalm(grid, nowMs)) ||
      grid.worst_severity === 'critical'
    )
      needs.push(grid);
    else rest.push(grid);
  }
  const rank = (grid: GridState) => (grid.worst_severity === null ? order.length : order.indexOf(grid.worst_severity));
  const byName = (a: GridState, b: GridState) => a.name.localeCompare(b.name);
  const off = (grid: GridState) => (grid.power === 'off' ? 0 : 1);
  needs.sort((a, b) => off(a) - off(b) || rank(a) - rank(b) || byName(a, b));
  unreachable.sort(byName);
  rest.sort((a, b) => rank(a) - rank(b) || byName(a, b));
  return { needs, unreachable, rest };
}
