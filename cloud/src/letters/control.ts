/** Commands of who runs this cloud, over a socket in its data folder that only they may open. */
import { join } from 'node:path';
import { startControl, type ControlAnswer, type ControlRequest, type LifecyclePart } from '@villagrid/runtime';
import type { Directory } from '../directory/directory.js';
import type { DirectStore } from '../direct/store.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { Replay } from './replay.js';

/** Where the socket lies. */
export const controlPath = (dataDir: string): string => join(dataDir, 'cloud.sock');

export interface CloudControlOptions {
  readonly dataDir: string;
  readonly store: SqliteUplinkStore;
  readonly direct: DirectStore;
  readonly directory: Pick<Directory, 'device'>;
  readonly replay: Replay;
}

/** Letters that one answer shows, and that one call replays. */
const mostLetters = 500;
const shownBytes = 400;

/** Makes it. */
export function createCloudControl({ dataDir, store, direct, directory, replay }: CloudControlOptions): LifecyclePart {
  let open: { close(): Promise<void> } | undefined;
  const letters = () => store.deadLetters(mostLetters);
  const handle = async ({ command, ...request }: ControlRequest): Promise<ControlAnswer> => {
    if (command === 'letters')
      return {
        ok: true,
        count: store.deadLetterCount(),
        letters: letters().map(({ bytes, ...letter }) => ({
          ...letter,
          size: bytes.length,
          text: Buffer.from(bytes.subarray(0, shownBytes)).toString('utf8'),
        })),
      };
    if (command === 'replay') {
      const { ids, stage } = request;
      const wanted = Array.isArray(ids)
        ? ids.filter((id): id is number => Number.isSafeInteger(id))
        : letters()
            .filter((letter) => stage === undefined || letter.stage === stage)
            .map(({ id }) => id);
      return { ok: true, replayed: await replay(wanted.slice(0, mostLetters)) };
    }
    if (command === 'device') {
      const device = typeof request.id === 'string' ? directory.device(request.id) : undefined;
      if (!device) return { ok: false, error: `${String(request.id)} is no device of this cloud’s directory.` };
      const { device_id } = device;
      return { ok: true, device, heard_ms: direct.heardMs(device_id), logs: direct.logsOf(device_id) };
    }
    return { ok: false, error: `There is no command "${command}".` };
  };
  return {
    name: 'control',
    async start() {
      open = await startControl(controlPath(dataDir), handle);
    },
    stop: async () => open?.close(),
  };
}
