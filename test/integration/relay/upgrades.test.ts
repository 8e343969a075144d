/** Upgrades that are no realtime tunnel get none, and nothing behind them is read as a request. */
import { describe, expect, it } from 'vitest';
import { errorOf, idleAfterEach, until } from '../chat/support.ts';
import { HANDSHAKE, handshake, openWith, useRelay, WEBSOCKET_KEY } from './provider.ts';

const rig = useRelay();
idleAfterEach(rig);

const open = (bytes: string) => openWith(rig.gateway, bytes);

describe('every other upgrade', () => {
  const key = () => `authorization: Bearer ${rig.gateway.open}`;
  const start = (first: string, ...lines: string[]) =>
    `${[first, 'host: gateway.test', key(), ...lines].join('\r\n')}\r\n\r\n`;
  const websocket = [...HANDSHAKE, `sec-websocket-key: ${WEBSOCKET_KEY}`];
  const cases: [string, () => string][] = [
    ['a policy that does not list it', () => handshake(rig.gateway.closed)],
    ['an inspected endpoint', () => handshake(rig.gateway.open, [], '/v1/chat/completions')],
    ['a listed endpoint that is not realtime', () => handshake(rig.gateway.open, [], '/v1/audio/speech')],
    ['a path below realtime', () => handshake(rig.gateway.open, [], '/v1/realtime/x')],
    ['a path that could be read in two ways', () => handshake(rig.gateway.open, [], '/v1/audio/../realtime')],
    ['an escaped path', () => handshake(rig.gateway.open, [], '/v1/%72ealtime')],
    ['h2c', () => start('GET /v1/realtime HTTP/1.1', 'connection: Upgrade', 'upgrade: h2c')],
    ['two protocols', () => start('GET /v1/realtime HTTP/1.1', ...websocket, 'upgrade: h2c')],
    ['POST', () => start('POST /v1/realtime HTTP/1.1', ...websocket, 'content-length: 0')],
    ['a body', () => `${start('GET /v1/realtime HTTP/1.1', ...websocket, 'content-length: 5')}hello`],
    [
      'a chunked body',
      () => `${start('GET /v1/realtime HTTP/1.1', ...websocket, 'transfer-encoding: chunked')}0\r\n\r\n`,
    ],
    ['HTTP/1.0', () => start('GET /v1/realtime HTTP/1.0', ...websocket)],
    ['another version', () => start('GET /v1/realtime HTTP/1.1', ...websocket.slice(0, 2), 'sec-websocket-version: 8')],
    ['no challenge', () => start('GET /v1/realtime HTTP/1.1', ...HANDSHAKE)],
  ];
  it.each(cases)('with %s is 426, and what is behind it is never a request', async (_, bytes) => {
    const client = await open(bytes() + start('GET /v1/files/smuggled HTTP/1.1') + start('GET /livez HTTP/1.1'));
    client.send(start('GET /v1/files/later HTTP/1.1'));
    const answer = await client.closed();
    expect([answer.status, errorOf(answer.body).code, answer.headers.get('connection')]).toEqual([
      426,
      'upgrade_refused',
      'close',
    ]);
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 426']);
    expect(rig.mock.seen).toEqual([]);
  });

  it('that contradicts itself is 400', async () => {
    const client = await open(handshake(rig.gateway.open, ['host: other.test']));
    expect((await client.closed()).status).toBe(400);
    expect(rig.mock.seen).toEqual([]);
  });

  it('behind a request in work writes nothing into its answer', async () => {
    let finish = (): void => {};
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.write('first half');
      finish = () => response.end('second half');
    };
    const client = await open(start('GET /v1/files/x/content HTTP/1.1'));
    await until('the first half', () => client.text.includes('first half'));
    client.send(handshake(rig.gateway.open));
    const answer = await client.closed();
    finish();
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
    expect(rig.mock.seen.length).toBe(1);
  });
});
