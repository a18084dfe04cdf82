/** What every UplinkStore promises, run against each adapter. */
import { createHash } from 'node:crypto';
import type { Test } from 'tap';
import type { DeadLetter, FrameToArchive, UplinkStore } from '../stores/uplink-store.js';

/** A store under test; `reopen` gives the same contents through a new adapter, as after a restart. */
export interface UplinkStoreUnderTest {
  readonly store: UplinkStore;
  reopen(): UplinkStore;
}

const nowMs = 1_795_341_600_000;
const contents = (number: number, salt = '') => Buffer.from(`frame ${number}${salt}`);

/** A frame to archive whose samples lie at `number` seconds. */
function frame(number: number, { salt = '', bad = null }: { salt?: string; bad?: string | null } = {}): FrameToArchive {
  const bytes = contents(number, salt);
  const hash = createHash('sha256').update(bytes).digest();
  const timeMs = number * 1000;
  return { number, bytes, hash, bad, fromMs: bad === null ? timeMs : null, toMs: bad === null ? timeMs + 500 : null };
}

const sumOf = (frames: readonly FrameToArchive[]): string =>
  (frames.reduce((sum, { hash }) => sum + Buffer.from(hash).readBigUInt64BE(0), 0n) % (1n << 64n))
    .toString(16)
    .padStart(16, '0');

