import { deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import {
  addDigest,
  blocksOf,
  ByteReader,
  ByteWriter,
  CodecError,
  correctionsIn,
  crc32,
  decodeEnvelopeBody,
  decodeFrame,
  DeviceSeries,
  digestHex,
  emptyDigest,
  encodeEnvelopeBody,
  encodeFrame,
  frameOfPieces,
  metricPrecision,
  packDigests,
  packTimes,
  packValues,
  packWindows,
  plans,
  qualityCodes,
  ReadingBlock,
  restamp,
  seriesHasher,
  spanOfFrame,
  unpackDigests,
  unpackTimes,
  unpackValues,
  unpackWindows,
  type ChunkColumns,
  type Compressor,
  type Frame,
  type RollupWindow,
  type Sample,
} from '@villagrid/contracts';
import { frame, identifier, metric, sample, timeMs, unknownAlertEvent } from './arbitraries.js';
import { fromHex, holds, same, vectors } from './property.js';

/** A frame with its samples grouped by series, in order of first appearance: all that the codec promises of order. */
function grouped(one: Frame): Frame {
  const groups = new Map<string, Sample[]>();
  for (const it of one.samples) {
    const key = `${it.deviceId} ${it.metric}`;
    groups.set(key, [...(groups.get(key) ?? []), it]);
  }
  return { ...one, samples: [...groups.values()].flat() };
}

const throwsCodecError = (run: () => unknown): boolean => {
  try {
    run();
    return false;
  } catch (error) {
    if (error instanceof CodecError) return true;
    throw error;
  }
};

/** Decodes, or says CodecError; anything else fails the property. */
const decodesOrTells = (run: () => unknown): void => {
  try {
    run();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
};

const simpleFrame = (samples: readonly Sample[]): Frame => ({
  boot: 'b',
  monotonicMs: 1,
  wallMs: 1_767_225_600_000,
  trust: 'ntp',
  samples,
  events: [],
  entries: [],
  received: [],
});

t.test('integers of 0 to 2^53 - 1, signed ones and texts come back as they were written', async (t) => {
  holds(
    t,
    'bytes',
    fc.property(
      fc.maxSafeNat(),
      fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 }),
      fc.string({ unit: 'grapheme' }),
      (u, s, text) => {
        const writer = new ByteWriter();
        writer.unsigned(u);
        writer.signed(s);
        writer.text(text);
        const reader = new ByteReader(writer.finish());
        return reader.unsigned() === u && Object.is(reader.signed(), s || 0) && reader.text() === text && reader.atEnd;
      },
    ),
    500,
  );
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
    t.throws(() => new ByteWriter().unsigned(value), CodecError, String(value));
  t.throws(() => new ByteReader(fromHex('ffffffffffffff7f')).unsigned(), CodecError, 'above 2^53');
  t.throws(() => new ByteReader(fromHex('ffffffffffffffffff01')).unsigned(), CodecError, 'longer than 8 bytes');
  t.throws(() => new ByteReader(fromHex('02ff fe'.replace(' ', ''))).text(), CodecError, 'not UTF-8');
});

t.test('any frame comes back as it was packed', async (t) => {
  holds(
    t,
    'frames',
    fc.property(frame, (one) => same(decodeFrame(encodeFrame(one)), grouped(one))),
    300,
  );
});

