/**
 * Saves the frames of a damaged log. Pages are read without SQLite (https://www.sqlite.org/fileformat2.html), because one
 * wrong page above them would hide thousands; each frame proves itself by its own checksum.
 *
 * The new file begins a new epoch, since numbers that were lost may have been seen by the cloud. Frames with a receipt
 * keep their samples for history under numbers below 1, which are sent to nobody; the others follow the epoch's entry.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { decodeFrame, encodeFrame, newId, type Clock, type Frame, type RandomSource } from '@villagrid/contracts';
import { createAlertStore, migrateModule, openDatabase, readWal } from '@villagrid/runtime';
import { epochFrame } from './epoch-frame.js';
import { committedAfter, type JournalRecord } from './journal-record.js';
import type { DurableLog } from './log.js';
import { movedReader, sealed } from './log-tables.js';
import { packFrame, unpackFrame } from './packed.js';
import { logMigrations } from './schema.js';

/** Reader whose cursor says what the cloud has. */
export const uplinkReader = 'uplink';

export interface SalvageOptions {
  readonly clock: Clock;
  readonly random: RandomSource;
  /** What the journal before the damaged file holds. */
  readonly journal?: readonly JournalRecord[];
}

/** What came of it. */
export interface Salvaged {
  readonly frames: number;
  /** Highest number that was found, and the epoch it belonged to, if known. */
  readonly lastNumber: number;
  readonly previousEpoch: string | null;
  /** Runs of frames that have other numbers now: first number then, first number now, how many. */
  readonly renumbered: readonly (readonly [then: number, now: number, count: number])[];
}

/** State of the log that says what a salvage did, for readers that knew the former epoch. */
export const salvageState = 'salvage';

/** Makes a new log from a damaged one. Throws when nothing at all can be read, or the new file cannot be written. */
export function salvageLog(
  into: string,
  damaged: { readonly path: string; readonly ignoreWal: boolean },
  { clock, random, journal = [] }: SalvageOptions,
): Salvaged {
  const pages = new Pages(damaged.path, damaged.ignoreWal);
  try {
    const found = scan(pages);
    const previousEpoch = found.epoch?.name ?? journal[0]?.epoch ?? null;
    const fromJournal = framesOf(journal, previousEpoch, found);
    const numbers = [...found.frames.keys(), ...fromJournal.keys()].sort((a, b) => a - b);
    const lastNumber = Math.max(numbers.at(-1) ?? 0, found.receipted, found.moved);
    const epoch = newId(clock.nowMs(), random);
    let result: Salvaged | undefined;
    const database = openDatabase({ path: into });
    try {
      migrateModule(database, 'log', logMigrations);
      const alerts = createAlertStore({ database });
      const add = database.prepare<[number, number | null, number | null, Buffer]>(
        'INSERT INTO frame VALUES (?, ?, ?, ?)',
      );
      const put = (number: number, frame: Frame, bytes: Uint8Array): void => {
        const times = frame.samples.map((one) => one.timeMs);
        const [from, to] = times.length === 0 ? [null, null] : [least(times), most(times)];
        add.run(number, from, to, Buffer.from(bytes));
        for (const event of frame.events) alerts.append(event);
      };
      database.transaction(() => {
        database.prepare('INSERT INTO epoch VALUES (?, ?)').run(epoch, Math.round(clock.nowMs()));
        const entry = epochFrame(
          { epoch, previous_epoch: previousEpoch, previous_last_number: lastNumber, reason: 'salvaged' },
          clock.nowMs(),
          random,
        );
        put(1, entry, packFrame(encodeFrame(entry)));
        const runs: [number, number, number][] = [];
        const withReceipt = numbers.filter((number) => number <= found.receipted);
        let next = 1 - withReceipt.length;
        for (const number of numbers) {
          // The epoch's own entry holds number 1.
          if (next === 1) next = 2;
          const place = found.frames.get(number);
          const bytes = place ? pages.frameAt(place) : fromJournal.get(number);
          if (!bytes) continue;
          put(next, decodeFrame(unpackFrame(bytes)), bytes);
          const run = runs.at(-1);
          if (run && number === run[0] + run[2] && next === run[1] + run[2]) run[2] += 1;
          else runs.push([number, next, 1]);
          next += 1;
        }
        result = { frames: numbers.length, lastNumber, previousEpoch, renumbered: runs };
        database.prepare('INSERT INTO state VALUES (?, 1, ?)').run(salvageState, sealed(JSON.stringify(result)));
      })();
    } finally {
      database.close();
    }
    return result as unknown as Salvaged;
  } finally {
    pages.close();
  }
}

