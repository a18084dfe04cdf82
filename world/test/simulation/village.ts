/**
 * One village, its cloud and what befalls them, from one seed: nodes, a gateway, a line, a cloud and a person in virtual
 * time, with the real gateway and the real cloud. At the end everything heals, and what then must be true is looked at.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  decodeFrame,
  digestHex,
  newId,
  seriesHasher,
  type Alert,
  type AlertEvent,
  type Frame,
  type RandomSource,
} from '@villagrid/contracts';
import { createCloud, loadCloudConfig, type Cloud } from '@villagrid/cloud';
import { createGateway, loadGatewayConfig, type Gateway } from '@villagrid/gateway';
import { createLogger, seededRandom, type Logger } from '@villagrid/runtime';
import { Folders } from './folders.js';
import { Line, soundLine, type CloudEnd, type LineFaults } from './line.js';
import { VillageNode, type RadioFaults } from './nodes.js';
import { Life, VirtualTime } from './virtual-time.js';

const [gridId, gatewayId] = ['kisima', 'gw-kisima'];
const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 9, 5, 4);

/** Parts of the test's own that take the place of right ones: what a planted bug is. */
export interface WrongParts {
  /** Changes a gateway before it starts. */
  readonly gateway?: (gateway: Gateway) => Gateway;
}

/** What befalls a village. */
export interface Fate {
  /** Village time per real time. */
  readonly speed: number;
  readonly gatherS: number;
  readonly holdMs: number;
  readonly line: LineFaults;
  readonly radio: RadioFaults;
  /** Hours between two events of each kind on average, of the village; 0: never. */
  readonly everyH: Readonly<Record<FaultKind, number>>;
  /** Longest time without a line, hours of the village. */
  readonly longestOutageH: number;
  /** Whether a gateway that starts may have a wrong clock. */
  readonly wrongClocks: boolean;
  readonly diskMb: number | undefined;
}

const faultKinds = [
  'gatewayKill',
  'gatewayKillAtCommit',
  'gatewayStop',
  'cloudKill',
  'cloudKillAtCommit',
  'outage',
  'cut',
  'nodeReboot',
  'excursion',
  'act',
] as const;
type FaultKind = (typeof faultKinds)[number];

/** Nothing goes wrong. */
export const calm: Fate = {
  speed: 20,
  gatherS: 300,
  holdMs: 200,
  line: soundLine,
  radio: { loss: 0, ackLoss: 0, twice: 0 },
  everyH: {
    gatewayKill: 0,
    gatewayKillAtCommit: 0,
    gatewayStop: 0,
    cloudKill: 0,
    cloudKillAtCommit: 0,
    outage: 0,
    cut: 0,
    nodeReboot: 0,
    excursion: 8,
    act: 4,
  },
  longestOutageH: 0,
  wrongClocks: false,
  diskMb: undefined,
};

/** Draws what befalls: each kind of fault is there or not, so that some seeds have few of them and much of each. */
export function drawFate(random: RandomSource): Fate {
  const some = <T>(value: T, none: T, chance = 0.5): T => (random.float() < chance ? value : none);
  const between = (from: number, to: number) => from * (to / from) ** random.float();
  const one = <T>(all: readonly T[]): T => all[Math.floor(random.float() * all.length)] as T;
  return {
    speed: one([60, 120, 200, 300]),
    gatherS: one([0, 60, 300, 900, 900]),
    holdMs: one([100, 500, 1000, 2000]),
    line: {
      latencyMs: between(20, 1500),
      jitterMs: some(between(50, 5000), 0),
      bytesPerS: some(between(600, 8000), 1e6),
      loss: some(between(0.005, 0.1), 0),
      ackLoss: some(between(0.01, 0.2), 0),
      receiptLoss: some(between(0.05, 0.7), 0),
      twice: some(between(0.01, 0.3), 0),
      lateCopy: some(between(0.01, 0.2), 0),
      lateCopyMs: between(10_000, 900_000),
      spoil: some(between(0.002, 0.02), 0, 0.2),
    },
    radio: {
      loss: some(between(0.01, 0.2), 0),
      ackLoss: some(between(0.01, 0.2), 0),
      twice: some(between(0.01, 0.3), 0),
    },
    everyH: {
      gatewayKill: some(between(4, 24), 0),
      gatewayKillAtCommit: some(between(4, 24), 0),
      gatewayStop: some(between(12, 24), 0, 0.3),
      cloudKill: some(between(6, 24), 0),
      cloudKillAtCommit: some(between(6, 24), 0),
      outage: some(between(4, 24), 0),
      cut: some(between(1, 12), 0),
      nodeReboot: some(between(6, 24), 0),
      excursion: between(3, 12),
      act: between(1, 6),
    },
    longestOutageH: between(0.2, 30),
    wrongClocks: some(true, false),
    diskMb: some(between(0.9, 2), undefined, 0.4),
  };
}