t.test(
  'a frame made of columns is packed to the same bytes as its samples, and a copy of it is its samples',
  async (t) => {
    const series = [
      new DeviceSeries('a', ['generation_kw', 'battery_soc_pct', 'equipment_temp_c.inverter']),
      new DeviceSeries('b', ['humidity_pct']),
      new DeviceSeries('a', ['consumption_kw']),
      new DeviceSeries('a', ['battery_soc_pct', 'consumption_kw']),
    ];
    const scaled = fc.oneof(
      fc.integer({ min: -5000, max: 5000 }),
      fc.integer({ min: -(2 ** 48), max: 2 ** 48 }),
      fc.constant(Number.NaN),
    );
    const reading = fc.record({
      kind: fc.nat({ max: series.length - 1 }),
      timeMs: fc.integer({ min: 1_795_341_600_000, max: 1_795_341_700_000 }),
      values: fc.array(scaled, { minLength: 3, maxLength: 3 }),
      quality: fc.constantFrom(0, 0, 0, 1, 64),
    });
    let asColumns = 0;
    holds(
      t,
      'columns',
      fc.property(frame, fc.array(reading, { maxLength: 60 }), fc.boolean(), (facts, readings, apart) => {
        const blocks = new Map<number, ReadingBlock>();
        for (const { kind, timeMs: at, values, quality } of readings) {
          if (apart && kind === 3) continue;
          const block = blocks.get(kind) ?? new ReadingBlock(series[kind] as DeviceSeries);
          blocks.set(kind, block);
          block.add(at, Float64Array.from(values), quality);
        }
        const { samples: loose, ...others } = facts;
        const made = frameOfPieces(others, apart ? [...blocks.values()] : [...blocks.values(), [...loose]]);
        if (blocksOf(made)) asColumns += 1;
        const times = made.samples.map((one) => one.timeMs);
        const span = times.length === 0 ? undefined : [Math.min(...times), Math.max(...times)];
        const copy = { ...made };
        if (blocksOf(copy) !== undefined) return false;
        const count = readings
          .filter(({ kind }) => !(apart && kind === 3))
          .reduce((sum, { kind }) => sum + (series[kind]?.metrics.length ?? 0), 0);
        return (
          made.samples.length === count + (apart ? 0 : loose.length) &&
          same(spanOfFrame(made) ?? null, span ?? null) &&
          Buffer.compare(encodeFrame(made), encodeFrame(copy)) === 0 &&
          same(
            grouped(decodeFrame(encodeFrame(made))).samples,
            grouped({ ...copy }).samples.map((one) => ({ ...one, timeMs: Math.round(one.timeMs) })),
          )
        );
      }),
    );
    // The seed differs in each run: that it came about at all is what is asked for, 29 to 60 times is usual.
    t.ok(asColumns > 5, `${asColumns} were columns`);
  },
);

t.test(
  'a frame with events of kinds from a newer program is read whole, and they are carried along as they came',
  async (t) => {
    const { packWithHead } = await import('./hostile.js');
    const head = { b: 'b', m: 1, w: 1, t: 'ntp', s: [] };
    holds(
      t,
      'unknown kinds among known ones',
      fc.property(frame, fc.array(unknownAlertEvent, { minLength: 1, maxLength: 3 }), fc.nat(), (one, unknown, at) => {
        const mixed: unknown[] = [...one.events];
        mixed.splice(at % (mixed.length + 1), 0, ...unknown);
        const read = decodeFrame(packWithHead({ ...head, e: mixed }));
        const whole = decodeFrame(encodeFrame({ ...one, unknownEvents: unknown }));
        return (
          same([read.events, read.unknownEvents], [one.events, unknown]) &&
          same(whole, grouped({ ...one, unknownEvents: unknown })) &&
          same(decodeFrame(encodeFrame(whole)), whole)
        );
      }),
      300,
    );
    t.notOk('unknownEvents' in decodeFrame(packWithHead(head)), 'none where there are none');
    for (const e of [[{}], [{ kind: 5 }], ['escalated'], [[]], [{ kind: 'escalated' }, { kind: 'cleared' }]])
      t.ok(
        throwsCodecError(() => decodeFrame(packWithHead({ ...head, e }))),
        JSON.stringify(e),
      );
  },
);

t.test('what cannot be packed is refused with CodecError, never packed wrong', async (t) => {
  const good: Sample = { deviceId: 'd', metric: 'generation_kw', timeMs: 5, value: 1, quality: 0 };
  for (const change of [
    { value: Number.NaN },
    { value: Number.POSITIVE_INFINITY },
    { value: 1e300 },
    { timeMs: Number.NaN },
    { timeMs: 1e300 },
    { quality: 256 },
    { quality: -1 },
    { quality: 0.5 },
  ])
    t.throws(() => encodeFrame(simpleFrame([{ ...good, ...change }])), CodecError, JSON.stringify(change));
});

