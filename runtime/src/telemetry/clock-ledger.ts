/**
 * Which clock corrections a telemetry store knows, and how far each has been applied to what was projected before it
 * came. Every frame is projected exactly as this ledger restamps it at that moment; a correction that comes later is
 * worked off in slices, frame by frame in order of number, and the place lies in the same database as the projection.
 * So what is stored is at any time what restamping every applied frame by this ledger gives, also after a crash.
 */
import { correctionsIn, restamp, type ClockCorrection, type ClockTrust, type Frame } from '@villagrid/contracts';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';
import type { FrameReader, NumberedFrame } from './types.js';

/** Times are milliseconds; `done_ms` is the monotonic time below which frames are corrected, null when all are. */
export const clockLedgerMigrations: readonly Migration[] = [
  `CREATE TABLE clock_correction (
     id INTEGER PRIMARY KEY,
     grid_id TEXT NOT NULL,
     source TEXT NOT NULL,
     epoch TEXT NOT NULL,
     key TEXT NOT NULL,
     boot TEXT NOT NULL,
     before_ms INTEGER,
     correction_ms INTEGER NOT NULL,
     trust TEXT NOT NULL,
     last_number INTEGER NOT NULL,
     next_number INTEGER NOT NULL,
     done_ms INTEGER,
     slice_last INTEGER,
     series_done INTEGER NOT NULL DEFAULT 0,
     from_ms INTEGER,
     to_ms INTEGER,
     UNIQUE (grid_id, source, epoch, key)
   )`,
];

/** A log of frames: the gateway that wrote it, and its epoch. */
export interface LogName {
  readonly gridId: string;
  readonly source: string;
  readonly epoch: string;
}

/** A correction that is not applied to all of what was projected before it. Frames up to `lastNumber` are to be gone through from `nextNumber`. */
export interface ClockRepair extends LogName {
  readonly id: number;
  readonly boot: string;
  readonly nextNumber: number;
  readonly lastNumber: number;
  /** Last frame of a slice of which some series are done, and how many in the order of their names. */
  readonly sliceLast: number | null;
  readonly seriesDone: number;
}

/** A frame as it was projected, and as it is now. */
export interface ChangedFrame {
  readonly before: Frame;
  readonly after: Frame;
}

interface Known extends LogName, ClockCorrection {
  readonly id: number;
  lastNumber: number;
  nextNumber: number;
  sliceLast: number | null;
  seriesDone: number;
  /** Null when all is applied. */
  doneMs: number | null;
  /** Span of the raw times of samples that it moved; null while there were none. */
  fromMs: number | null;
  toMs: number | null;
}

interface Row {
  readonly id: number;
  readonly grid_id: string;
  readonly source: string;
  readonly epoch: string;
  readonly boot: string;
  readonly before_ms: number | null;
  readonly correction_ms: number;
  readonly trust: ClockTrust;
  readonly last_number: number;
  readonly next_number: number;
  readonly done_ms: number | null;
  readonly slice_last: number | null;
  readonly series_done: number;
  readonly from_ms: number | null;
  readonly to_ms: number | null;
}

/** Frames of a slice that end at such a step of raw time leave whole windows behind them. */
const sliceStepMs = 60_000;

/** The corrections of one store. Everything happens within the caller's transaction when there is one. */
export class ClockLedger {
  readonly #sql: ReturnType<typeof statements>;
  /** By grid, then boot. */
  #known = new Map<string, Map<string, Known[]>>();

  /** Opens the ledger in the database of the telemetry store. */
  constructor(database: SqliteDatabase) {
    migrateModule(database, 'clock_correction', clockLedgerMigrations);
    this.#sql = statements(database);
    this.forget();
  }

  /** Reads everything anew: to be called when a transaction around a change failed. */
  forget(): void {
    this.#known = new Map();
    for (const row of this.#sql.all.all()) this.#add(row);
  }

  /** A raw frame as it is projected now. */
  restamp(gridId: string, frame: Frame): Frame {
    return restamp(frame, this.#inForce(gridId, frame));
  }

  /** The same, for a frame that is being projected: notes what times it has, so that it is found again by them. */
  take(gridId: string, frame: Frame): Frame {
    const corrections = this.#inForce(gridId, frame);
    const corrected = restamp(frame, corrections);
    if (corrected !== frame) this.#widen(corrections, frame);
    return corrected;
  }

  /** Takes the corrections that frames of a log carry; a repeat changes nothing. Gives whether there were new ones. */
  note({ gridId, source, epoch }: LogName, frames: readonly NumberedFrame[]): boolean {
    let fresh = false;
    for (const { number, frame } of frames) {
      if (frame.entries.length === 0) continue;
      for (const found of correctionsIn(frame, number)) {
        const { key, boot, beforeMonotonicMs: before, correctionMs, trust, firstNumber = 1 } = found;
        const { lastInsertRowid, changes } = this.#sql.add.run({
          gridId,
          source,
          epoch,
          key,
          boot,
          before: before === Infinity ? null : before,
          correctionMs,
          trust,
          lastNumber: Math.min(found.lastNumber ?? number - 1, number - 1),
          firstNumber,
        });
        if (changes === 0) continue;
        this.#add(this.#sql.one.get(Number(lastInsertRowid)) as Row);
        fresh = true;
      }
    }
    return fresh;
  }

