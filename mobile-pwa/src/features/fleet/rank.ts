/** Which grids of a fleet come first, which fit a search, how many need somebody for what. Pure. */
import { type GridNeed, type GridState, gridNeeds, severities } from '@villagrid/contracts';

/** What of the fleet is shown: grids that need somebody for a reason or for any, or all. */
export type FleetFilter = GridNeed | 'any' | 'all';

/** How pressing a need is: people in the dark before a worn card. */
const order: readonly GridNeed[] = ['alert', 'silent', 'differs', 'backlog', 'clock', 'disk', 'card', 'never_heard'];

const pressing = ({ power, reachable, needs = [] }: GridState): number =>
  reachable && power === 'off' ? -1 : Math.min(order.length, ...needs.map((need) => order.indexOf(need)));
const severity = ({ worst_severity }: GridState): number =>
  worst_severity === null ? severities.length : severities.indexOf(worst_severity);

/** Village 2 before village 10. */
const byName = new Intl.Collator(undefined, { numeric: true });
/** Without case and accents, as people type. */
const plain = (text: string): string => text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();

/** The grids of a filter and a search, most pressing first, then by name. */
export function rankFleet(grids: readonly GridState[], filter: FleetFilter, search: string): GridState[] {
  const words = plain(search).split(/\s+/).filter(Boolean);
  return grids
    .filter(({ needs = [] }) => filter === 'all' || (filter === 'any' ? needs.length > 0 : needs.includes(filter)))
    .filter((grid) => {
      if (words.length === 0) return true;
      const { name, grid_id, organisation_id, gateway } = grid;
      const text = plain([name, grid_id, organisation_id, gateway?.gateway_id, gateway?.version].join(' '));
      return words.every((word) => text.includes(word));
    })
    .map((grid) => ({ grid, rank: pressing(grid), severity: severity(grid) }))
    .sort((a, b) => a.rank - b.rank || a.severity - b.severity || byName.compare(a.grid.name, b.grid.name))
    .map(({ grid }) => grid);
}

/** How many grids need somebody, for any reason and for each. */
export function countNeeds(grids: readonly GridState[]): ReadonlyMap<FleetFilter, number> {
  const counts = new Map<FleetFilter, number>([['all', grids.length]]);
  const add = (filter: FleetFilter) => counts.set(filter, (counts.get(filter) ?? 0) + 1);
  for (const { needs = [] } of grids) {
    if (needs.length > 0) add('any');
    for (const need of gridNeeds) if (needs.includes(need)) add(need);
  }
  return counts;
}
