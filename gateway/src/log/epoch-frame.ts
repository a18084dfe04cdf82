/** The frame that begins an epoch which follows another one. Pure. */
import { newId, type Frame, type FrameEntry, type RandomSource } from '@villagrid/contracts';

/** A frame of one entry; nobody vouches for its time, Unix ms. */
export function epochFrame(
  entry: Omit<Extract<FrameEntry, { readonly type: 'epoch' }>, 'type'>,
  wallMs: number,
  random: RandomSource,
): Frame {
  return {
    boot: newId(wallMs, random).slice(-8).toLowerCase(),
    monotonicMs: 0,
    wallMs,
    trust: 'floor',
    samples: [],
    events: [],
    entries: [{ type: 'epoch', ...entry }],
    received: [],
  };
}
