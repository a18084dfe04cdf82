#!/usr/bin/env node
// Makes gateway/bundle: the gateway and its libraries in a few files, since looking up and linking a thousand modules takes
// half of its start (docs/decisions/0020-the-gateway-in-one-file.md). From source; `npm run build` and `npm start` call it.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'gateway/bundle');
// Made beside it and moved there, so that nobody starts one that is half written.
const making = `${folder}.making`;
rmSync(making, { recursive: true, force: true });
mkdirSync(making, { recursive: true });
await build({
  // The process of the destination aws-iot holds nothing of ours, and must find its program beside it.
  entryPoints: {
    main: join(root, 'gateway/src/main.ts'),
    'aws-iot-child': join(root, 'gateway/src/uplink/aws-iot/aws-iot-child.ts'),
  },
  outdir: making,
  absWorkingDir: root,
  bundle: true,
  // What is imported where it is needed stays a file of its own, read then.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  conditions: ['villagrid'],
  external: [
    // These two find their compiled part beside themselves.
    'better-sqlite3',
    'serialport',
    // These are asked for by nothing that we use of Fastify; their text would lie in memory.
    '@fastify/ajv-compiler',
    '@fastify/fast-json-stringify-compiler',
    'light-my-request',
  ],
  // A third smaller, which is memory of the process. Names stay as they are; tools/trace.mjs gives the lines of the sources.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 200,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  // Libraries in the older form of modules ask for Node's own with `require`.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
});
rmSync(folder, { recursive: true, force: true });
renameSync(making, folder);
