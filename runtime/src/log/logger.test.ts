import t from 'tap';
import { createLogger, realClock, withCorrelation } from '../index.js';
import { memoryLog, testClock } from '../testing/index.js';

t.test('a line carries time, level, part, message, fields and the correlation id of its task', async (t) => {
  const { log, lines } = memoryLog({ clock: testClock(0) });
  await withCorrelation('c1', async () => {
    await Promise.resolve();
    log.child('uplink', { grid: 'g' }).info('sent', { count: 3, level: 'x' });
  });
  log.warn('outside');
  t.match(lines[0], {
    level: 'info',
    time: '1970-01-01T00:00:00.000Z',
    name: 'test/uplink',
    msg: 'sent',
    grid: 'g',
    count: 3,
    field_level: 'x',
    correlation_id: 'c1',
  });
  t.notOk('correlation_id' in (lines[1] ?? {}));
});

t.test('nothing secret is written, at any depth, in errors or in texts', async (t) => {
  const written: string[] = [];
  const log = createLogger({
    name: 't',
    clock: realClock(),
    destination: { write: (line) => void written.push(line) },
  });
  const circle: Record<string, unknown> = { password: 'canary' };
  circle.circle = circle;
  const pem = '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----';
  log.error(`start ${pem} Bearer canarycanary`, {
    password: 'canary',
    nested: { access_token: 'canary', list: [{ privateKeyPem: 'canary', api_key: 'canary' }] },
    circle,
    error: new Error(`broke ${pem}`, { cause: new Error('Authorization: Basic canarycanary') }),
    bytes: Buffer.from('canary'),
  });
  t.notMatch(written.join(''), /canary/);
  t.match(written.join(''), /taken out/);
});

t.test('identical lines beyond the first few become one line with their number when the minute ends', async (t) => {
  const clock = testClock();
  const { log, lines } = memoryLog({ clock, foldAfter: 3 });
  for (let i = 0; i < 1000; i += 1) log.warn('sensor is silent', { device: 'd1' });
  log.warn('sensor is silent', { device: 'd2' });
  t.equal(lines.length, 4);
  await clock.advance(60_000);
  t.equal(lines.length, 5);
  t.match(lines[4], { msg: 'sensor is silent', device: 'd1', repeated: 997, level: 'warn' });
  log.warn('sensor is silent', { device: 'd1' });
  t.equal(lines.length, 6, 'the next minute starts afresh');
});

t.test(
  'one trouble told in a thousand ways is told a few times and then counted; news that is none is not',
  async (t) => {
    const clock = testClock();
    const { log, lines } = memoryLog({ clock, foldAfter: 3 });
    for (let i = 0; i < 1000; i += 1) log.error('not taken', { code: 'E_NOT_DURABLE', device: `d${i}` });
    t.equal(lines.length, 12);
    await clock.advance(60_000);
    t.match(lines[12], { msg: 'not taken', code: 'E_NOT_DURABLE', repeated: 988, other_fields_differ: true });
    for (let i = 0; i < 100; i += 1) log.info('device up', { device: `d${i}` });
    t.equal(lines.length, 113);
  },
);
