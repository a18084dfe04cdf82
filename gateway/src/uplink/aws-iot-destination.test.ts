import { createRequire } from 'node:module';
import { topics } from '@villagrid/contracts';
import { cryptoRandom, silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import t from 'tap';
import { awsIotLimits, createPacer, keepaliveWithin, whyTooMuch } from './aws-iot/limits.js';
import { createAwsIotDestination } from './index.js';
import { destinationSuite } from './testing/destination-suite.js';

/** It is installed beside, and has no build for every machine. */
const withoutLibrary = (() => {
  try {
    createRequire(import.meta.url).resolve('aws-iot-device-sdk-v2');
    return false;
  } catch {
    return 'aws-iot-device-sdk-v2 is not installed';
  }
})();
t.test('aws-iot', { skip: withoutLibrary }, (t) => {
  destinationSuite(t, 'aws-iot', ({ url, gatewayId, files, clock }) =>
    createAwsIotDestination({
      url,
      ...files,
      clientId: gatewayId,
      realClock: clock,
      random: cryptoRandom(),
      log: silentLogger(),
      backoff: { minMs: 50, maxMs: 500 },
      // The clock of one test runs forty times as fast, and a process starts no faster for that.
      within: { connectMs: 2_400_000, acknowledgeMs: 80_000 },
    }),
  );
  t.end();
});

t.test('what goes to AWS IoT Core stays within what it takes of one connection', (t) => {
  const clock = testClock();
  const pacer = createPacer(clock);
  const startMs = clock.monotonicMs();
  const { publishesPerS, bytesPerS, payloadBytes } = awsIotLimits;
  for (const size of [10, 4000, 100_000]) {
    const sent: number[] = [];
    const fromMs = clock.monotonicMs() + 10_000 - startMs;
    const second = createPacer({ monotonicMs: () => fromMs });
    for (let i = 0; i < 1000; i += 1) sent.push(second.waitMs(size));
    const most = Math.max(...sent.map((at) => sent.filter((one) => one >= at && one < at + 1000).length));
    t.ok(most <= publishesPerS, `${most} publishes of ${size} bytes in any second`);
    t.ok(most * size <= bytesPerS + size, `${most * size} bytes in any second`);
    t.ok(most >= 0.9 * Math.min(publishesPerS, bytesPerS / size) - 1, 'and not much less');
  }
  t.equal(pacer.waitMs(100), 0, 'one alone goes at once');
  t.match(whyTooMuch('a/b', payloadBytes + 1), /at most 131072/);
  t.match(whyTooMuch('a/b/c/d/e/f/g/h/i', 1), /7 slashes/);
  t.match(whyTooMuch(`a/${'b'.repeat(256)}`, 1), /256 bytes/);
  t.equal(whyTooMuch(topics.up('g'.repeat(63), 'w'.repeat(63), 'backfill'), payloadBytes), undefined);
  t.same([5, 120, 5000].map(keepaliveWithin), [30, 120, 1200]);
  t.end();
});
