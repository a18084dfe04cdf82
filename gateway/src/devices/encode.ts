/** Values to registers, for the few that a profile lets a command write. Pure. */
import type { WritePoint } from './profile-schema.js';

const ranges = {
  u16: [0, 0xffff],
  s16: [-0x8000, 0x7fff],
  u32: [0, 0xffff_ffff],
  s32: [-0x8000_0000, 0x7fff_ffff],
} as const;

/** The registers that say a value; a sentence when the point cannot hold it. */
export function encodeWrite(point: WritePoint, value: number): readonly number[] | string {
  const { type, scale = 1, word_order: order = 'msw_first' } = point;
  const raw = value / scale;
  const view = new DataView(new ArrayBuffer(4));
  if (type === 'f32') view.setFloat32(0, raw);
  else {
    const whole = Math.round(raw);
    const [low, high] = ranges[type];
    if (!Number.isFinite(whole) || whole < low || whole > high) return `its register cannot hold ${value}`;
    if (type === 'u16' || type === 's16') return [whole & 0xffff];
    view.setInt32(0, whole | 0);
  }
  const words = [view.getUint16(0), view.getUint16(2)];
  return order === 'msw_first' ? words : words.reverse();
}

/** Whether a value read back is the one that was written, as finely as the register tells. */
export function isWritten({ type, scale = 1 }: WritePoint, asked: number, said: number): boolean {
  const finest = type === 'f32' ? Math.max(1e-6, Math.abs(asked) * 1e-6) : Math.abs(scale) / 2;
  return Math.abs(said - asked) <= finest + 1e-9;
}
