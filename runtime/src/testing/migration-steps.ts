/** Migrations of a module that only tests have: tables, rows that move, a column, an index. */
import type { Migration } from '../sqlite/migrate.js';

export const stepsOfTest: readonly Migration[] = [
  'CREATE TABLE reading (id INTEGER PRIMARY KEY, device TEXT NOT NULL, value INTEGER)',
  (database) => {
    database.exec('CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)');
    const add = database.prepare<[string]>('INSERT INTO device (name) VALUES (?)');
    for (const name of database.prepare<[], string>('SELECT DISTINCT device FROM reading ORDER BY 1').pluck().all())
      add.run(name);
  },
  'ALTER TABLE reading ADD COLUMN quality INTEGER NOT NULL DEFAULT 0; CREATE INDEX reading_by_device ON reading (device, id)',
];
