/**
 * The line between a gateway and the cloud in place of MQTT: the uplink's destination port on one side, the cloud's broker
 * hooks on the other. It delays, reorders, loses, doubles, throttles, cuts, goes half open, and brings copies hours later.
 */
import { inflateRawSync } from 'node:zlib';
import {
  decodeEnvelopeBody,
  encodeEnvelopeBody,
  envelopePlain,
  lanes,
  parseTopic,
  type DownMessage,
  type RandomSource,
} from '@villagrid/contracts';
import type { Cloud } from '@villagrid/cloud';
import type { GatewayPorts } from '@villagrid/gateway';
import { backoffDelayMs } from '@villagrid/runtime';
import type { Life, VirtualTime } from './virtual-time.js';

type Destination = NonNullable<GatewayPorts['inProcess']>['destination'];
type DestinationEvents = Parameters<Destination['open']>[1];

/** How bad the line is; chances from 0 to 1, milliseconds of real time. */
export interface LineFaults {
  readonly latencyMs: number;
  /** Up to so much more, for each message by itself: so they overtake each other. */
  readonly jitterMs: number;
  readonly bytesPerS: number;
  readonly loss: number;
  readonly ackLoss: number;
  readonly receiptLoss: number;
  readonly twice: number;
  /** A copy comes long after, up to so many milliseconds. */
  readonly lateCopy: number;
  readonly lateCopyMs: number;
  readonly spoil: number;
}

/** A line that does what a line should. */
export const soundLine: LineFaults = {
  latencyMs: 40,
  jitterMs: 0,
  bytesPerS: 1e6,
  loss: 0,
  ackLoss: 0,
  receiptLoss: 0,
  twice: 0,
  lateCopy: 0,
  lateCopyMs: 0,
  spoil: 0,
};

/** The cloud that runs just now. */
export interface CloudEnd {
  readonly life: Life;
  readonly cloud: Cloud;
  readonly gateway: NonNullable<ReturnType<Cloud['directory']['gateway']>>;
}

interface Waiting {
  reject(error: Error): void;
}

interface Session {
  readonly life: Life;
  readonly end: CloudEnd;
  readonly events: DestinationEvents;
  readonly waiting: Set<Waiting>;
  /** Messages pass; false on a line that is half open. */
  carries: boolean;
  open: boolean;
}

const acknowledgeWithinMs = 20_000;
const noticeMs = 45_000;
const backoff = { minMs: 500, maxMs: 30_000 };

export interface LineOptions {
  readonly time: VirtualTime;
  readonly random: RandomSource;
  readonly cloud: () => CloudEnd | undefined;
  readonly trace: (what: string) => void;
}

