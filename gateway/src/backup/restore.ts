/**
 * Puts a backup into clean folders. Everything is written beside, proven and looked at before the first file takes its
 * place; `gateway.yaml` comes last, so that no gateway ever starts on half of it. The log goes on in a new epoch.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  readFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { messageOf, VillagridError, type Clock, type RandomSource } from '@villagrid/contracts';
import {
  describeArchive,
  openArchive,
  openDatabase,
  syncFolder,
  type ArchiveHead,
  type ArchivedPart,
  type Logger,
} from '@villagrid/runtime';
import { parseDocument } from 'yaml';
import { loadGatewayConfig } from '../config/load.js';
import { emptyJournal } from '../log/log-store.js';
import { beginRestoredEpoch, type RestoredEpoch } from '../log/restored.js';
import {
  backupKind,
  databasesBeforeLog,
  filesBeforeLog,
  gatewayModules,
  logDatabase,
  type BackupInfo,
} from './parts.js';

export interface RestoreOptions {
  readonly file: string;
  /** Folder of the settings, and of the databases; both are to be empty, or not there yet. */
  readonly folder: string;
  readonly dataDir: string;
  /** Asked for once it is clear that the backup can be restored here. */
  readonly passphrase: () => Promise<string>;
  /** The grid it is to be of; any when left out. */
  readonly gridId?: string;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}

/** What was restored. */
export interface Restored extends RestoredEpoch {
  readonly info: BackupInfo;
}

const stagingName = '.restoring';
/** Files that may be in a folder that counts as empty. */
const harmless = new Set(['lost+found', stagingName]);

/** Restores a backup. Rejects with E_BACKUP_*; then nothing was changed. */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { file, folder, dataDir } = options;
  const described = await describeArchive<BackupInfo>(file);
  checkHead(described, options);
  for (const one of new Set([folder, dataDir])) checkEmpty(one, described.info);
  const archive = await openArchive<BackupInfo>(file, await options.passphrase());
  const stagings = [...new Set([folder, dataDir])].map((one) => join(one, stagingName));
  const made = [folder, dataDir].filter((one) => !existsSync(one));
  let done = false;
  try {
    const { head } = archive;
    for (const staging of stagings) {
      rmSync(staging, { recursive: true, force: true });
      mkdirSync(staging, { recursive: true, mode: 0o700 });
    }
    checkRoom(head, dataDir);
    const placeOf = (part: ArchivedPart): string => {
      const [where = '', ...words] = part.name.split('/');
      const root = join(where === 'config' ? folder : dataDir, stagingName);
      const path = resolve(root, where === 'data' ? 'data' : 'config', ...words);
      if ((where !== 'config' && where !== 'data') || words.length === 0 || !path.startsWith(root + sep))
        throw refused(`It holds "${part.name}", which belongs to no place in a gateway's folder.`);
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      return path;
    };
    await archive.extract(placeOf);
    const dataStaging = join(dataDir, stagingName, 'data');
    const configStaging = join(folder, stagingName, 'config');
    for (const { name } of [...databasesBeforeLog, logDatabase]) checkDatabase(join(dataStaging, name));
    const epoch = await goOn(dataStaging, options);
    settleConfig(configStaging, options);
    moveInto(dataStaging, dataDir);
    moveInto(configStaging, folder);
    done = true;
    return { info: head.info, ...epoch };
  } finally {
    await archive.close();
    for (const staging of stagings) rmSync(staging, { recursive: true, force: true });
    if (!done) for (const one of made) rmSync(one, { recursive: true, force: true });
  }
}

function refused(detail: string, next?: string): VillagridError {
  return new VillagridError(
    'E_BACKUP_REFUSED',
    detail,
    next === undefined ? {} : { next: `Nothing was restored. ${next}` },
  );
}

function checkHead({ info }: ArchiveHead<BackupInfo>, { gridId }: RestoreOptions): void {
  if (info?.kind !== backupKind) throw refused('It is not the backup of a gateway.', 'Give the backup of a gateway.');
  for (const [file, modules] of Object.entries(info.schemas ?? {})) {
    for (const [module, version] of Object.entries(modules)) {
      const known = gatewayModules[module]?.length ?? 0;
      if (version > known)
        throw refused(
          `${file} has version ${version} of "${module}"; this program (it was made by ${info.product_version}) knows versions up to ${known}.`,
          'Install the newer program on this box first.',
        );
    }
  }
  if (gridId !== undefined && info.grid_id !== gridId)
    throw refused(
      `It is of the grid "${info.grid_id}", not of "${gridId}".`,
      'Take the backup of that grid, or leave --grid out if you mean this one.',
    );
}

