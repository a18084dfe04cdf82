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

/** How sending ended: taken, no answer (keep and try again), the login is over, or refused for good. */
export type SendOutcome =
  | { readonly kind: 'taken'; readonly alert: AlertView }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'unauthorised' }
  | { readonly kind: 'refused'; readonly reason: string };

/** The acts to send now, oldest first: waiting ones of the person who is logged in. */
export function actsToSend(acts: readonly Act[], username: string): Act[] {
  return acts
    .filter((act) => act.state === 'waiting' && act.username === username)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The list after one act was tried. */
export function afterSending(acts: readonly Act[], id: string, outcome: SendOutcome): Act[] {
  if (outcome.kind === 'taken') return acts.filter((act) => act.id !== id);
  return acts.map((act) => {
    if (act.id !== id) return act;
    if (outcome.kind === 'refused') return { ...act, state: 'refused', refusal: outcome.reason, tries: act.tries + 1 };
    return { ...act, tries: act.tries + 1 };
  });
}

/** Wait before the next round after `failures` rounds without an answer, milliseconds: 1 to 30 s with full jitter. */
export function retryDelayMs(failures: number, random: () => number): number {
  return 1000 + random() * Math.min(29_000, 1000 * 2 ** Math.min(failures, 6));
}

/** The ordinary request of an act. */
export function actRequest(act: Act): {
  readonly method: 'PUT' | 'POST';
  readonly path: string;
  readonly body: object;
} {
  const { type, note } = act;
  const name = type === 'note' ? 'notes' : type;
  const said =
    type === 'shelve'
      ? { reason: note ?? '', duration_s: act.durationS }
      : type === 'assign'
        ? {
            assignee: act.assignee == null || act.assignee === 'me' ? act.assignee : { name: act.assignee },
            replaces: act.replaces,
          }
        : note === null
          ? {}
          : { note };
  return {
    method: type === 'acknowledge' ? 'PUT' : 'POST',
    path: `/api/alerts/${encodeURIComponent(act.alertId)}/${name}`,
    body: { act_id: act.id, occurred_at_ms: act.occurredAtMs, ...said },
  };
}

/** An alert as the screen shows it: the server's state plus what waits on this phone. */
export interface ShownAlert extends AlertView {
  readonly waiting: readonly Act[];
  readonly refused: readonly Act[];
  /** Seen by the server's word, or by an act that still waits. */
  readonly seen: boolean;
}

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
