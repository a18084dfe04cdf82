import { join } from 'node:path';
import t from 'tap';
import { Type } from 'typebox';
import { configReferenceMarkdown, describeConfig, loadConfig } from '../index.js';
import { tempDir } from '../testing/index.js';

const schema = Type.Object({
  grid_id: Type.String({ pattern: '^[a-z0-9-]+$', description: 'Id of the village.' }),
  http: Type.Object({
    port: Type.Integer({ minimum: 1, maximum: 65535, default: 8080, description: 'Port of the app.' }),
    host: Type.String({ default: '0.0.0.0' }),
  }),
  level: Type.Union([Type.Literal('info'), Type.Literal('debug')], { default: 'info' }),
  tls: Type.Optional(Type.Object({ cert: Type.String(), days: Type.Number({ default: 90 }) })),
  links: Type.Array(
    Type.Union([
      Type.Object({ type: Type.Literal('modbus'), host: Type.String(), timeout_ms: Type.Integer({ default: 500 }) }),
      Type.Object({ type: Type.Literal('serial'), path: Type.String() }),
    ]),
    { default: [], description: 'Lines to devices.' },
  ),
  limits: Type.Record(Type.String({ pattern: '^[a-z]+$' }), Type.Object({ high: Type.Number({ default: 70 }) }), {
    default: {},
  }),
});
const load = (text: string, overrides: Record<string, unknown> = {}) =>
  loadConfig(schema, { path: 'gateway.yaml', text, overrides });
const refusal = (text: string, overrides: Record<string, unknown> = {}): string => {
  try {
    load(text, overrides);
  } catch (error) {
    return (error as { detail: string }).detail;
  }
  return 'accepted';
};

t.test(
  'defaults come from the schema, at every depth, and what the file says wins; overrides win over the file',
  async (t) => {
    t.same(load('grid_id: a'), {
      grid_id: 'a',
      http: { port: 8080, host: '0.0.0.0' },
      level: 'info',
      links: [],
      limits: {},
    });
    t.same(load('grid_id: a\nhttp:\n'), load('grid_id: a'), 'an empty mapping is its defaults');
    const text = 'grid_id: a\nhttp: {port: 1}\ntls: {cert: x}\nlinks: [{type: modbus, host: h}]\nlimits: {soc: {}}';
    t.match(load(text, { 'http.port': 2, 'http.host': undefined }), {
      http: { port: 2, host: '0.0.0.0' },
      tls: { days: 90 },
      links: [{ timeout_ms: 500 }],
      limits: { soc: { high: 70 } },
    });
  },
);

t.test('an error names file, line, setting, what was found and what is allowed', async (t) => {
  t.match(
    refusal('grid_id: a\nhttp:\n  port: 99999\n'),
    /^gateway\.yaml:3: http\.port: found 99999; it must be a whole number from 1 to 65535 \(Port of the app\)\.$/,
  );
  t.match(refusal('http: {}'), /grid_id: missing; it must be a text of the form/);
  t.match(refusal('grid_id: a\nlevel: loud'), /:2: level: found "loud"; it must be one of "info", "debug"\.$/);
  t.match(
    refusal('grid_id: a\nlinks:\n  - type: modbus\n    host: 5\n'),
    /:4: links\[0\]\.host: found 5; it must be a text/,
  );
  t.match(refusal('grid_id: a\nlinks:\n  - type: canbus\n'), /:3: links\[0\]/);
  t.match(refusal('grid_id: a', { 'http.port': 'x' }), /^\(given beside gateway\.yaml\): http\.port: found "x"/);
  t.equal(refusal('grid_id: A B\nlevel: 1\nhttp: {port: 0}').split('\n').length, 3, 'all problems at once');
  t.match(refusal('- a\n- b'), /must be a mapping/);
});

t.test('an unknown setting is told with the nearest known one', async (t) => {
  t.match(
    refusal('grid_id: a\nhttp:\n  prot: 80\n'),
    /^gateway\.yaml:3: http\.prot: unknown setting; did you mean port\?\.?$/,
  );
  t.match(
    refusal('grid_id: a\nlinks:\n - {type: modbus, host: h, timeout: 3}'),
    /links\[0\]\.timeout: unknown setting; did you mean timeout_ms/,
  );
  t.match(refusal('grid_id: a\nzzzzzz: 1'), /known here: grid_id, http/);
  t.match(refusal('grid_id: a\n__proto__: {x: 1}'), /__proto__: unknown setting/);
});

t.test('a broken or missing file is told with its line or path', async (t) => {
  t.throws(() => load('a: 1\nb: [1, 2\nc: 3'), { code: 'E_CONFIG_SYNTAX', detail: /gateway\.yaml:\d/ });
  t.throws(() => load('grid_id: a\ngrid_id: b'), { code: 'E_CONFIG_SYNTAX', detail: /:2: / });
  t.throws(() => loadConfig(schema, { path: join(tempDir(t), 'none.yaml') }), {
    code: 'E_CONFIG_READ',
    detail: /none\.yaml/,
  });
});

t.test('help and reference list every setting with what it may be, its default and its meaning', async (t) => {
  const rows = describeConfig(schema);
  t.same(
    rows.map((row) => row.path),
    [
      'grid_id',
      'http.port',
      'http.host',
      'level',
      'tls.cert',
      'tls.days',
      'links',
      'links[].type',
      'links[].host',
      'links[].timeout_ms',
      'links[].path',
      'limits.<name>.high',
    ],
  );
  t.match(rows[1], {
    type: 'a whole number from 1 to 65535',
    default: '8080',
    description: 'Port of the app.',
    required: false,
  });
  t.equal(rows[0]?.required, true);
  t.match(
    configReferenceMarkdown('Settings', schema),
    /\| `http\.port` \| a whole number from 1 to 65535 \| `8080` \| Port of the app\. \|/,
  );
});
