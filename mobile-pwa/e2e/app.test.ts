/** The built app against the stub village, in a real Chromium. The same checks run against the real servers in world/. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { AlertView, DeviceView, FigureView, MaintenanceView, Summary } from '@villagrid/contracts';
import { build } from 'vite';
import {
  answeredAlerts,
  applyFrame,
  mergeAlerts,
  openAlerts,
  paused,
  pausedLast,
  type GridView,
} from '../src/live/apply.js';
import { alertValueText, presentValue } from '../src/features/alerts/alert-value.js';
import { givenTo, knownPeople } from '../src/features/alerts/people.js';
import { noticeText } from '../src/features/duty/notice-text.js';
import { dutyTexts } from '../src/features/duty/texts.js';
import { durationText, metricLabel, momentText, quantityText, spanEndText } from '../src/i18n/format.js';
import type { Language } from '../src/i18n/language.js';
import { addTexts, english, fill, language, ownWords, t as words } from '../src/i18n/messages.js';
import { en } from '../src/i18n/en.js';
import { verdictWords } from '../src/i18n/verdict.js';
import { sourceLine } from '../src/ui/source.js';
import { chromiumPath, runAppChecks } from './run-app-checks.js';
import { runOfficeChecks } from './run-office-checks.js';
import { languageProblems } from './language-checks.js';
import { startStub } from './stub/server.js';

t.setTimeout(240_000);
const dist = mkdtempSync(join(tmpdir(), 'villagrid-app-'));
t.teardown(() => rmSync(dist, { recursive: true, force: true }));
const room = new URL('..', import.meta.url).pathname;
const nowMs = () => Date.now();
const every = (ms: number, run: () => void) => {
  const timer = setInterval(run, ms);
  return { cancel: () => clearInterval(timer) };
};

t.before(async () => {
  await build({
    root: room,
    configFile: join(room, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: dist, emptyOutDir: true },
  });
});

t.test('the first load of the dashboard stays within 60 kB compressed', async (t) => {
  const size = (file: string) => brotliCompressSync(readFileSync(join(dist, 'assets', file))).length;
  // Screens that are fetched when they are opened first.
  const later =
    /^(alert-detail|alerts|all-alerts|history|reports|rules|devices|more|login|home|language|language-choice|connection-sheet|clock-offer|duty|notice|texts|deliver|keeper|older-alerts|banners|server-events|further|answer|people|audit|fleet|seg|dialog|words|load|resolution|completeness|wall)-/;
  const files = readdirSync(join(dist, 'assets'));
  const first = files.filter((file) => !later.test(file)).reduce((sum, file) => sum + size(file), 0);
  const all = files.reduce((sum, file) => sum + size(file), 0);
  t.comment(`first load ${(first / 1000).toFixed(1)} kB, everything ${(all / 1000).toFixed(1)} kB, brotli`);
  t.ok(first <= 60_000, `${first} bytes`);
  t.ok(all <= 200_000, `${all} bytes kept by the worker`);
  t.notMatch(
    files.map((file) => readFileSync(join(dist, 'assets', file), 'utf8')).join(''),
    /RFC 9457/,
    'no schema of the contract is in the bundle',
  );
});

t.test('every language fills in what English fills in, and has the plural forms it needs', async (t) => {
  const texts: Record<string, string> = { ...en };
  for (const file of readdirSync(join(room, 'src'), { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('texts.ts')) Object.assign(texts, ...Object.values(await import(join(room, 'src', file))));
  t.ok(Object.keys(texts).length > 500, 'the texts of every screen were found');
  const plural = /\{(\w+), plural,(?: \w+ \{[^}]*\})+\}/g;
  const values = (text: string) =>
    [...new Set([...text.replace(plural, '{$1}').matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort().join(' ');
  const tags = readdirSync(join(room, 'src/i18n/languages')).map((file) => file.replace('.ts', ''));
  for (const tag of tags.filter((one) => one !== 'worded' && one !== 'pseudo')) {
    const { default: one } = (await import(join(room, `src/i18n/languages/${tag}.ts`))) as { default: Language };
    const forms = new Set(Array.from({ length: 200 }, (_, n) => one.form(n)));
    const [known] = Intl.PluralRules.supportedLocalesOf([tag]);
    const rules = known === undefined ? undefined : new Intl.PluralRules(known);
    for (let n = 0; n < 200 && rules !== undefined; n += 1)
      if (one.form(n) !== rules.select(n)) t.fail(`${tag}: ${n} is ${rules.select(n)}, not ${one.form(n)}`);
    for (const [key, text] of Object.entries(one.texts)) {
      if (/[<>]/.test(text)) t.fail(`${tag} ${key} has markup`);
      if (texts[key] === undefined) {
        if (!/^(metric|component|reports\.figure)\./.test(key)) t.fail(`${tag} ${key} is in no English text`);
        continue;
      }
      const own = text.includes(', plural,') ? [...text.matchAll(/(\w+) \{/g)].map(([, form]) => form) : undefined;
      if (own === undefined ? texts[key].includes(', plural,') : [...forms].some((form) => !own.includes(form)))
        t.fail(`${tag} ${key} lacks a plural form`);
      if (values(text) !== values(texts[key])) t.fail(`${tag} ${key} fills in ${values(text)}`);
    }
  }
});

t.test(
  'words follow the reader: plural forms, numbers and dates, and values held apart in right-to-left sentences',
  async (t) => {
    const { default: ar } = await import('../src/i18n/languages/ar.js');
    const { default: fr } = await import('../src/i18n/languages/fr.js');
    t.teardown(() => {
      language.value = english;
    });
    const noon = Date.UTC(2026, 10, 25, 12);
    language.value = fr;
    t.equal(quantityText('consumption_kw', 9.87), '9,87\u00a0kW');
    t.equal(momentText(noon, noon + 86_400_000 * 2, 'UTC'), '25 nov., 12:00');
    t.equal(fill('{n, plural, one {# jour} other {# jours}}', { n: 0 }), '0 jour');
    ownWords.value = { fr: { 'tab.grid': 'Notre centrale', 'age.since': 'depuis {hier}' }, ar: {} };
    t.equal(words('tab.grid'), 'Notre centrale', 'the people of the grid say it their way');
    t.equal(words('age.since', { when: '14:05' }), 'depuis 14:05', 'but not with what is not there to be filled in');
    ownWords.value = {};
    language.value = ar;
    t.equal(fill('{n, plural, two {يومان} few {# أيام} other {# يوم}}', { n: 2 }), 'يومان');
    t.equal(fill('{n, plural, two {يومان} few {# أيام} other {# يوم}}', { n: 7 }), '7 أيام');
    t.equal(fill('عند {when}', { when: '14:05' }), 'عند \u206814:05\u2069');
    t.equal(durationText(3 * 86_400_000), '3 أيام');
    t.match(
      momentText(noon, noon + 86_400_000 * 2, 'UTC'),
      /^25 نوفمبر، 12:00$/,
      'digits of the meters, an Arabic comma',
    );
    t.equal(metricLabel('equipment_temp_c.inverter-1'), 'حرارة المعدات، \u2068العاكس 1\u2069');
  },
);

t.test('frames change what is known: spares are not counted, and an older answer hides no new alert', async (t) => {
  const device = (device_id: string, link_state: string, expected = true) =>
    ({ device_id, link_state, expected }) as DeviceView;
  const view = {
    summary: { devices: { seen: 2, total: 2 } },
    alerts: [],
    devices: [device('a', 'connected'), device('b', 'connected'), device('spare', 'connected', false)],
    answeredAtMs: 0,
  } as unknown as GridView;
  const frame = { type: 'devices', sequence: 1, devices: [device('b', 'disconnected')] } as const;
  t.match(applyFrame(view, frame)?.summary.devices, { seen: 1, total: 2 });
  const alert = (alert_id: string, status: string, ...timeline: object[]) =>
    ({ alert_id, status, timeline }) as unknown as AlertView;
  const before = [alert('gone', 'active'), alert('old', 'active')];
  const meanwhile = [...before, alert('new', 'active')];
  t.same(
    answeredAlerts([alert('old', 'resolved')], before, meanwhile),
    [alert('old', 'resolved'), alert('new', 'active')],
    'what the answer no longer has goes, what the channel told meanwhile stays',
  );
  const [raised, seen] = [{ kind: 'raised' }, { kind: 'acknowledged' }];
  t.same(
    mergeAlerts([alert('a', 'active', raised, seen, seen)], [alert('a', 'active', raised, seen)]),
    [alert('a', 'active', raised, seen, seen)],
    'an answer that was overtaken takes nobody’s act away',
  );
});

t.test('who has had to do with alerts here is offered by name, who did last first, oneself left out', async (t) => {
  const act = (name: string, at_ms: number) => ({ actor: { user_id: name, name }, at_ms });
  const alert = (assignee: string | null, ...timeline: object[]) =>
    ({ assignee: assignee && { user_id: '', name: assignee }, raised_at_ms: 5, timeline }) as unknown as AlertView;
  const all = [alert('Esi', act('Juma', 3), { actor: null, at_ms: 9 }), alert(null, act('Ama', 8), act('Juma', 7))];
  t.same(knownPeople(all, 'Ama'), ['Juma', 'Esi']);
  t.same(givenTo(['Juma', 'Esi'], undefined, 'Ama'), ['Juma', 'Esi'], 'without an answer of the server');
  t.same(givenTo(['Juma', 'Esi'], ['Ama', 'Baraka', 'Esi'], 'Ama'), ['Esi', 'Baraka'], 'who may be given it');
});

t.test('a paused alert comes after the others until its pause is over', async (t) => {
  const alert = (alert_id: string, severity: string, shelved_until_ms: number | null, status = 'active') =>
    ({ alert_id, severity, shelved_until_ms, status, raised_at_ms: 0, acknowledged: false }) as AlertView;
  const alerts = openAlerts([alert('quiet', 'high', 1000), alert('loud', 'medium', null)]);
  const order = (nowMs: number) => pausedLast(alerts, nowMs).map(({ alert_id }) => alert_id);
  t.same(order(999), ['loud', 'quiet']);
  t.same(order(1000), ['quiet', 'loud'], 'it speaks again');
  t.notOk(paused(alert('over', 'high', 1000, 'resolved'), 0), 'what has cleared is not paused');
});

t.test('planned work says of which devices alerts wake nobody', async (t) => {
  addTexts(dutyTexts);
  const noon = Date.UTC(2026, 10, 25, 12);
  const devices = [{ device_id: 'inverter-2', name: 'Solar inverter 2' }];
  const words = (device_ids: string[] | null, from_ms = noon) =>
    noticeText(
      { device_ids, from_ms, until_ms: noon + 3_600_000, reason: 'changing the fan' } as MaintenanceView,
      devices,
      noon,
      'UTC',
    );
  t.equal(words(null), 'Planned work until 13:00: changing the fan. Alerts wake nobody.');
  t.match(words(['inverter-2']), /\. Alerts of Solar inverter 2 wake nobody\.$/);
  t.match(words(['inverter-2', 'spare']), /Alerts of Solar inverter 2, spare wake nobody/);
  t.match(words(['a', 'b', 'c', 'd']), /Alerts of 4 devices wake nobody/);
  t.notMatch(words(null, noon + 60_000), /wake/, 'work that lies ahead keeps nobody asleep yet');
});

t.test('the verdict says once that there is no power, and why where an alert tells', async (t) => {
  const alert = (type: string, message: string) =>
    ({ type, message, severity: 'critical', shelved_until_ms: null }) as const;
  const words = (power: 'off' | 'powered', ...openAlerts: ReturnType<typeof alert>[]) =>
    verdictWords({
      summary: {
        zone: 'UTC',
        plant: { pv_kwp: 45, battery_kwh: 160, battery_floor_pct: 20, has_genset: false, has_mains: false },
        verdict: {
          power,
          battery_soc_pct: 15,
          empty_at_ms: power === 'off' ? 0 : null,
          charging: false,
          open_alerts: openAlerts.length,
          worst_severity: 'critical',
        },
      },
      openAlerts,
      current: true,
      asOfMs: 0,
      nowMs: 0,
    });
  const resting = (more: { at_this_load_ms?: number | null; forecast_lasts?: boolean }) => {
    const { rest, small } = verdictWords({
      summary: {
        zone: 'UTC',
        plant: { pv_kwp: 45, battery_kwh: 160, battery_floor_pct: 20, has_genset: false, has_mains: false },
        verdict: {
          power: 'powered',
          battery_soc_pct: 96,
          empty_at_ms: null,
          charging: false,
          open_alerts: 1,
          worst_severity: 'low',
          ...more,
        },
      },
      openAlerts: [alert('old_map', 'the map is old')],
      current: true,
      asOfMs: 0,
      nowMs: 0,
    });
    return [rest.replace(/\s/g, ' '), small];
  };
  // 76 % of 160 kWh are 121.6 kWh; at 5.2 kW 23.4 hours.
  t.same(resting({ at_this_load_ms: 84_184_615 }), ['Battery 96 %.', 'About 23 h at this load, without sun.']);
  t.same(resting({ at_this_load_ms: null }), ['Battery 96 %.', 'Not known yet how long it lasts.']);
  t.same(resting({ forecast_lasts: true, at_this_load_ms: 84_184_615 }), ['Lasts the night.', '']);
  const dead = alert('no_power', 'village has no power');
  const empty = alert('critical_battery', 'battery is almost empty');
  t.equal(words('off', dead).lead, 'No power.');
  t.equal(words('off', dead, empty).lead, 'No power. Battery is almost empty.');
  t.equal(words('off', dead).rest, 'Battery 15\u00a0%.', 'no word of how long it will last when it is over');
  t.equal(words('powered', dead).lead, 'Village powered.', 'the alert is over in a minute');
});

t.test(
  'a value tells of which moment it is, a gap when it ends, and a cut link since when the village is away',
  async (t) => {
    const noon = Date.UTC(2026, 10, 25, 9);
    const figure = (value: number | null, ageMs = 0, device_id = 'inverter-1') =>
      ({
        value,
        unit: '°C',
        time_ms: noon - ageMs,
        period_s: 5,
        sources: [{ device_id, metric: 'equipment_temp_c' }],
      }) as FigureView;
    const alert = {
      metric: 'equipment_temp_c',
      device_id: 'inverter-1',
      value: 61,
      unit: '°C',
      status: 'active',
      raised_at_ms: noon - 30 * 60_000,
    } as AlertView;
    const words = (figures: Record<string, FigureView>, heard = true, more: Partial<AlertView> = {}) => {
      const one = { ...alert, ...more };
      const present = presentValue(one, { summary: { figures } } as unknown as GridView, noon, 'Africa/Nairobi', heard);
      return alertValueText(one, present, noon, 'Africa/Nairobi')?.replaceAll('\u00a0', ' ');
    };
    t.equal(words({ 'equipment_temp_c.inverter': figure(78) }), '61 °C, now 78 °C');
    t.equal(words({ 'equipment_temp_c.inverter': figure(61) }), '61 °C');
    t.equal(
      words({ 'equipment_temp_c.cabinet': figure(78, 0, 'other') }),
      '61 °C at 11:30',
      'another device says nothing of it',
    );
    t.equal(words({ a: figure(78, 3_600_000) }), '61 °C at 11:30', 'an old value is not now');
    t.equal(words({ a: figure(78, 180_000) }), '61 °C, 3 min ago 78 °C', 'a late one tells its age');
    t.equal(words({ a: figure(78) }, false), '61 °C at 11:30', 'nor is a saved one');
    t.equal(words({ a: figure(20) }, true, { status: 'resolved' }), '61 °C at 11:30');
    t.equal(words({ equipment_temp_c: figure(78) }, true, { device_id: null }), '61 °C, now 78 °C');
    t.equal(words({}, true, { value: null }), undefined);
    t.equal(spanEndText(noon, noon + 3_600_000, 'Africa/Nairobi'), '13:00');
    t.equal(spanEndText(noon, noon + 15 * 3_600_000, 'Africa/Nairobi'), '26 Nov, 03:00');
    const line = (kind: string, ageMs: number) =>
      sourceLine({
        summary: { zone: 'Africa/Nairobi', source: { kind, last_reported_ms: noon - ageMs } } as unknown as Summary,
        answeredAtMs: noon,
        channel: 'live',
        loggedIn: true,
        nowMs: noon,
      }).text;
    t.equal(line('cloud', 20_000), 'Cloud · live');
    t.equal(line('cloud', 61_000), 'Cloud · village away since 11:58');
    t.equal(line('gateway', 61_000), 'Gateway · live');
  },
);

t.test(
  'an administrator adds a person and tells a device; a fleet of a thousand is searched without a stutter',
  { skip: existsSync(chromiumPath) ? false : `no ${chromiumPath} on this machine` },
  async (t) => {
    const gateway = await startStub({ dist, scenario: 'normal', nowMs, every });
    t.teardown(() => gateway.stop());
    const cloud = await startStub({ dist, scenario: 'many', nowMs, every, fleet: 1000 });
    t.teardown(() => cloud.stop());
    const problems = await runOfficeChecks({
      gatewayUrl: gateway.url,
      cloudUrl: cloud.url,
      username: 'amina',
      password: 'kisima-1',
      screensDirectory: process.env.SCREENS,
    });
    t.same(problems, []);
  },
);

t.test(
  'every screen at both sizes is whole, accessible, live and works offline',
  { timeout: 180_000, skip: existsSync(chromiumPath) ? false : `no ${chromiumPath} on this machine` },
  async (t) => {
    const stub = await startStub({ dist, scenario: 'alert', nowMs, every });
    t.teardown(() => stub.stop());
    const report = await runAppChecks({
      baseUrl: stub.url,
      username: 'amina',
      password: 'kisima-1',
      screensDirectory: process.env.SCREENS,
      prefix: 'stub',
      changeValue: () => stub.set('kisima', 'consumption_kw', 9.87),
      raiseAlert: () => {
        stub.raise('kisima', {
          severity: 'critical',
          rule: 'critical_battery',
          message: 'battery is almost empty',
          what: 'The battery holds 21 %; at 22 % the village is about to go dark.',
          why: 'The inverters switch off to protect the battery.',
          steps: ['Warn the clinic.'],
          device: null,
          metric: 'battery_soc_pct',
          value: 21,
          limit: 22,
          unit: '%',
          atMs: nowMs(),
        });
      },
    });
    t.same(report?.skipped, [], 'nothing was skipped');
    t.equal(new Set(stub.acts).size, stub.acts.length);
    t.equal(stub.acts.length, 2, 'each of the two acts took effect once');
  },
);

t.test(
  'every word on every screen comes from the dictionary, and long words and right-to-left ones run over no edge',
  { timeout: 120_000, skip: existsSync(chromiumPath) ? false : `no ${chromiumPath} on this machine` },
  async (t) => {
    const stub = await startStub({ dist, scenario: 'alert', nowMs, every });
    t.teardown(() => stub.stop());
    const problems = await languageProblems({
      baseUrl: stub.url,
      username: 'amina',
      password: 'kisima-1',
      gridId: 'kisima',
      languages: [
        { tag: 'en-XA', width: 320, direction: 'ltr' },
        { tag: 'ar', width: 360, direction: 'rtl' },
      ],
    });
    t.same(problems, []);
  },
);
