import fc from 'fast-check';
import t from 'tap';
import {
  bodyOf,
  bodyProblem,
  canonicalJson,
  editItems,
  idPattern,
  idTimeMs,
  isIdentifier,
  isMetricIdForm,
  lanes,
  mergeItems,
  legacyDeviceId,
  maxMetricsPerReading,
  maxReadingsPerPublish,
  metricCatalogue,
  metricDefinition,
  metricIds,
  metricPrecision,
  newId,
  legacyTimeMs,
  parseMetricId,
  parseTelemetry,
  parseTelemetryText,
  parseTopic,
  quantise,
  TelemetryForm,
  topics,
  type DocumentItem,
  type DocumentSide,
  type MergeKind,
  type ParsedTelemetry,
} from '@villagrid/contracts';
import { identifier, metric } from './arbitraries.js';
import { holds } from './property.js';

const accepted = (parsed: ParsedTelemetry) => {
  if (!parsed.ok) throw new Error(`refused: ${parsed.code} ${parsed.detail}`);
  return parsed;
};
const refused = (parsed: ParsedTelemetry) => {
  if (parsed.ok) throw new Error('accepted');
  return parsed;
};
const values = (text: string) =>
  Object.fromEntries(
    (accepted(parseTelemetryText(text)).readings[0]?.values ?? []).map((one) => [one.metric, [one.value, one.quality]]),
  );

t.test('the payload of the product is understood: single, resent, with and without clock', async (t) => {
  const single = accepted(
    parseTelemetryText(
      '{"v":1,"boot":"k3f9","seq":1042,"up":5213340,"ts":1795341600000,"metrics":{"generation_kw":4.2134,"equipment_temp_c.inverter":41.2}}',
    ),
  );
  t.same(single, {
    ok: true,
    resent: false,
    findings: [],
    readings: [
      {
        boot: 'k3f9',
        seq: 1042,
        upMs: 5213340,
        timeMs: 1795341600000,
        values: [
          { metric: 'generation_kw', value: 4.213, quality: 0 },
          { metric: 'equipment_temp_c.inverter', value: 41.2, quality: 0 },
        ],
      },
    ],
  });
  const resent = accepted(
    parseTelemetryText(
      '{"v":1,"boot":"k3f9","readings":[{"seq":1040,"up":1,"metrics":{}},{"boot":"old","seq":7,"metrics":{"battery_soc_pct":null}}]}',
    ),
  );
  t.equal(resent.resent, true);
  t.match(resent.readings, [
    { boot: 'k3f9', seq: 1040, upMs: 1, timeMs: undefined },
    { boot: 'old', seq: 7, upMs: undefined, values: [{ metric: 'battery_soc_pct', value: null, quality: 66 }] },
  ]);
});

t.test('one odd metric harms no other: each is marked with its reason and counted', async (t) => {
  const text =
    '{"metrics":{"generation_kw":1e999,"consumption_kw":3.1,"battery_soc_pct":101,"humidity_pct":"55","ambient_temp_c":null,' +
    '"flow_l_min":2.71828,"Bad Name":1,"__proto__":5,"constructor":6,"ac_frequency_hz":{"a":1},"dc_bus_voltage_v":1e300,"grid_tie_enabled":true}}';
  t.same(values(text), {
    generation_kw: [null, 65],
    consumption_kw: [3.1, 0],
    battery_soc_pct: [101, 64],
    humidity_pct: [null, 69],
    ambient_temp_c: [null, 66],
    flow_l_min: [2.718, 2],
    constructor: [6, 2],
    ac_frequency_hz: [null, 69],
    dc_bus_voltage_v: [null, 64],
    grid_tie_enabled: [1, 0],
  });
  t.same(
    accepted(parseTelemetryText(text)).findings.map(({ code, metric: id }) => `${code} ${id}`),
    [
      'not_finite generation_kw',
      'out_of_range battery_soc_pct',
      'wrong_type humidity_pct',
      'unknown_metric flow_l_min',
      'metric_name Bad Name',
      'metric_name __proto__',
      'unknown_metric constructor',
      'wrong_type ac_frequency_hz',
      'out_of_range dc_bus_voltage_v',
    ],
  );
  t.equal(({} as Record<string, unknown>).polluted, undefined);
});

