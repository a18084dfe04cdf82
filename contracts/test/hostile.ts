/** Bytes that pass a frame's checksum although they are no frame: what only somebody who means harm would make. */
import { ByteWriter, crc32 } from '@villagrid/contracts';

/** Version byte and checksum around any bytes. */
export function packBody(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(body.length + 5);
  bytes[0] = 1;
  bytes.set(body, 1);
  new DataView(bytes.buffer).setUint32(body.length + 1, crc32(bytes.subarray(0, body.length + 1)));
  return bytes;
}

/** A frame with any JSON for its head and any bytes after it. */
export function packWithHead(head: unknown, rest: ArrayLike<number> = []): Uint8Array {
  const writer = new ByteWriter();
  writer.text(JSON.stringify(head));
  writer.raw(Uint8Array.from(rest));
  return packBody(writer.finish());
}
