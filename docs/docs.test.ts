/** The documentation says what is there: links lead somewhere, named tests exist, generated pages are fresh. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { routes } from '@villagrid/contracts';
import { cloudConfigSchema } from '@villagrid/cloud';
import { gatewayConfigSchema } from '@villagrid/gateway';
import { describeConfig } from '@villagrid/runtime';
import { loadProfile, loadVectors, vectorProblems } from '@villagrid/gateway/field';
import { referencePages } from './reference/pages.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
  'systemd/README.md',
  'simulator/README.md',
];

t.test('every link within the repository leads to a file', (t) => {
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const path = normalize(join(dirname(page), target));
      if (!existsSync(join(root, path))) t.fail(`${page}: ${target} is not there`);
    }
  }
  t.ok(pages.length > 15, 'pages were read');
  t.end();
});

t.test('every test that requirements.md names exists, and every route is in it', (t) => {
  const text = read('docs/requirements.md');
  const named = new Set([...text.matchAll(/[\w-]+\/[\w/.-]+\.test\.ts/g)].map(([path]) => path));
  t.ok(named.size > 15, 'tests are named');
  for (const path of named) if (!existsSync(join(root, path))) t.fail(`${path} is not there`);
  for (const { id, path } of routes) {
    // The prototype's aliases have one line together; logout, me and discovery belong to others.
    if (id.startsWith('legacy') || ['logout', 'me', 'discovery'].includes(id)) continue;
    if (!text.includes(path)) t.fail(`route ${path} has no line in docs/requirements.md`);
  }
  t.end();
});

t.test('every port that a server can open is in the table of open ports, with its setting', (t) => {
  const rows = read('SECURITY.md')
    .split('\n')
    .filter((line) => /^\| *\d+\/tcp/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const listed = rows.map(([, port, server, , setting]) => `${server?.split(',')[0]} ${setting} ${port}`).sort();
  const opened = Object.entries({ gateway: gatewayConfigSchema, cloud: cloudConfigSchema }).flatMap(
    ([server, schema]) =>
      describeConfig(schema)
        .filter(({ path }) => /^[^.]+\.port$/.test(path))
        .map(({ path, default: standard }) => `${server} \`${path.replace('.port', '')}\` ${standard}/tcp`),
  );
  t.same(listed, opened.sort());
  t.end();
});

t.test('the device model of the how-to is a right profile with right vectors', (t) => {
  const text = read('docs/how-to/add-a-device-model.md');
  const blocks = [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, block = '']) => block);
  const folder = t.testdir({ 'acme-m3.yaml': blocks[0] ?? '', 'vectors.yaml': blocks.at(-1) ?? '' });
  const profile = loadProfile(join(folder, 'acme-m3.yaml'));
  t.same(vectorProblems(profile, loadVectors(join(folder, 'vectors.yaml'))), []);
  t.end();
});

t.test('the generated reference pages are fresh', (t) => {
  for (const [name, text] of Object.entries(referencePages())) {
    const path = join('docs/reference', name);
    const written = existsSync(join(root, path)) ? read(path) : '';
    t.equal(written, text, `${path}: write it with: node --conditions=villagrid --import=tsx docs/reference/write.ts`);
  }
  t.end();
});
