import {
  defaultLimits,
  defaultRules,
  newId,
  reduceAlert,
  reduceMaintenance,
  rings,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Maintenance,
  type Site,
} from '@villagrid/contracts';
import { seededRandom } from '@villagrid/runtime';
import t from 'tap';
import { Grouping } from './grouping.js';
import { LateDigest } from './late-digest.js';

const minute = 60_000;
const subjectOf = (over: Partial<AlertSubject>): AlertSubject => ({
  rule_id: 'high_equipment_temperature',
  type: 'x',
  severity: 'medium',
  message: 'something',
  what: '',
  why: '',
  steps: [],
  device_id: null,
  device_name: null,
  metric: null,
  value: null,
  limit: null,
  unit: null,
  ...over,
});
const silent = (device_id: string) => subjectOf({ rule_id: 'device_silent', device_id });
const line = subjectOf({ rule_id: 'line_down', metric: 'gateway_lines_down' });

const rules = defaultRules(defaultLimits(), { wiring: { 'ac_output_voltage_v.clinic': {}, ac_output_voltage_v: {} } });

/** A gateway's alerts on a clock of their own: what is raised and cleared, and who would have been woken. */
function village({ restartsAlways = false }: { readonly restartsAlways?: boolean } = {}) {
  const random = seededRandom(5);
  const state = { nowMs: 1e12, back: new Set<string>(), planned: [] as Maintenance[] };
  const events: AlertEvent[] = [];
  const woken: string[] = [];
  const event = (alertId: string, what: object, atMs: number): AlertEvent =>
    ({
      ...what,
      id: newId(state.nowMs, random),
      alert_id: alertId,
      grid_id: 'alpha',
      at_ms: atMs,
      origin: { kind: 'gateway', id: 'g' },
    }) as AlertEvent;
  const alert = (alertId: string): Alert => reduceAlert(events.filter((one) => one.alert_id === alertId)) as Alert;
  const active = () =>
    [...new Set(events.map(({ alert_id }) => alert_id))].map(alert).filter(({ status }) => status === 'active');
  const make = (open: readonly Alert[], kept?: string) =>
    new Grouping(
      {
        silence: ({ rule_id }) =>
          rule_id === 'line_down' ? 'line' : rule_id === 'device_silent' ? 'device' : undefined,
        keepsBack: (deviceId) => state.back.has(deviceId),
        sources: ({ device_id, metric }) =>
          device_id !== null
            ? [device_id]
            : metric === 'soc'
              ? ['battery']
              : metric === 'sum'
                ? ['meter-1', 'meter-2']
                : [],
        maintenance: () => state.planned,
        partOf: (ruleId) => [rules.find(({ id }) => id === ruleId)?.part_of ?? []].flat(),
        kindOf: (deviceId) => deviceId.replace(/-.*/, ''),
        graceMs: minute,
        newAlertId: () => newId(state.nowMs, random),
        event,
      },
      open,
      state.nowMs,
      kept,
    );
  let grouping = make([]);
  let kept = grouping.state();
  let stored: readonly Alert[] = [];
  const commit = (all: readonly AlertEvent[]) => {
    events.push(...all);
    for (const one of all) {
      const now = alert(one.alert_id);
      if (rings(one, now, state.nowMs)) woken.push(`${one.kind} ${now.rule_id} ${now.device_id ?? ''}`.trim());
    }
    if (!restartsAlways) return;
    if (all.length > 0) {
      kept = grouping.state();
      // In the store's order, which is not the one in which they came.
      stored = active().reverse();
    }
    grouping = make(stored, kept);
  };
  return {
    state,
    woken,
    alert,
    active,
    /** Raised now for what was measured some time ago. */
    raise(subject: AlertSubject, agoMs = 0): string {
      const alertId = newId(state.nowMs, random);
      const raised = event(alertId, { kind: 'raised', subject }, state.nowMs - agoMs);
      commit([raised, ...grouping.beside([raised], state.nowMs)]);
      return alertId;
    },
    clear(alertId: string) {
      const cleared = event(alertId, { kind: 'cleared', value: null }, state.nowMs);
      commit([cleared, ...grouping.beside([cleared], state.nowMs)]);
    },
    pass(minutes: number) {
      for (let at = 0; at < minutes * 12; at += 1) {
        state.nowMs += 5000;
        commit(grouping.tick(state.nowMs));
      }
    },
    restart() {
      grouping = make(active(), grouping.state());
    },
    events,
  };
}

