/**
 * What was sealed for the uplink and is not receipted: by this a resend is the same bytes, also after a restart. It is no
 * second queue: what is to be sent is the distance from the cursor to the log's end. What is lost here costs a conflict at
 * worst.
 */
import { migrateModule, type SqliteDatabase } from '@villagrid/runtime';

/** A sealed frame: the log numbers it stands for and its bytes. */
export interface Seal {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

export interface SealStore {
  /** In order, none overlapping. */
  all(): readonly Seal[];
  put(seal: Seal): void;
  /** Forgets those that end up to a number. */
  forgetUpTo(number: number): void;
  /** Forgets one that does not fit what the cloud has. */
  forget(first: number): void;
  /** Bytes sent and received in a day of the village so far. */
  dayBytes(day: string): number;
  setDayBytes(day: string, bytes: number): void;
}

/** Tables of the seals. */
export const sealMigrations = [
  `CREATE TABLE uplink_seal (
     first INTEGER PRIMARY KEY,
     last INTEGER NOT NULL,
     epoch TEXT NOT NULL,
     bytes BLOB NOT NULL
   );
   CREATE TABLE uplink_day (
     day TEXT PRIMARY KEY,
     bytes INTEGER NOT NULL
   ) WITHOUT ROWID;`,
];
/** Days whose bytes are kept. */
const keptDays = 40;

/** Over SQLite; seals of another life of the log (`epoch`) are forgotten, their numbers may be others now. Throws E_STORE_OPEN. */
export function createSealStore(database: SqliteDatabase, epoch: string): SealStore {
  migrateModule(database, 'uplink', sealMigrations);
  database.prepare('DELETE FROM uplink_seal WHERE epoch <> ?').run(epoch);
  const all = database.prepare<[], Seal>('SELECT first, last, bytes FROM uplink_seal ORDER BY first');
  const put = database.prepare<[number, number, string, Uint8Array]>(
    'INSERT OR REPLACE INTO uplink_seal VALUES (?, ?, ?, ?)',
  );
  const upTo = database.prepare<[number]>('DELETE FROM uplink_seal WHERE last <= ?');
  const one = database.prepare<[number]>('DELETE FROM uplink_seal WHERE first = ?');
  const read = database.prepare<[string], number>('SELECT bytes FROM uplink_day WHERE day = ?').pluck();
  const write = database.prepare<[string, number]>('INSERT OR REPLACE INTO uplink_day VALUES (?, ?)');
  const trim = database.prepare<[number]>(
    'DELETE FROM uplink_day WHERE day <= (SELECT day FROM uplink_day ORDER BY day DESC LIMIT 1 OFFSET ?)',
  );
  return {
    all: () => all.all(),
    put: ({ first, last, bytes }) => void put.run(first, last, epoch, bytes),
    forgetUpTo: (number) => void upTo.run(number),
    forget: (first) => void one.run(first),
    dayBytes: (day) => read.get(day) ?? 0,
    setDayBytes(day, bytes) {
      write.run(day, bytes);
      trim.run(keptDays);
    },
  };
}