/** The line of one gateway. */
export class Line {
  faults: LineFaults = soundLine;
  /** Most messages that were under way at a time. */
  mostUnderWay = 0;
  readonly counts = { up: 0, down: 0, lost: 0, doubled: 0, late: 0, cuts: 0, spoilt: 0 };
  readonly #options: LineOptions;
  #isUp = true;
  #session: Session | undefined;
  #freeAtMs = 0;
  #underWay = 0;
  #sent = 0;
  #received = 0;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#session?.open === true;
  }

  /** Takes the line away, or brings it back. `silently`: nobody is told, both ends find out for themselves. */
  setUp(isUp: boolean, silently = false): void {
    this.#isUp = isUp;
    if (!isUp) this.cut(silently);
  }

  /** Breaks the connection there is. */
  cut(silently = false): void {
    const session = this.#session;
    if (session === undefined) return;
    this.counts.cuts += 1;
    this.#options.trace(silently ? 'the line is half open' : 'the line is cut');
    session.carries = false;
    const { time } = this.#options;
    time.after(silently ? noticeMs * this.#float() : 0, () => this.#leave(session));
    time.after(silently ? noticeMs * this.#float() : 0, () => this.#tellCloud(session));
  }

  /** What the cloud sends down. */
  async publish(life: Life, topic: string, payload: string): Promise<void> {
    const session = this.#session;
    if (session === undefined || session.end.life !== life) return;
    const { faults } = this;
    this.counts.down += 1;
    const message = JSON.parse(payload) as DownMessage;
    if (this.#float() < (message.y === 'receipt' ? faults.receiptLoss : faults.loss)) {
      this.#options.trace(`lost on the way down: ${message.y}`);
      this.counts.lost += 1;
      return;
    }
    // What packs with brotli does so beside the event loop, where virtual time does not reach.
    const carried =
      message.y === 'welcome'
        ? { ...message, takes: (message.takes ?? []).filter((one) => one !== 'brotli') }
        : message;
    const bytes = new TextEncoder().encode(JSON.stringify(carried));
    for (const delayMs of this.#delays(0))
      this.#options.time.after(
        delayMs,
        () => {
          if (!session.carries || !session.open || this.#session !== session) return;
          this.#received += bytes.length;
          session.events.message(topic, bytes);
        },
        session.life,
      );
  }

  /** The port of one life of the gateway. */
  destination(life: Life): Destination {
    const { time } = this.#options;
    let closed = false;
    let attempt = 0;
    let own: Session | undefined;
    const connect = (events: DestinationEvents): void => {
      if (closed) return;
      const end = this.#isUp ? this.#options.cloud() : undefined;
      if (end?.life.alive !== true || this.#float() < this.faults.loss) {
        const delayMs = backoffDelayMs(attempt, { ...backoff, random: this.#options.random });
        attempt += 1;
        time.after(delayMs, () => connect(events), life);
        return;
      }
      attempt = 0;
      const before = this.#session;
      if (before) this.#leave(before);
      if (before) this.#tellCloud(before);
      const session: Session = {
        life,
        end,
        events: {
          ...events,
          down: (reason) => {
            events.down(reason);
            time.after(backoffDelayMs(0, { ...backoff, random: this.#options.random }), () => connect(events), life);
          },
        },
        waiting: new Set(),
        carries: true,
        open: true,
      };
      this.#session = own = session;
      this.#options.trace('connected');
      end.cloud.receiver.connected({ kind: 'gateway', gateway: end.gateway });
      events.up();
    };
    const isConnected = () => own?.open === true && this.#session === own;
    const hangUp = (session: Session) => {
      this.#leave(session);
      this.#tellCloud(session);
    };
    return {
      open: (_subscription, events) => void time.after(this.faults.latencyMs * 4, () => connect(events), life),
      publish: (topic, bytes) =>
        own?.open === true ? this.#carry(own, topic, bytes) : Promise.reject(new Error('no link')),
      get connected() {
        return isConnected();
      },
      traffic: () => ({ sentBytes: this.#sent, receivedBytes: this.#received }),
      async close() {
        closed = true;
        if (own?.open !== true) return;
        hangUp(own);
      },
    };
  }

  #float(): number {
    return this.#options.random.float();
  }

  /** When a message of so many bytes comes: once, or twice. */
  #delays(bytes: number): number[] {
    const { latencyMs, jitterMs, bytesPerS, twice } = this.faults;
    const nowMs = this.#options.time.ms;
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes / bytesPerS) * 1000;
    const one = () => this.#freeAtMs - nowMs + latencyMs + jitterMs * this.#float();
    if (this.#float() >= twice) return [one()];
    this.counts.doubled += 1;
    return [one(), one() + 1000 * this.#float()];
  }

  #carry(session: Session, topic: string, bytes: Uint8Array): Promise<void> {
    const { time, trace } = this.#options;
    const { faults } = this;
    this.counts.up += 1;
    this.#underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.#underWay);
    this.#sent += bytes.length;
    return new Promise<void>((resolve, reject) => {
      let done = false;
      const finish = (error?: Error): void => {
        if (done) return;
        done = true;
        this.#underWay -= 1;
        late.cancel();
        session.waiting.delete(waiting);
        if (!session.life.alive) return;
        if (error) reject(error);
        else resolve();
      };
      const waiting: Waiting = { reject: finish };
      session.waiting.add(waiting);
      const late = time.after(acknowledgeWithinMs, () => {
        finish(new Error('not acknowledged in time'));
        if (session.open && this.#session === session) this.cut();
      });
      if (this.#float() < faults.loss) {
        this.counts.lost += 1;
        trace(`lost on the way up: ${topic.split('/').at(-1)}`);
        return;
      }
      if (this.#float() < faults.lateCopy) {
        this.counts.late += 1;
        time.after(faults.lateCopyMs * this.#float(), () => this.#deliverLate(topic, bytes));
      }
      for (const delayMs of this.#delays(bytes.length))
        time.after(delayMs, () => {
          if (!session.carries || !session.end.life.alive) return;
          this.#deliver(session.end, topic, this.#spoilt(topic, bytes)).then(
            () => {
              if (this.#float() < faults.ackLoss) return;
              time.after(faults.latencyMs, () => {
                if (session.carries) finish();
              });
            },
            () => {
              if (session.end.life.alive && session.carries) this.cut();
            },
          );
        });
    });
  }

  /** A frame that the cloud cannot read, as one of a newer gateway would be. */
  #spoilt(topic: string, bytes: Uint8Array): Uint8Array {
    if (this.#float() >= this.faults.spoil || !/\/(live|backfill)$/.test(topic)) return bytes;
    this.counts.spoilt += 1;
    const body = bytes.subarray(1);
    const envelope = decodeEnvelopeBody(bytes[0] === envelopePlain ? body : inflateRawSync(body));
    const frames = [...envelope.frames];
    const at = Math.floor(this.#float() * frames.length);
    const frame = Uint8Array.from(frames[at] ?? []);
    frame[frame.length >> 1] = ((frame[frame.length >> 1] ?? 0) + 1) % 256;
    frames[at] = frame;
    return Buffer.concat([Buffer.of(envelopePlain), encodeEnvelopeBody({ ...envelope, frames })]);
  }

  #deliverLate(topic: string, bytes: Uint8Array): void {
    const end = this.#options.cloud();
    if (end?.life.alive !== true) return;
    this.#options.trace(`a late copy comes: ${topic.split('/').at(-1)}`);
    this.#deliver(end, topic, bytes).catch(() => {});
  }

  async #deliver({ cloud, gateway }: CloudEnd, topic: string, bytes: Uint8Array): Promise<void> {
    const parsed = parseTopic(topic);
    const lane = parsed?.kind === 'up' ? parsed.lane : undefined;
    if (lane === undefined || !lanes.includes(lane)) throw new Error(`nothing listens on ${topic}`);
    await cloud.receiver.take({ what: 'lane', gateway, lane }, bytes);
  }

  /** The gateway's end. */
  #leave(session: Session): void {
    if (!session.open) return;
    session.open = session.carries = false;
    for (const one of [...session.waiting]) one.reject(new Error('the link went down'));
    if (this.#session === session) this.#session = undefined;
    if (session.life.alive) session.events.down('the line was cut');
  }

  #told = new WeakSet<Session>();
  /** The cloud's end. */
  #tellCloud(session: Session): void {
    if (this.#told.has(session)) return;
    this.#told.add(session);
    const { life, cloud, gateway } = session.end;
    if (life.alive) cloud.receiver.disconnected({ kind: 'gateway', gateway });
  }
}