t.test(
  'a line that is cut is one message, and so is its recovery; a device that stays away comes back by itself',
  async (t) => {
    const v = village();
    const early = v.raise(silent('meter-1'));
    v.state.back = new Set(Array.from({ length: 12 }, (_, at) => `meter-${at + 1}`));
    const cut = v.raise(line);
    t.equal(v.alert(early).suppressed_by, cut, 'what was told before goes under its cause');
    const late = v.raise(silent('meter-2'));
    t.match(v.alert(late), { status: 'active', suppressed_by: cut, suppressed_because: 'parent' });
    const other = v.raise(silent('elsewhere'));
    t.equal(v.alert(other).suppressed_by, null, 'a second fault is not swallowed');
    t.same(v.woken, ['raised device_silent meter-1', 'raised line_down', 'raised device_silent elsewhere']);

    v.restart();
    v.woken.length = 0;
    v.state.back = new Set();
    v.clear(cut);
    v.pass(0.5);
    v.clear(early);
    v.pass(0.4);
    t.same(v.woken, [], 'nobody is told of each device that is heard again');
    t.equal(v.alert(late).suppressed_by, cut, 'it may still speak');
    v.pass(0.5);
    t.equal(v.alert(late).suppressed_by, null);
    t.same(v.woken, ['released device_silent meter-2'], 'the one that stays away is told, once');
  },
);

t.test('an alert whose sensor goes silent stays and rings on its own; it is only marked as last known', async (t) => {
  const v = village();
  const hot = v.raise(subjectOf({ device_id: 'inverter', severity: 'high', metric: 'equipment_temp_c' }));
  const low = v.raise(subjectOf({ rule_id: 'low_battery', metric: 'soc' }));
  const gone = v.raise(silent('inverter'));
  t.match(v.alert(hot), { status: 'active', suppressed_by: null, last_known_since_ms: v.state.nowMs });
  t.equal(v.alert(low).last_known_since_ms, null);
  v.restart();
  v.clear(gone);
  t.equal(v.alert(hot).last_known_since_ms, null, 'heard again');
  v.state.back = new Set(['battery']);
  const cut = v.raise(line);
  t.not(v.alert(low).last_known_since_ms, null, 'a figure is known as long as its devices are');
  v.state.back = new Set();
  v.clear(cut);
  t.equal(v.alert(low).last_known_since_ms, null);
  // The same with more weight: one battery, one alert.
  v.woken.length = 0;
  const worse = v.raise(subjectOf({ rule_id: 'critical_battery', severity: 'critical', metric: 'soc' }));
  t.equal(v.alert(low).suppressed_by, worse);
  v.clear(worse);
  v.pass(2);
  t.equal(v.alert(low).suppressed_by, null, 'it stands again');
  t.same(v.woken, ['raised critical_battery'], 'and is not told a second time');
});

t.test(
  'more than ten alerts in ten minutes are one; what is serious speaks for itself, and all are there afterwards',
  async (t) => {
    const v = village();
    const ids = Array.from({ length: 10 }, (_, at) => v.raise(subjectOf({ device_id: `d${at}` })));
    t.equal(v.woken.length, 10);
    v.raise(subjectOf({ device_id: 'd10' }));
    const flood = v.active().find(({ rule_id }) => rule_id === 'alert_flood') as Alert;
    t.match(flood, { severity: 'medium', what: /^11 alerts within 10 minutes, the first: something/ });
    v.raise(subjectOf({ device_id: 'd11' }));
    const serious = v.raise(subjectOf({ device_id: 'd12', severity: 'critical' }));
    t.same(v.woken.slice(10), ['raised alert_flood', 'raised high_equipment_temperature d12']);
    t.equal(v.active().filter(({ suppressed_by }) => suppressed_by === flood.alert_id).length, 12);
    t.equal(v.alert(serious).suppressed_by, null);
    v.clear(ids[0] as string);
    v.restart();
    v.pass(9);
    t.equal(v.alert(flood.alert_id).status, 'active');
    v.pass(2);
    t.equal(v.alert(flood.alert_id).status, 'resolved', 'over when it has been calm for ten minutes');
    t.equal(
      v.active().filter(({ suppressed_by }) => suppressed_by === null).length,
      12,
      'each stands on its own again',
    );
    t.equal(v.woken.length, 12, 'people were told of it already');
  },
);

