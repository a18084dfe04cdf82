/**
 * Documents the cloud wants this gateway to have, and what people change here. What comes is checked, tried, and kept as
 * good when the gateway was well with it for a while; else the former state is in force again and the cloud is told why.
 * Every step is one transaction, so that whatever is cut off goes on from there at the next start.
 */
import { createHash } from 'node:crypto';
import type { DesiredChange, DesiredPort } from '@villagrid/api';
import {
  bodyOf,
  bodyProblem,
  canonicalJson,
  documentKinds,
  documentNames,
  editItems,
  itemsOf,
  maxDocumentBytes,
  mergeItems,
  messageOf,
  newId,
  sortedItems,
  VillagridError,
  type Clock,
  type DesiredDocument,
  type DocumentBody,
  type DocumentDown,
  type DocumentEntry,
  type DocumentItem,
  type DocumentName,
  type DocumentTold,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import {
  hashSecret,
  type DesiredStore,
  type KeptDocument,
  type LifecyclePart,
  type Logger,
  type Trial,
} from '@villagrid/runtime';

/** How long the gateway must be well with a document until it counts as good, real milliseconds. */
export const trialMs = 120_000;
/** Starts with a document that is not known to be good; after so many the former one is in force again. */
const mostStarts = 3;
/** How often accounts are compared with what they were, real milliseconds. */
const lookEveryMs = 60_000;
/** Parts of a document that may wait for the others. */
const mostParts = 64;

/** What documents say at a time, by name. */
export type DesiredBodies = Readonly<Record<DocumentName, DocumentBody>>;

export interface DesiredOptions {
  readonly store: DesiredStore;
  readonly gridId: string;
  /** One sentence on why the gateway could not work with this; undefined when it can. Changes nothing. */
  readonly check: (bodies: DesiredBodies, changed: DocumentName) => string | undefined;
  /** Brings what is in force to this; `before` is what the changed one said when it was last good. Throws when it cannot. */
  readonly apply: (bodies: DesiredBodies, changed: DocumentName, before: DocumentBody) => void;
  /** What people here said by other means: rules by files, people by accounts; undefined for what nobody can. */
  readonly local: (name: DocumentName) => DocumentBody | undefined;
  /** Whether the gateway as a whole is well. */
  readonly isWell: () => Promise<boolean>;
  /** Writes to the log; resolves when durable. */
  readonly report: (entry: DocumentEntry) => Promise<unknown>;
  /** Something was decided: the cloud may be told soon. */
  readonly onDecided?: () => void;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** For tests: another time of trial, real milliseconds. */
  readonly trialMs?: number | undefined;
}

export interface Desired extends LifecyclePart {
  /** What is in force now: the trial where there is one. */
  bodies(): DesiredBodies;
  /** A part of a document came from the cloud. */
  take(message: DocumentDown): void;
  /** What HELLO says. */
  told(): Readonly<Partial<Record<DocumentName, DocumentTold>>>;
  /** Something fails; gives whether a document was under trial and the former is in force again. */
  broken(error: unknown): boolean;
  readonly port: DesiredPort;
}

/** Access of people is no matter of trying: what was denied must not come back. */
const isAtOnce = (name: DocumentName): boolean => documentKinds[name].merge === 'deny_wins';
const textOf = (items: readonly DocumentItem[]): string => canonicalJson(sortedItems(items));
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Makes it, and settles what a former life left: trials that were started too often are over. */
export function createDesired(options: DesiredOptions): Desired {
  const { store, gridId, clock, realClock, random, logger } = options;
  const timers = new Map<DocumentName, Timer>();
  const coming = new Map<DocumentName, { readonly sha256: string; readonly texts: Map<number, string> }>();
  let look: Timer | undefined;
  let reporting = false;
  let stopped = false;
  let started = false;

  const nowMs = (): number => Math.round(clock.nowMs());
  const inForce = (kept: KeptDocument): readonly DocumentItem[] => kept.trial?.items ?? kept.items;
  const bodies = (changed?: DocumentName, items?: readonly DocumentItem[]): DesiredBodies =>
    Object.fromEntries(
      documentNames.map((name) => [
        name,
        bodyOf(name === changed && items !== undefined ? items : inForce(store.get(name))),
      ]),
    ) as unknown as DesiredBodies;

  const entryOf = (
    name: DocumentName,
    what: Pick<DocumentEntry, 'rev' | 'sha256' | 'state' | 'reason'> & { readonly items?: readonly DocumentItem[] },
  ): DocumentEntry => ({
    type: 'document',
    id: newId(nowMs(), random),
    name,
    ...what,
    time_ms: nowMs(),
  });
  const edited = (name: DocumentName, kept: KeptDocument, items: readonly DocumentItem[]): DocumentEntry[] =>
    items.length === 0
      ? []
      : [entryOf(name, { rev: kept.rev, sha256: kept.sha256, state: 'edited', reason: null, items: items.map(shown) })];

  /** Writes what waits to the log, in order; what is written twice is recognised by its id. */
  const flush = (): void => {
    if (!started || reporting) return;
    reporting = true;
    const next = async (): Promise<void> => {
      for (let one = store.reports()[0]; one !== undefined && !stopped; one = store.reports()[0]) {
        await options.report(one.entry);
        if (!stopped) store.reported(one.seq);
      }
    };
    next()
      .catch((error: unknown) =>
        logger.warn('what became of a document could not be written to the log yet', { error }),
      )
      .finally(() => (reporting = false));
  };

  const decided = (): void => {
    flush();
    if (started) options.onDecided?.();
  };

  const refuse = (name: DocumentName, rev: number, sha256: string, reason: string): void => {
    const kept = store.get(name);
    const state = 'refused' as const;
    store.put(
      name,
      { ...kept, rev, sha256, state, reason, decidedMs: nowMs() },
      { reports: [entryOf(name, { rev, sha256, state, reason })] },
    );
    logger.warn('a document from the cloud was refused', { name, rev, reason });
    decided();
  };

  /** The former state is in force again. */
  const rollBack = (name: DocumentName, reason: string): void => {
    timers.get(name)?.cancel();
    timers.delete(name);
    const kept = store.get(name);
    const { trial } = kept;
    if (trial === null) return;
    const outcome =
      trial.rev === null
        ? {}
        : {
            rev: trial.rev,
            sha256: trial.sha256,
            state: 'rolled_back' as const,
            reason,
            decidedMs: nowMs(),
          };
    store.put(
      name,
      { ...kept, ...outcome, trial: null, version: kept.version + 1 },
      {
        reports:
          trial.rev === null
            ? []
            : [entryOf(name, { rev: trial.rev, sha256: trial.sha256, state: 'rolled_back', reason })],
      },
    );
    logger.error('a document was rolled back: the former one is in force again', { name, rev: trial.rev, reason });
    if (started) {
      try {
        options.apply(bodies(), name, bodyOf(trial.items));
      } catch (error) {
        logger.error('the former document cannot be brought into force before the next start', { name, error });
      }
    }
    decided();
  };

  /** What was tried is good. */
  const confirm = (name: DocumentName): void => {
    const kept = store.get(name);
    const { trial } = kept;
    if (trial === null) return;
    const { rev, sha256, items, tell, author } = trial;
    const outcome = rev === null ? {} : { rev, sha256, state: 'applied' as const, reason: null, decidedMs: nowMs() };
    const next: KeptDocument = { ...kept, ...outcome, items, trial: null, author };
    store.put(name, next, {
      reports: [
        ...(rev === null ? [] : [entryOf(name, { rev, sha256, state: 'applied', reason: null })]),
        ...edited(name, next, tell),
      ],
    });
    logger.info('a document is in force', { name, rev, entries: Object.keys(bodyOf(items)).length });
    decided();
  };

  const watch = (name: DocumentName): void => {
    timers.get(name)?.cancel();
    timers.set(
      name,
      realClock.after(options.trialMs ?? trialMs, () => {
        timers.delete(name);
        options
          .isWell()
          .then((isWell) => {
            if (stopped || store.get(name).trial === null) return;
            if (isWell) confirm(name);
            else rollBack(name, 'the gateway was not well with it: its health is down');
          })
          .catch((error: unknown) => {
            if (stopped) return;
            logger.error('what became of a document cannot be decided yet', { name, error });
            watch(name);
          });
      }),
    );
  };

  /** Tries a state. */
  const begin = (name: DocumentName, trial: Omit<Trial, 'starts'>): void => {
    const kept = store.get(name);
    store.put(name, { ...kept, trial: { ...trial, starts: 1 }, version: kept.version + 1 });
    try {
      options.apply(bodies(), name, bodyOf(kept.items));
    } catch (error) {
      return rollBack(name, messageOf(error));
    }
    if (isAtOnce(name)) settleAtOnce(name);
    else watch(name);
  };
  /** What was brought into force is what is there now: no change of a person. */
  const settleAtOnce = (name: DocumentName): void => {
    store.put(name, store.get(name), { seen: options.local(name) ?? {} });
    confirm(name);
  };

  /** What is good, with what people changed here and is still on trial: they were told that it was taken. */
  const withChangesOnTrial = (name: DocumentName, { items, trial }: KeptDocument): readonly DocumentItem[] => {
    if (trial === null) return items;
    // On trial with a revision of the cloud that is now overtaken, only what the cloud does not have yet counts.
    return trial.rev === null ? trial.items : mergeItems(documentKinds[name].merge, items, trial.tell).items;
  };

  const decide = (name: DocumentName, rev: number, sha256: string, text: string): void => {
    const kept = store.get(name);
    let received: readonly DocumentItem[] | undefined;
    try {
      received = itemsOf(JSON.parse(text));
    } catch {
      received = undefined;
    }
    if (received === undefined) return refuse(name, rev, sha256, 'it does not have the form of a document');
    const problem = bodyProblem(name, bodyOf(received));
    if (problem !== undefined) return refuse(name, rev, sha256, problem);
    // What a person changed here since is part of it: the cloud learns of that.
    const present = withChangesOnTrial(name, kept);
    const items = withHashesSent(mergeItems(documentKinds[name].merge, present, received).items, present, received);
    const cannot = checked(name, items);
    if (cannot !== undefined) return refuse(name, rev, sha256, cannot);
    const theirs = new Map(received.map((one) => [one.id, canonicalJson(shown(one))]));
    const tell = items.filter((one) => theirs.get(one.id) !== canonicalJson(shown(one)));
    begin(name, { rev, sha256, items, tell, author: null });
  };

  /** One that throws is as good as a sentence. */
  const checked = (name: DocumentName, items: readonly DocumentItem[]): string | undefined => {
    try {
      return options.check(bodies(name, items), name);
    } catch (error) {
      return messageOf(error);
    }
  };

  /** Compares what people said by other means with what they said before. */
  const takeLocal = (name: DocumentName): void => {
    const local = options.local(name);
    if (local === undefined) return;
    const seen = store.seen(name);
    if (canonicalJson(local) === canonicalJson(seen)) return;
    const kept = store.get(name);
    /** Only what was changed there: of all else the document has the word. */
    const changedIn = (items: readonly DocumentItem[]) => {
      const body: Record<string, unknown> = { ...bodyOf(items) };
      for (const id of new Set([...Object.keys(seen), ...Object.keys(local)])) {
        if (canonicalJson(seen[id]) === canonicalJson(local[id])) continue;
        if (local[id] === undefined) delete body[id];
        else body[id] = withHashOf(body[id], local[id]);
      }
      return editItems(items, body, 'gateway');
    };
    const { items, changed } = changedIn(kept.items);
    const trial = kept.trial === null ? null : { ...kept.trial, items: changedIn(kept.trial.items).items };
    const next: KeptDocument = { ...kept, items, trial, version: kept.version + 1, author: null };
    store.put(name, next, { seen: local, reports: edited(name, next, changed) });
    if (changed.length > 0) logger.info('a document was changed here', { name, entries: changed.map(({ id }) => id) });
    flush();
  };

  const settle = (): void => {
    for (const name of documentNames) {
      takeLocal(name);
      const kept = store.get(name);
      const { trial } = kept;
      if (trial === null || isAtOnce(name)) continue;
      if (trial.starts >= mostStarts)
        rollBack(name, `the gateway was started ${trial.starts} times and never stayed up with it`);
      else {
        store.put(name, { ...kept, trial: { ...trial, starts: trial.starts + 1 } });
        const cannot = checked(name, trial.items);
        if (cannot !== undefined) rollBack(name, cannot);
      }
    }
  };
  settle();

  const viewOf = (name: DocumentName): DesiredDocument => {
    const kept = store.get(name);
    const items = inForce(kept);
    return {
      grid_id: gridId,
      name,
      ...stateOf(kept),
      body: Object.fromEntries(Object.entries(bodyOf(items.map(shown)))),
      lost: [],
    };
  };
  const stateOf = (kept: KeptDocument) => ({
    rev: kept.version,
    sha256: hashOf(textOf(inForce(kept))),
    state:
      kept.trial !== null ? ('waiting' as const) : (kept.state ?? (kept.version === 0 ? ('none' as const) : 'applied')),
    reason: kept.reason,
    decided_at_ms: kept.decidedMs,
    changed_at_ms: kept.decidedMs,
    changed_by: kept.trial?.author ?? kept.author,
    cause: null,
  });

  const put = async (name: DocumentName, change: DesiredChange) => {
    const hashes = new Map<string, string>();
    for (const [username, password] of change.password) hashes.set(username, await hashSecret(password, random));
    takeLocal(name);
    const kept = store.get(name);
    if (kept.version !== change.basedOn) return { ok: false as const, present: viewOf(name) };
    if (kept.trial !== null)
      throw new VillagridError('E_CONFLICT', 'A change is being tried; wait some minutes until it counts as good.');
    const before = bodyOf(kept.items);
    const body = Object.fromEntries(
      Object.entries(change.body).map(([id, value]) => {
        const hash = hashes.get(id);
        return [id, hash === undefined ? withHashOf(before[id], value) : { ...(value as object), password_hash: hash }];
      }),
    );
    const { items, changed } = editItems(kept.items, body, 'gateway');
    if (changed.length === 0) return { ok: true as const, document: viewOf(name) };
    const cannot = textOf(items).length > maxDocumentBytes ? 'it is too large' : checked(name, items);
    if (cannot !== undefined) throw new VillagridError('E_REQUEST_INVALID', `body: ${cannot}.`);
    begin(name, { rev: null, sha256: '', items, tell: changed, author: change.actor });
    return { ok: true as const, document: viewOf(name) };
  };

  return {
    name: 'documents',
    bodies: () => bodies(),
    take(message) {
      const { name, rev, sha256, part, parts, text } = message;
      const isGood =
        documentNames.includes(name) &&
        Number.isSafeInteger(rev) &&
        Number.isSafeInteger(part) &&
        parts >= 1 &&
        parts <= mostParts &&
        part >= 0 &&
        part < parts &&
        typeof text === 'string' &&
        text.length <= maxDocumentBytes;
      if (!isGood) return void logger.warn('a message of a document was left aside: it does not have its form');
      const kept = store.get(name);
      // Said again, or overtaken: it was decided on.
      if (rev <= kept.rev || rev <= (kept.trial?.rev ?? 0)) return;
      let known = coming.get(name);
      if (known?.sha256 !== sha256) {
        known = { sha256, texts: new Map() };
        coming.set(name, known);
      }
      known.texts.set(part, text);
      if (known.texts.size < parts) return;
      coming.delete(name);
      const whole = Array.from({ length: parts }, (_, at) => known.texts.get(at) ?? '').join('');
      // Sent again when it is not decided on.
      if (hashOf(whole) !== sha256) return void logger.warn('a document came damaged; it comes again', { name, rev });
      if (Buffer.byteLength(whole) > maxDocumentBytes) return refuse(name, rev, sha256, 'it is too large');
      takeLocal(name);
      decide(name, rev, sha256, whole);
    },
    told() {
      const found: Partial<Record<DocumentName, DocumentTold>> = {};
      for (const name of documentNames) {
        const { rev, sha256, state } = store.get(name);
        if (state !== null) found[name] = { rev, sha256, state };
      }
      return found;
    },
    broken(error) {
      const tried = documentNames.filter((name) => store.get(name).trial !== null);
      for (const name of tried) rollBack(name, `the gateway fails with it: ${messageOf(error)}`);
      return tried.length > 0;
    },
    port: {
      list: () =>
        documentNames.map((name) => {
          const kept = store.get(name);
          const { what, role } = documentKinds[name];
          return { name, what, role, entries: Object.keys(bodyOf(inForce(kept))).length, ...stateOf(kept) };
        }),
      get(name, rev) {
        takeLocal(name);
        const { version } = store.get(name);
        return rev === undefined || rev === version ? viewOf(name) : undefined;
      },
      history: (name) => {
        const kept = store.get(name);
        return [{ ...stateOf(kept), entries: Object.keys(bodyOf(inForce(kept))).length, lost: 0 }];
      },
      put,
    },
    start() {
      started = true;
      for (const name of documentNames) {
        if (store.get(name).trial === null) continue;
        if (isAtOnce(name)) {
          options.apply(bodies(), name, bodyOf(store.get(name).items));
          settleAtOnce(name);
        } else watch(name);
      }
      flush();
      look = realClock.every(lookEveryMs, () => {
        try {
          takeLocal('users');
        } catch (error) {
          logger.warn('changes of accounts could not be noted yet', { error });
        }
        flush();
      });
    },
    stop() {
      stopped = true;
      look?.cancel();
      for (const timer of timers.values()) timer.cancel();
    },
  };
}

/** What a person changed here is no change of the password that came from the cloud. */
function withHashOf(before: unknown, value: unknown): unknown {
  const hash = (before as { password_hash?: string } | null | undefined)?.password_hash;
  return hash === undefined ? value : { ...(value as object), password_hash: hash };
}

/** Merged items with the hashes that came where both have one version: a cloud that was restored from a backup has the word. */
function withHashesSent(
  merged: readonly DocumentItem[],
  present: readonly DocumentItem[],
  received: readonly DocumentItem[],
): readonly DocumentItem[] {
  const had = new Map(present.map((one) => [one.id, one]));
  const sent = new Map(received.map((one) => [one.id, one]));
  return merged.map((one) => {
    const [before, now] = [had.get(one.id), sent.get(one.id)];
    const hash = (now?.value as { password_hash?: string } | null | undefined)?.password_hash;
    const isSameVersion = before?.ver[0] === now?.ver[0] && before?.ver[1] === now?.ver[1];
    if (hash === undefined || one.value === null || !isSameVersion) return one;
    return { ...one, value: { ...(one.value as object), password_hash: hash } };
  });
}

/** An item without what must not leave this gateway. */
function shown(item: DocumentItem): DocumentItem {
  if (typeof item.value !== 'object' || item.value === null || !('password_hash' in item.value)) return item;
  const { password_hash: _hash, ...value } = item.value as Record<string, unknown>;
  return { ...item, value };
}
