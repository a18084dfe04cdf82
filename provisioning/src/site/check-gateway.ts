/** A gateway's settings, checked by the daemon's own reader before they are written. */
import { isIP } from 'node:net';
import { VillagridError } from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway/config';

/** A value somebody gave that is refused; nothing was written. */
export class GivenValueError extends VillagridError {
  constructor(detail: string) {
    super('E_CONFIG_INVALID', detail, { next: 'Nothing was written. Give another value.' });
  }
}

/** Settings by the option that gives them: people know what they typed, not where it would have gone. */
const optionOf: Readonly<Record<string, string>> = {
  'site.grid_id': '--grid',
  'site.gateway_id': '--gateway',
  'site.name': '--name',
  'site.zone': '--zone',
  'site.plant.pv_kwp': '--pv-kwp',
  'site.plant.battery_kwh': '--battery-kwh',
  'http.host': '--host',
  'http.port': '--port-base',
  'uplink.url': '--url',
};
const optionOfDevice: Readonly<Record<string, string>> = {
  device_id: '--device',
  name: '--name',
  kind: '--kind',
  period_s: '--period',
};

/** Checks the text that `gateway.yaml` is to have. Throws GivenValueError that names the option or setting. */
export function checkGatewayText(path: string, text: string): void {
  try {
    loadGatewayConfig({ path, text });
  } catch (error) {
    if (!(error instanceof VillagridError)) throw error;
    throw new GivenValueError(
      error.detail
        .split('\n')
        .map((line) => inOptions(line.startsWith(path) ? line.slice(path.length).replace(/^(:\d+)?: /, '') : line))
        .join('\n'),
    );
  }
}

function inOptions(line: string): string {
  const [, setting = '', rest = ''] = /^([\w.[\]]+)(:.*)$/.exec(line) ?? [];
  const ofDevice = /^site\.devices(?:\[\d+\]|\.\d+)\.(\w+)$/.exec(setting)?.[1];
  const option = optionOf[setting] ?? (ofDevice === undefined ? undefined : optionOfDevice[ofDevice]);
  return option === undefined ? line : `${option}${rest}`;
}

/** Checks names and addresses a certificate is to be for. */
export function checkCertificateNames(names: readonly string[]): void {
  for (const name of names)
    if (
      isIP(name) === 0 &&
      !/^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(name)
    )
      throw new GivenValueError(
        `"${name}" is no name or address of a machine; give e.g. box.example.org or 192.168.1.20.`,
      );
}
