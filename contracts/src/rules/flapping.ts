/** What comes and goes: occurrences that follow each other closely are one row with a count; each keeps its own id. */

/** So many occurrences within so many milliseconds make a row. */
export const flappingCount = 3;
export const flappingWithinMs = 600_000;

/** What is asked of an alert. */
export interface AlertOccurrence {
  readonly alert_id: string;
  readonly rule_id: string;
  readonly device_id: string | null;
  readonly metric: string | null;
  readonly raised_at_ms: number;
}

/** One row: a single occurrence, or several of the same rule and thing. */
export interface FlappingRow<A extends AlertOccurrence> {
  readonly newest: A;
  /** All of it, newest first; one where nothing came and went. */
  readonly occurrences: readonly A[];
}

/**
 * Rows of alerts, newest first. Three occurrences within ten minutes begin a row of many; it goes on as long as the next
 * comes within ten minutes.
 */
export function flappingRows<A extends AlertOccurrence>(alerts: readonly A[]): FlappingRow<A>[] {
  const sorted = [...alerts].sort((a, b) => a.raised_at_ms - b.raised_at_ms || (a.alert_id < b.alert_id ? -1 : 1));
  const ofThing = new Map<string, A[]>();
  for (const alert of sorted) {
    const key = JSON.stringify([alert.rule_id, alert.device_id, alert.metric]);
    const list = ofThing.get(key);
    if (list) list.push(alert);
    else ofThing.set(key, [alert]);
  }
  const rows: FlappingRow<A>[] = [];
  const add = (group: readonly A[]) => {
    const newest = group.at(-1);
    if (newest) rows.push({ newest, occurrences: [...group].reverse() });
  };
  for (const list of ofThing.values()) {
    let group: A[] = [];
    for (const [index, alert] of list.entries()) {
      const before = group.at(-1);
      const follows = before !== undefined && alert.raised_at_ms - before.raised_at_ms <= flappingWithinMs;
      if (group.length >= flappingCount && follows) {
        group.push(alert);
        continue;
      }
      if (group.length >= flappingCount) {
        add(group);
        group = [];
      }
      group.push(alert);
      // Those that are not followed closely enough to be one of a row stand by themselves.
      while (group.length > 1 && !isRow(group, list.slice(index + 1))) add([group.shift() as A]);
    }
    if (group.length >= flappingCount) add(group);
    else for (const one of group) add([one]);
  }
  return rows.sort(
    (a, b) => b.newest.raised_at_ms - a.newest.raised_at_ms || (a.newest.alert_id < b.newest.alert_id ? 1 : -1),
  );
}

/** Whether the oldest of a group has enough that follow it in time, those to come included. */
function isRow(group: readonly AlertOccurrence[], toCome: readonly AlertOccurrence[]): boolean {
  const third = [...group, ...toCome.slice(0, flappingCount)][flappingCount - 1];
  const first = group[0];
  return third !== undefined && first !== undefined && third.raised_at_ms - first.raised_at_ms <= flappingWithinMs;
}
