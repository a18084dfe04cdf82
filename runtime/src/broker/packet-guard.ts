/**
 * A stream between the socket and the broker library that reads only the fixed headers of MQTT packets: a client that
 * announces a packet above the limit, or does not begin with CONNECT, is cut off before its bytes are kept. It also
 * holds back a client that sends more packets than its share, by not reading its socket.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Clock, Timer } from '@villagrid/contracts';

/** Why the guard cut a connection. */
export type GuardReason = 'packet_too_large' | 'not_mqtt';

/** Takes publishes of one client before the broker library sees them. */
export interface PublishBypass {
  /**
   * Offered each whole QoS 1 publish that is not to be retained, bytes `from` to `to`; false gives it to the library,
   * like all else.
   */
  take(bytes: Buffer, from: number, to: number): boolean;
  /** Told of each publish that goes to the library. */
  passedOn(): void;
  /** Told of each piece of traffic in which something was taken. */
  heard(): void;
}

export interface PacketGuardOptions {
  readonly clock: Clock;
  /** Largest packet after the first, and the largest first packet (CONNECT), bytes with header. */
  readonly maxPacketBytes: number;
  readonly maxConnectBytes: number;
  /** Packets a second a client may send over time; 0 is no limit. */
  readonly maxPacketsPerSecond: number;
  /** Called once, just before the connection is destroyed. */
  readonly onRefused: (reason: GuardReason, announcedBytes: number) => void;
  readonly onThrottled: () => void;
}

/** How long a closing connection may take to deliver its last words, real milliseconds. */
const lingerMs = 1000;
const connectPacket = 1;
const publishPacket = 3;
/** First byte of a QoS 1 publish that is not to be retained, whatever its DUP flag. */
const isPlainQos1 = (byte: number): boolean => (byte & 0xf7) === 0x32;

/** The guarded connection, to be handed to the broker library in place of the socket. */
export class PacketGuard extends Duplex {
  readonly socket: Socket;
  /** Set before the first byte arrives. */
  bypass: PublishBypass | undefined;
  readonly #options: PacketGuardOptions;
  /** Bytes of the present packet still to come. */
  #left = 0;
  #inHeader = false;
  #length = 0;
  #lengthBytes = 0;
  #packets = 0;
  #tokens: number;
  #tokensAtMs: number;
  #hold: Timer | undefined;
  #heldBack = false;
  /** Of the present chunk: whether the library wants more, and whether the bypass took something. */
  #more = true;
  #taken = false;
  /** The present packet is kept until it is whole, to be offered to the bypass; what of it came in earlier chunks. */
  #keeping = false;
  #kept: Buffer[] = [];

  constructor(socket: Socket, options: PacketGuardOptions) {
    super({ allowHalfOpen: false, readableHighWaterMark: 64 * 1024 });
    this.socket = socket;
    this.#options = options;
    this.#tokens = 2 * options.maxPacketsPerSecond;
    this.#tokensAtMs = options.clock.monotonicMs();
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    socket.pause();
  }

  #take(chunk: Buffer): void {
    if (this.destroyed) return;
    const before = this.#packets;
    const announced = this.#walk(chunk);
    if (announced !== undefined) {
      this.#options.onRefused(announced < 0 ? 'not_mqtt' : 'packet_too_large', Math.max(0, announced));
      this.socket.destroy();
      this.destroy();
      return;
    }
    this.#spend(this.#packets - before);
    if (!this.#more || this.#hold || this.#heldBack) this.socket.pause();
  }

  /** Reads the socket no more until told otherwise. */
  setHeldBack(heldBack: boolean): void {
    const ends = this.#heldBack && !heldBack;
    this.#heldBack = heldBack;
    if (ends && !this.#hold && !this.destroyed) this.socket.resume();
  }

  /** Gives bytes to the library. */
  #pass(bytes: Buffer): void {
    if (bytes.length > 0) this.#more = this.push(bytes) && this.#more;
  }

