/** The results of `npm run bench` have the form that others read, and say the middle of what was measured. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { tempDir } from '@villagrid/runtime/testing';
import { median, resultOf, spread, tableOf } from './results.js';
import { runBench } from './run.js';

/** A clone with one tiny bench: three contestants that start real processes, and a peer that cannot run. */
function clone(
  t: Test,
  over = '',
): { root: string; run: (...words: string[]) => Promise<{ code: number; out: string; said: string }> } {
  const root = tempDir(t);
  mkdirSync(join(root, 'part/bench'), { recursive: true });
  writeFileSync(
    join(root, 'part/bench/tiny.bench.ts'),
    `let calls = 0;
     const says = (values: number[]) => {
       let at = 0;
       return async ({ processes, folder }: any) => {
         const value = values[at++];
         const child = processes.start({ name: 'child', command: process.execPath, args: ['-e', \`console.log('noise'); console.log('{"figure":\${value}}'); setInterval(() => {}, 1000)\`] });
         const { figure } = await child.next('figure', 10_000);
         await child.end('SIGTERM');
         return figure;
       };
     };
     export const benches = [{
       id: 'part.tiny', unit: 'things/s', what: 'Nothing.',
       own: { what: 'ours', run: says([10, 90, 20]) },
       limit: { what: 'limit', run: says([40, 41, 39]) },
       peers: {
         other: { what: 'peer', run: says([5, 7, 9]) },
         absent: { what: 'peer', missing: () => 'It is not installed.', run: says([]) },
       },
       ${over}
     }, { id: 'part.tiny_too', unit: 's', what: 'Nothing.', own: { what: 'ours', run: async () => 1 } }, { id: 'part.zzz', unit: 's', what: 'Fails.', own: { what: 'ours', run: async () => { throw new Error('the data are lost'); } } }];`,
  );
  return {
    root,
    async run(...words) {
      let [out, said] = ['', ''];
      const code = await runBench(words, {
        root,
        print: (text) => (out += `${text}\n`),
        say: (text) => (said += `${text}\n`),
      });
      return { code, out, said };
    },
  };
}

t.test(
  'the JSON holds medians of interleaved runs in the promised form; a missing peer is skipped and said',
  async (t) => {
    const { root, run } = clone(t);
    const file = join(root, 'results.json');
    const { code, out, said } = await run('--only', 'part.tiny', '--runs', '3', '--json', file);
    t.equal(code, 0, said);
    const { results, machine, date } = JSON.parse(readFileSync(file, 'utf8'));
    t.strictSame(results, [
      { id: 'part.tiny', value: 20, unit: 'things/s', limit: 40, peers: { other: 7 }, runs: [10, 90, 20] },
    ]);
    t.match(machine, { cores: Number, node: process.version });
    t.ok(Date.parse(date) > 0);
    t.match(out, /part\.tiny +20 +things\/s +40 +0\.50 +other 7 \(x 2\.86\) +400 %/);
    t.match(said, /absent: skipped\. It is not installed\./);
    const order = [...said.matchAll(/run (\d) of 3 {2}(\w+)/g)].map(([, round, name]) => `${round} ${name}`);
    t.same(order, [
      '1 villagrid',
      '1 limit',
      '1 other',
      '2 limit',
      '2 other',
      '2 villagrid',
      '3 other',
      '3 villagrid',
      '3 limit',
    ]);
  },
);

t.test(
  'a bench that fails is said and ends with 1, the others are written all the same; a wrong command line ends with 2',
  async (t) => {
    const { root, run } = clone(t);
    const file = join(root, 'results.json');
    const all = await run('--runs', '1', '--json', file);
    t.equal(all.code, 1);
    t.match(all.said, /FAILED: the data are lost/);
    t.equal(JSON.parse(readFileSync(file, 'utf8')).results.length, 2);
    t.match(await run('--only', 'part.tin', '--list'), { out: /tiny .*[^]*tiny_too/ });
    t.match(await run('--only', 'nothing'), { code: 2, said: /no bench has an id/ });
    t.match(await run('--runs', 'many'), { code: 2, said: /--runs many: give a whole number/ });
    t.match(await run('--list'), { code: 0, out: /part\.tiny \(things\/s\)/ });
    t.match(await run('--help'), { code: 0, out: /Examples: npm run bench/ });
  },
);

t.test('the median is the middle one, of an even number the mean of the two in the middle', (t) => {
  t.equal(median([3]), 3);
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([100, 1, 2, 4]), 3);
  t.ok(Number.isNaN(median([])));
  t.equal(spread([8, 10, 12]), 0.4);
  const none = resultOf({ id: 'a', unit: 's' }, { own: [1.23456], limit: [], peers: { gone: [] } });
  t.strictSame(none, { id: 'a', value: 1.235, unit: 's', limit: null, peers: {}, runs: [1.235] });
  t.match(tableOf([none]), /a +1\.24 +s +- +- +- +0 %/);
  t.end();
});
