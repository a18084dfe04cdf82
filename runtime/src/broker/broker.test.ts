import { once } from 'node:events';
import net from 'node:net';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import {
  createAuthority,
  createGuardedBroker,
  issueClientCertificate,
  issueServerCertificate,
  realClock,
  seededRandom,
  type BrokerPublish,
  type GuardedBrokerOptions,
} from '../index.js';
import { memoryLog, testClock } from '../testing/index.js';
import { PublishGate } from './publish-gate.js';

const clock = realClock();
interface Who {
  readonly id: string;
}

/** A broker whose users are alice and bob with password `right`, each writing under their own name. */
async function house(t: Test, over: Partial<GuardedBrokerOptions<Who>> = {}) {
  const { log, lines } = memoryLog();
  const taken: BrokerPublish[] = [];
  const events: string[] = [];
  const broker = createGuardedBroker<Who>({
    listeners: [{ name: 'plain', host: '127.0.0.1', port: 0 }],
    log,
    clock,
    authenticate: async ({ username, password }) =>
      username !== undefined && Buffer.from(password ?? []).toString() === 'right'
        ? { identity: { id: username } }
        : { refused: 'wrong password' },
    mayPublish: (who, topic) => topic.startsWith(`of/${who.id}/`),
    maySubscribe: (who, filter) => filter === `to/${who.id}` || filter === '#',
    onPublish: async (_who, publish) => void taken.push(publish),
    onConnect: ({ clientId }) => events.push(`+${clientId}`),
    onDisconnect: ({ clientId }) => events.push(`-${clientId}`),
    ...over,
    limits: { refusalDelayMs: 5, ...over.limits },
  });
  await broker.start();
  t.teardown(() => broker.stop());
  const port = broker.ports.plain as number;
  const connect = async (username: string, options: IClientOptions = {}): Promise<MqttClient> => {
    const client = mqtt.connect({
      host: '127.0.0.1',
      port,
      username,
      password: 'right',
      clientId: username,
      reconnectPeriod: 0,
      connectTimeout: 5000,
      ...options,
    });
    t.teardown(() => void client.end(true));
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed')));
    });
    client.on('error', () => {});
    return client;
  };
  return { broker, lines, taken, events, port, connect };
}

const closing = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()));

const until = async (what: () => boolean) => {
  for (let i = 0; i < 1000 && !what(); i += 1) await clock.sleep(5);
  return what();
};

/** A bare socket that sends these bytes; resolves with what came back once the other side closed. */
async function raw(port: number, ...chunks: Uint8Array[]): Promise<{ heard: Buffer; tookMs: number }> {
  const startMs = clock.monotonicMs();
  const socket = net.connect(port, '127.0.0.1');
  const heard: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (data) => heard.push(data));
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  for (const chunk of chunks) socket.write(chunk);
  await new Promise((resolve) => (socket.closed ? resolve(undefined) : socket.once('close', resolve)));
  return { heard: Buffer.concat(heard), tookMs: clock.monotonicMs() - startMs };
}

const text = (value: string) =>
  Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value)]);
/** A CONNECT of MQTT 3.1.1. */
function connectPacket(
  clientId: string,
  { clean = true, keepalive = 30, user = 'alice', password = 'right' } = {},
): Buffer {
  const flags = (clean ? 2 : 0) | 0xc0;
  const body = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, flags, keepalive >> 8, keepalive & 255]),
    text(clientId),
    text(user),
    text(password),
  ]);
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}

