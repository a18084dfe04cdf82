/** Acts: what a person did on this phone, waiting until a server has it. Pure functions over the list. */
import type { AlertView } from '@villagrid/contracts';

/** What can be done with an alert. */
export type ActType = 'acknowledge' | 'note' | 'assign' | 'shelve' | 'unshelve';

/** One act. Its id is born here and makes sending it twice harmless. */
export interface Act {
  readonly id: string;
  readonly gridId: string;
  readonly alertId: string;
  readonly type: ActType;
  /** What was written: a note, or the reason of a pause. */
  readonly note: string | null;
  /** Of `assign`: to whom, `me` for oneself, null to give it back. */
  readonly assignee?: string | null;
  /** Of `assign`: earlier assignments that this phone knew. */
  readonly replaces?: readonly string[];
  /** Of `shelve`: how long, seconds. */
  readonly durationS?: number;
  /** By the server's clock as this phone knew it, Unix ms. */
  readonly occurredAtMs: number;
  /** Who did it; only sent under the same login. */
  readonly username: string;
  readonly displayName: string;
  readonly tries: number;
  readonly state: 'waiting' | 'refused';
  /** Why a server refused it, in its words. */
  readonly refusal: string | null;
}

/** An alert as the screen shows it: the server's state plus what waits on this phone. */
export interface ShownAlert extends AlertView {
  readonly waiting: readonly Act[];
  readonly refused: readonly Act[];
  /** Seen by the server's word, or by an act that still waits. */
  readonly seen: boolean;
}

/** Ids of the acts that stand in the timeline of one of the alerts: a server has them, whoever carried them there. */
export const told = (acts: readonly Act[], alerts: readonly AlertView[]): ReadonlySet<string> => {
  const ids = new Set(acts.map(({ id }) => id));
  const found = new Set<string>();
  if (ids.size > 0)
    for (const { timeline } of alerts) for (const { event_id } of timeline) if (ids.has(event_id)) found.add(event_id);
  return found;
};

/** Adds the acts of this phone to an alert. Dropping a refused act brings the former state back by itself. */
export function withActs(alert: AlertView, acts: readonly Act[]): ShownAlert {
  const known = new Set(alert.timeline.map((entry) => entry.event_id));
  const own = acts.filter((act) => act.alertId === alert.alert_id && !known.has(act.id));
  const waiting = own.filter((act) => act.state === 'waiting');
  const last = (...types: readonly ActType[]) => waiting.filter(({ type }) => types.includes(type)).at(-1);
  const pause = last('shelve', 'unshelve');
  const given = last('assign');
  return {
    ...alert,
    ...(pause && {
      shelved_until_ms: pause.type === 'shelve' ? pause.occurredAtMs + (pause.durationS ?? 0) * 1000 : null,
      shelved_reason: pause.type === 'shelve' ? pause.note : null,
    }),
    ...(given && {
      assignee:
        given.assignee == null
          ? null
          : { user_id: '', name: given.assignee === 'me' ? given.displayName : given.assignee },
    }),
    waiting,
    refused: own.filter((act) => act.state === 'refused'),
    seen: alert.acknowledged || waiting.some((act) => act.type === 'acknowledge'),
  };
}
