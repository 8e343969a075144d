/**
 * Addresses that no provider has. Clouds hand out credentials on link-local ones, so a name that leads there, by mistake
 * or because its owner wants it, is refused when the connection is made, whatever it resolved to before.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';

const REFUSED = new BlockList();
REFUSED.addSubnet('169.254.0.0', 16, 'ipv4');
REFUSED.addSubnet('fe80::', 10, 'ipv6');
// Metadata services outside the link-local ranges: AWS over IPv6, Alibaba Cloud.
REFUSED.addAddress('fd00:ec2::254', 'ipv6');
REFUSED.addAddress('100.100.100.200', 'ipv4');

/** Whether this is an IP address that is never connected to; brackets of IPv6 are allowed. Names are not. */
export function isRefusedAddress(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '');
  const family = isIP(address);
  return family !== 0 && REFUSED.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Resolves a name to all of its addresses. */
export type Resolve = (
  name: string,
  options: LookupOptions & { readonly all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

type Done = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** A `lookup` for sockets that fails where one of the addresses is refused. */
export function safeLookup(resolve: Resolve = lookup) {
  return (name: string, options: LookupOptions, done: Done): void => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) done(error ?? new Error('the name has no address'), []);
      else if (addresses.some(({ address }) => isRefusedAddress(address)))
        done(new Error('the name leads to an address that no provider has'), []);
      else if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}