/** What became of a run. */
export interface Outcome {
  readonly seed: number;
  /** What is not as it must be; empty when all is well. */
  readonly problems: readonly string[];
  /** The last things that happened. */
  readonly trace: readonly string[];
  /** The same for the same seed. */
  readonly traceHash: string;
  readonly counts: Readonly<Record<string, number>>;
}

interface GatewayLife {
  readonly life: Life;
  readonly gateway: Gateway;
  readonly folder: string;
  offsetMs: number;
  isRight: boolean;
}

interface CloudLife {
  readonly life: Life;
  readonly cloud: Cloud;
  readonly folder: string;
}

/** What a frame of the log holds, as far as it is looked at. */
interface FrameFacts {
  readonly keys: readonly string[];
  readonly events: readonly AlertEvent[];
}

const energyOf = {
  'battery-1': 'battery_charge_energy_kwh',
  'meter-1': 'consumption_energy_kwh',
  'cabinet-1': 'generation_energy_kwh',
} as const;
type DeviceId = keyof typeof energyOf;
const deviceIds = Object.keys(energyOf) as DeviceId[];

const tracedLines = 200;

/** Runs one seed. */
export async function runVillage(
  seed: number,
  { days, fate, wrong = {} }: { readonly days: number; readonly fate?: Fate; readonly wrong?: WrongParts },
): Promise<Outcome> {
  const village = new Village(seed, fate ?? drawFate(seededRandom(`fate ${seed}`)), wrong);
  return village.run(days);
}

class Village {
  readonly #seed: number;
  readonly #fate: Fate;
  readonly #wrong: WrongParts;
  readonly #time = new VirtualTime();
  readonly #folders = new Folders();
  readonly #random: RandomSource;
  readonly #nodes: VillageNode[];
  readonly #line: Line;
  readonly #problems: string[] = [];
  readonly #trace: string[] = [];
  #traceHash = 0x811c9dc5;
  readonly #counts: Record<string, number> = {};
  #healed = false;

  /** Readings by key, with the count that is in their energy. */
  readonly #produced = new Map<string, number>();
  readonly #acknowledged = new Set<string>();
  /** Frames of the log by number, from 1 on; tombstones of it. */
  readonly #frames: FrameFacts[] = [];
  readonly #tombstones: [first: number, last: number][] = [];
  #epoch: string | undefined;
  /** What people were told is kept. */
  readonly #acts: { readonly event: AlertEvent; readonly at: string }[] = [];

  #gateway: GatewayLife | undefined;
  #gatewayFolder: string;
  #cloud: CloudLife | undefined;
  #cloudFolder: string;
  #lives = 0;
  #killGatewayAtCommit: number | undefined;
  #killCloudAtCommit: number | undefined;
  #hotUntilMs = 0;

