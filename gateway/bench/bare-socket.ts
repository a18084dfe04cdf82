/**
 * Sockets alone, as a process: each PUBLISH is acknowledged by its length and packet id, its topic and payload are not looked
 * at. What one thread of Node can take in and answer here at most, whatever it does with a message.
 *
 * node --import=tsx gateway/bench/bare-socket.ts [<certificate.pem> <key.pem>]
 */
import { readFileSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';

const [certificate, key] = process.argv.slice(2);
const accepted = Buffer.from([0x20, 2, 0, 0]);

/** Answers what is whole in these bytes; gives what is left over. */
function answer(socket: Socket, bytes: Buffer): Buffer {
  const answers = Buffer.allocUnsafe(bytes.length);
  let used = 0;
  let at = 0;
  while (at + 2 <= bytes.length) {
    let length = 0;
    let body = at + 1;
    for (let shift = 0, more = true; more && body < bytes.length; shift += 7, body += 1) {
      const byte = bytes[body] as number;
      length |= (byte & 127) << shift;
      more = byte > 127;
    }
    if (body + length > bytes.length) break;
    const kind = (bytes[at] as number) >> 4;
    if (kind === 1) used += accepted.copy(answers, used);
    else if (kind === 3) {
      const idAt = body + 2 + bytes.readUInt16BE(body);
      answers[used] = 0x40;
      answers[used + 1] = 2;
      answers[used + 2] = bytes[idAt] as number;
      answers[used + 3] = bytes[idAt + 1] as number;
      used += 4;
    }
    at = body + length;
  }
  if (used > 0) socket.write(answers.subarray(0, used));
  return bytes.subarray(at);
}

function serve(socket: Socket): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.from(answer(socket, rest.length === 0 ? chunk : Buffer.concat([rest, chunk])));
  });
  socket.on('error', () => {});
}

const server =
  certificate === undefined || key === undefined
    ? net.createServer({ noDelay: true }, serve)
    : tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key), noDelay: true }, serve);
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ ready: true, port: (server.address() as AddressInfo).port })}\n`),
);
