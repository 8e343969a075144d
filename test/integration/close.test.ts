import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { within } from '../helpers/deadline.ts';
import { startGateway } from '../helpers/gateway.ts';
import { MockUpstream } from '../helpers/mockUpstream.ts';

it('closes without waiting for connections that were opened and never used', async () => {
  const mock = await MockUpstream.start();
  const gateway = await startGateway({ upstream: mock.url });
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  await once(socket, 'connect');
  // An answer on another connection: by then the server has taken this one.
  expect((await gateway.post('/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] })).status).toBe(
    200,
  );
  const closed = once(socket.resume(), 'close');

  await within(2_000, gateway.close(), 'the gateway closes');

  await within(1_000, closed, 'the unused connection is closed');
  await mock.close();
});

it('keeps the connection of a probe open for the next one', async () => {
  const mock = await MockUpstream.start();
  const gateway = await startGateway({ upstream: mock.url });
  const response = await fetch(`${gateway.url}/livez`);
  await response.text();
  expect([response.status, response.headers.get('connection')]).toEqual([200, 'keep-alive']);
  await gateway.close();
  await mock.close();
});
