import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { memoryLog } from '@villagrid/runtime/testing';
import t from 'tap';
import { createMqttDestination } from './index.js';
import { destinationSuite } from './testing/destination-suite.js';
import { startFarSide } from './testing/far-side.js';

destinationSuite(t, 'mqtt', ({ url, gatewayId, files, clock }) =>
  createMqttDestination({
    url,
    ...files,
    clientId: gatewayId,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    backoff: { minMs: 50, maxMs: 500 },
  }),
);

t.test(
  'a wrong system clock keeps no gateway from its cloud: the authority counts, and the time that is known',
  async (t) => {
    const clock = realClock();
    const day = 86_400_000;
    // To a system whose clock is ten days behind, a certificate of today begins in ten days.
    const far = await startFarSide(t, { serverFromMs: clock.nowMs() + 10 * day });
    const link = async (
      judge: { systemIsRight(): boolean; nowMs(): number | undefined } | undefined,
      caOfStranger = false,
      url = far.url(),
    ) => {
      const files = await far.files('gw-1');
      const { log, lines } = memoryLog();
      const destination = createMqttDestination({
        url,
        ...files,
        ...(caOfStranger ? { caFile: (await far.files('gw-1', true)).certificateFile } : {}),
        clientId: 'gw-1',
        realClock: clock,
        random: cryptoRandom(),
        log,
        backoff: { minMs: 50, maxMs: 500 },
        ...(judge ? { judge } : {}),
      });
      destination.open('down/#', { up() {}, down() {}, message() {} });
      const endMs = clock.monotonicMs() + 8000;
      const said = () =>
        lines.find((line) => typeof line.reason === 'string')?.reason ??
        lines.find((line) => line.msg === 'linked to the cloud')?.msg;
      while (said() === undefined && clock.monotonicMs() < endMs) await clock.sleep(10);
      await destination.close();
      return said();
    };
    const judge = (nowMs: number | undefined, systemIsRight = false) => ({
      systemIsRight: () => systemIsRight,
      nowMs: () => nowMs,
    });
    const refusedDown = /subscribing to .* was refused|linked/;
    t.match(await link(undefined), /not yet valid/);
    t.match(await link(judge(clock.nowMs() + 11 * day, true)), /not yet valid/, 'a system that is right judges itself');
    t.match(await link(judge(undefined)), refusedDown, 'nobody knows the time: who signed it counts');
    t.match(await link(judge(clock.nowMs() + 11 * day)), refusedDown, 'the village knows the time');
    t.match(await link(judge(clock.nowMs())), /not yet valid/);
    t.match(await link(judge(clock.nowMs() + 90 * day)), /expired/);
    t.match(await link(judge(undefined), true), /authority/, 'another authority is refused all the same');
    t.match(await link(judge(undefined), false, far.url().replace('127.0.0.1', 'localhost')), /not for localhost/);
  },
);
