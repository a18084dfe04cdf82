/**
 * How much may be on its way. Backfill has a credit of envelopes without a receipt, which grows with receipts and halves
 * when one fails to come, so a slow cloud slows its gateways. The line has room for as many bytes as it takes away in
 * about a second and a half, so that what is live never waits long behind what is old. Pure.
 */

/** Envelopes without a receipt. */
const leastCredit = 2;
const firstCredit = 4;
const mostCredit = 32;
/** Bytes on the line. */
const leastRoom = 2 * 1024;
const firstRoom = 16 * 1024;
const mostRoom = 256 * 1024;
/** An acknowledgement that comes sooner makes more room, one that comes later less; real milliseconds. */
const quickMs = 1500;
const slowMs = 3000;

/** What is allowed, and what has been learnt of the line. */
export class Credit {
  #envelopes = firstCredit;
  #room = firstRoom;
  #inLine = 0;

  /** Most backfill envelopes without a receipt. */
  get envelopes(): number {
    return this.#envelopes;
  }

  /** Most bytes of an envelope, so that several fit into the line's room. */
  get envelopeBytes(): number {
    return Math.max(leastRoom, Math.floor(this.#room / 3));
  }

  get inLine(): number {
    return this.#inLine;
  }

  /** Whether backfill may go into the line; what is live goes before the line is empty, but not before it is half so. */
  hasRoom(lane: 'live' | 'backfill'): boolean {
    return this.#inLine < (lane === 'live' ? this.#room * 1.5 : this.#room);
  }

  sent(bytes: number): void {
    this.#inLine += bytes;
  }

  /** The line took it, after so long. */
  acknowledged(bytes: number, tookMs: number): void {
    this.#inLine = Math.max(0, this.#inLine - bytes);
    if (tookMs < quickMs) this.#room = Math.min(mostRoom, this.#room + bytes);
    else if (tookMs > slowMs) this.#room = Math.max(leastRoom, Math.floor(this.#room * 0.7));
  }

  /** It did not arrive. */
  failed(bytes: number): void {
    this.#inLine = Math.max(0, this.#inLine - bytes);
    this.#room = Math.max(leastRoom, Math.floor(this.#room / 2));
  }

  /** A receipt brought something on. */
  receipted(): void {
    this.#envelopes = Math.min(mostCredit, this.#envelopes + 1);
  }

  /** A receipt failed to come. */
  overdue(): void {
    this.#envelopes = Math.max(leastCredit, Math.floor(this.#envelopes / 2));
  }

  /** A new connection: nothing is on it yet. */
  restart(): void {
    this.#inLine = 0;
  }
}
