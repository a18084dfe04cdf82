/** The gateway's RTU link on a pseudo-terminal, with devices that spoil their answers in every way a real line does. */
import { join } from 'node:path';
import { type Link, LinkError, rtuLink, serialLine } from '@villagrid/gateway/field';
import { realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { canOpenPty, openPty, type RtuSlave, rtuSlave, type SlaveBurst, type SlaveRequest } from '@villagrid/simulator';
import t, { type Test } from 'tap';

const clock = realClock();
const seed = Number(process.env.SEED ?? 7);
const soak = process.env.VILLAGRID_SOAK === 'full';
const skip = canOpenPty() ? false : 'pseudo-terminals need python3';
const until = async (what: string, met: () => boolean, timeoutMs = 20_000) => {
  const endMs = clock.monotonicMs() + timeoutMs;
  while (!met()) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
    await clock.sleep(5);
  }
};

/** Registers that tell what they are: even ones their own address, odd ones the number of the request that read them. */
function tellingAnswer(slave: () => RtuSlave) {
  return ({ address, count }: SlaveRequest) =>
    Array.from({ length: count }, (_, i) => ((address + i) % 2 === 0 ? address + i : slave().requests.length & 0xffff));
}

async function line(
  t: Test,
  make: (write: (bytes: Uint8Array) => void) => RtuSlave,
  options: { baud?: number; path?: string } = {},
) {
  const path = options.path ?? join(tempDir(t), 'ttyUSB-village');
  const pty = await openPty(path);
  t.teardown(() => pty.close());
  const slave = make((bytes) => pty.write(bytes));
  pty.onBytes((data) => slave.receive(data));
  const baud = options.baud ?? 115_200;
  const link = rtuLink({
    name: path,
    open: serialLine({ path, baud, parity: 'none', stopBits: 1 }),
    baud,
    clock,
    random: seededRandom(seed),
    log: silentLogger(),
    reopenMs: { minMs: 50, maxMs: 500 },
  });
  t.teardown(() => link.close());
  return { path, pty, slave, link };
}

/** What a read gave: nothing, the right thing, or a lie. */
async function readAndJudge(
  link: Link,
  slave: RtuSlave,
  unit: number,
  address: number,
  count: number,
  longestMs: number,
) {
  const asked = slave.requests.length;
  try {
    const words = await link.read({
      unit,
      function: 3,
      address,
      count,
      timeoutMs: longestMs,
      gapMs: 0,
      between: { function: 3, address: 300, count: count === 4 ? 2 : 4 },
    });
    const place = words.every((word, i) => (address + i) % 2 === 1 || word === address + i);
    const numbers = words.filter((_, i) => (address + i) % 2 === 1);
    if (!place || words.length !== count) return `not of ${address}: ${words}`;
    if (new Set(numbers).size > 1) return `of several answers: ${words}`;
    if ((numbers[0] ?? 0) <= asked) return `an answer from before the question: ${numbers[0]} at ${asked}`;
    return 'good';
  } catch (error) {
    if (error instanceof LinkError) return error.failure;
    throw error;
  }
}

