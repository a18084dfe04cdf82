/** What the stub knows of people, acts, proof, commands and a large fleet: plain data in the form of the contract. */
import type {
  AccountView,
  Audit,
  CommandAnswer,
  CommandList,
  CommandRecord,
  Completeness,
  GridState,
} from '@villagrid/contracts';

const dayMs = 86_400_000;
type Grants = AccountView['grants'];
type Entry = Audit['entries'][number];

/** Accounts of the stub; the first is who asks. */
export class StubOffice {
  readonly users: AccountView[];
  /** What Neema logs in with until she has chosen a password. */
  wordOfNeema: string | undefined = 'k7m2p-x9qrt-4hnws';
  readonly records: CommandRecord[] = [];
  readonly #entries: Entry[];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    const now = nowMs();
    const make = (name: string, role: AccountView['role'], more: Partial<AccountView> = {}): AccountView => ({
      user_id: name.toLowerCase(),
      username: name.toLowerCase(),
      display_name: name,
      role,
      grants: role === null ? [] : [{ role, scope: { kind: 'grid', grid_id: 'kisima' } }],
      disabled: false,
      password_due: false,
      created_at_ms: now - 90 * dayMs,
      self: false,
      may_change: true,
      ...more,
    });
    const everything: Grants = [{ role: 'admin', scope: { kind: 'everything' } }];
    this.users = [
      make('Amina', 'admin', { self: true, may_change: false, grants: everything }),
      make('Juma', 'operator'),
      make('Neema', 'operator', { password_due: true }),
      make('Baraka', 'installer'),
      make('Zawadi', 'viewer'),
      make('Rehema', 'operator', { disabled: true }),
    ];
    const actor = (name: string) => ({ user_id: name.toLowerCase(), name });
    const entry = (at: number, one: Omit<Entry, 'id' | 'at_ms' | 'alert_id'>): Entry => ({
      ...one,
      id: `a${at}`,
      at_ms: now - at * 3_600_000,
      alert_id: null,
    });
    this.#entries = [
      entry(1, { area: 'work', kind: 'handed_over', actor: actor('Juma'), about: 'Kisima', detail: 'Fan on order.' }),
      entry(3, {
        area: 'commands',
        kind: 'command_acknowledged',
        actor: actor('Baraka'),
        about: 'Inverter 1',
        detail: 'charge_source: solar only',
      }),
      entry(26, {
        area: 'people',
        kind: 'account_disabled',
        actor: actor('Amina'),
        about: 'Rehema',
        detail: null,
      }),
      entry(50, {
        area: 'people',
        kind: 'account_added',
        actor: actor('Amina'),
        about: 'Neema',
        detail: 'operator of kisima',
      }),
      ...Array.from({ length: 70 }, (_, n) =>
        entry(60 + n * 5, {
          area: 'alerts' as const,
          kind: n % 2 === 0 ? 'acknowledged' : 'noted',
          actor: actor(n % 3 === 0 ? 'Juma' : 'Amina'),
          about: 'generation is low',
          detail: n % 2 === 0 ? null : 'Panels were dusty, cleaned.',
        }),
      ),
    ];
  }

  #did(kind: string, about: string): void {
    const actor = { user_id: 'amina', name: 'Amina' };
    this.#entries.unshift({
      id: `b${this.#entries.length}`,
      at_ms: this.#nowMs(),
      area: 'people',
      kind,
      actor,
      about,
      detail: null,
      alert_id: null,
    });
  }

  add({ username, display_name, grants }: { username: string; display_name: string; grants: Grants }) {
    const user: AccountView = {
      user_id: username,
      username,
      display_name,
      role: grants[0]?.role ?? null,
      grants,
      disabled: false,
      password_due: true,
      created_at_ms: this.#nowMs(),
      self: false,
      may_change: true,
    };
    this.users.push(user);
    this.#did('account_added', display_name);
    return this.word(user);
  }

  word(user: AccountView) {
    return { user: { ...user, password_due: true }, one_time_word: 'k7m2p-x9qrt-4hnws', word_life_s: 604_800 };
  }

  change(userId: string, change: Partial<AccountView>): AccountView | undefined {
    const at = this.users.findIndex(({ user_id }) => user_id === userId);
    const before = this.users[at];
    if (before === undefined) return undefined;
    const next = { ...before, ...change, role: change.grants?.[0]?.role ?? before.role };
    this.users[at] = next;
    this.#did(change.disabled === true ? 'account_disabled' : 'grants_changed', before.display_name);
    return next;
  }

  audit(gridId: string, query: URLSearchParams): Audit {
    const fromMs = Number(query.get('from') ?? 0);
    const words = (query.get('search') ?? '').toLowerCase();
    const entries = this.#entries.filter(
      (one) =>
        one.at_ms >= fromMs &&
        (query.get('area') === null || one.area === query.get('area')) &&
        JSON.stringify(one).toLowerCase().includes(words),
    );
    const now = this.#nowMs();
    return { grid_id: gridId, now_ms: now, from_ms: fromMs, to_ms: now, entries, more: false };
  }

  commands(gridId: string): CommandList {
    return {
      grid_id: gridId,
      enabled: true,
      offers: [
        {
          device_id: 'inverter-1',
          command: 'charge_source',
          label: 'Where the battery is charged from',
          role: 'operator',
          choices: ['solar only', 'solar and mains'],
          number: null,
          safe: 'solar only',
        },
        {
          device_id: 'inverter-1',
          command: 'export_limit',
          label: 'Most power into the mains',
          role: 'installer',
          choices: null,
          number: { min: 0, max: 5000, unit: 'W' },
          safe: 0,
        },
      ],
      records: this.records,
    };
  }

  command(deviceId: string, name: string, body: Record<string, unknown>): CommandAnswer {
    const value = body.value as string | number;
    if (body.confirmation === undefined)
      return {
        state: 'needs_confirmation',
        question: `Set “${String(body.command)}” of ${name} to ${value}?`,
        confirmation: 'sure',
      };
    const now = this.#nowMs();
    const record: CommandRecord = {
      command_id: `c${now}`,
      device_id: deviceId,
      command: String(body.command),
      value,
      state: 'acknowledged',
      reason: null,
      read_back: String(value),
      actor: { user_id: 'amina', name: 'Amina' },
      sent_at_ms: now,
      expires_in_s: 30,
      finished_at_ms: now,
      late_answer: false,
    };
    this.records.unshift(record);
    return { state: 'finished', record };
  }

  completeness(gridId: string, side: 'gateway' | 'cloud'): Completeness {
    const now = this.#nowMs();
    const midnight = Math.floor(now / dayMs) * dayMs;
    const series = ['consumption_kw', 'generation_kw', 'battery_soc_pct'].map((metric) => ({
      device_id: 'meter',
      metric,
      count: 201_600,
      hash: '0123456789abcdef',
    }));
    const kept = (['raw', '1m', '15m', '1h', '1d'] as const).map((granularity, at) => ({
      granularity,
      since_ms: at > 2 ? null : midnight - ([30, 30, 730][at] ?? 0) * dayMs,
    }));
    const base = {
      grid_id: gridId,
      side,
      until_ms: now - 20_000,
      complete_until_number: 41_250,
      epoch: 'e7',
      series,
      kept,
    };
    if (side === 'gateway') return base;
    const states = ['proven', 'given_up', 'proven', 'refused', 'proven', 'missing', 'open'] as const;
    return {
      ...base,
      logs: [
        {
          epoch: '01JD5K2M7Q',
          newest_number: 41_268,
          explained_up_to: 41_250,
          missing: [[41_251, 41_262]],
          missing_count: 12,
          given_up: [[12_000, 12_040]],
          given_up_count: 41,
          refused: [{ number: 30_117, stage: 'frame', reason: 'its checksum is another' }],
          refused_count: 1,
        },
      ],
      days: states.map((state, at) => {
        const fromMs = midnight - (states.length - 1 - at) * dayMs;
        return {
          day: new Date(fromMs).toISOString().slice(0, 10),
          from_ms: fromMs,
          to_ms: fromMs + dayMs,
          frames: state === 'open' ? 800 : 1440,
          state,
          missing: state === 'missing' ? 12 : 0,
          given_up: state === 'given_up' ? 41 : 0,
          refused: state === 'refused' ? 1 : 0,
          ...(state === 'proven'
            ? {
                manifest: {
                  state: 'equal' as const,
                  told_until_number: 41_000,
                  samples: 120_960,
                  samples_here: 120_960,
                  differing_count: 0,
                  differing: [],
                },
              }
            : {}),
        };
      }),
    };
  }
}

