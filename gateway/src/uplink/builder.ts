/** Makes the next envelope's contents of the log: frames as they are, or sealed, the same bytes whenever asked again. */
import { encodeFrame } from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { CommittedFrame, Log } from '../log/port.js';
import type { PlanForm } from './plans.js';
import { gatherFrames, sealFrames } from './sealing.js';
import type { Seals } from './seals.js';

/** What goes into one envelope. */
export interface Built {
  readonly first: number;
  readonly last: number;
  readonly frames: readonly Uint8Array[];
  /** How many log numbers each frame stands for. */
  readonly counts: readonly number[];
  /** Whether alert events are in it, as far as that is known. */
  readonly hasEvents: boolean;
}

export interface BuildLimits {
  readonly from: number;
  readonly limit: number;
  /** Live: a stretch that may still grow is not sealed yet. */
  readonly live: boolean;
  /** Bytes before compression beyond which no other frame is added. */
  readonly mostBytes: number;
}

const framesPerEnvelope = 64;
/** Of the log, read at a time and sealed as one at most. */
const readAhead = 250;
const mostSealedBytes = 4 * 1024 * 1024;

/** Makes the builder. `nowMs` is the village's. */
export function createBuilder({
  log,
  seals,
  form,
  nowMs,
}: {
  readonly log: Log;
  readonly seals: Seals;
  readonly form: () => PlanForm;
  readonly nowMs: () => number;
}) {
  /** Frames of the stretch that still grows: looked at with every commit, read once. */
  let growing: { readonly frames: readonly CommittedFrame[]; readonly gatherMs: number } | undefined;
  const gather = async (
    from: number,
    limit: number,
    live: boolean,
    gatherMs: number,
  ): Promise<readonly CommittedFrame[]> => {
    const isSame = growing?.gatherMs === gatherMs && growing.frames[0]?.number === from;
    const frames = isSame && growing ? growing.frames.filter(({ number }) => number <= limit) : [];
    growing = undefined;
    while (from + frames.length <= limit) {
      const maxFrames = Math.min(readAhead, limit - from - frames.length + 1);
      const more = log.read(from + frames.length, { maxFrames, maxBytes: 1024 * 1024 });
      if (more.length === 0) break;
      frames.push(...more);
      const gathered = gatherFrames(frames, gatherMs, mostSealedBytes);
      if (gathered.closed) return gathered.frames;
      // What is read in one piece does not hold up the process; a quarter of an hour of a flood would.
      if (more.length === readAhead) await nextTurn();
    }
    const first = frames[0];
    if (first === undefined) return [];
    const over = (Math.floor(first.frame.wallMs / gatherMs) + 1) * gatherMs;
    if (!live || nowMs() >= over) return frames;
    growing = { frames, gatherMs };
    return [];
  };

  /** The contents from a number on; undefined when nothing is due. Seals are kept before this resolves. */
  return async ({ from, limit, live, mostBytes }: BuildLimits): Promise<Built | undefined> => {
    const frames: Uint8Array[] = [];
    const counts: number[] = [];
    let bytes = 0;
    let hasEvents = false;
    let next = from;
    const { gatherMs, resolutionMs } = form();
    const add = (one: Uint8Array, count: number) => {
      frames.push(one);
      counts.push(count);
      bytes += one.length;
      next += count;
    };
    while (next <= limit && frames.length < framesPerEnvelope && (frames.length === 0 || bytes < mostBytes)) {
      const seal = seals.at(next);
      if (seal !== undefined && seal.last <= limit) {
        add(seal.bytes, seal.last - seal.first + 1);
        continue;
      }
      if (seal !== undefined) seals.forget(seal.first);
      const end = Math.min(limit, seals.nextAfter(next) - 1);
      if (gatherMs === null) {
        const maxFrames = Math.min(framesPerEnvelope - frames.length, end - next + 1);
        const more = log.read(next, { maxFrames, maxBytes: Math.max(1, mostBytes - bytes) });
        if (more.length === 0) break;
        for (const one of more) {
          hasEvents ||= one.frame.events.length > 0;
          add(one.bytes, 1);
        }
        continue;
      }
      const gathered = await gather(next, end, live, gatherMs);
      if (gathered.length === 0) break;
      const sealed = encodeFrame(sealFrames(gathered, { resolutionMs, gatherMs }));
      hasEvents ||= gathered.some(({ frame }) => frame.events.length > 0);
      seals.put({ first: next, last: next + gathered.length - 1, bytes: sealed });
      add(sealed, gathered.length);
    }
    return frames.length === 0 ? undefined : { first: from, last: next - 1, frames, counts, hasEvents };
  };
}
