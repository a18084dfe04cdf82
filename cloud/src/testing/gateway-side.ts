/** The gateway's side of the uplink for tests: a real MQTT client with a real certificate, and frames to send. */
import { deflateRawSync } from 'node:zlib';
import {
  encodeEnvelopeBody,
  encodeFrame,
  envelopeDeflated,
  envelopePlain,
  topics,
  qualityCodes,
  type AlertEvent,
  type ClockTrust,
  type DownMessage,
  type Frame,
  type FrameEntry,
  type Hello,
  type Lane,
  type Receipt,
  type Sample,
  type Site,
  type Welcome,
} from '@villagrid/contracts';
import { realClock, type CertifiedKey } from '@villagrid/runtime';
import mqtt, { type MqttClient } from 'mqtt';

/** Who the client is and where it goes. */
export interface GatewaySideOptions {
  readonly url: string;
  readonly gatewayId: string;
  readonly gridId: string;
  readonly certificate: CertifiedKey;
  readonly caPem: string;
  readonly epoch?: string;
  readonly clientId?: string;
}

const clock = realClock();
/** Start of the samples that `testFrame` makes. */
export const testStartMs = 1_795_341_600_000;

/** A frame of log number `number`: two series, every 5 s, values that follow from the number. */
export function testFrame(
  number: number,
  more: {
    events?: readonly AlertEvent[];
    entries?: readonly FrameEntry[];
    samples?: readonly Sample[];
    trust?: ClockTrust;
    /** What the gateway's clock is ahead; without trust its samples are marked. */
    wrongMs?: number;
  } = {},
): Uint8Array {
  const { trust = 'ntp', wrongMs = 0 } = more;
  const timeMs = testStartMs + number * 5000 + wrongMs;
  const good = trust === 'ntp' ? qualityCodes.good : qualityCodes.uncertain_clock;
  const samples: Sample[] = [
    { deviceId: 'inv-01', metric: 'generation_kw', timeMs, value: (number % 100) / 10, quality: good },
    {
      deviceId: 'bat-01',
      metric: 'battery_soc_pct',
      timeMs: timeMs + 1,
      value: 50 + (number % 50),
      quality: number % 7 === 0 ? 64 : good,
    },
  ];
  const frame: Frame = {
    boot: 'b1',
    monotonicMs: number * 5000,
    wallMs: timeMs + 10,
    trust,
    samples: more.samples ?? samples,
    events: more.events ?? [],
    entries: more.entries ?? [],
    received: [],
  };
  return encodeFrame(frame);
}

/** A small village. */
export const testSite = (gridId: string, gatewayId: string, more: Partial<Site> = {}): Site => ({
  grid_id: gridId,
  gateway_id: gatewayId,
  name: 'Test village',
  zone: 'Africa/Nairobi',
  plant: { pv_kwp: 20, battery_floor_pct: 20, has_genset: false, has_mains: false },
  devices: [
    { device_id: 'inv-01', name: 'Inverter', kind: 'inverter', protocol: 'modbus', period_s: 5, expected: true },
    { device_id: 'bat-01', name: 'Battery', kind: 'battery', protocol: 'modbus', period_s: 5, expected: true },
  ],
  wiring: {
    generation_kw: { terms: [{ device_id: 'inv-01', metric: 'generation_kw', factor: 1 }] },
    battery_soc_pct: { terms: [{ device_id: 'bat-01', metric: 'battery_soc_pct', factor: 1 }] },
  },
  ...more,
});

/** A `raised` event. */
export const raisedEvent = (id: string, alertId: string, gridId: string, gatewayId: string): AlertEvent => ({
  id,
  alert_id: alertId,
  grid_id: gridId,
  at_ms: testStartMs,
  origin: { kind: 'gateway', id: gatewayId },
  kind: 'raised',
  subject: {
    rule_id: 'high_equipment_temperature',
    type: 'high_equipment_temperature',
    severity: 'high',
    message: 'high temperature on equipment',
    what: 'Inverter has 75.25 °C; the limit is 60 °C.',
    why: 'Hot equipment stops to protect itself.',
    steps: ['Check that fans turn.'],
    device_id: 'inv-01',
    device_name: 'Inverter',
    metric: 'equipment_temp_c',
    value: 75.25,
    limit: 60,
    unit: '°C',
  },
});

/** A connected gateway. */
export class GatewaySide {
  readonly options: GatewaySideOptions;
  readonly client: MqttClient;
  /** Everything that came down, oldest first. */
  readonly down: DownMessage[] = [];
  epoch: string;
  #closed = false;
  readonly #waiters = new Set<() => void>();

