/** Paths written in odd ways are nothing, or the guarded endpoint that they mean; never one that is not guarded. */
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../config/schema.ts';
import { withPolicy } from '../../helpers/gateway.ts';
import { type RawAnswer, RawClient } from '../chat/support.ts';
import { createdId } from '../responses/support.ts';
import { DEPLOYMENT, HOSTILE, ROUTES, type Route, useBench, WEST } from './support.ts';

// With endpoints that are relayed unread, a path that is taken for one of them would be unguarded.
const relay = { audio: 'not-inspected', files: 'not-inspected', images: 'not-inspected' } as const;
const bench = useBench(withPolicy((policy: Policy) => ({ ...policy, relay })));

const requests = () => [...bench.first.requests, ...bench.west.requests];

async function raw(method: string, target: string, body = ''): Promise<RawAnswer> {
  const client = await RawClient.open(bench.gateway);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'host: gateway.test',
    `authorization: Bearer ${bench.gateway.key}`,
    ...(body === '' ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`]),
  ];
  client.send(`${lines.join('\r\n')}\r\n\r\n${body}`);
  const answer = await client.whole();
  client.close();
  return answer;
}

/** Ways to write the last segment, the first one, or the whole of a path. */
const TRICKS: readonly (readonly [string, (path: string) => string])[] = [
  ['a double slash in front', (path) => `/${path}`],
  ['double slashes', (path) => path.replaceAll('/', '//')],
  ['a double slash before the last part', (path) => path.replace(/\/([^/]*)$/, '//$1')],
  ['a slash behind', (path) => `${path}/`],
  ['two slashes behind', (path) => `${path}//`],
  ['upper case', (path) => path.toUpperCase()],
  [
    'a capital',
    (path) => path.replace(/\/([a-z])([^/]*)$/, (_, first: string, rest: string) => `/${first.toUpperCase()}${rest}`),
  ],
  [
    'an encoded letter',
    (path) =>
      path.replace(
        /\/([a-z])([^/]*)$/,
        (_, first: string, rest: string) => `/%${first.charCodeAt(0).toString(16)}${rest}`,
      ),
  ],
  [
    'an encoded letter in the first part',
    (path) => path.replace(/^\/(.)/, (_, first: string) => `/%${first.charCodeAt(0).toString(16)}`),
  ],
  ['an encoded slash', (path) => path.replace(/\/([^/]*)$/, '%2F$1')],
  ['every slash but the first encoded', (path) => `/${path.slice(1).replaceAll('/', '%2f')}`],
  ['a slash encoded twice', (path) => path.replace(/\/([^/]*)$/, '%252F$1')],
  ['a backslash', (path) => path.replace(/\/([^/]*)$/, '\\$1')],
  ['an encoded backslash', (path) => path.replace(/\/([^/]*)$/, '%5C$1')],
  ['a dot segment', (path) => path.replace(/\/([^/]*)$/, '/./$1')],
  ['a segment that goes back', (path) => path.replace(/\/([^/]*)$/, '/files/../$1')],
  ['an encoded segment that goes back', (path) => path.replace(/\/([^/]*)$/, '/files/%2e%2e/$1')],
  ['half an encoded segment that goes back', (path) => path.replace(/\/([^/]*)$/, '/files/.%2E/$1')],
  ['a way back with an encoded slash', (path) => path.replace(/\/([^/]*)$/, '/files/..%2f$1')],
  ['a way back from a relayed endpoint', (path) => `/v1/audio/../..${path}`],
  ['an encoded way back from a relayed endpoint', (path) => `/v1/audio/..%2f..${path.replaceAll('/', '%2f')}`],
  ['a path parameter', (path) => `${path};x=1`],
  ['an encoded path parameter', (path) => `${path}%3bx`],
  ['a path parameter in the first part', (path) => path.replace(/^\/([^/]*)/, '/$1;x')],
  ['a NUL', (path) => `${path}%00`],
  ['a line end', (path) => `${path}%0d%0a`],
  ['a blank', (path) => `${path}%20`],
  ['a dot behind', (path) => `${path}.`],
  ['an ending', (path) => `${path}.json`],
  ['a hash', (path) => `${path}#x`],
  ['an encoded question mark', (path) => `${path}%3fx`],
  ['a broken escape', (path) => `${path}%`],
  ['an overlong slash', (path) => path.replace(/\/([^/]*)$/, '%c0%af$1')],
  ['a fullwidth letter', (path) => path.replace(/.$/, '%ef%bd%93')],
  ['a query', (path) => `${path}?x=/v1/files`],
  ['an absolute form', (path) => `http://elsewhere.test${path}`],
  ['an absolute form of a relayed endpoint', (path) => `http://elsewhere.test/v1/files?${path}`],
];

/** One of each kind of prefix; what stands behind it is the same for all. */
const PLACES = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/openai/v1/completions',
  '/openai/responses',
  `/openai/deployments/${DEPLOYMENT}/chat/completions`,
  `/openai/${WEST}/embeddings`,
  `/openai/${WEST}/v1/moderations`,
  `/openai/${WEST}/openai/deployments/${DEPLOYMENT}/chat/completions`,
  `/anthropic/${WEST}/v1/messages`,
];
const routes = ROUTES.filter(({ url }) => PLACES.includes(url));

