/**
 * The quick lane of one client: QoS 1 publishes that end with the owner, whom no subscriber may hear, do not go through
 * the broker library, which costs several times as much as all that is left. They are taken whole from the guard, held
 * by the same gate as all others, and acknowledged by bytes of our own, in the same order.
 */
import type { PacketGuard, PublishBypass } from './packet-guard.js';
import type { TakeBytes } from './publish-gate.js';

export interface QuickLaneOptions {
  readonly guard: PacketGuard;
  /** Where payloads to this topic go, if the client is logged in and a publish to it is allowed and ends with the owner. */
  readonly endsHere: (topic: string) => TakeBytes | undefined;
  /** Takes a publish, its payload being bytes `from` to `to`; it is to be answered by its packet id. */
  readonly take: (
    packetId: number,
    taker: TakeBytes,
    bytes: Uint8Array,
    from: number,
    to: number,
    duplicate: boolean,
  ) => void;
  /** Called with each piece of traffic, for the library's keepalive, which does not see it. */
  readonly heard: () => void;
}

/** Publishes that a client may have waiting before its socket is not read any more. */
const mostHeld = 1000;

/** See the head of this file. */
export class QuickLane implements PublishBypass {
  readonly #options: QuickLaneOptions;
  /** The topic of the last publish, as bytes and as text: most clients have one. */
  #topicBytes: Buffer = Buffer.alloc(0);
  #topic = '';
  #taker: TakeBytes | undefined;
  /** Publishes that were given to the library and did not come out of it yet: what follows must not overtake them. */
  #inLibrary = 0;
  #held = 0;
  #draining = false;
  #acknowledged: number[] = [];

  constructor(options: QuickLaneOptions) {
    this.#options = options;
  }

  take(bytes: Buffer, from: number, to: number): boolean {
    if (this.#inLibrary > 0) return false;
    let at = from + 1;
    while ((bytes[at] as number) >= 128) at += 1;
    at += 1;
    if (at + 2 > to) return false;
    const topicStart = at + 2;
    const topicEnd = topicStart + (((bytes[at] as number) << 8) | (bytes[at + 1] as number));
    if (topicEnd + 2 > to) return false;
    const packetId = ((bytes[topicEnd] as number) << 8) | (bytes[topicEnd + 1] as number);
    if (packetId === 0) return false;
    const taker = this.#takerOf(bytes, topicStart, topicEnd);
    if (taker === undefined) return false;
    this.#held += 1;
    if (this.#held >= mostHeld) this.#holdBack();
    this.#options.take(packetId, taker, bytes, topicEnd + 2, to, ((bytes[from] as number) & 8) !== 0);
    return true;
  }

  heard(): void {
    this.#options.heard();
  }

  passedOn(): void {
    this.#inLibrary += 1;
  }

  /** Topic of the newest publish that was taken. */
  get topic(): string {
    return this.#topic;
  }

  /** A publish came out of the library. */
  cameOut(): void {
    if (this.#inLibrary > 0) this.#inLibrary -= 1;
  }

  /** Answers a publish that was taken: an acknowledgement leaves with the next `flush`, a failure ends the connection. */
  answer(packetId: number, failure: Error | undefined): void {
    this.#held -= 1;
    if (failure) this.#options.guard.destroy(failure);
    else this.#acknowledged.push(packetId);
  }

  /** Sends what was acknowledged since the last time, as one piece. */
  flush(): void {
    const ids = this.#acknowledged;
    const { guard } = this.#options;
    if (ids.length === 0) return;
    this.#acknowledged = [];
    if (guard.destroyed || guard.writableEnded) return;
    const bytes = Buffer.allocUnsafe(ids.length * 4);
    for (let i = 0; i < ids.length; i += 1) {
      bytes.writeUInt16BE(0x4002, i * 4);
      bytes.writeUInt16BE(ids[i] as number, i * 4 + 2);
    }
    // Who does not read acknowledgements is not read either.
    if (!guard.write(bytes) && !this.#draining) {
      this.#draining = true;
      guard.once('drain', () => {
        this.#draining = false;
        this.#holdBack();
      });
    }
    this.#holdBack();
  }

  #holdBack(): void {
    this.#options.guard.setHeldBack(this.#draining || this.#held >= mostHeld);
  }

  #takerOf(bytes: Buffer, start: number, end: number): TakeBytes | undefined {
    if (this.#isKnownTopic(bytes, start, end)) return this.#taker;
    const topic = bytes.toString('utf8', start, end);
    // Bytes that are not the text they decode to are left to the library, which refuses them.
    const taker = /[+#\0\ufffd]/.test(topic) ? undefined : this.#options.endsHere(topic);
    if (taker === undefined) return undefined;
    this.#topicBytes = Buffer.from(bytes.subarray(start, end));
    this.#topic = topic;
    this.#taker = taker;
    return taker;
  }

  #isKnownTopic(bytes: Buffer, start: number, end: number): boolean {
    const known = this.#topicBytes;
    const length = end - start;
    if (known.length !== length) return false;
    for (let i = 0; i < length; i += 1) if (known[i] !== bytes[start + i]) return false;
    return length > 0;
  }
}
