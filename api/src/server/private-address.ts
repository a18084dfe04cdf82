/** Whether an address belongs to a network of one's own: this machine, the village's Wi-Fi, a link. */
import { BlockList, isIP } from 'node:net';

const own = new BlockList();
for (const [address, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
] as const)
  own.addSubnet(address, bits, 'ipv4');
own.addAddress('::1', 'ipv6');
own.addSubnet('fc00::', 7, 'ipv6');
own.addSubnet('fe80::', 10, 'ipv6');

/** Whether a name that was asked for is of one's own network: an address, this machine, or what only a local network resolves. */
export const isOwnName = (hostname: string): boolean =>
  isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 || /^([a-z0-9-]+|.*\.(local|lan|home\.arpa|internal))$/i.test(hostname);

/** True for a private, link-local or loopback address, also an IPv4 one written as IPv6; false for what is no address. */
export function isPrivateAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  const kind = isIP(plain);
  return kind !== 0 && own.check(plain, kind === 4 ? 'ipv4' : 'ipv6');
}