const places = ['Amani', 'Bondeni', 'Chem', 'Dara', 'Ekima', 'Fukayosi', 'Gedi', 'Hodi', 'Isaka', 'Jaribu'];
const troubles: readonly NonNullable<GridState['needs']>[] = [
  ['silent'],
  ['backlog'],
  ['clock', 'card'],
  ['differs'],
  ['disk'],
];

/** A fleet beside the villages of the stub, each like the given one but for what its gateway tells. */
export function fleetOf(count: number, like: GridState, nowMs: number): GridState[] {
  return Array.from({ length: count }, (_, n) => {
    const needs = n % 9 === 4 ? (troubles[Math.floor(n / 9) % troubles.length] ?? []) : [];
    const silent = needs.includes('silent');
    const heardMs = nowMs - (silent ? 5 * 3_600_000 : 12_000);
    const backlogS = needs.includes('backlog') ? 9000 : 0;
    return {
      ...like,
      grid_id: `fleet-${n}`,
      name: `${places[n % places.length]} ${1 + Math.floor(n / places.length)}`,
      reachable: !silent,
      power: silent ? 'unknown' : 'powered',
      open_alerts: 0,
      worst_severity: null,
      worst_message: null,
      worst_since_ms: null,
      last_reported_ms: heardMs,
      needs,
      gateway: {
        gateway_id: `gw-${n}`,
        version: n % 7 === 0 ? '0.9.4' : '0.1.0',
        clock_trust: needs.includes('clock') ? 'floor' : 'ntp',
        told_ms: heardMs,
        disk_used_pct: needs.includes('disk') ? 93 : 20 + (n % 40),
        card_life_used_pct: needs.includes('card') ? 86 : n % 3 === 0 ? null : n % 50,
        backlog_frames: backlogS / 60,
        backlog_age_s: silent ? 18_000 : backlogS,
        complete_until_ms: silent ? heardMs : nowMs - backlogS * 1000,
        differing_days: needs.includes('differs') ? 2 : 0,
      },
    };
  });
}
