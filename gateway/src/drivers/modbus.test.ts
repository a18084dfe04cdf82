import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { VillagridError } from '@villagrid/contracts';
import { acceleratedClock, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { memoryLog } from '@villagrid/runtime/testing';
import { ServerTCP } from 'modbus-serial';
import t, { type Test } from 'tap';
import { encodeWrite, isWritten, loadProfile, loadProfiles, type Profile } from '../devices/index.js';
import { FairQueue } from '../links/fair-queue.js';
import { LinkError, rtuLink, tcpLink } from '../links/index.js';
import { findAnswer, requestFrame, withCrc } from '../links/rtu-frame.js';
import { backoffAfterMs, createModbusDrivers, type DriverReading, nextDueMs } from './index.js';

const clock = realClock();
const until = async (what: string, met: () => boolean, timeoutMs = 60_000) => {
  const endMs = clock.monotonicMs() + timeoutMs;
  while (!met()) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
    await clock.sleep(10);
  }
};

/** What drivers told. */
function collector() {
  const readings: Array<DriverReading & { atMs: number }> = [];
  const links: Array<{ deviceId: string; state: string; reason: string }> = [];
  return {
    readings,
    links,
    of: (deviceId: string) => readings.filter((one) => one.deviceId === deviceId),
    linkOf: (deviceId: string) => links.filter((one) => one.deviceId === deviceId).at(-1),
    sink: {
      reading: (reading: DriverReading) => void readings.push({ ...reading, atMs: clock.monotonicMs() }),
      link: (deviceId: string, state: 'up' | 'down', reason: string) => void links.push({ deviceId, state, reason }),
    },
  };
}

/** A device that the tests own: volts, watts and kilowatt hours as f32 at 0, 12 and 72, like an Eastron meter. */
const meterText = `
profile: 1
id: meter
vendor: Test
models: [meter]
kind: meter
transport: { tcp: { port: 502, unit: 1 } }
limits: { max_registers: 20, max_gap: 10, timeout_ms: 250 }
function: 4
points:
  - { key: v, address: 0, type: f32, unit: V, metric: ac_output_voltage_v }
  - { key: p, address: 12, type: f32, unit: W, metric: consumption_kw, metric_factor: 0.001 }
  - { key: e, address: 72, type: f32, unit: kWh, metric: consumption_energy_kwh }
sources: { test: test }
`;
const profiles: ReadonlyMap<string, Profile> = new Map([
  ...loadProfiles(),
  ['meter', loadProfile('meter.yaml', meterText)],
]);

const floatWords = (value: number): [number, number] => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return [view.getUint16(0), view.getUint16(2)];
};

interface MeterServer {
  readonly port: number;
  readonly requests: Array<{ unit: number; address: number; count: number; atMs: number }>;
  /** Milliseconds each unit takes to answer; Infinity hangs, a negative number is that exception. */
  readonly delays: Map<number, number>;
  /** Addresses that give exception 2. */
  readonly refused: Set<number>;
  volts: number;
  close(): Promise<void>;
}

/** A real server of modbus-serial. */
async function meterServer(t: Test, port = 0): Promise<MeterServer> {
  const requests: MeterServer['requests'] = [];
  const delays = new Map<number, number>();
  const refused = new Set<number>();
  const server = new ServerTCP(
    {
      getMultipleInputRegisters: (
        address: number,
        count: number,
        unit: number,
        reply: (error: Error | null, words: number[]) => void,
      ) => {
        requests.push({ unit, address, count, atMs: clock.monotonicMs() });
        const delay = delays.get(unit) ?? 0;
        if (delay === Number.POSITIVE_INFINITY) return;
        const fail = (code: number) => reply(Object.assign(new Error('refused'), { modbusErrorCode: code }), []);
        if (delay < 0) return fail(-delay);
        for (let i = 0; i < count; i += 1) if (refused.has(address + i)) return fail(2);
        const words = new Map<number, number>();
        for (const [at, value] of [
          [0, self.volts],
          [12, 1500],
          [72, 100],
        ] as const)
          for (const [i, word] of floatWords(value).entries()) words.set(at + i, word);
        const answer = () =>
          reply(
            null,
            Array.from({ length: count }, (_, i) => words.get(address + i) ?? 0),
          );
        if (delay > 0) clock.after(delay, answer);
        else answer();
      },
    },
    { host: '127.0.0.1', port: (port === 0 ? '0' : port) as number },
  );
  server.on('socketError', () => undefined);
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.on('initialized', () => resolve()));
  const address = (server as unknown as { _server: Server })._server.address();
  let closing: Promise<void> | undefined;
  const self: MeterServer = {
    port: typeof address === 'object' && address ? address.port : 0,
    requests,
    delays,
    refused,
    volts: 230,
    close: () => (closing ??= new Promise((resolve) => server.close(() => resolve()))),
  };
  t.teardown(() => self.close());
  return self;
}

