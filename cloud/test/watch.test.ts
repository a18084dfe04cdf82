import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Alert, AlertEvent, AlertSubject, Clock } from '@villagrid/contracts';
import { createAlertStore, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { createCloud, loadCloudConfig, openCloudDatabase } from '../src/index.js';
import { createDocumentStore } from '../src/stores/document-store.js';
import { createGatewayStore } from '../src/stores/gateway-store.js';
import { cloudFixture } from '../src/testing/cloud-fixture.js';
import { testSite } from '../src/testing/gateway-side.js';
import { silenceCause, silencePatienceMs, wasDark, type SilenceFacts } from '../src/watch/silence.js';

const minute = 60_000;

/** A gateway of a grid that said HELLO. */
function sayHello(gateways: ReturnType<typeof createGatewayStore>, name: string, nowMs: number): void {
  gateways.hello(
    {
      y: 'hello',
      gateway_id: `gw-${name}`,
      boot: 'B',
      version: '1',
      epoch: 'E',
      newest_number: 0,
      oldest_number: 0,
      receipted_number: 0,
      clock_ms: nowMs,
      clock_trust: 'ntp',
      plan: 'full',
      site: testSite(name, `gw-${name}`),
    },
    name,
    testSite(name, `gw-${name}`),
    nowMs,
  );
}

t.test(
  'a silent gateway is told by its likeliest cause, patiently at night and where it was mostly the link',
  async (t) => {
    const facts: SilenceFacts = {
      nowMs: 1e12,
      heardMs: 1e12 - 60 * minute,
      isConnected: false,
      socPct: 80,
      floorPct: 20,
      wasDark: false,
      isNight: false,
      formerLinkOnly: 0,
      former: 0,
    };
    const of = (more: Partial<SilenceFacts>) => {
      const all = { ...facts, ...more };
      return [silenceCause(all), silencePatienceMs(all, minute) / minute];
    };
    t.same(of({}), ['unknown', 1]);
    t.same(of({ isNight: true }), ['unknown', 4]);
    t.same(of({ former: 5, formerLinkOnly: 4 }), ['link', 4]);
    t.same(of({ former: 5, formerLinkOnly: 4, isNight: true }), ['link', 16]);
    t.same(of({ former: 2, formerLinkOnly: 2 }), ['unknown', 1], 'twice tells nothing yet');
    t.same(of({ isConnected: true }), ['program', 1]);
    t.same(
      of({ socPct: 24, isNight: true, former: 5, formerLinkOnly: 5 }),
      ['village_dark', 1],
      'a dark village does not wait',
    );
    t.same(of({ wasDark: true, socPct: null }), ['village_dark', 1]);
    const volts = (value: number) => ({ value, timeMs: 1e12, quality: 0 as const, sources: [], usedFallback: false });
    const [one, two] = ['ac_output_voltage_v.feeder-1', 'ac_output_voltage_v.feeder-2'] as const;
    t.ok(wasDark({ [one]: volts(0), [two]: volts(3) }, 230));
    t.notOk(wasDark({ [one]: volts(0), [two]: volts(229) }, 230), 'a feeder still had power');
    t.notOk(wasDark({}, 230));
  },
);

t.test(
  'many gateways that go silent together are one alert; each that stays away afterwards speaks for itself, and all end by themselves',
  async (t) => {
    const names = ['a', 'b', 'c', 'd'];
    const fixture = await cloudFixture(tempDir(t), {
      gateways: names.map((name) => ({ gateway_id: `gw-${name}`, grid_id: name })),
    });
    const config = loadCloudConfig({ path: fixture.configPath });
    // Noon in the village, so that it does not wait for the morning.
    let nowMs = Date.UTC(2026, 0, 10, 9);
    const clock: Clock = { ...realClock(), nowMs: () => nowMs };
    const database = openCloudDatabase(config.data_dir);
    const gateways = createGatewayStore(database);
    const store = createAlertStore({ database });
    const hear = (...heard: readonly string[]) => {
      for (const name of heard) gateways.received(`gw-${name}`, name, nowMs);
    };
    for (const name of names) sayHello(gateways, name, nowMs);
    const cloud = createCloud(config, { clock, realClock: realClock(), random: seededRandom(3), log: silentLogger() });
    t.teardown(async () => {
      await cloud.stop();
      database.close();
    });
    const open = async () =>
      (
        await Promise.all(
          cloud.grids
            .list()
            .map(async (grid) =>
              (
                await grid.alerts({ status: 'active' })
              ).map((alert) => `${grid.gridId} ${alert.rule_id}${alert.suppressed_by === null ? '' : ' (explained)'}`),
            ),
        )
      )
        .flat()
        .sort();
    /** What whoever looks at each change sees. */
    const shown = new Set<string>();
    for (const grid of cloud.grids.list())
      grid.subscribe((change) => {
        if (change.type !== 'alert') return;
        const alert = store.get(change.alertId);
        shown.add(`${grid.gridId} ${alert?.rule_id}${alert?.suppressed_by === null ? '' : ' (explained)'}`);
      });
    const pass = (minutes: number, ...heard: readonly string[]) => {
      for (let at = 0; at < minutes; at += 5) {
        nowMs += 5 * minute;
        hear(...heard);
        cloud.watch.look();
      }
    };
    pass(25, 'd');
    t.same(await open(), []);
    pass(10, 'd');
    t.same(await open(), [
      'a fleet_silent',
      'a gateway_silent (explained)',
      'b gateway_silent (explained)',
      'c gateway_silent (explained)',
    ]);
    t.same([...shown].sort(), await open(), 'nobody ever saw one of them on its own');
    const [lead] = cloud.grids.list();
    t.match(
      (await lead?.alerts({ status: 'active' }))?.find(({ rule_id }) => rule_id === 'fleet_silent')?.what,
      /^3 of 4/,
    );
    pass(5, 'a', 'b', 'd');
    t.same(await open(), ['c gateway_silent'], 'the one that stays away');
    const [alone] = (await cloud.grids.get('c')?.alerts({ status: 'active' })) ?? [];
    t.equal(alone?.timeline.at(-1)?.kind, 'released');
    pass(5, ...names);
    t.same(await open(), [], 'all end by themselves');
  },
);

t.test(
  'the same in many villages is one alert of its own, and ends when fewer than half as many still have it',
  async (t) => {
    const names = Array.from({ length: 18 }, (_, at) => `v${at}`);
    const fixture = await cloudFixture(tempDir(t), {
      gateways: names.map((name) => ({ gateway_id: `gw-${name}`, grid_id: name })),
    });
    const config = loadCloudConfig({ path: fixture.configPath });
    const nowMs = Date.UTC(2026, 0, 10, 9);
    const clock: Clock = { ...realClock(), nowMs: () => nowMs };
    const database = openCloudDatabase(config.data_dir);
    const gateways = createGatewayStore(database);
    for (const name of names) sayHello(gateways, name, nowMs);
    const cloud = createCloud(config, { clock, realClock: realClock(), random: seededRandom(3), log: silentLogger() });
    t.teardown(async () => {
      await cloud.stop();
      database.close();
    });
    const store = createAlertStore({ database });
    const say = (name: string, what: Pick<AlertEvent, 'kind'> & Partial<{ subject: AlertSubject; value: null }>) =>
      store.append({
        ...what,
        id: `${name}-${what.kind}`,
        alert_id: `${name}-hot`,
        grid_id: name,
        at_ms: nowMs,
        origin: { kind: 'gateway', id: `gw-${name}` },
      } as AlertEvent);
    const subject = (message: string): AlertSubject => ({
      rule_id: 'hot',
      type: 'hot',
      severity: 'high',
      message,
      what: '',
      why: '',
      steps: [],
      device_id: null,
      device_name: null,
      metric: null,
      value: null,
      limit: null,
      unit: null,
    });
    const patterns = () =>
      names.flatMap((name) =>
        store
          .list(name, { status: 'active' })
          .flatMap(({ rule_id, alert_id }) => (rule_id === 'fleet_pattern' ? [alert_id] : [])),
      );
    say('v0', { kind: 'raised', subject: subject('the same id in another sense') });
    for (const name of names.slice(1, 7)) say(name, { kind: 'raised', subject: subject('hot') });
    cloud.watch.look();
    const found = patterns();
    t.equal(found.length, 1);
    say('v0', { kind: 'cleared', value: null });
    for (const name of names.slice(1, 4)) say(name, { kind: 'cleared', value: null });
    cloud.watch.look();
    t.same(patterns(), found, 'three of six');
    say('v4', { kind: 'cleared', value: null });
    cloud.watch.look();
    t.same(patterns(), []);
  },
);

t.test(
  'a grid without a gateway whose rules cannot work harms no other grid; what nothing watches is over',
  async (t) => {
    const fixture = await cloudFixture(tempDir(t));
    const names = ['a', 'b'];
    writeFileSync(
      join(fixture.directory, 'directory.yaml'),
      JSON.stringify({
        grids: names.map((name) => ({ grid_id: name, name, zone: 'UTC' })),
        devices: names.map((name) => ({ device_id: `meter-${name}`, grid_id: name, name: 'Meter', kind: 'meter' })),
      }),
    );
    const config = loadCloudConfig({ path: fixture.configPath });
    let nowMs = Date.UTC(2026, 0, 10, 9);
    const clock: Clock = { ...realClock(), nowMs: () => nowMs };
    const database = openCloudDatabase(config.data_dir);
    // What an older program took.
    createDocumentStore(database).add('a', {
      ...{ name: 'limits', rev: 1, sha256: '', cause: 'edited', author: null, lost: [], createdMs: nowMs },
      items: [{ id: 'device_silent_min', ver: [1, 0], value: 0 }],
    });
    const store = createAlertStore({ database });
    const cloud = createCloud(config, { clock, realClock: realClock(), random: seededRandom(3), log: silentLogger() });
    t.teardown(async () => {
      await cloud.stop();
      database.close();
    });
    const active = () => names.map((name) => store.list(name, { status: 'active' }).map(({ rule_id }) => rule_id));
    for (let at = 0; at < 20; at += 1) {
      cloud.directRules.tick();
      nowMs += minute;
    }
    t.same(active(), [[], ['device_silent']]);

    const [alert] = store.list('b', { status: 'active' });
    const said = { ...(alert as Alert), rule_id: 'device_alert', type: 'device_alert', device_id: 'meter-b' };
    store.append({
      ...{ kind: 'raised', id: 'said', alert_id: 'said', grid_id: 'b', at_ms: nowMs, subject: said },
      origin: { kind: 'cloud', id: 'cloud' },
    });
    const actor = { user_id: 'U1', name: 'Asha' };
    const body = { device_silent: { id: 'device_silent', enabled: false } };
    await cloud.grids.get('b')?.desired?.put('rules', { basedOn: 0, body, password: new Map(), actor });
    cloud.directRules.tick();
    t.same(active(), [[], ['device_alert']], 'what the device said itself is not for rules to end');
    t.match(store.get(alert?.alert_id ?? '')?.timeline.at(-1), { note: /no longer in force/ });
  },
);