t.test('a publish is acknowledged only after the promise of its owner, and in order of arrival', async (t) => {
  const waiting: Array<() => void> = [];
  const { connect, broker } = await house(t, {
    onPublish: () => new Promise<void>((resolve) => waiting.push(resolve)),
  });
  const client = await connect('alice');
  const acknowledged: number[] = [];
  for (const n of [1, 2, 3])
    void client.publishAsync('of/alice/x', String(n), { qos: 1 }).then(() => acknowledged.push(n));
  t.ok(await until(() => waiting.length === 3), 'all three are with the owner at once, for one group commit');
  t.equal(broker.stats().held, 3);
  waiting[2]?.();
  waiting[1]?.();
  await clock.sleep(50);
  t.same(acknowledged, [], 'nothing before the first is done');
  waiting[0]?.();
  t.ok(await until(() => acknowledged.length === 3));
  t.same(acknowledged, [1, 2, 3]);
  t.match(broker.stats(), { held: 0, accepted: 3, published: 3 });
});

t.test(
  'when the owner rejects, throws or never answers, that connection ends without acknowledgement and the others go on',
  async (t) => {
    const { connect, broker, lines } = await house(t, {
      limits: { publishDeadlineMs: 100 },
      onPublish: (_who, { topic }) => {
        if (topic.endsWith('/rejects')) return Promise.reject(new Error('disk full'));
        if (topic.endsWith('/throws')) throw new Error('a bug');
        if (topic.endsWith('/hangs')) return new Promise(() => {});
        return Promise.resolve();
      },
    });
    const bob = await connect('bob');
    for (const how of ['rejects', 'throws', 'hangs']) {
      const alice = await connect('alice');
      const closed = closing(alice);
      let acknowledged = 0;
      for (const leaf of ['fine', how, 'fine'])
        alice.publish(`of/alice/${leaf}`, '1', { qos: 1 }, (error) => (acknowledged += error ? 0 : 1));
      await closed;
      t.ok(acknowledged <= 1, `${how}: nothing after the failure is acknowledged`);
      await bob.publishAsync('of/bob/x', '1', { qos: 1 });
    }
    t.equal(lines.filter((line) => line.code === 'E_NOT_DURABLE' && line.level === 'error').length >= 3, true);
    t.equal(broker.stats().held, 0);
  },
);

t.test(
  'a wrong password, no password and a login that cannot be checked are refused and logged without the password',
  async (t) => {
    const { connect, lines, broker } = await house(t, {
      authenticate: async ({ username, password }) => {
        if (username === 'broken') throw new Error('user table is gone');
        return Buffer.from(password ?? []).toString() === 'right'
          ? { identity: { id: username ?? '' } }
          : { refused: 'wrong password' };
      },
    });
    await t.rejects(connect('alice', { password: 'canary-wrong' }), { code: 5 });
    await t.rejects(connect('alice', { username: undefined, password: undefined } as unknown as IClientOptions), {
      code: 5,
    });
    await t.rejects(connect('broken'), { code: 3 });
    t.equal(broker.stats().loginsRefused, 3);
    t.ok(lines.some((line) => line.reason === 'wrong password' && line.client_id === 'alice'));
    t.notMatch(JSON.stringify(lines), /canary/);
    await connect('alice');
  },
);

t.test(
  'nobody publishes, wills or subscribes beyond the rules: forbidden topics end the connection, filters are refused',
  async (t) => {
    const { connect, lines, taken, broker } = await house(t);
    for (const topic of ['of/bob/x', '$SYS/x', 'of/alice']) {
      const alice = await connect('alice');
      const closed = closing(alice);
      alice.publish(topic, '1', { qos: 1 }, () => {});
      await closed;
    }
    t.equal(broker.stats().forbidden, 3);
    t.equal(lines.filter((line) => line.code === 'E_TOPIC_FORBIDDEN').length, 1, 'logged once a minute');
    const willing = await connect('alice', {
      will: { topic: 'of/bob/status', payload: Buffer.from('offline'), qos: 1, retain: false },
    });
    willing.stream.destroy();
    t.ok(await until(() => broker.stats().forbidden === 4), 'a forbidden will is dropped');
    const bob = await connect('bob', {
      will: { topic: 'of/bob/status', payload: Buffer.from('offline'), qos: 1, retain: false },
    });
    const granted = await bob
      .subscribeAsync(['to/bob', 'to/alice', '$SYS/#', '$share/g/to/bob'], { qos: 1 })
      .catch(() => bob.connected);
    t.ok(granted, 'the connection stays');
    bob.stream.destroy();
    t.ok(await until(() => taken.length === 1), 'an allowed will comes');
    t.match(taken[0], { topic: 'of/bob/status', will: true, superseded: false, clientId: 'bob' });
  },
);