t.test('what is no telemetry is refused whole, saying what and where', async (t) => {
  const depth = 200_000;
  for (const [text, code, detail] of [
    ['', 'E_PAYLOAD_NOT_JSON', /./],
    ['{"metrics":{"a":1}', 'E_PAYLOAD_NOT_JSON', /./],
    ['NaN', 'E_PAYLOAD_NOT_JSON', /./],
    ['\u0000', 'E_PAYLOAD_NOT_JSON', /./],
    ['null', 'E_PAYLOAD_SCHEMA', /object/],
    ['[]', 'E_PAYLOAD_SCHEMA', /object/],
    ['5', 'E_PAYLOAD_SCHEMA', /object/],
    ['{}', 'E_PAYLOAD_SCHEMA', /metrics/],
    ['{"metrics":[]}', 'E_PAYLOAD_SCHEMA', /metrics/],
    ['{"__proto__":{"metrics":{"a":1}}}', 'E_PAYLOAD_SCHEMA', /metrics/],
    ['{"v":2,"metrics":{}}', 'E_PAYLOAD_SCHEMA', /v is 2/],
    ['{"seq":-1,"metrics":{}}', 'E_PAYLOAD_SCHEMA', /seq/],
    ['{"up":"1","metrics":{}}', 'E_PAYLOAD_SCHEMA', /up/],
    ['{"ts":1e999,"metrics":{}}', 'E_PAYLOAD_SCHEMA', /ts/],
    ['{"ts":null,"metrics":{}}', 'E_PAYLOAD_SCHEMA', /ts/],
    ['{"ts":9000000000000000,"metrics":{}}', 'E_PAYLOAD_SCHEMA', /ts/],
    ['{"boot":"","metrics":{}}', 'E_PAYLOAD_SCHEMA', /boot/],
    ['{"boot":"\\ud800","metrics":{}}', 'E_PAYLOAD_SCHEMA', /boot/],
    [`{"boot":"${'x'.repeat(33)}","metrics":{}}`, 'E_PAYLOAD_SCHEMA', /boot/],
    ['{"readings":{}}', 'E_PAYLOAD_SCHEMA', /readings/],
    ['{"readings":[{"metrics":{}},5]}', 'E_PAYLOAD_SCHEMA', /readings\[1\]/],
    ['{"readings":[{"metrics":{},"seq":{}}]}', 'E_PAYLOAD_SCHEMA', /readings\[0\]\.seq/],
    ['['.repeat(depth) + ']'.repeat(depth), 'E_PAYLOAD_SCHEMA', /object/],
    [`{"v":${'['.repeat(depth)}${']'.repeat(depth)},"metrics":{}}`, 'E_PAYLOAD_SCHEMA', /version 1/],
    [`{"v":"${'x'.repeat(100_000)}","metrics":{}}`, 'E_PAYLOAD_SCHEMA', /version 1/],
    [`{"readings":[${'{"metrics":{}},'.repeat(maxReadingsPerPublish)}{"metrics":{}}]}`, 'E_PAYLOAD_SCHEMA', /501/],
  ] as const) {
    const { code: found, detail: said } = refused(parseTelemetryText(text));
    t.equal(found, code, text.slice(0, 50));
    t.match(said, detail);
    t.ok(said.length < 300, 'a short sentence');
  }
  const deep = `{"metrics":{"generation_kw":${'['.repeat(depth)}${']'.repeat(depth)}}}`;
  t.same(values(deep), { generation_kw: [null, 69] });
});

t.test('a reading of too many metrics is cut and said so, also when their names are no names', async (t) => {
  for (const name of ['m', 'No Name ']) {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`${name}${i}`, 1]));
    const parsed = accepted(parseTelemetry({ metrics: many }));
    t.ok((parsed.readings[0]?.values.length ?? 0) <= maxMetricsPerReading);
    t.equal(parsed.findings.at(-1)?.code, 'too_many_metrics');
    t.ok(parsed.findings.length <= maxMetricsPerReading + 1, `${parsed.findings.length} findings`);
  }
});

