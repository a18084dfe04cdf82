/**
 * How a frame lies in the log: deflated where that is shorter, because most of a small frame is names, and each page
 * less is wear less. Readers get the frame's own bytes. A deflated row begins with a zero byte, a frame never does.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';

const deflatedMark = 0;
/** Frames above this are deflated quickly: under load the processor is what is short, bytes. */
const quickAboveBytes = 16_384;
/** Far above the largest frame that is ever made; a damaged row must not fill the memory. */
const mostBytes = 256 * 1024 * 1024;
/** What nearly every frame holds; a row that was written with it cannot be read without it, so it never changes. */
const dictionary = Buffer.from(
  '"device_id":"state":"online","offline""time_ms":"type":"link_state"humidity_pct","ambient_temp_c","fuel_level_pct","genset_power_kw","mains_power_kw","irradiance_w_m2","equipment_temp_c","ac_frequency_hz","ac_output_voltage_v","dc_bus_current_a","dc_bus_voltage_v","battery_power_kw","battery_soc_pct","consumption_energy_kwh","generation_energy_kwh","consumption_kw","generation_kw",1],["",2],["",0]],"e":[{"kind":"n":[{"r":[["{"b":"","m":,"w":17,"t":"ntp","s":[["',
);

/** A frame's bytes as they are stored. */
export function packFrame(bytes: Uint8Array): Buffer {
  // A piece as large as the frame, instead of 16 KB for each that the collector gets to see much later.
  const chunkSize = Math.min(quickAboveBytes, Math.max(64, bytes.length));
  const deflated = deflateRawSync(bytes, { level: bytes.length > quickAboveBytes ? 1 : 6, dictionary, chunkSize });
  if (deflated.length + 1 >= bytes.length) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Buffer.concat([Buffer.from([deflatedMark]), deflated]);
}

/** A frame's own bytes. Throws when the row is not what was stored. */
export function unpackFrame(stored: Uint8Array): Buffer {
  if (stored[0] === deflatedMark) return inflateRawSync(stored.subarray(1), { dictionary, maxOutputLength: mostBytes });
  return Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
}