/** A bare server that answers each request frame by its own lights. */
async function bareServer(t: Test, answer: (request: Buffer, socket: Socket, count: number) => void): Promise<number> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: Buffer) => {
      for (let rest = data; rest.length >= 12; rest = rest.subarray(12)) answer(rest.subarray(0, 12), socket, count++);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** A frame that answers the request, with every value 999; parts of it may be spoiled. */
function frame(
  request: Buffer,
  spoil: Partial<Record<'tid' | 'protocol' | 'unit' | 'fn' | 'words', number>> = {},
  value = 999,
): Buffer {
  const count = spoil.words ?? request.readUInt16BE(10);
  const out = Buffer.alloc(9 + 2 * count);
  out.writeUInt16BE(request.readUInt16BE(0) + (spoil.tid ?? 0), 0);
  out.writeUInt16BE(spoil.protocol ?? 0, 2);
  out.writeUInt16BE(3 + 2 * count, 4);
  out.writeUInt8(spoil.unit ?? request.readUInt8(6), 6);
  out.writeUInt8(spoil.fn ?? request.readUInt8(7), 7);
  out.writeUInt8(2 * count, 8);
  for (let i = 0; i + 1 < count; i += 2) out.writeFloatBE(value, 9 + 2 * i);
  return out;
}

function run(
  t: Test,
  devices: ReadonlyArray<{ id: string; port: number; unit?: number; profile?: string; period_s?: number }>,
) {
  const told = collector();
  const drivers = createModbusDrivers({
    connections: devices.map(({ id, port, unit, profile = 'meter', period_s = 0.1 }) => ({
      name: id,
      host: '127.0.0.1',
      port,
      devices: [{ device_id: id, profile, unit, period_s }],
    })),
    profiles,
    sink: told.sink,
    clock,
    realClock: clock,
    random: seededRandom(1),
    log: silentLogger(),
  });
  t.teardown(() => Promise.all(drivers.map((driver) => driver.stop())));
  return { ...told, drivers, start: () => Promise.all(drivers.map((driver) => driver.start())) };
}

t.test('a device is polled by its period, with adjacent points in one request, and its link is told', async (t) => {
  const server = await meterServer(t);
  const village = run(t, [{ id: 'm', port: server.port }]);
  await village.start();
  await until('five readings', () => village.of('m').length >= 5);
  t.same(village.readings[0]?.values, { ac_output_voltage_v: 230, consumption_kw: 1.5, consumption_energy_kwh: 100 });
  t.ok(Math.abs((village.readings[0]?.timeMs ?? 0) - clock.nowMs()) < 10_000);
  t.same(village.links, [{ deviceId: 'm', state: 'up', reason: 'it answers' }]);
  t.same(
    server.requests.slice(0, 2).map(({ address, count }) => [address, count]),
    [
      [0, 14],
      [72, 2],
    ],
  );
  await Promise.all(village.drivers.map((driver) => driver.stop()));
  const before = server.requests.length;
  await clock.sleep(250);
  t.equal(server.requests.length, before, 'a stopped driver asks nothing');
});

t.test('registers a device refuses are left out; the rest of their block is still read', async (t) => {
  const server = await meterServer(t);
  server.refused.add(13);
  const village = run(t, [{ id: 'm', port: server.port }]);
  await village.start();
  await until('three readings', () => village.of('m').length >= 3);
  for (const { values } of village.readings) t.same(values, { ac_output_voltage_v: 230, consumption_energy_kwh: 100 });
  const last = server.requests.slice(-2).map(({ address, count }) => [address, count]);
  t.notOk(
    last.some(([address = 0, count = 0]) => address <= 13 && address + count > 13),
    'what was refused is not asked again',
  );
});

t.test('units that hang, are slow, absent or refuse everything do not hold up the others on their link', async (t) => {
  const server = await meterServer(t);
  server.delays.set(2, Number.POSITIVE_INFINITY).set(3, 60).set(4, -11).set(5, -2);
  const units = [1, 2, 3, 4, 5].map((unit) => ({ id: `u${unit}`, port: server.port, unit, period_s: 0.5 }));
  const village = run(t, units);
  t.equal(village.drivers.length, 1, 'one endpoint, one owner');
  await village.start();
  await until('the good one was read often', () => village.of('u1').length >= 6);
  const times = village.of('u1').map(({ atMs }) => atMs);
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  t.ok(
    Math.max(...gaps) <= 1000,
    `gaps between readings of the good one, one interval late at most: ${gaps.map(Math.round)}`,
  );
  t.ok(village.of('u3').length >= 4, 'the slow one is read too');
  t.same([village.of('u2').length, village.of('u4').length, village.of('u5').length], [0, 0, 0]);
  const asked = (unit: number) => server.requests.filter((request) => request.unit === unit).length;
  t.ok(asked(2) <= 4, `the dead one is left alone more and more: ${asked(2)} requests`);
  t.match(village.linkOf('u1'), { state: 'up' });
  t.match(village.linkOf('u2'), { state: 'down', reason: /unit 2 did not answer within 250 ms/ });
  t.match(village.linkOf('u4'), { state: 'down', reason: /exception 11: the unit behind the gateway does not answer/ });
  t.match(village.linkOf('u5'), {
    state: 'down',
    reason: /refuses every register of profile meter: check profile and unit/,
  });
  const quality = (deviceId: string) => village.drivers[0]?.quality(deviceId);
  t.match(quality('u1'), { line: `127.0.0.1:${server.port}`, latency_ms: Number, error_rate: 0, trouble: null });
  t.ok((quality('u3')?.latency_ms ?? 0) >= 50, 'the slow one is told slow');
  t.match(quality('u2'), { latency_ms: null, error_rate: 1, trouble: /unit 2 did not answer/ });
  t.match(quality('u5'), { error_rate: 0, trouble: /refuses every register/ }, 'a refusal is an answer');
  t.equal(quality('nobody'), undefined);
});

t.test(
  'late, foreign, truncated and spoiled answers never become a value; the neighbour does not notice',
  async (t) => {
    const good = await meterServer(t);
    const ways: Record<string, (request: Buffer, socket: Socket, count: number) => void> = {
      late: (request, socket) => void clock.after(400, () => socket.writable && socket.write(frame(request))),
      'other-transaction': (request, socket) => socket.write(frame(request, { tid: 1 })),
      'earlier-transaction': (request, socket) => socket.write(frame(request, { tid: -1 })),
      'other-unit': (request, socket) => socket.write(frame(request, { unit: 9 })),
      'other-function': (request, socket) => socket.write(frame(request, { fn: 3 })),
      'other-protocol': (request, socket) => socket.write(frame(request, { protocol: 7 })),
      longer: (request, socket) => socket.write(frame(request, { words: request.readUInt16BE(10) + 2 })),
      shorter: (request, socket) => socket.write(frame(request, { words: Math.max(1, request.readUInt16BE(10) - 2) })),
      'cut-off': (request, socket) => void socket.end(frame(request).subarray(0, 11)),
      'nothing-more': (request, socket) => socket.write(frame(request).subarray(0, 11)),
      http: (_, socket) => socket.write('HTTP/1.1 400 Bad Request\r\nServer: dongle\r\n\r\n'),
      noise: (_, socket, count) => socket.write(Buffer.from(seededRandom(count).bytes(40))),
    };
    const devices = [{ id: 'good', port: good.port }];
    for (const [id, answer] of Object.entries(ways)) devices.push({ id, port: await bareServer(t, answer) });
    const village = run(t, devices);
    const startMs = clock.monotonicMs();
    await village.start();
    const saidOf = (id: string, what: RegExp) =>
      village.links.some((one) => one.deviceId === id && one.state === 'down' && what.test(one.reason));
    const misfits = ['other-unit', 'other-function', 'longer', 'shorter'];
    await until(
      'every bad one is told down, and why',
      () =>
        Object.keys(ways).every((id) => village.linkOf(id)?.state === 'down') &&
        misfits.every((id) => saidOf(id, /does not fit the request/)) &&
        saidOf('other-protocol', /not Modbus TCP \(protocol 7\)/) &&
        saidOf('late', /did not answer within/) &&
        village.of('good').length >= 20 &&
        clock.monotonicMs() - startMs > 1500,
      60_000,
    );
    t.same([...new Set(village.readings.map(({ deviceId }) => deviceId))], ['good'], 'no reading of any bad one');
    t.ok(village.of('good').every(({ values }) => values.ac_output_voltage_v === 230));
    t.ok(village.of('good').length >= 20, 'the neighbour goes on');
  },
);

t.test('answers that only come in pieces, or now and then, are values; wrong ones between them are not', async (t) => {
  const pieces = await bareServer(t, (request, socket) => {
    // One after the other: a timer per byte would swap some.
    const send = async (): Promise<void> => {
      for (const byte of frame(request, {}, 230)) {
        await clock.sleep(1);
        if (socket.writable) socket.write(Buffer.from([byte]));
      }
    };
    void send();
  });
  const fickle = await bareServer(t, (request, socket, count) => {
    if (count % 4 === 1) return;
    if (count % 4 === 2) socket.write(frame(request, { unit: 77 }));
    else socket.write(frame(request, {}, 230));
  });
  const village = run(t, [
    { id: 'pieces', port: pieces },
    { id: 'fickle', port: fickle },
  ]);
  await village.start();
  await until('both give values', () => village.of('pieces').length >= 5 && village.of('fickle').length >= 3);
  for (const { values, deviceId } of village.readings)
    for (const [metric, value] of Object.entries(values))
      t.equal(value, metric === 'consumption_kw' ? 0.23 : 230, `${deviceId} ${metric}`);
});

t.test(
  'split, late, mismatched, doubled, garbage and hanging answers on a socket: of 1,000 reads not one is wrong',
  async (t) => {
    const soak = process.env.VILLAGRID_SOAK === 'full';
    const seed = Number(process.env.SEED ?? 11);
    const random = seededRandom(seed);
    const longestMs = 20;
    let asked = 0;
    /** Even registers are their own address, odd ones the number of the question that read them. */
    const answerOf = (request: Buffer): Buffer => {
      const address = request.readUInt16BE(8);
      const count = request.readUInt16BE(10);
      const out = frame(request);
      for (let i = 0; i < count; i += 1)
        out.writeUInt16BE((address + i) % 2 === 0 ? address + i : asked & 0xffff, 9 + 2 * i);
      return out;
    };
    const changed = (bytes: Buffer, at: number, by: number): Buffer => {
      const out = Buffer.from(bytes);
      out[at] = ((out[at] ?? 0) + by) & 0xff;
      return out;
    };
    const later = (socket: Socket, bytes: Buffer, afterMs: number) =>
      void clock.after(afterMs, () => socket.writable && socket.write(bytes));
    const some = (bytes: number): Buffer => Buffer.from(random.bytes(bytes));
    const upTo = (most: number): number => 1 + Math.floor(random.float() * most);
    const ways: Record<string, (good: Buffer, socket: Socket, request: Buffer) => unknown> = {
      split: (good, socket) => {
        socket.write(good.subarray(0, 3));
        later(socket, good.subarray(3, 11), 2);
        later(socket, good.subarray(11), 5);
      },
      late: (good, socket) => later(socket, good, longestMs + random.float() * longestMs),
      'very late': (good, socket) => later(socket, good, 4 * longestMs),
      doubled: (good, socket) => socket.write(Buffer.concat([good, good])),
      'doubled later': (good, socket) => {
        socket.write(good);
        later(socket, good, random.float() * longestMs);
      },
      'other transaction': (good, socket) => socket.write(changed(good, 1, upTo(200))),
      'transaction before': (good, socket) => socket.write(changed(good, 1, -1)),
      'other unit': (good, socket) => socket.write(changed(good, 6, 1)),
      'other function': (good, socket) => socket.write(changed(good, 7, 1)),
      'other protocol': (good, socket) => socket.write(changed(good, 3, 1)),
      longer: (_, socket, request) => socket.write(frame(request, { words: request.readUInt16BE(10) + upTo(4) })),
      shorter: (_, socket, request) => socket.write(frame(request, { words: request.readUInt16BE(10) - upTo(3) })),
      'busy (exception 6)': (good, socket) =>
        socket.write(Buffer.from([good[0] ?? 0, good[1] ?? 0, 0, 0, 0, 3, good[6] ?? 0, (good[7] ?? 0) | 0x80, 6])),
      'half and no more': (good, socket) => socket.write(good.subarray(0, 2 + upTo(good.length - 3))),
      'half and closed': (good, socket) => socket.end(good.subarray(0, upTo(good.length - 1))),
      closed: (_, socket) => socket.destroy(),
      hanging: () => undefined,
      'noise before': (good, socket) => socket.write(Buffer.concat([some(upTo(6)), good])),
      'noise behind': (good, socket) => socket.write(Buffer.concat([good, some(upTo(9))])),
      'noise instead': (_, socket) => socket.write(some(40)),
      'a web page': (_, socket) => socket.write('HTTP/1.1 400 Bad Request\r\nServer: dongle\r\n\r\n'),
    };
    const names = Object.keys(ways);
    const kinds = new Map<string, number>();
    const port = await bareServer(t, (request, socket) => {
      asked += 1;
      const good = answerOf(request);
      if (random.float() > 0.12) return void socket.write(good);
      const name = names[[...kinds.values()].reduce((sum, n) => sum + n, 0) % names.length] as string;
      kinds.set(name, (kinds.get(name) ?? 0) + 1);
      ways[name]?.(good, socket, request);
    });
    const link = tcpLink({ host: '127.0.0.1', port, clock, random: seededRandom(seed), log: silentLogger() });
    t.teardown(() => link.close());
    const reads = soak ? 10_000 : 1000;
    const outcomes = new Map<string, number>();
    const wrong: string[] = [];
    for (let n = 0; n < reads; n += 1) {
      const [address, count] = [
        [0, 10],
        [100, 10],
        [200, 10],
        [300, 4],
      ][Math.floor(random.float() * 4)] as [number, number];
      const before = asked;
      const outcome = await link
        .read({ unit: upTo(3), function: 3, address, count, timeoutMs: longestMs, gapMs: 0 })
        .then(
          (words) => {
            const place = words.every((word, i) => (address + i) % 2 === 1 || word === address + i);
            const numbers = new Set(words.filter((_, i) => (address + i) % 2 === 1));
            const [number = 0] = numbers;
            const right = place && words.length === count && numbers.size === 1 && number > before;
            if (!right) wrong.push(`${address} after question ${before}: ${words}`);
            return 'good';
          },
          (error: unknown) => (error instanceof LinkError ? error.failure : String(error)),
        );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    t.comment(`seed ${seed}: ${JSON.stringify([...outcomes])}; spoiled: ${JSON.stringify([...kinds])}`);
    t.same(wrong, []);
    t.ok((outcomes.get('good') ?? 0) > reads * 0.5, 'most reads succeed all the same');
    t.same(
      [...outcomes.keys()].filter((one) => !['good', 'timeout', 'mismatch', 'exception', 'unreachable'].includes(one)),
      [],
    );
    t.same(
      names.filter((name) => !kinds.has(name)),
      [],
      'each way was there',
    );
  },
);

t.test('a device that goes away is told down with the reason, and up again when it is back', async (t) => {
  const server = await meterServer(t);
  const village = run(t, [{ id: 'm', port: server.port }]);
  await village.start();
  await until('up', () => village.linkOf('m')?.state === 'up');
  await server.close();
  await until('down', () => village.linkOf('m')?.state === 'down');
  t.match(village.linkOf('m')?.reason, /closed the connection|refuses the connection|broke the connection/);
  const back = await meterServer(t, server.port);
  back.volts = 231;
  await until('up again', () => village.linkOf('m')?.state === 'up');
  await until('new values', () => village.readings.at(-1)?.values.ac_output_voltage_v === 231);
});

t.test('a SunSpec inverter on a real socket is found, read, and searched again when its models move', async (t) => {
  const fixture = JSON.parse(
    readFileSync(
      fileURLToPath(new URL('../devices/fixtures/sunspec_image_constructed_a.json', import.meta.url)),
      'utf8',
    ),
  ) as { base: number; registers: number[] };
  let image = fixture.registers;
  const server = new ServerTCP(
    {
      getHoldingRegister: (address: number, _unit: number, reply: (error: Error | null, word: number) => void) => {
        const word = image[address - fixture.base];
        if (word === undefined) reply(Object.assign(new Error('refused'), { modbusErrorCode: 2 }), 0);
        else reply(null, word);
      },
    },
    { host: '127.0.0.1', port: '0' as unknown as number },
  );
  server.on('socketError', () => undefined);
  await new Promise<void>((resolve) => server.on('initialized', () => resolve()));
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const address = (server as unknown as { _server: Server })._server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const village = run(t, [{ id: 'inv', port, profile: 'sunspec-inverter' }]);
  await village.start();
  await until('readings', () => village.of('inv').length >= 2);
  t.match(village.of('inv')[0]?.values, {
    generation_kw: 4.98,
    equipment_temp_c: 43.8,
    generation_energy_kwh: 12_345.67,
  });
  t.notOk('generation_energy_kwh' in (village.of('inv')[1]?.values ?? {}), 'slow points come about once a minute');
  // A firmware update makes the common model one register longer: everything behind it moves.
  const at = fixture.registers.indexOf(103);
  image = [
    ...fixture.registers.slice(0, 3),
    66,
    ...fixture.registers.slice(4, at),
    0x8000,
    ...fixture.registers.slice(at),
  ];
  const before = village.of('inv').length;
  await until('readings from the new place', () => village.of('inv').length > before + 2);
  for (const { values } of village.of('inv')) {
    t.equal(values.generation_kw, 4.98);
    t.equal(values.ac_frequency_hz, 50.02);
    t.equal(values.fault_state, 0, 'and it is well');
  }
  const faultWords = () => village.drivers[0]?.faultWords?.('inv');
  t.equal(faultWords(), undefined);
  image = image.with(at + 1 + 38, 7).with(at + 1 + 41, 0x0080);
  await until('its fault is told', () => village.of('inv').at(-1)?.values.fault_state === 2);
  t.equal(faultWords(), 'over temp', 'in the words of SunSpec');
});

t.test('in a village sixty times as fast, polls never overlap and missed ones are skipped', async (t) => {
  const server = await meterServer(t);
  server.delays.set(1, 50);
  const fast = acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed: 60 });
  const told = collector();
  const [driver] = createModbusDrivers({
    connections: [
      {
        name: 'f',
        host: '127.0.0.1',
        port: server.port,
        devices: [{ device_id: 'f', profile: 'meter', unit: 1, period_s: 1 }],
      },
    ],
    profiles,
    sink: told.sink,
    clock: fast,
    realClock: clock,
    random: seededRandom(1),
    log: silentLogger(),
  });
  t.teardown(() => driver?.stop());
  await driver?.start();
  await until('ten readings', () => told.readings.length >= 10);
  const times = server.requests.map(({ atMs }) => atMs);
  t.ok(
    times.slice(1).every((at, i) => at - (times[i] ?? 0) >= 45),
    'each request waits for the answer before it',
  );
  t.equal(told.links.length, 1, 'deadlines on the wire keep real time: 50 ms are 3 s of village time, and no failure');
});