  private constructor(options: GatewaySideOptions, client: MqttClient) {
    this.options = options;
    this.client = client;
    this.epoch = options.epoch ?? 'EPOCH1';
    client.on('message', (_topic, payload) => {
      this.down.push(JSON.parse(payload.toString()) as DownMessage);
      this.#wake();
    });
    client.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
    client.on('error', () => this.#wake());
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Connects and, unless told otherwise, subscribes to its `down`. Rejects when it is not let in. */
  static async connect(options: GatewaySideOptions, { subscribe = true } = {}): Promise<GatewaySide> {
    const client = mqtt.connect(options.url, {
      clientId: options.clientId ?? options.gatewayId,
      clean: true,
      keepalive: 120,
      reconnectPeriod: 0,
      protocolVersion: 4,
      ca: options.caPem,
      cert: options.certificate.certificatePem,
      key: options.certificate.privateKeyPem,
      will: {
        topic: topics.gatewayStatus(options.gridId, options.gatewayId),
        payload: Buffer.from('offline'),
        qos: 1,
        retain: false,
      },
    });
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed before CONNACK')));
    });
    const side = new GatewaySide(options, client);
    if (subscribe) await client.subscribeAsync(topics.down(options.gridId, options.gatewayId), { qos: 1 });
    return side;
  }

  /** Publishes at QoS 1; resolves with the acknowledgement, rejects when the connection closes before it. */
  publishTo(topic: string, payload: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('closed'));
      const onClose = () => reject(new Error('closed without an acknowledgement'));
      this.client.once('close', onClose);
      this.client.publish(topic, Buffer.from(payload), { qos: 1 }, (error) => {
        this.client.removeListener('close', onClose);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  publish(lane: Lane, payload: Uint8Array | string): Promise<void> {
    return this.publishTo(topics.up(this.options.gridId, this.options.gatewayId, lane), payload);
  }

  /** The bytes of an envelope. */
  envelope(
    first: number,
    frames: readonly Uint8Array[],
    { receipt = true, deflate = true, epoch = this.epoch } = {},
  ): Uint8Array {
    const body = encodeEnvelopeBody({ epoch, first, plan: 'raw', receiptWanted: receipt, frames });
    return Buffer.concat([
      Buffer.of(deflate ? envelopeDeflated : envelopePlain),
      deflate ? deflateRawSync(body) : body,
    ]);
  }

  /** Sends test frames `first` to `last`. */
  sendFrames(
    first: number,
    last: number,
    options: { receipt?: boolean; deflate?: boolean; lane?: 'live' | 'backfill' } = {},
  ): Promise<void> {
    const frames = Array.from({ length: last - first + 1 }, (_, i) => testFrame(first + i));
    return this.publish(options.lane ?? 'live', this.envelope(first, frames, options));
  }

  hello(more: Partial<Hello> = {}): Promise<void> {
    const { gatewayId, gridId } = this.options;
    const message: Hello = {
      y: 'hello',
      gateway_id: gatewayId,
      boot: 'b1',
      version: '0.1.0',
      epoch: this.epoch,
      newest_number: 0,
      oldest_number: 1,
      receipted_number: 0,
      clock_ms: testStartMs,
      clock_trust: 'ntp',
      plan: 'raw',
      site: testSite(gridId, gatewayId),
      ...more,
    };
    return this.publish('session', JSON.stringify(message));
  }

  /** The first message down (of those not looked at before `from`) that fits; rejects after 8 s. */
  async next<T extends DownMessage>(fits: (message: DownMessage) => message is T, from?: number): Promise<T>;
  async next(fits: (message: DownMessage) => boolean, from?: number): Promise<DownMessage>;
  async next(fits: (message: DownMessage) => boolean, from = 0): Promise<DownMessage> {
    const deadlineMs = clock.monotonicMs() + 8000;
    for (;;) {
      const found = this.down.slice(from).find(fits);
      if (found) return found;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0)
        throw new Error(`nothing fitting came down; there are ${JSON.stringify(this.down).slice(0, 500)}`);
      await new Promise<void>((resolve) => {
        const timer = clock.after(leftMs, done);
        const waiters = this.#waiters;
        function done(): void {
          timer.cancel();
          waiters.delete(done);
          resolve();
        }
        waiters.add(done);
      });
    }
  }

  /** A receipt up to a number. */
  receipt(upTo: number): Promise<Receipt> {
    return this.next((message): message is Receipt => message.y === 'receipt' && message.up_to === upTo);
  }

  welcome(from = 0): Promise<Welcome> {
    return this.next((message): message is Welcome => message.y === 'welcome', from);
  }

  end(): Promise<void> {
    return this.client.endAsync(true);
  }
}
