/**
 * Which readings of a node are known, by (device, boot, seq): a node sends again what was not acknowledged, and each is
 * stored once. The frames themselves hold the numbers; a snapshot now and then keeps the start short.
 */
import type { ReceivedSequence } from '@villagrid/contracts';
import { NumberRanges, type NumberRange } from '@villagrid/runtime';
import type { DurableLog } from './log.js';

/** Boots remembered per device, and ranges per boot: a node's queue is far smaller than either. */
const maxBoots = 6;
const maxRanges = 2000;
/** Frames between two snapshots, which are also the most that are read at the start. */
const defaultSnapshotEvery = 512;
const stateName = 'node_sequences';

type Saved = Record<string, Array<readonly [boot: string, ranges: readonly NumberRange[]]>>;

/** The memory of one log's received sequence numbers. */
export class NodeSequences {
  readonly #log: DurableLog;
  readonly #committed = new Map<string, Map<string, NumberRanges>>();
  readonly #pending = new Map<string, Promise<number>>();
  #snapshotNumber = 0;

  /** Reads what the log knows and takes part in its commits. */
  constructor(log: DurableLog, snapshotEvery = defaultSnapshotEvery) {
    this.#log = log;
    const saved = log.state(stateName);
    if (saved) {
      this.#snapshotNumber = saved.number;
      for (const [deviceId, boots] of Object.entries(JSON.parse(saved.value) as Saved)) {
        this.#committed.set(deviceId, new Map(boots.map(([boot, ranges]) => [boot, new NumberRanges(ranges)])));
      }
    }
    let from = this.#snapshotNumber + 1;
    for (;;) {
      const frames = log.read(from, { maxFrames: 500, maxBytes: 4_000_000 });
      if (frames.length === 0) break;
      for (const { frame } of frames) for (const one of frame.received) this.#note(one);
      from += frames.length;
    }
    log.join((number) => {
      if (number - this.#snapshotNumber >= snapshotEvery) this.#save(number);
    });
    log.onCommit(({ frame }) => {
      for (const one of frame.received) this.#note(one);
    });
  }

  /** Whether a reading is committed already, waits for its commit (the promise to wait for too), or is new. */
  find(deviceId: string, boot: string, seq: number): 'committed' | Promise<number> | undefined {
    const pending = this.#pending.get(key(deviceId, boot, seq));
    if (pending) return pending;
    return this.#committed.get(deviceId)?.get(boot)?.has(seq) ? 'committed' : undefined;
  }

  /** Notes that readings wait for a commit, until it ends or fails. */
  await(deviceId: string, boot: string, seqs: readonly number[], commit: Promise<number>): void {
    for (const seq of seqs) this.#pending.set(key(deviceId, boot, seq), commit);
    const forget = () => {
      for (const seq of seqs) {
        const name = key(deviceId, boot, seq);
        if (this.#pending.get(name) === commit) this.#pending.delete(name);
      }
    };
    commit.then(forget, forget);
  }

  #note({ deviceId, boot, seqs }: ReceivedSequence): void {
    let boots = this.#committed.get(deviceId);
    if (!boots) this.#committed.set(deviceId, (boots = new Map()));
    const ranges = boots.get(boot) ?? new NumberRanges();
    for (const seq of seqs) ranges.add(seq);
    boots.delete(boot);
    // Too many holes: the oldest numbers are forgotten; storing one of them twice is better than losing one.
    boots.set(boot, ranges.ranges.length > maxRanges ? new NumberRanges(ranges.ranges.slice(-maxRanges / 2)) : ranges);
    for (const oldest of boots.keys()) if (boots.size > maxBoots) boots.delete(oldest);
  }

  /** Runs within a commit's transaction; holds what was committed before it, so the frame itself is read again. */
  #save(number: number): void {
    const saved: Saved = {};
    for (const [deviceId, boots] of this.#committed)
      saved[deviceId] = [...boots].map(([boot, ranges]) => [boot, ranges.ranges]);
    this.#log.putState(stateName, number - 1, JSON.stringify(saved));
    this.#snapshotNumber = number - 1;
  }
}

const key = (deviceId: string, boot: string, seq: number): string => `${deviceId} ${boot} ${seq}`;
