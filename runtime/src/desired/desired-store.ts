/** Where a gateway keeps its documents: each change of state is one transaction, together with what is to be told of it. */
import type { DocumentBody, DocumentEntry, DocumentItem, DocumentName, DocumentTold } from '@villagrid/contracts';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';

/**
 * Tables of the documents, beside the accounts. desired_document: `items` are in force and known to be good, `trial` is what is tried now; rev, sha256, state and reason
 * are of the newest revision that was decided on. desired_seen is what settings and accounts said when last looked at, so
 * that a person's change is noticed. desired_report waits to be written to the log.
 */
export const desiredMigrations: readonly Migration[] = [
  `CREATE TABLE desired_document (
     name TEXT PRIMARY KEY,
     items TEXT NOT NULL,
     trial TEXT,
     rev INTEGER NOT NULL,
     sha256 TEXT NOT NULL,
     state TEXT,
     reason TEXT,
     decided_ms INTEGER,
     version INTEGER NOT NULL,
     author TEXT
   ) WITHOUT ROWID;
   CREATE TABLE desired_seen (
     name TEXT PRIMARY KEY,
     body TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE desired_report (
     seq INTEGER PRIMARY KEY,
     entry TEXT NOT NULL
   );`,
];

/** Who changed a document here. */
export interface DocumentAuthor {
  readonly user_id: string;
  readonly name: string;
}

/** A state of a document that is in force and not yet known to be good. */
export interface Trial {
  /** Of the cloud; null for a change that was made here. */
  readonly rev: number | null;
  readonly sha256: string;
  readonly items: readonly DocumentItem[];
  /** What differs from what the cloud knows: told once it is good. */
  readonly tell: readonly DocumentItem[];
  /** How often the gateway has started with it. */
  readonly starts: number;
  readonly author: DocumentAuthor | null;
}

/** One document as it is kept. */
export interface KeptDocument {
  readonly items: readonly DocumentItem[];
  readonly trial: Trial | null;
  /** Newest revision of the cloud that was decided on; 0 for none. */
  readonly rev: number;
  readonly sha256: string;
  readonly state: DocumentTold['state'] | null;
  readonly reason: string | null;
  readonly decidedMs: number | null;
  /** Rises with each change of what is in force here. */
  readonly version: number;
  readonly author: DocumentAuthor | null;
}

/** What is kept of a document that nothing was said of yet. */
export const nothingKept: KeptDocument = {
  items: [],
  trial: null,
  rev: 0,
  sha256: '',
  state: null,
  reason: null,
  decidedMs: null,
  version: 0,
  author: null,
};

export interface DesiredStore {
  get(name: DocumentName): KeptDocument;
  /** Writes what changed, what was seen and what is to be told: all of it or nothing. */
  put(
    name: DocumentName,
    kept: KeptDocument,
    beside?: { readonly seen?: DocumentBody; readonly reports?: readonly DocumentEntry[] },
  ): void;
  /** What settings or accounts said when last looked at. */
  seen(name: DocumentName): DocumentBody;
  reports(): readonly { readonly seq: number; readonly entry: DocumentEntry }[];
  /** A report is in the log. */
  reported(seq: number): void;
}

interface Row {
  readonly items: string;
  readonly trial: string | null;
  readonly rev: number;
  readonly sha256: string;
  readonly state: KeptDocument['state'];
  readonly reason: string | null;
  readonly decided_ms: number | null;
  readonly version: number;
  readonly author: string | null;
}

/** Opens it in a database of the caller; makes its tables when they are missing. */
export function createDesiredStore(database: SqliteDatabase): DesiredStore {
  migrateModule(database, 'desired', desiredMigrations);
  const get = database.prepare<[string], Row>('SELECT * FROM desired_document WHERE name = ?');
  const put = database.prepare<
    [string, string, string | null, number, string, string | null, string | null, number | null, number, string | null]
  >('INSERT OR REPLACE INTO desired_document VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const getSeen = database.prepare<[string], string>('SELECT body FROM desired_seen WHERE name = ?').pluck();
  const putSeen = database.prepare<[string, string]>('INSERT OR REPLACE INTO desired_seen VALUES (?, ?)');
  const addReport = database.prepare<[string]>('INSERT INTO desired_report (entry) VALUES (?)');
  const allReports = database.prepare<[], { seq: number; entry: string }>(
    'SELECT seq, entry FROM desired_report ORDER BY seq',
  );
  const deleteReport = database.prepare<[number]>('DELETE FROM desired_report WHERE seq = ?');
  return {
    get(name) {
      const row = get.get(name);
      if (row === undefined) return nothingKept;
      const { decided_ms: decidedMs, items, trial, author, ...rest } = row;
      return {
        rev: rest.rev,
        sha256: rest.sha256,
        state: rest.state,
        reason: rest.reason,
        version: rest.version,
        decidedMs,
        items: JSON.parse(items) as DocumentItem[],
        trial: trial === null ? null : (JSON.parse(trial) as Trial),
        author: author === null ? null : (JSON.parse(author) as DocumentAuthor),
      };
    },
    put(name, kept, { seen, reports = [] } = {}) {
      database
        .transaction(() => {
          const { items, trial, rev, sha256, state, reason, decidedMs, version, author } = kept;
          const text = (value: unknown) => (value === null ? null : JSON.stringify(value));
          put.run(
            name,
            JSON.stringify(items),
            text(trial),
            rev,
            sha256,
            state,
            reason,
            decidedMs,
            version,
            text(author),
          );
          if (seen !== undefined) putSeen.run(name, JSON.stringify(seen));
          for (const entry of reports) addReport.run(JSON.stringify(entry));
        })
        .immediate();
    },
    seen: (name) => JSON.parse(getSeen.get(name) ?? '{}') as DocumentBody,
    reports: () => allReports.all().map(({ seq, entry }) => ({ seq, entry: JSON.parse(entry) as DocumentEntry })),
    reported: (seq) => void deleteReport.run(seq),
  };
}