  /** The oldest repair to be done, of any grid or of one. */
  pending(gridId?: string): ClockRepair | undefined {
    let first: Known | undefined;
    for (const [grid, boots] of this.#known) {
      if (gridId !== undefined && grid !== gridId) continue;
      for (const one of [...boots.values()].flat())
        if (one.doneMs !== null && (first === undefined || one.id < first.id)) first = one;
    }
    return first;
  }

  /**
   * Takes a repair one slice on: `frames` are the raw frames that were applied, in order of number from its `nextNumber`
   * on (none: there are no more). Gives the frames that changed, as they were projected and as they are from now on.
   * `whole` tells that the slice was cut by `sliceOfFrames` already.
   */
  advance(repair: ClockRepair, frames: readonly NumberedFrame[], { whole = false } = {}): ChangedFrame[] {
    const known = this.#find(repair);
    const wanted = frames.filter(({ number }) => number <= repair.lastNumber);
    const slice =
      whole || (wanted.at(-1)?.number ?? 0) >= known.lastNumber ? wanted : sliceOfFrames(wanted, sliceStepMs);
    const changed = this.plan(repair, slice);
    const own = slice.filter(({ frame }) => frame.boot === known.boot);
    const last = slice.at(-1);
    if (last === undefined || last.number >= known.lastNumber) known.doneMs = null;
    else {
      known.nextNumber = last.number + 1;
      if (own.length > 0) known.doneMs = (own.at(-1) as NumberedFrame).frame.monotonicMs + 1;
    }
    known.sliceLast = null;
    known.seriesDone = 0;
    this.#save(known);
    for (const { frame } of own) this.#widen(this.#inForce(known.gridId, frame), frame);
    return changed;
  }

  /** What a repair changes in raw frames, without doing it. */
  plan(repair: ClockRepair, frames: readonly NumberedFrame[]): ChangedFrame[] {
    const known = this.#find(repair);
    const changed: ChangedFrame[] = [];
    for (const { frame } of frames) {
      if (frame.boot !== known.boot) continue;
      const inForce = this.#inForce(known.gridId, frame);
      const before = restamp(frame, inForce);
      const after = restamp(frame, inForce.includes(known) ? inForce : [...inForce, known]);
      if (after !== before) changed.push({ before, after });
    }
    return changed;
  }

  /**
   * Notes that of the slice up to `sliceLast` the first `seriesDone` series, in the order of their names, were replaced.
   * Only where no frame of the slice can come again or late.
   */
  progress(repair: ClockRepair, sliceLast: number, seriesDone: number): void {
    const known = this.#find(repair);
    known.sliceLast = sliceLast;
    known.seriesDone = seriesDone;
    this.#save(known);
  }