t.test('while work is planned alerts are recorded and wake nobody; what still stands at its end is told', async (t) => {
  const v = village();
  const plan = (id: string, device_ids: readonly string[] | null, more: AlertEvent[] = []) =>
    reduceMaintenance([
      {
        kind: 'maintenance_planned',
        id,
        alert_id: id,
        grid_id: 'alpha',
        at_ms: 0,
        origin: { kind: 'cloud', id: 'c' },
        actor: { user_id: 'u', name: 'Ama' },
        reason: 'new fan',
        device_ids,
        from_ms: v.state.nowMs,
        until_ms: v.state.nowMs + 60 * minute,
      },
      ...more,
    ]);
  v.state.planned = plan('M1', ['inverter']);
  const hot = v.raise(subjectOf({ device_id: 'inverter' }));
  const short = v.raise(subjectOf({ device_id: 'inverter', metric: 'b' }));
  v.raise(subjectOf({ device_id: 'battery' }));
  v.raise(subjectOf({ rule_id: 'disk_filling', metric: 'gateway_disk_used_pct' }));
  t.match(v.alert(hot), { suppressed_by: 'M1', suppressed_because: 'maintenance' });
  t.same(
    v.woken,
    ['raised high_equipment_temperature battery', 'raised disk_filling'],
    'the rest of the grid still speaks',
  );
  v.clear(short);
  v.pass(59);
  t.equal(v.alert(hot).suppressed_by, 'M1');
  v.pass(1.1);
  t.same(v.woken.slice(2), ['released high_equipment_temperature inverter'], 'it ends by itself');

  v.state.planned = plan('M2', null);
  const quiet = v.raise(subjectOf({ rule_id: 'no_power', severity: 'critical', metric: 'ac_output_voltage_v' }));
  t.equal(v.alert(quiet).suppressed_by, 'M2', 'work on the whole grid covers all of it');
  // Ended by somebody whose clock is a year behind: over at once.
  const base = { alert_id: 'M2', grid_id: 'alpha', at_ms: 1, origin: { kind: 'cloud', id: 'c' } } as const;
  const actor = { user_id: 'v', name: 'Esi' };
  v.state.planned = plan('M2', null, [{ ...base, kind: 'maintenance_ended', id: 'E', actor }]);
  t.match(v.state.planned, [{ ended_by: actor, until_ms: v.state.planned[0]?.from_ms }]);
  v.pass(0.1);
  t.same(v.woken.slice(3), ['released no_power']);
});

t.test('work on a device keeps back no figure that others are part of, and never a critical one', async (t) => {
  const v = village();
  const work = (...device_ids: string[]): Maintenance => ({
    maintenance_id: `on ${device_ids.join(' and ')}`,
    grid_id: 'alpha',
    reason: 'new meter',
    device_ids,
    from_ms: v.state.nowMs,
    until_ms: v.state.nowMs + 60 * minute,
    planned_by: { user_id: 'u', name: 'Ama' },
    ended_by: null,
  });
  const high = subjectOf({ rule_id: 'high_consumption', severity: 'high', metric: 'sum' });
  v.state.planned = [work('meter-1')];
  t.equal(v.alert(v.raise(high)).suppressed_by, null, 'meter-2 counts too');
  v.state.planned = [work('meter-1', 'meter-2')];
  t.equal(v.alert(v.raise(high)).suppressed_by, 'on meter-1 and meter-2');
  v.state.planned = [work('battery')];
  const empty = v.raise(subjectOf({ rule_id: 'critical_battery', severity: 'critical', metric: 'soc' }));
  t.equal(v.alert(empty).suppressed_by, null);
  t.same(v.woken, ['raised high_consumption', 'raised critical_battery']);
  v.state.planned = [work('battery')];
  const own = v.raise(subjectOf({ device_id: 'battery', severity: 'critical' }));
  t.equal(v.alert(own).suppressed_by, 'on battery', 'what is about the device itself waits');
});

t.test(
  'what was kept back in the moment it was raised is told when work ends, also after a restart meanwhile',
  async (t) => {
    const v = village();
    v.state.planned = reduceMaintenance([
      {
        kind: 'maintenance_planned',
        id: 'M1',
        alert_id: 'M1',
        grid_id: 'alpha',
        at_ms: 0,
        origin: { kind: 'cloud', id: 'c' },
        actor: { user_id: 'u', name: 'Ama' },
        reason: 'new cable',
        device_ids: null,
        from_ms: v.state.nowMs,
        until_ms: v.state.nowMs + 10 * minute,
      },
    ]);
    // The sample was some seconds old when the rule concluded.
    const empty = v.raise(subjectOf({ rule_id: 'critical_battery', severity: 'critical', metric: 'soc' }), 4000);
    t.equal(v.alert(empty).suppressed_by, 'M1');
    v.restart();
    v.pass(11);
    t.equal(v.alert(empty).suppressed_by, null);
    t.same(v.woken, ['released critical_battery']);
    v.restart();
    // Told by now: what comes over it and goes again is no news.
    v.pass(1);
    v.state.planned = [];
    t.same(v.woken, ['released critical_battery']);
  },
);