t.test('a frame cut short, with bytes added, or with any byte changed is told as CodecError', async (t) => {
  const bytes = encodeFrame({
    ...simpleFrame([
      { deviceId: 'inv-1', metric: 'generation_kw', timeMs: 1_767_225_599_000, value: 4.213, quality: 0 },
      { deviceId: 'inv-1', metric: 'generation_kw', timeMs: 1_767_225_600_000, value: null, quality: 66 },
      { deviceId: 'bat-1', metric: 'battery_power_kw', timeMs: 1_767_225_600_000, value: -2.5, quality: 0 },
    ]),
    received: [{ deviceId: 'inv-1', boot: 'k3f9', seqs: [1, 2] }],
  });
  for (let length = 0; length < bytes.length; length += 1)
    if (!throwsCodecError(() => decodeFrame(bytes.slice(0, length)))) t.fail(`cut to ${length} bytes`);
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] as number) ^ (1 << bit);
      if (!throwsCodecError(() => decodeFrame(flipped))) t.fail(`bit ${bit} of byte ${at}`);
    }
  }
  t.ok(
    throwsCodecError(() => decodeFrame(new Uint8Array([...bytes, 0]))),
    'one byte more',
  );
  holds(
    t,
    'several bytes changed',
    fc.property(
      frame.map(encodeFrame),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
      (packed, changes) => {
        const changed = packed.slice();
        for (const [at, by] of changes) changed[at % packed.length] = (changed[at % packed.length] as number) ^ by;
        return Buffer.compare(changed, packed) === 0 || throwsCodecError(() => decodeFrame(changed));
      },
    ),
    200,
  );
});

t.test(
  'bytes that are no frame but carry a right checksum, as a hostile gateway may send them, are told too',
  async (t) => {
    const { packWithHead, packBody } = await import('./hostile.js');
    holds(
      t,
      'noise under a right checksum',
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodesOrTells(() => decodeFrame(packBody(bytes)))),
      300,
    );
    holds(
      t,
      'any JSON as head',
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.uint8Array({ maxLength: 40 }), (head, rest) =>
        decodesOrTells(() => decodeFrame(packWithHead(head, rest))),
      ),
      300,
    );
    const head = { b: 'b', m: 1, w: 1, t: 'ntp', s: [] as unknown[] };
    t.same(decodeFrame(packWithHead(head)).samples, [], 'the head itself is right');
    const event = { id: 'E', alert_id: 'A', grid_id: 'alpha', at_ms: 1, origin: { kind: 'gateway', id: 'g' } };
    for (const wrong of [
      null,
      [],
      { ...head, b: 5 },
      { ...head, m: '1' },
      { ...head, w: null },
      { ...head, w: 1e300 },
      { ...head, t: 'sundial' },
      { ...head, s: [null] },
      { ...head, s: [['d', 'generation_kw']] },
      { ...head, s: [['d', 'generation_kw', 400]] },
      { ...head, s: [['d', 'generation_kw', -1]] },
      { ...head, s: [[{}, 'generation_kw', 1]] },
      { ...head, s: {} },
      { ...head, e: {} },
      { ...head, e: [null] },
      { ...head, e: [{ ...event, kind: 'raised' }] },
      { ...head, e: [{ ...event, kind: 'noted', note: 5, actor: { user_id: 'u', name: 'n' } }] },
      { ...head, e: [{ ...event, kind: 'cleared', value: null, at_ms: '1' }] },
      { ...head, e: [{ ...event, kind: 'acknowledged', note: null, actor: null }] },
      { ...head, n: [5] },
      { ...head, n: [{ type: 'clock', boot: 'b', correction_ms: 'x', trust: 'ntp' }] },
      { ...head, r: [['d', 'b']] },
      { ...head, r: [['d', 'b', ['1']]] },
    ])
      t.ok(
        throwsCodecError(() => decodeFrame(packWithHead(wrong, wrong === null ? [] : [0, 0, 0, 0]))),
        JSON.stringify(wrong),
      );
    // One series that claims many samples: refused before anything is reserved for them.
    const many = { ...head, s: [['d', 'generation_kw', 3]] };
    t.throws(() => decodeFrame(packWithHead(many, [255, 255, 255, 255, 255, 15])), CodecError, 'claims 2^39 samples');
  },
);

