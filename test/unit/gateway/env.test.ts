import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EnvError, readEnv } from '../../../gateway/env.ts';

function messageOf(source: Record<string, string>, execArgv: string[] = []): string {
  try {
    readEnv(source, execArgv);
  } catch (error) {
    expect(error).toBeInstanceOf(EnvError);
    return (error as EnvError).message;
  }
  throw new Error('expected the environment to be refused');
}

describe('the environment', () => {
  it('has a default for everything', () => {
    expect(readEnv({}, [])).toEqual({
      port: 8787,
      adminPort: 9464,
      host: '127.0.0.1',
      adminHost: '127.0.0.1',
      configFile: null,
      dataDir: resolve('.portcullis'),
      apiKey: null,
      upstream: null,
      secret: null,
      logLevel: 'info',
    });
  });

  it('takes every variable, and empty ones as absent', () => {
    const secret = randomBytes(32);
    const apiKey = randomBytes(24).toString('base64url');
    const env = readEnv(
      {
        PORT: '0',
        ADMIN_PORT: '65535',
        HOST: '0.0.0.0',
        ADMIN_HOST: '::1',
        PORTCULLIS_CONFIG: 'my.yaml',
        PORTCULLIS_DATA_DIR: '/var/lib/portcullis',
        PORTCULLIS_API_KEY: `${apiKey}\n`,
        PORTCULLIS_UPSTREAM_URL: 'https://provider.example/v1/',
        PORTCULLIS_UPSTREAM_KEY: 'abc',
        PORTCULLIS_UPSTREAM_MODEL: '',
        PORTCULLIS_SECRET: secret.toString('base64'),
        LOG_LEVEL: 'debug',
      },
      [],
    );
    expect(env).toEqual({
      port: 0,
      adminPort: 65535,
      host: '0.0.0.0',
      adminHost: '::1',
      configFile: resolve('my.yaml'),
      dataDir: '/var/lib/portcullis',
      apiKey,
      upstream: { url: 'https://provider.example/v1', key: 'abc', model: null },
      secret: { current: secret, previous: null },
      logLevel: 'debug',
    });
  });

  it.each([
    [{ PORT: '65536' }, 'PORT: found "65536"; expected a port number from 0 to 65535'],
    [{ ADMIN_PORT: '1e3' }, 'ADMIN_PORT: found "1e3"; expected a port number from 0 to 65535'],
    [{ HOST: 'http://x' }, 'HOST: found "http://x"; expected a host name or IP address'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL: found "loud"; expected one of debug, info, warn, error, silent'],
  ])('names the variable, the value and what was expected: %j', (source, message) => {
    expect(messageOf(source)).toBe(message);
  });

  it('reports all mistakes at once', () => {
    expect(messageOf({ PORT: 'x', LOG_LEVEL: 'x' }).split('\n')).toHaveLength(2);
  });

  it.each(['PORTCULLIS_API_KEY', 'PORTCULLIS_SECRET', 'PORTCULLIS_UPSTREAM_KEY', 'PORTCULLIS_UPSTREAM_URL'])(
    'never shows the value of %s',
    (name) => {
      const value = `mark ${randomBytes(6).toString('hex')}`;
      const message = messageOf({ PORTCULLIS_UPSTREAM_URL: 'http://127.0.0.1:1', [name]: value });
      expect(message).toContain(`${name}: found a value of ${value.length} characters; expected `);
      expect(message).not.toContain(value.slice(5));
    },
  );

  it('refuses a key under 24 characters', () => {
    expect(messageOf({ PORTCULLIS_API_KEY: 'k'.repeat(23) })).toContain('expected 24 to 512');
    expect(readEnv({ PORTCULLIS_API_KEY: 'k'.repeat(24) }, []).apiKey).toBe('k'.repeat(24));
  });

  it.each(['ftp://x/', 'x', 'https://user:password@x/', 'https://x/?key=1', 'https://x/#a'])(
    'refuses %s as upstream URL',
    (url) => {
      expect(messageOf({ PORTCULLIS_UPSTREAM_URL: url })).toContain('expected an http or https URL');
    },
  );

  it('refuses a provider key that no provider would get', () => {
    expect(messageOf({ PORTCULLIS_UPSTREAM_KEY: 'abc' })).toContain('without PORTCULLIS_UPSTREAM_URL');
  });

  it('refuses the lenient HTTP parser however it is asked for', () => {
    expect(messageOf({ NODE_OPTIONS: '--max-old-space-size=64 --insecure-http-parser' })).toContain('NODE_OPTIONS');
    expect(messageOf({ NODE_OPTIONS: '--insecure_http_parser' })).toContain('NODE_OPTIONS');
    expect(messageOf({}, ['--insecure-http-parser'])).toContain("expected Node's strict HTTP parser");
  });
});