t.test('any JSON, and any text, is answered: values at their resolution, nothing infinite, no error', async (t) => {
  const payload = fc.oneof(
    fc.jsonValue(),
    fc.record({
      v: fc.constant(1),
      metrics: fc.dictionary(metric, fc.oneof(fc.double(), fc.jsonValue()), { maxKeys: 5 }),
    }),
    fc.record({
      readings: fc.array(
        fc.record({ boot: fc.option(fc.string()), metrics: fc.dictionary(metric, fc.double(), { maxKeys: 5 }) }),
      ),
    }),
  );
  holds(
    t,
    'any JSON',
    fc.property(payload, (one) => {
      const parsed = parseTelemetry(one);
      if (!parsed.ok) return true;
      for (const { values: found, timeMs } of parsed.readings) {
        if (timeMs !== undefined && !Number.isSafeInteger(timeMs)) return false;
        for (const { metric: id, value, quality } of found) {
          if (value === null) {
            if (quality < 64) return false;
          } else if (!Number.isFinite(value) || quantise(value, metricPrecision(id)) !== value) return false;
        }
      }
      return true;
    }),
    500,
  );
  holds(
    t,
    'any text',
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      parseTelemetryText(text);
    }),
  );
});

t.test(
  'a time is Unix seconds, milliseconds or ISO text, the same wherever the gateway stands; else none',
  async (t) => {
    t.ok(isIdentifier(legacyDeviceId));
    for (const [said, timeMs] of [
      [1_767_225_600, 1_767_225_600_000],
      [1_767_225_600_123, 1_767_225_600_123],
      [1_767_225_600.5, 1_767_225_600_500],
      ['2026-01-01T00:00:00Z', 1_767_225_600_000],
      ['2026-01-01T01:00:00+01:00', 1_767_225_600_000],
      // Without a zone the text means UTC.
      ['2026-01-01T00:00:00', 1_767_225_600_000],
      ['2026-01-01 00:00:00.250000', 1_767_225_600_250],
      ['2026-01-01', 1_767_225_600_000],
    ] as const)
      t.equal(legacyTimeMs(said), timeMs, String(said));
    for (const odd of [undefined, null, '', 'yesterday', '12', 'January 1', 0, -5, 1e300, true, [], {}])
      t.equal(legacyTimeMs(odd), undefined, JSON.stringify(odd));
  },
);

t.test('every topic we make is read back as what it is; anything else is nobody’s', async (t) => {
  t.equal(topics.telemetry('alpha', 'inv-1'), 'microgrid/alpha/device/inv-1/telemetry', 'fixed by the product');
  t.equal(topics.alerts('alpha'), 'microgrid/alpha/alerts', 'fixed by the product');
  holds(
    t,
    'round trip',
    fc.property(identifier, identifier, fc.constantFrom(...lanes), (gridId, id, lane) => {
      const expected = [
        [topics.telemetry(gridId, id), { kind: 'telemetry', gridId, deviceId: id }],
        [topics.status(gridId, id), { kind: 'status', gridId, deviceId: id }],
        [topics.command(gridId, id), { kind: 'command', gridId, deviceId: id }],
        [topics.ack(gridId, id), { kind: 'ack', gridId, deviceId: id }],
        [topics.time(gridId, id), { kind: 'time', gridId, deviceId: id }],
        [topics.alerts(gridId), { kind: 'alerts', gridId }],
        [topics.up(gridId, id, lane), { kind: 'up', gridId, gatewayId: id, lane }],
        [topics.down(gridId, id), { kind: 'down', gridId, gatewayId: id }],
        [topics.gatewayStatus(gridId, id), { kind: 'gatewayStatus', gridId, gatewayId: id }],
      ] as const;
      for (const [topic, meaning] of expected) t.same(parseTopic(topic), meaning);
    }),
    20,
  );
  t.same(parseTopic('microgrid/data'), { kind: 'legacyData' });
  t.same(parseTopic('microgrid/alerts'), { kind: 'legacyAlerts' });
  for (const topic of [
    '',
    '/',
    'microgrid',
    'microgrid/',
    'microgrid/#',
    'microgrid/+/alerts',
    'microgrid/alpha',
    'microgrid/Alpha/alerts',
    'microgrid/alpha/alerts/',
    '/microgrid/alpha/alerts',
    'microgrid/alpha/device/+/telemetry',
    'microgrid/alpha/device/inv-1/telemetry/x',
    'microgrid/alpha/device/inv-1/anything',
    'microgrid/alpha/device/../telemetry',
    'microgrid/alpha/gateway/gw/up',
    'microgrid/alpha/gateway/gw/up/other',
    'microgrid/alpha/gateway/gw/down/live',
    `microgrid/${'a'.repeat(64)}/alerts`,
    '$SYS/broker',
  ])
    t.equal(parseTopic(topic), undefined, topic);
  holds(
    t,
    'any text',
    fc.property(fc.string(), (text) => parseTopic(text) === undefined || text.startsWith('microgrid/')),
  );
});

