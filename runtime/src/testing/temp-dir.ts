/** Folders that a test may fill and that go with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A new empty folder, removed when the test ends. */
export function tempDir(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'villagrid-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
