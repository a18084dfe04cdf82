/** Tells the service worker which files the build made, so that the shell opens without any server. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

/** Text in src/sw/sw.ts that stands for the list; kept as one string literal so that minifying cannot change it. */
const placeholder = '__VILLAGRID_SHELL__';

/** Files of the public folder that belong to the shell, as paths from the root. */
function publicFiles(directory: string, prefix = ''): string[] {
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? publicFiles(directory, `${prefix}${entry.name}/`) : [`/${prefix}${entry.name}`],
  );
}

/** Rises from build to build, seconds: the time of the build, or the one that a reproducible build is given. */
const buildNumber = (): number => Number(process.env.SOURCE_DATE_EPOCH ?? Math.floor(Date.now() / 1000));

/** The Vite plugin: replaces the placeholder in `sw.js` by `{build, number, files}`. The build id is a hash of the file names, which carry content hashes. */
export function serviceWorkerAssets(): Plugin {
  let publicDirectory = '';
  return {
    name: 'villagrid-service-worker-assets',
    apply: 'build',
    configResolved(config) {
      publicDirectory = config.publicDir;
    },
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const worker = bundle['sw.js'];
        if (worker?.type !== 'chunk')
          throw new Error('sw.js is missing from the bundle: check the input of vite.config.ts');
        if (!worker.code.includes(placeholder)) throw new Error(`sw.js lost its placeholder ${placeholder}`);
        const made = Object.keys(bundle)
          .filter((file) => file !== 'sw.js' && !/\.(html|map)$|language-pseudo/.test(file))
          .map((file) => `/${file}`);
        const files = ['/', ...made, ...publicFiles(publicDirectory)].sort();
        const build = createHash('sha256').update(files.join('\n')).digest('hex').slice(0, 12);
        worker.code = worker.code.replace(
          placeholder,
          JSON.stringify({ build, number: buildNumber(), files }).replaceAll('"', '\\"'),
        );
      },
    },
  };
}
