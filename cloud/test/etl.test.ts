import { deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { encodeEnvelopeBody, encodeFrame, type Frame } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import { loadCloudConfig } from '../src/index.js';
import { decodeEnvelope } from '../src/etl/envelope.js';
import { examineFrame } from '../src/etl/frame.js';
import { Ledger } from '../src/receipts/ledger.js';
import { makeReceipt } from '../src/receipts/receipt.js';
import { raisedEvent, testFrame } from '../src/testing/gateway-side.js';

const seed = Number(process.env.SEED ?? Math.floor(realClock().nowMs()) % 1e9);
const check = (property: fc.IRawProperty<unknown>, numRuns = 200) => fc.assert(property, { seed, numRuns });
const inflate = (bytes: Uint8Array, limit: number) => inflateRawSync(bytes, { maxOutputLength: limit });

t.test(`the ledger knows exactly the numbers it was given, in any order and cut (SEED=${seed})`, async () => {
  const term = (number: number) => (BigInt(number) * 0x9e3779b97f4a7c15n) % (1n << 64n);
  check(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 12 }), fc.boolean()), {
        maxLength: 40,
      }),
      (steps) => {
        let ledger = new Ledger();
        const added = new Set<number>();
        const explained = new Set<number>();
        for (const [first, length, giveUp] of steps) {
          if (giveUp && length < 4) {
            const last = first + length - 1;
            for (const [from, to] of ledger.missingUpTo(last)) {
              ledger.giveUp(from, to);
              for (let n = from; n <= to; n += 1) explained.add(n);
            }
          } else {
            for (let n = first; n < first + length; n += 1) {
              if (added.has(n)) continue;
              ledger.add(n, term(n));
              added.add(n);
              explained.add(n);
            }
          }
          // As after a restart.
          ledger = new Ledger([...ledger.ranges].reverse());
        }
        let upTo = 0;
        while (explained.has(upTo + 1)) upTo += 1;
        let sum = 0n;
        for (const n of added) if (n <= upTo) sum = (sum + term(n)) % (1n << 64n);
        if (ledger.upTo !== upTo || ledger.sum !== sum) return false;
        for (let n = 1; n < 100; n += 1) if (ledger.has(n) !== explained.has(n)) return false;
        const ranges = ledger.ranges;
        if (ranges.some((range, i) => i > 0 && range.first <= (ranges[i - 1]?.last ?? 0) + 1)) return false;
        const missing = ledger
          .missingUpTo(95)
          .flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
        return (
          missing.every((n) => !explained.has(n)) &&
          missing.length + [...explained].filter((n) => n <= 95).length === 95
        );
      },
    ),
    500,
  );
});

t.test('a receipt names at most 64 later ranges, the longest, and 600 refused numbers, in order', async (t) => {
  const ledger = new Ledger();
  for (let i = 1; i <= 100; i += 1) for (let n = 0; n < (i % 10) + 1; n += 1) ledger.add(i * 20 + n, 1n);
  const { up_to, also, bad } = makeReceipt(
    'E',
    ledger,
    Array.from({ length: 626 }, (_, i) => [i + 1, 'x'] as const),
  );
  t.equal(up_to, 0);
  t.equal(also.length, 64);
  t.ok(also.every(([first], i) => i === 0 || first > (also[i - 1]?.[1] ?? 0)));
  t.ok(
    also.every(([first, last]) => last - first >= 3),
    'the shortest are left out',
  );
  t.same([bad.length, bad[0]?.[0], bad.at(-1)?.[0]], [600, 27, 626]);
});

t.test(`an envelope is decoded or refused with a reason, whatever the bytes are (SEED=${seed})`, async (t) => {
  const body = encodeEnvelopeBody({
    epoch: 'E1',
    first: 7,
    plan: 'raw',
    receiptWanted: true,
    frames: [testFrame(7), testFrame(8)],
  });
  const plain = Buffer.concat([Buffer.of(2), body]);
  const packed = Buffer.concat([Buffer.of(3), deflateRawSync(body)]);
  for (const bytes of [plain, packed]) {
    const decoded = decodeEnvelope(bytes, inflate);
    t.match(decoded, { ok: true, envelope: { epoch: 'E1', first: 7, receiptWanted: true } });
    if (decoded.ok) t.same(Buffer.from(decoded.envelope.frames[1] ?? []), Buffer.from(testFrame(8)));
  }
  const reason = (bytes: Uint8Array) => {
    const decoded = decodeEnvelope(bytes, inflate);
    return decoded.ok ? 'accepted' : decoded.reason;
  };
  const head = (text: string) => Buffer.concat([Buffer.of(2, text.length), Buffer.from(text), Buffer.of(0)]);
  t.equal(reason(Buffer.of()), 'empty');
  t.match(reason(Buffer.from('{"v":1}')), /first byte is 123/);
  t.match(reason(Buffer.concat([Buffer.of(3), deflateRawSync(Buffer.alloc(2_000_000))])), /cannot be inflated/);
  t.match(reason(new Uint8Array(97 * 1024)), /at most 98304/);
  t.match(reason(head('{"v":2,"ep":"E","first":1}')), /version 2/);
  t.match(reason(head('{"v":1,"ep":"E","first":0}')), /lacks/);
  t.match(reason(head('{"v":1,"ep":"../x","first":1}')), /epoch/);
  t.match(reason(head('null')), /.+/);
  check(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => typeof reason(bytes) === 'string'));
  check(
    fc.property(fc.nat(plain.length - 1), fc.nat(255), fc.nat(plain.length), (at, value, end) => {
      const changed = Buffer.from(plain.subarray(0, end));
      if (at < end) changed[at] = value;
      return typeof reason(changed) === 'string';
    }),
    1000,
  );
});

