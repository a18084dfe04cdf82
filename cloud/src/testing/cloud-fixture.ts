/** A cloud on free ports with its own authority, in a folder of the test. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createAuthority,
  issueClientCertificate,
  issueServerCertificate,
  realClock,
  type Authority,
  type CertifiedKey,
} from '@villagrid/runtime';

/** What a test has to run clouds with. */
export interface CloudFixture {
  readonly directory: string;
  readonly configPath: string;
  readonly authority: Authority;
  certificate(commonName: string): Promise<CertifiedKey>;
  /** Writes `directory.yaml`. */
  setGateways(gateways: readonly { gateway_id: string; grid_id: string; organisation_id?: string }[]): void;
}

/** Writes certificates, `cloud.yaml` and `directory.yaml` into a folder. `mqttsPort` 0 takes a free one at each start. */
export async function cloudFixture(
  directory: string,
  { gateways = [{ gateway_id: 'gw-1', grid_id: 'alpha' }], mqttsPort = 0 } = {},
): Promise<CloudFixture> {
  mkdirSync(directory, { recursive: true });
  const nowMs = realClock().nowMs();
  const authority = await createAuthority({ name: 'test authority', nowMs });
  const server = await issueServerCertificate(authority, { names: ['127.0.0.1', 'localhost'], nowMs, days: 30 });
  writeFileSync(join(directory, 'ca.pem'), authority.certificatePem);
  writeFileSync(join(directory, 'server.pem'), server.certificatePem);
  writeFileSync(join(directory, 'server.key'), server.privateKeyPem);
  const configPath = join(directory, 'cloud.yaml');
  writeFileSync(
    configPath,
    `http: {port: 0}
https: {host: 127.0.0.1, port: 0, certificate_file: server.pem, key_file: server.key}
mqtts: {host: 127.0.0.1, port: ${mqttsPort}, certificate_file: server.pem, key_file: server.key, client_ca_file: ca.pem}
logging: {level: debug}
`,
  );
  const fixture: CloudFixture = {
    directory,
    configPath,
    authority,
    certificate: (commonName) => issueClientCertificate(authority, { commonName, nowMs, days: 30 }),
    setGateways(all) {
      writeFileSync(join(directory, 'directory.yaml'), JSON.stringify({ gateways: all }));
    },
  };
  fixture.setGateways(gateways);
  return fixture;
}
