/** Files of lives that end: copied at the moment of the kill, as the disk has them, and closed when nothing runs in them any more. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/** In memory where the system has such a folder: what is simulated is what is synced, not how long that takes. */
const shared = '/dev/shm';

/** Databases that were opened, by the file they lie in. */
const opened = new Set<Database.Database>();
let isWatching = false;

/** Takes note of every database that this process opens, so that those of a killed life can be closed. */
function watchOpenings(): void {
  if (isWatching) return;
  isWatching = true;
  const pragma = Database.prototype.pragma;
  Database.prototype.pragma = function (this: Database.Database, ...args: Parameters<typeof pragma>) {
    opened.add(this);
    return pragma.apply(this, args);
  };
}

/** One folder for all of one run. */
export class Folders {
  readonly base = mkdtempSync(join(existsSync(shared) ? shared : tmpdir(), 'villagrid-simulation-'));
  #next = 0;
  #dead: string[] = [];

  constructor() {
    watchOpenings();
  }

  make(name: string): string {
    const path = join(this.base, `${name}-${this.#next++}`);
    mkdirSync(path);
    return path;
  }

  /** What a killed life leaves behind. It may still run to the end of its turn: in a folder that nobody looks at. */
  leftBy(path: string, name: string): string {
    const next = this.make(name);
    for (const one of readdirSync(path, { withFileTypes: true }))
      if (one.isFile() && !one.name.endsWith('-shm')) copyFileSync(join(path, one.name), join(next, one.name));
    this.#dead.push(path);
    return next;
  }

  /** Closes and removes what killed lives had. */
  bury(): void {
    for (const path of this.#dead.splice(0)) this.#close(path);
  }

  remove(): void {
    this.#close(this.base);
  }

  #close(path: string): void {
    for (const one of opened) {
      if (!one.open) opened.delete(one);
      else if (one.name.startsWith(path)) {
        // The file is gone first: closing need not tidy it up.
        opened.delete(one);
        rmSync(one.name, { force: true });
        one.close();
      }
    }
    rmSync(path, { recursive: true, force: true });
  }
}
