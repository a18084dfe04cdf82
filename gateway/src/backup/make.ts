/**
 * Makes a backup of a gateway, running or not, from a process of its own: each database is copied as one transaction sees
 * it (readers of a write-ahead log hold up no writer), so that nothing in the gateway waits.
 */
import {
  copyFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf, VillagridError, type RandomSource } from '@villagrid/contracts';
import { openDatabase, schemaVersions, writeArchive, type PartToWrite } from '@villagrid/runtime';
import { loadGatewayConfig } from '../config/load.js';
import { journalOf } from '../log/log-store.js';
import { endOfCopy } from '../log/restored.js';
import {
  backupKind,
  databasesBeforeLog,
  filesBeforeLog,
  logDatabase,
  settingsFiles,
  type BackupInfo,
  type DatabaseFile,
} from './parts.js';

export interface MakeBackupOptions {
  /** The gateway's `gateway.yaml`. */
  readonly configFile: string;
  /** The file to make, or a folder that is there, in which it gets a name of grid and time. */
  readonly to: string;
  readonly passphrase: string;
  readonly productVersion: string;
  /** Real time, Unix milliseconds. */
  readonly nowMs: number;
  readonly random: RandomSource;
  /** In a folder: how many backups of this grid stay there, this one among them; all when left out. */
  readonly keep?: number;
}

/** A backup that was made. */
export interface MadeBackup {
  readonly file: string;
  readonly bytes: number;
  readonly info: BackupInfo;
  /** Older backups that were removed. */
  readonly removed: readonly string[];
}

/** Least characters of a passphrase: the file lies on sticks that get lost. */
export const leastPassphrase = 10;
/** Times the log is copied until its two files agree. */
const mostAttempts = 5;
/** Beside what the copies take, for everybody else on that disk. */
const spareBytes = 16 * 1024 * 1024;

/**
 * Makes a backup; whole under its name when it resolves. Rejects with E_BACKUP_FAILED or E_CONFIG_*, and leaves nothing
 * behind.
 */