t.test(
  'a packet above the limit is cut off at its announcement, before CONNECT and after, and other clients go on',
  async (t) => {
    const { connect, port, lines, broker } = await house(t);
    const bob = await connect('bob');
    const before = process.memoryUsage().rss;
    const flood = Buffer.alloc(1024 * 1024);
    const { tookMs } = await raw(port, Buffer.from([0x10, 0x80, 0x80, 0x80, 0x80]), flood);
    t.ok(tookMs < 2000);
    await raw(port, Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), ...Array.from({ length: 50 }, () => flood));
    t.ok(process.memoryUsage().rss - before < 40e6, 'nothing of it was kept');
    await raw(port, Buffer.from([0x10, 0x81, 0x08]));
    t.equal(broker.stats().oversized, 2);
    await raw(port, Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    t.equal(broker.stats().notMqtt, 2, 'a length of five bytes and HTTP');
    t.ok(lines.some((line) => line.code === 'E_PACKET_TOO_LARGE' && line.announced_bytes === 268_435_460));
    const alice = await connect('alice');
    const closed = closing(alice);
    alice.publish('of/alice/x', Buffer.alloc(17_000), { qos: 1 }, () => {});
    await closed;
    await bob.publishAsync('of/bob/x', Buffer.alloc(16_000), { qos: 1 });
    t.equal(broker.stats().oversized, 3);
  },
);

