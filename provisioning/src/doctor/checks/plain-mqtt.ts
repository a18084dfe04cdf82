/** Whether MQTT without TLS is open to the network, and for whom: a choice that is said as long as it holds. */
import { at, type Check } from '../check.js';

export const plainMqtt: Check = {
  id: 'plain-mqtt',
  title: 'MQTT without TLS',
  async run({ config }) {
    if (!Array.isArray(at(config, 'site', 'devices'))) return [{ state: 'skipped', found: 'this is no gateway' }];
    if (at(config, 'mqtt_plain', 'lan') !== true) return [{ state: 'good', found: 'for this machine only' }];
    const devices = [
      ...list(at(config, 'mqtt_devices', 'devices')).map((one) => at(one, 'login') ?? at(one, 'device_id')),
      ...list(at(config, 'mqtt_plain', 'lan_devices')),
    ];
    const names = [...new Set(devices.map(String))].sort();
    const port = String(at(config, 'mqtt_plain', 'port') ?? 1883);
    if (names.length === 0)
      return [
        {
          state: 'warning',
          found: `port ${port} is open to the network, but no device may use it`,
          next: 'Set mqtt_plain.lan to false, or name the devices (docs/how-to/connect-a-node.md).',
        },
      ];
    return [
      {
        state: 'warning',
        found: `port ${port} is open to the network for ${names.join(', ')}: whoever is on that network can read their passwords and readings, and send others in their name`,
        next: 'Keep that network for devices only. Give devices that can do TLS the TLS port, and set mqtt_plain.lan to false when none is left.',
      },
    ];
  },
};

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