/** Runs the suite. */
export function uplinkStoreSuite(t: Test, name: string, make: (t: Test) => UplinkStoreUnderTest): void {
  const log = { gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E1' };
  const letter: DeadLetter = {
    stage: 'envelope',
    gatewayId: 'gw-1',
    gridId: 'alpha',
    epoch: null,
    number: null,
    code: 'E_ENVELOPE_INVALID',
    reason: 'empty',
    bytes: Buffer.from('x'),
  };

  t.test(
    `${name}: a sealed frame stands for all its numbers, comes once, and never beside what says a part of it`,
    async (t) => {
      const { store, reopen } = make(t);
      const sealed = (number: number, last: number, salt = '') => ({ ...frame(number, { salt }), last });
      const accept = async (...frames: FrameToArchive[]) => (await store.accept([{ ...log, frames }], [], nowMs))[0];
      t.match(await accept(sealed(1, 10), sealed(21, 30)), { added: 2, upTo: 10 });
      t.match(await accept(sealed(1, 10)), { added: 0, repeated: 1, conflicts: [] });
      t.match(await accept(frame(5)), { added: 0, conflicts: [5], upTo: 10 }, 'a part alone');
      t.match(await accept(sealed(1, 10, 'other')), { added: 0, conflicts: [1] });
      t.match(await accept(sealed(18, 24)), { added: 0, conflicts: [18] });
      t.same((await store.logs('gw-1'))[0]?.missing, [[11, 17]], 'what no frame says is explained as given up');
      t.match(await accept(sealed(11, 17)), { added: 1, upTo: 30, gapClosed: true });
      for (const from of [store, reopen()]) {
        const receipt = await from.receipt('gw-1', 'E1');
        t.equal(receipt.sum, sumOf([sealed(1, 10), sealed(21, 30), sealed(11, 17)]));
        t.same(
          (await from.framesAfter(0, 9)).map(({ number, last }) => [number, last]),
          [
            [1, 10],
            [21, 30],
            [11, 17],
          ],
        );
      }
      await store.giveUp('gw-1', 'alpha', 'E1', 40, nowMs);
      t.match(await accept(sealed(33, 36)), { added: 1, conflicts: [] }, 'given up, and there all the same');
      t.same((await store.logs('gw-1'))[0]?.givenUp, [
        [18, 20],
        [31, 32],
        [37, 40],
      ]);
    },
  );

  t.test(
    `${name}: frames are there once however often they come; the receipt tells numbers, holes and sum`,
    async (t) => {
      const { store, reopen } = make(t);
      const one = [frame(1), frame(2)];
      const later = [frame(4), frame(5)];
      t.same(await store.accept([{ ...log, frames: later }], [], nowMs), [
        { added: 2, repeated: 0, conflicts: [], upTo: 0, gapClosed: false },
      ]);
      t.match((await store.receipt('gw-1', 'E1')).also, [[4, 5]]);
      await store.accept(
        [
          { ...log, frames: one },
          { ...log, epoch: 'E2', frames: one },
        ],
        [],
        nowMs,
      );
      t.match((await store.accept([{ ...log, frames: [...one, ...later] }], [], nowMs))[0], { added: 0, repeated: 4 });
      t.match(await store.receipt('gw-1', 'E1'), { up_to: 2, sum: sumOf(one), also: [[4, 5]] });
      t.match((await store.accept([{ ...log, frames: [frame(3)] }], [], nowMs))[0], {
        added: 1,
        upTo: 5,
        gapClosed: true,
      });
      const again = reopen();
      for (const each of [store, again]) {
        t.same(await each.receipt('gw-1', 'E1'), {
          y: 'receipt',
          epoch: 'E1',
          up_to: 5,
          sum: sumOf([...one, frame(3), ...later]),
          also: [],
          bad: [],
        });
        t.match(await each.receipt('gw-1', 'E2'), { up_to: 2, sum: sumOf(one) });
        t.match(await each.receipt('gw-2', 'E1'), { up_to: 0, sum: '0'.repeat(16), also: [] });
      }
    },
  );

  t.test(`${name}: the same number with other content is quarantined, a refused one is explained`, async (t) => {
    const { store } = make(t);
    await store.accept([{ ...log, frames: [frame(1), frame(2, { bad: 'E_X: broken' }), frame(3)] }], [letter], nowMs);
    const outcome = await store.accept([{ ...log, frames: [frame(1, { salt: '!' }), frame(4)] }], [letter], nowMs + 1);
    t.match(outcome[0], { added: 1, conflicts: [1], upTo: 4 });
    const receipt = await store.receipt('gw-1', 'E1');
    t.same([receipt.up_to, receipt.bad], [4, [[2, 'E_X: broken']]]);
    t.equal(receipt.sum, sumOf([frame(1), frame(3), frame(4)]), 'a refused one does not count in the sum');
    const numbers = (await store.framesAfter(0, 10)).map(({ number }) => number);
    t.same(numbers, [1, 3, 4], 'a refused one is not read for projection');
    const letters = await store.deadLetters(10);
    t.same(letters.map(({ stage, number, times }) => [stage, number, times]).sort(), [
      ['conflict', 1, 1],
      ['envelope', null, 2],
      ['frame', 2, 1],
    ]);
    t.equal(await store.deadLetterCount(), 3);
    t.same(Buffer.from(letters.find(({ stage }) => stage === 'conflict')?.bytes ?? []), contents(1, '!'));
  });

  t.test(`${name}: frames are read in order of arrival and by time, up to a place`, async (t) => {
    const { store } = make(t);
    await store.accept([{ ...log, frames: [frame(7), frame(8)] }], [], nowMs);
    await store.accept(
      [
        { ...log, frames: [frame(1)] },
        { ...log, gatewayId: 'gw-2', gridId: 'beta', frames: [frame(7)] },
      ],
      [],
      nowMs,
    );
    const all = await store.framesAfter(0, 10);
    t.same(
      all.map(({ gridId, number }) => [gridId, number]),
      [
        ['alpha', 7],
        ['alpha', 8],
        ['alpha', 1],
        ['beta', 7],
      ],
    );
    t.same(Buffer.from(all[2]?.bytes ?? []), contents(1));
    const second = all[1]?.seq ?? 0;
    t.same(
      (await store.framesAfter(second, 1)).map(({ number }) => number),
      [1],
    );
    const between = async (fromMs: number, toMs: number, seq: number) =>
      [...(await store.framesBetween('alpha', fromMs, toMs, seq))].map((bytes) => Buffer.from(bytes).toString()).sort();
    const end = all[3]?.seq ?? 0;
    t.same(await between(0, 10_000, end), ['frame 1', 'frame 7', 'frame 8']);
    t.same(await between(0, 10_000, second), ['frame 7', 'frame 8']);
    t.same(await between(7500, 8000, end), ['frame 7']);
    t.same(await between(7501, 8000, end), []);
  });

  t.test(`${name}: numbers given up are explained, and count when they come after all`, async (t) => {
    const { store } = make(t);
    await store.accept([{ ...log, frames: [frame(3)] }], [], nowMs);
    t.same(await store.giveUp('gw-1', 'alpha', 'E1', 5, nowMs), [
      [1, 2],
      [4, 5],
    ]);
    t.same(await store.giveUp('gw-1', 'alpha', 'E1', 5, nowMs), []);
    t.match(await store.receipt('gw-1', 'E1'), { up_to: 5, sum: sumOf([frame(3)]) });
    t.match((await store.accept([{ ...log, frames: [frame(2)] }], [], nowMs))[0], { added: 1, upTo: 5 });
    t.match(await store.receipt('gw-1', 'E1'), { up_to: 5, sum: sumOf([frame(2), frame(3)]) });
    await store.noteNewest('gw-1', 'E1', 7, nowMs);
    t.match(await store.logs('gw-1'), [
      {
        epoch: 'E1',
        newestNumber: 7,
        explainedUpTo: 5,
        missing: [[6, 7]],
        givenUp: [
          [1, 1],
          [4, 5],
        ],
        refused: [],
      },
    ]);
    t.same(await store.timesAround('gw-1', 'E1', [4, 5]), { beforeMs: 3500, afterMs: null });
    t.equal(await store.frameCount('alpha', 2500, 3500), 1);
    t.same(await store.logs('gw-2'), []);
  });
}
