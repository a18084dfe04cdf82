/**
 * Small ports in memory for tests of this room. Not a stand-in for gateway or cloud in their own tests.
 */
import type { Clock, Health, Principal, RandomSource, Role, Site } from '@villagrid/contracts';
import { newId, VillagridError } from '@villagrid/contracts';
import type { ApiPorts, AuthPort, PeoplePort, PersonAccount, PersonAct, PersonAudit } from '../ports.js';
import { MemoryGrid } from './memory-grid.js';

/** A person of the test. */
export interface MemoryPerson {
  readonly principal: Principal;
  readonly password: string;
}

/** Makes a person with one role; `gridId` undefined gives it everywhere. */
export function memoryPerson(username: string, role: Role, gridId?: string): MemoryPerson {
  return {
    password: `pass-${username}`,
    principal: {
      user_id: `id-${username}`,
      username,
      display_name: `${username} by name`,
      grants: [{ role, scope: gridId === undefined ? { kind: 'everything' } : { kind: 'grid', grid_id: gridId } }],
    },
  };
}

/** Accounts in memory. */
export class MemoryAuth implements AuthPort {
  readonly #people: readonly MemoryPerson[];
  readonly #random: RandomSource;
  readonly tokens = new Map<string, Principal>();

  constructor(people: readonly MemoryPerson[], random: RandomSource) {
    this.#people = people;
    this.#random = random;
  }

  async login(username: string, password: string, _remoteAddress: string) {
    const person = this.#people.find(({ principal }) => principal.username === username);
    if (person === undefined || person.password !== password) return undefined;
    const token = Buffer.from(this.#random.bytes(24)).toString('base64url');
    this.tokens.set(token, person.principal);
    return { token, expiresInS: 3600, principal: person.principal };
  }

  authenticate = async (token: string) => this.tokens.get(token);
  logout = async (token: string) => void this.tokens.delete(token);
}

/** Accounts in memory as an administrator changes them; logins of `MemoryAuth` keep the rights they began with. */
export function memoryPeople(people: readonly MemoryPerson[], random: RandomSource): PeoplePort {
  const audited: PersonAudit[] = [];
  const accounts = new Map<string, PersonAccount>();
  const put = (account: PersonAccount, kind?: string, by?: PersonAct) => {
    const grantsBefore = accounts.get(account.username)?.grants ?? account.grants;
    accounts.set(account.username, account);
    if (kind !== undefined && by !== undefined)
      audited.unshift({ ...by, ...account, grantsBefore, id: newId(by.atMs, random), kind });
    return account;
  };
  for (const { principal } of people)
    put({
      userId: principal.user_id,
      username: principal.username,
      displayName: principal.display_name,
      grants: principal.grants,
      disabled: false,
      createdAtMs: 0,
      passwordDue: false,
    });
  const named = (username: string) => accounts.get(username) as PersonAccount;
  return {
    list: () => [...accounts.values()],
    async addUser({ username, displayName, grants, oneTime }, by) {
      if (accounts.has(username)) throw new VillagridError('E_CONFLICT', 'the name is taken.');
      const account = { userId: newId(by.atMs, random), username, displayName, grants };
      return put({ ...account, disabled: false, createdAtMs: by.atMs, passwordDue: oneTime }, 'account_added', by);
    },
    setOneTimeWord: async (username, _word, by) =>
      void put({ ...named(username), passwordDue: true }, 'word_given', by),
    choosePassword: async () => undefined,
    setGrants: (username, grants, by) => void put({ ...named(username), grants }, 'grants_changed', by),
    disable: (username, by) => void put({ ...named(username), disabled: true }, 'account_disabled', by),
    enable: (username, by) => void put({ ...named(username), disabled: false }, 'account_enabled', by),
    audit: (fromMs, toMs) => audited.filter(({ atMs }) => atMs >= fromMs && atMs < toMs),
  };
}

/** Everything `fakePorts` needs. */
export interface FakePortsOptions {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly sites: readonly Site[];
  readonly people: readonly MemoryPerson[];
  readonly kind?: 'gateway' | 'cloud';
}

/** The ports in memory, with the hands behind them. */
export interface FakePorts extends ApiPorts {
  readonly auth: MemoryAuth;
  grid(gridId: string): MemoryGrid;
  setHealth(status: Health['status']): void;
}

/** Builds ports in memory for some sites and people. A gateway's own grid is the first site. */
export function fakePorts({ clock, random, sites, people, kind = 'gateway' }: FakePortsOptions): FakePorts {
  const grids = new Map(sites.map((site) => [site.grid_id, new MemoryGrid(site, { clock, random })]));
  let status: Health['status'] = 'ok';
  return {
    identity: {
      kind,
      serverId: kind === 'gateway' ? (sites[0]?.gateway_id ?? 'gw') : 'cloud',
      version: '0.1.0',
      gridId: kind === 'gateway' ? (sites[0]?.grid_id ?? null) : null,
      silentAfterMs: kind === 'gateway' ? null : 600_000,
      clockTrust: () => 'ntp',
    },
    auth: new MemoryAuth(people, random),
    people: memoryPeople(people, random),
    grids: {
      list: () => [...grids.values()],
      get: (gridId) => grids.get(gridId),
      gridOfAlert: async (alertId) => {
        for (const grid of grids.values()) if ((await grid.alert(alertId)) !== undefined) return grid.gridId;
        return undefined;
      },
    },
    health: {
      check: async () => ({ status, checks: [{ name: 'memory', ok: status !== 'down', detail: 'in memory' }] }),
      prometheus: () => 'villagrid_memory 1\n',
    },
    grid: (gridId) => {
      const grid = grids.get(gridId);
      if (grid === undefined) throw new RangeError(`no grid ${gridId} in this test`);
      return grid;
    },
    setHealth: (next) => {
      status = next;
    },
  };
}

/** A small site for tests: a battery, an inverter, two meters that add up, a cabinet sensor. */
export function memorySite(gridId: string, more: Partial<Site> = {}): Site {
  const device = (device_id: string, kind: Site['devices'][number]['kind'], period_s = 10) => ({
    device_id,
    name: `${device_id} of ${gridId}`,
    kind,
    protocol: 'mqtt' as const,
    period_s,
    expected: device_id !== 'spare',
  });
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
  return {
    grid_id: gridId,
    gateway_id: `gw-${gridId}`,
    name: `Village ${gridId}`,
    zone: 'Africa/Nairobi',
    plant: { pv_kwp: 20, battery_kwh: 60, battery_floor_pct: 20, has_genset: false, has_mains: false },
    devices: [
      device('meter-a', 'meter'),
      device('meter-b', 'meter'),
      device('inverter', 'inverter'),
      device('battery', 'battery'),
      device('cabinet', 'sensor'),
      device('spare', 'sensor'),
    ],
    wiring: {
      consumption_kw: {
        terms: [
          { device_id: 'meter-a', metric: 'consumption_kw', factor: 1 },
          { device_id: 'meter-b', metric: 'consumption_kw', factor: 1 },
        ],
      },
      generation_kw: wire('inverter', 'generation_kw'),
      ac_output_voltage_v: wire('inverter', 'ac_output_voltage_v'),
      battery_soc_pct: wire('battery', 'battery_soc_pct'),
      battery_power_kw: wire('battery', 'battery_power_kw'),
      irradiance_w_m2: wire('cabinet', 'irradiance_w_m2'),
      'equipment_temp_c.cabinet': wire('cabinet', 'equipment_temp_c'),
      'equipment_temp_c.inverter': wire('inverter', 'equipment_temp_c.inverter'),
    },
    ...more,
  };
}