function checkEmpty(folder: string, info: BackupInfo): void {
  if (!existsSync(folder)) return;
  const found = filesIn(folder).next().value;
  if (found === undefined) return;
  const other = gridOf(join(folder, 'gateway.yaml'));
  const of =
    other === undefined
      ? ''
      : other === info.grid_id
        ? ` (a gateway of the same grid)`
        : ` (a gateway of the grid "${other}")`;
  throw refused(
    `${folder} is not empty${of}: it holds ${relative(folder, found as string)}.`,
    `Move what is there away first: sudo mv ${folder} ${folder}.old`,
  );
}

/** The files of a folder and its folders; folders alone, as the system makes them, do not count. */
function* filesIn(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (harmless.has(entry.name)) continue;
    if (entry.isDirectory()) yield* filesIn(join(folder, entry.name));
    else yield join(folder, entry.name);
  }
}

function gridOf(configFile: string): string | undefined {
  if (!existsSync(configFile)) return undefined;
  const grid: unknown = parseDocument(readFileSync(configFile, 'utf8')).getIn(['site', 'grid_id']);
  return typeof grid === 'string' ? grid : undefined;
}

function checkRoom({ parts }: ArchiveHead<BackupInfo>, dataDir: string): void {
  const needed = parts.reduce((sum, { bytes }) => sum + bytes, 0) * 1.1 + 8e6;
  const { bavail, bsize } = statfsSync(dataDir);
  if (bavail * bsize >= needed) return;
  const mb = (bytes: number) => Math.ceil(bytes / 1e6);
  throw refused(
    `${dataDir} has ${mb(bavail * bsize)} MB free; the backup takes ${mb(needed)} MB.`,
    'Free space there, or take a larger card.',
  );
}

function checkDatabase(path: string): void {
  if (!existsSync(path)) return;
  const database = openDatabase({ path, readonly: true });
  try {
    const found: unknown = database.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new VillagridError('E_BACKUP_DAMAGED', `${basename(path)}: ${String(found)}.`);
  } finally {
    database.close();
  }
}

/** Takes what stands before the log into it, and begins its new epoch. */
async function goOn(dataDir: string, { clock, random, log }: RestoreOptions): Promise<RestoredEpoch> {
  const path = join(dataDir, logDatabase.name);
  if (!existsSync(path)) throw new VillagridError('E_BACKUP_DAMAGED', 'It holds no log.');
  const rescue = await emptyJournal(path, { clock, random, log, fromCopy: true });
  if (rescue) throw new VillagridError('E_BACKUP_DAMAGED', `Its log: ${rescue.why}.`);
  for (const name of [...filesBeforeLog(dataDir), `${logDatabase.name}.clean`])
    rmSync(join(dataDir, name), { force: true });
  const database = openDatabase({ path });
  try {
    return beginRestoredEpoch(database, { clock, random });
  } finally {
    database.close();
  }
}

/** The settings say where the databases are now, and are ones that the daemon takes. */
function settleConfig(staging: string, { folder, dataDir }: RestoreOptions): void {
  const path = join(staging, 'gateway.yaml');
  if (!existsSync(path)) throw new VillagridError('E_BACKUP_DAMAGED', 'It holds no gateway.yaml.');
  const document = parseDocument(readFileSync(path, 'utf8'));
  const said: unknown = document.get('data_dir');
  if (resolve(folder, typeof said === 'string' ? said : 'data') !== dataDir) {
    const inside = relative(folder, dataDir);
    document.set('data_dir', inside.startsWith('..') ? dataDir : inside);
    writeFileSync(path, document.toString({ lineWidth: 120 }), { mode: 0o600 });
  }
  try {
    loadGatewayConfig({ path });
  } catch (error) {
    throw refused(
      `This program does not take its settings: ${error instanceof VillagridError ? error.detail : messageOf(error)}`,
      'Install the program it was made with, or a newer one.',
    );
  }
}

/** Moves what is in a folder into another one on the same disk, the settings last, with that folder's owner. */
function moveInto(from: string, to: string): void {
  const { uid, gid } = statSync(to);
  const own = (path: string) => {
    if (process.getuid?.() === 0) chownSync(path, uid, gid);
  };
  const names = readdirSync(from).sort((a, b) => Number(a === 'gateway.yaml') - Number(b === 'gateway.yaml'));
  for (const name of names) {
    const [source, target] = [join(from, name), join(to, name)];
    own(source);
    if (statSync(source).isDirectory()) {
      mkdirSync(target, { recursive: true, mode: 0o750 });
      moveInto(source, target);
    } else {
      // Everybody may read settings and certificates; keys and credentials stay their owner's.
      if (/\.(yaml|crt)$/.test(name)) chmodSync(source, 0o644);
      renameSync(source, target);
    }
    syncFolder(to);
  }
}