  #save(known: Known): void {
    this.#sql.advance.run(known.nextNumber, known.doneMs, known.sliceLast, known.seriesDone, known.id);
  }

  /** A reader of corrected frames over one of raw frames. */
  reader(raw: FrameReader): FrameReader {
    return { framesOverlapping: (fromMs, toMs, gridId) => this.#corrected(raw, fromMs, toMs, gridId) };
  }

  *#corrected(raw: FrameReader, fromMs: number, toMs: number, gridId: string): Generator<Frame> {
    for (const frame of raw.framesOverlapping(fromMs, toMs, gridId)) yield this.restamp(gridId, frame);
    // Frames whose raw times lie elsewhere: looked up once per shift, without those that were just given.
    for (const [shiftMs, boots] of this.#shifts(gridId, fromMs, toMs)) {
      for (const frame of raw.framesOverlapping(fromMs - shiftMs, toMs - shiftMs, gridId)) {
        if (!boots.has(frame.boot) || overlaps(frame, fromMs, toMs)) continue;
        const corrected = this.restamp(gridId, frame);
        if (corrected.wallMs - frame.wallMs === shiftMs) yield corrected;
      }
    }
  }

  /** Shifts that move frames into a span of time, and the boots that they are of. */
  #shifts(gridId: string, fromMs: number, toMs: number): Map<number, Set<string>> {
    const shifts = new Map<number, Set<string>>();
    for (const [boot, all] of this.#known.get(gridId) ?? []) {
      const ends = new Set(all.map((one) => Math.min(one.beforeMonotonicMs, one.doneMs ?? Infinity)));
      for (const end of ends) {
        const inForce = all.filter((one) => Math.min(one.beforeMonotonicMs, one.doneMs ?? Infinity) >= end);
        const shiftMs = inForce.reduce((sum, one) => sum + one.correctionMs, 0);
        const reaches = inForce.some(
          (one) => one.fromMs !== null && one.fromMs + shiftMs < toMs && (one.toMs as number) + shiftMs >= fromMs,
        );
        if (shiftMs === 0 || !reaches) continue;
        const boots = shifts.get(shiftMs);
        if (boots) boots.add(boot);
        else shifts.set(shiftMs, new Set([boot]));
      }
    }
    return shifts;
  }

  #inForce(gridId: string, frame: Frame): readonly Known[] {
    if (frame.trust === 'ntp') return [];
    const all = this.#known.get(gridId)?.get(frame.boot) ?? [];
    return all.every((one) => one.doneMs === null)
      ? all
      : all.filter((one) => one.doneMs === null || frame.monotonicMs < one.doneMs);
  }

  #widen(corrections: readonly Known[], frame: Frame): void {
    const [fromMs, toMs] = spanOf(frame);
    if (fromMs === null || toMs === null) return;
    for (const one of corrections) {
      if (one.fromMs !== null && one.toMs !== null && one.fromMs <= fromMs && one.toMs >= toMs) continue;
      one.fromMs = Math.min(one.fromMs ?? fromMs, fromMs);
      one.toMs = Math.max(one.toMs ?? toMs, toMs);
      this.#sql.widen.run(one.fromMs, one.toMs, one.id);
    }
  }

  #find(repair: ClockRepair): Known {
    const found = this.#known
      .get(repair.gridId)
      ?.get(repair.boot)
      ?.find((one) => one.id === repair.id);
    if (!found) throw new RangeError(`clock repair ${repair.id} is not known`);
    return found;
  }

  #add(row: Row): void {
    let boots = this.#known.get(row.grid_id);
    if (!boots) this.#known.set(row.grid_id, (boots = new Map()));
    const list = boots.get(row.boot) ?? [];
    boots.set(row.boot, list);
    list.push({
      id: row.id,
      gridId: row.grid_id,
      source: row.source,
      epoch: row.epoch,
      boot: row.boot,
      beforeMonotonicMs: row.before_ms ?? Infinity,
      correctionMs: row.correction_ms,
      trust: row.trust,
      lastNumber: row.last_number,
      nextNumber: row.next_number,
      doneMs: row.done_ms,
      sliceLast: row.slice_last,
      seriesDone: row.series_done,
      fromMs: row.from_ms,
      toMs: row.to_ms,
    });
  }
}

/** Samples that a change of frames took away and brought; what stayed the same is in neither. */
export function changedSamples(changed: Iterable<ChangedFrame>) {
  const removed: Frame['samples'][number][] = [];
  const added: Frame['samples'][number][] = [];
  for (const { before, after } of changed) {
    for (const [index, sample] of before.samples.entries()) {
      const now = after.samples[index];
      if (now === undefined || (now.timeMs === sample.timeMs && now.quality === sample.quality)) continue;
      removed.push(sample);
      added.push(now);
    }
  }
  return { removed, added };
}

/** Cuts a slice so that no two frames of one millisecond are parted, and best at a whole step of raw time. */
export function sliceOfFrames(frames: readonly NumberedFrame[], stepMs: number): readonly NumberedFrame[] {
  const step = ({ frame }: NumberedFrame) => Math.floor(frame.wallMs / stepMs);
  let fallback = frames.length;
  for (let at = frames.length - 1; at > 0; at -= 1) {
    const [one, next] = [frames[at - 1] as NumberedFrame, frames[at] as NumberedFrame];
    if (one.frame.boot === next.frame.boot && one.frame.monotonicMs === next.frame.monotonicMs) continue;
    if (fallback === frames.length) fallback = at;
    if (step(one) !== step(next)) return frames.slice(0, at);
  }
  return frames.slice(0, fallback);
}

function spanOf(frame: Frame): [number | null, number | null] {
  let [from, to]: [number | null, number | null] = [null, null];
  for (const { timeMs } of frame.samples) {
    if (from === null || timeMs < from) from = timeMs;
    if (to === null || timeMs > to) to = timeMs;
  }
  return [from, to];
}

function overlaps(frame: Frame, fromMs: number, toMs: number): boolean {
  const [from, to] = spanOf(frame);
  return from !== null && to !== null && to >= fromMs && from < toMs;
}

function statements(database: SqliteDatabase) {
  return {
    all: database.prepare<[], Row>('SELECT * FROM clock_correction ORDER BY id'),
    one: database.prepare<[number], Row>('SELECT * FROM clock_correction WHERE id = ?'),
    add: database.prepare<[Record<string, string | number | null>]>(
      `INSERT INTO clock_correction
         (grid_id, source, epoch, key, boot, before_ms, correction_ms, trust, last_number, next_number, done_ms)
       VALUES (:gridId, :source, :epoch, :key, :boot, :before, :correctionMs, :trust, :lastNumber, :firstNumber, 0)
       ON CONFLICT DO NOTHING`,
    ),
    advance: database.prepare<[number, number | null, number | null, number, number]>(
      'UPDATE clock_correction SET next_number = ?, done_ms = ?, slice_last = ?, series_done = ? WHERE id = ?',
    ),
    widen: database.prepare<[number, number, number]>(
      'UPDATE clock_correction SET from_ms = ?, to_ms = ? WHERE id = ?',
    ),
  };
}
