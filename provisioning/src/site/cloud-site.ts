/** The single-machine cloud's folder, and the gateways registered in it. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import { stringify } from 'yaml';
import { folderAuthority, issueClient, issueServer } from './authority.js';
import { readText, readYaml, writePublic, writeSecret } from './files.js';
import { setUplink } from './gateway-site.js';

/** Where things are in the cloud's folder. */
export const cloudFiles = (folder: string) => ({
  config: join(folder, 'cloud.yaml'),
  directory: join(folder, 'directory.yaml'),
  pki: join(folder, 'pki'),
  authority: join(folder, 'pki', 'authority.crt'),
  data: join(folder, 'data'),
});

export interface InitCloudOptions {
  readonly folder: string;
  readonly ports?: { readonly http: number; readonly https: number; readonly mqtts: number };
  readonly host?: string;
  readonly names?: readonly string[];
  readonly appDirectory?: string;
  readonly clock?: { readonly real_epoch_ms: number; readonly village_epoch_ms: number; readonly speed: number };
  readonly realNowMs: number;
}

/** Makes the cloud's folder: authority (also of gateways' certificates), server certificate, `cloud.yaml`. */
export async function initCloud(options: InitCloudOptions): Promise<ReturnType<typeof cloudFiles>> {
  const files = cloudFiles(options.folder);
  if (existsSync(files.config))
    throw new VillagridError('E_CONFIG_INVALID', `${files.config} is there already; choose another folder.`);
  const { ports = { http: 9080, https: 9443, mqtts: 9883 }, host = '0.0.0.0' } = options;
  const authority = await folderAuthority(files.pki, 'Villagrid cloud', options.realNowMs);
  await issueServer(
    files.pki,
    'cloud',
    authority,
    ['localhost', '127.0.0.1', ...(options.names ?? [])],
    options.realNowMs,
  );
  const certificate = { certificate_file: 'pki/cloud.crt', key_file: 'pki/cloud.key' };
  const config = {
    data_dir: 'data',
    http: { host: '127.0.0.1', port: ports.http },
    https: { host, port: ports.https, ...certificate },
    mqtts: { host, port: ports.mqtts, ...certificate, client_ca_file: 'pki/authority.crt' },
    directory_file: 'directory.yaml',
    ...(options.appDirectory === undefined ? {} : { app_dir: options.appDirectory }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  };
  writePublic(files.directory, stringify({ gateways: [] }));
  writePublic(
    files.config,
    `# Settings of the cloud on one machine. All settings: docs/reference/configuration.md\n${stringify(config, { lineWidth: 120 })}`,
  );
  return files;
}

export interface AddGatewayOptions {
  readonly cloudFolder: string;
  readonly gatewayFolder: string;
  /** Address of the cloud's broker as the gateway reaches it, e.g. mqtts://cloud.example.org:8883. */
  readonly url: string;
  readonly organisationId?: string;
  readonly plan?: string;
  readonly realNowMs: number;
}

/** Registers a gateway: client certificate, entry in the directory, uplink in the gateway's configuration. */
export async function addGatewayToCloud(options: AddGatewayOptions): Promise<void> {
  const files = cloudFiles(options.cloudFolder);
  const gateway = readYaml(join(options.gatewayFolder, 'gateway.yaml')).toJS() as {
    site: { gateway_id: string; grid_id: string; name: string };
  };
  const { gateway_id, grid_id, name } = gateway.site;
  const authority = await folderAuthority(files.pki, 'Villagrid cloud', options.realNowMs);
  const pki = join(options.gatewayFolder, 'pki');
  const issued = await issueClient(pki, 'uplink', authority, gateway_id, options.realNowMs);
  writePublic(join(pki, 'cloud-authority.crt'), authority.certificatePem);
  const beside = (path: string) => relative(options.gatewayFolder, path);
  setUplink(options.gatewayFolder, {
    url: options.url,
    ca_file: 'pki/cloud-authority.crt',
    certificate_file: beside(issued.certificateFile),
    key_file: beside(issued.keyFile),
    plan: options.plan ?? 'raw',
  });
  const directory = readYaml(files.directory);
  const known = (directory.toJS() as { gateways: { gateway_id: string; grid_id: string }[] }).gateways;
  const clash = known.find((one) => one.gateway_id !== gateway_id && one.grid_id === grid_id);
  if (clash)
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `grid "${grid_id}" belongs to gateway "${clash.gateway_id}" already in ${files.directory}.`,
    );
  if (!known.some((one) => one.gateway_id === gateway_id)) {
    directory.addIn(['gateways'], {
      gateway_id,
      grid_id,
      name,
      ...(options.organisationId === undefined ? {} : { organisation_id: options.organisationId }),
    });
    writePublic(files.directory, directory.toString({ lineWidth: 120 }));
  }
}

/** Reads a JSON file of secrets, or undefined when it is not there. */
export function readSecretJson<T>(path: string): T | undefined {
  return existsSync(path) ? (JSON.parse(readText(path)) as T) : undefined;
}

/** Writes a JSON file of secrets, mode 0600. */
export function writeSecretJson(path: string, value: unknown): void {
  writeSecret(path, `${JSON.stringify(value, null, 2)}\n`);
}
