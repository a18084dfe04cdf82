/** Compiles the disk shim and runs processes under it. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { tempDir } from '@villagrid/runtime/testing';

const source = fileURLToPath(new URL('./shim.c', import.meta.url));

/** Why the shim cannot be had here; undefined when it can. */
export function noShim(): string | undefined {
  if (process.platform !== 'linux') return 'the disk shim needs Linux';
  return spawnSync('cc', ['--version']).status === 0 ? undefined : 'no C compiler (cc) to build the disk shim with';
}

/** Builds the shim into a folder; gives its path. Throws with what the compiler says. */
export function buildShim(folder: string): string {
  const path = join(folder, 'disk-shim.so');
  if (existsSync(path)) return path;
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', path, source, '-ldl', '-lpthread']);
  if (status !== 0) throw new Error(`the disk shim does not compile: ${String(stderr)}`);
  return path;
}

/** A folder in memory where there is one, because a replay opens thousands of databases; removed when the test ends. */
export function memoryDir(t: Test): string {
  let path: string;
  try {
    path = mkdtempSync('/dev/shm/villagrid-');
  } catch {
    return tempDir(t);
  }
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export interface ShimRun {
  readonly shim: string;
  /** The program, a TypeScript file, and its arguments. */
  readonly program: string;
  readonly args: readonly string[];
  /** Folder whose disk is watched; made when missing. */
  readonly folder: string;
  readonly trace?: string;
  /** Whether syncs are really done; they only need to be where time is measured. */
  readonly sync?: boolean;
}

/** Runs a program to its end under the shim; gives what it printed. Rejects when it fails. */
export async function runUnderShim({ shim, program, args, folder, trace, sync = false }: ShimRun): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=villagrid', '--import=tsx', program, ...args],
    {
      env: {
        ...process.env,
        LD_PRELOAD: shim,
        DISK_SHIM_DIR: realpathSync(folder),
        ...(trace === undefined ? {} : { DISK_SHIM_TRACE: trace }),
        ...(sync ? {} : { DISK_SHIM_NO_SYNC: '1' }),
        // Writes through a ring of the kernel would pass the shim by.
        UV_USE_IO_URING: '0',
      },
      maxBuffer: 1 << 26,
    },
  );
  return stdout;
}

/** Writes the files of a replayed disk into a folder. */
export function writeImage(folder: string, files: ReadonlyMap<string, Uint8Array>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
}
