/** The sockets of a broker: listening, caps, and one guarded stream per connection. */
import net, { type AddressInfo, type Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { messageOf, VillagridError, type Clock } from '@villagrid/contracts';
import type { Logger } from '../log/logger.js';
import { PacketGuard } from './packet-guard.js';
import type { BrokerLimits, BrokerListener, BrokerStats } from './types.js';

/** What is known of a connection before it logs in. */
export interface ConnectionFacts {
  readonly listenerName: string;
  readonly address: string;
  readonly certificateCommonName: string | undefined;
}

export interface ListenersOptions {
  readonly listeners: readonly BrokerListener[];
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stats: BrokerStats;
  readonly onConnection: (guard: PacketGuard, facts: ConnectionFacts) => void;
}

/** All listening sockets of one broker. */
export class Listeners {
  readonly ports: Record<string, number> = {};
  readonly #options: ListenersOptions;
  readonly #servers: net.Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Opens all; closes those already open when one cannot be. */
  async open(): Promise<void> {
    try {
      for (const listener of this.#options.listeners) this.ports[listener.name] = await this.#listen(listener);
    } catch (error) {
      await this.closeListening();
      throw error;
    }
  }

  /** Accepts no further connections. */
  async closeListening(): Promise<void> {
    for (const server of this.#servers.splice(0)) server.close();
  }

  /** Ends every connection at once. */
  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #listen(listener: BrokerListener): Promise<number> {
    const server = this.#createServer(listener);
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const where = `${listener.name} on ${listener.host}:${listener.port}`;
        reject(
          error.code === 'EADDRINUSE' ? new VillagridError('E_PORT_IN_USE', `${where}.`, { cause: error }) : error,
        );
      });
      server.listen({ host: listener.host, port: listener.port }, () => {
        server.removeAllListeners('error');
        server.on('error', (error) => this.#options.log.error('a listener failed', { listener: listener.name, error }));
        this.#servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  #createServer(listener: BrokerListener): net.Server {
    const { limits, log } = this.#options;
    if (!listener.tls) {
      const server = net.createServer({ noDelay: true });
      server.on('connection', (socket) => {
        if (this.#admit(socket, listener.name)) this.#guard(socket, listener.name, undefined);
      });
      return server;
    }
    const { key, cert, ca, clientCertificate = 'none' } = listener.tls;
    let server: tls.Server;
    try {
      server = tls.createServer({
        key,
        cert,
        ...(ca === undefined ? {} : { ca }),
        requestCert: clientCertificate !== 'none',
        rejectUnauthorized: clientCertificate === 'required',
        minVersion: 'TLSv1.2',
        handshakeTimeout: limits.connectTimeoutMs,
        // Without noDelay the second and later acknowledgements of a burst wait up to 40 ms.
        noDelay: true,
      });
    } catch (error) {
      throw new VillagridError('E_CERTIFICATE', `${listener.name}: ${messageOf(error)}.`, { cause: error });
    }
    // Caps count the bare connection, before the costly handshake.
    server.on('connection', (socket) => void this.#admit(socket, listener.name));
    server.on('secureConnection', (socket) => this.#guard(socket, listener.name, commonName(socket)));
    server.on('tlsClientError', (error, socket) => {
      log.info('a TLS handshake failed', {
        listener: listener.name,
        address: socket.remoteAddress,
        reason: error.message,
      });
      socket.destroy();
    });
    return server;
  }

  #admit(socket: Socket, listenerName: string): boolean {
    const { limits, log, stats } = this.#options;
    const address = socket.remoteAddress ?? 'unknown';
    const here = (this.#perAddress.get(address) ?? 0) + 1;
    socket.on('error', () => {});
    if (this.#sockets.size >= limits.maxConnections || here > limits.maxConnectionsPerAddress) {
      stats.connectionsRefused += 1;
      log.warn('too many connections; one was refused', { listener: listenerName, address });
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    this.#perAddress.set(address, here);
    stats.connections = this.#sockets.size;
    socket.once('close', () => {
      this.#sockets.delete(socket);
      stats.connections = this.#sockets.size;
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
    return true;
  }

  #guard(socket: Socket, listenerName: string, certificateCommonName: string | undefined): void {
    const { limits, clock, log, stats } = this.#options;
    const address = socket.remoteAddress ?? 'unknown';
    const guard = new PacketGuard(socket, {
      clock,
      maxPacketBytes: limits.maxPacketBytes,
      maxConnectBytes: limits.maxConnectBytes,
      maxPacketsPerSecond: limits.maxPacketsPerSecond,
      onRefused: (reason, announcedBytes) => {
        const tooLarge = reason === 'packet_too_large';
        stats[tooLarge ? 'oversized' : 'notMqtt'] += 1;
        if (tooLarge) {
          log.warn('a packet above the limit was announced; the connection is cut', {
            code: 'E_PACKET_TOO_LARGE',
            listener: listenerName,
            address,
            announced_bytes: announcedBytes,
          });
        } else log.info('a connection does not speak MQTT; it is cut', { listener: listenerName, address });
      },
      onThrottled: () => {
        stats.throttled += 1;
        log.warn('a client sends faster than its share and is held back', { listener: listenerName, address });
      },
    });
    this.#options.onConnection(guard, { listenerName, address, certificateCommonName });
  }
}

/** The common name of a client certificate that was verified; several names are none. */
function commonName(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
