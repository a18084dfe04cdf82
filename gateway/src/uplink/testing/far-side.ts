/** The far side of the uplink's wire, for tests: a real guarded broker that knows gateways by their certificates. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseTopic } from '@villagrid/contracts';
import {
  type BrokerPublish,
  createAuthority,
  createGuardedBroker,
  type GuardedBroker,
  issueClientCertificate,
  issueServerCertificate,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import type { Test } from 'tap';

/** Files of a client's identity. */
export interface ClientFiles {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A broker that can die and come back on the same port. */
export interface FarSide {
  url(): string;
  readonly port: number;
  /** Identity of a gateway; `stranger` is signed by an authority the broker does not know. */
  files(gatewayId: string, stranger?: boolean): Promise<ClientFiles>;
  readonly broker: () => GuardedBroker;
  die(): Promise<void>;
  comeBack(): Promise<void>;
  /** Takes publishes; a rejection means no acknowledgement. */
  onPublish: (publish: BrokerPublish) => Promise<void>;
  readonly connects: string[];
}

const validDays = 2;

/** Starts the far side; it ends with the test. */
export async function startFarSide(
  t: Test,
  {
    serverFromMs,
  }: { /** When the server's certificate begins to be valid; now when left out. */ serverFromMs?: number } = {},
): Promise<FarSide> {
  const clock = realClock();
  const nowMs = clock.nowMs();
  const folder = tempDir(t);
  const [authority, foreign] = await Promise.all(
    ['Far side', 'Foreign'].map((name) => createAuthority({ name, nowMs, days: 30 })),
  );
  if (!authority || !foreign) throw new Error('no authority');
  const server = await issueServerCertificate(authority, {
    names: ['127.0.0.1'],
    nowMs: serverFromMs ?? nowMs,
    days: validDays,
  });
  let port = 0;
  const make = () =>
    createGuardedBroker<{ id: string }>({
      listeners: [
        {
          name: 'mqtts',
          host: '127.0.0.1',
          port,
          tls: {
            key: server.privateKeyPem,
            cert: server.certificatePem,
            ca: authority.certificatePem,
            clientCertificate: 'required',
          },
        },
      ],
      log: silentLogger(),
      clock,
      authenticate: async ({ certificateCommonName, clientId }) =>
        certificateCommonName === clientId ? { identity: { id: clientId } } : { refused: 'not its certificate' },
      mayPublish: ({ id }, topic) => {
        const parsed = parseTopic(topic);
        return (parsed?.kind === 'up' || parsed?.kind === 'gatewayStatus') && parsed.gatewayId === id;
      },
      maySubscribe: ({ id }, filter) => {
        const parsed = parseTopic(filter);
        return parsed?.kind === 'down' && parsed.gatewayId === id;
      },
      onConnect: ({ clientId }) => void far.connects.push(clientId),
      onPublish: (_, publish) => far.onPublish(publish),
      limits: { maxPacketBytes: 128 * 1024 },
    });
  let broker = make();
  let alive = false;
  const far: FarSide = {
    url: () => `mqtts://127.0.0.1:${port}`,
    get port() {
      return port;
    },
    async files(gatewayId, stranger = false) {
      const own = join(folder, `${gatewayId}${stranger ? '-stranger' : ''}`);
      mkdirSync(own, { recursive: true });
      const client = await issueClientCertificate(stranger ? foreign : authority, {
        commonName: gatewayId,
        nowMs,
        days: validDays,
      });
      const files = {
        caFile: join(own, 'ca.pem'),
        certificateFile: join(own, 'cert.pem'),
        keyFile: join(own, 'key.pem'),
      };
      writeFileSync(files.caFile, authority.certificatePem);
      writeFileSync(files.certificateFile, client.certificatePem);
      writeFileSync(files.keyFile, client.privateKeyPem, { mode: 0o600 });
      return files;
    },
    broker: () => broker,
    async die() {
      if (alive) await broker.stop();
      alive = false;
    },
    async comeBack() {
      broker = make();
      await broker.start();
      alive = true;
      port = broker.ports.mqtts ?? port;
    },
    onPublish: async () => undefined,
    connects: [],
  };
  await far.comeBack();
  t.teardown(() => far.die());
  return far;
}
