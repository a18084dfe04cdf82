/** The gateway's RTU link on a pseudo-terminal, with devices that spoil their answers in every way a real line does. */
import { spawn, spawnSync } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '@villagrid/contracts';
import { createGateway, loadGatewayConfig } from '@villagrid/gateway';
import {
  createModbusDrivers,
  type DriverReading,
  type LineSettings,
  type Link,
  LinkError,
  loadProfile,
  loadProfiles,
  type ModbusConnectionConfig,
  openLink,
  type Profile,
  resolveProfiles,
  rtuLink,
  scan,
  serialLine,
} from '@villagrid/gateway/field';
import { acceleratedClock, cryptoRandom, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { runCli, setSetting } from '@villagrid/provisioning';
import {
  askSimulator,
  canOpenPty,
  loadSimulatorConfig,
  openPty,
  registerMap,
  renderImage,
  type RtuSlave,
  rtuSlave,
  type SlaveBurst,
  type SlaveRequest,
  startSimulator,
} from '@villagrid/simulator';
import t, { type Test } from 'tap';
import { freePortBase } from './port-base.js';

const clock = realClock();
const seed = Number(process.env.SEED ?? 7);
const soak = process.env.VILLAGRID_SOAK === 'full';
const skip = canOpenPty() ? false : 'pseudo-terminals need python3';
const until = async (what: string, met: () => boolean, timeoutMs = 60_000) => {
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
  options: { baud?: number; path?: string; only?: number } = {},
) {
  const path = options.path ?? join(tempDir(t), 'ttyUSB-village');
  const pty = await openPty(path, options.only);
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

/** Spoils that share of answers, in each way in turn, and how often in each. */
function spoiler(longestMs: number, share: number) {
  const random = seededRandom(seed);
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
    'cut off': (bytes) => [{ afterMs: 0, bytes: bytes.slice(0, 1 + Math.floor(random.float() * (bytes.length - 1))) }],
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
  const kinds = new Map<string, number>();
  return {
    kinds,
    unseen: () => names.filter((name) => !kinds.has(name)),
    spoil(bytes: Uint8Array): SlaveBurst[] {
      if (random.float() > share) return [{ afterMs: 0, bytes }];
      const name = names[[...kinds.values()].reduce((sum, n) => sum + n, 0) % names.length] as string;
      kinds.set(name, (kinds.get(name) ?? 0) + 1);
      return faults[name]?.(bytes) ?? [];
    },
  };
}

/** Keeps the whole process busy for 20 to 100 ms now and then, as a slow card or another program does; returns its end. */
function busyNowAndThen(): () => void {
  const random = seededRandom(seed + 2);
  let ended = false;
  const away = (): void => {
    if (ended) return;
    const endMs = clock.monotonicMs() + 20 + random.float() * 80;
    while (clock.monotonicMs() < endMs);
    clock.after(random.float() * 120, away);
  };
  away();
  return () => (ended = true);
}

/** So many reads of three units on each line, all lines at once; says how they ended, and each lie. */
async function readMuch(
  t: Test,
  lines: ReadonlyArray<{ readonly link: Link; readonly slave: RtuSlave }>,
  reads: number,
  longestMs: number,
) {
  const random = seededRandom(seed + 1);
  const outcomes = new Map<string, number>();
  const wrong: string[] = [];
  let left = reads;
  const begunMs = clock.monotonicMs();
  const reader = async ({ link, slave }: (typeof lines)[number], unit: number) => {
    while (left > 0) {
      left -= 1;
      const places = [
        [0, 10],
        [100, 10],
        [200, 10],
        [300, 4],
      ] as const;
      const [address, count] = places[Math.floor(random.float() * places.length)] ?? places[0];
      const outcome = await readAndJudge(link, slave, unit, address, count, longestMs);
      const known = ['good', 'timeout', 'mismatch', 'unreachable'].includes(outcome);
      outcomes.set(known ? outcome : 'wrong', (outcomes.get(known ? outcome : 'wrong') ?? 0) + 1);
      if (!known) wrong.push(outcome);
    }
  };
  await Promise.all(lines.flatMap((one) => [1, 2, 3].map((unit) => reader(one, unit))));
  const tookS = (clock.monotonicMs() - begunMs) / 1000;
  t.comment(`seed ${seed}: ${reads} reads in ${tookS.toFixed(1)} s: ${JSON.stringify([...outcomes])}`);
  return { wrong, good: outcomes.get('good') ?? 0 };
}

/** Reads mostly wait for silence: lines side by side share that time. */
const linesAtOnce = 4;

t.test(
  'late, doubled, spoiled, cut off and noisy answers on a serial line: not one wrong value',
  { skip, timeout: 3_600_000 },
  async (t) => {
    const longestMs = 20;
    const reads = soak ? 10_000 : 1000;
    const spoiled = spoiler(longestMs, 0.12);
    const make = (write: (bytes: Uint8Array) => void) => {
      const self: RtuSlave = rtuSlave({ write, clock, answer: tellingAnswer(() => self), spoil: spoiled.spoil });
      return self;
    };
    const lines = await Promise.all(Array.from({ length: linesAtOnce }, () => line(t, make)));
    const { wrong, good } = await readMuch(t, lines, reads, longestMs);
    t.comment(`spoiled: ${JSON.stringify([...spoiled.kinds])}`);
    t.same(wrong, []);
    t.ok(good > reads * 0.5, 'most reads succeed all the same');
    t.same(spoiled.unseen(), [], 'there was each way');
    t.ok(
      lines.every(({ slave }) => slave.others.length === 0),
      'nothing but reads was ever sent',
    );
  },
);

/** A converter that passes RTU frames on as they are, to one client at a time as the small ones do. */
async function rtuConverter(t: Test, make: (write: (bytes: Uint8Array) => void) => RtuSlave) {
  let client: Socket | undefined;
  const slave = make((bytes) => void client?.write(bytes));
  const self = {
    port: 0,
    slave,
    taken: 0,
    refused: 0,
    busy: () => client !== undefined,
    drop: () => client?.destroy(),
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (client) {
      self.refused += 1;
      socket.destroy();
      return;
    }
    client = socket;
    self.taken += 1;
    socket.on('data', (data: Buffer) => slave.receive(data));
    socket.on('close', () => (client = undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    client?.destroy();
    server.close();
  });
  const address = server.address();
  self.port = typeof address === 'object' && address ? address.port : 0;
  return self;
}

t.test(
  'RTU over TCP: a converter that takes one client serves two connections of the settings over one; late, doubled and spoiled answers give not one wrong value, also where the process is away for longer than any of them',
  { timeout: 3_600_000 },
  async (t) => {
    const longestMs = 30;
    const reads = soak ? 3000 : 150;
    const spoiled = spoiler(longestMs, 0.2);
    let spoils = true;
    const make = (write: (bytes: Uint8Array) => void) => {
      const self: RtuSlave = rtuSlave({
        write,
        clock,
        answer: tellingAnswer(() => self),
        spoil: (bytes) => (spoils ? spoiled.spoil(bytes) : [{ afterMs: 0, bytes }]),
      });
      return self;
    };
    const converters = await Promise.all([rtuConverter(t, make), rtuConverter(t, make), rtuConverter(t, make)]);
    const places = converters.map(({ port }) => ({ host: '127.0.0.1', port, framing: 'rtu' }) as const);
    const links = places.map((place) =>
      openLink(
        { name: 'converter', ...place, devices: [] },
        { clock, random: seededRandom(seed), log: silentLogger() },
      ),
    );
    const calm = busyNowAndThen();
    const lines = links.map((link, i) => ({ link, slave: (converters[i] ?? converters[0]).slave }));
    const { wrong, good } = await readMuch(t, lines, reads, longestMs);
    calm();
    const [converter] = converters;
    const [place] = places;
    if (!place) throw new Error('no place');
    t.same(wrong, []);
    t.ok(good > reads * 0.5, 'most reads succeed all the same');
    t.same(spoiled.unseen(), [], 'there was each way');
    await Promise.all(links.map((link) => link.close()));
    await until('the converter is free', () => !converter.busy());
    spoils = false;
    converter.taken = 0;
    const devices = (units: readonly number[]) =>
      units.map((unit) => ({ device_id: `d${unit}`, profile: 'twenty', unit, period_s: 0.2 }));
    const told = await drive(
      t,
      [
        { name: 'left', ...place, devices: devices([1, 2]) },
        { name: 'right', ...place, devices: devices([3]) },
      ],
      new Map([['twenty', twentyRegisters(500)]]),
    );
    const seen = (since: number) => new Set(told.readings.slice(since).map((one) => one.deviceId)).size;
    await until('all are read', () => seen(0) === 3);
    t.equal(converter.taken, 1, 'over one connection');
    converter.drop();
    const since = told.readings.length;
    await until('all are read again', () => seen(since) === 3);
    t.equal(converter.taken, 2);
    t.equal(converter.refused, 0, 'it never had to refuse one');
    t.equal(converter.slave.others.length, 0, 'nothing but reads was ever sent');
  },
);

/** Twenty registers, each a temperature of its own. */
const twentyRegisters = (longestMs: number) =>
  loadProfile(
    'twenty.yaml',
    `
profile: 1
id: twenty
vendor: Test
models: [twenty]
kind: sensor
transport: { rtu: { baud: 9600, parity: none, stop_bits: 1 } }
limits: { timeout_ms: ${longestMs} }
points:
${Array.from({ length: 20 }, (_, i) => `  - { key: r${i}, address: ${i}, type: u16, scale: 0.1, unit: °C, metric: equipment_temp_c.r${i} }`).join('\n')}
sources: { test: test }
`,
  );

/** Drivers over these connections, and what they told. */
async function drive(
  t: Test,
  connections: readonly ModbusConnectionConfig[],
  profiles: ReadonlyMap<string, Profile>,
  village: Clock = clock,
) {
  const readings: Array<DriverReading & { atMs: number }> = [];
  const links: string[] = [];
  const drivers = createModbusDrivers({
    connections,
    profiles,
    clock: village,
    realClock: clock,
    random: seededRandom(seed),
    log: silentLogger(),
    sink: {
      reading: (reading) => void readings.push({ ...reading, atMs: clock.monotonicMs() }),
      link: (deviceId, state, reason) => void links.push(`${deviceId} ${state}: ${reason}`),
    },
  });
  const stop = () => Promise.all(drivers.map((driver) => driver.stop()));
  t.teardown(stop);
  await Promise.all(drivers.map((driver) => driver.start()));
  return { readings, links, stop };
}

/** Adds up the time this process was not run when it should have been, real milliseconds. */
function awayMeter() {
  const everyMs = 20;
  let awayMs = 0;
  let dueMs = clock.monotonicMs() + everyMs;
  let timer = clock.after(everyMs, tick);
  function tick(): void {
    const nowMs = clock.monotonicMs();
    // Timers are a few milliseconds late on any machine.
    if (nowMs - dueMs > everyMs) awayMs += nowMs - dueMs;
    dueMs = nowMs + everyMs;
    timer = clock.after(everyMs, tick);
  }
  return {
    end() {
      timer.cancel();
      return Math.round(awayMs);
    },
  };
}

t.test(
  'an adapter that is unplugged is told within three polls, and read again within ten seconds of coming back',
  { skip },
  async (t) => {
    const path = join(tempDir(t), 'by-id-adapter');
    const make = (write: (bytes: Uint8Array) => void) =>
      rtuSlave({ write, clock, answer: ({ count }) => Array.from({ length: count }, () => 215) });
    const { pty } = await line(t, make, { path });
    const serial = { path, baud: 115_200, parity: 'none', stop_bits: 1 } as const;
    const devices = [1, 2, 3].map((unit) => ({ device_id: `d${unit}`, profile: 'twenty', unit, period_s: 0.6 }));
    const told = await drive(t, [{ name: 'line', serial, devices }], new Map([['twenty', twentyRegisters(200)]]));
    await until('all are read', () => new Set(told.readings.map((one) => one.deviceId)).size === 3);
    t.equal(told.readings[0]?.values['equipment_temp_c.r19'], 21.5);
    const second = serialLine({ path, baud: 9600, parity: 'none', stopBits: 1 });
    const quiet = { bytes: () => undefined, lost: () => undefined };
    await t.rejects(second(quiet), /in use by another program/, 'a line has one owner');
    const away = awayMeter();
    const goneMs = clock.monotonicMs();
    await pty.close();
    await until('all are told down', () => told.links.filter((one) => one.includes(' down: ')).length >= 3);
    // Half of it is for a machine that does other things too.
    t.ok(
      clock.monotonicMs() - goneMs < 3 * 600 * 2 + away.end(),
      `told after ${Math.round(clock.monotonicMs() - goneMs)} ms`,
    );
    t.match(told.links.at(-1), /gone|failed|not there/);
    const before = told.readings.length;
    const backMs = clock.monotonicMs();
    await line(t, make, { path });
    const seen = () => new Set(told.readings.slice(before).map((one) => one.deviceId)).size;
    await until('all are read again', () => seen() === 3);
    t.ok(clock.monotonicMs() - backMs < 10_000, `back after ${Math.round(clock.monotonicMs() - backMs)} ms`);
  },
);

// The line of 9,600 baud, devices and periods, all so many times as fast; in the soak as they are.
const scale = soak ? 1 : 8;
const periodMs = 15_000;
/** Longest pause between readings of a device, in village milliseconds, for each that is neither dead nor slow. */
function longestPauses(readings: ReadonlyArray<DriverReading & { atMs: number }>, sick: readonly string[]) {
  const pauses = new Map<string, number>();
  const last = new Map<string, number>();
  for (const { deviceId, atMs } of readings) {
    if (sick.includes(deviceId)) continue;
    const before = last.get(deviceId);
    if (before !== undefined) pauses.set(deviceId, Math.max(pauses.get(deviceId) ?? 0, (atMs - before) * scale));
    last.set(deviceId, atMs);
  }
  return pauses;
}

t.test(
  'twenty devices of twenty registers, read every 15 s on one line of 9,600 baud and twenty at one TCP converter, one of each dead and one slow: no other is late by an interval',
  { skip, timeout: 600_000 },
  async (t) => {
    const speed = acceleratedClock({ realEpochMs: clock.nowMs(), villageEpochMs: clock.nowMs(), speed: scale });
    const dead = 7;
    const slow = 13;
    const words = (count: number) => Array.from({ length: count }, (_, i) => 200 + i);
    const baud = 9600 * scale;
    const { path } = await line(
      t,
      (write) =>
        rtuSlave({
          write,
          clock,
          baud,
          answer: ({ unit, count }) => (unit === dead ? undefined : words(count)),
          delayMs: ({ unit }) => (unit === slow ? 700 : 15) / scale,
        }),
      { baud },
    );
    const { port } = await tcpConverter(
      t,
      (unit) => (unit === dead ? undefined : (unit === slow ? 700 : 15) / scale),
      words,
    );
    const devices = (name: string) =>
      Array.from({ length: 20 }, (_, i) => ({
        device_id: `${name}${i + 1}`,
        profile: 'twenty',
        unit: i + 1,
        period_s: periodMs / 1000,
      }));
    const told = await drive(
      t,
      [
        { name: 'line', serial: { path, baud, parity: 'none', stop_bits: 1 }, devices: devices('s') },
        { name: 'converter', host: '127.0.0.1', port, devices: devices('t') },
      ],
      new Map([['twenty', twentyRegisters(1000 / scale)]]),
      speed,
    );
    const away = awayMeter();
    const readOften = (ids: readonly string[], times: number) =>
      ids.every((id) => told.readings.filter((one) => one.deviceId === id).length >= times);
    const living = ['s', 't'].flatMap((name) =>
      devices(name).flatMap(({ device_id: id, unit }) => (unit === dead ? [] : [id])),
    );
    await until(
      'all that are not dead are read again and again, the slow ones too',
      () => readOften(living, soak ? 23 : 3),
      soak ? 500_000 : 60_000,
    );
    await told.stop();
    const pauses = longestPauses(told.readings, ['s13', 't13']);
    t.equal(pauses.size, 36);
    const longest = Math.max(...pauses.values());
    const awayMs = away.end() * scale;
    t.comment(
      `longest pause ${(longest / 1000).toFixed(1)} s of village time at a period of 15 s; away ${awayMs} ms of it`,
    );
    t.ok(
      longest < 2 * periodMs + awayMs,
      `late by one interval at most, but for ${awayMs} ms that this machine was away: ${JSON.stringify([...pauses])}`,
    );
    t.ok(told.readings.every(({ values }) => values['equipment_temp_c.r19'] === 21.9));
  },
);

/** Twenty units behind one Modbus TCP socket, served one at a time as a real converter does. */
async function tcpConverter(
  t: Test,
  delayMs: (unit: number) => number | undefined,
  words: (count: number) => readonly number[],
): Promise<{ port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let waiting = Promise.resolve();
    socket.on('data', (data: Buffer) => {
      for (let at = 0; at + 12 <= data.length; at += 12) {
        const request = data.subarray(at, at + 12);
        const delay = delayMs(request.readUInt8(6));
        if (delay === undefined) continue;
        waiting = waiting.then(async () => {
          await clock.sleep(delay);
          const values = words(request.readUInt16BE(10));
          const head = [request.readUInt8(0), request.readUInt8(1), 0, 0, 0, 3 + 2 * values.length];
          const body = [request.readUInt8(6), request.readUInt8(7), 2 * values.length];
          const bytes = [...head, ...body, ...values.flatMap((word) => [word >> 8, word & 0xff])];
          if (socket.writable) socket.write(Uint8Array.from(bytes));
        });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address ? address.port : 0 };
}

/** Runs a command of the installer. */
async function villagrid(...words: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(words, {
    realClock: clock,
    random: seededRandom(seed),
    log: silentLogger(),
    print: (text) => void out.push(text),
    printError: (text) => void err.push(text),
    readStdin: async () => '',
    ask: async () => undefined,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

/** The registers of one of the simulator's devices. */
function registersOf(profile: Parameters<typeof registerMap>[0], unit: number) {
  const map = registerMap(profile, { serial: `S-${unit}`, unit });
  const values = {
    ac_output_voltage_v: 230,
    'ac_output_voltage_v.l1': 231,
    'ac_output_voltage_v.l2': 230,
    'ac_output_voltage_v.l3': 229,
    ac_frequency_hz: 50,
  };
  const image = renderImage(map, values);
  return ({ function: code, address, count }: SlaveRequest): readonly number[] | number => {
    if (!map.functions.includes(code as 3 | 4)) return -1;
    const words = Array.from({ length: count }, (_, i) => image.get(address + i));
    return words.some((word) => word === undefined) ? -2 : (words as number[]);
  };
}

t.test(
  'a scan finds speed, addresses and models of a line, and a clash; what it writes is what the gateway reads; it asks little and only reads',
  { skip },
  async (t) => {
    const folder = join(tempDir(t), 'kisima');
    t.equal(
      (await villagrid('init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima', '--zone', 'Africa/Nairobi'))
        .code,
      0,
    );
    const inverter = registersOf('sunspec-inverter', 3);
    const meter = registersOf('eastron-sdm630', 5);
    let lost = false;
    const random = seededRandom(seed);
    const { path, slave } = await line(
      t,
      (write) =>
        rtuSlave({
          write,
          clock,
          answer: (request) => {
            if (request.unit === 3) return inverter(request);
            if (request.unit === 5) return meter(request);
            return request.unit === 7 ? [1, 2] : undefined;
          },
          spoil: (bytes, { unit, address }) => {
            // Two devices at address 7 talk at once; of the inverter one answer is lost on the way.
            if (unit === 3 && address > 40_000 && !lost) {
              lost = true;
              return [];
            }
            return [{ afterMs: 0, bytes: unit === 7 ? random.bytes(14) : bytes }];
          },
        }),
      { only: 115_200 },
    );
    const asks = (units: string, timeoutMs: number) =>
      `scan ${path} --folder ${folder} --parity none --units ${units} --timeout ${timeoutMs} --gap 2`.split(' ');
    // Nobody is usually at 9, so it is asked the least.
    const common = asks('9,3,5,7', 100);
    const scanned = await villagrid(...common, '--period', '1', '--write');
    t.equal(scanned.code, 0, scanned.err);
    t.match(scanned.out, /unit 3 at 115200 baud, parity none, 1 stop bit: Villagrid Virtual inverter 20 serial S-3/);
    t.match(scanned.out, /sunspec[a-z-]*: 95 % sure/);
    t.match(scanned.out, /unit 5 at 115200 baud.*Eastron/);
    t.match(scanned.out, /eastron-sdm630: 65 % sure/);
    t.match(scanned.out, /unit 7 .*garbled.*Two devices with this address/);
    t.match(scanned.out, /2 found, \d+ questions asked/);
    t.match(scanned.out, /Written into .*gateway\.yaml\. Restart the gateway/);
    t.notMatch(scanned.out, /not(hing was)? written/i);
    t.equal(slave.others.length, 0, 'nothing but reads was ever sent');
    t.ok(lost);
    t.equal(slave.requests.filter(({ unit }) => unit === 9).length, 2, 'a silent address is asked twice, no more');
    const again = JSON.parse((await villagrid(...asks('3,5', 100), '--json', '--baud', '115200')).out) as {
      entries: { devices: unknown[] };
    };
    t.same(again.entries.devices, [], 'what is there already is not written twice');
    const plan = await villagrid('device', 'plan', '--folder', folder);
    t.equal(plan.code, 0, plan.err);
    t.match(plan.out, /: 2 devices, one round [0-9.]+ s, [0-9.]+ % of its time/);
    t.match(plan.out, /function 4 +\d+ \+\d+ +every 1 s, [0-9.]+ ms/);
    t.match(plan.out, /inverter-3 .*usual SunSpec models \(1, 101\).*first connection\n +function 3 .*every 1 s/);
    const plans = JSON.parse((await villagrid('device', 'plan', '--folder', folder, '--json')).out) as {
      load: number;
      devices: { deviceId: string; requests: { everyS?: number; busMs: number }[] }[];
    }[];
    const inverterMs = plans[0]?.devices
      .find((one) => one.deviceId === 'inverter-3')
      ?.requests.reduce((sum, one) => sum + (one.everyS === undefined ? 0 : one.busMs), 0);
    t.ok((inverterMs ?? 0) > 20, 'an inverter whose models are not known yet is reckoned with too');
    t.ok((plans[0]?.load ?? 1) < 0.5);
    // The gateway reads it by what was written.
    const { modbus, site } = loadGatewayConfig({ path: join(folder, 'gateway.yaml') });
    t.same(
      site.devices.map((one) => one.kind),
      ['inverter', 'meter'],
    );
    const { connections, profiles } = resolveProfiles(modbus?.connections ?? []);
    const told = await drive(t, connections, profiles);
    await until('both are read', () => new Set(told.readings.map((one) => one.deviceId)).size === 2);
    t.ok(told.readings.some(({ values }) => values.ac_output_voltage_v === 231));
    // A port has one owner.
    const refused = await villagrid(...common, '--baud', '115200');
    t.equal(refused.code, 1);
    t.match(refused.err, /E_LINK_UNREACHABLE.*in use by another program/s);
    await told.stop();
    // The gateway lends the line and goes on reading it.
    const base = await freePortBase(1);
    for (const [section, port] of [
      ['http', base],
      ['https', base + 1],
      ['mqtt_plain', base + 2],
      ['mqtts', base + 3],
    ] as const)
      setSetting(join(folder, 'gateway.yaml'), [section, 'port'], port);
    const gateway = createGateway(loadGatewayConfig({ path: join(folder, 'gateway.yaml') }), {
      clock,
      realClock: clock,
      random: cryptoRandom(),
      log: silentLogger(),
    });
    t.teardown(() => gateway.stop());
    await gateway.start();
    const polled = () => slave.requests.filter(({ unit, count }) => unit === 5 && count === 20).length;
    const lone = polled();
    await until('the gateway reads', () => polled() > lone);
    const others = await villagrid(...common, '--baud', '9600');
    t.match(others.err, /E_LINK_OWNED.*at 115200 baud, parity none.*for others the gateway has to be stopped/s);
    const before = slave.requests.length;
    const lent = await villagrid(...asks('3,7', 250));
    t.match(lent.out, /The gateway reads this line and goes on; the scan asks in between, at its speed/);
    t.match(lent.out, /unit 3 at 115200 baud.*95 % sure/s);
    t.match(lent.out, /unit 7 .*garbled/);
    t.notMatch(lent.out, /For gateway\.yaml/, 'it is known already');
    const tried = await villagrid(
      ...`profile try eastron-sdm630 --serial ${path} --unit 5 --folder ${folder}`.split(' '),
    );
    t.equal(tried.code, 0, tried.err);
    t.match(tried.out, /The gateway reads this line and goes on; this asks in between, at its speed/);
    t.match(tried.out, /^ac_output_voltage_v +23\d/m);
    t.ok(slave.requests.length > before + 8);
    t.equal(slave.others.length, 0, 'nothing but reads was ever sent');
    const meanwhile = polled();
    await until('and it still does', () => polled() > meanwhile);
  },
);

t.test(
  'a scan looks for speed and parity in turn, hears garble at the wrong ones, and takes no noise for a device',
  async (t) => {
    const meter = registersOf('eastron-sdm630', 5);
    const random = seededRandom(seed);
    const opened: string[] = [];
    /** A line whose devices are set as this; at another speed an answer is garbled, at another parity it is not even heard. */
    const scanOf = (right: LineSettings, at: readonly LineSettings[], units: readonly number[], everySetting = false) =>
      scan({
        settings: at,
        units,
        profiles: loadProfiles(),
        everySetting,
        timeoutMs: 40,
        gapMs: 1,
        clock,
        open(setting) {
          const { baud = 0, parity } = setting ?? {};
          opened.push(`${baud} ${parity}`);
          let say: (bytes: Uint8Array) => void = () => undefined;
          const slave = rtuSlave({
            clock,
            write: (bytes) => say(bytes),
            answer: (request) => (request.unit === 5 ? meter(request) : undefined),
            spoil: (bytes) => [{ afterMs: 0, bytes: baud === right.baud ? bytes : random.bytes(9) }],
          });
          return rtuLink({
            name: 'line',
            baud,
            clock,
            random: seededRandom(seed),
            log: silentLogger(),
            open: async ({ bytes }) => {
              say = bytes;
              return {
                write: (data) => void (parity === right.parity && slave.receive(data)),
                close: async () => undefined,
              };
            },
          });
        },
      });
    const even = { baud: 19_200, parity: 'even', stop_bits: 1 } as const;
    const none = { ...even, parity: 'none' } as const;
    const slow = { ...even, baud: 9600 } as const;
    const { found, clashes } = await scanOf(even, [none, slow, even, { ...none, baud: 4800 }], [4, 5]);
    t.match(found, [{ unit: 5, settings: even, candidates: [{ profile: 'eastron-sdm630' }] }]);
    t.same(clashes, [], 'the garble of the wrong speed is no clash once it is heard well');
    t.same(opened, ['19200 none', '9600 even', '19200 even'], 'and nobody looks further');
    opened.length = 0;
    const deaf = await scanOf(even, [slow, none], [5]);
    t.same(deaf.found, []);
    t.match(deaf.clashes, [{ unit: 5, settings: slow, reason: /noise, a wrong speed, or two devices at once/ }]);
    opened.length = 0;
    const all = await scanOf(even, [even, none], [5], true);
    t.same([all.found.length, opened.length], [1, 2], 'every setting is looked at when asked for');
  },
);

t.test('two devices of one address that answer at once are told as a clash, not as a device', async (t) => {
  const link = () => {
    let say: (bytes: Uint8Array) => void = () => undefined;
    const meters = [1, 2].map((volts) =>
      rtuSlave({
        clock,
        write: (bytes) => say(bytes),
        answer: ({ count }) => Array.from({ length: count }, () => volts),
      }),
    );
    return rtuLink({
      name: 'line',
      baud: 115_200,
      clock,
      random: seededRandom(seed),
      log: silentLogger(),
      open: async ({ bytes }) => {
        say = bytes;
        return {
          write: (data) => meters.forEach((meter) => meter.receive(data)),
          close: async () => undefined,
        };
      },
    });
  };
  const { found, clashes } = await scan({
    open: link,
    settings: [undefined],
    units: [1],
    profiles: loadProfiles(),
    timeoutMs: 80,
    gapMs: 1,
    clock,
  });
  t.same(found, []);
  t.match(clashes, [{ unit: 1, reason: /two devices with one address/ }]);
});

t.test(
  'an inverter of the simulator that trips is one High alert in its own words, and clears when it runs again',
  async (t) => {
    const folder = join(tempDir(t), 'kisima');
    const speed = 60;
    const nowMs = clock.nowMs();
    const config = loadSimulatorConfig({
      path: 'simulator.json',
      text: JSON.stringify({
        seed,
        // Noon, so that only its fault keeps it from making anything.
        clock: { real_epoch_ms: nowMs, village_epoch_ms: Date.UTC(2026, 5, 1, 9), speed },
        control_socket: join(folder, 'simulator.sock'),
        state_dir: join(folder, 'simulator'),
        grids: [
          {
            grid_id: 'kisima',
            name: 'Kisima',
            zone: 'Africa/Nairobi',
            plant: { pv_kwp: 45, battery_kwh: 160, battery_floor_pct: 20, inverters: 1 },
            mqtt: { host: '127.0.0.1', port: 1, nodes: [] },
            modbus: { host: '127.0.0.1', devices: [{ device_id: 'pv-inverter-1', port: 0, unit: 1 }] },
          },
        ],
      }),
    });
    const village = acceleratedClock(config.clock);
    const simulator = await startSimulator(config, {
      realClock: clock,
      villageClock: village,
      random: seededRandom(seed),
      log: silentLogger(),
    });
    t.teardown(() => simulator.stop());
    await villagrid('init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima', '--zone', 'Africa/Nairobi');
    const file = join(folder, 'gateway.yaml');
    const base = await freePortBase(2);
    for (const [i, section] of ['http', 'https', 'mqtt_plain', 'mqtts'].entries())
      setSetting(file, [section, 'port'], base + i);
    const common = { protocol: 'modbus', period_s: 5, expected: true };
    setSetting(file, ['site', 'devices'], [{ device_id: 'inv-1', name: 'Inverter 1', kind: 'inverter', ...common }]);
    const device = { device_id: 'inv-1', profile: 'sunspec-inverter', unit: 1, period_s: 5 };
    const port = simulator.grids[0]?.ports.modbus['pv-inverter-1'];
    setSetting(file, ['modbus', 'connections'], [{ name: 'inverter', host: '127.0.0.1', port, devices: [device] }]);
    const gateway = createGateway(loadGatewayConfig({ path: file }), {
      clock: village,
      realClock: clock,
      random: cryptoRandom(),
      log: silentLogger(),
    });
    t.teardown(() => gateway.stop());
    await gateway.start();
    const [grid] = gateway.api.grids.list();
    const trip = (on: boolean) =>
      askSimulator(
        simulator.controlSocket,
        { command: 'fault', name: 'inverter-trips', target: 'pv-inverter-1', on },
        clock,
      );
    const told = async () => (await grid?.alerts({}))?.filter(({ device_id: id }) => id === 'inv-1') ?? [];
    let now: Awaited<ReturnType<typeof told>> = [];
    const alertIs = async (status: string) => {
      for (const endMs = clock.monotonicMs() + 60_000; clock.monotonicMs() < endMs; await clock.sleep(50)) {
        now = await told();
        if (now[0]?.status === status) return;
      }
      throw new Error(`the alert never was ${status}`);
    };
    await until('it makes power', () => (grid?.latest('inv-1', 'generation_kw')?.value ?? 0) > 1);
    t.equal(grid?.latest('inv-1', 'fault_state')?.value, 0);
    t.match(await trip(true), { ok: true });
    await alertIs('active');
    t.match(now, [
      {
        type: 'inverter_fault',
        severity: 'high',
        message: 'an inverter has switched itself off with a fault',
        what: 'Inverter 1 has stopped with a fault. It says: fault.',
        said: 'fault',
      },
    ]);
    t.match(await trip(false), { ok: true });
    await alertIs('resolved');
    t.equal(now.length, 1, 'one cause, one alert');
  },
);

const foreign = spawnSync('/usr/bin/python3', ['-c', 'import pymodbus.server']).status === 0;

/** A device served by somebody else's program; its registers are those of the simulator's SunSpec inverter. */
async function foreignDevice(t: Test, where: { tcp: number } | { serial: string; baud: number }) {
  const map = registerMap('sunspec-inverter', { serial: 'PY-1', unit: 1 });
  const image = renderImage(map, { generation_kw: 12.5, ac_output_voltage_v: 231, ac_frequency_hz: 50 });
  const words = Array.from({ length: 130 }, (_, i) => image.get(40_000 + i) ?? 0xffff);
  const script = new URL('foreign/pymodbus-device.py', import.meta.url).pathname;
  const child = spawn('/usr/bin/python3', [script], { stdio: ['pipe', 'pipe', 'ignore'] });
  t.teardown(() => void child.kill('SIGKILL'));
  child.stdin.end(`${JSON.stringify({ unit: 1, blocks: [[40_000, words]], ...where })}\n`);
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('pymodbus ended')));
  });
}

t.test(
  'a device of somebody else (pymodbus) is scanned, identified by SunSpec and read, over TCP and on a serial line',
  { skip: skip || (foreign ? false : 'needs the Debian packages python3-pymodbus and python3-serial-asyncio') },
  async (t) => {
    const port = 30_500 + (process.pid % 2000);
    const folder = tempDir(t);
    const [near, far] = await Promise.all([openPty(join(folder, 'near')), openPty(join(folder, 'far'))]);
    t.teardown(() => Promise.all([near.close(), far.close()]));
    near.onBytes((data) => far.write(data));
    far.onBytes((data) => near.write(data));
    await Promise.all([foreignDevice(t, { tcp: port }), foreignDevice(t, { serial: far.path, baud: 115_200 })]);
    // Both servers say they are ready just before they listen.
    const listens = (at: number) =>
      new Promise<boolean>((answer) => {
        const socket = connect({ host: '127.0.0.1', port: at });
        socket.once('connect', () => answer(socket.destroy() !== undefined));
        socket.once('error', () => answer(false));
      });
    for (const endMs = clock.monotonicMs() + 20_000; !(await listens(port)) && clock.monotonicMs() < endMs; )
      await clock.sleep(50);
    const profiles = loadProfiles();
    const serial = { path: near.path, baud: 115_200, parity: 'none', stop_bits: 1 } as const;
    const readsIt = async (place: { host: string; port: number } | { serial: typeof serial }) => {
      const open = () =>
        openLink(
          { name: 'foreign', devices: [], ...place },
          { clock, random: seededRandom(seed), log: silentLogger() },
        );
      const { found, clashes } = await scan({
        open,
        settings: [undefined],
        units: [2, 1],
        profiles,
        timeoutMs: 500,
        gapMs: 2,
        clock,
      });
      t.same(clashes, []);
      t.match(found, [
        { unit: 1, sunspec: { manufacturer: 'Villagrid', model: 'Virtual inverter 20', serial: 'PY-1' } },
      ]);
      t.ok((found[0]?.candidates[0]?.confidence ?? 0) >= 0.9);
      const profile = found[0]?.candidates[0]?.profile ?? '';
      const devices = [{ device_id: 'inverter', profile, unit: 1, period_s: 0.3 }];
      const told = await drive(t, [{ name: 'foreign', ...place, devices }], profiles);
      await until('it is read', () => told.readings.length >= 2);
      t.match(told.readings[0]?.values, { generation_kw: 12.5, ac_frequency_hz: 50 });
      await told.stop();
    };
    await Promise.all([readsIt({ host: '127.0.0.1', port }), readsIt({ serial })]);
  },
);
