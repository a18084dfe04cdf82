/** Modbus RTU on the wire: the frame of a read or a write, and what of the bytes that come is its answer. Pure. */

/** The Modbus CRC of `bytes[from..to)`; on the wire its low byte comes first. */
export function crc16(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = 0xffff;
  for (let i = from; i < to; i += 1) {
    crc ^= bytes[i] ?? 0;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

/** A read as RTU has it. */
export interface RtuRead {
  readonly unit: number;
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
}

/** A write as RTU has it: 6 writes one register, 16 several. */
export interface RtuWrite {
  readonly unit: number;
  readonly function: 6 | 16;
  readonly address: number;
  readonly words: readonly number[];
}

/** What is asked of a unit. */
export type RtuQuestion = RtuRead | RtuWrite;

/** Whether it only reads. */
export const isRead = (question: RtuQuestion): question is RtuRead => 'count' in question;

/** Bytes of an answer with this many registers. */
export const answerBytes = (count: number): number => 5 + 2 * count;
/** Bytes of the answer to a question, unless it is refused. */
export const answerLength = (question: RtuQuestion): number => (isRead(question) ? answerBytes(question.count) : 8);

/** The bytes of a request. */
export function requestFrame(question: RtuQuestion): Uint8Array {
  const { unit, function: code, address } = question;
  const head = [unit, code, address >> 8, address & 0xff];
  if (isRead(question)) return withCrc([...head, question.count >> 8, question.count & 0xff]);
  const { words } = question;
  const data = words.flatMap((word) => [word >> 8, word & 0xff]);
  return withCrc(
    code === 6 ? [...head, ...data] : [...head, words.length >> 8, words.length & 0xff, data.length, ...data],
  );
}

/** These bytes and their CRC. */
export function withCrc(bytes: readonly number[] | Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 2);
  out.set(bytes);
  const crc = crc16(out, 0, bytes.length);
  out[bytes.length] = crc & 0xff;
  out[bytes.length + 1] = crc >> 8;
  return out;
}

/** What a device said. */
export type RtuAnswer =
  | { readonly kind: 'words'; readonly words: readonly number[] }
  | { readonly kind: 'written' }
  | { readonly kind: 'exception'; readonly code: number };

/** What the bytes since a request are. `from` and `to` bound the answer within them. */
export type RtuFinding =
  | { readonly state: 'answer'; readonly answer: RtuAnswer; readonly from: number; readonly to: number }
  /** Nothing of it is an answer, yet. */
  | { readonly state: 'none' };

/** The first answer to this question within the bytes, from `start` on: unit, function, length and CRC all fit. */
export function findAnswer(read: RtuQuestion, bytes: Uint8Array, start = 0): RtuFinding {
  // Noise and the echo of our own request may stand before it; a CRC and three more bytes that fit do not come by chance.
  for (let from = start; from + 5 <= bytes.length; from += 1) {
    if (bytes[from] !== read.unit) continue;
    const to = answerEnd(read, bytes, from);
    if (to === undefined || to > bytes.length) continue;
    if (crc16(bytes, from, to - 2) !== ((bytes[to - 2] ?? 0) | ((bytes[to - 1] ?? 0) << 8))) continue;
    if (to - from === 5 && ((bytes[from + 1] ?? 0) & 0x80) !== 0)
      return { state: 'answer', answer: { kind: 'exception', code: bytes[from + 2] ?? 0 }, from, to };
    if (!isRead(read)) return { state: 'answer', answer: { kind: 'written' }, from, to };
    const view = new DataView(bytes.buffer, bytes.byteOffset + from + 3, 2 * read.count);
    const words = Array.from({ length: read.count }, (_, i) => view.getUint16(2 * i));
    return { state: 'answer', answer: { kind: 'words', words }, from, to };
  }
  return { state: 'none' };
}

function answerEnd(read: RtuQuestion, bytes: Uint8Array, from: number): number | undefined {
  const code = bytes[from + 1];
  if (code === (read.function | 0x80)) return from + 5;
  if (!isRead(read)) {
    // It repeats unit, function, address, and the value or the number of registers.
    const expected = requestFrame(read).subarray(0, 6);
    return expected.every((byte, i) => bytes[from + i] === byte) ? from + 8 : undefined;
  }
  if (code === read.function && bytes[from + 2] === 2 * read.count) return from + answerBytes(read.count);
  return undefined;
}

/** What bytes that hold no answer look like, for people. */
export function describeBytes(read: RtuQuestion, bytes: Uint8Array): string {
  const whole = wholeFrame(bytes);
  if (whole === undefined)
    return `${bytes.length} bytes that are no Modbus frame: noise, a wrong speed, or two devices at once`;
  if (whole.unit !== read.unit) return `an answer of unit ${whole.unit}`;
  if (whole.code !== read.function) return `an answer to function ${whole.code}`;
  if (!isRead(read)) return 'an answer to another write';
  return `an answer of ${(bytes[2] ?? 0) / 2} registers, not ${read.count}`;
}

/** Unit and function when all of these bytes are one frame with a good CRC. */
export function wholeFrame(bytes: Uint8Array): { readonly unit: number; readonly code: number } | undefined {
  const end = bytes.length;
  if (end < 5 || crc16(bytes, 0, end - 2) !== ((bytes[end - 2] ?? 0) | ((bytes[end - 1] ?? 0) << 8))) return undefined;
  return { unit: bytes[0] ?? 0, code: bytes[1] ?? 0 };
}

/** Milliseconds of one character: start, eight bits, parity or second stop bit, stop. */
export const characterMs = (baud: number): number => 11_000 / baud;

/** The silence that ends a frame: 3.5 characters, at fast speeds 1.75 ms. */
export const frameGapMs = (baud: number): number => (baud > 19_200 ? 1.75 : 3.5 * characterMs(baud));
