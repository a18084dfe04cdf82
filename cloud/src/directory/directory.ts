/**
 * The gateways that may speak here: from the settings and from the directory file, which is read again when it changes
 * and at SIGHUP. A file that cannot be read keeps the directory before it.
 */
import { statSync } from 'node:fs';
import type { Clock } from '@villagrid/contracts';
import { VillagridError } from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import { loadDirectory, type CloudConfig } from '../config/load.js';
import type { GatewayEntry } from '../config/schema.js';

export interface Directory extends LifecyclePart {
  all(): readonly GatewayEntry[];
  gateway(gatewayId: string): GatewayEntry | undefined;
  ofGrid(gridId: string): GatewayEntry | undefined;
  /** Reads the file again; gives whether anything changed. */
  reload(): boolean;
  onChange(listener: () => void): void;
}

/** How often the file's time and size are looked at, real milliseconds. */
const lookEveryMs = 1000;

/** Reads the directory; throws as `loadCloudConfig` does when it is wrong at the start. */
export function createDirectory(
  config: Pick<CloudConfig, 'gateways' | 'directory_file'>,
  { realClock, log }: { readonly realClock: Clock; readonly log: Logger },
): Directory {
  let entries: readonly GatewayEntry[] = [];
  let byGateway = new Map<string, GatewayEntry>();
  let byGrid = new Map<string, GatewayEntry>();
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
  const take = (found: readonly GatewayEntry[]): void => {
    entries = found;
    byGateway = new Map(found.map((entry) => [entry.gateway_id, entry]));
    byGrid = new Map(found.map((entry) => [entry.grid_id, entry]));
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
    log.info('directory of gateways read', { gateways: entries.length });
    for (const listener of listeners) listener();
    return true;
  };

  stamp = fileStamp();
  take(loadDirectory(config));
  return {
    name: 'directory',
    all: () => entries,
    gateway: (gatewayId) => byGateway.get(gatewayId),
    ofGrid: (gridId) => byGrid.get(gridId),
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
