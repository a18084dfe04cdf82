/** The single-machine cloud's folder, and the gateways registered in it. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isIdentifier, VillagridError } from '@villagrid/contracts';
import { issueClientCertificate } from '@villagrid/runtime';
import { stringify } from 'yaml';
import { certificateDays, certificateFiles, folderAuthority, issueServer } from './authority.js';
import { checkCertificateNames, GivenValueError } from './check-gateway.js';
import { type FileToWrite, readText, readYaml, writePublic, writeSecret, writeTogether } from './files.js';
import { changedGateway, gatewayFiles, siteOf } from './gateway-site.js';

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
  checkCertificateNames(options.names ?? []);
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

/**
 * Registers a gateway: client certificate, entry in the directory, uplink in the gateway's configuration. All of it or,
 * when anything is wrong, nothing. Again for the same gateway, it gets a new certificate and address.
 */
export async function addGatewayToCloud(options: AddGatewayOptions): Promise<void> {
  const { cloudFolder, gatewayFolder, organisationId } = options;
  const files = cloudFiles(cloudFolder);
  needCloud(cloudFolder);
  const gateway = gatewayFiles(gatewayFolder);
  if (!existsSync(gateway.config))
    throw new VillagridError('E_CONFIG_READ', `${gatewayFolder} holds no gateway: ${gateway.config} is missing.`, {
      next: "Give the gateway's folder, or a copy of it, with --gateway-folder.",
    });
  if (organisationId !== undefined && !isIdentifier(organisationId))
    throw new GivenValueError(
      `--organisation "${organisationId}": use lower-case letters, digits, - and _, at most 63.`,
    );
  const { gateway_id, grid_id, name } = siteOf(gatewayFolder);
  const directory = readYaml(files.directory);
  const known = (directory.toJS() as { gateways?: { gateway_id: string; grid_id: string }[] } | null)?.gateways ?? [];
  const clash = known.find((one) => (one.gateway_id === gateway_id) !== (one.grid_id === grid_id));
  if (clash)
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `grid "${clash.grid_id}" belongs to gateway "${clash.gateway_id}" already in ${files.directory}; this is gateway "${gateway_id}" of grid "${grid_id}".`,
      { next: 'Take out the entry if that gateway is gone for good, or give this one ids of its own.' },
    );
  const uplink = certificateFiles(gateway.pki, 'uplink');
  const cloudAuthority = join(gateway.pki, 'cloud-authority.crt');
  const beside = (path: string) => relative(gatewayFolder, path);
  const gatewayText = changedGateway(gatewayFolder, (document) =>
    document.set('uplink', {
      url: options.url,
      ca_file: beside(cloudAuthority),
      certificate_file: beside(uplink.certificateFile),
      key_file: beside(uplink.keyFile),
      plan: options.plan ?? 'raw',
    }),
  );
  const authority = await folderAuthority(files.pki, 'Villagrid cloud', options.realNowMs);
  const issued = await issueClientCertificate(authority, {
    commonName: gateway_id,
    nowMs: options.realNowMs,
    days: certificateDays,
  });
  const toWrite: FileToWrite[] = [
    { path: uplink.keyFile, text: issued.privateKeyPem, secret: true },
    { path: uplink.certificateFile, text: issued.certificatePem, secret: false },
    { path: cloudAuthority, text: authority.certificatePem, secret: false },
  ];
  if (!known.some((one) => one.gateway_id === gateway_id)) {
    const entry = {
      gateway_id,
      grid_id,
      name,
      ...(organisationId === undefined ? {} : { organisation_id: organisationId }),
    };
    if (known.length === 0) directory.set('gateways', [entry]);
    else directory.addIn(['gateways'], entry);
    toWrite.push({ path: files.directory, text: directory.toString({ lineWidth: 120 }), secret: false });
  }
  // The gateway's settings come last: what they name is there by then.
  writeTogether([...toWrite, { path: gateway.config, text: gatewayText, secret: false }]);
}

/** Refuses a folder in which no whole cloud was made: an authority of its own would be one nobody trusts. */
export function needCloud(folder: string): void {
  const files = cloudFiles(folder);
  if (!existsSync(files.config))
    throw new VillagridError('E_CONFIG_READ', `${folder} holds no cloud: ${files.config} is missing.`, {
      next: `Make it first: villagrid cloud init --folder ${folder} --name <name gateways reach it by>`,
    });
  const authority = certificateFiles(files.pki, 'authority');
  for (const path of [authority.certificateFile, authority.keyFile, files.directory])
    if (!existsSync(path))
      throw new VillagridError('E_CONFIG_READ', `${path} is missing.`, {
        next: 'Put it back from where you keep it safe, for as long as this command runs.',
      });
}

/** Reads a JSON file of secrets, or undefined when it is not there. */
export function readSecretJson<T>(path: string): T | undefined {
  return existsSync(path) ? (JSON.parse(readText(path)) as T) : undefined;
}

/** Writes a JSON file of secrets, mode 0600. */
export function writeSecretJson(path: string, value: unknown): void {
  writeSecret(path, `${JSON.stringify(value, null, 2)}\n`);
}