t.test('ids sort by time, are of one form, and tell their time', async (t) => {
  const random = (seed: number) => ({ float: () => 0, bytes: (n: number) => new Uint8Array(n).fill(seed) });
  const form = new RegExp(idPattern);
  holds(
    t,
    'order',
    fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), fc.nat(255), fc.nat(255), (a, b, x, y) => {
      const [first, second] = [newId(a * 1000, random(x)), newId(b * 1000, random(y))];
      return (
        form.test(first) &&
        idTimeMs(first) === a * 1000 &&
        (a === b || (a < b ? first < second : first > second)) &&
        (a !== b || x % 32 !== y % 32 || first === second)
      );
    }),
  );
  for (const odd of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, 0.5])
    t.match(newId(odd, random(1)), form, `${odd}`);
});

t.test('metric ids split into base and component; each known metric has a whole entry', async (t) => {
  t.same(parseMetricId('equipment_temp_c.inverter'), { base: 'equipment_temp_c', suffix: 'inverter' });
  t.same(parseMetricId('consumption_kw'), { base: 'consumption_kw', suffix: undefined });
  t.equal(metricDefinition('ac_output_voltage_v.l2')?.unit, 'V');
  for (const id of ['constructor', '__proto__', 'toString', 'nothing', '', '.inverter'])
    t.equal(metricDefinition(id), undefined, id);
  for (const id of ['', 'A', 'a b', 'a.', 'a.b.c', '.a', '1a', 'a'.repeat(49), `a.${'b'.repeat(33)}`, 'a/b', 'a\n'])
    t.notOk(isMetricIdForm(id), JSON.stringify(id));
  t.ok(metricIds.length >= 24);
  for (const id of metricIds) {
    const { unit, min, max, precision, aggregation, label, labelKey } = metricCatalogue[id];
    t.ok(isMetricIdForm(id) && min < max && Number.isInteger(precision) && precision >= 0 && precision <= 3, id);
    t.ok(
      label !== '' && labelKey === `metric.${id}` && (unit !== '' || aggregation === 'last'),
      `${id} has label and unit`,
    );
    if (id.endsWith('_kw')) t.ok('positive' in metricCatalogue[id], `${id} says what its sign means`);
  }
});

t.test('quantising keeps a value within half a step, twice is once, and the sign does not matter', async (t) => {
  holds(
    t,
    'quantise',
    fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.integer({ min: 0, max: 3 }), (value, precision) => {
      const rounded = quantise(value, precision);
      return (
        Math.abs(rounded - value) <= 0.5 * 10 ** -precision + Math.abs(value) * 1e-15 &&
        quantise(rounded, precision) === rounded &&
        Object.is(quantise(-value, precision), -rounded || 0)
      );
    }),
    1000,
  );
  t.equal(quantise(0.5, 0), 1);
  t.equal(quantise(-0.5, 0), -1);
  t.ok(Object.is(quantise(-0.4, 0), 0), 'no negative zero');
});

