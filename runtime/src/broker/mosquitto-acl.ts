/** Lines of an ACL for mosquitto that follow from a cloud's directory: which grid's alerts topic a device may use. */
import { topics } from '@villagrid/contracts';

/** The lines; the rest of the ACL is the same for everybody and lies in cloud/mosquitto. */
export function aclOf(devices: readonly { readonly device_id: string; readonly grid_id: string }[]): string {
  return devices
    .map(({ device_id, grid_id }) => `\nuser ${device_id}\ntopic write ${topics.alerts(grid_id)}\n`)
    .join('');
}