  /** The present packet is whole: its last bytes are these. */
  #offer(bytes: Buffer, from: number, to: number): void {
    this.#keeping = false;
    if (this.#kept.length > 0) {
      const packet = Buffer.concat([...this.#kept, bytes.subarray(from, to)]);
      this.#kept = [];
      this.#offer(packet, 0, packet.length);
    } else if (this.bypass?.take(bytes, from, to)) this.#taken = true;
    else {
      this.bypass?.passedOn();
      this.#pass(bytes.subarray(from, to));
    }
  }

  /** Offers a publish that begins here and lies whole in the chunk; gives where it ends, 0 when it is not such a one. */
  #offerWhole(chunk: Buffer, at: number): number {
    if (this.bypass === undefined || at + 2 >= chunk.length || !isPlainQos1(chunk[at] as number)) return 0;
    const low = chunk[at + 1] as number;
    const high = low < 128 ? 0 : (chunk[at + 2] as number);
    if (high >= 128) return 0;
    const end = at + (low < 128 ? 2 + low : 3 + (low & 127) + high * 128);
    if (end > chunk.length || end - at > this.#options.maxPacketBytes) return 0;
    this.#packets += 1;
    this.#offer(chunk, at, end);
    return end;
  }

  /**
   * Walks over the packets in a chunk and hands them on; returns the length announced by one that is refused, negative
   * when it is not MQTT.
   */
  #walk(chunk: Buffer): number | undefined {
    this.#more = true;
    this.#taken = false;
    let at = 0;
    /** Where begins what was not handed on yet: bytes for the library, or the packet that is kept. */
    let from = 0;
    while (at < chunk.length) {
      if (from === at && this.#left === 0 && !this.#inHeader && this.#packets > 0) {
        const end = this.#offerWhole(chunk, at);
        if (end > 0) {
          at = end;
          from = end;
          continue;
        }
      }
      if (this.#left > 0) {
        const skip = Math.min(this.#left, chunk.length - at);
        this.#left -= skip;
        at += skip;
      } else {
        const byte = chunk[at] as number;
        at += 1;
        if (!this.#inHeader) {
          const type = byte >> 4;
          if (type === 0 || type === 15 || (this.#packets === 0) !== (type === connectPacket)) return -1;
          this.#inHeader = true;
          this.#length = 0;
          this.#lengthBytes = 0;
          if (type !== publishPacket || !this.bypass) continue;
          if (isPlainQos1(byte)) {
            this.#keeping = true;
            this.#pass(chunk.subarray(from, at - 1));
            from = at - 1;
          } else this.bypass.passedOn();
          continue;
        }
        this.#length += (byte & 127) * 128 ** this.#lengthBytes;
        this.#lengthBytes += 1;
        if (byte >= 128) {
          if (this.#lengthBytes === 4) return -1;
          continue;
        }
        const limit = this.#packets === 0 ? this.#options.maxConnectBytes : this.#options.maxPacketBytes;
        const total = 1 + this.#lengthBytes + this.#length;
        if (total > limit) return total;
        this.#inHeader = false;
        this.#left = this.#length;
        this.#packets += 1;
      }
      if (this.#left === 0 && this.#keeping) {
        this.#offer(chunk, from, at);
        from = at;
      }
    }
    if (this.#keeping) this.#kept.push(chunk.subarray(from));
    else this.#pass(chunk.subarray(from));
    if (this.#taken) this.bypass?.heard();
    return undefined;
  }

  /** Takes packets from the client's share, which refills with time and never exceeds two seconds' worth. */
  #spend(packets: number): void {
    const rate = this.#options.maxPacketsPerSecond;
    if (rate === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#tokens = Math.min(2 * rate, this.#tokens + ((nowMs - this.#tokensAtMs) / 1000) * rate) - packets;
    this.#tokensAtMs = nowMs;
    if (this.#tokens >= 0 || this.#hold) return;
    this.#options.onThrottled();
    this.#hold = this.#options.clock.after((-this.#tokens / rate) * 1000, () => {
      this.#hold = undefined;
      if (!this.destroyed && !this.#heldBack) this.socket.resume();
    });
  }

  override _read(): void {
    if (!this.#hold && !this.#heldBack) this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.socket.write(chunk, done);
  }

  override _writev(
    chunks: Array<{ chunk: Buffer; encoding: BufferEncoding }>,
    done: (error?: Error | null) => void,
  ): void {
    this.socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#hold?.cancel();
    if (!this.socket.destroyed) {
      // What was written last, a refusal above all, still goes out; a peer that does not read it is not waited for.
      this.socket.destroySoon();
      const linger = this.#options.clock.after(lingerMs, () => this.socket.destroy());
      this.socket.once('close', () => linger.cancel());
      this.socket.on('error', () => {});
      this.socket.resume();
    }
    done(error);
  }
}
