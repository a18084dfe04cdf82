/** Holds the imports of a repository against the table of arrows and against what each package.json declares. */
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, posix } from 'node:path';
import { readModules, type Module, type ModuleImport } from './read.js';
import type { ArrowTable, RoomArrows, WorkspaceArrows } from './table.js';

/** What was read and what is wrong with it. */
export interface ImportReport {
  readonly modules: number;
  readonly imports: number;
  /** One line each: where, what, and whom to ask instead. */
  readonly faults: readonly string[];
}

interface Manifest {
  readonly workspaces?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const builtins = new Set(builtinModules);
const isTest = (path: string) =>
  /\.test\.tsx?$/.test(path) || /(^|\/)(test|testing|e2e)\//.test(path.split('/').slice(1).join('/'));
/** Modules that build a workspace and are no part of it. */
const isBuild = (path: string) => /^[^/]+\/(build\/|[^/]+$)/.test(path);
/** A bench measures a whole from outside of it and runs from source, so it may import what stands over the whole. */
const isBench = (path: string) => /^[^/]+\/bench\//.test(path);
const within = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);

/** Reads the repository at `root` and gives every import that the table or a package.json does not allow. */
export function checkImports(root: string, table: ArrowTable): ImportReport {
  const faults: string[] = [];
  const manifestOf = (folder: string): Manifest => {
    const path = join(root, folder, 'package.json');
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : {};
  };
  const rootManifest = manifestOf('.');
  const names = Object.keys(table.workspaces);
  for (const workspace of rootManifest.workspaces ?? [])
    if (!names.includes(workspace)) faults.push(`${workspace} is a workspace without a line in the table of arrows.`);
  const folders = names.filter((name) => existsSync(join(root, name)));
  const modules = readModules(root, folders);
  const imports = modules.reduce((sum, module) => sum + module.imports.length, 0);
  if (modules.length < table.leastModules || imports < table.leastModules)
    faults.push(`Read ${modules.length} modules with ${imports} imports; at least ${table.leastModules} are there.`);

  for (const folder of folders) {
    const manifest = manifestOf(folder);
    const own = modules.filter((module) => within(module.path, folder));
    if (own.length === 0) faults.push(`${folder}: no module was read.`);
    const free = table.workspaces[folder]?.imports === 'all';
    const used = new Set<string>();
    for (const module of own) {
      for (const one of module.imports) {
        used.add(packageOf(one.specifier));
        const fault = judge({ root, table, folder, module, manifest, rootManifest }, one);
        if (fault) faults.push(`${module.path}:${one.line} imports ${one.specifier}: ${fault}`);
      }
    }
    for (const name of Object.keys(manifest.dependencies ?? {}))
      if (!used.has(name) && !(free && name.startsWith(table.scope)))
        faults.push(`${folder}/package.json declares ${name}, which nothing there imports.`);
  }
  for (const [workspace, rooms] of Object.entries(table.rooms))
    for (const room of Object.keys(rooms))
      if (existsSync(join(root, workspace)) && !existsSync(join(root, workspace, 'src', room)))
        faults.push(`The table of arrows names ${workspace}/src/${room}, which is not there.`);
  return { modules: modules.length, imports, faults };
}

interface Place {
  readonly root: string;
  readonly table: ArrowTable;
  readonly folder: string;
  readonly module: Module;
  readonly manifest: Manifest;
  readonly rootManifest: Manifest;
}