t.test('an alert that is worse than what explains it speaks for itself', async (t) => {
  const v = village();
  v.state.back = new Set(['clinic']);
  const cut = v.raise({ ...line, severity: 'medium' });
  const worse = v.raise({ ...silent('clinic'), severity: 'critical' });
  const same = v.raise(silent('clinic'));
  t.equal(v.alert(worse).suppressed_by, null);
  t.equal(v.alert(same).suppressed_by, cut);
  t.same(v.woken, ['raised line_down', 'raised device_silent clinic']);
});

t.test('one thing that is measured twice is one alert; a second thing of its kind is another', async (t) => {
  const v = village();
  const hot = (device_id: string, metric: string) => subjectOf({ severity: 'high', device_id, metric });
  const own = v.raise(hot('inverter-1', 'equipment_temp_c'));
  const beside = v.raise(hot('powerhouse', 'equipment_temp_c.inverter'));
  const battery = v.raise(hot('battery-room', 'equipment_temp_c.battery'));
  const second = v.raise(hot('inverter-2', 'equipment_temp_c'));
  t.same(
    [own, beside, battery, second].map((id) => v.alert(id).suppressed_by),
    [null, own, null, null],
  );
  t.equal(v.woken.length, 3);
  v.clear(own);
  v.clear(second);
  v.pass(2);
  t.same(v.woken.slice(3), ['released high_equipment_temperature powerhouse'], 'who outlives it is told');
  // The sensor was first: it stands for the first inverter, not for the second.
  const one = v.raise(hot('inverter-1', 'equipment_temp_c'));
  const two = v.raise(hot('inverter-2', 'equipment_temp_c'));
  t.same([v.alert(one).suppressed_by, v.alert(two).suppressed_by, v.alert(beside).suppressed_by], [beside, null, null]);
});

t.test("a rule says itself what it is part of: a site's own rule whose name begins alike stays its own", async (t) => {
  const v = village();
  const critical = (rule_id: string) => subjectOf({ rule_id, severity: 'critical', metric: 'ac_output_voltage_v' });
  const dark = v.raise(critical('no_power'));
  const feeder = v.raise(critical('no_power_clinic'));
  const own = v.raise(critical('no_power_at_the_pump'));
  t.same([v.alert(feeder).suppressed_by, v.alert(own).suppressed_by], [dark, null]);
});

t.test('what stopped, collapsed or is dead takes in what follows from it', async (t) => {
  for (const [cause, follows] of [
    ['inverter_stopped', 'low_generation'],
    ['inverter_fault', 'low_generation'],
    ['battery_falling_fast', 'low_generation'],
    ['battery_falling_fast', 'low_battery'],
    ['no_power', 'battery_will_be_empty'],
  ] as const) {
    const v = village();
    const parent = v.raise(subjectOf({ rule_id: cause, severity: 'high' }));
    t.equal(v.alert(v.raise(subjectOf({ rule_id: follows }))).suppressed_by, parent, `${follows} of ${cause}`);
    t.equal(v.woken.length, 1);
  }
});