t.test('what a form of an earlier payload reads is what the full parser reads, whatever comes', async (t) => {
  const bytesOf = (text: string) => Buffer.from(text);
  const formOf = (text: string) => {
    const bytes = bytesOf(text);
    return TelemetryForm.of(bytes, 0, bytes.length, parseTelemetryText(text));
  };
  /** Reads a payload that lies within other bytes, as publishes do. */
  const read = (form: TelemetryForm, payload: Buffer) =>
    form.read(Buffer.concat([bytesOf('31'), payload, bytesOf('2}')]), 2, 2 + payload.length);
  let readByForm = 0;
  const agrees = (form: TelemetryForm, payload: Buffer): boolean => {
    if (!read(form, payload)) return true;
    readByForm += 1;
    const full = parseTelemetryText(payload.toString('utf8'));
    if (!full.ok || full.resent || full.findings.length > 0 || full.readings.length !== 1) return false;
    const [reading] = full.readings;
    return (
      reading !== undefined &&
      reading.boot === form.boot &&
      [reading.seq, reading.upMs, reading.timeMs].every((one, i) =>
        Object.is(one, [form.seq, form.upMs, form.timeMs][i]),
      ) &&
      reading.values.length === form.metrics.length &&
      reading.values.every(
        ({ metric, value, quality }, i) =>
          metric === form.metrics[i] &&
          quality === 0 &&
          Object.is(value, (form.values[i] as number) / 10 ** metricPrecision(metric)),
      )
    );
  };
  const plainNumber = fc.oneof(
    fc.integer({ min: -1, max: 90 }).map(String),
    fc.double({ min: 0, max: 79, noNaN: true }).map((one) => String(Number(one.toFixed(5)))),
  );
  const oddNumber = fc.constantFrom(
    ...[
      '-0',
      '0',
      '-0.0',
      '-0.04',
      '1e999',
      '1E2',
      '1e-2',
      '007',
      '1.',
      '.5',
      '--1',
      '+1',
      '100.04',
      '99.95',
      '0.0005',
    ],
    ...[
      '2000.0004',
      '50.5000000000000',
      '1234567890123456',
      '0.1234567890123456',
      '999999999999999',
      '12345678901',
      '',
    ],
    ...['true', 'null', '"5"', '[]', '{}', '-', '-.5', '1 2', 'NaN', '1.0049999999', '0.00049999999999999'],
  );
  const blank = fc.constantFrom('', '', '', ' ', '\n\t ');
  const payloads = fc
    .record({
      blank,
      boot: fc.option(fc.constantFrom('"k3f9"', '"b\u00fcro"', '"a\\u0062"', '" "', '"{,}"')),
      fields: fc.subarray(['"v"', '"seq"', '"up"', '"ts"'], { maxLength: 2 }),
      metrics: fc.uniqueArray(fc.constantFrom(...metricIds, 'equipment_temp_c.inverter'), {
        minLength: 1,
        maxLength: 6,
      }),
      first: fc.boolean(),
    })
    .map(({ blank: between, boot, fields, metrics, first }) => {
      const head = [
        ...(boot === null ? [] : [['"boot"', boot] as const]),
        ...fields.map((name) => [name, name === '"v"' ? '1' : '#'] as const),
      ];
      const values = `{${metrics.map((one) => `${between}"${one}":${between}#`).join()}}`;
      const all = first ? [['"metrics"', values] as const, ...head] : [...head, ['"metrics"', values] as const];
      return `${between}{${all.map(([name, value]) => `${name}${between}:${value}${between}`).join()}}${between}`;
    });
  const filled = (text: string, numbers: readonly string[]) => {
    let at = 0;
    return text.replaceAll('#', () => numbers[at++ % numbers.length] as string);
  };
  const mutation = fc.option(
    fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 3 }), fc.constantFrom(0x20, 0x22, 0x2c, 0x30, 0x35, 0x5c, 0x7d, 0xff)),
    { freq: 2 },
  );
  holds(
    t,
    'forms',
    fc.property(
      payloads,
      fc.array(fc.oneof({ weight: 9, arbitrary: plainNumber }, { weight: 1, arbitrary: oddNumber }), {
        minLength: 1,
        maxLength: 5,
      }),
      mutation,
      (text, numbers, change) => {
        const form = formOf(filled(text, ['1']));
        if (form === undefined) return text.includes('\\u');
        let payload = bytesOf(filled(text, numbers));
        if (change !== null) {
          const [place, gone, byte] = change;
          const at = place % (payload.length + 1);
          payload = Buffer.concat([payload.subarray(0, at), Buffer.from([byte]), payload.subarray(at + gone)]);
        }
        return agrees(form, payload);
      },
    ),
    2000,
  );
  t.ok(readByForm > 200, `${readByForm} were read by a form`);

  const form = formOf('{"v":1,"boot":"b","seq":1,"up":2,"ts":3,"metrics":{"battery_soc_pct":50.5}}');
  if (form === undefined) return t.fail('no form');
  t.ok(read(form, bytesOf('{"v":1,"boot":"b","seq":7,"up":8,"ts":1795341600000,"metrics":{"battery_soc_pct":-0}}')));
  t.same([form.seq, form.upMs, form.timeMs, form.values[0]], [7, 8, 1795341600000, 0]);
  for (const text of [
    '{"metrics":{"battery_soc_pct":1,"battery_soc_pct":2}}',
    '{"seq":1,"metrics":{"battery_soc_pct":1},"seq":2}',
    '{"metrics":{"flow_l_min":1}}',
    '{"metrics":{"battery_soc_pct":101}}',
    '{"metrics":{"battery_soc_pct":true}}',
    '{"metrics":{"battery_soc_pct":1},"note":"x"}',
    '{"boot":"b","readings":[{"seq":1,"metrics":{"battery_soc_pct":1}}]}',
    '{"metrics":{}}',
    '{"metrics":{"battery_soc_pct":1e1}}',
    'no JSON',
  ])
    t.equal(formOf(text), undefined, text);
});

