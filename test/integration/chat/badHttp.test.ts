/** HTTP that two servers could read differently, other protocols, oversized heads, path tricks: on raw sockets. */
import { describe, expect, it } from 'vitest';
import { useGateway } from '../../helpers/rig.ts';
import { CHAT, chatBody, errorOf, head, type RawAnswer, RawClient, servingAfterEach } from './support.ts';

const BODY = JSON.stringify(chatBody());
const CHUNKED = `${Buffer.byteLength(BODY).toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
const LENGTH = `content-length: ${Buffer.byteLength(BODY)}`;

const rig = useGateway({
  config: (config) => ({ ...config, timeouts: { ...config.timeouts, clientHeaderMs: 300, clientBodyMs: 300 } }),
});
servingAfterEach(rig);

/** Sends bytes and reads until the server closes. */
async function refusal(bytes: string): Promise<RawAnswer> {
  const client = await RawClient.open(rig.gateway);
  client.send(bytes);
  const answer = await client.closed();
  expect(answer.headers.get('connection')).toBe('close');
  expect(answer.headers.get('content-type')).toBe('application/json');
  expect(rig.mock.requests).toEqual([]);
  return answer;
}

function expectRefusal({ status, body }: RawAnswer, wanted: number, code: string, message: string): void {
  expect({ status, error: errorOf(body) }).toEqual({
    status: wanted,
    error: { message, type: 'invalid_request_error', param: null, code },
  });
}

const post = (...lines: string[]) => head(rig.gateway, lines);

describe('framing', () => {
  const malformed: [string, () => string][] = [
    ['length and chunks', () => post(LENGTH, 'transfer-encoding: chunked') + CHUNKED],
    ['chunks and length', () => post('transfer-encoding: chunked', LENGTH) + CHUNKED],
    ['two lengths that differ', () => post(LENGTH, 'content-length: 5') + BODY],
    ['two equal lengths', () => post(LENGTH, LENGTH) + BODY],
    ['a list of lengths', () => post(`${LENGTH}, 5`) + BODY],
    ['a coding before chunked', () => post('transfer-encoding: x, chunked') + CHUNKED],
    ['a coding after chunked', () => post('transfer-encoding: chunked, x') + CHUNKED],
    ['chunked twice', () => post('transfer-encoding: chunked', 'transfer-encoding: chunked') + CHUNKED],
    ['gzip and chunked', () => post('transfer-encoding: gzip, chunked') + CHUNKED],
    ['identity', () => post('transfer-encoding: identity', LENGTH) + BODY],
    ['a folded coding', () => post('transfer-encoding:', ' chunked') + CHUNKED],
    ['a vertical tab before chunked', () => post('transfer-encoding: \vchunked') + CHUNKED],
    ['a folded header', () => post('x-a: b', ' c', LENGTH) + BODY],
    ['a bare CR in a header', () => post('x-a: b\rc', LENGTH) + BODY],
    ['a bare LF in a header', () => post('x-a: b\nx-c: d', LENGTH) + BODY],
    ['LF line ends', () => post(LENGTH).replaceAll('\r\n', '\n') + BODY],
    ['a NUL in a header', () => post('x-a: b\0c', LENGTH) + BODY],
    ['a blank before the colon', () => post(LENGTH.replace(':', ' :')) + BODY],
    ['a length with a sign', () => post(LENGTH.replace(': ', ': +')) + BODY],
    ['a negative length', () => post('content-length: -1') + BODY],
    ['a hexadecimal length', () => post('content-length: 0x5') + BODY],
    ['a broken chunk size', () => post('transfer-encoding: chunked') + CHUNKED.replace(/^/, 'x')],
    ['two hosts', () => post('host: b', LENGTH) + BODY],
    ['no host', () => `POST ${CHAT} HTTP/1.1\r\n${LENGTH}\r\n\r\n${BODY}`],
    ['chunks in HTTP/1.0', () => head(rig.gateway, ['transfer-encoding: chunked'], `POST ${CHAT} HTTP/1.0`) + CHUNKED],
    ['HTTP/2.0 on the first line', () => head(rig.gateway, [LENGTH], `POST ${CHAT} HTTP/2.0`) + BODY],
    ['no version', () => `POST ${CHAT}\r\n\r\n${BODY}`],
    ['a method nobody knows', () => head(rig.gateway, [LENGTH], `FROB ${CHAT} HTTP/1.1`) + BODY],
    ['a TLS hello', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ];
  it.each(malformed)('answers 400 and closes for %s', async (_, bytes) => {
    const answer = await refusal(bytes());
    expectRefusal(answer, 400, 'malformed_http', 'The request is not well-formed HTTP/1.1.');
  });

  it('never reads a request behind one whose framing is refused', async () => {
    const second = post(LENGTH) + BODY;
    for (const [, bytes] of malformed) {
      const client = await RawClient.open(rig.gateway);
      client.send(bytes() + second);
      await client.closed();
      expect(client.text.match(/HTTP\/1\.1 \d/g)).toEqual(['HTTP/1.1 4']);
      expect(rig.mock.requests).toEqual([]);
    }
  });

  it('closes on bad bytes behind a request in work and writes nothing into its answer', async () => {
    rig.mock.reply({ delayMs: 200, json: { choices: [] } });
    const client = await RawClient.open(rig.gateway);
    client.send(`${post(LENGTH)}${BODY}\x16\x03bad\r\n\r\n`);
    const answer = await client.closed();
    expect(answer.text === '' || answer.status === 200).toBe(true);
    expect(answer.text).not.toContain('malformed_http');
    rig.mock.clear();
  });

  it('serves pipelined requests in order', async () => {
    const client = await RawClient.open(rig.gateway);
    client.send(post(LENGTH) + BODY + head(rig.gateway, ['connection: close'], 'GET /livez HTTP/1.1'));
    const answer = await client.closed();
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
    expect(answer.text.indexOf('Hello from the mock.')).toBeLessThan(answer.text.indexOf('{"status":"ok"}'));
  });
});

describe('other protocols', () => {
  it.each([
    ['websocket', ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', LENGTH]],
    [
      'h2c',
      ['connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQCAAAAAAIAAAAA', LENGTH],
    ],
  ])('answers 426 to an upgrade to %s and reads nothing behind it', async (_, lines) => {
    const answer = await refusal(post(...lines) + BODY + post(LENGTH) + BODY);
    expectRefusal(answer, 426, 'upgrade_refused', 'Only HTTP/1.1 is spoken here.');
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 426']);
  });

  it('answers 405 to CONNECT and opens no tunnel', async () => {
    const target = new URL(rig.mock.url).host;
    const answer = await refusal(
      `CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n`,
    );
    expectRefusal(answer, 405, 'method_not_allowed', 'This method is not offered at this path.');
  });

  it('serves an absolute-form target itself, whatever host it names', async () => {
    const client = await RawClient.open(rig.gateway);
    client.send(head(rig.gateway, [LENGTH, 'connection: close'], `POST http://elsewhere.test${CHAT} HTTP/1.1`) + BODY);
    expect((await client.closed()).status).toBe(200);
    expect(rig.mock.last.headers.host).toBe(new URL(rig.mock.url).host);
  });

  it('serves Expect: 100-continue and refuses any other expectation', async () => {
    const client = await RawClient.open(rig.gateway);
    client.send(post(LENGTH, 'expect: 100-continue', 'connection: close'));
    client.send(BODY);
    expect((await client.closed()).text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    rig.mock.clear();
    const other = await RawClient.open(rig.gateway);
    other.send(post(LENGTH, 'expect: miracles', 'connection: close') + BODY);
    expect((await other.closed()).status).toBe(417);
    expect(rig.mock.requests).toEqual([]);
  });
});

