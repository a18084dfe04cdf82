/** Devices without a gateway, and grids that have none, in a cloud's directory. */
import { join } from 'node:path';
import { type DeviceKind, isIdentifier, topics, VillagridError } from '@villagrid/contracts';
import { issueClientCertificate } from '@villagrid/runtime';
import type { Document } from 'yaml';
import { certificateDays, folderAuthority } from './authority.js';
import { GivenValueError } from './check-gateway.js';
import { cloudFiles, needCloud } from './cloud-site.js';
import { type FileToWrite, readYaml, writeTogether } from './files.js';

interface Entry {
  readonly gateway_id?: string;
  readonly device_id?: string;
  readonly grid_id: string;
}
interface Entries {
  readonly gateways: readonly Entry[];
  readonly grids: readonly Entry[];
  readonly devices: readonly Entry[];
}

function entriesOf(directory: Document): Entries {
  const found = directory.toJS() as Partial<Entries> | null;
  return { gateways: found?.gateways ?? [], grids: found?.grids ?? [], devices: found?.devices ?? [] };
}
function addEntry(directory: Document, list: keyof Entries, entry: object): void {
  if (entriesOf(directory)[list].length === 0) directory.set(list, [entry]);
  else directory.addIn([list], directory.createNode(entry));
}
const text = (directory: Document) => directory.toString({ lineWidth: 120 });
function needId(option: string, value: string): void {
  if (!isIdentifier(value))
    throw new GivenValueError(`${option} "${value}": use lower-case letters, digits, - and _, at most 63.`);
}

export interface OwnGrid {
  readonly grid_id: string;
  readonly name: string;
  readonly zone: string;
  readonly organisation_id?: string;
}

/** Registers a grid that has no gateway. Throws E_CONFIG_INVALID when it is there. */
export function addGridToCloud(cloudFolder: string, grid: OwnGrid): void {
  needCloud(cloudFolder);
  needId('--grid', grid.grid_id);
  if (grid.organisation_id !== undefined) needId('--organisation', grid.organisation_id);
  const files = cloudFiles(cloudFolder);
  const directory = readYaml(files.directory);
  const { gateways, grids } = entriesOf(directory);
  if ([...gateways, ...grids].some((one) => one.grid_id === grid.grid_id))
    throw new VillagridError('E_CONFIG_INVALID', `grid "${grid.grid_id}" is in ${files.directory} already.`);
  addEntry(directory, 'grids', grid);
  writeTogether([{ path: files.directory, text: text(directory), secret: false }]);
}

export interface AddCloudDeviceOptions {
  readonly cloudFolder: string;
  /** Folder for the device's certificate, key and the authority it is to trust. */
  readonly out: string;
  readonly device: {
    readonly device_id: string;
    readonly grid_id: string;
    readonly name?: string;
    readonly kind: DeviceKind;
    readonly location?: string;
    readonly period_s: number;
    readonly figures?: Readonly<Record<string, string>>;
  };
  readonly realNowMs: number;
}

/** What the device is to be given. */
export interface CloudDeviceSheet {
  readonly client_id: string;
  readonly telemetry: string;
  readonly alerts: string;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

/**
 * Registers a device that publishes to the cloud itself, with a certificate of its own. Again for the same device, it gets
 * a new certificate. All of it or, when anything is wrong, nothing.
 */
export async function addDeviceToCloud(options: AddCloudDeviceOptions): Promise<CloudDeviceSheet> {
  const { cloudFolder, out, device } = options;
  const { device_id, grid_id } = device;
  needCloud(cloudFolder);
  needId('--device', device_id);
  needId('--grid', grid_id);
  const files = cloudFiles(cloudFolder);
  const directory = readYaml(files.directory);
  const { gateways, grids, devices } = entriesOf(directory);
  if (![...gateways, ...grids].some((one) => one.grid_id === grid_id))
    throw new VillagridError('E_CONFIG_INVALID', `grid "${grid_id}" is not in ${files.directory}.`, {
      next: `A grid without a gateway is added by: villagrid cloud grid own --folder ${cloudFolder} --grid ${grid_id} --name <name>`,
    });
  if (gateways.some((one) => one.gateway_id === device_id))
    throw new VillagridError('E_CONFIG_INVALID', `"${device_id}" is the id of a gateway in ${files.directory}.`);
  const known = devices.find((one) => one.device_id === device_id);
  if (known && known.grid_id !== grid_id)
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `device "${device_id}" belongs to grid "${known.grid_id}" already in ${files.directory}.`,
      { next: 'Take out the entry if that device is gone for good, or give this one an id of its own.' },
    );
  const authority = await folderAuthority(files.pki, 'Villagrid cloud', options.realNowMs);
  const issued = await issueClientCertificate(authority, {
    commonName: device_id,
    nowMs: options.realNowMs,
    days: certificateDays,
  });
  const sheet = {
    client_id: device_id,
    telemetry: topics.telemetry(grid_id, device_id),
    alerts: topics.alerts(grid_id),
    certificate: join(out, `${device_id}.crt`),
    key: join(out, `${device_id}.key`),
    ca: join(out, 'cloud-authority.crt'),
  };
  const toWrite: FileToWrite[] = [
    { path: sheet.key, text: issued.privateKeyPem, secret: true },
    { path: sheet.certificate, text: issued.certificatePem, secret: false },
    { path: sheet.ca, text: authority.certificatePem, secret: false },
  ];
  if (!known) {
    addEntry(directory, 'devices', device);
    toWrite.push({ path: files.directory, text: text(directory), secret: false });
  }
  writeTogether(toWrite);
  return sheet;
}

/** The devices of a cloud's directory. */
export function devicesOfCloud(
  cloudFolder: string,
): readonly { readonly device_id: string; readonly grid_id: string }[] {
  needCloud(cloudFolder);
  return entriesOf(readYaml(cloudFiles(cloudFolder).directory)).devices.flatMap(({ device_id, grid_id }) =>
    device_id === undefined ? [] : [{ device_id, grid_id }],
  );
}