t.test('a profile that is not there is refused by name; a sink that throws stops nothing', async (t) => {
  const connection = {
    name: 'c',
    host: '127.0.0.1',
    port: 1,
    devices: [{ device_id: 'd', profile: 'nonesuch', period_s: 1 }],
  };
  const common = { profiles, clock, random: seededRandom(1), log: silentLogger() };
  try {
    createModbusDrivers({ ...common, connections: [connection], sink: collector().sink });
    t.fail('taken');
  } catch (error) {
    t.ok(error instanceof VillagridError && error.code === 'E_CONFIG_INVALID');
    t.match((error as Error).message, /device "d": there is no profile "nonesuch"; there are .*eastron-sdm120/);
  }
  const server = await meterServer(t);
  const { log, lines } = memoryLog({ level: 'error', foldAfter: 100 });
  let calls = 0;
  const [driver] = createModbusDrivers({
    ...common,
    log,
    connections: [
      { ...connection, port: server.port, devices: [{ device_id: 'd', profile: 'meter', period_s: 0.05 }] },
    ],
    sink: {
      reading: () => {
        calls += 1;
        throw new Error('intake is broken');
      },
      link: () => undefined,
    },
  });
  t.teardown(() => driver?.stop());
  await driver?.start();
  await until('polling goes on', () => calls >= 3);
  t.match(lines[0]?.msg, /could not be taken/);
});