type Step =
  | { readonly do: 'edit'; readonly at: DocumentSide; readonly id: string; readonly value: unknown }
  | { readonly do: 'send'; readonly from: DocumentSide }
  | { readonly do: 'deliver'; readonly to: DocumentSide; readonly pick: number; readonly again: boolean };

const side = fc.constantFrom<DocumentSide>('gateway', 'cloud');
const user = fc.record(
  {
    display_name: fc.constantFrom('Asha', 'Ben'),
    role: fc.constantFrom('viewer', 'operator', 'installer', 'admin'),
    disabled: fc.boolean(),
    password_hash: fc.constantFrom('h1', 'h2', 'h3'),
  },
  { requiredKeys: ['display_name', 'role', 'disabled'] },
);
const stepsOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('edit' as const), at: side, id: fc.constantFrom('a', 'b'), value }),
      fc.record({ do: fc.constant('send' as const), from: side }),
      fc.record({ do: fc.constant('deliver' as const), to: side, pick: fc.nat(), again: fc.boolean() }),
    ),
    { maxLength: 40 },
  );

/** Two ends that edit and send each other their state over a line that loses, repeats and swaps; then it is whole. */
function play(kind: MergeKind, steps: readonly Step[]) {
  const state: Record<DocumentSide, readonly DocumentItem[]> = { gateway: [], cloud: [] };
  const line: Record<DocumentSide, (readonly DocumentItem[])[]> = { gateway: [], cloud: [] };
  const edits: DocumentItem[] = [];
  const take = (at: DocumentSide, items: readonly DocumentItem[]) => {
    state[at] = mergeItems(kind, state[at], items).items;
  };
  for (const step of steps) {
    if (step.do === 'edit') {
      const edited = editItems(state[step.at], { ...bodyOf(state[step.at]), [step.id]: step.value }, step.at);
      state[step.at] = edited.items;
      edits.push(...edited.changed);
    } else if (step.do === 'send') line[step.from === 'cloud' ? 'gateway' : 'cloud'].push(state[step.from]);
    else {
      const waiting = line[step.to];
      const at = waiting.length === 0 ? 0 : step.pick % waiting.length;
      const message = waiting[at];
      if (message !== undefined) take(step.to, message);
      if (!step.again) waiting.splice(at, 1);
    }
  }
  for (let round = 0; round < 2; round += 1) {
    take('cloud', state.gateway);
    take('gateway', state.cloud);
  }
  return { ...state, edits };
}

