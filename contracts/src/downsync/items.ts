/**
 * Documents that both ends may change: sets of items, each with a version of two counters, so that no clock decides.
 * A change that knew of another one succeeds it. Of two that knew nothing of each other the cloud's is taken and the other
 * is given back, to be shown to a person; where access of people is concerned, what denies more is taken. Pure.
 */
import { isRecord } from '../json/record.js';
import { roles, type Role } from '../auth/roles.js';

/** How often an item was changed at the gateway and at the cloud. */
export type ItemVersion = readonly [gateway: number, cloud: number];

/** One item: a rule, a limit, a person. Null is one that was taken away. */
export interface DocumentItem {
  readonly id: string;
  readonly ver: ItemVersion;
  readonly value: unknown;
}

/** Where a change is made. */
export type DocumentSide = 'gateway' | 'cloud';

/** How two changes that knew nothing of each other become one. */
export type MergeKind = 'cloud_wins' | 'deny_wins';

/** Items by id. */
export type DocumentBody = Readonly<Record<string, unknown>>;

/** JSON with sorted keys: equal documents have equal texts. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((one) => canonicalJson(one ?? null)).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null';
  const parts = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${parts.join(',')}}`;
}

/** Items in the order of their ids, which is the form that is hashed and sent. */
export function sortedItems(items: readonly DocumentItem[]): readonly DocumentItem[] {
  return [...items].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** What is there: items without those that were taken away. */
export function bodyOf(items: readonly DocumentItem[]): DocumentBody {
  return Object.fromEntries(
    sortedItems(items)
      .filter(({ value }) => value !== null)
      .map(({ id, value }) => [id, value]),
  );
}

/** Items after somebody at `side` made the body what is given: what differs gets a version that succeeds the present one. */
export function editItems(
  items: readonly DocumentItem[],
  body: DocumentBody,
  side: DocumentSide,
): { readonly items: readonly DocumentItem[]; readonly changed: readonly DocumentItem[] } {
  const before = new Map(items.map((one) => [one.id, one]));
  const changed: DocumentItem[] = [];
  for (const id of new Set([...before.keys(), ...Object.keys(body)])) {
    const known = before.get(id);
    const value = Object.hasOwn(body, id) ? (body[id] ?? null) : null;
    if (canonicalJson(known?.value ?? null) === canonicalJson(value)) continue;
    const [gateway, cloud] = known?.ver ?? [0, 0];
    const item: DocumentItem = { id, ver: side === 'cloud' ? [gateway, cloud + 1] : [gateway + 1, cloud], value };
    before.set(id, item);
    changed.push(item);
  }
  return { items: sortedItems([...before.values()]), changed };
}

/** A change that was not taken, for a person to look at. */
export interface LostChange extends DocumentItem {
  /** Where it was made. */
  readonly side: DocumentSide;
}

/** Two states of a document as one, whichever way round they are given; and what was not taken of them. */
export function mergeItems(
  kind: MergeKind,
  ours: readonly DocumentItem[],
  theirs: readonly DocumentItem[],
): { readonly items: readonly DocumentItem[]; readonly lost: readonly LostChange[] } {
  const merged = new Map(ours.map((one) => [one.id, one]));
  const lost: LostChange[] = [];
  for (const item of theirs) {
    const known = merged.get(item.id);
    if (known === undefined) {
      merged.set(item.id, item);
      continue;
    }
    const found = mergeItem(kind, known, item);
    merged.set(item.id, found.item);
    if (found.lost !== undefined) lost.push(found.lost);
  }
  return { items: sortedItems([...merged.values()]), lost };
}

function mergeItem(
  kind: MergeKind,
  a: DocumentItem,
  b: DocumentItem,
): { readonly item: DocumentItem; readonly lost?: LostChange } {
  const isSame = canonicalJson(a.value) === canonicalJson(b.value);
  const aKnowsB = a.ver[0] >= b.ver[0] && a.ver[1] >= b.ver[1];
  const bKnowsA = b.ver[0] >= a.ver[0] && b.ver[1] >= a.ver[1];
  const ver: ItemVersion = [Math.max(a.ver[0], b.ver[0]), Math.max(a.ver[1], b.ver[1])];
  if (aKnowsB && bKnowsA) {
    // The same version with other content comes of a backup that was restored: all ends must choose alike.
    if (isSame) return { item: a };
    if (kind === 'deny_wins') return { item: { ...a, value: deny(a, b) } };
    return { item: canonicalJson(a.value) > canonicalJson(b.value) ? a : b };
  }
  if (aKnowsB) return { item: a };
  if (bKnowsA) return { item: b };
  if (isSame) return { item: { ...a, ver } };
  if (kind === 'deny_wins') return { item: { id: a.id, ver, value: deny(a, b) } };
  const [cloud, gateway] = a.ver[1] > b.ver[1] ? [a, b] : [b, a];
  return { item: { ...cloud, ver }, lost: { ...gateway, side: 'gateway' } };
}

/** A person's access as documents tell it. */
export interface UserValue {
  readonly display_name: string;
  readonly role: Role;
  readonly disabled: boolean;
  /** As accounts keep it; only down. Without one the account has to be given a password in the village. */
  readonly password_hash?: string | undefined;
}

/** What both allow: the lower of two roles, disabled when one of them is, nobody when one took the person away. */
function deny({ ver: aVer, value: a }: DocumentItem, { ver: bVer, value: b }: DocumentItem): unknown {
  if (!isUser(a) || !isUser(b)) return null;
  const { password_hash: aHash, ...aRest } = a;
  const { password_hash: bHash, ...bRest } = b;
  // What is no access is chosen by content, so that both ends choose alike; hashes are not known to both.
  const [other, first] = canonicalJson(aRest) < canonicalJson(bRest) ? [aRest, bRest] : [bRest, aRest];
  const role = roles.indexOf(a.role) < roles.indexOf(b.role) ? a.role : b.role;
  // Hashes only go down, so the one that the cloud set last counts: else a new password would be lost for good.
  const isANewer = aVer[1] === bVer[1] ? (aHash ?? '') > (bHash ?? '') : aVer[1] > bVer[1];
  const hash = isANewer ? (aHash ?? bHash) : (bHash ?? aHash);
  return {
    ...{ ...other, ...first, role, disabled: a.disabled || b.disabled },
    ...(hash === undefined ? {} : { password_hash: hash }),
  };
}

function isUser(value: unknown): value is UserValue {
  return isRecord(value) && roles.includes(value.role as Role) && typeof value.disabled === 'boolean';
}