describe('a path', () => {
  it('is tried in every place', () => {
    expect(routes.map(({ url }) => url).sort()).toEqual([...PLACES].sort());
  });

  it.each(TRICKS)('with %s', async (_, trick) => {
    for (const route of routes) {
      bench.first.clear();
      bench.west.clear();
      const target = trick(route.url);
      expectRefused(await raw('POST', target, JSON.stringify(route.body(HOSTILE))));
      expect(requests(), target).toEqual([]);
      expectGuarded(route, await raw('POST', target, JSON.stringify(route.body('Hello'))));
    }
  });

  it('that means the guarded endpoint after all is served', async () => {
    const served: string[] = [];
    for (const [name, trick] of TRICKS) {
      const body = JSON.stringify(routes[0]?.body('Hello'));
      if ((await raw('POST', trick('/v1/chat/completions'), body)).status === 200) served.push(name);
    }
    expect(served).toEqual([
      'an encoded letter',
      'an encoded letter in the first part',
      'a dot segment',
      'a segment that goes back',
      'an encoded segment that goes back',
      'half an encoded segment that goes back',
      'a way back from a relayed endpoint',
      'a hash',
      'a query',
      'an absolute form',
    ]);
  });
});

function expectRefused({ status, body }: RawAnswer): void {
  expect([400, 404], body).toContain(status);
  if (status === 400) expect(body).toMatch(/"code":"(?:content_filter|malformed_http)"/);
}

/** Either nothing was asked, or what was asked went through the guards. */
function expectGuarded({ path, planted }: Route, { status, body }: RawAnswer): void {
  const [request] = requests();
  if (request === undefined) {
    expect([400, 404], body).toContain(status);
    return;
  }
  expect([status, request.path]).toEqual([200, `/v1${path}`]);
  if (planted) expect(request.text).toMatch(/ref: [0-9a-f]{32}\b/);
}

describe('ids and names in paths', () => {
  const OTHERS = ['/openai', '/v1', `/openai/${WEST}/openai`];

  it.each(OTHERS)('lead nowhere else below %s', async (prefix) => {
    const id = await createdId(bench.gateway);
    bench.first.clear();
    const targets = [
      '/responses/..%2fmodels',
      '/responses/%2e%2e%2ffiles',
      `/responses/${id}%2f..%2f..%2ffiles`,
      `/responses/${id}%3fstream=true`,
      `/responses/${id};x`,
      `/responses/${id}/`,
      `/responses/${id}%00`,
      `/responses/x%2f..%2f${id}`,
      '/models/..%2ffiles',
      '/models/a%2f..%2f..%2ffiles',
      '/models/%2e%2e%2ffiles',
      '/models/a//b',
      '/models//a',
      '/models/a/',
      '/models/a%5c..%5cfiles',
      '/models/a%3fb',
      '/models/a%23b',
      '/models/%252e%252e',
      '/models/a%00',
      '/models/%ff',
    ];
    for (const target of targets) {
      const answer = await raw('GET', prefix + target);
      const outcome = { target, status: answer.status, asked: requests().map(({ path }) => path) };
      // A question mark or hash that is part of a name stays one.
      const named = ['/models/a%3fb', '/models/a%23b'].includes(target);
      expect(outcome).toEqual({
        target,
        status: 404,
        asked: named ? [`/v1${target.replace(/%../, (code) => code.toUpperCase())}`] : [],
      });
      bench.first.clear();
      bench.west.clear();
    }
  });
});
