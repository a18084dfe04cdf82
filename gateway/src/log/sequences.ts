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

/** Readings that wait for one commit: sequence numbers by device and boot. */
interface Pending {
  readonly commit: Promise<number>;
  readonly devices: Map<string, Map<string, Set<number>>>;
}

/** The memory of one log's received sequence numbers. */
export class NodeSequences {
  readonly #log: DurableLog;
  readonly #committed = new Map<string, Map<string, NumberRanges>>();
  /** One for each commit that did not end yet: one or two. */
  readonly #pending: Pending[] = [];
  #snapshotNumber = 0;
  /** The last frame whose numbers are known here; later ones may be on their way to the card. */
  #notedNumber = 0;

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
    this.#notedNumber = this.#snapshotNumber;
    let from = this.#snapshotNumber + 1;
    for (;;) {
      const frames = log.read(from, { maxFrames: 500, maxBytes: 4_000_000 });
      if (frames.length === 0) break;
      for (const { number, frame } of frames) this.#noteAll(number, frame.received);
      from = this.#notedNumber + 1;
    }
    log.join(() => {
      if (this.#notedNumber + 1 - this.#snapshotNumber >= snapshotEvery) this.#save();
    });
    log.onCommit(({ number, frame }) => this.#noteAll(number, frame.received));
  }

  /** Whether a reading is committed already, waits for its commit (the promise to wait for too), or is new. */
  find(deviceId: string, boot: string, seq: number): 'committed' | Promise<number> | undefined {
    for (const { devices, commit } of this.#pending) if (devices.get(deviceId)?.get(boot)?.has(seq)) return commit;
    return this.#committed.get(deviceId)?.get(boot)?.has(seq) ? 'committed' : undefined;
  }

  /** Notes that readings wait for a commit, until it ends or fails. */
  await(deviceId: string, boot: string, seqs: readonly number[], commit: Promise<number>): void {
    const { devices } = this.#pendingOf(commit);
    let boots = devices.get(deviceId);
    if (!boots) devices.set(deviceId, (boots = new Map()));
    let known = boots.get(boot);
    if (!known) boots.set(boot, (known = new Set()));
    for (const seq of seqs) known.add(seq);
  }

  #pendingOf(commit: Promise<number>): Pending {
    const known = this.#pending.find((one) => one.commit === commit);
    if (known) return known;
    const pending: Pending = { commit, devices: new Map() };
    this.#pending.push(pending);
    const forget = () => void this.#pending.splice(this.#pending.indexOf(pending), 1);
    commit.then(forget, forget);
    return pending;
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

  #noteAll(number: number, received: readonly ReceivedSequence[]): void {
    for (const one of received) this.#note(one);
    this.#notedNumber = number;
  }

  /** Runs within a commit; holds what was durable before it, so that frame itself is read again. */
  #save(): void {
    const saved: Saved = {};
    for (const [deviceId, boots] of this.#committed)
      saved[deviceId] = [...boots].map(([boot, ranges]) => [boot, ranges.ranges]);
    this.#log.putState(stateName, this.#notedNumber, JSON.stringify(saved));
    this.#snapshotNumber = this.#notedNumber;
  }
}
