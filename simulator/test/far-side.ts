/** The far side of the wires, for tests: a real broker with TLS, and a hasty certificate authority. */
import 'reflect-metadata';
import { createServer as createTcp, type Server } from 'node:net';
import { createServer as createTls } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { parseTelemetryText, type Reading } from '@villagrid/contracts';
import { Aedes } from 'aedes';

/** A throw-away authority and a server certificate for 127.0.0.1. */
export async function testCertificates(): Promise<{
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}> {
  x509.cryptoProvider.set(crypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const make = () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const caKeys = await make();
  const keys = await make();
  const notBefore = new Date('2020-01-01');
  const notAfter = new Date('2090-01-01');
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Test authority',
    notBefore,
    notAfter,
    keys: caKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  });
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=127.0.0.1',
    issuer: ca.subject,
    notBefore,
    notAfter,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
  return { ca: ca.toString('pem'), cert: cert.toString('pem'), key };
}

/** What a broker of the tests saw. */
export interface TestBroker {
  readonly port: number;
  /** Publishes it acknowledged, in order. */
  readonly received: { readonly client: string; readonly topic: string; readonly payload: string }[];
  /** While true publishes are held without acknowledgement. */
  holding: boolean;
  readings(topic: string): Reading[];
  stop(): Promise<void>;
}

/** Starts a broker; with certificates it speaks TLS and wants the password `secret-<user>`. `held` is given each publish it did not answer. */
export async function startBroker(
  port = 0,
  certificates?: { readonly cert: string; readonly key: string },
  received: TestBroker['received'] = [],
): Promise<TestBroker> {
  const aedes = await Aedes.createBroker({
    authenticate: (_client, username, password, done) => {
      const right = username !== undefined && password?.toString() === `secret-${username}`;
      done(null, right);
    },
    authorizePublish: (client, packet, done) => {
      if (broker.holding) return;
      received.push({ client: client?.id ?? '', topic: packet.topic, payload: packet.payload.toString() });
      done(null);
    },
  });
  const server: Server =
    certificates === undefined
      ? createTcp({ noDelay: true }, aedes.handle)
      : createTls({ ...certificates, noDelay: true }, aedes.handle);
  const sockets = new Set<import('node:net').Socket>();
  server.on(certificates === undefined ? 'connection' : 'secureConnection', (socket: import('node:net').Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const broker: TestBroker = {
    port: (server.address() as import('node:net').AddressInfo).port,
    received,
    holding: false,
    readings: (topic) =>
      received
        .filter((one) => one.topic === topic)
        .flatMap((one) => {
          const parsed = parseTelemetryText(one.payload);
          if (!parsed.ok) throw new Error(parsed.detail);
          return parsed.readings;
        }),
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => aedes.close(() => resolve()));
      }),
  };
  return broker;
}
