/** Lines of an ACL for mosquitto that follow from the directory: which grid's alerts topic a device may use. */
import { topics } from '@villagrid/contracts';
import type { DirectDevice } from '../config/schema.js';

/** The lines; the rest of the ACL is the same for everybody and lies in cloud/mosquitto. */
export function aclOf(devices: readonly Pick<DirectDevice, 'device_id' | 'grid_id'>[]): string {
  return devices
    .map(({ device_id, grid_id }) => `\nuser ${device_id}\ntopic write ${topics.alerts(grid_id)}\n`)
    .join('');
}
