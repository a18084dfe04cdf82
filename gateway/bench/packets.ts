/** MQTT 3.1.1 packets of a load, made before the load begins so that it costs little while it runs. */

/** What a client says of itself. */
export interface Login {
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
}

const keepaliveS = 60;

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

function packet(firstByte: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = body.length; ; rest >>= 7) {
    if (rest < 128) {
      length.push(rest);
      return Buffer.concat([Buffer.from([firstByte, ...length]), body]);
    }
    length.push((rest & 127) | 128);
  }
}

/** CONNECT of a clean session. */
export function connectPacket({ clientId, username, password }: Login): Buffer {
  const flags = 2 | (username === undefined ? 0 : 128) | (password === undefined ? 0 : 64);
  const fields = [clientId, username, password].filter((one) => one !== undefined);
  return packet(0x10, Buffer.concat([text('MQTT'), Buffer.from([4, flags, 0, keepaliveS]), ...fields.map(text)]));
}

/** A QoS 1 PUBLISH. */
export function publishPacket(topic: string, id: number, body: string): Buffer {
  return packet(0x32, Buffer.concat([text(topic), Buffer.from([id >> 8, id & 255]), Buffer.from(body)]));
}

/** The seq, and the `up`, of a load's first message: eight digits, so that the next ones are as long. */
export const firstSeq = 10_000_001;

/** Metrics of a message: of the catalogue, those with the shortest names, so that twelve make a small message. */
export const metricsPerMessage = 12;

/** Twelve values of a node at the resolution of meters; each step changes most of them a little. */
export function metricsOfMessage(node: number, step: number): Record<string, number> {
  const wave = (period: number, phase = 0) => Math.sin((step * 2 * Math.PI) / period + node + phase);
  const at = (middle: number, swing: number, period: number, decimals: number) =>
    Number((middle + swing * wave(period) + swing * 0.1 * wave(period / 7.3, middle)).toFixed(decimals));
  return {
    consumption_kw: at(6, 2, 97, 3),
    generation_kw: at(8, 3, 131, 3),
    battery_soc_pct: at(70, 5, 211, 1),
    mains_power_kw: 0,
    genset_power_kw: 0,
    genset_hours: 412.5,
    fuel_level_pct: at(61, 1, 300, 1),
    ac_frequency_hz: at(50, 0.2, 41, 2),
    irradiance_w_m2: at(600, 200, 131, 1),
    ambient_temp_c: at(27, 2, 180, 2),
    equipment_temp_c: at(38, 4, 90, 2),
    humidity_pct: at(48, 6, 150, 1),
  };
}

/** A message of a node as JSON. */
export function payload(boot: string, node: number, step: number): string {
  return JSON.stringify({ v: 1, boot, seq: firstSeq, up: firstSeq, metrics: metricsOfMessage(node, step) });
}

/** A ring of PUBLISH packets of one client. A packet is sent again, with other numbers, only after its acknowledgement. */
export class PublishRing {
  readonly #bytes: Buffer;
  /** Where each packet begins; one more for the end. */
  readonly #starts: number[] = [0];
  readonly #idAt: number[] = [];
  readonly #digitsAt: number[][] = [];
  #sent = 0;

  /** QoS 1 publishes of `payloads` on a topic; more than are ever in flight at once. */
  constructor(topic: string, payloads: readonly string[]) {
    const packets = payloads.map((one) =>
      packet(0x32, Buffer.concat([text(topic), Buffer.from([0, 0]), Buffer.from(one)])),
    );
    this.#bytes = Buffer.concat(packets);
    let start = 0;
    for (const [index, one] of packets.entries()) {
      const body = start + one.length - Buffer.byteLength(payloads[index] ?? '');
      this.#idAt.push(body - 2);
      const digits = [];
      const wanted = String(firstSeq);
      for (let at = this.#bytes.indexOf(wanted, body); at >= 0 && at < start + one.length; ) {
        digits.push(at + wanted.length - 1);
        at = this.#bytes.indexOf(wanted, at + 1);
      }
      this.#digitsAt.push(digits);
      start += one.length;
      this.#starts.push(start);
    }
  }

  /** Messages taken so far. */
  get sent(): number {
    return this.#sent;
  }

  /** The packet id of the n-th message, counted from 0. */
  static idOf(index: number): number {
    return (index % 65_535) + 1;
  }

  /** The next messages' bytes, in one or two pieces. */
  *take(count: number): Generator<Buffer> {
    const size = this.#idAt.length;
    const from = this.#sent % size;
    for (let i = 0; i < count; i += 1) this.#number((from + i) % size, this.#sent + i);
    this.#sent += count;
    const first = Math.min(count, size - from);
    yield this.#bytes.subarray(this.#starts[from], this.#starts[from + first]);
    if (first < count) yield this.#bytes.subarray(0, this.#starts[count - first]);
  }

  #number(slot: number, index: number): void {
    const id = PublishRing.idOf(index);
    const idAt = this.#idAt[slot] as number;
    this.#bytes[idAt] = id >> 8;
    this.#bytes[idAt + 1] = id & 255;
    for (const last of this.#digitsAt[slot] as number[]) {
      let rest = firstSeq + index;
      for (let at = last; rest > 0; at -= 1) {
        this.#bytes[at] = 48 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
  }
}
