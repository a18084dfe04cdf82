/** What the disk shim (shim.c) wrote down, and what a power cut would have left of it. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import type { RandomSource } from '@villagrid/contracts';

/** One line of the trace. */
export type TraceRecord =
  | { readonly kind: 'open'; opening: number; name: string; created: boolean; emptied: boolean; folder: boolean }
  | { readonly kind: 'write'; opening: number; at: number; bytes: Buffer }
  | { readonly kind: 'truncate'; opening: number; length: number }
  | { readonly kind: 'syncBegin' | 'syncEnd' | 'syncFailed'; opening: number; sync: number }
  | { readonly kind: 'rename'; from: string; to: string }
  | { readonly kind: 'unlink'; name: string }
  | { readonly kind: 'mark'; text: string }
  | { readonly kind: 'fault' };

const headBytes = 17;

/** Reads a trace; one cut short at its end, because its process was killed, ends there. */
export function readTrace(path: string): TraceRecord[] {
  const all = readFileSync(path);
  const records: TraceRecord[] = [];
  for (let at = 0; at + headBytes <= all.length; ) {
    const number = all.readUInt32LE(at + 1);
    const position = Number(all.readBigUInt64LE(at + 5));
    const length = all.readUInt32LE(at + 13);
    const bytes = all.subarray(at + headBytes, at + headBytes + length);
    const kind = all[at];
    at += headBytes + length;
    if (at > all.length) break;
    records.push(recordOf(kind, number, position, bytes));
  }
  return records;
}

function recordOf(kind: number | undefined, number: number, position: number, bytes: Buffer): TraceRecord {
  const text = () => bytes.toString('utf8');
  switch (kind) {
    case 1: {
      const has = (bit: number) => (position & bit) !== 0;
      return { kind: 'open', opening: number, name: text(), created: has(1), emptied: has(2), folder: has(4) };
    }
    case 2:
      return { kind: 'write', opening: number, at: position, bytes };
    case 3:
      return { kind: 'truncate', opening: number, length: position };
    case 4:
    case 5:
    case 6:
      return {
        kind: (['syncBegin', 'syncEnd', 'syncFailed'] as const)[kind - 4] as 'syncEnd',
        opening: number,
        sync: position,
      };
    case 7: {
      const [from = '', to = ''] = text().split('\0');
      return { kind: 'rename', from, to };
    }
    case 8:
      return { kind: 'unlink', name: text() };
    case 9:
      return { kind: 'mark', text: text() };
    case 10:
      return { kind: 'fault' };
    default:
      throw new Error(`the trace holds a record of kind ${kind}`);
  }
}

/** A change of a file's content that is not synced, with its place in the trace. */
type Change = Written | { readonly place: number; readonly length: number; failed?: boolean };
interface Written {
  readonly place: number;
  readonly at: number;
  readonly bytes: Buffer;
  failed?: boolean;
}

/** A change of names that no sync of its folder covers yet. */
type NameChange =
  | { readonly place: number; readonly folder: string; readonly name: string; readonly inode: Inode | undefined }
  | { readonly place: number; readonly folder: string; readonly from: string; readonly name: string };

/** Content of a file: what is on the disk for certain, and what may be. */
class Inode {
  content: Buffer = Buffer.alloc(0);
  pending: Change[] = [];
}

/** Smallest unit a disk writes whole, bytes. */
const sectorBytes = 512;

/**
 * A disk on which only synced content and names of synced folders are certain. Records are fed in order; `image` gives
 * what may be found when the power fails after the last one.
 */
export class DiskModel {
  readonly #names = new Map<string, Inode>();
  readonly #live = new Map<string, Inode>();
  #namePending: NameChange[] = [];
  readonly #openings = new Map<number, { inode: Inode | undefined; name: string }>();
  readonly #syncs = new Map<number, { place: number }>();
  readonly #failedOpenings = new Set<number>();
  #place = 0;
  /** Acknowledgements so far. */
  readonly marks: string[] = [];
  /** Syncs of a descriptor on which a sync had failed before. */
  syncsAfterFailure = 0;

