/**
 * Documents that grids are to have. The cloud keeps the wanted state with its revisions; a gateway says at HELLO what it
 * has decided on and is sent what is newer, so one that was away for weeks gets the newest alone. A push at a change is
 * only a hint. What a gateway changed itself comes up in its log and is merged.
 */
import { createHash } from 'node:crypto';
import type { DesiredChange, DesiredPort } from '@villagrid/api';
import {
  bodyOf,
  bodyProblem,
  canonicalJson,
  defaultLimits,
  defaultRules,
  documentKinds,
  documentNames,
  documentPartBytes,
  editItems,
  maxDocumentBytes,
  mayOnGrid,
  mergeItems,
  messageOf,
  ruleOfChange,
  sortedItems,
  VillagridError,
  whyNotRules,
  type Clock,
  type DesiredDocument,
  type DesiredState,
  type DocumentBody,
  type DocumentEntry,
  type DocumentItem,
  type DocumentName,
  type DocumentTold,
  type DownMessage,
  type LostChange,
  type RandomSource,
  type RuleLimits,
  type Site,
  type Timer,
  type UserValue,
} from '@villagrid/contracts';
import { hashSecret, type Account, type LifecyclePart, type Logger } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { AbilityStore } from '../stores/ability-store.js';
import type { DocumentRevision, DocumentStore } from '../stores/document-store.js';
import type { Presence } from '../uplink/presence.js';

/** Documents that a connected gateway has not decided on go again this often, real milliseconds. */
const repeatMs = 60_000;

export interface DocumentsOptions {
  readonly store: DocumentStore;
  readonly abilities: AbilityStore;
  readonly transaction: <T>(run: () => T) => T;
  readonly directory: Directory;
  readonly presence: Pick<Presence, 'state'>;
  readonly send: (gateway: GatewayEntry, message: DownMessage) => void;
  /** What is known of the site of a grid; rules are held against it. */
  readonly siteOf: (gridId: string) => Site | undefined;
  /** Usernames that are shut out of a grid at this server; `namesShutOut` tells them. */
  readonly shutOut: (gridId: string) => ReadonlySet<string>;
  /** Somebody has no access to a grid any more. */
  readonly onDenied: (gridId: string, username: string) => void;
  /** What is kept of a grid changed. */
  readonly onChanged?: (gridId: string) => void;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}

export interface Documents extends LifecyclePart {
  portOf(gateway: GatewayEntry): DesiredPort;
  /** A gateway says what it has decided on; undefined of one that knows of no documents. */
  hello(gateway: GatewayEntry, told: Readonly<Partial<Record<DocumentName, DocumentTold>>> | undefined): void;
  /** An entry of a gateway's log; within the caller's transaction. */
  took(gridId: string, entry: DocumentEntry): void;
  /** Entries of the newest revision that the gateway took, or of the newest where there is no gateway; empty while there is none. */
  inForce(gridId: string, name: DocumentName): DocumentBody;
}

/**
 * Usernames of disabled accounts whose grants reach a grid. An account without them is somebody else's affair: a person of
 * that name in the village need not be the same.
 */
export function namesShutOut(
  accounts: readonly Pick<Account, 'username' | 'disabled' | 'grants'>[],
  gridId: string,
  organisationId: string | undefined,
): ReadonlySet<string> {
  const reaches = ({ username, grants }: Pick<Account, 'username' | 'grants'>) =>
    mayOnGrid({ user_id: '', username, display_name: '', grants }, 'viewer', gridId, organisationId);
  return new Set(accounts.filter((one) => one.disabled && reaches(one)).map(({ username }) => username));
}