  constructor(seed: number, fate: Fate, wrong: WrongParts) {
    this.#seed = seed;
    this.#fate = fate;
    this.#wrong = wrong;
    this.#random = seededRandom(`world ${seed}`);
    this.#gatewayFolder = this.#folders.make('gateway');
    this.#cloudFolder = this.#folders.make('cloud');
    this.#line = new Line({
      time: this.#time,
      random: seededRandom(`line ${seed}`),
      cloud: () => this.#cloudEnd(),
      trace: (what) => this.#note(what),
    });
    this.#nodes = deviceIds.map(
      (deviceId) =>
        new VillageNode({
          deviceId,
          time: this.#time,
          random: seededRandom(`${deviceId} ${seed}`),
          speed: fate.speed,
          periodMs: minuteMs,
          measure: (count) => this.#measure(deviceId, count),
          intake: (id, payload) => this.#intake(id, payload),
          produced: (key, count) => void this.#produced.set(key, count),
          acknowledged: (key) => void this.#acknowledged.add(key),
        }),
    );
  }

  async run(days: number): Promise<Outcome> {
    const giveBack = this.#time.takeTurns();
    try {
      this.#bootCloud();
      this.#bootGateway();
      this.#line.faults = this.#fate.line;
      for (const node of this.#nodes) {
        node.faults = this.#fate.radio;
        node.powerOn();
      }
      for (const kind of faultKinds) this.#schedule(kind);
      await this.#runTo((days * dayMs) / this.#fate.speed);
      await this.#heal();
      await this.#check();
    } catch (error) {
      this.#problem(`the run broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    } finally {
      this.#gateway?.life.kill();
      this.#cloud?.life.kill();
      await this.#time.settle();
      giveBack();
      this.#folders.remove();
    }
    const { counts } = this.#line;
    return {
      seed: this.#seed,
      problems: this.#problems,
      trace: this.#trace,
      traceHash: (this.#traceHash >>> 0).toString(16),
      counts: {
        ...this.#counts,
        ...counts,
        events: this.#time.events,
        produced: this.#produced.size,
        acknowledged: this.#acknowledged.size,
        frames: this.#frames.length,
        acts: this.#acts.length,
      },
    };
  }

  // --- time and words ---

  #villageMs(): number {
    return Math.floor(startMs + this.#time.ms * this.#fate.speed);
  }

  #runTo(ms: number): Promise<void> {
    return this.#time.runUntil(ms, () => this.#between());
  }

  #between(): void {
    this.#folders.bury();
  }

  #note(what: string): void {
    const line = `${new Date(this.#villageMs()).toISOString().slice(5, 19)} ${what}`;
    for (let i = 0; i < line.length; i += 1)
      this.#traceHash = Math.imul(this.#traceHash ^ line.charCodeAt(i), 0x01000193);
    this.#trace.push(line);
    if (this.#trace.length > tracedLines * 2) this.#trace.splice(0, tracedLines);
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }

  #problem(what: string): void {
    if (this.#problems.length < 12) this.#problems.push(what);
  }

  #logger(name: string): Logger {
    return createLogger({
      name,
      level: 'warn',
      foldAfter: 1e9,
      clock: this.#time.clock({ life: new Life(), speed: 1, wallMs: () => this.#villageMs() }),
      destination: {
        write: (text) => {
          const { level, msg, reason, code, error } = JSON.parse(text) as Record<string, unknown>;
          this.#count(`${name} ${String(level)}: ${String(msg)}`);
          this.#note(
            `${name}: ${String(msg)} ${[reason, code, error && JSON.stringify(error)].filter(Boolean).join(' ').slice(0, 300)}`,
          );
        },
      },
    });
  }

  // --- lives ---

  #bootGateway(): void {
    const life = new Life();
    const number = ++this.#lives;
    const { speed, wrongClocks, diskMb, gatherS, holdMs } = this.#fate;
    const isRight = this.#healed || !wrongClocks || this.#random.float() < 0.3;
    const isNtp = isRight && (!wrongClocks || this.#random.float() < 0.5);
    const wrongBy = [-56 * 365 * dayMs, -2 * 365 * dayMs, -hourMs * this.#random.float(), 40 * dayMs];
    const own: { gateway?: GatewayLife } = {};
    let offsetMs = isRight ? 0 : (wrongBy[Math.floor(this.#random.float() * wrongBy.length)] as number);
    let ntp = isNtp;
    const config = gatewayConfig();
    let gateway: Gateway;
    try {
      gateway = createGateway(
        {
          ...config,
          data_dir: this.#gatewayFolder,
          log: { ...config.log, hold_ms: holdMs, journal_mb: 0, ballast_mb: 0 },
          retention: {
            ...config.retention,
            max_disk_pct: 100,
            ...(diskMb === undefined ? {} : { max_disk_mb: diskMb }),
          },
          ...(config.uplink ? { uplink: { ...config.uplink, gather_s: gatherS } } : {}),
        },
        {
          clock: this.#time.clock({ life, speed, wallMs: () => this.#villageMs() + Math.round(offsetMs) }),
          realClock: this.#time.clock({ life, speed: 1, wallMs: () => Math.floor(startMs + this.#time.ms) }),
          random: seededRandom(`gateway ${number} ${this.#seed}`),
          log: this.#logger('gateway'),
          timeSources: { ntp: () => ntp, rtcMs: () => undefined },
          inProcess: { destination: this.#line.destination(life) },
        },
      );
    } catch (error) {
      this.#problem(`the gateway does not start: ${String(error)}`);
      throw error;
    }
    this.#note(`gateway starts, clock off by ${Math.round(offsetMs / 1000)} s${ntp ? ', kept by ntp' : ''}`);
    gateway = this.#wrong.gateway?.(gateway) ?? gateway;
    own.gateway = { life, gateway, folder: this.#gatewayFolder, offsetMs, isRight };
    this.#gateway = own.gateway;
    this.#readOn(gateway);
    gateway.log.onCommit(({ number: at, frame }) => {
      if (!life.alive) return;
      this.#record(at, frame);
      if (this.#killGatewayAtCommit === undefined) return;
      this.#killGatewayAtCommit -= 1;
      if (this.#killGatewayAtCommit > 0) return;
      this.#killGatewayAtCommit = undefined;
      this.#killGateway('at a commit');
    });
    gateway.start().then(
      () => {
        for (const deviceId of deviceIds) void gateway.devices.link(deviceId, 'up').catch(() => {});
      },
      (error: unknown) => {
        if (life.alive) this.#problem(`the gateway does not start: ${String(error)}`);
      },
    );
    // Sooner or later somebody tells it the time.
    if (!ntp && wrongClocks)
      this.#time.after(
        (6 * hourMs * this.#random.float()) / speed,
        () => {
          this.#note('a time service sets the clock');
          offsetMs = 0;
          ntp = true;
        },
        life,
      );
    this.#setRight = () => {
      offsetMs = 0;
      ntp = true;
    };
  }
  #setRight: () => void = () => {};

  /** Frames that were committed and of which nobody was told before the kill. */
  #readOn({ log }: Gateway): void {
    this.#epoch ??= log.epoch;
    if (log.epoch !== this.#epoch) this.#problem(`the log began a new epoch: ${log.epoch} after ${this.#epoch}`);
    if (log.newestNumber() < this.#frames.length)
      this.#problem(`the log ends at ${log.newestNumber()} after a restart, ${this.#frames.length} were committed`);
    for (;;) {
      const some = log.read(this.#frames.length + 1, { maxFrames: 100, maxBytes: 1e6 });
      if (some.length === 0) return;
      for (const { number, frame } of some) this.#record(number, frame);
    }
  }

  #record(number: number, frame: Frame): void {
    if (number !== this.#frames.length + 1) {
      if (number > this.#frames.length + 1) this.#problem(`frame ${number} follows ${this.#frames.length}`);
      return;
    }
    this.#frames.push({
      keys: frame.received.flatMap(({ deviceId, boot, seqs }) => seqs.map((seq) => `${deviceId} ${boot} ${seq}`)),
      events: frame.events,
    });
    for (const entry of frame.entries)
      if (entry.type === 'clock')
        this.#note(
          `frame ${number} corrects the clock of ${entry.boot} by ${Math.round(entry.correction_ms / 1000)} s`,
        );
    for (const entry of frame.entries) if (entry.type === 'tombstone') this.#tombstones.push([entry.first, entry.last]);
  }

  #killGateway(why: string): void {
    const own = this.#gateway;
    if (own === undefined) return;
    this.#count('gateway kills');
    this.#note(`gateway killed ${why}`);
    own.life.kill();
    this.#gateway = undefined;
    this.#gatewayFolder = this.#folders.leftBy(own.folder, 'gateway');
    this.#line.cut(true);
    this.#bootGatewayLater();
  }

  #bootGatewayLater(): void {
    const downMs =
      this.#random.float() < 0.8 ? 5000 + 60_000 * this.#random.float() : 4 * hourMs * this.#random.float();
    this.#time.after(downMs / (downMs > 70_000 ? this.#fate.speed : 1), () => {
      if (this.#gateway === undefined) this.#bootGateway();
    });
  }

  #stopGateway(): void {
    const own = this.#gateway;
    if (own === undefined) return;
    this.#note('gateway is stopped');
    this.#gateway = undefined;
    void own.gateway.stop().then(() => {
      own.life.kill();
      this.#bootGatewayLater();
    });
  }

  #bootCloud(): void {
    const life = new Life();
    const number = ++this.#lives;
    const { speed } = this.#fate;
    const config = cloudConfig();
    const cloud = createCloud(
      { ...config, data_dir: this.#cloudFolder },
      {
        clock: this.#time.clock({ life, speed, wallMs: () => this.#villageMs() }),
        realClock: this.#time.clock({ life, speed: 1, wallMs: () => Math.floor(startMs + this.#time.ms) }),
        random: seededRandom(`cloud ${number} ${this.#seed}`),
        log: this.#logger('cloud'),
        inProcess: { publish: (topic, payload) => this.#line.publish(life, topic, String(payload)) },
        afterCommit: (step) => {
          if (!life.alive || this.#killCloudAtCommit === undefined) return;
          this.#killCloudAtCommit -= 1;
          if (this.#killCloudAtCommit > 0) return;
          this.#killCloudAtCommit = undefined;
          this.#killCloud(`after ${step}`);
        },
      },
    );
    this.#note('cloud starts');
    this.#cloud = { life, cloud, folder: this.#cloudFolder };
    cloud.lifecycle.start().catch((error: unknown) => {
      if (life.alive) this.#problem(`the cloud does not start: ${String(error)}`);
    });
  }

  #killCloud(why: string): void {
    const own = this.#cloud;
    if (own === undefined) return;
    this.#count('cloud kills');
    this.#note(`cloud killed ${why}`);
    own.life.kill();
    this.#cloud = undefined;
    this.#cloudFolder = this.#folders.leftBy(own.folder, 'cloud');
    this.#line.cut(this.#random.float() < 0.5);
    this.#time.after(2000 + 120_000 * this.#random.float(), () => {
      if (this.#cloud === undefined) this.#bootCloud();
    });
  }

  #cloudEnd(): CloudEnd | undefined {
    const own = this.#cloud;
    const entry = own?.cloud.directory.gateway(gatewayId);
    return own && entry ? { life: own.life, cloud: own.cloud, gateway: entry } : undefined;
  }

  // --- what is measured, and who hears it ---

  #measure(deviceId: DeviceId, count: number): Record<string, number> {
    const nowMs = this.#villageMs();
    const isHot = nowMs < this.#hotUntilMs;
    const wave = Math.sin((nowMs / dayMs) * 2 * Math.PI);
    const energy = { [energyOf[deviceId]]: count / 100 };
    if (deviceId === 'battery-1')
      return {
        battery_soc_pct: isHot ? 24 : 60 + Math.round(200 * wave) / 10,
        dc_bus_voltage_v: 51 + (count % 7) / 10,
        ...energy,
      };
    if (deviceId === 'meter-1')
      return { consumption_kw: isHot ? 15.5 : 3 + Math.abs(Math.round(30 * wave) / 10) + (count % 5) / 100, ...energy };
    return { equipment_temp_c: isHot ? 71 : 35 + Math.round(50 * wave) / 10 + (count % 3) / 10, ...energy };
  }

  #intake(deviceId: string, payload: Uint8Array): Promise<unknown> | undefined {
    const own = this.#gateway;
    if (own?.life.alive !== true) return undefined;
    const { devices } = own.gateway;
    const taken = devices.telemetryOf(deviceId)(payload, 0, payload.length) ?? devices.telemetry(deviceId, payload);
    return taken.then((value) => (own.life.alive ? value : new Promise(() => {})));
  }

  // --- what befalls ---

  #schedule(kind: FaultKind): void {
    const everyH = this.#fate.everyH[kind];
    if (everyH === 0) return;
    const delayMs = (-Math.log(1 - this.#random.float()) * everyH * hourMs) / this.#fate.speed;
    this.#time.after(delayMs, () => {
      if (this.#healed) return;
      this.#befall(kind);
      this.#schedule(kind);
    });
  }

  #befall(kind: FaultKind): void {
    const { speed, longestOutageH } = this.#fate;
    switch (kind) {
      case 'gatewayKill':
        return this.#killGateway('between two steps');
      case 'gatewayKillAtCommit':
        this.#killGatewayAtCommit = 1 + Math.floor(5 * this.#random.float());
        return;
      case 'gatewayStop':
        return this.#stopGateway();
      case 'cloudKill':
        return this.#killCloud('between two steps');
      case 'cloudKillAtCommit':
        this.#killCloudAtCommit = 1 + Math.floor(5 * this.#random.float());
        return;
      case 'outage': {
        const lastsMs = longestOutageH * hourMs * this.#random.float();
        this.#note(`no line for ${(lastsMs / hourMs).toFixed(1)} h`);
        this.#count('outages');
        this.#line.setUp(false, this.#random.float() < 0.5);
        this.#time.after(lastsMs / speed, () => this.#line.setUp(true));
        return;
      }
      case 'cut':
        return this.#line.cut(this.#random.float() < 0.3);
      case 'nodeReboot': {
        const node = this.#nodes[Math.floor(this.#random.float() * this.#nodes.length)];
        this.#note('a node starts anew');
        this.#time.after((20 * minuteMs * this.#random.float()) / speed, () => {
          if (!this.#healed) node?.powerOn();
        });
        return node?.powerOff();
      }
      case 'excursion':
        this.#hotUntilMs = this.#villageMs() + (5 + 60 * this.#random.float()) * minuteMs;
        return;
      case 'act':
        return void this.#act().catch((error: unknown) => this.#problem(`an act failed: ${String(error)}`));
    }
  }

  /** A person says something of an alert, at one end or, by a phone that tries again elsewhere, at both. */
  async #act(): Promise<void> {
    const ends = [
      { name: 'gateway', life: this.#gateway?.life, grid: this.#gateway?.gateway.api.grids.get(gridId) },
      { name: 'cloud', life: this.#cloud?.life, grid: this.#cloud?.cloud.grids.get(gridId) },
    ];
    if (this.#random.float() < 0.5) ends.reverse();
    const isTwice = this.#random.float() < 0.3;
    const pick = this.#random.float();
    const kind = this.#random.float();
    const id = newId(this.#villageMs(), this.#random);
    let event: AlertEvent | undefined;
    for (const { name, life, grid } of isTwice ? ends : ends.slice(0, 1)) {
      if (grid === undefined || life === undefined) continue;
      if (event === undefined) {
        const all = [...(await grid.alerts({}))].filter(({ rule_id }) => !isCloudOnly(rule_id));
        const alert = all[Math.floor(pick * Math.min(all.length, 10))];
        if (alert === undefined) continue;
        const base = {
          id,
          alert_id: alert.alert_id,
          grid_id: gridId,
          at_ms: this.#villageMs(),
          origin: grid.origin,
          actor: { user_id: 'u1', name: 'Operator' },
        };
        event =
          kind < 0.4
            ? { ...base, kind: 'acknowledged', note: null }
            : kind < 0.8
              ? { ...base, kind: 'noted', note: `seen at ${name}` }
              : { ...base, kind: 'shelved', reason: 'known', duration_ms: 2 * hourMs };
      }
      const said = event;
      Promise.resolve(grid.append(said)).then(
        () => {
          if (life.alive) this.#acts.push({ event: said, at: name });
        },
        (error: unknown) => {
          if (life.alive) this.#note(`an act was not taken at the ${name}: ${String(error)}`);
        },
      );
    }
  }

  // --- the end ---

  /** All faults end, and everything gets the time it needs. */
  async #heal(): Promise<void> {
    this.#note('everything heals');
    this.#healed = true;
    this.#killGatewayAtCommit = this.#killCloudAtCommit = undefined;
    this.#line.faults = { ...soundLine };
    this.#line.setUp(true);
    this.#hotUntilMs = 0;
    if (this.#cloud === undefined) this.#bootCloud();
    if (this.#gateway === undefined) this.#bootGateway();
    this.#setRight();
    for (const node of this.#nodes) {
      node.faults = { loss: 0, ackLoss: 0, twice: 0 };
      node.stop();
    }
    // Stopped gateways come back, what lies at the nodes comes in.
    const goOn = (ms: number) => this.#runTo(this.#time.ms + ms);
    await goOn(40_000);
    for (let i = 0; i < 200 && !(this.#line.connected && this.#nodes.every(({ waiting }) => waiting === 0)); i += 1)
      await goOn(5000);
    // What was live last closes and is sent; an envelope that asked for no receipt is asked about at the next connection.
    await goOn((35 * minuteMs) / this.#fate.speed + 1000);
    this.#line.cut();
    for (let i = 0; i < 300 && !this.#isQuiet(); i += 1) await goOn(4000);
    // What people were told of late is told, and nothing comes after it.
    await goOn(4000);
    for (let i = 0; i < 30 && !this.#isQuiet(); i += 1) await goOn(4000);
  }

  #isQuiet(): boolean {
    const uplink = this.#gateway?.gateway.api.grids.get(gridId)?.uplink?.();
    return this.#nodes.every(({ waiting }) => waiting === 0) && uplink?.waiting_frames === 0 && uplink.connected;
  }

  async #check(): Promise<void> {
    const own = this.#gateway;
    const theirs = this.#cloud;
    if (own === undefined || theirs === undefined) return this.#problem('an end does not run after everything healed');
    const here = own.gateway.api.grids.get(gridId);
    const there = theirs.cloud.grids.get(gridId);
    if (here === undefined || there === undefined) return this.#problem('there is no grid');
    const until = <T>(what: Promise<T> | T) => this.#time.until(Promise.resolve(what), 600_000, () => this.#between());

    for (const node of this.#nodes) if (node.waiting > 0) this.#problem(`a node still keeps ${node.waiting} readings`);
    const uplink = here.uplink?.();
    if (uplink?.connected !== true) this.#problem('the gateway is not connected');
    if ((uplink?.waiting_frames ?? 1) > 0) this.#problem(`${uplink?.waiting_frames} frames are without a receipt`);
    const cursor = own.gateway.log.cursor('uplink');
    if (cursor !== this.#frames.length)
      this.#problem(`the receipt is kept up to ${cursor}, the log ends at ${this.#frames.length}`);

    const inCloud = this.#checkNumbers(theirs.cloud);
    this.#checkReadings();
    await this.#checkSeries(here, there, inCloud, theirs.cloud, until);
    await this.#checkAlerts(await until(here.alerts({})), await until(there.alerts({})));

    if (own.life.timers > 200) this.#problem(`the gateway has ${own.life.timers} timers`);
    if (theirs.life.timers > 200) this.#problem(`the cloud has ${theirs.life.timers} timers`);
    if (this.#line.mostUnderWay > 100) this.#problem(`${this.#line.mostUnderWay} messages were under way`);
  }

  /** Every number is archived, given up or refused; what was given up, the gateway said so itself. */
  #checkNumbers(cloud: Cloud): readonly boolean[] {
    const last = this.#frames.length;
    const inCloud: boolean[] = new Array(last + 1).fill(false);
    const logs = cloud.store.logs(gatewayId);
    const facts = logs.find(({ epoch }) => epoch === this.#epoch);
    if (logs.some(({ epoch }) => epoch !== this.#epoch)) this.#problem('the cloud knows of an epoch that never was');
    for (let seq = 0; ; ) {
      const some = cloud.store.framesAfter(seq, 500);
      if (some.length === 0) break;
      for (const one of some) {
        seq = one.seq;
        for (let number = one.number; number <= one.last; number += 1) {
          if (number > last) this.#problem(`the cloud has frame ${number}, which never was`);
          else if (inCloud[number]) this.#problem(`the cloud has frame ${number} twice`);
          inCloud[number] = true;
        }
      }
    }
    const without = new Map<number, string>();
    for (const [first, to] of facts?.givenUp ?? [])
      for (let number = first; number <= to; number += 1) {
        without.set(number, 'given up');
        if (!this.#tombstones.some(([from, upTo]) => from <= number && number <= upTo))
          this.#problem(`frame ${number} was given up, and the gateway has no tombstone of it`);
      }
    for (const { number } of facts?.refused ?? []) without.set(number, 'refused');
    let missing = 0;
    for (let number = 1; number <= last; number += 1) if (!inCloud[number] && !without.has(number)) missing += 1;
    if (missing > 0) this.#problem(`${missing} of ${last} frames are neither archived nor given up nor refused`);
    this.#counts.givenUp = (facts?.givenUp ?? []).reduce((sum, [first, to]) => sum + to - first + 1, 0);
    this.#counts.refused = facts?.refused.length ?? 0;
    return inCloud;
  }

  /** What was acknowledged is in the log, once. */
  #checkReadings(): void {
    const found = new Map<string, number>();
    for (const [index, { keys }] of this.#frames.entries())
      for (const key of keys) {
        if (found.has(key)) this.#problem(`reading ${key} is in frames ${found.get(key)} and ${index + 1}`);
        found.set(key, index + 1);
        if (!this.#produced.has(key)) this.#problem(`reading ${key} was never produced`);
      }
    let lost = 0;
    let example = '';
    for (const key of this.#acknowledged)
      if (!found.has(key)) {
        lost += 1;
        example = key;
      }
    if (lost > 0) this.#problem(`${lost} acknowledged readings are not in the log, such as ${example}`);
  }

  /** Both ends hold the same of every series, and just what was measured. */
  async #checkSeries(
    here: NonNullable<ReturnType<Gateway['api']['grids']['get']>>,
    there: NonNullable<ReturnType<Cloud['grids']['get']>>,
    inCloud: readonly boolean[],
    cloud: Cloud,
    until: <T>(what: Promise<T> | T) => Promise<T>,
  ): Promise<void> {
    const farMs = this.#villageMs() + 400 * dayMs;
    const isWhole = inCloud.slice(1).every(Boolean);
    const [own, theirs] = [await until(here.completeness(farMs)), await until(there.completeness(farMs))];
    const nameOf = (one: { deviceId: string; metric: string }) => `${one.deviceId} ${one.metric}`;
    const byName = new Map(theirs.series.map((one) => [nameOf(one), one]));
    if (isWhole)
      for (const one of own.series) {
        const other = byName.get(nameOf(one));
        byName.delete(nameOf(one));
        if (other?.count === one.count && other.hash === one.hash) continue;
        const [left, right] = [
          await until(here.raw(one.deviceId, one.metric, 0, farMs)),
          await until(there.raw(one.deviceId, one.metric, 0, farMs)),
        ];
        const at = left.t.findIndex(
          (timeMs, i) =>
            timeMs !== right.t[i] || left.value[i] !== right.value[i] || left.quality[i] !== right.quality[i],
        );
        const shown = ({ t, value, quality }: typeof left) =>
          `${new Date(t[at] ?? 0).toISOString()} ${value[at]} (quality ${quality[at]})`;
        const words =
          at >= 0
            ? `the first that differs is ${shown(left)} here, ${shown(right)} there`
            : `the samples are the same, the hash of ${hashOf(one, left) === one.hash ? 'the cloud' : 'the gateway'} is wrong`;
        this.#problem(`${nameOf(one)}: ${one.count} samples here, ${other?.count ?? 0} at the cloud; ${words}`);
      }
    if (isWhole) for (const name of byName.keys()) this.#problem(`${name} is only at the cloud`);
    for (const deviceId of deviceIds) {
      const expected: number[] = [];
      for (const [index, { keys }] of this.#frames.entries())
        for (const key of keys)
          if (key.startsWith(deviceId) && inCloud[index + 1]) expected.push((this.#produced.get(key) ?? 0) / 100);
      const raw = await until(there.raw(deviceId, energyOf[deviceId], 0, farMs));
      const found = raw.value.filter((value) => value !== null);
      if (!sameNumbers(expected, found)) this.#tellOfContents(cloud);
      if (!sameNumbers(expected, found))
        this.#problem(
          `${deviceId}: the cloud holds ${found.length} readings, of ${expected.length} in its frames, or others`,
        );
    }
  }

  /** Which frames of the cloud hold other readings than those of the log that they stand for. */
  #tellOfContents(cloud: Cloud): void {
    for (let seq = 0; ; ) {
      const some = cloud.store.framesAfter(seq, 500);
      if (some.length === 0) return;
      for (const one of some) {
        seq = one.seq;
        const held = decodeFrame(one.bytes).samples.filter(({ metric }) => metric.endsWith('_energy_kwh')).length;
        let wanted = 0;
        for (let number = one.number; number <= one.last; number += 1)
          wanted += this.#frames[number - 1]?.keys.length ?? 0;
        if (held !== wanted)
          this.#problem(
            `frame ${one.number} to ${one.last} at the cloud holds ${held} readings; the log's hold ${wanted}`,
          );
      }
    }
  }

  async #checkAlerts(here: readonly Alert[], there: readonly Alert[]): Promise<void> {
    const theirs = new Map(there.map((one) => [one.alert_id, one]));
    this.#counts.alerts = here.length;
    for (const one of here) {
      const other = theirs.get(one.alert_id);
      theirs.delete(one.alert_id);
      if (other === undefined) this.#problem(`alert ${one.alert_id} (${one.rule_id}) is not at the cloud`);
      else if (!isDeepStrictEqual(one, other))
        this.#problem(`alert ${one.alert_id} (${one.rule_id}) differs: ${differenceOf(one, other)}`);
    }
    for (const one of theirs.values())
      if (!isCloudOnly(one.rule_id)) this.#problem(`alert ${one.alert_id} (${one.rule_id}) is only at the cloud`);
    for (const { event, at } of this.#acts)
      for (const [end, all] of [
        ['gateway', here],
        ['cloud', there],
      ] as const) {
        const alert = all.find(({ alert_id }) => alert_id === event.alert_id);
        if (alert?.timeline.some(({ event_id }) => event_id === event.id) !== true)
          this.#problem(`what a person said at the ${at} (${event.kind}) is not at the ${end}`);
      }
  }
}

/** The hash that samples should have. */
function hashOf(
  { deviceId, metric }: { readonly deviceId: string; readonly metric: string },
  {
    t,
    value,
    quality,
  }: { readonly t: readonly number[]; readonly value: readonly (number | null)[]; readonly quality: readonly number[] },
): string {
  const digest = { count: 0, a: 0, b: 0 };
  const add = seriesHasher(deviceId, metric);
  for (const [at, timeMs] of t.entries()) add(digest, timeMs, value[at] ?? null, quality[at] ?? 0);
  return digestHex(digest);
}

const isCloudOnly = (ruleId: string): boolean => /^(gateway_silent|fleet_)/.test(ruleId);

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const sorted = (all: readonly number[]) => Float64Array.from(all).sort();
  const [left, right] = [sorted(a), sorted(b)];
  return left.every((value, at) => Math.abs(value - (right[at] as number)) < 1e-6);
}

function differenceOf(a: Alert, b: Alert): string {
  const [left, right] = [a as unknown as Record<string, unknown>, b as unknown as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])]
    .filter((key) => !isDeepStrictEqual(left[key], right[key]))
    .map((key) => `${key}: ${JSON.stringify(left[key])} / ${JSON.stringify(right[key])}`)
    .join('; ')
    .slice(0, 600);
}

// --- settings, read once ---

let settings:
  | { readonly gateway: ReturnType<typeof loadGatewayConfig>; readonly cloud: ReturnType<typeof loadCloudConfig> }
  | undefined;
const gatewayConfig = () => loadSettings().gateway;
const cloudConfig = () => loadSettings().cloud;

function loadSettings() {
  if (settings) return settings;
  const folders = new Folders();
  const folder = folders.make('settings');
  const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric }] });
  writeFileSync(join(folder, 'credentials.json'), '{"devices": {}}', { mode: 0o600 });
  writeFileSync(
    join(folder, 'gateway.yaml'),
    JSON.stringify({
      site: {
        grid_id: gridId,
        gateway_id: gatewayId,
        name: 'Kisima',
        zone: 'Africa/Nairobi',
        plant: { pv_kwp: 20 },
        devices: deviceIds.map((device_id) => ({
          device_id,
          name: `Device ${device_id}`,
          protocol: 'mqtt',
          period_s: 60,
        })),
        wiring: {
          'equipment_temp_c.cabinet': wire('cabinet-1', 'equipment_temp_c'),
          consumption_kw: wire('meter-1', 'consumption_kw'),
          battery_soc_pct: wire('battery-1', 'battery_soc_pct'),
        },
      },
      device_credentials_file: 'credentials.json',
      mqtt_plain: { host: '127.0.0.1', port: 0 },
      uplink: {
        url: 'mqtts://127.0.0.1:9883',
        ca_file: 'none',
        certificate_file: 'none',
        key_file: 'none',
        plan: 'raw',
      },
    }),
  );
  for (const name of ['server.pem', 'server.key', 'ca.pem']) writeFileSync(join(folder, name), 'nothing listens');
  writeFileSync(
    join(folder, 'cloud.yaml'),
    JSON.stringify({
      mqtts: { port: 0, certificate_file: 'server.pem', key_file: 'server.key', client_ca_file: 'ca.pem' },
      gateways: [{ gateway_id: gatewayId, grid_id: gridId }],
      retention: { raw_days: 3650, minute_days: 3650, quarter_days: 3650 },
    }),
  );
  settings = {
    gateway: loadGatewayConfig({ path: join(folder, 'gateway.yaml') }),
    cloud: loadCloudConfig({ path: join(folder, 'cloud.yaml') }),
  };
  process.once('exit', () => folders.remove());
  return settings;
}