  /** Takes the next record. */
  take(record: TraceRecord): void {
    this.#place += 1;
    const place = this.#place;
    switch (record.kind) {
      case 'open':
        this.#open(record, place);
        return;
      case 'write':
        this.#openings.get(record.opening)?.inode?.pending.push({ place, at: record.at, bytes: record.bytes });
        return;
      case 'truncate':
        this.#openings.get(record.opening)?.inode?.pending.push({ place, length: record.length });
        return;
      case 'syncBegin':
        this.#syncs.set(record.sync, { place });
        if (this.#failedOpenings.has(record.opening)) this.syncsAfterFailure += 1;
        return;
      case 'syncEnd':
      case 'syncFailed':
        this.#sync(record.opening, this.#syncs.get(record.sync)?.place ?? place, record.kind === 'syncEnd');
        return;
      case 'rename': {
        const inode = this.#live.get(record.from);
        this.#live.delete(record.from);
        if (inode) this.#live.set(record.to, inode);
        this.#namePending.push({ place, folder: folderOf(record.to), from: record.from, name: record.to });
        return;
      }
      case 'unlink':
        this.#live.delete(record.name);
        this.#namePending.push({ place, folder: folderOf(record.name), name: record.name, inode: undefined });
        return;
      case 'mark':
        this.marks.push(record.text);
        return;
      case 'fault':
        return;
    }
  }

  #open({ opening, name, created, emptied, folder }: TraceRecord & { kind: 'open' }, place: number): void {
    if (folder) {
      this.#openings.set(opening, { inode: undefined, name });
      return;
    }
    let inode = this.#live.get(name);
    if (!inode || created) {
      inode = new Inode();
      this.#live.set(name, inode);
      this.#namePending.push({ place, folder: folderOf(name), name, inode });
    } else if (emptied) inode.pending.push({ place, length: 0 });
    this.#openings.set(opening, { inode, name });
  }

  #sync(opening: number, begunAt: number, worked: boolean): void {
    const target = this.#openings.get(opening);
    if (!target) return;
    if (!target.inode) {
      if (!worked) return;
      const covered = this.#namePending.filter((one) => one.folder === target.name && one.place < begunAt);
      for (const change of covered) apply(this.#names, change);
      this.#namePending = this.#namePending.filter((one) => !covered.includes(one));
      return;
    }
    const { inode } = target;
    if (!worked) {
      this.#failedOpenings.add(opening);
      // The system forgets that these are to be written: no later sync makes them certain.
      for (const change of inode.pending) if (change.place < begunAt) change.failed = true;
      return;
    }
    const rest: Change[] = [];
    for (const change of inode.pending) {
      if (change.place >= begunAt) rest.push(change);
      else if (change.failed !== true) inode.content = changed(inode.content, change);
    }
    inode.pending = rest;
  }

  /**
   * Files by name, as one power cut may leave them: unsynced changes kept, dropped or torn by chance. Only those below
   * `folder`, when it is given, with their names from there.
   */
  image(random: RandomSource, folder = ''): Map<string, Buffer> {
    const names = new Map(this.#names);
    // A file system keeps changes of names in their order.
    const kept = Math.floor(random.float() * (this.#namePending.length + 1));
    for (const change of this.#namePending.slice(0, kept)) apply(names, change);
    const files = new Map<string, Buffer>();
    // How much a disk had written of what it was not told to sync: often all or nothing, or anything between.
    const mood = random.float();
    const likely = mood < 0.2 ? 0 : mood < 0.4 ? 1 : random.float();
    const prefix = folder === '' ? '' : `${folder}/`;
    for (const [name, { content, pending }] of names) {
      if (!name.startsWith(prefix)) continue;
      let found: Buffer = Buffer.from(content);
      for (const change of pending) {
        const chance = random.float();
        const torn = random.float() < 0.3 && 'bytes' in change;
        if (torn) found = tear(found, change, random);
        else if (chance < likely) found = changed(found, change);
      }
      files.set(name.slice(prefix.length), found);
    }
    return files;
  }
}

const folderOf = (name: string): string => {
  const folder = dirname(name);
  return folder === '.' ? '' : folder;
};

function apply(names: Map<string, Inode>, change: NameChange): void {
  if ('from' in change) {
    const inode = names.get(change.from);
    names.delete(change.from);
    if (inode) names.set(change.name, inode);
  } else if (change.inode) names.set(change.name, change.inode);
  else names.delete(change.name);
}

function changed(content: Buffer, change: Change): Buffer {
  if ('length' in change) return resized(content, change.length);
  const whole = resized(content, Math.max(content.length, change.at + change.bytes.length));
  change.bytes.copy(whole, change.at);
  return whole;
}

function resized(content: Buffer, length: number): Buffer {
  if (length <= content.length) return content.subarray(0, length);
  const grown = Buffer.alloc(length);
  content.copy(grown);
  return grown;
}

/** Each sector of a write lands or not. */
function tear(content: Buffer, { at, bytes }: Written, random: RandomSource): Buffer {
  let found = content;
  for (let from = at; from < at + bytes.length; ) {
    const to = Math.min(at + bytes.length, (Math.floor(from / sectorBytes) + 1) * sectorBytes);
    if (random.float() < 0.5) found = changed(found, { place: 0, at: from, bytes: bytes.subarray(from - at, to - at) });
    from = to;
  }
  return found;
}
