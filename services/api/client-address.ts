/** Where a request comes from, in the form in which it is counted. */
import { isIPv6 } from 'node:net';

/**
 * An IPv4 address as it is, also where a server of both families sees it as ::ffff:192.0.2.1, and `::1`; of any other IPv6 address the network (/64),
 * because one machine has all addresses of it.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address) || address === '::1') return mapped ?? address;
  const [front = [], back] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const given = back === undefined ? [...front] : [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back];
  return given
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
