/** Providers are never looked for where clouds hand out credentials. */
import { describe, expect, it } from 'vitest';
import { EnvError, readEnv } from '../../../../gateway/env.ts';
import { isRefusedAddress, type Resolve } from '../../../../gateway/upstream/address.ts';
import { parseUpstreamUrl } from '../../../../gateway/upstream/client.ts';
import { client, fetchAll, httpServer } from './harness.ts';

const REFUSED = [
  'http://169.254.169.254/latest',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://[::ffff:169.254.169.254]/',
  'https://[fe80::1]/v1',
  'http://[fd00:ec2::254]/',
  'http://100.100.100.200/',
];

describe('an address in the configuration', () => {
  it.each(REFUSED)('%s is refused', (url) => {
    expect(() => parseUpstreamUrl(url)).toThrow('expected an upstream address that is not link-local');
    expect(() => readEnv({ PORTCULLIS_UPSTREAM_URL: url }, [])).toThrow(EnvError);
  });

  it.each(['http://127.0.0.1:1/v1', 'http://10.0.0.1/v1', 'http://[::1]/v1', 'https://169.example.com/v1'])(
    '%s is accepted',
    (url) => {
      expect(parseUpstreamUrl(url).origin).toBe(new URL(url).origin);
      expect(readEnv({ PORTCULLIS_UPSTREAM_URL: url }, []).upstream?.url).toBe(url);
    },
  );

  it('may be any name', () => {
    expect(isRefusedAddress('metadata.google.internal')).toBe(false);
  });
});

describe('a name', () => {
  const resolveTo =
    (...answers: string[][]): Resolve =>
    (_name, _options, done) => {
      const addresses = answers.length > 1 ? answers.shift() : answers[0];
      done(
        null,
        (addresses ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };

  it.each([[['169.254.169.254']], [['::ffff:169.254.169.254']], [['127.0.0.1', '169.254.169.254']], [[]]])(
    'that leads to %j is not connected to',
    async (addresses) => {
      let requests = 0;
      const origin = await httpServer((_request, response) => {
        requests += 1;
        response.end();
      });
      const upstream = client(origin.replace('127.0.0.1', 'provider.test'), { resolve: resolveTo(addresses) });
      expect([(await fetchAll(upstream)).outcome, requests]).toEqual(['upstream_unreachable', 0]);
    },
  );

  it('is looked at again for each connection', async () => {
    const origin = await httpServer((_request, response) => response.writeHead(200, { connection: 'close' }).end('ok'));
    const resolve = resolveTo(['127.0.0.1'], ['169.254.169.254']);
    const upstream = client(origin.replace('127.0.0.1', 'provider.test'), { resolve });
    expect((await fetchAll(upstream)).text).toBe('ok');
    expect((await fetchAll(upstream)).outcome).toBe('upstream_unreachable');
  });
});