/** The text that is hashed and sent. */
export const documentText = (items: readonly DocumentItem[]): string => canonicalJson(sortedItems(items));
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Makes it. */
export function createDocuments(options: DocumentsOptions): Documents {
  const { store, directory, presence, clock, realClock, log } = options;
  let timer: Timer | undefined;
  let soon: Timer | undefined;
  /** Gateways that said HELLO with documents; others are not sent what they do not know. */
  const speaking = new Set(options.abilities.all('documents').keys());
  /** When a revision went down last, real monotonic milliseconds. */
  const sentMs = new Map<string, number>();

  /** Whether a grid has no gateway: nobody has to take a document first. */
  const isOwn = (gridId: string): boolean => directory.ofGrid(gridId)?.own !== undefined;
  const nextRev = (gridId: string, name: DocumentName): number =>
    Math.max(store.newest(gridId, name)?.rev ?? 0, store.told(gridId, name)) + 1;

  const add = (
    gridId: string,
    name: DocumentName,
    items: readonly DocumentItem[],
    cause: DocumentRevision['cause'],
    author: DocumentRevision['author'],
    lost: readonly LostChange[] = [],
  ): void => {
    const before = bodyOf(store.newest(gridId, name)?.items ?? []);
    const rev = nextRev(gridId, name);
    const createdMs = clock.nowMs();
    store.add(gridId, { name, rev, items, sha256: sha256(documentText(items)), cause, author, lost, createdMs });
    if (isOwn(gridId)) store.decided(gridId, name, rev, { state: 'applied', reason: null, atMs: createdMs });
    log.info('a document has a new revision', { grid_id: gridId, name, rev, cause, user_id: author?.user_id ?? null });
    if (name === 'users') for (const username of deniedBy(before, items)) options.onDenied(gridId, username);
    options.onChanged?.(gridId);
    soon ??= realClock.after(0, () => {
      soon = undefined;
      for (const gateway of directory.all()) sendDue(gateway);
    });
  };

  const sendRevision = (gateway: GatewayEntry, { name, rev, items, sha256: hash }: DocumentRevision): void => {
    sentMs.set(`${gateway.grid_id} ${name} ${rev}`, realClock.monotonicMs());
    const texts = partsOf(documentText(items));
    for (const [part, text] of texts.entries())
      options.send(gateway, { y: 'document', name, rev, sha256: hash, part, parts: texts.length, text });
  };

  /** What it has not decided on and was not sent lately. */
  const sendDue = (gateway: GatewayEntry): void => {
    if (!speaking.has(gateway.gateway_id) || presence.state(gateway) !== 'up') return;
    for (const name of documentNames) {
      const newest = store.newest(gateway.grid_id, name);
      if (newest === undefined || newest.state !== null) continue;
      const last = sentMs.get(`${gateway.grid_id} ${name} ${newest.rev}`);
      if (last === undefined || realClock.monotonicMs() - last >= repeatMs) sendRevision(gateway, newest);
    }
  };

  /** Who is shut out of this server is shut out of their villages too. */
  const denyShutOut = (gridId: string): void => {
    const newest = store.newest(gridId, 'users');
    if (newest === undefined) return;
    const shutOut = options.shutOut(gridId);
    if (shutOut.size === 0) return;
    const body: Record<string, unknown> = { ...bodyOf(newest.items) };
    for (const [username, value] of Object.entries(body) as [string, UserValue][])
      if (shutOut.has(username) && !value.disabled) body[username] = { ...value, disabled: true };
    const { items, changed } = editItems(newest.items, body, 'cloud');
    if (changed.length > 0) options.transaction(() => add(gridId, 'users', items, 'edited', null));
  };

  const checkAgainstSite = (gridId: string, name: DocumentName, body: DocumentBody): void => {
    const site = options.siteOf(gridId);
    const isOurs = isOwn(gridId);
    if (site === undefined || !(name === 'rules' || (name === 'limits' && isOurs))) return;
    const bodies = (one: 'rules' | 'limits') => (one === name ? body : bodyOf(store.newest(gridId, one)?.items ?? []));
    const limits = bodies('limits') as Partial<RuleLimits>;
    const defaults = defaultRules({ ...defaultLimits(site.plant), ...limits }, site);
    const rules = new Map(defaults.map((rule) => [rule.id, rule]));
    for (const [id, change] of Object.entries(bodies('rules'))) {
      const made = ruleOfChange(change, { site, defaults });
      if (made.ok) rules.set(id, made.rule);
      else if (name === 'rules') throw new VillagridError('E_REQUEST_INVALID', `body/${id}: ${made.reason}.`);
    }
    if (!isOurs) return;
    // No gateway tries them before they are in force.
    let reason: string | undefined;
    try {
      reason = whyNotRules([...rules.values()], name === 'rules' ? Object.keys(body) : [], site, clock.nowMs());
    } catch (error) {
      reason = error instanceof VillagridError ? error.detail : messageOf(error);
    }
    if (reason !== undefined) throw new VillagridError('E_REQUEST_INVALID', reason);
  };

  const put = async (gridId: string, name: DocumentName, change: DesiredChange) => {
    const hashes = new Map<string, string>();
    for (const [username, password] of change.password)
      hashes.set(username, await hashSecret(password, options.random));
    return options.transaction(() => {
      const newest = store.newest(gridId, name);
      if ((newest?.rev ?? 0) !== change.basedOn) return { ok: false as const, present: viewOf(gridId, name, newest) };
      const present = bodyOf(newest?.items ?? []);
      const body = name === 'users' ? withHashes(change.body, present, hashes) : change.body;
      checkAgainstSite(gridId, name, body);
      const { items, changed } = editItems(newest?.items ?? [], body, 'cloud');
      if (changed.length > 0) {
        const bytes = Buffer.byteLength(documentText(items));
        if (bytes > maxDocumentBytes)
          throw new VillagridError(
            'E_REQUEST_INVALID',
            `The document has ${bytes} bytes; ${maxDocumentBytes} is the most a gateway takes.`,
          );
        add(gridId, name, items, 'edited', change.actor);
      }
      return { ok: true as const, document: viewOf(gridId, name, store.newest(gridId, name)) };
    });
  };

  return {
    name: 'documents',
    inForce(gridId, name) {
      return bodyOf((isOwn(gridId) ? store.newest(gridId, name) : store.applied(gridId, name))?.items ?? []);
    },
    portOf: ({ grid_id: gridId }) => ({
      list: () =>
        documentNames.map((name): DesiredState => {
          const newest = store.newest(gridId, name);
          const { what, role } = documentKinds[name];
          return { name, what, role, entries: entriesOf(newest), ...stateOf(newest) };
        }),
      get(name, rev) {
        const found = rev === undefined ? store.newest(gridId, name) : store.get(gridId, name, rev);
        return found === undefined && rev !== undefined && rev !== 0 ? undefined : viewOf(gridId, name, found);
      },
      history: (name) =>
        store.history(gridId, name).map((one) => ({ ...stateOf(one), entries: entriesOf(one), lost: one.lost.length })),
      put: (name, change) => put(gridId, name, change),
    }),

    hello(gateway, told) {
      const isSpeaking = told !== undefined;
      if (isSpeaking !== speaking.has(gateway.gateway_id))
        options.abilities.set('documents', gateway.gateway_id, isSpeaking || undefined);
      if (!isSpeaking) return void speaking.delete(gateway.gateway_id);
      speaking.add(gateway.gateway_id);
      const gridId = gateway.grid_id;
      options.transaction(() => {
        for (const name of documentNames) {
          const has = told[name];
          if (has === undefined) continue;
          const newest = store.newest(gridId, name);
          store.setTold(gridId, name, has.rev);
          if (newest === undefined) continue;
          // A cloud that was restored from a backup counts on from what the gateway knows, also when it counted up to there.
          const isOther = has.rev === newest.rev && has.sha256 !== newest.sha256;
          if (has.rev > newest.rev || isOther) add(gridId, name, newest.items, 'renumbered', null, newest.lost);
          else if (has.rev === newest.rev && newest.state === null)
            store.decided(gridId, name, has.rev, { state: has.state, reason: null, atMs: clock.nowMs() });
        }
      });
      denyShutOut(gridId);
      for (const name of documentNames) {
        const newest = store.newest(gridId, name);
        const has = told[name];
        if (newest !== undefined && (has === undefined || has.rev < newest.rev)) sendRevision(gateway, newest);
      }
    },

    took(gridId, entry) {
      const { name, rev, state, reason } = entry;
      if (state !== 'edited') {
        store.setTold(gridId, name, rev);
        // Before this cloud was restored from a backup the number may have been that of another revision.
        if (store.get(gridId, name, rev)?.sha256 === entry.sha256)
          store.decided(gridId, name, rev, { state, reason, atMs: entry.time_ms });
        if (state !== 'applied')
          log.warn('a gateway did not take a document', { grid_id: gridId, name, rev, state, reason });
        options.onChanged?.(gridId);
        return;
      }
      const items = entry.items ?? [];
      const problem = bodyProblem(name, bodyOf(items));
      if (problem !== undefined) {
        log.warn('what a gateway changed of a document was left aside', { grid_id: gridId, name, reason: problem });
        return;
      }
      const before = store.newest(gridId, name)?.items ?? [];
      const merged = mergeItems(documentKinds[name].merge, before, items);
      if (documentText(merged.items) !== documentText(before))
        add(gridId, name, merged.items, 'merged', null, merged.lost);
    },

    start() {
      timer = realClock.every(repeatMs, () => {
        for (const gateway of directory.all()) {
          denyShutOut(gateway.grid_id);
          sendDue(gateway);
        }
      });
    },
    stop() {
      timer?.cancel();
      soon?.cancel();
    },
  };
}

