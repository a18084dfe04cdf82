/** Gathers what arrives together into one commit: a sync of the disk is shared, durability is not given up. */
import type { Clock } from '@villagrid/contracts';

export interface GroupCommit<T> {
  /** Resolves when the commit that holds the item is done; rejects when it failed. */
  add(item: T): Promise<void>;
  /** Resolves when nothing waits and nothing is under way. */
  drained(): Promise<void>;
  readonly waiting: number;
}

interface Waiting<T> {
  readonly item: T;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * `commit` is called with one group at a time and settles each item by its own call of `done`; items it has not settled
 * when it ends share its outcome. Items that come while a group is written make the next group.
 */
export function createGroupCommit<T>({
  commit,
  realClock,
  maxItems,
}: {
  readonly commit: (items: readonly T[], done: (index: number, error?: unknown) => void) => Promise<void>;
  readonly realClock: Clock;
  readonly maxItems: number;
}): GroupCommit<T> {
  let queue: Waiting<T>[] = [];
  let running: Promise<void> | undefined;

  const loop = async (): Promise<void> => {
    while (queue.length > 0) {
      // One short wait lets the publishes of the same moment in.
      await realClock.sleep(1);
      const group = queue.slice(0, maxItems);
      queue = queue.slice(maxItems);
      const settled = new Set<number>();
      const done = (index: number, error?: unknown): void => {
        const one = group[index];
        if (!one || settled.has(index)) return;
        settled.add(index);
        if (error === undefined) one.resolve();
        else one.reject(error);
      };
      let failure: unknown;
      try {
        await commit(
          group.map((one) => one.item),
          done,
        );
      } catch (error) {
        failure = error ?? new Error('the commit failed without a reason');
      }
      for (let i = 0; i < group.length; i += 1) done(i, failure);
    }
  };
  const kick = (): void => {
    running ??= loop().finally(() => {
      running = undefined;
      if (queue.length > 0) kick();
    });
  };

  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        queue.push({ item, resolve, reject });
        kick();
      }),
    async drained() {
      while (running) await running;
    },
    get waiting() {
      return queue.length;
    },
  };
}