t.test('packets split at any byte pass the guard whole', async (t) => {
  const { port, taken } = await house(t);
  const publish = Buffer.concat([
    Buffer.from([0x32, 2 + 10 + 2 + 3]),
    text('of/alice/x'),
    Buffer.from([0, 7]),
    Buffer.from('abc'),
  ]);
  const all = Buffer.concat([connectPacket('alice'), publish, Buffer.from([0xe0, 0])]);
  const socket = net.connect(port, '127.0.0.1').setNoDelay().resume();
  await once(socket, 'connect');
  for (const byte of all.subarray(0, all.length - 2)) {
    socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(await until(() => taken.length === 1));
  t.equal(Buffer.from(taken[0]?.payload ?? []).toString(), 'abc');
  socket.end(all.subarray(-2));
});

t.test('connections that never speak are closed, and those above the caps are refused', async (t) => {
  const { port, broker, connect } = await house(t, { limits: { connectTimeoutMs: 150, maxConnectionsPerAddress: 3 } });
  const silent = [raw(port), raw(port), raw(port, Buffer.from([0x10]))];
  t.ok(await until(() => broker.stats().connections === 3));
  await raw(port);
  t.equal(broker.stats().connectionsRefused, 1);
  for (const { tookMs } of await Promise.all(silent)) t.ok(tookMs < 3000);
  t.ok(await until(() => broker.stats().connections === 0));
  await connect('alice');
});

t.test(
  'an empty client id without clean session, MQTT 5 and a keepalive above the limit are refused by their codes; sessions are clean',
  async (t) => {
    const { port, connect, broker } = await house(t, { limits: { maxKeepaliveS: 60 } });
    t.same([...(await raw(port, connectPacket('', { clean: false }))).heard], [0x20, 2, 0, 2]);
    t.same([...(await raw(port, connectPacket('alice', { keepalive: 61 }))).heard], [0x20, 2, 0, 6]);
    await t.rejects(connect('alice', { protocolVersion: 5 }));
    const first = await connect('bob', { clean: false });
    await first.subscribeAsync('to/bob', { qos: 1 });
    await first.endAsync();
    await broker.publish('to/bob', 'missed', { qos: 1 });
    const second = mqtt.connect({
      host: '127.0.0.1',
      port,
      username: 'bob',
      password: 'right',
      clientId: 'bob',
      clean: false,
      reconnectPeriod: 0,
    });
    t.teardown(() => void second.end(true));
    const connack = await new Promise<{ sessionPresent: boolean }>((resolve) => second.once('connect', resolve));
    t.equal(connack.sessionPresent, false);
  },
);

t.test(
  'the same client id of the same identity takes over, of another identity is refused; the old will says so',
  async (t) => {
    const { connect, events, taken } = await house(t);
    const first = await connect('alice', {
      will: { topic: 'of/alice/status', payload: Buffer.from('offline'), qos: 1, retain: false },
    });
    await t.rejects(connect('bob', { clientId: 'alice' }), { code: 2 });
    t.ok(first.connected, 'an impostor does not throw anybody out');
    const closed = closing(first);
    await connect('alice');
    await closed;
    t.ok(await until(() => taken.length === 1));
    t.match(taken[0], { will: true, superseded: true });
    t.same(events, ['+alice', '-alice', '+alice']);
    const squatter = await connect('alice', { clientId: 'carol' });
    const thrownOut = closing(squatter);
    t.ok((await connect('carol')).connected, 'whoever bears the name has the first right to it');
    await thrownOut;
  },
);

t.test(
  'the server publishes to those who may hear it, disconnects by name, and tells who comes and goes',
  async (t) => {
    const { connect, broker, events } = await house(t);
    const alice = await connect('alice');
    const heard: string[] = [];
    alice.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
    await alice.subscribeAsync('to/alice', { qos: 1 });
    await broker.publish('to/alice', 'hello', { qos: 1 });
    await broker.publish('to/bob', 'secret');
    t.ok(await until(() => heard.length > 0));
    t.same(heard, ['to/alice hello']);
    const closed = closing(alice);
    t.equal(broker.disconnect('alice'), true);
    await closed;
    t.equal(broker.disconnect('alice'), false);
    t.ok(await until(() => events.length === 2));
    t.same(events, ['+alice', '-alice']);
  },
);

t.test('a client that floods is held back; another is served at once', async (t) => {
  const { connect, broker } = await house(t, { limits: { maxPacketsPerSecond: 200 } });
  const [alice, bob] = [await connect('alice'), await connect('bob')];
  for (let i = 0; i < 3000; i += 1) alice.publish('of/alice/x', 'flood', { qos: 0 });
  t.ok(await until(() => broker.stats().throttled > 0));
  const startMs = clock.monotonicMs();
  await bob.publishAsync('of/bob/x', '1', { qos: 1 });
  t.ok(clock.monotonicMs() - startMs < 1000);
});

t.test('over TLS a client is known by its certificate; a stranger does not get past the handshake', async (t) => {
  const nowMs = clock.nowMs();
  const authority = await createAuthority({ name: 'a', nowMs });
  const stranger = await createAuthority({ name: 'a', nowMs });
  const server = await issueServerCertificate(authority, { names: ['127.0.0.1'], nowMs, days: 2 });
  const seen: Array<string | undefined> = [];
  const { broker } = await house(t, {
    listeners: [
      {
        name: 'mqtts',
        host: '127.0.0.1',
        port: 0,
        tls: {
          key: server.privateKeyPem,
          cert: server.certificatePem,
          ca: authority.certificatePem,
          clientCertificate: 'required',
        },
      },
    ],
    authenticate: async ({ certificateCommonName, listenerName }) => {
      seen.push(`${listenerName} ${certificateCommonName}`);
      return { identity: { id: certificateCommonName ?? '?' } };
    },
  });
  const connect = async (own: { certificatePem: string; privateKeyPem: string } | undefined) => {
    const client = mqtt.connect({
      protocol: 'mqtts',
      host: '127.0.0.1',
      port: broker.ports.mqtts as number,
      ca: authority.certificatePem,
      reconnectPeriod: 0,
      clientId: 'gw-1',
      ...(own ? { cert: own.certificatePem, key: own.privateKeyPem } : {}),
    });
    t.teardown(() => void client.end(true));
    client.on('error', () => {});
    return new Promise<typeof client | undefined>((resolve) => {
      client.once('connect', () => resolve(client));
      client.once('close', () => resolve(undefined));
    });
  };
  const client = await connect(await issueClientCertificate(authority, { commonName: 'gw-1', nowMs, days: 2 }));
  await client?.publishAsync('of/gw-1/x', '1', { qos: 1 });
  t.same(seen, ['mqtts gw-1']);
  t.equal(await connect(await issueClientCertificate(stranger, { commonName: 'gw-1', nowMs, days: 2 })), undefined);
  t.equal(await connect(undefined), undefined);
  t.equal(seen.length, 1);
});

t.test(
  'a port in use and a broken certificate are told by the name of the listener, and nothing stays open',
  async (t) => {
    const { port } = await house(t);
    const make = (listener: GuardedBrokerOptions<Who>['listeners'][number]) =>
      createGuardedBroker<Who>({
        listeners: [{ name: 'first', host: '127.0.0.1', port: 0 }, listener],
        log: memoryLog().log,
        clock,
        authenticate: async () => ({ refused: 'x' }),
        mayPublish: () => false,
        maySubscribe: () => false,
        onPublish: async () => {},
      });
    const taken = make({ name: 'second', host: '127.0.0.1', port });
    await t.rejects(taken.start(), { code: 'E_PORT_IN_USE', detail: /second/ });
    await t.rejects(raw(taken.ports.first as number), 'the first listener is closed again');
    await t.rejects(make({ name: 'tls', host: '127.0.0.1', port: 0, tls: { key: 'x', cert: 'y' } }).start(), {
      code: 'E_CERTIFICATE',
      detail: /tls/,
    });
  },
);

t.test('a stop gives held publishes the time to be acknowledged, and publishes no wills', async (t) => {
  const release: Array<() => void> = [];
  const { connect, broker } = await house(t, {
    onPublish: () => new Promise<void>((resolve) => release.push(resolve)),
  });
  const alice = await connect('alice', {
    will: { topic: 'of/alice/status', payload: Buffer.from('offline'), qos: 1, retain: false },
  });
  const acknowledged = alice.publishAsync('of/alice/x', '1', { qos: 1 });
  t.ok(await until(() => release.length === 1));
  const stopped = broker.stop();
  release[0]?.();
  await Promise.all([acknowledged, stopped]);
  t.equal(release.length, 1);
});

/** A gate on a test clock that notes its answers. */
function gateHouse() {
  const testTime = testClock();
  const answers: string[] = [];
  const gate = new PublishGate<string>(testTime, 1000, {
    answer: (name, failure, own) =>
      answers.push(`${name} ${failure ? `refused${own ? `: ${failure.message}` : ''}` : 'taken'}`),
    answered: () => answers.push('.'),
  });
  return { gate, answers, testTime };
}

t.test('after a failure nothing of that client is acknowledged any more, even what was stored', async (t) => {
  const { gate, answers } = gateHouse();
  const never = new Promise(() => {});
  gate.pass('a', () => Promise.resolve());
  gate.pass('b', () => Promise.reject(new Error('disk full')));
  gate.pass('c', () => never);
  gate.pass('d', () => Promise.resolve());
  await clock.sleep(1);
  gate.pass('e', () => Promise.resolve());
  t.same(answers, ['a taken', '.', 'b refused: disk full', 'c refused', 'd refused', '.', 'e refused', '.']);
});

t.test('publishes of one commit are answered together, in their place between the others', async (t) => {
  const { gate, answers } = gateHouse();
  let [first, second] = [() => {}, () => {}];
  const one = new Promise<void>((resolve) => (first = resolve));
  const two = new Promise<void>((resolve) => (second = resolve));
  for (const name of ['a1', 'a2']) gate.pass(name, () => one);
  for (const name of ['b1', 'b2']) gate.pass(name, () => two);
  gate.pass('a3', () => one);
  second();
  await clock.sleep(1);
  t.same(answers, []);
  first();
  await clock.sleep(1);
  t.same(answers, ['a1 taken', 'a2 taken', 'b1 taken', 'b2 taken', '.', 'a3 taken', '.']);
});

t.test('what is not answered in time is refused, each after its own time', async (t) => {
  const { gate, answers, testTime } = gateHouse();
  gate.pass('in time', () => testTime.sleep(900));
  await testTime.advance(500);
  gate.pass('never', () => new Promise(() => {}));
  await testTime.advance(999);
  t.same(answers, ['in time taken', '.']);
  await testTime.advance(1);
  t.same(answers, ['in time taken', '.', 'never refused: no answer within 1000 ms', '.']);
});

t.test(
  '$SYS and shared filters stay closed even where every topic is allowed, and no retained message of a client is kept',
  async (t) => {
    const { connect, broker, taken } = await house(t, { mayPublish: () => true, maySubscribe: () => true });
    const alice = await connect('alice');
    const ended = closing(alice);
    alice.publish('$SYS/broker', '1', { qos: 1 }, () => {});
    await ended;
    t.equal(taken.length, 0);
    const bob = await connect('bob');
    await bob.publishAsync('of/bob/x', 'kept?', { qos: 1, retain: true });
    t.match(taken[0], { topic: 'of/bob/x', retain: true });
    const heard: string[] = [];
    bob.on('message', (topic) => heard.push(topic));
    await bob.subscribeAsync(['$share/g/#', '$SYS/#']).catch(() => {});
    t.equal(broker.stats().forbidden, 3);
    await bob.subscribeAsync('#');
    await broker.publish('a/b', 'x', { retain: true });
    t.ok(await until(() => heard.length > 0));
    t.same(heard, ['a/b']);
  },
);

t.test('thousands of spoiled packets end no process and harm no other client', async (t) => {
  const seed = process.env.SEED ?? '1';
  t.comment(`seed ${seed}`);
  const random = seededRandom(seed);
  const { port, connect, taken } = await house(t, {
    mayPublish: () => true,
    maySubscribe: () => true,
    limits: { connectTimeoutMs: 100, maxConnectionsPerAddress: 400 },
  });
  const bob = await connect('bob', { keepalive: 300 });
  const publish = Buffer.concat([Buffer.from([0x32, 17]), text('of/alice/x'), Buffer.from([0, 7]), Buffer.from('abc')]);
  const subscribe = Buffer.concat([Buffer.from([0x82, 9, 0, 8]), text('to/a'), Buffer.from([1])]);
  const whole = Buffer.concat([
    publish,
    subscribe,
    Buffer.from([0x34, 8, 0, 1, 0x61, 0, 9, 1, 2, 3]),
    Buffer.from([0x62, 2, 0, 9, 0xc0, 0]),
  ]);
  const sessions = Array.from({ length: 400 }, async (_, i) => {
    const bytes = Buffer.concat([connectPacket(`c${i}`), whole, Buffer.from([0xe0, 0])]);
    // Most spoil what comes after a good CONNECT, so that it reaches the library.
    const from = random.float() < 0.7 ? connectPacket(`c${i}`).length : 0;
    const flips = 1 + Math.floor(random.float() * 4);
    for (let n = 0; n < flips; n += 1)
      bytes[from + Math.floor(random.float() * (bytes.length - from))] = Math.floor(random.float() * 256);
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.end(bytes.subarray(0, random.float() < 0.2 ? Math.floor(random.float() * bytes.length) : bytes.length));
    await new Promise((resolve) => socket.once('close', resolve));
  });
  await Promise.all(sessions);
  t.ok(taken.length > 50, `${taken.length} publishes came through`);
  await bob.publishAsync('of/bob/x', 'still here', { qos: 1 });
});
