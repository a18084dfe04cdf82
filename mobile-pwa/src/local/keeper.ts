/** Keeps history that was seen, within a budget, and makes room when the phone is full. Loaded when it is needed. */
import type { History } from '@villagrid/contracts';
import {
  answerFrom,
  budgetBytes,
  bytesOf,
  chunksFor,
  chunksOf,
  merged,
  toForget,
  type Chunk,
  type ChunkInfo,
} from './chunks.js';
import { allOf, answered, change, openDatabase } from './indexed.js';

let opening: Promise<IDBDatabase> | undefined;
/** A database of its own: it may grow, and may be thrown away without asking. */
const open = () =>
  (opening ??= openDatabase(
    'villagrid-history',
    1,
    (made) => {
      made.createObjectStore('chunks', { keyPath: 'key' });
      made.createObjectStore('infos', { keyPath: 'key' });
    },
    () => {
      opening = undefined;
    },
  ));
const infosOf = (database: IDBDatabase) => allOf<ChunkInfo>(database, 'infos');
const chunkOf = (chunks: IDBObjectStore, key: string) => answered(chunks.get(key)) as Promise<Chunk | undefined>;

/** Forgets chunks until `keepBytes` are left. Says whether any went. */
async function forget(nowMs: number, keepBytes = budgetBytes): Promise<boolean> {
  const database = await open();
  const keys = toForget(await infosOf(database), nowMs, keepBytes);
  await change(database, ['chunks', 'infos'], (store) => {
    for (const key of keys) for (const name of ['chunks', 'infos']) store(name).delete(key);
  });
  return keys.length > 0;
}

/** Keeps what an answer holds. Never throws: a phone without room goes on without. */
export async function keepHistory(answer: History, nowMs: number): Promise<void> {
  try {
    const database = await open();
    await change(database, ['chunks', 'infos'], async (store) => {
      for (const { info, chunk } of chunksOf(answer, nowMs)) {
        const next = merged(await chunkOf(store('chunks'), chunk.key), chunk, info.stepMs);
        store('chunks').put(next);
        store('infos').put({ ...info, bytes: bytesOf(next) });
      }
    });
    await forget(nowMs);
  } catch {
    // No room, or a browser that keeps nothing.
  }
}

/** What this phone holds of a period, as a server would answer; undefined when it is nothing. Never throws. */
export async function keptHistory(
  gridId: string,
  metrics: readonly string[],
  period: { readonly fromMs: number; readonly toMs: number },
): Promise<History | undefined> {
  try {
    const database = await open();
    const infos = chunksFor(await infosOf(database), { gridId, metrics, ...period });
    const parts = await Promise.all(
      infos.map(async (info) => ({
        info,
        chunk: await chunkOf(database.transaction('chunks').objectStore('chunks'), info.key),
      })),
    );
    return answerFrom(
      parts.flatMap(({ info, chunk }) => (chunk === undefined ? [] : [{ info, chunk }])),
      period,
    );
  } catch {
    return undefined;
  }
}

/** Gives room back to what matters more: half of the kept history goes. Says whether anything did. Never throws. */
export async function makeRoom(nowMs: number): Promise<boolean> {
  try {
    const database = await open();
    const held = (await infosOf(database)).reduce((sum, { bytes }) => sum + bytes, 0);
    return held > 0 && (await forget(nowMs, held / 2));
  } catch {
    return false;
  }
}
