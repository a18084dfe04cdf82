/** Growing and reading byte strings: variable-length integers up to 2^53, zigzag, length-prefixed text. */

declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes: Uint8Array): string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const firstBytes = 1024;
const mostKeptBytes = 256 * 1024;

/** Collects bytes; grows as needed. */
export class ByteWriter {
  #bytes = new Uint8Array(firstBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value & 255;
  }

  /** An unsigned integer of 0 to 2^53 - 1, seven bits a byte, low bits first; throws CodecError for any other number. */
  unsigned(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#reserve(8);
    const bytes = this.#bytes;
    let low = value | 0;
    // Nearly all numbers are small, and 32-bit arithmetic is much quicker.
    if (low !== value || low < 0) {
      if (!(value >= 0) || !Number.isSafeInteger(value))
        throw new CodecError(`${value} is no integer of 0 to 2^53 - 1`);
      let rest = value;
      while (rest > 0x7fffffff) {
        bytes[this.#length++] = (rest % 128) | 128;
        rest = Math.floor(rest / 128);
      }
      low = rest | 0;
    }
    while (low >= 128) {
      bytes[this.#length++] = (low & 127) | 128;
      low >>>= 7;
    }
    bytes[this.#length++] = low;
  }

  /** A signed integer by zigzag: 0, -1, 1, -2 become 0, 1, 2, 3. Magnitude below 2^52. */
  signed(value: number): void {
    this.unsigned(value < 0 ? -value * 2 - 1 : value * 2);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Length, then bytes. */
  block(bytes: Uint8Array): void {
    this.unsigned(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    this.block(encoder.encode(text));
  }

  /** Begins anew; the room stays, unless it is very large. */
  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > mostKeptBytes) this.#bytes = new Uint8Array(firstBytes);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** What was written from a place on, not copied: true until more is written. */
  written(from = 0): Uint8Array {
    return this.#bytes.subarray(from, this.#length);
  }
}

/** Raised for bytes that are not what they claim to be, and for values that cannot be packed. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
}

/** Reads what ByteWriter wrote; throws CodecError on bytes cut short or out of bounds. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new CodecError(`bytes end at ${this.#at}`);
    this.#at += 1;
    return value;
  }

  unsigned(): number {
    const first = this.#bytes[this.#at];
    if (first !== undefined && first < 128) {
      this.#at += 1;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i += 1) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw new CodecError('integer above 2^53');
        return value;
      }
      scale *= 128;
    }
    throw new CodecError('integer longer than 8 bytes');
  }

  signed(): number {
    const value = this.unsigned();
    // One byte, the usual case, without floating point.
    if (value < 128) return (value >>> 1) ^ -(value & 1);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  raw(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length)
      throw new CodecError(`${length} bytes wanted at ${this.#at}, ${this.#bytes.length - this.#at} left`);
    const slice = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return slice;
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  block(): Uint8Array {
    return this.raw(this.unsigned());
  }

  text(): string {
    try {
      return decoder.decode(this.block());
    } catch (error) {
      if (error instanceof CodecError) throw error;
      throw new CodecError('text is not UTF-8');
    }
  }
}