/** What this needs of a store of history. */
export interface AppliedFrames {
  appliedRanges(source: string, epoch: string): readonly (readonly [number, number])[];
  skipNumbers(source: string, epoch: string, first: number, last: number): void;
  applyFrames(
    gridId: string,
    source: string,
    epoch: string,
    frames: readonly { readonly number: number; readonly frame: Frame }[],
  ): unknown;
}

/**
 * Makes history agree with a salvaged log: frames that it knows under their former numbers are not counted into it again
 * under their new ones, and those that nobody is sent any more are given to it under their former ones.
 */
export function settleSalvaged(
  log: Pick<DurableLog, 'epoch' | 'state' | 'read'>,
  history: AppliedFrames,
  { gridId, gatewayId }: { readonly gridId: string; readonly gatewayId: string },
): void {
  const kept = log.state(salvageState);
  if (!kept) return;
  const { previousEpoch, renumbered } = JSON.parse(kept.value) as Salvaged;
  // Without a name of the former epoch nothing of it can be told apart.
  const former = previousEpoch ?? 'unknown';
  const applied = history.appliedRanges(gatewayId, former);
  for (const [then, now, count] of renumbered) {
    if (now < 1) {
      for (const { number, frame } of log.read(now, { maxFrames: count, maxBytes: Number.POSITIVE_INFINITY }))
        if (number < 1) history.applyFrames(gridId, gatewayId, former, [{ number: then + number - now, frame }]);
      continue;
    }
    for (const [first, last] of applied) {
      const from = Math.max(first, then);
      const to = Math.min(last, then + count - 1);
      if (from <= to) history.skipNumbers(gatewayId, log.epoch, now + from - then, now + to - then);
    }
  }
}

const least = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b));
const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b));

/** A row: the page's content by its place in the files, and where its record begins. */
interface Place {
  readonly page: PagePlace;
  readonly record: number;
  readonly payloadBytes: number;
}
interface PagePlace {
  readonly inWal: boolean;
  readonly at: number;
  /** After the point up to which SQLite would use the log. */
  readonly doubtful?: boolean;
}

interface Found {
  readonly frames: Map<number, Place>;
  receipted: number;
  /** Up to where the journal had been emptied into the file. */
  moved: number;
  epoch: { name: string; madeAtMs: number } | undefined;
}

/** Frames of the journal that the file has not; what the cloud has is taken from their cursors too. */
function framesOf(journal: readonly JournalRecord[], epoch: string | null, found: Found): Map<number, Buffer> {
  const frames = new Map<number, Buffer>();
  const own = journal.filter((one) => one.epoch === epoch);
  if (epoch === null || own.length === 0) return frames;
  const newest = found.moved > 0 ? found.moved : least(own.map((one) => one.number)) - 1;
  for (const record of committedAfter(own, { epoch, newest })) {
    if (!record) continue;
    for (const { reader, number } of record.cursors)
      if (reader === uplinkReader) found.receipted = Math.max(found.receipted, number);
    if (!found.frames.has(record.number)) frames.set(record.number, Buffer.from(record.frame));
  }
  return frames;
}

/** Everything in all pages that looks like a row of the log and proves right. */
function scan(pages: Pages): Found {
  const found: Found = { frames: new Map(), receipted: 0, moved: 0, epoch: undefined };
  for (const place of pages.all()) {
    const page = pages.read(place);
    if (!page) continue;
    for (const at of [0, 100]) {
      const kind = page[at];
      if (kind !== 0x0d && kind !== 0x0a) continue;
      if (at === 100 && !page.subarray(0, 16).equals(headText)) continue;
      for (const cell of cellsOf(page, at)) {
        try {
          if (kind === 0x0d) takeFrame(pages, place, page, cell, found);
          else takePair(page, cell, found);
        } catch {
          // A cell that leads nowhere, on a page that was something else or is damaged.
        }
      }
    }
  }
  return found;
}