t.test('frames of the vectors decode and encode to the same bytes; the bad ones are refused', async (t) => {
  const { frames, bad } = vectors<{
    frames: { name: string; bytes: string; frame: Frame }[];
    bad: { name: string; bytes: string; reason: string }[];
  }>('frames');
  for (const one of frames) {
    t.same(decodeFrame(fromHex(one.bytes)), one.frame, one.name);
    t.equal(Buffer.from(encodeFrame(one.frame)).toString('hex'), one.bytes, one.name);
  }
  for (const one of bad)
    t.throws(() => decodeFrame(fromHex(one.bytes)), { name: 'CodecError', message: new RegExp(one.reason) }, one.name);
  t.ok(frames.length >= 3 && bad.length >= 4);
});

t.test('an envelope comes back as it was packed, and other bytes are told as CodecError', async (t) => {
  const envelope = fc.record({
    epoch: identifier,
    first: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    plan: fc.constantFrom(...plans),
    receiptWanted: fc.boolean(),
    frames: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 6 }),
  });
  holds(
    t,
    'envelopes',
    fc.property(envelope, (one) => {
      const back = decodeEnvelopeBody(encodeEnvelopeBody(one));
      return same(back, one);
    }),
  );
  holds(
    t,
    'changed envelopes',
    fc.property(envelope.map(encodeEnvelopeBody), fc.nat(), fc.integer({ min: 0, max: 255 }), (bytes, at, by) => {
      const changed = bytes.slice();
      changed[at % bytes.length] = by;
      decodesOrTells(() => decodeEnvelopeBody(changed));
      decodesOrTells(() => decodeEnvelopeBody(bytes.slice(0, at % bytes.length)));
    }),
    300,
  );
  for (const head of [
    'null',
    '[]',
    '5',
    '{}',
    '{"v":1}',
    '{"v":1,"ep":"e","first":0}',
    '{"v":1,"ep":"e","first":1.5}',
    '{"v":2}',
    'x',
  ]) {
    const writer = new ByteWriter();
    writer.text(head);
    writer.unsigned(0);
    t.throws(() => decodeEnvelopeBody(writer.finish()), CodecError, head);
  }
});

t.test('the hash of a series does not depend on order, adds up over parts, and changes with any field', async (t) => {
  const point = sample.map(({ timeMs: at, value, quality }) => ({ at, value, quality }));
  const hash = (
    device: string,
    id: string,
    points: readonly { at: number; value: number | null; quality: number }[],
  ) => {
    const add = seriesHasher(device, id);
    const digest = emptyDigest();
    for (const { at, value, quality } of points) add(digest, at, value, quality);
    return digest;
  };
  holds(
    t,
    'order and parts',
    fc.property(
      identifier,
      metric,
      fc
        .array(point)
        .chain((all) =>
          fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }), fc.nat(all.length)),
        ),
      (device, id, [points, shuffled, cut]) => {
        const whole = hash(device, id, points);
        const parts = hash(device, id, points.slice(0, cut));
        addDigest(parts, hash(device, id, points.slice(cut)));
        return same(hash(device, id, shuffled), whole) && same(parts, whole);
      },
    ),
  );
  holds(
    t,
    'any change shows',
    fc.property(
      identifier,
      metric,
      fc.array(point, { maxLength: 5 }),
      timeMs,
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 255 }),
      (device, id, others, at, later, more, worse) => {
        const step = 10 ** -metricPrecision(id);
        const base = { at, value: 0, quality: 0 };
        const variants = [
          hash(device, id, [...others, base]),
          hash(device, id, [...others, { ...base, at: at + later }]),
          hash(device, id, [...others, { ...base, value: more * step }]),
          hash(device, id, [...others, { ...base, value: -more * step }]),
          hash(device, id, [...others, { ...base, value: null }]),
          hash(device, id, [...others, { ...base, quality: worse }]),
          hash(device, id, others),
          hash(`${device}x`, id, [...others, base]),
          hash(device, `${id}x`, [...others, base]),
        ].map(digestHex);
        return new Set(variants).size === variants.length;
      },
    ),
    300,
  );
});

t.test('hashes of the vectors are the same here', async (t) => {
  const { series } = vectors<{
    series: {
      device_id: string;
      metric: string;
      precision: number;
      samples: [number, number | null, number][];
      hash: string;
    }[];
  }>('series-hash');
  for (const one of series) {
    t.equal(metricPrecision(one.metric), one.precision);
    const add = seriesHasher(one.device_id, one.metric);
    const digest = emptyDigest();
    for (const [at, value, quality] of one.samples) add(digest, at, value, quality);
    t.equal(digestHex(digest), one.hash, `${one.device_id} ${one.metric}`);
    t.equal(digest.count, one.samples.length);
  }
  t.ok(series.length >= 5);
});

