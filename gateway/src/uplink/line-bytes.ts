/** What lies below TLS cannot be counted from here, so it is reckoned: the headers of TCP and IP. Pure. */

/** Payload of a segment, and headers of one: IPv4 without options, TCP with timestamps; bytes. */
const segmentBytes = 1400;
const headerBytes = 52;
/** Opening and closing a TCP connection, each side, bytes. */
export const connectionBytes = 4 * headerBytes;

/** Headers of a message of so many bytes that goes one way, and of its acknowledgements, which go the other way. */
export function headersOf(bytes: number): { readonly along: number; readonly back: number } {
  const segments = Math.max(1, Math.ceil(bytes / segmentBytes));
  return { along: segments * headerBytes, back: Math.ceil(segments / 2) * headerBytes };
}
