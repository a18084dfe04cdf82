import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import t from 'tap';
import {
  createAuthority,
  describeCertificate,
  issueClientCertificate,
  issueServerCertificate,
  realClock,
} from '../index.js';

const nowMs = realClock().nowMs();

t.test(
  'server and client know each other by our authority over real TLS; another authority is refused on either side',
  async (t) => {
    const authority = await createAuthority({ name: 'Village authority', nowMs });
    const stranger = await createAuthority({ name: 'Village authority', nowMs });
    const server = await issueServerCertificate(authority, {
      names: ['localhost', '127.0.0.1', '::1'],
      nowMs,
      days: 90,
    });
    const client = await issueClientCertificate(authority, { commonName: 'gw-1', nowMs, days: 90 });
    const impostor = await issueClientCertificate(stranger, { commonName: 'gw-1', nowMs, days: 90 });

    const seen: string[] = [];
    const listening = tls.createServer(
      {
        key: server.privateKeyPem,
        cert: server.certificatePem,
        ca: authority.certificatePem,
        requestCert: true,
        rejectUnauthorized: true,
      },
      (socket) => {
        seen.push(String(socket.getPeerCertificate().subject.CN));
        socket.on('error', () => {});
        socket.end('hello');
      },
    );
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    t.teardown(() => listening.close());
    const talk = (ca: string, own: { certificatePem: string; privateKeyPem: string }, servername?: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = tls.connect({
          port: (listening.address() as AddressInfo).port,
          host: '127.0.0.1',
          ca,
          cert: own.certificatePem,
          key: own.privateKeyPem,
          ...(servername ? { servername } : {}),
        });
        let heard = '';
        socket.on('data', (data) => (heard += data));
        socket.on('error', reject);
        socket.on('close', () => (heard ? resolve(heard) : reject(new Error('closed without a word'))));
      });
    t.equal(await talk(authority.certificatePem, client), 'hello', 'by address');
    t.equal(await talk(authority.certificatePem, client, 'localhost'), 'hello', 'by name');
    t.same(seen, ['gw-1', 'gw-1']);
    await t.rejects(talk(authority.certificatePem, impostor), 'a client of another authority');
    await t.rejects(talk(stranger.certificatePem, client), 'a server of another authority');
    await t.rejects(talk(authority.certificatePem, client, 'elsewhere.example'), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    t.equal(seen.length, 2);
  },
);

t.test(
  'a certificate is described: whose, by whom, from a day ago until its days are over, for which names',
  async (t) => {
    const authority = await createAuthority({ name: 'Ha Leketa, "the" authority', nowMs });
    const { certificatePem } = await issueServerCertificate(authority, {
      names: ['gw.village', '10.1.2.3'],
      nowMs,
      days: 30,
    });
    const found = await describeCertificate(certificatePem);
    t.match(found, {
      subject: 'gw.village',
      issuer: 'Ha Leketa, "the" authority',
      names: ['gw.village', '10.1.2.3'],
      fingerprint: /^[0-9a-f]{64}$/,
    });
    t.ok(Math.abs(found.notBeforeMs - (nowMs - 86_400_000)) < 1000);
    t.ok(Math.abs(found.notAfterMs - (nowMs + 30 * 86_400_000)) < 1000);
    await t.rejects(describeCertificate('no certificate'));
    await t.rejects(issueServerCertificate(authority, { names: [], nowMs, days: 1 }), RangeError);
  },
);