describe('oversized heads', () => {
  const tooLarge = 'The request headers are too many or too large.';
  it('answers 431 for a header of 17 KB', async () => {
    expectRefusal(await refusal(post(`x-a: ${'a'.repeat(17_000)}`, LENGTH) + BODY), 431, 'headers_too_large', tooLarge);
  });

  it.each([[2_000], [300]])('answers 431 for %i headers', async (count) => {
    const lines = Array.from({ length: count }, (_, i) => `a${i}:`);
    expectRefusal(await refusal(post(...lines, LENGTH) + BODY), 431, 'headers_too_large', tooLarge);
  });

  it.each([[65_536], [17_000]])('answers 414 for a target of %i bytes', async (length) => {
    const target = `/v1/${'a'.repeat(length)}`;
    const answer = await refusal(head(rig.gateway, [LENGTH], `POST ${target} HTTP/1.1`) + BODY);
    expectRefusal(answer, 414, 'uri_too_long', 'The request target is too long.');
  });
});

describe('slow heads', () => {
  it('are answered 408 when their deadline is over, however they drip', async () => {
    const client = await RawClient.open(rig.gateway);
    client.send(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\n`);
    const drip = setInterval(() => client.send('x-a: b\r\n'), 100);
    try {
      const answer = await client.closed(3_000);
      expectRefusal(answer, 408, 'body_timeout', 'The request did not arrive in time.');
    } finally {
      clearInterval(drip);
    }
  });
});

describe('paths', () => {
  const at = async (target: string): Promise<RawAnswer> => {
    const client = await RawClient.open(rig.gateway);
    client.send(head(rig.gateway, [LENGTH, 'connection: close'], `POST ${target} HTTP/1.1`) + BODY);
    return client.closed();
  };
  const tricks: [string, number, string][] = [
    [`/${CHAT}`, 404, 'not_found'],
    ['//elsewhere.test/v1/chat/completions', 404, 'not_found'],
    ['/v1/%2e%2e/metrics', 404, 'not_found'],
    ['/v1/../metrics', 404, 'not_found'],
    ['/v1/..%2fmetrics', 404, 'endpoint_not_offered'],
    ['/%6detrics', 404, 'not_found'],
    ['/V1/chat/completions', 404, 'not_found'],
    [`${CHAT}/`, 404, 'endpoint_not_offered'],
    [`${CHAT};x`, 404, 'endpoint_not_offered'],
    [`${CHAT}%00`, 404, 'endpoint_not_offered'],
    [`${CHAT}%20`, 404, 'endpoint_not_offered'],
    [`${CHAT}%`, 404, 'endpoint_not_offered'],
    ['/v1/chat%2Fcompletions', 404, 'endpoint_not_offered'],
    ['/v1%2fchat/completions', 404, 'not_found'],
    ['/v1/chat//completions', 404, 'endpoint_not_offered'],
    ['/v1/%ff', 404, 'endpoint_not_offered'],
    ['/v1\\chat\\completions', 400, 'malformed_http'],
    ['*', 400, 'malformed_http'],
  ];
  it.each(tricks)('%s reaches no provider and no metrics (%i %s)', async (target, status, code) => {
    const answer = await at(target);
    expect({ status: answer.status, code: errorOf(answer.body).code }).toEqual({ status, code });
    expect(rig.mock.requests).toEqual([]);
    expect(answer.text).not.toContain('portcullis_requests_total');
  });

  it.each([['/v1/ch%61t/completions'], ['/v1/./chat/completions'], [`${CHAT}?x=1`]])(
    'normalises %s once, so key and guards apply to it',
    async (target) => {
      const client = await RawClient.open(rig.gateway);
      client.send(
        `POST ${target} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n${LENGTH}\r\n\r\n${BODY}`,
      );
      expect((await client.closed()).status).toBe(401);
      expect(rig.mock.requests).toEqual([]);
      expect((await at(target)).status).toBe(200);
      expect(rig.mock.last.path).toBe(CHAT);
    },
  );
});
