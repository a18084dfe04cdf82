/** The gateway's part of telling people, with channels of a test. */
import t from 'tap';
import { reduceAlert, type Alert, type AlertEvent, type Clock } from '@villagrid/contracts';
import { silentLogger, type NotifyStore } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import { Default, Parse } from 'typebox/value';
import { notifySchema, type NotifyConfig } from '../config/notify-schema.js';
import type { NotifyChannel } from './channels/port.js';
import { relayChannel } from './channels/relay.js';
import { createNotifier } from './notifier.js';

const startMs = 1_795_600_000_000;

/** A notifier with a relay; what it did to the relay and how often it wrote its state. */
function house(make?: (clock: Clock) => NotifyChannel) {
  const clock = testClock(startMs);
  const seen: string[] = [];
  let state: string | undefined;
  let writes = 0;
  const store: NotifyStore = {
    state: () => state,
    putState(_name, value) {
      state = value;
      writes += 1;
    },
    add: () => {},
    list: () => [],
  };
  let isOn = false;
  const relay: NotifyChannel = {
    name: 'relay',
    async send() {
      isOn = true;
      seen.push(`on ${clock.nowMs() - startMs}`);
    },
    check: async () => ({ state: 'ok', detail: 'well' }),
    async hush() {
      if (isOn) seen.push(`off ${clock.nowMs() - startMs}`);
      isOn = false;
    },
    close: async () => {},
  };
  const config = Parse(notifySchema, Default(notifySchema, { relay: { gpio: { line: 1 } } })) as NotifyConfig;
  const notifier = createNotifier({
    config,
    site: { grid_id: 'alpha', name: 'Alpha', zone: 'UTC' },
    channels: [make?.(clock) ?? relay],
    store,
    active: () => [],
    figure: () => {},
    timeKnown: () => true,
    clock,
    realClock: clock,
    logger: silentLogger(),
  });
  return { clock, seen, notifier, writes: () => writes };
}

t.test('a test of the relay sounds long enough to be heard', async (t) => {
  const { clock, seen, notifier } = house();
  await notifier.start();
  await clock.advance(900);
  await notifier.test('relay', '');
  await clock.advance(10_000);
  t.same(seen, ['on 900', 'off 4000']);
  await notifier.stop();
});

t.test('a relay that does not go off is tried again, less and less often, and the status tells it', async (t) => {
  const seen: string[] = [];
  let broken = false;
  const { clock, notifier } = house((clock) =>
    relayChannel({
      soundMs: 60_000,
      realClock: clock,
      switch: {
        name: 'the board',
        async set(on) {
          seen.push(`${on ? 'on' : 'off'} ${(clock.nowMs() - startMs) / 1000}`);
          if (broken) throw new Error('no answer from the board');
        },
        close: async () => {},
      },
    }),
  );
  const status = () => notifier.status().channels[0];
  await notifier.start();
  await clock.advance(10_000);
  await notifier.test('relay', '');
  broken = true;
  await clock.advance(20_000);
  t.same(seen, ['off 5', 'on 10', 'off 13', 'off 14', 'off 16', 'off 20', 'off 28']);
  t.match(status(), {
    state: 'failing',
    detail: 'no answer from the board; it may still be on: switching it off failed 5 times, the next try is in 16 s',
  });
  broken = false;
  await clock.advance(20_000);
  t.match(status(), { state: 'ok', detail: 'the board is off, after 5 tries that failed' });
  await clock.advance(100_000);
  t.same(seen.slice(7), ['off 44'], 'and that is all');
  broken = true;
  await t.rejects(notifier.test('relay', ''));
  broken = false;
  await clock.advance(100_000);
  t.same(seen.slice(8), ['on 150', 'off 210'], 'what may have gone on goes off');
  await notifier.stop();
});

t.test('a shower of alerts is kept once, not once for each', async (t) => {
  const { clock, notifier, writes } = house();
  await notifier.start();
  const before = writes();
  for (let at = 0; at < 100; at += 1) {
    const raised: AlertEvent = {
      kind: 'raised',
      id: `e${at}`,
      alert_id: `a${at}`,
      grid_id: 'alpha',
      at_ms: startMs,
      origin: { kind: 'gateway', id: 'g' },
      subject: {
        rule_id: 'own',
        type: 'own',
        severity: 'critical',
        message: 'm',
        what: 'w',
        why: 'y',
        steps: [],
        device_id: null,
        device_name: null,
        metric: `m${at}`,
        value: null,
        limit: null,
        unit: null,
      },
    };
    notifier.tell(raised, reduceAlert([raised]) as Alert);
  }
  await clock.advance(0);
  t.equal(writes() - before, 1);
  await notifier.stop();
});
