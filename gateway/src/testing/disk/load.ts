/** A seeded load on a real log, each acknowledgement told; and what must be true of the log afterwards. */
import { join } from 'node:path';
import type { AlertEvent, RandomSource, Sample } from '@villagrid/contracts';
import { seededRandom, silentLogger, type SqliteDatabase } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import { openLogStore, type LogStore } from '../../log/log-store.js';

/** Hold of the group commit, virtual milliseconds. */
const holdMs = 250;
const deviceId = 'load';
export const loadAlertId = 'alert-of-the-load';

export interface LoadStoreOptions {
  readonly folder: string;
  readonly seed: string;
  readonly checkpointPages?: number;
  /** `NORMAL` is the control: what an ordinary opening of the library does. */
  readonly synchronous?: 'FULL' | 'NORMAL';
  /** Size of the journal; 0 is without. */
  readonly journalBytes?: number;
  /** Acknowledging before the journal is synced is a control too. */
  readonly late?: boolean;
}

/** A log under load and the virtual clock of its hold. */
export interface LoadStore extends LogStore {
  readonly clock: ReturnType<typeof testClock>;
  readonly database: () => SqliteDatabase;
}

/** Opens the real log in a folder, with a participant that keeps a state and alert events in each commit. */
export function openLoadStore({
  folder,
  seed,
  checkpointPages = 60,
  synchronous = 'FULL',
  journalBytes = 0,
  late = false,
}: LoadStoreOptions): LoadStore {
  const clock = testClock();
  let database: SqliteDatabase | undefined;
  const store = openLogStore({
    path: join(folder, 'log.db'),
    clock,
    realClock: clock,
    random: seededRandom(seed),
    log: silentLogger(),
    trust: () => 'ntp',
    holdMs,
    maxSamples: 1000,
    maxBytes: 100_000,
    checkpointPages,
    journalBytes,
    late,
    onOpen(opened) {
      if (synchronous === 'NORMAL') opened.pragma('synchronous = NORMAL');
      database = opened;
    },
  });
  store.log.join((number) => store.log.putState('load', number, `state of ${number}`));
  return { ...store, clock, database: () => database as SqliteDatabase };
}

/** Appends batches `from` to `to - 1`, some sharing a commit; tells each acknowledgement as `number token`. */
export async function runLoad(
  store: LoadStore,
  random: RandomSource,
  [from, to]: readonly [number, number],
  tell: (mark: string) => void,
): Promise<void> {
  const { log, clock } = store;
  for (let token = from; token < to; token += 1) {
    const samples: Sample[] = Array.from({ length: 1 + Math.floor(random.float() * 60) }, (_, index) => ({
      deviceId: `device-${index % 7}`,
      metric: 'generation_kw',
      timeMs: 1_767_225_600_000 + token * 1000 + index,
      value: Math.round(random.float() * 1000) / 100,
      quality: 0,
    }));
    const urgent = random.float() < 0.2;
    const events: AlertEvent[] = urgent ? [noted(token)] : [];
    log.append({ samples, events, received: [{ deviceId, boot: 'b', seqs: [token] }] }, { urgent }).then(
      (number) => tell(`${number} ${token}`),
      () => {},
    );
    if (random.float() < 0.6) await clock.advance(holdMs);
    // Mostly the card is quicker than the village; sometimes a group gathers while another is written.
    if (random.float() < 0.7) await log.flush();
    if (random.float() < 0.1 && log.newestNumber() > 0) tryTo(() => log.setCursor('reader', log.newestNumber()));
  }
  await clock.advance(holdMs);
  await log.flush();
  // What the log does in the background.
  await clock.advance(1);
}

function tryTo(work: () => void): void {
  try {
    work();
  } catch {
    // A disk that fails may fail here too; what counts is what was acknowledged.
  }
}

const noted = (token: number): AlertEvent => ({
  kind: 'noted',
  id: `event-${token}`,
  alert_id: loadAlertId,
  grid_id: 'kisima',
  at_ms: token,
  origin: { kind: 'gateway', id: 'gw' },
  actor: { user_id: 'u', name: 'U' },
  note: 'n',
});

/** What is wrong with the log in a folder, given the acknowledgements; empty when all is well. */
export async function judge(
  folder: string,
  marks: readonly string[],
  { thorough = false, journalBytes = 0 }: { readonly thorough?: boolean; readonly journalBytes?: number } = {},
): Promise<string[]> {
  let store: LoadStore;
  try {
    store = openLoadStore({ folder, seed: 'judge', journalBytes });
  } catch (error) {
    return [`corrupt: it does not open: ${String(error)}`];
  }
  try {
    return [...faultsOf(store, marks, thorough)];
  } catch (error) {
    return [`corrupt: it cannot be read: ${String(error)}`];
  } finally {
    await store.close();
  }
}

function* faultsOf(store: LoadStore, marks: readonly string[], thorough: boolean): Generator<string> {
  const check = store.database().pragma(thorough ? 'integrity_check' : 'quick_check', { simple: true });
  if (check !== 'ok') yield `corrupt: ${String(check)}`;
  const { log, alertStore } = store;
  const numberOf = new Map<number, number>();
  let expected = 1;
  let lastOfLoad = 0;
  const events = new Set(alertStore.events(loadAlertId).map((one) => one.id));
  for (;;) {
    const frames = log.read(expected, { maxFrames: 500, maxBytes: 10_000_000 });
    if (frames.length === 0) break;
    for (const { number, frame } of frames) {
      if (number !== expected) yield `hole: ${number} after ${expected - 1}`;
      expected = number + 1;
      for (const { seqs } of frame.received)
        for (const seq of seqs) {
          if (numberOf.has(seq)) yield `twice: ${seq}`;
          numberOf.set(seq, number);
          lastOfLoad = number;
        }
      for (const event of frame.events)
        if (!events.has(event.id)) yield `the alert store lacks ${event.id} of ${number}`;
    }
  }
  if (log.stats.damagedFrames > 0) yield `corrupt: ${log.stats.damagedFrames} frames`;
  if (store.rescue) yield `corrupt: set aside because ${store.rescue.why}`;
  if (expected - 1 !== log.newestNumber()) yield `hole: read up to ${expected - 1}, newest is ${log.newestNumber()}`;
  if (log.cursor('reader') > log.newestNumber()) yield 'a cursor is ahead of the log';
  const state = log.state('load');
  if ((state?.number ?? 0) < lastOfLoad) yield `the state is of ${state?.number}, the frame of ${lastOfLoad}`;
  for (const mark of marks) {
    const [number, token] = mark.split(' ').map(Number);
    if (numberOf.get(token as number) !== number) yield `lost: ${token}, acknowledged as ${number}`;
  }
}
