/** Every MQTT device of the site has a credential, and no credential is for a device that is gone. */
import { existsSync, statSync } from 'node:fs';
import { gatewayFiles } from '../../site/gateway-site.js';
import { readText } from '../../site/files.js';
import { at, type Check } from '../check.js';

export const devices: Check = {
  id: 'devices',
  title: 'Device credentials',
  async run({ config, folder }) {
    const listed = at(config, 'site', 'devices');
    if (!Array.isArray(listed)) return [{ state: 'skipped', found: 'this is no gateway' }];
    const file = gatewayFiles(folder).credentials;
    if (!existsSync(file))
      return [
        {
          state: 'bad',
          found: `${file} is missing`,
          next: 'Copy it back, or issue credentials with `villagrid device credential`.',
        },
      ];
    if ((statSync(file).mode & 0o077) !== 0)
      return [{ state: 'bad', found: `others can read ${file}`, next: `chmod 600 ${file}` }];
    const known = Object.keys((JSON.parse(readText(file)) as { devices: object }).devices);
    const mqtt = (listed as { device_id: string; protocol: string }[])
      .filter((one) => one.protocol === 'mqtt')
      .map((one) => one.device_id);
    const without = mqtt.filter((id) => !known.includes(id));
    const orphans = known.filter((id) => !mqtt.includes(id));
    if (without.length > 0)
      return [
        {
          state: 'warning',
          found: `no credential: ${without.join(', ')}`,
          next: 'villagrid device credential <device>',
        },
      ];
    if (orphans.length > 0)
      return [
        {
          state: 'warning',
          found: `credential without device: ${orphans.join(', ')}`,
          next: 'Remove the entry if the device is gone for good.',
        },
      ];
    return [{ state: 'good', found: `${mqtt.length} MQTT devices, each with its own credential` }];
  },
};
