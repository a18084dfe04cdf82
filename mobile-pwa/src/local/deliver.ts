/** Sends what waits on this phone, oldest first, to whichever server answers. Loaded when something waits. */
import type { AlertView, Clock, RandomSource, Timer } from '@villagrid/contracts';
import type { Signal } from '@preact/signals';
import { ApiFailure, type Api } from '../origin/api.js';
import { told, type Act } from './acts.js';
import type { LocalStore } from './database.js';

/**
 * How sending ended: taken; no answer (keep and try again); the login is over; this server does not know the alert (yet:
 * another one may, or it comes by the uplink); or refused for good.
 */
export type SendOutcome =
  | { readonly kind: 'taken'; readonly alert: AlertView }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'unauthorised' }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** How long an act waits for a server that knows its alert, ms. */
export const unknownForMs = 7 * 86_400_000;
/** Wait before an alert that a server did not know is tried there again, ms. */
const unknownAgainMs = 60_000;

/** The acts to send now, oldest first: waiting ones of the person who is logged in. */
export function actsToSend(acts: readonly Act[], username: string): Act[] {
  return acts
    .filter((act) => act.state === 'waiting' && act.username === username)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The list after one act was tried at `nowMs`, Unix ms. */
export function afterSending(acts: readonly Act[], id: string, outcome: SendOutcome, nowMs: number): Act[] {
  if (outcome.kind === 'taken') return acts.filter((act) => act.id !== id);
  return acts.map((act) => {
    if (act.id !== id) return act;
    const over = outcome.kind === 'refused' || (outcome.kind === 'unknown' && nowMs - act.occurredAtMs > unknownForMs);
    return over && 'reason' in outcome
      ? { ...act, state: 'refused', refusal: outcome.reason, tries: act.tries + 1 }
      : { ...act, tries: act.tries + 1 };
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

/** What a failed call means for an act. */
export function outcomeOf(error: unknown): Exclude<SendOutcome, { kind: 'taken' }> {
  if (!(error instanceof ApiFailure)) return { kind: 'unreachable' };
  const { kind, status, problem } = error;
  if (kind === 'unauthorised') return { kind };
  if (kind !== 'refused' || status === 429) return { kind: 'unreachable' };
  const reason = problem?.detail ?? problem?.title ?? String(status);
  return { kind: status === 404 ? 'unknown' : 'refused', reason };
}

const patienceMs = 10_000;

async function send(api: Api, act: Act): Promise<SendOutcome> {
  try {
    const { method, path, body } = actRequest(act);
    const read = async (response: Response) => (await response.json()) as AlertView;
    return { kind: 'taken', alert: await api.ask(path, patienceMs, read, { method, body }) };
  } catch (error) {
    const outcome = outcomeOf(error);
    if (outcome.kind !== 'refused') return outcome;
    // The other server may have taken it before the answer was lost, and told this one: then it is there, by another login.
    const alert = await api.alert(act.gridId, act.alertId).catch(() => undefined);
    return alert !== undefined && told([act], [alert]).has(act.id) ? { kind: 'taken', alert } : outcome;
  }
}

/** Sends waiting acts, one round at a time. */
export interface Deliverer {
  /** Sends what waits; `fresh` forgets earlier failures, since something changed. */
  run(fresh: boolean): Promise<void>;
}

/** Makes the deliverer. `username` is who is logged in at the server that answers now, or null. */
export function createDeliverer(options: {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly store: LocalStore;
  readonly api: Api;
  readonly acts: Signal<readonly Act[]>;
  readonly username: () => string | null;
  readonly nowMs: () => number;
  readonly onTaken: (act: Act, alert: AlertView) => void;
}): Deliverer {
  const { clock, random, store, acts, username } = options;
  let failures = 0;
  let sending = false;
  let again: Timer | undefined;
  return {
    async run(fresh) {
      if (fresh) failures = 0;
      const name = username();
      if (sending || name === null) return;
      sending = true;
      again?.cancel();
      let unknown = 0;
      try {
        for (const act of actsToSend(acts.value, name)) {
          const outcome = await send(options.api, act);
          acts.value = afterSending(acts.value, act.id, outcome, options.nowMs());
          const left = acts.value.find(({ id }) => id === act.id);
          if (left === undefined) await store.remove('acts', act.id);
          else await store.put('acts', left);
          if (outcome.kind === 'taken') {
            failures = 0;
            options.onTaken(act, outcome.alert);
          }
          if (outcome.kind === 'unknown') unknown += 1;
          if (outcome.kind === 'unreachable' || outcome.kind === 'unauthorised') {
            failures += 1;
            break;
          }
        }
      } finally {
        sending = false;
      }
      const left = actsToSend(acts.value, name).length;
      if (left === 0 || username() === null) return;
      const waitMs = left === unknown ? unknownAgainMs : retryDelayMs(failures, () => random.float());
      again = clock.after(waitMs, () => void this.run(false));
    },
  };
}