t.test(
  'back-off doubles to five minutes and is never shorter than the period; missed polls are left out',
  async (t) => {
    const waits = (failure: 'silent' | 'unreachable') => [1, 2, 3, 7, 99].map((n) => backoffAfterMs(n, 5000, failure));
    t.same(waits('silent'), [5000, 10_000, 20_000, 300_000, 300_000]);
    t.same(waits('unreachable'), [5000, 10_000, 20_000, 30_000, 30_000]);
    t.equal(backoffAfterMs(9, 600_000, 'silent'), 600_000);
    t.equal(nextDueMs(1000, 1200, 500), 1500);
    t.equal(nextDueMs(1000, 1500, 500), 2000, 'a beat that is just over is missed');
    t.equal(nextDueMs(1000, 9700, 500), 10_000, 'on the beat, not made up for');
  },
);

t.test('the queue of a link serves its units in turn, whoever asks most', async (t) => {
  const queue = new FairQueue();
  const order: string[] = [];
  const add = (unit: number, name: string) => queue.add(unit, async () => void order.push(name));
  for (const name of ['a1', 'a2', 'a3', 'a4']) add(1, name);
  add(2, 'b1');
  add(3, 'c1');
  add(2, 'b2');
  await clock.sleep(5);
  t.same(
    order,
    ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'].sort((x, y) => order.indexOf(x) - order.indexOf(y)),
  );
  t.ok(order.indexOf('c1') < order.indexOf('a3') && order.indexOf('b2') < order.indexOf('a4'), order.join(' '));
  t.equal(queue.length, 0);
});

