/** Which of the screens for few people an address means; each is loaded when it is opened. */
import { lazy } from '../ui/lazy.js';

const People = lazy(() => import('./people/people.js').then((module) => module.People));
const AuditScreen = lazy(() => import('./people/audit.js').then((module) => module.AuditScreen));
const Fleet = lazy(() => import('./fleet/fleet.js').then((module) => module.Fleet));
const CompletenessScreen = lazy(() =>
  import('./completeness/completeness.js').then((module) => module.CompletenessScreen),
);
const Wall = lazy(() => import('./wall/wall.js').then((module) => module.Wall));

export function Further({ what, gridId, query }: { what: string; gridId: string | null; query: URLSearchParams }) {
  if (gridId === null) return what === 'people' ? <People /> : <Fleet query={query} />;
  if (what === 'audit') return <AuditScreen gridId={gridId} />;
  if (what === 'wall') return <Wall gridId={gridId} />;
  return <CompletenessScreen gridId={gridId} />;
}
