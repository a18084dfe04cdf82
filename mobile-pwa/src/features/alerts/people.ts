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

/**
 * Names to offer: those whom the server says it may be given to, who had to do with alerts here first; the phone's own
 * knowledge while the server has not answered.
 */
export function givenTo(
  known: readonly string[],
  assignees: readonly string[] | undefined,
  own: string | undefined,
): readonly string[] {
  if (assignees === undefined) return known;
  const may = new Set(assignees.filter((name) => name !== own));
  return [...new Set([...known.filter((name) => may.has(name)), ...may])];
}
