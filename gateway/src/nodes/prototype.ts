/** The first prototype's flat message: a mapping like any other, but on a fixed topic and without a login, for the device `legacy`. */
import { legacyDeviceId, topics, type ParsedTelemetry } from '@villagrid/contracts';
import { compileMapping, loadNamedMappings, prototypeMapping, type CompiledMapping } from '../mappings/index.js';

const nothing = Promise.resolve();

/**
 * Makes what takes a payload of `microgrid/data`; its promise resolves when the publish may be acknowledged. The mapping
 * that ships is read with the first message: most villages have no such node, and start sooner.
 */
export function createPrototype(
  reading: (deviceId: string, parsed: ParsedTelemetry) => Promise<unknown>,
): (payload: Uint8Array) => Promise<unknown> {
  let compiled: CompiledMapping | undefined;
  return (payload) => {
    if (!compiled) {
      const mapping = loadNamedMappings([prototypeMapping]).get(prototypeMapping);
      if (!mapping) return nothing;
      compiled = compileMapping(mapping, {});
    }
    const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
    const said = compiled.read(topics.legacyData, text);
    return said.kind === 'reading' ? reading(legacyDeviceId, said.parsed) : nothing;
  };
}