t.test(
  'readings of three weeks that come at once ring no bell: one digest tells what was in them, fresh ones are left out',
  async (t) => {
    const device = (device_id: string, name: string) =>
      ({ device_id, name, kind: 'sensor', protocol: 'mqtt', period_s: 60, expected: true }) as const;
    const site: Site = {
      grid_id: 'alpha',
      gateway_id: 'g',
      name: 'Alpha',
      zone: 'Africa/Nairobi',
      plant: { battery_floor_pct: 20, has_genset: false, has_mains: false },
      devices: [device('cabinet', 'Cabinet'), device('bat', 'Battery')],
      wiring: {
        battery_soc_pct: { terms: [{ device_id: 'bat', metric: 'battery_soc_pct', factor: 1 }] },
      },
    };
    const options = {
      rules: defaultRules(defaultLimits(), site).filter(({ id }) =>
        ['high_equipment_temperature', 'low_battery'].includes(id),
      ),
      site,
      oldestRingingMs: 10 * minute,
      quietMs: minute,
      longestMs: 360 * minute,
    };
    let late = new LateDigest(options);
    let kept: string | undefined;
    const nowMs = Date.UTC(2026, 2, 22, 9);
    const fromMs = nowMs - 21 * 24 * 60 * minute;
    const sample = (deviceId: string, metric: string, timeMs: number, value: number, quality = 0) => ({
      deviceId,
      metric,
      timeMs,
      value,
      quality,
    });
    for (let timeMs = fromMs; timeMs < nowMs; timeMs += 5 * minute) {
      const hour = ((timeMs - fromMs) / (60 * minute)) % 24;
      const isFirstWeek = timeMs < fromMs + 7 * 24 * 60 * minute;
      late.samples(
        [
          sample('cabinet', 'equipment_temp_c', timeMs, isFirstWeek && hour >= 5 && hour < 7 ? 71 : 40),
          sample('bat', 'battery_soc_pct', timeMs, timeMs > nowMs - 60 * minute ? 25 : 80),
          sample('bat', 'equipment_temp_c', timeMs, 99, 255),
        ],
        nowMs,
      );
      // Killed at every fifth hour: it goes on with what was kept.
      if (hour % 5 === 0) {
        kept = late.state() ?? kept;
        t.equal(late.state(), undefined, 'kept when it changed');
        late = new LateDigest(options, kept);
      }
    }
    late.samples([sample('cabinet', 'equipment_temp_c', nowMs, 90)], nowMs);
    t.equal(late.tick(nowMs + 30_000), undefined, 'more may come');
    const digest = late.tick(nowMs + minute);
    t.match(digest, { rule_id: 'late_data', severity: 'medium', value: 2 });
    t.equal(
      digest?.what,
      'While the link was down (1 Mar, 12:00 to 22 Mar, 11:45): high temperature on equipment (Cabinet), from 1 Mar, 17:00, ' +
        '71 °C, 7 times; battery is low, from 22 Mar, 11:10, 25 %, until the end of it.',
    );
    t.equal(late.tick(nowMs + 9 * minute), undefined, 'said once');
    t.equal(new LateDigest(options, late.state()).tick(nowMs + 9 * minute), undefined, 'also after a restart');
    for (const broken of ['{', '{"span":{},"found":[]}', '{"span":{"fromMs":1}}'])
      t.equal(new LateDigest(options, broken).tick(nowMs), undefined);
    late.samples([sample('cabinet', 'equipment_temp_c', fromMs, 40)], nowMs);
    t.equal(late.tick(nowMs + 9 * minute), undefined, 'nothing to tell is not told');

    // A device that is late for ever does not keep it waiting for ever, and what goes on is told once.
    const told: unknown[] = [];
    for (let at = 0; at < 800; at += 1) {
      const arrivalMs = nowMs + (60 + at) * minute;
      late.samples([sample('cabinet', 'equipment_temp_c', arrivalMs - 30 * minute, at < 20 ? 40 : 71)], arrivalMs);
      const subject = late.tick(arrivalMs + 5000);
      if (subject !== undefined) told.push([at, subject.value]);
    }
    t.same(told, [[360, 1]]);
  },
);

t.test(
  'killed after every event and at every look at the clock, alerts are grouped as without, event for event',
  async (t) => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const told = [false, true].map((restartsAlways) => {
        const v = village({ restartsAlways });
        const random = seededRandom(seed);
        const below = (count: number) => (random.bytes(1)[0] ?? 0) % count;
        const open: string[] = [];
        for (let step = 0; step < 60; step += 1) {
          const device = `meter-${below(14)}`;
          const what = below(12);
          if (what < 3) open.push(v.raise(silent(device), below(2) * 4000));
          else if (what < 6) open.push(v.raise(subjectOf({ device_id: device, metric: 'equipment_temp_c' })));
          else if (what === 6) open.push(v.raise(subjectOf({ rule_id: 'low_battery', metric: 'soc' })));
          else if (what === 7)
            open.push(v.raise(subjectOf({ rule_id: 'critical_battery', metric: 'soc', severity: 'critical' })));
          else if (what === 8) {
            v.state.back = new Set(Array.from({ length: 8 }, (_, at) => `meter-${at}`));
            open.push(v.raise(line));
          } else if (what === 9) v.state.back = new Set();
          else v.pass([0.25, 0.5, 1, 6][below(4)] ?? 1);
          if (open.length > 0 && below(2) === 0) v.clear(open.splice(below(open.length), 1)[0] ?? '');
        }
        v.pass(15);
        return v.events;
      });
      t.same(told[1], told[0], `seed ${seed}, ${told[0]?.length} events`);
      const kinds = new Set(told[0]?.map(({ kind }) => kind));
      t.ok(kinds.has('suppressed') && kinds.has('released') && kinds.has('last_known'), 'all kinds were there');
    }
  },
);
