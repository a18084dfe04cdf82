/**
 * Dead letters once more, after what refused them was mended: each goes the way it came, as if it came when it did. What is
 * taken now is a letter no longer; what is refused again stays one. Doing it twice changes nothing: all ways are idempotent.
 */
import { messageOf, type Clock } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import type { DirectIntake } from '../direct/intake.js';
import type { Directory } from '../directory/directory.js';
import { examineFrame } from '../etl/frame.js';
import type { Acceptor } from '../ingest/accept.js';
import type { Projector } from '../ingest/project.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { KeptDeadLetter } from '../stores/uplink-store.js';
import type { WindowHistory } from '../stores/window-history.js';
import type { Lanes } from '../uplink/lanes.js';

/** What became of a letter. */
export interface Replayed {
  readonly id: number;
  readonly stage: KeptDeadLetter['stage'];
  /** `taken`: no letter any more. `refused`: as before. `not_possible`: this kind cannot be. */
  readonly outcome: 'taken' | 'refused' | 'not_possible';
  readonly reason: string | null;
}

export interface ReplayOptions {
  readonly database: SqliteDatabase;
  readonly store: SqliteUplinkStore;
  readonly directory: Pick<Directory, 'gateway' | 'device'>;
  readonly acceptor: Acceptor;
  readonly lanes: Lanes;
  readonly direct: DirectIntake;
  readonly history: Pick<WindowHistory, 'sendAgain'>;
  readonly projector: Pick<Projector, 'run' | 'behind'>;
  readonly clock: Clock;
}

/** Replays letters by their ids, oldest first; unknown ids are left out. Rejects only when the store fails. */
export type Replay = (ids: readonly number[]) => Promise<readonly Replayed[]>;

const never: Partial<Record<KeptDeadLetter['stage'], string>> = {
  conflict: 'what came first under this number stays',
  hello: 'a HELLO tells of its own moment; the gateway says another at its next connection',
  entry: 'it lies in its frame, which was taken without it',
  acts: 'the gateway sends it again',
};

/** Makes it. */
export function createReplay(options: ReplayOptions): Replay {
  const { database, store, directory, acceptor, lanes, direct, history, projector } = options;

  /** Goes the letter's way; throws what stands in the way, gives undefined when it was taken or refused by keeping it again. */
  const go = async (letter: KeptDeadLetter): Promise<void> => {
    const { stage, gatewayId, gridId, bytes } = letter;
    const gateway = directory.gateway(gatewayId);
    const device = directory.device(gatewayId);
    const known = (gateway ?? device)?.grid_id === gridId;
    const unknown = () => new Error(`${gatewayId} of grid ${gridId} is not registered`);
    if (stage !== 'history' && !known) throw unknown();
    switch (stage) {
      case 'envelope':
        if (!gateway) throw unknown();
        return acceptor.accept({ gateway, lane: 'backfill', payload: bytes });
      case 'alerts':
      case 'event': {
        if (!gateway) throw unknown();
        const text = Buffer.from(bytes).toString('utf8');
        return lanes.alerts(gateway, stage === 'alerts' ? bytes : Buffer.from(`{"y":"alerts","events":[${text}]}`));
      }
      case 'telemetry':
        if (!device) throw unknown();
        return direct.telemetry(device, bytes, letter.firstMs);
      case 'device_alert':
        if (!device) throw unknown();
        return direct.alert(device, bytes, letter.firstMs);
      case 'frame':
      case 'projection': {
        const examined = examineFrame(bytes, gridId);
        if (!examined.ok) throw new Error(examined.reason);
        if (!store.putBack(letter, examined)) throw new Error('the frame is no longer in the archive');
        return projector.run();
      }
      case 'history':
        if (!history.sendAgain) throw new Error('history is not kept elsewhere');
        return history.sendAgain(Buffer.from(bytes).toString('utf8'));
      default:
        return undefined;
    }
  };

  const replayOne = async (letter: KeptDeadLetter): Promise<Replayed> => {
    const { id, stage } = letter;
    const why = never[stage];
    if (why !== undefined) return { id, stage, outcome: 'not_possible', reason: why };
    try {
      await go(letter);
    } catch (error) {
      return { id, stage, outcome: 'refused', reason: messageOf(error) };
    }
    // Refused again, it was kept again: the same content is one letter, counted.
    const after = store.deadLetter(id);
    if (after !== undefined && after.times > letter.times)
      return { id, stage, outcome: 'refused', reason: after.reason };
    // What is kept of a part of it is another letter.
    database.transaction(() => store.removeDeadLetter(id)).immediate();
    return { id, stage, outcome: 'taken', reason: null };
  };

  return async (ids) => {
    const done: Replayed[] = [];
    for (const id of [...ids].sort((a, b) => a - b)) {
      const letter = store.deadLetter(id);
      if (letter) done.push(await replayOne(letter));
    }
    return done;
  };
}