const headText = Buffer.from('SQLite format 3\0');

function* cellsOf(page: Buffer, at: number): Generator<number> {
  const count = page.readUInt16BE(at + 3);
  if (count > page.length / 4) return;
  for (let index = 0; index < count; index += 1) {
    const where = at + 8 + index * 2;
    if (where + 2 > page.length) return;
    const cell = page.readUInt16BE(where);
    if (cell >= 8 && cell < page.length - 4) yield cell;
  }
}

function takeFrame(pages: Pages, place: PagePlace, page: Buffer, cell: number, found: Found): void {
  const [payloadBytes, rowAt] = varint(page, cell);
  const [number, record] = rowNumber(page, rowAt);
  // What follows the usable part may be left over from a commit that failed and was written again.
  if (place.doubtful === true && found.frames.has(number)) return;
  if (Math.abs(number) > 2 ** 48 || payloadBytes < 12 || payloadBytes > 64 * 1024 * 1024) return;
  const one = { page: place, record, payloadBytes };
  const bytes = pages.frameAt(one);
  if (!bytes) return;
  decodeFrame(unpackFrame(bytes));
  found.frames.set(number, one);
}

/** Rows of the tables cursor and epoch: a text and a whole number. */
function takePair(page: Buffer, cell: number, found: Found): void {
  const [, record] = varint(page, cell);
  const columns = columnsOf(page, record);
  const [text, whole] = columns;
  if (columns.length !== 2 || !text || !whole || text.type < 13 || text.type % 2 === 0) return;
  const name = page.toString('utf8', text.at, text.at + text.bytes);
  const value = wholeNumber(page, whole);
  if (value === undefined) return;
  if (name === movedReader) found.moved = Math.max(found.moved, value);
  else if (name === uplinkReader) found.receipted = Math.max(found.receipted, value);
  else if (/^[0-9A-HJKMNP-TV-Z]{26}$/i.test(name) && value > 1e9 && value >= (found.epoch?.madeAtMs ?? 0))
    found.epoch = { name, madeAtMs: value };
}

interface Column {
  readonly type: number;
  readonly at: number;
  readonly bytes: number;
}

function columnsOf(bytes: Buffer, record: number): Column[] {
  const [headBytes, first] = varint(bytes, record);
  const columns: Column[] = [];
  let at = record + headBytes;
  for (let next = first; next < record + headBytes; ) {
    const [type, after] = varint(bytes, next);
    const size = type >= 12 ? Math.floor((type - 12) / 2) : ([0, 1, 2, 3, 4, 6, 8, 8, 0, 0][type] ?? 0);
    columns.push({ type, at, bytes: size });
    at += size;
    next = after;
  }
  return columns;
}

function wholeNumber(bytes: Buffer, { type, at, bytes: size }: Column): number | undefined {
  if (type === 8 || type === 9) return type - 8;
  if (type < 1 || type > 6) return undefined;
  return size === 8 ? Number(bytes.readBigInt64BE(at)) : bytes.readIntBE(at, size);
}

/** A row's number, which is negative for frames that were salvaged before. */
function rowNumber(bytes: Buffer, from: number): readonly [number, number] {
  for (let i = 0; i < 8; i += 1) if (bytes.readUInt8(from + i) < 128) return varint(bytes, from);
  let value = 0n;
  for (let i = 0; i < 8; i += 1) value = (value << 7n) | BigInt(bytes.readUInt8(from + i) & 127);
  return [Number(BigInt.asIntN(64, (value << 8n) | BigInt(bytes.readUInt8(from + 8)))), from + 9];
}

/** A variable-length integer and where it ends. */
function varint(bytes: Buffer, from: number): readonly [number, number] {
  let value = 0;
  for (let i = 0; i < 8; i += 1) {
    const byte = bytes.readUInt8(from + i);
    value = value * 128 + (byte & 127);
    if (byte < 128) return [value, from + i + 1];
  }
  return [value * 256 + bytes.readUInt8(from + 8), from + 9];
}

