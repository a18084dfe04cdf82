import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createLifecycle, realClock, startControl, type LifecyclePart } from '../index.js';
import { memoryLog, tempDir, testClock } from '../testing/index.js';

const part = (name: string, seen: string[], over: Partial<LifecyclePart> = {}): LifecyclePart => ({
  name,
  start: () => void seen.push(`start ${name}`),
  stop: () => void seen.push(`stop ${name}`),
  ...over,
});

t.test('parts start in order and stop in reverse, once however often told', async (t) => {
  const seen: string[] = [];
  const lifecycle = createLifecycle({ log: memoryLog().log, clock: realClock() });
  for (const name of ['a', 'b', 'c']) lifecycle.add(part(name, seen));
  await Promise.all([lifecycle.start(), lifecycle.start()]);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  t.same(seen, ['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a']);
  t.throws(() => lifecycle.add(part('d', seen)), /after the start/);
});

t.test('when a part fails to start, those before it are stopped in reverse and the failure is told', async (t) => {
  const seen: string[] = [];
  const lifecycle = createLifecycle({ log: memoryLog().log, clock: realClock() });
  lifecycle.add(part('a', seen));
  lifecycle.add(part('b', seen));
  lifecycle.add(part('c', seen, { start: () => Promise.reject(new Error('port in use')) }));
  await t.rejects(lifecycle.start(), { message: 'port in use' });
  t.same(seen, ['start a', 'start b', 'stop b', 'stop a']);
});

t.test(
  'a part that hangs or fails in its stop is logged and left; the others still stop, within the deadline',
  async (t) => {
    const clock = testClock();
    const { log, lines } = memoryLog({ clock });
    const seen: string[] = [];
    const lifecycle = createLifecycle({ log, clock });
    lifecycle.add(part('a', seen));
    lifecycle.add(part('hangs', seen, { stop: () => new Promise<void>(() => {}) }));
    lifecycle.add(
      part('throws', seen, {
        stop: () => {
          throw new Error('broken');
        },
      }),
    );
    await lifecycle.start();
    let stopped = false;
    void lifecycle.stop().then(() => (stopped = true));
    await clock.advance(4300);
    t.ok(stopped);
    t.ok(seen.includes('stop a'));
    t.ok(lines.some((line) => line.part === 'hangs' && /in time/.test(line.msg)));
    t.ok(lines.some((line) => line.part === 'throws' && /failed to stop/.test(line.msg)));
  },
);

t.test('a process stops its parts at SIGTERM with code 0, and at an uncaught error with code 1', async (t) => {
  const run = (fault: string) =>
    new Promise<{ code: number | null; out: string }>((resolve) => {
      const source = `
        const { createLifecycle, createLogger, realClock, runUntilSignal } = await import('@villagrid/runtime');
        const clock = realClock();
        const log = createLogger({ name: 'child', clock });
        const lifecycle = createLifecycle({ log, clock });
        let beat;
        lifecycle.add({ name: 'p', start() { beat = setInterval(() => {}, 1000); }, stop() { console.log('part stopped'); clearInterval(beat); } });
        await runUntilSignal(lifecycle, { log });
        console.log('ready');
        ${fault}`;
      const cwd = fileURLToPath(new URL('../../', import.meta.url));
      const child = spawn(
        process.execPath,
        ['--conditions=villagrid', '--import=tsx', '--input-type=module', '-e', source],
        { cwd },
      );
      let out = '';
      child.stderr.on('data', (data) => (out += data));
      child.stdout.on('data', (data) => {
        out += data;
        if (String(data).includes('ready') && fault === '') child.kill('SIGTERM');
      });
      child.on('close', (code) => resolve({ code, out }));
    });
  const [terminated, failed] = await Promise.all([run(''), run(`setTimeout(() => { throw new Error('oops'); }, 1);`)]);
  t.equal(terminated.code, 0, terminated.out);
  t.match(terminated.out, /part stopped/);
  t.equal(failed.code, 1);
  t.match(failed.out, /oops[\s\S]*part stopped/);
});

t.test("a control socket is its owner's alone, and what others write while it opens keeps their mask", async (t) => {
  const path = join(tempDir(t), 'c.sock');
  const before = process.umask(0o022);
  t.teardown(() => process.umask(before));
  const opening = startControl(path, () => ({ ok: true }));
  t.equal(process.umask(0o022), 0o022);
  const control = await opening;
  t.equal(statSync(path).mode & 0o777, 0o600);
  await control.close();
});
