/**
 * Who may speak here: gateways, and devices without one, from the settings and from the directory file, which is read
 * again when it changes and at SIGHUP. A file that cannot be read keeps the directory before it.
 */
import { statSync } from 'node:fs';
import type { Clock } from '@villagrid/contracts';
import { VillagridError } from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import { loadDirectory, type CloudConfig, type DirectoryEntries } from '../config/load.js';
import type { DirectDevice, DirectGrid, GatewayEntry } from '../config/schema.js';

/** A grid and who speaks for it: its gateway, or this cloud itself where `own` says that it has none. */
export interface GridEntry extends GatewayEntry {
  /** What the directory knows of a grid without a gateway. */
  readonly own?: DirectGrid;
}

export interface Directory extends LifecyclePart {
  /** The gateways. */
  all(): readonly GatewayEntry[];
  gateway(gatewayId: string): GatewayEntry | undefined;
  /** Every grid, with a gateway or without. */
  grids(): readonly GridEntry[];
  ofGrid(gridId: string): GridEntry | undefined;
  /** A device that publishes here itself. */
  device(deviceId: string): DirectDevice | undefined;
  devicesOf(gridId: string): readonly DirectDevice[];
  /** The grid that a certificate's name speaks for. */
  gridOf(identity: string): string | undefined;
  /** Reads the file again; gives whether anything changed. */
  reload(): boolean;
  onChange(listener: () => void): void;
}

/** How often the file's time and size are looked at, real milliseconds. */
const lookEveryMs = 1000;

/** Reads the directory; throws as `loadCloudConfig` does when it is wrong at the start. */
export function createDirectory(
  config: Pick<CloudConfig, 'cloud_id' | 'gateways' | 'grids' | 'devices' | 'directory_file'>,
  { realClock, log }: { readonly realClock: Clock; readonly log: Logger },
): Directory {
  let entries: DirectoryEntries = { gateways: [], grids: [], devices: [] };
  let byGateway = new Map<string, GatewayEntry>();
  let byGrid = new Map<string, GridEntry>();
  let byDevice = new Map<string, DirectDevice>();
  let ofGrid = new Map<string, DirectDevice[]>();
  let stamp = '';
  const listeners = new Set<() => void>();
  let timer: { cancel(): void } | undefined;

  const fileStamp = (): string => {
    try {
      const { mtimeMs, size, ino } = statSync(config.directory_file);
      return `${mtimeMs} ${size} ${ino}`;
    } catch {
      return 'none';
    }
  };
  /** A grid without a gateway is spoken for by this cloud. */
  const ownEntry = (own: DirectGrid): GridEntry => ({
    gateway_id: config.cloud_id,
    grid_id: own.grid_id,
    name: own.name,
    ...(own.organisation_id === undefined ? {} : { organisation_id: own.organisation_id }),
    own,
  });
  const take = (found: DirectoryEntries): void => {
    entries = found;
    byGateway = new Map(found.gateways.map((entry) => [entry.gateway_id, entry]));
    byGrid = new Map([...found.gateways, ...found.grids.map(ownEntry)].map((entry) => [entry.grid_id, entry]));
    byDevice = new Map(found.devices.map((device) => [device.device_id, device]));
    ofGrid = new Map();
    for (const device of found.devices) ofGrid.set(device.grid_id, [...(ofGrid.get(device.grid_id) ?? []), device]);
  };
  const reload = (): boolean => {
    stamp = fileStamp();
    const before = JSON.stringify(entries);
    try {
      take(loadDirectory(config));
    } catch (error) {
      if (!(error instanceof VillagridError)) throw error;
      log.error('the directory of gateways cannot be read; the one before stays', {
        code: error.code,
        detail: error.detail,
      });
      return false;
    }
    if (JSON.stringify(entries) === before) return false;
    log.info('directory read', { gateways: entries.gateways.length, devices: entries.devices.length });
    for (const listener of listeners) listener();
    return true;
  };

  stamp = fileStamp();
  take(loadDirectory(config));
  return {
    name: 'directory',
    all: () => entries.gateways,
    gateway: (gatewayId) => byGateway.get(gatewayId),
    grids: () => [...byGrid.values()],
    ofGrid: (gridId) => byGrid.get(gridId),
    device: (deviceId) => byDevice.get(deviceId),
    devicesOf: (gridId) => ofGrid.get(gridId) ?? [],
    gridOf: (identity) => (byGateway.get(identity) ?? byDevice.get(identity))?.grid_id,
    reload,
    onChange: (listener) => void listeners.add(listener),
    start() {
      timer = realClock.every(lookEveryMs, () => {
        if (fileStamp() !== stamp) reload();
      });
    },
    stop: () => timer?.cancel(),
  };
}
