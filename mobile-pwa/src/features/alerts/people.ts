/** Whom an alert can be given to, as far as this phone knows them. Pure. */
import type { AlertView } from '@villagrid/contracts';

/** Most people that are offered by name. */
const mostPeople = 8;

/** Who else has had to do with alerts here, by name, who did last first: known also without a connection. */
export function knownPeople(alerts: readonly AlertView[], own: string | undefined): string[] {
  const lastMs = new Map<string, number>();
  const note = (person: { readonly name: string } | null, atMs: number) => {
    if (person !== null && person.name !== own) lastMs.set(person.name, Math.max(lastMs.get(person.name) ?? 0, atMs));
  };
  for (const { timeline, assignee, raised_at_ms } of alerts) {
    note(assignee, raised_at_ms);
    for (const { actor, at_ms } of timeline) note(actor, at_ms);
  }
  return [...lastMs]
    .sort(([, a], [, b]) => b - a)
    .slice(0, mostPeople)
    .map(([name]) => name);
}