/** The pages of a database and its write-ahead log, as bytes. */
class Pages {
  readonly #main: number | undefined;
  readonly #wal: number | undefined;
  readonly #pageBytes: number;
  readonly #mainPages: number;
  readonly walPlaces: readonly PagePlace[];
  /** The newest content of a page in the write-ahead log, by its number. */
  readonly #newest = new Map<number, PagePlace>();

  constructor(path: string, ignoreWal: boolean) {
    const wal = ignoreWal ? undefined : readWal(`${path}-wal`);
    this.#main = existsSync(path) ? openSync(path, 'r') : undefined;
    this.#wal = wal ? openSync(`${path}-wal`, 'r') : undefined;
    this.#pageBytes = wal?.pageBytes ?? 4096;
    this.#mainPages = this.#main === undefined ? 0 : Math.floor(fstatSync(this.#main).size / this.#pageBytes);
    this.walPlaces = (wal?.pages ?? []).map(({ page, at }, index) => {
      const place = { inWal: true, at, doubtful: index >= (wal?.usable ?? 0) };
      this.#newest.set(page, place);
      return place;
    });
  }

  close(): void {
    for (const file of [this.#main, this.#wal]) if (file !== undefined) closeSync(file);
  }

  /** Every content of every page there is; the file first, so that the newer ones are met last. */
  *all(): Generator<PagePlace> {
    for (let index = 0; index < this.#mainPages; index += 1) yield { inWal: false, at: index * this.#pageBytes };
    yield* this.walPlaces;
  }

  /** Content of a page; undefined when the card does not give it. */
  read({ inWal, at }: PagePlace): Buffer | undefined {
    const file = inWal ? this.#wal : this.#main;
    if (file === undefined) return undefined;
    const page = Buffer.alloc(this.#pageBytes);
    try {
      return readSync(file, page, 0, page.length, at) === page.length ? page : undefined;
    } catch {
      return undefined;
    }
  }

  /** The bytes of a frame whose row is at a place; undefined when they are not there. Not yet proven by their checksum. */
  frameAt({ page: place, record, payloadBytes }: Place): Buffer | undefined {
    const page = this.read(place);
    const payload = page && this.#payload(page, record, payloadBytes);
    if (!payload) return undefined;
    const columns = columnsOf(payload, 0);
    const [number, , , blob] = columns;
    if (columns.length !== 4 || number?.type !== 0 || !blob || blob.type < 12 || blob.type % 2 !== 0) return undefined;
    if (blob.at + blob.bytes > payload.length) return undefined;
    return payload.subarray(blob.at, blob.at + blob.bytes);
  }

  /** A row's payload, with what overflows onto further pages. */
  #payload(page: Buffer, record: number, payloadBytes: number): Buffer | undefined {
    const usable = this.#pageBytes;
    const mostLocal = usable - 35;
    if (payloadBytes <= mostLocal) {
      return record + payloadBytes <= page.length ? page.subarray(record, record + payloadBytes) : undefined;
    }
    const leastLocal = Math.floor(((usable - 12) * 32) / 255) - 23;
    const fitting = leastLocal + ((payloadBytes - leastLocal) % (usable - 4));
    const local = fitting <= mostLocal ? fitting : leastLocal;
    if (record + local + 4 > page.length) return undefined;
    const parts = [page.subarray(record, record + local)];
    let next = page.readUInt32BE(record + local);
    for (let left = payloadBytes - local; left > 0; ) {
      const more = next === 0 ? undefined : this.#page(next);
      if (!more) return undefined;
      parts.push(more.subarray(4, 4 + Math.min(left, usable - 4)));
      left -= usable - 4;
      next = more.readUInt32BE(0);
    }
    return Buffer.concat(parts, payloadBytes);
  }

  #page(number: number): Buffer | undefined {
    return this.read(this.#newest.get(number) ?? { inWal: false, at: (number - 1) * this.#pageBytes });
  }
}