t.test(
  'late, doubled, spoiled, cut off and noisy answers on a serial line: not one wrong value',
  { skip, timeout: 3_600_000 },
  async (t) => {
    const random = seededRandom(seed);
    const longestMs = 20;
    const reads = soak ? 10_000 : 1000;
    const kinds = new Map<string, number>();
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.float() * from.length)] as T;
    const faults: Record<string, (frame: Uint8Array) => SlaveBurst[]> = {
      silent: () => [],
      late: (bytes) => [{ afterMs: longestMs + random.float() * (longestMs - 5), bytes }],
      'doubled at once': (bytes) => [{ afterMs: 0, bytes: Uint8Array.from([...bytes, ...bytes]) }],
      'doubled later': (bytes) => [
        { afterMs: 0, bytes },
        { afterMs: random.float() * longestMs, bytes },
      ],
      'one bit wrong': (bytes) => {
        const out = Uint8Array.from(bytes);
        const at = Math.floor(random.float() * out.length);
        out[at] = (out[at] ?? 0) ^ (1 << Math.floor(random.float() * 8));
        return [{ afterMs: 0, bytes: out }];
      },
      'cut off': (bytes) => [
        { afterMs: 0, bytes: bytes.slice(0, 1 + Math.floor(random.float() * (bytes.length - 1))) },
      ],
      'noise before': (bytes) => [
        { afterMs: 0, bytes: Uint8Array.from([...random.bytes(1 + Math.floor(random.float() * 6)), ...bytes]) },
      ],
      'noise behind': (bytes) => [{ afterMs: 0, bytes: Uint8Array.from([...bytes, ...random.bytes(4)]) }],
      'noise instead': () => [{ afterMs: 0, bytes: random.bytes(25) }],
      'in pieces': (bytes) => [
        { afterMs: 0, bytes: bytes.slice(0, 4) },
        { afterMs: 2, bytes: bytes.slice(4) },
      ],
    };
    const names = Object.keys(faults);
    const { link, slave } = await line(t, (write) => {
      const self: RtuSlave = rtuSlave({
        write,
        clock,
        answer: tellingAnswer(() => self),
        spoil: (bytes) => {
          if (random.float() > 0.12) return [{ afterMs: 0, bytes }];
          const name = pick(names);
          kinds.set(name, (kinds.get(name) ?? 0) + 1);
          return faults[name]?.(bytes) ?? [];
        },
      });
      return self;
    });
    const outcomes = new Map<string, number>();
    const wrong: string[] = [];
    let left = reads;
    const begunMs = clock.monotonicMs();
    const reader = async (unit: number) => {
      while (left > 0) {
        left -= 1;
        const [address, count] = pick([
          [0, 10],
          [100, 10],
          [200, 10],
          [300, 4],
        ] as const);
        const outcome = await readAndJudge(link, slave, unit, address, count, longestMs);
        const known = ['good', 'timeout', 'mismatch'].includes(outcome);
        outcomes.set(known ? outcome : 'wrong', (outcomes.get(known ? outcome : 'wrong') ?? 0) + 1);
        if (!known) wrong.push(outcome);
      }
    };
    await Promise.all([reader(1), reader(2), reader(3)]);
    const tookS = (clock.monotonicMs() - begunMs) / 1000;
    t.comment(`seed ${seed}: ${reads} reads in ${tookS.toFixed(1)} s: ${JSON.stringify([...outcomes])}`);
    t.comment(`spoiled: ${JSON.stringify([...kinds])}`);
    t.same(wrong, []);
    t.ok((outcomes.get('good') ?? 0) > reads * 0.7, 'most reads succeed all the same');
    for (const name of names) t.ok((kinds.get(name) ?? 0) > 0, `there was: ${name}`);
    t.equal(slave.others.length, 0, 'nothing but reads was ever sent');
  },
);

t.test(
  'an adapter that is unplugged is told within three polls, and read again within ten seconds of coming back',
  { skip },
  async (t) => {
    const path = join(tempDir(t), 'by-id-adapter');
    const make = (write: (bytes: Uint8Array) => void) => {
      const self: RtuSlave = rtuSlave({ write, clock, answer: tellingAnswer(() => self) });
      return self;
    };
    const { link, pty } = await line(t, make, { path });
    const told: string[] = [];
    link.onState((state, reason) => told.push(`${state}: ${reason}`));
    const read = () => link.read({ unit: 1, function: 3, address: 0, count: 4, timeoutMs: 200, gapMs: 0 });
    t.equal((await read())[0], 0);
    const second = serialLine({ path, baud: 9600, parity: 'none', stopBits: 1 });
    await t.rejects(
      second({ bytes: () => undefined, lost: () => undefined }),
      { failure: 'unreachable', message: /in use by another program/ },
      'a line has one owner',
    );
    await pty.close();
    const failures: string[] = [];
    while (told.length < 2 && failures.length < 3) await read().catch((error: Error) => failures.push(error.message));
    await until('the loss is told', () => told.length >= 2);
    t.match(told[1], /^down: .*(gone|failed)/);
    await t.rejects(read(), { failure: 'unreachable', message: /./ }, 'nobody waits for a line that is not there');
    const backMs = clock.monotonicMs();
    await line(t, make, { path });
    await until('it is open again', () => told.at(-1) === 'up: it is open');
    t.equal((await read())[0], 0);
    t.ok(clock.monotonicMs() - backMs < 10_000, `back after ${Math.round(clock.monotonicMs() - backMs)} ms`);
  },
);