t.test(
  'documents that both ends change become the same whatever comes when, and an edit that knew of the other stays',
  (t) => {
    for (const [kind, value] of [
      ['cloud_wins', fc.oneof(fc.nat(9), fc.constant(null))],
      ['deny_wins', fc.oneof(user, fc.constant(null))],
    ] as const)
      holds(
        t,
        kind,
        fc.property(stepsOf(value), (steps) => {
          const { gateway, cloud, edits } = play(kind, steps);
          if (canonicalJson(gateway) !== canonicalJson(cloud)) return false;
          return gateway.every(({ id, value: last, ver }) => {
            const newest = edits.find((one) => one.id === id && one.ver[0] === ver[0] && one.ver[1] === ver[1]);
            // What succeeds all others stands, unless something denied meanwhile what it did not know of.
            return newest === undefined || kind === 'deny_wins' || canonicalJson(newest.value) === canonicalJson(last);
          });
        }),
        400,
      );
    t.end();
  },
);

t.test('who was disabled or removed stays so on both ends unless somebody who knew of it let them in again', (t) => {
  const denied = (value: unknown) => value === null || (value as { disabled: boolean }).disabled;
  holds(
    t,
    'deny wins',
    fc.property(stepsOf(fc.oneof(user, fc.constant(null))), (steps) => {
      const { cloud, edits } = play('deny_wins', steps);
      return edits
        .filter(({ value }) => denied(value))
        .every((denial) => {
          const succeeded = edits.some(
            ({ id, ver, value }) =>
              id === denial.id && !denied(value) && ver[0] >= denial.ver[0] && ver[1] >= denial.ver[1],
          );
          return succeeded || denied(cloud.find(({ id }) => id === denial.id)?.value);
        });
    }),
    400,
  );
  t.end();
});

t.test('of two changes that knew nothing of each other the cloud’s is taken and the other is given back', (t) => {
  const base = editItems([], { a: 1 }, 'cloud').items;
  const here = editItems(base, { a: 2 }, 'gateway').items;
  const there = editItems(base, { a: 3 }, 'cloud').items;
  const expected = {
    items: [{ id: 'a', ver: [1, 2], value: 3 }],
    lost: [{ id: 'a', ver: [1, 1], value: 2, side: 'gateway' }],
  };
  t.same(mergeItems('cloud_wins', here, there), expected);
  t.same(mergeItems('cloud_wins', there, here), expected);
  t.same(bodyOf(editItems(there, {}, 'cloud').items), {}, 'what is taken away is gone');
  const person = { display_name: 'Asha', role: 'operator', disabled: false };
  const people = editItems([], { asha: person }, 'cloud').items;
  const disabled = editItems(people, { asha: { ...person, disabled: true } }, 'gateway').items;
  const raised = editItems(people, { asha: { ...person, role: 'admin' } }, 'cloud').items;
  t.match(mergeItems('deny_wins', raised, disabled).items, [{ value: { role: 'operator', disabled: true } }]);
  for (const [former, next] of [
    ['h1', 'h2'],
    ['h2', 'h1'],
  ]) {
    const known = editItems([], { asha: { ...person, password_hash: former } }, 'cloud').items;
    const renamed = editItems(
      known,
      { asha: { ...person, display_name: 'Zawadi', password_hash: former } },
      'gateway',
    ).items;
    const anew = editItems(known, { asha: { ...person, password_hash: next } }, 'cloud').items;
    for (const [one, other] of [
      [renamed, anew],
      [anew, renamed],
    ] as const)
      t.match(mergeItems('deny_wins', one, other).items, [{ value: { password_hash: next } }], 'a new password counts');
  }
  t.end();
});

t.test('a document that does not have its form is refused with what is wrong and where', (t) => {
  t.equal(bodyProblem('limits', { battery_low_pct: 35 }), undefined);
  t.equal(bodyProblem('limits', { battery_lo: 35 }), '/battery_lo is not known here');
  t.match(bodyProblem('limits', { battery_low_pct: 'low' }), /^\/battery_low_pct must be number/);
  t.equal(bodyProblem('rules', { mine: { id: 'other' } }), '/mine/id must be "mine" too');
  t.equal(
    bodyProblem('users', { 'Ben K': { display_name: 'B', role: 'viewer', disabled: false } }),
    '/Ben K is not known here',
  );
  t.equal(bodyProblem('grid', []), 'it is no JSON object');
  t.end();
});
