/** The first prototype's flat message: a mapping like any other, but on a fixed topic and without a login, for the device `legacy`. */
import { legacyDeviceId, type ParsedTelemetry } from '@villagrid/contracts';
import { compileMapping, prototypeMapping, type Mapping } from '../mappings/index.js';

const nothing = Promise.resolve();

/** Makes what takes a payload of `microgrid/data`; its promise resolves when the publish may be acknowledged. */
export function createPrototype(
  mappings: ReadonlyMap<string, Mapping>,
  reading: (deviceId: string, parsed: ParsedTelemetry) => Promise<unknown>,
): (payload: Uint8Array) => Promise<unknown> {
  const mapping = mappings.get(prototypeMapping);
  if (!mapping) throw new TypeError('the prototype’s mapping was not read');
  const compiled = compileMapping(mapping, {});
  const topic = compiled.takes[0] ?? '';
  return (payload) => {
    const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
    const said = compiled.read(topic, text);
    return said.kind === 'reading' ? reading(legacyDeviceId, said.parsed) : nothing;
  };
}