const zip: Compressor = {
  compress: (bytes) => deflateRawSync(bytes, { level: 9 }),
  decompress: (bytes, length) => inflateRawSync(bytes, { maxOutputLength: Math.max(1, length) }),
};

/** Columns of one series in order of time, with repeats of a time, missing numbers and mixed qualities. */
const chunk: fc.Arbitrary<ChunkColumns> = fc
  .array(
    fc.record({
      time: timeMs,
      value: fc.oneof(fc.integer(), fc.constant(Number.NaN), fc.integer({ min: -1e15, max: 1e15 })),
      quality: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })),
    }),
    { maxLength: 60 },
  )
  .map((rows) => {
    rows.sort((a, b) => a.time - b.time);
    return {
      times: Float64Array.from(rows, (row) => row.time),
      values: Float64Array.from(rows, (row) => row.value),
      qualities: Uint8Array.from(rows, (row) => row.quality),
    };
  });

const sameColumns = (a: ChunkColumns, b: ChunkColumns): boolean =>
  (['times', 'values', 'qualities'] as const).every(
    (column) =>
      a[column].length === b[column].length && a[column].every((one, i) => one === b[column][i] || one !== one),
  );

t.test('a chunk comes back as it was packed, with its own times or with those it shares', async (t) => {
  holds(
    t,
    'chunks',
    fc.property(chunk, fc.array(timeMs, { maxLength: 20 }), (one, others) => {
      const base = Float64Array.from([...one.times, ...others]).sort();
      const times = unpackTimes(packTimes(base, zip), zip);
      const values = packValues(one, times, zip);
      return values !== undefined && sameColumns(unpackValues(values, times, zip), one);
    }),
    300,
  );
  holds(
    t,
    'times that are not shared',
    fc.property(chunk, chunk, (one, other) => {
      const rest = [...other.times];
      const within = [...one.times].every((time) => {
        const at = rest.indexOf(time);
        if (at >= 0) rest.splice(at, 1);
        return at >= 0;
      });
      return within === (packValues(one, other.times, zip) !== undefined);
    }),
  );
  const columns = { times: Float64Array.of(1, 2), values: Float64Array.of(1, 2), qualities: Uint8Array.of(0, 0) };
  t.throws(() => packTimes(Float64Array.of(2, 1), zip), CodecError, 'times go back');
  t.throws(() => packTimes(Float64Array.of(Number.NaN), zip), CodecError);
  t.throws(() => packValues({ ...columns, values: Float64Array.of(1, 0.5) }, columns.times, zip), CodecError);
});

t.test('an hour of a meter every 5 s with 16 ms of jitter takes less than a byte and a half a sample', async (t) => {
  // Twelve series share the times, so these count for a twelfth.
  let state = 7;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const times = Float64Array.from({ length: 720 }, (_, i) => 1_767_225_600_000 + i * 5000 + Math.round(random() * 32));
  const values = Float64Array.from(times, (_, i) => Math.round(4000 + 900 * Math.sin(i / 120) + (random() - 0.5) * 20));
  const own = packTimes(times, zip).length;
  const body = packValues({ times, values, qualities: new Uint8Array(720) }, times, zip)?.length ?? Number.NaN;
  t.ok(own / 720 < 0.85, `${own / 720} B a time`);
  t.ok(body / 720 < 0.85, `${body / 720} B a value`);
});

const windowsOf = (widthMs: number): fc.Arbitrary<RollupWindow[]> =>
  fc
    .array(
      fc.record({
        slot: fc.integer({ min: -5, max: 1e7 }),
        values: fc.array(fc.oneof(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -1e15, max: 1e15 })), {
          minLength: 1,
          maxLength: 5,
        }),
        late: fc.integer({ min: 0, max: widthMs - 1 }),
      }),
      { maxLength: 30 },
    )
    .map((all) => [...new Map(all.map((one) => [one.slot, one])).values()].sort((a, b) => a.slot - b.slot))
    .map((all) =>
      all.map(({ slot, values, late }) => ({
        startMs: slot * widthMs,
        min: Math.min(...values),
        max: Math.max(...values),
        sum: values.reduce((sum, one) => sum + one, 0),
        count: values.length,
        last: values.at(-1) as number,
        lastMs: slot * widthMs + late,
      })),
    );

