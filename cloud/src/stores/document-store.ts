/** The documents a grid is to have, each with its revisions, and what the gateway made of them. */
import type { DocumentItem, DocumentName, LostChange } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

/** Revisions of a document that are kept; beyond them only the newest that the gateway took, which is in force there. */
export const keptRevisions = 50;

/** What a gateway decided. */
export type DocumentOutcome = 'applied' | 'refused' | 'rolled_back';

/** One revision. */
export interface DocumentRevision {
  readonly name: DocumentName;
  readonly rev: number;
  readonly items: readonly DocumentItem[];
  /** SHA-256 of the items as canonical JSON, hexadecimal. */
  readonly sha256: string;
  /** A person's edit here, what the gateway told of its own edits, or a gateway that knew later revisions. */
  readonly cause: 'edited' | 'merged' | 'renumbered';
  readonly author: { readonly user_id: string; readonly name: string } | null;
  /** Changes of the gateway that lost against one of the cloud when this revision was made. */
  readonly lost: readonly LostChange[];
  readonly createdMs: number;
  readonly state: DocumentOutcome | null;
  readonly reason: string | null;
  readonly decidedMs: number | null;
}

export interface DocumentStore {
  newest(gridId: string, name: DocumentName): DocumentRevision | undefined;
  get(gridId: string, name: DocumentName, rev: number): DocumentRevision | undefined;
  /** The newest that the gateway took. */
  applied(gridId: string, name: DocumentName): DocumentRevision | undefined;
  /** Newest first. */
  history(gridId: string, name: DocumentName): readonly DocumentRevision[];
  add(gridId: string, revision: Omit<DocumentRevision, 'state' | 'reason' | 'decidedMs'>): void;
  /** Notes what became of a revision; an earlier note of a revision that was rolled back meanwhile does not come back. */
  decided(
    gridId: string,
    name: DocumentName,
    rev: number,
    outcome: { readonly state: DocumentOutcome; readonly reason: string | null; readonly atMs: number },
  ): void;
  /** Newest revision that the gateway has ever decided on; 0 for none. */
  told(gridId: string, name: DocumentName): number;
  setTold(gridId: string, name: DocumentName, rev: number): void;
}

interface Row {
  readonly name: DocumentName;
  readonly rev: number;
  readonly items: string;
  readonly sha256: string;
  readonly cause: DocumentRevision['cause'];
  readonly author: string | null;
  readonly lost: string;
  readonly created_ms: number;
  readonly state: DocumentOutcome | null;
  readonly reason: string | null;
  readonly decided_ms: number | null;
}

const revisionOf = (row: Row): DocumentRevision => ({
  name: row.name,
  rev: row.rev,
  items: JSON.parse(row.items) as DocumentItem[],
  sha256: row.sha256,
  cause: row.cause,
  author: row.author === null ? null : (JSON.parse(row.author) as DocumentRevision['author']),
  lost: JSON.parse(row.lost) as LostChange[],
  createdMs: row.created_ms,
  state: row.state,
  reason: row.reason,
  decidedMs: row.decided_ms,
});

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createDocumentStore(database: SqliteDatabase): DocumentStore {
  const of = 'FROM cloud_document WHERE grid_id = ? AND name = ?';
  const newest = database.prepare<[string, string], Row>(`SELECT * ${of} ORDER BY rev DESC LIMIT 1`);
  const one = database.prepare<[string, string, number], Row>(`SELECT * ${of} AND rev = ?`);
  const applied = database.prepare<[string, string], Row>(
    `SELECT * ${of} AND state = 'applied' ORDER BY rev DESC LIMIT 1`,
  );
  const all = database.prepare<[string, string], Row>(`SELECT * ${of} ORDER BY rev DESC`);
  const insert = database.prepare<[string, string, number, string, string, string, string | null, string, number]>(
    `INSERT INTO cloud_document (grid_id, name, rev, items, sha256, cause, author, lost, created_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const trim = database.prepare<[string, string, number, string, string]>(
    `DELETE ${of} AND rev <= ? AND rev <> coalesce((SELECT max(rev) ${of} AND state = 'applied'), 0)`,
  );
  // HELLO tells a state sooner than the log tells its reason.
  const decide = database.prepare<[string, string | null, number, string, string, number, string, string]>(
    `UPDATE cloud_document SET state = ?, reason = ?, decided_ms = ? WHERE grid_id = ? AND name = ? AND rev = ?
     AND (state IS NULL OR (state = ? AND reason IS NULL) OR (state = 'applied' AND ? = 'rolled_back'))`,
  );
  const told = database
    .prepare<[string, string], number>('SELECT rev FROM cloud_document_told WHERE grid_id = ? AND name = ?')
    .pluck();
  const setTold = database.prepare<[string, string, number]>(
    `INSERT INTO cloud_document_told VALUES (?, ?, ?)
     ON CONFLICT (grid_id, name) DO UPDATE SET rev = max(rev, excluded.rev)`,
  );
  return {
    newest(gridId, name) {
      const row = newest.get(gridId, name);
      return row && revisionOf(row);
    },
    get(gridId, name, rev) {
      const row = one.get(gridId, name, rev);
      return row && revisionOf(row);
    },
    applied(gridId, name) {
      const row = applied.get(gridId, name);
      return row && revisionOf(row);
    },
    history: (gridId, name) => all.all(gridId, name).map(revisionOf),
    add(gridId, { name, rev, items, sha256, cause, author, lost, createdMs }) {
      const authorText = author === null ? null : JSON.stringify(author);
      insert.run(gridId, name, rev, JSON.stringify(items), sha256, cause, authorText, JSON.stringify(lost), createdMs);
      trim.run(gridId, name, rev - keptRevisions, gridId, name);
    },
    decided: (gridId, name, rev, { state, reason, atMs }) =>
      void decide.run(state, reason, atMs, gridId, name, rev, state, state),
    told: (gridId, name) => told.get(gridId, name) ?? 0,
    setTold: (gridId, name, rev) => void setTold.run(gridId, name, rev),
  };
}
