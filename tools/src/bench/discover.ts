/** Finds the benches of the workspaces. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Bench, BenchFile } from './bench.js';

/** The bench with this id, or all whose id begins so, ordered by id. Throws for an id that is there twice. */
export async function findBenches(root: string, only = ''): Promise<Bench[]> {
  const found = new Map<string, Bench>();
  for (const workspace of readdirSync(root).sort()) {
    const folder = join(root, workspace, 'bench');
    if (workspace.startsWith('.') || workspace === 'node_modules' || !existsSync(folder)) continue;
    for (const name of readdirSync(folder).filter((one) => one.endsWith('.bench.ts'))) {
      const file = join(folder, name);
      const { benches } = (await import(pathToFileURL(file).href)) as Partial<BenchFile>;
      if (!Array.isArray(benches)) throw new Error(`${workspace}/bench/${name} exports no benches`);
      for (const bench of benches as Bench[]) {
        if (found.has(bench.id)) throw new Error(`bench ${bench.id} is there more than once`);
        found.set(bench.id, bench);
      }
    }
  }
  const exact = found.get(only);
  if (exact) return [exact];
  return [...found.values()].filter(({ id }) => id.startsWith(only)).sort((a, b) => (a.id < b.id ? -1 : 1));
}