t.test(
  'an RTU answer is one only with unit, function, length and CRC right, whatever noise is around it',
  async (t) => {
    const read = { unit: 1, function: 3, address: 0, count: 10 } as const;
    t.same(
      [...requestFrame(read)],
      [0x01, 0x03, 0x00, 0x00, 0x00, 0x0a, 0xc5, 0xcd],
      'the example of the specification',
    );
    const words = Array.from({ length: 20 }, (_, i) => i);
    const good = withCrc([1, 3, 20, ...words]);
    t.match(findAnswer(read, good), { answer: { kind: 'words', words: [0x0001, 0x0203] }, from: 0, to: 25 });
    t.match(findAnswer(read, Uint8Array.from([0, 0xff, ...requestFrame(read), ...good])), { from: 10 });
    t.match(findAnswer(read, withCrc([1, 0x83, 2])), { answer: { kind: 'exception', code: 2 } });
    for (const other of [
      withCrc([2, 3, 20, ...words]),
      withCrc([1, 4, 20, ...words]),
      withCrc([1, 3, 2, 0, 0]),
      good.slice(1),
    ])
      t.same(findAnswer(read, other), { state: 'none' });
    const random = seededRandom(1);
    for (let n = 0; n < 2000; n += 1) {
      const spoiled = Uint8Array.from(good);
      const at = Math.floor(random.float() * spoiled.length);
      spoiled[at] = (spoiled[at] ?? 0) ^ (1 + Math.floor(random.float() * 255));
      if (findAnswer(read, spoiled).state !== 'none') t.fail(`taken with byte ${at} wrong`);
    }
  },
);

