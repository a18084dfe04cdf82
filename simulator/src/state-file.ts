/** What survives a restart of the simulator, one JSON file per village, replaced whole. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { VillageState } from './village/state.js';

/** The saved form. */
export interface SavedVillage {
  readonly version: 1;
  readonly name: string;
  readonly seed: number;
  /** Boots each node has had. */
  readonly boots: Readonly<Record<string, number>>;
  readonly state: VillageState;
}

/** The file of a village. */
export function stateFile(stateDir: string, gridId: string): string {
  return join(stateDir, `village-${gridId}.json`);
}

/** Reads what was saved; undefined when there is nothing or it is of another village, another version or broken. */
export function readSaved(file: string, name: string, seed: number): SavedVillage | undefined {
  try {
    const saved = JSON.parse(readFileSync(file, 'utf8')) as SavedVillage;
    const fits =
      saved.version === 1 && saved.name === name && saved.seed === seed && Array.isArray(saved.state.inverters);
    return fits && Number.isFinite(saved.state.timeMs) && Number.isFinite(saved.state.storedKwh) ? saved : undefined;
  } catch {
    return undefined;
  }
}

/** Writes beside the file and renames, so that a kill leaves the old or the new one. */
export function writeSaved(file: string, saved: SavedVillage): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(saved));
  renameSync(`${file}.new`, file);
}
