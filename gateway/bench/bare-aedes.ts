/**
 * The broker library alone, as a process: no storage, no login, no guards. It is the limit of any gateway built on it.
 *
 * node --import=tsx gateway/bench/bare-aedes.ts [<certificate.pem> <key.pem>]
 */
import { readFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { Aedes } from 'aedes';

const [certificate, key] = process.argv.slice(2);
const broker = await Aedes.createBroker();
const server =
  certificate === undefined || key === undefined
    ? net.createServer({ noDelay: true }, (socket) => void broker.handle(socket))
    : tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key), noDelay: true }, (socket) =>
        broker.handle(socket),
      );
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ ready: true, port: (server.address() as AddressInfo).port })}\n`),
);