t.test(
  'an RTU answer that comes after any patience is known by its length, because no two equal questions follow',
  async (t) => {
    const asked: number[] = [];
    let hear: (data: Uint8Array) => void = () => undefined;
    /** What the device says to the n-th question. */
    let say: (n: number, count: number) => Uint8Array | undefined = () => undefined;
    const link = rtuLink({
      name: 'line',
      baud: 115_200,
      clock,
      random: seededRandom(1),
      log: silentLogger(),
      open: async ({ bytes }) => {
        hear = bytes;
        return {
          write(data) {
            asked.push(data[5] ?? 0);
            const answer = say(asked.length, data[5] ?? 0);
            if (answer) clock.after(1, () => hear(answer));
          },
          close: async () => undefined,
        };
      },
    });
    t.teardown(() => link.close());
    const answer = (count: number, word: number) =>
      withCrc([1, 3, 2 * count, ...Array.from({ length: count }, () => [0, word]).flat()]);
    const read = (address: number) =>
      link.read({
        unit: 1,
        function: 3,
        address,
        count: 10,
        timeoutMs: 30,
        gapMs: 0,
        between: { function: 3, address: 50, count: 4 },
      });
    await t.rejects(read(0), LinkError, 'no answer');
    // The answer to the first question comes when the second has been asked, and so on: one too late, for good.
    say = (n, count) => (n === 2 ? answer(10, 111) : answer(count, 222));
    await t.rejects(read(100), /does not fit the request: an answer of 10 registers, not 4/);
    t.same(asked, [10, 4]);
    t.same(
      await read(100),
      Array.from({ length: 10 }, () => 222),
    );
    t.same(asked, [10, 4, 4, 10]);
    // A second device with the same address: both are heard, none is believed.
    say = (_, count) => Uint8Array.from([...answer(count, 1), ...answer(count, 2)]);
    await t.rejects(read(200), /two different answers/);
  },
);

