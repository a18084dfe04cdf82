/** Register maps as data, and the registers they give for a device's values. */
import type { Values } from '../reference/signals.js';

/** Type of a mapped quantity; 32-bit ones take two registers, most significant word first. */
export type RegisterType = 'u16' | 's16' | 'u32' | 's32' | 'f32' | 'str';

/** One quantity of a register map. */
export interface RegisterEntry {
  /** 0-based address on the wire. */
  readonly addr: number;
  readonly type: RegisterType;
  /** Name of the value it shows; without it `fixed` is shown, and without that the type's code for "not there". */
  readonly from?: string;
  readonly fixed?: number | string;
  /** The value's unit per count: raw = value / scale. */
  readonly scale?: number;
  /** Registers of a text. */
  readonly length?: number;
  /** What a value beyond the type's range does: stay at the end of the range, or start again as a counter. */
  readonly overflow?: 'saturate' | 'wrap';
}

/** How a device answers: its map, the function codes that read it, and its limits. */
export interface RegisterMap {
  readonly functions: readonly (3 | 4)[];
  readonly maxRegisters: number;
  readonly entries: readonly RegisterEntry[];
  /** Exception for a unit id that nobody has here: none means silence; Victron gateways say 10. */
  readonly unknownUnitException?: number;
}

const absent = {
  u16: [0xffff],
  s16: [0x8000],
  u32: [0xffff, 0xffff],
  s32: [0x8000, 0],
  f32: [0x7fc0, 0],
  str: [],
} as const;
const ranges = {
  u16: [0, 0xffff],
  s16: [-0x8000, 0x7fff],
  u32: [0, 0xffff_ffff],
  s32: [-0x8000_0000, 0x7fff_ffff],
} as const;

function words(entry: RegisterEntry, values: Values): readonly number[] {
  const { type } = entry;
  if (type === 'str') return text(String(entry.fixed ?? ''), entry.length ?? 8);
  const value = entry.from === undefined ? entry.fixed : values[entry.from];
  if (typeof value !== 'number' || !Number.isFinite(value)) return absent[type];
  const scaled = value / (entry.scale ?? 1);
  const view = new DataView(new ArrayBuffer(4));
  if (type === 'f32') view.setFloat32(0, scaled);
  else {
    const [min, max] = ranges[type];
    let raw = Math.round(scaled);
    raw = entry.overflow === 'wrap' ? raw % (max + 1) : Math.min(max, Math.max(min, raw));
    if (type === 'u16' || type === 's16') return [raw & 0xffff];
    view.setInt32(0, raw | 0);
    if (type === 'u32') view.setUint32(0, raw);
  }
  return [view.getUint16(0), view.getUint16(2)];
}

function text(content: string, length: number): number[] {
  const bytes = Buffer.alloc(length * 2);
  bytes.write(content.slice(0, length * 2), 'latin1');
  return Array.from({ length }, (_, i) => bytes.readUInt16BE(i * 2));
}

/** All registers of a map for the values, by address. */
export function renderImage(map: RegisterMap, values: Values): Map<number, number> {
  const image = new Map<number, number>();
  for (const entry of map.entries) {
    for (const [offset, word] of words(entry, values).entries()) image.set(entry.addr + offset, word);
  }
  return image;
}