t.test('windows and digests come back as they were packed', async (t) => {
  holds(
    t,
    'windows',
    fc.property(windowsOf(900_000), (one) => same(unpackWindows(packWindows(one, 900_000, zip), 900_000, zip), one)),
    300,
  );
  const lane = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const digests = fc.array(fc.tuple(fc.integer(), fc.record({ count: fc.nat(), a: lane, b: lane })), { maxLength: 30 });
  holds(
    t,
    'digests',
    fc.property(digests, (one) => same(unpackDigests(packDigests(one, zip), zip), one)),
  );
  t.throws(
    () => packWindows([{ startMs: 5, min: 1, max: 1, sum: 1, count: 1, last: 1, lastMs: 5 }], 900_000, zip),
    CodecError,
  );
});

t.test(
  'a pack with any byte changed or cut off, and hostile bytes in a right wrapping, are told as CodecError',
  async (t) => {
    const times = Float64Array.of(1, 2, 3);
    const columns = { times, values: Float64Array.of(1, Number.NaN, 3), qualities: Uint8Array.of(0, 66, 0) };
    const packs: ReadonlyArray<readonly [Uint8Array, (bytes: Uint8Array) => unknown]> = [
      [packTimes(times, zip), (bytes) => unpackTimes(bytes, zip)],
      [packValues(columns, times, zip) as Uint8Array, (bytes) => unpackValues(bytes, times, zip)],
      [
        packWindows(fc.sample(windowsOf(60_000), { numRuns: 1, seed: 3 })[0] as RollupWindow[], 60_000, zip),
        (bytes) => unpackWindows(bytes, 60_000, zip),
      ],
      [packDigests([[5, { count: 1, a: 2, b: 3 }]], zip), (bytes) => unpackDigests(bytes, zip)],
    ];
    for (const [bytes, unpack] of packs) {
      for (let length = 0; length < bytes.length; length += 1)
        if (!throwsCodecError(() => unpack(bytes.slice(0, length)))) t.fail(`cut to ${length}`);
      for (let at = 0; at < bytes.length; at += 1) {
        const changed = bytes.slice();
        changed[at] = (changed[at] as number) ^ 1;
        if (!throwsCodecError(() => unpack(changed))) t.fail(`byte ${at} changed`);
      }
    }
    const wrapped = (kind: number) => (body: Uint8Array) => {
      const writer = new ByteWriter();
      writer.byte(kind);
      writer.raw(body);
      const whole = writer.finish();
      const bytes = new Uint8Array(whole.length + 4);
      bytes.set(whole);
      new DataView(bytes.buffer).setUint32(whole.length, crc32(whole));
      return bytes;
    };
    holds(
      t,
      'hostile bytes',
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(2, 3, 4), (body, kind) => {
        for (const [, unpack] of packs) decodesOrTells(() => unpack(wrapped(kind)(body)));
        return true;
      }),
      500,
    );
  },
);