t.test(
  'a write on a serial line is sent once, in the frames of the specification, and its answer must name it',
  async (t) => {
    const six = { unit: 0x11, function: 6, address: 1, words: [3] } as const;
    const sixteen = { unit: 0x11, function: 16, address: 1, words: [0x000a, 0x0102] } as const;
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    t.equal(hex(requestFrame(six)), '1106000100039a9b');
    t.equal(hex(requestFrame(sixteen)), '11100001000204000a0102c6f0');
    const said = Uint8Array.from(Buffer.from('1110000100021298', 'hex'));
    t.match(findAnswer(sixteen, said), { answer: { kind: 'written' }, from: 0, to: 8 });
    t.same(findAnswer({ ...sixteen, address: 2 }, said), { state: 'none' }, 'an answer to another write');
    t.same(findAnswer({ ...six, words: [4] }, requestFrame(six)), { state: 'none' }, 'another value');
    const asked: string[] = [];
    let say: () => Uint8Array | undefined = () => undefined;
    const link = rtuLink({
      name: 'line',
      baud: 115_200,
      clock,
      random: seededRandom(1),
      log: silentLogger(),
      open: async ({ bytes }) => ({
        write(data) {
          asked.push(hex(data));
          const answer = say();
          if (answer) clock.after(1, () => bytes(answer));
        },
        close: async () => undefined,
      }),
    });
    t.teardown(() => link.close());
    const write = () => link.write({ ...sixteen, timeoutMs: 100, gapMs: 0 });
    say = () => said;
    await write();
    say = () => withCrc([0x11, 0x90, 3]);
    await t.rejects(write(), /exception 3/);
    say = () => requestFrame(six);
    await t.rejects(write(), /does not fit/);
    say = () => undefined;
    await t.rejects(write(), /did not answer/);
    t.equal(asked.length, 4, 'nothing is sent twice');
  },
);

