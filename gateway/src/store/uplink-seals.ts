/** Where the uplink's seals and the bytes of its days lie (uplink/seal-store.ts says what they are). */
import { migrateModule, type SqliteDatabase } from '@villagrid/runtime';

interface SealRow {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

const migrations = [
  `CREATE TABLE uplink_seal (
     first INTEGER PRIMARY KEY,
     last INTEGER NOT NULL,
     bytes BLOB NOT NULL
   );
   CREATE TABLE uplink_day (
     day TEXT PRIMARY KEY,
     bytes INTEGER NOT NULL
   ) WITHOUT ROWID;`,
];
/** Days whose bytes are kept. */
const keptDays = 40;

/** Over SQLite; throws E_STORE_OPEN. */
export function createSealStore(database: SqliteDatabase) {
  migrateModule(database, 'uplink', migrations);
  const all = database.prepare<[], SealRow>('SELECT first, last, bytes FROM uplink_seal ORDER BY first');
  const put = database.prepare<[number, number, Uint8Array]>('INSERT OR REPLACE INTO uplink_seal VALUES (?, ?, ?)');
  const upTo = database.prepare<[number]>('DELETE FROM uplink_seal WHERE last <= ?');
  const one = database.prepare<[number]>('DELETE FROM uplink_seal WHERE first = ?');
  const read = database.prepare<[string], number>('SELECT bytes FROM uplink_day WHERE day = ?').pluck();
  const write = database.prepare<[string, number]>('INSERT OR REPLACE INTO uplink_day VALUES (?, ?)');
  const trim = database.prepare<[number]>(
    'DELETE FROM uplink_day WHERE day <= (SELECT day FROM uplink_day ORDER BY day DESC LIMIT 1 OFFSET ?)',
  );
  return {
    all: () => all.all(),
    put: ({ first, last, bytes }: SealRow) => void put.run(first, last, bytes),
    forgetUpTo: (number: number) => void upTo.run(number),
    forget: (first: number) => void one.run(first),
    dayBytes: (day: string) => read.get(day) ?? 0,
    setDayBytes(day: string, bytes: number): void {
      write.run(day, bytes);
      trim.run(keptDays);
    },
  };
}