export async function makeBackup(options: MakeBackupOptions): Promise<MadeBackup> {
  const { configFile, passphrase, random } = options;
  if (passphrase.length < leastPassphrase)
    throw new VillagridError('E_BACKUP_FAILED', `The passphrase has fewer than ${leastPassphrase} characters.`, {
      next: 'Give a longer one, such as five words.',
    });
  const config = loadGatewayConfig({ path: configFile });
  const folder = dirname(configFile);
  const { data_dir: dataDir, site } = config;
  if (!existsSync(join(dataDir, logDatabase.name)))
    throw new VillagridError('E_BACKUP_FAILED', `${dataDir} holds no log: this gateway has measured nothing yet.`, {
      next: 'Check data_dir in gateway.yaml, or start the gateway first.',
    });
  const intoFolder = statSync(options.to, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = intoFolder ? join(options.to, backupName(site.grid_id, options.nowMs)) : options.to;
  if (existsSync(file))
    throw new VillagridError('E_BACKUP_FAILED', `${file} is there already.`, { next: 'Give another name.' });
  const target = dirname(file);
  checkRoom(target, dataDir);
  let staging: string | undefined;
  try {
    staging = mkdtempSync(join(target, '.villagrid-backup-'));
    const { files, leftOut } = settingsFiles(folder, configFile, config);
    const parts: PartToWrite[] = [];
    const schemas: Record<string, Record<string, number>> = {};
    const copy = ({ name, secret }: DatabaseFile): string | undefined => {
      if (!existsSync(join(dataDir, name))) return undefined;
      const into = join(staging as string, name);
      schemas[name] = copyDatabase(join(dataDir, name), into);
      parts.push({ name: `data/${name}`, path: into, secret });
      return into;
    };
    for (const one of databasesBeforeLog) copy(one);
    const before = filesBeforeLog(dataDir);
    let end: ReturnType<typeof logEnd>;
    for (let attempt = 1; ; attempt += 1) {
      for (const name of before) copyFileSync(join(dataDir, name), join(staging, name));
      end = logEnd(copy(logDatabase) as string);
      // The journal was written on while it was copied: once more, so that the backup does not end at the gap.
      if (end.after === 0 || attempt === mostAttempts) break;
      parts.pop();
      rmSync(join(staging, logDatabase.name));
    }
    for (const name of before) parts.push({ name: `data/${name}`, path: join(staging, name), secret: false });
    // What the daemon's own user may not read (the authority's key) is left out and told; as root nothing is.
    const unreadable: Array<readonly [string, string]> = [];
    mkdirSync(join(staging, 'config'), { mode: 0o700 });
    for (const [index, { name, path }] of files.entries()) {
      const into = join(staging, 'config', String(index));
      try {
        copyFileSync(path, into);
        chmodSync(into, 0o600);
        parts.push({ name: `config/${name}`, path: into, secret: true });
      } catch (error) {
        unreadable.push([path, messageOf(error)]);
      }
    }
    const info: BackupInfo = {
      kind: backupKind,
      product_version: options.productVersion,
      grid_id: site.grid_id,
      gateway_id: site.gateway_id,
      epoch: end.epoch,
      newest_number: end.newest,
      made_at_ms: Math.round(options.nowMs),
      schemas,
      left_out: [...leftOut, ...unreadable],
    };
    const bytes = await writeArchive(file, { info, parts, passphrase, random });
    const removed =
      intoFolder && options.keep !== undefined ? removeOlder(target, site.grid_id, options.keep, file) : [];
    return { file, bytes, info, removed };
  } catch (error) {
    if (error instanceof VillagridError) throw error;
    throw new VillagridError('E_BACKUP_FAILED', `${messageOf(error)}.`, { cause: error });
  } finally {
    if (staging !== undefined) rmSync(staging, { recursive: true, force: true });
  }
}

/** `kisima-20261128-0630.vgbackup`, by the real clock in UTC. */
function backupName(gridId: string, nowMs: number): string {
  const [day = '', time = ''] = new Date(nowMs).toISOString().replace(/[-:]/g, '').split('T');
  return `${gridId}-${day}-${time.slice(0, 6)}.vgbackup`;
}

/** Copies a database as one transaction sees it; gives the versions of its modules. */
function copyDatabase(from: string, into: string): Record<string, number> {
  const database = openDatabase({ path: from, readonly: true, busyTimeoutMs: 10_000 });
  try {
    database.prepare('VACUUM INTO ?').run(into);
    chmodSync(into, 0o600);
  } finally {
    database.close();
  }
  const copy = openDatabase({ path: into, readonly: true });
  try {
    return schemaVersions(copy);
  } finally {
    copy.close();
  }
}

/** Where the copies of the log and of the journal before it end. */
function logEnd(path: string): ReturnType<typeof endOfCopy> {
  const database = openDatabase({ path, readonly: true });
  try {
    return endOfCopy(database, journalOf(path));
  } finally {
    database.close();
  }
}

function checkRoom(target: string, dataDir: string): void {
  const stat = statSync(target, { throwIfNoEntry: false });
  if (!stat?.isDirectory())
    throw new VillagridError('E_BACKUP_FAILED', `${target} is not a folder.`, {
      next: 'Make the folder, or put the stick in and mount it.',
    });
  const data = [...databasesBeforeLog, logDatabase].flatMap(({ name }) => [name, `${name}-wal`]);
  const bytes = data.reduce(
    (sum, name) => sum + (statSync(join(dataDir, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
  // The copies, and the file that is made of them: at worst as large.
  const needed = 2 * bytes + spareBytes;
  const { bavail, bsize } = statfsSync(target);
  if (bavail * bsize >= needed) return;
  const mb = (value: number) => Math.ceil(value / 1e6);
  throw new VillagridError(
    'E_BACKUP_FAILED',
    `${target} has ${mb(bavail * bsize)} MB free; ${mb(needed)} MB are needed while the backup is made.`,
    { next: 'Free space there, or use a larger stick.' },
  );
}

/** The newest stay, by their names, which are dated; this one among them. */
function removeOlder(folder: string, gridId: string, keep: number, made: string): string[] {
  const own = new RegExp(`^${gridId}-\\d{8}-\\d{6}\\.vgbackup$`);
  const older = readdirSync(folder)
    .filter((name) => own.test(name) && name !== basename(made))
    .sort()
    .reverse()
    .slice(Math.max(0, keep - 1))
    .map((name) => join(folder, name));
  for (const path of older) rmSync(path, { force: true });
  return older;
}