t.test('values of a write point become registers as its type has them, and one too many for it is refused', (t) => {
  const point = (more: object) =>
    ({
      key: 'k',
      label: 'L',
      address: 0,
      function: 16,
      type: 'u16',
      min: 0,
      max: 1,
      safe: 0,
      reads_back: 'r',
      ...more,
    }) as never;
  t.same(encodeWrite(point({ scale: 0.1 }), 54.7), [547]);
  t.same(encodeWrite(point({ type: 's16' }), -2), [0xfffe]);
  t.same(encodeWrite(point({ type: 'u32' }), 4_000_000_000), [0xee6b, 0x2800]);
  t.same(encodeWrite(point({ type: 's32', word_order: 'lsw_first' }), -2), [0xfffe, 0xffff]);
  t.same(encodeWrite(point({ type: 'f32' }), 1.5), [0x3fc0, 0]);
  for (const [type, value] of [
    ['u16', 65_536],
    ['u16', -1],
    ['s16', 40_000],
    ['s32', 3e9],
  ] as const)
    t.type(encodeWrite(point({ type }), value), 'string', `${value} in ${type}`);
  t.ok(isWritten(point({ scale: 0.1 }), 54.72, 54.7));
  t.notOk(isWritten(point({ scale: 0.1 }), 54.7, 54.8));
  t.ok(isWritten(point({ type: 'f32' }), 0.1, 0.1));
  t.end();
});