t.test(
  `a frame is good or refused with a reason, never half taken, whatever the bytes are (SEED=${seed})`,
  async (t) => {
    const good = examineFrame(testFrame(5), 'alpha');
    t.match(good, { ok: true, findings: [] });
    if (good.ok) t.same([good.frame.samples.length, (good.toMs ?? 0) - (good.fromMs ?? 0)], [2, 1]);
    const whole = testFrame(5, { events: [raisedEvent('E', 'A', 'alpha', 'gw-1')] });
    check(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, end) => {
        const changed = Buffer.from(whole.subarray(0, end));
        if (at < end) changed[at] = value;
        const examined = examineFrame(changed, 'alpha');
        return examined.ok
          ? examined.frame.samples.every(
              ({ timeMs, value }) => Number.isInteger(timeMs) && (value === null || Number.isFinite(value)),
            )
          : examined.reason.length > 0;
      }),
      2000,
    );
    const frame: Frame = {
      boot: 'b',
      monotonicMs: 1,
      wallMs: 1,
      trust: 'ntp',
      samples: [],
      events: [],
      entries: [],
      received: [],
    };
    const sample = { deviceId: 'inv-01', metric: 'generation_kw', timeMs: 1, value: 1, quality: 0 };
    for (const [what, broken] of [
      ['device id', { ...frame, samples: [{ ...sample, deviceId: '../etc' }] }],
      ['metric', { ...frame, samples: [{ ...sample, metric: 'DROP TABLE' }] }],
      ['clock trust', { ...frame, trust: 'oracle' as never }],
      ['boot', { ...frame, boot: 7 as never }],
    ] as const)
      t.match(examineFrame(encodeFrame(broken), 'alpha'), { ok: false, reason: new RegExp(what) });
    const newer = examineFrame(
      encodeFrame({ ...frame, samples: [sample], unknownEvents: [{ kind: 'escalated', id: 'N' }] }),
      'alpha',
    );
    t.match(newer, { ok: true, events: [], findings: [{ what: 'event', reason: /unknown kind escalated/ }] });
    t.equal(newer.ok && newer.frame.samples.length, 1, 'the telemetry beside an event of a newer gateway is taken');
    const foreign = raisedEvent('E', 'A', 'beta', 'gw-2');
    const mixed = examineFrame(testFrame(5, { events: [foreign, raisedEvent('E2', 'A2', 'alpha', 'gw-1')] }), 'alpha');
    t.match(mixed, { ok: true, events: [{ id: 'E2' }], findings: [{ what: 'event', reason: /grid beta/ }] });
  },
);

t.test('settings have defaults, paths lie beside the file, and two gateways may not share a grid', async (t) => {
  const text = 'mqtts: {certificate_file: s.pem, key_file: /keys/s.key, client_ca_file: ca.pem}\n';
  const config = loadCloudConfig({ path: '/srv/village/cloud.yaml', text });
  t.match(config, {
    data_dir: '/srv/village/data',
    directory_file: '/srv/village/directory.yaml',
    http: { host: '127.0.0.1', port: 9080 },
    mqtts: { port: 9883, certificate_file: '/srv/village/s.pem', key_file: '/keys/s.key' },
    clock: { speed: 1 },
    silent_after_s: 600,
  });
  const twice = `${text}gateways: [{gateway_id: a, grid_id: g}, {gateway_id: b, grid_id: g}]`;
  t.throws(() => loadCloudConfig({ path: 'cloud.yaml', text: twice }), {
    code: 'E_CONFIG_INVALID',
    detail: /grid_id g is there twice/,
  });
  t.throws(() => loadCloudConfig({ path: 'cloud.yaml', text: '' }), {
    code: 'E_CONFIG_INVALID',
    detail: /mqtts.certificate_file: missing/,
  });
});