/** What is wrong with one import, or undefined. */
function judge(place: Place, one: ModuleImport): string | undefined {
  const { table, folder, module } = place;
  const rule = table.workspaces[folder] as WorkspaceArrows;
  const { specifier } = one;
  if (specifier.startsWith('.')) return judgePath(place, rule, one);
  const bench = isBench(module.path);
  const loose = bench || isTest(module.path) || isBuild(module.path);
  const bare = specifier.replace(/^node:/, '');
  if (specifier.startsWith('node:') || builtins.has(bare)) {
    if (!specifier.startsWith('node:')) return `write node:${bare}.`;
    return rule.pure && !loose ? `this runs without Node. ${rule.ask}` : undefined;
  }
  const name = packageOf(specifier);
  const ours = name.startsWith(table.scope) ? name.slice(table.scope.length) : undefined;
  if (ours !== undefined) {
    const allowed = bench || rule.imports === 'all' || rule.imports.includes(ours) || (loose && ours === folder);
    if (!allowed) return `${folder} may import ${list(rule.imports)}. ${rule.ask}`;
    if (specifier.endsWith('/testing') && !loose) return 'only tests and benches may use what is made for them.';
    const forbidden = forbiddenName(place, ours, one);
    if (forbidden && !loose) return forbidden;
    // Workspaces are all linked; what stands over the whole and is never published need not list them.
    if (ours === folder || bench || rule.imports === 'all') return undefined;
  }
  return declared(place, rule, name, loose);
}

function judgePath(place: Place, rule: WorkspaceArrows, one: ModuleImport): string | undefined {
  const { table, folder, module, root } = place;
  const target = sourceOf(root, posix.join(posix.dirname(module.path), one.specifier));
  if (!within(target, folder)) {
    if (isTest(module.path) && rule.reaches?.some((reached) => within(target, reached))) return undefined;
    return `that is outside of ${folder}: import a workspace by its name.`;
  }
  if (isTest(module.path) || isBuild(module.path) || isBench(module.path)) return undefined;
  if (isTest(target) || isBench(target)) return 'only tests and benches may use what is made for them.';
  const rooms = table.rooms[folder];
  const source = `${folder}/src`;
  if (!rooms || !within(module.path, source) || !within(target, source)) return undefined;
  const roomOf = (path: string) => path.slice(source.length + 1).split('/')[0] as string;
  const from = roomOf(module.path);
  const to = roomOf(target);
  if (from === to) return undefined;
  const room: RoomArrows | undefined = rooms[from];
  if (!room) return `${folder}/src/${from} has no line in the table of arrows.`;
  if (room.imports === 'all') return undefined;
  if (room.imports.some((allowed) => within(target, `${source}/${allowed}`))) return undefined;
  return `${from} may import ${list(room.imports)}. ${room.ask}`;
}

function forbiddenName({ table, module }: Place, from: string, { names }: ModuleImport): string | undefined {
  for (const rule of table.names) {
    if (rule.from !== from || !rule.in.some((folder) => within(module.path, folder))) continue;
    if (rule.except.some((folder) => within(module.path, folder))) continue;
    const name = names.find((one) => rule.names.test(one));
    if (name !== undefined) return `${name} is not for this place. ${rule.ask}`;
  }
  return undefined;
}

function declared(
  { folder, manifest, rootManifest }: Place,
  rule: WorkspaceArrows,
  name: string,
  loose: boolean,
): string | undefined {
  if (manifest.dependencies?.[name] !== undefined) return undefined;
  if (!loose && !rule.development) return `${folder}/package.json does not declare ${name} in dependencies.`;
  if (manifest.devDependencies?.[name] !== undefined || rootManifest.devDependencies?.[name] !== undefined)
    return undefined;
  return `neither ${folder}/package.json nor the root declares ${name}.`;
}

/** `@scope/name` or `name` of a specifier that may go deeper. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** The source file behind a specifier, which is written as the file that will be built. */
function sourceOf(root: string, path: string): string {
  const candidates = [path, path.replace(/\.js$/, '.ts'), path.replace(/\.js$/, '.tsx'), `${path}.ts`, `${path}.tsx`];
  return candidates.find((one) => existsSync(join(root, one))) ?? path;
}

function list(imports: readonly string[] | 'all'): string {
  return imports === 'all' ? 'everything' : imports.length === 0 ? 'nothing' : imports.join(', ');
}