const entriesOf = (revision: DocumentRevision | undefined): number => Object.keys(bodyOf(revision?.items ?? [])).length;

const stateOf = (revision: DocumentRevision | undefined) => ({
  rev: revision?.rev ?? 0,
  sha256: revision?.sha256 ?? sha256(documentText([])),
  state: revision === undefined ? ('none' as const) : (revision.state ?? ('waiting' as const)),
  reason: revision?.reason ?? null,
  decided_at_ms: revision?.decidedMs ?? null,
  changed_at_ms: revision?.createdMs ?? null,
  changed_by: revision?.author ?? null,
  cause: revision?.cause ?? null,
});

function viewOf(gridId: string, name: DocumentName, revision: DocumentRevision | undefined): DesiredDocument {
  const shown = (value: unknown): unknown => {
    if (name !== 'users' || value === null) return value;
    const { password_hash: _hash, ...rest } = value as UserValue;
    return rest;
  };
  const body = bodyOf(revision?.items ?? []);
  return {
    grid_id: gridId,
    name,
    ...stateOf(revision),
    body: Object.fromEntries(Object.entries(body).map(([id, value]) => [id, shown(value)])),
    lost: (revision?.lost ?? []).map(({ id, value, side }) => ({ id, value: shown(value), side })),
  };
}

/** People with their new passwords, or the ones they have. */
function withHashes(body: DocumentBody, present: DocumentBody, hashes: ReadonlyMap<string, string>): DocumentBody {
  return Object.fromEntries(
    Object.entries(body).map(([username, value]) => {
      const hash = hashes.get(username) ?? (present[username] as UserValue | undefined)?.password_hash;
      return [username, { ...(value as UserValue), ...(hash === undefined ? {} : { password_hash: hash }) }];
    }),
  );
}

/** People who had access and have none any more. */
function deniedBy(before: DocumentBody, items: readonly DocumentItem[]): string[] {
  const isDenied = (value: unknown) => value === null || value === undefined || (value as UserValue).disabled;
  return items.filter(({ id, value }) => isDenied(value) && !isDenied(before[id])).map(({ id }) => id);
}

/** A text in parts of at most `documentPartBytes`. */
function partsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    let end = Math.min(bytes.length, at + documentPartBytes);
    // Never within a character.
    while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    parts.push(bytes.subarray(at, end).toString());
    at = end;
  }
  return parts;
}
