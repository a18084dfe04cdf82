/** The check of imports finds each kind of forbidden arrow in a small repository made for it, and does not pass on nothing. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { tempDir } from '@villagrid/runtime/testing';
import { checkImports } from './check.js';
import { importsOf } from './read.js';
import type { ArrowTable } from './table.js';

const table: ArrowTable = {
  scope: '@house/',
  workspaces: {
    words: { imports: [], pure: true, ask: 'Take a port.' },
    box: { imports: ['words'], ask: 'Ask words.' },
    whole: { imports: 'all', development: true, reaches: ['box/e2e'], ask: '' },
  },
  rooms: {
    box: {
      'app.ts': { imports: 'all', ask: '' },
      wires: { imports: [], ask: 'Give it to the sink.' },
      sieve: { imports: ['store', 'wires/port.ts'], ask: 'Take it from the port.' },
      store: { imports: [], ask: 'The store knows nobody.' },
    },
  },
  names: [{ from: 'words', names: /Database/, in: ['box'], except: ['box/src/store'], ask: 'Ask the store.' }],
  leastModules: 1,
};

const manifest = (over: object = {}) => JSON.stringify({ type: 'module', ...over });
/** Nothing is wrong with these. */
const good: Readonly<Record<string, string>> = {
  'package.json': manifest({ workspaces: ['words', 'box', 'whole'], devDependencies: { tap: '1.0.0' } }),
  'words/package.json': manifest({ dependencies: { schema: '1.0.0' } }),
  'words/src/index.ts': `import { a } from 'schema/compile';\nexport const openDatabase = a;\n`,
  'words/test/words.test.ts': `import 'node:fs';\nimport t from 'tap';\nimport { openDatabase } from '@house/words';\n`,
  'box/package.json': manifest({ dependencies: { '@house/words': '1.0.0' } }),
  'box/src/app.ts': `import { s } from './sieve/sieve.js';\nimport { w } from './wires/wires.js';\n`,
  'box/src/wires/port.ts': 'export interface P {}\n',
  'box/src/wires/wires.ts': `import type { P } from './port.js';\nexport const w = 1;\n`,
  'box/src/sieve/sieve.ts': `import type { P } from '../wires/port.js';\nimport { k } from '../store/store.js';\n`,
  'box/src/store/store.ts': `import { openDatabase } from '@house/words';\nexport const k = 1;\n`,
  'box/src/store/store.test.ts': `import t from 'tap';\nimport { w } from '../wires/wires.js';\nimport { h } from '@house/words/testing';\n`,
  'box/e2e/run.ts': 'export const run = 1;\n',
  'box/bench/speed.bench.ts': `import { app } from '@house/whole';\nimport '../src/app.js';\nimport 'tap';\n`,
  'whole/package.json': manifest(),
  'whole/test/whole.test.ts': `import { app } from '@house/box';\nimport { run } from '../../box/e2e/run.js';\n`,
};

/** Forbidden arrows: the file, its text, and what must be said about it. */
const forbidden: ReadonlyArray<readonly [promise: string, path: string, text: string, said: RegExp]> = [
  [
    'an arrow between workspaces',
    'words/src/a.ts',
    `import '@house/box';`,
    /a\.ts:1 .*words may import nothing\. Take a port/,
  ],
  ['a re-export', 'words/src/a.ts', `\n\nexport * from '@house/box';`, /a\.ts:3 .*words may import nothing/],
  ['a dynamic import', 'words/src/a.ts', `const b = await import('@house/box');`, /words may import nothing/],
  ['a type in place', 'words/src/a.ts', `let b: import('@house/box').Box;`, /words may import nothing/],
  ['Node in a pure workspace', 'words/src/a.ts', `import 'node:fs';`, /runs without Node/],
  ['a built-in without its prefix', 'box/src/app.ts', `import 'fs';`, /write node:fs/],
  ['a path into another workspace', 'box/src/app.ts', `import '../../words/src/index.js';`, /outside of box/],
  [
    'an arrow between rooms',
    'box/src/wires/a.ts',
    `import { k } from '../store/store.js';`,
    /wires may import nothing\. Give it to the sink/,
  ],
  [
    'more of a room than its port',
    'box/src/sieve/a.ts',
    `import '../wires/wires.js';`,
    /sieve may import store, wires\/port\.ts\. Take it/,
  ],
  ['a room that nobody declared', 'box/src/attic/a.ts', `import '../store/store.js';`, /attic has no line/],
  [
    'a name that is for one room only',
    'box/src/sieve/a.ts',
    `import { openDatabase as o } from '@house/words';`,
    /openDatabase is not for this place\. Ask the store/,
  ],
  ['what is made for tests', 'box/src/app.ts', `import { h } from '@house/words/testing';`, /only tests/],
  ['a test of its own room', 'box/src/store/a.ts', `import './store.test.js';`, /only tests/],
  ['a bench', 'box/src/app.ts', `import '../bench/speed.bench.js';`, /only tests/],
  [
    'a package that is not declared',
    'box/src/app.ts',
    `import 'schema';`,
    /box\/package\.json does not declare schema/,
  ],
  ['a package of the root, outside of tests', 'box/src/app.ts', `import 'tap';`, /does not declare tap/],
  [
    'a package nobody declares, in a test',
    'box/src/a.test.ts',
    `import 'else';`,
    /neither box\/package\.json nor the root declares else/,
  ],
  [
    'a package that is declared and not used',
    'box/package.json',
    manifest({ dependencies: { '@house/words': '1', unused: '1' } }),
    /declares unused, which nothing/,
  ],
  [
    'a workspace without a line',
    'package.json',
    manifest({ workspaces: ['words', 'attic'], devDependencies: { tap: '1' } }),
    /attic is a workspace without a line/,
  ],
];

function write(folder: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

t.test('what the table allows passes, in modules and in tests', (t) => {
  const report = checkImports(write(tempDir(t), good), table);
  t.same(report.faults, []);
  t.equal(report.modules, 11);
  t.equal(report.imports, 18);
  t.end();
});

t.test('every forbidden arrow is found, alone, with its place and whom to ask', (t) => {
  for (const [promise, path, text, said] of forbidden) {
    const { faults } = checkImports(write(tempDir(t), { ...good, [path]: text }), table);
    // Files that a case takes the place of may leave a package unused; that is not what is asked here.
    const found = faults.filter((fault) => said.test(fault));
    t.equal(found.length, 1, `${promise}: ${faults.join(' | ')}`);
    t.equal(faults.length, 1, `${promise}, and nothing else`);
  }
  t.end();
});

t.test('too few modules, an empty workspace and a room that is gone do not pass', (t) => {
  const empty = write(tempDir(t), { 'package.json': good['package.json'] as string, 'words/notes.md': '' });
  t.match(checkImports(empty, table).faults.join('\n'), /Read 0 modules[^]*words: no module was read/);
  const few = write(tempDir(t), good);
  t.match(checkImports(few, { ...table, leastModules: 12 }).faults, [/Read 11 modules with 18 imports/]);
  const rooms = { box: { ...table.rooms.box, gone: { imports: [], ask: '' } } };
  t.match(checkImports(few, { ...table, rooms }).faults, [/names box\/src\/gone, which is not there/]);
  t.end();
});

t.test('words in comments and texts are no imports', (t) => {
  const text = `// import 'x';\nconst said = "import 'y'";\nconst also = \`from 'z'\`;\nawait import(said);\n`;
  t.same(importsOf('a.ts', text), []);
  t.end();
});
