/** Finds the modules of a repository and what each imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';

/** One import of a module. */
export interface ModuleImport {
  readonly specifier: string;
  /** Names taken from it as they are exported there; none for a whole module or a side effect. */
  readonly names: readonly string[];
  readonly line: number;
}

/** A source file. */
export interface Module {
  /** From the root, with slashes. */
  readonly path: string;
  readonly imports: readonly ModuleImport[];
}

const isModule = (name: string) => /\.(ts|tsx|mts|js|mjs|cjs)$/.test(name) && !name.endsWith('.d.ts');

/** Reads all modules below `folders` of `root`, without what is built or installed. */
export function readModules(root: string, folders: readonly string[]): Module[] {
  return folders.flatMap((folder) => modulesBelow(root, join(root, folder)));
}

function modulesBelow(root: string, folder: string): Module[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const { name } = entry;
    if (['node_modules', 'dist', 'bundle'].includes(name) || name.startsWith('.')) return [];
    const path = join(folder, name);
    if (entry.isDirectory()) return modulesBelow(root, path);
    if (!isModule(name)) return [];
    return [{ path: relative(root, path), imports: importsOf(path, readFileSync(path, 'utf8')) }];
  });
}

/** Static, type, re-exporting and dynamic imports of one source text. A dynamic import of a computed name is not seen. */
export function importsOf(path: string, text: string): ModuleImport[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false);
  const found: ModuleImport[] = [];
  const add = (node: ts.Node | undefined, names: readonly string[] = []): void => {
    if (!node || !ts.isStringLiteralLike(node)) return;
    const { line } = source.getLineAndCharacterOfPosition(node.pos);
    found.push({ specifier: node.text, names, line: line + 1 });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings;
      add(node.moduleSpecifier, bindings && ts.isNamedImports(bindings) ? exportedNames(bindings.elements) : []);
    } else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause;
      add(node.moduleSpecifier, clause && ts.isNamedExports(clause) ? exportedNames(clause.elements) : []);
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    } else if (ts.isCallExpression(node)) {
      const called = node.expression;
      const imports =
        called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === 'require');
      if (imports) add(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function exportedNames(elements: ts.NodeArray<ts.ImportSpecifier> | ts.NodeArray<ts.ExportSpecifier>): string[] {
  return elements.map(({ propertyName, name }) => (propertyName ?? name).text);
}