t.test('restamp moves what a wrong clock dated, once, and nothing else', async (t) => {
  const one = (quality: number, timeMs = 1000): Sample => ({
    deviceId: 'a',
    metric: 'generation_kw',
    timeMs,
    value: 1,
    quality,
  });
  const of = (more: Partial<Frame>): Frame => ({ ...simpleFrame([one(1), one(0), one(64), one(2)]), ...more });
  const clockEntry = (correction_ms: number, trust: Frame['trust'] = 'ntp', boot = 'b') =>
    ({ type: 'clock', boot, correction_ms, trust }) as const;
  const carrier = (ms: number, entry: ReturnType<typeof clockEntry>) =>
    of({
      monotonicMs: ms,
      trust: 'ntp',
      samples: [],
      entries: [entry.boot === 'b' ? { ...entry, until_ms: ms } : entry],
    });
  const by = (frame: Frame, ...carriers: Frame[]) => {
    const made = restamp(
      frame,
      carriers.flatMap((each, index) => correctionsIn(each, 100 + index)),
    );
    return made === frame ? 'same' : made.samples.map(({ timeMs, quality }) => [timeMs, quality]);
  };
  const early = { monotonicMs: 5 };
  t.same(by(of({ ...early, trust: 'floor' }), carrier(9, clockEntry(50))), [
    [1050, 0],
    [1050, 0],
    [1050, 64],
    [1050, 2],
  ]);
  t.same(
    by(of({ ...early, trust: 'phone' }), carrier(9, clockEntry(50))),
    [
      [1050, 0],
      [1000, 0],
      [1050, 64],
      [1000, 2],
    ],
    'what a node dated stays',
  );
  t.same(
    by(of({ ...early, trust: 'phone' })),
    [
      [1000, 0],
      [1000, 0],
      [1000, 64],
      [1000, 2],
    ],
    'a mark under a trusted time is none',
  );
  t.same(by(of({ ...early, trust: 'ntp' }), carrier(9, clockEntry(50))), 'same');
  t.same(
    by(of({ monotonicMs: 9, trust: 'floor' }), carrier(9, clockEntry(0)))?.[0],
    [1000, 0],
    'the same millisecond, the old trust: before',
  );
  t.same(
    by(of({ monotonicMs: 9, trust: 'cloud' }), carrier(9, clockEntry(50, 'cloud')))?.[0],
    [1000, 0],
    'the new trust: after',
  );
  t.same(by(of({ monotonicMs: 10, trust: 'floor' }), carrier(9, clockEntry(50))), 'same');
  t.same(
    by(of({ ...early, trust: 'floor' }), carrier(9, clockEntry(50, 'phone')), carrier(20, clockEntry(-7)))?.[0],
    [1043, 0],
    'corrections add up',
  );
  t.same(
    by(of({ ...early, boot: 'old', trust: 'floor' }), carrier(1, clockEntry(50, 'floor', 'old')))?.[0],
    [1050, qualityCodes.uncertain_clock],
    'an earlier run that is only bounded stays uncertain',
  );
  t.same(
    by(of({ ...early, trust: 'floor' }), carrier(9, clockEntry(1e15))),
    'same',
    'nobody believes a correction of ages',
  );
  const origin = (kind: 'gateway' | 'cloud') => ({ kind, id: 'x' });
  const acts = of({
    ...early,
    trust: 'floor',
    events: [
      { kind: 'cleared', id: '1', alert_id: 'a', grid_id: 'g', at_ms: 1000, origin: origin('gateway'), value: null },
      {
        kind: 'noted',
        id: '2',
        alert_id: 'a',
        grid_id: 'g',
        at_ms: 1000,
        origin: origin('cloud'),
        note: 'n',
        actor: { user_id: 'u', name: 'U' },
      },
    ],
    entries: [{ type: 'link_state', device_id: 'a', state: 'online', time_ms: 1000 }],
  });
  const moved = restamp(acts, correctionsIn(carrier(9, clockEntry(50)), 7));
  t.same(
    moved.events.map(({ at_ms }) => at_ms),
    [1050, 1000],
    'what was done at the cloud has the cloud’s time',
  );
  t.match(moved.entries, [{ time_ms: 1050 }]);
});

t.test(
  'a time corrected twice by the same source: what was closed before is moved, what carries the correction is not',
  (t) => {
    const entry = {
      type: 'clock',
      id: 'c1',
      boot: 'b',
      correction_ms: -49_000,
      trust: 'cloud',
      until_ms: 1001,
    } as const;
    const closed = {
      boot: 'b',
      monotonicMs: 1000,
      wallMs: 5e9,
      trust: 'cloud',
      events: [],
      entries: [],
      received: [],
    } as const;
    const samples = [
      { deviceId: 'd', metric: 'generation_kw', timeMs: 4e9, value: 1, quality: qualityCodes.uncertain_clock },
    ];
    const carrier: Frame = { ...closed, samples, entries: [entry] };
    const corrections = correctionsIn(carrier, 7);
    t.equal(restamp({ ...closed, samples }, corrections).samples[0]?.timeMs, 4e9 - 49_000);
    t.equal(restamp(carrier, corrections).samples[0]?.timeMs, 4e9);
    t.end();
  },
);
