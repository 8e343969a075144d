import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type TestGateway } from '../helpers/gateway.ts';
import { answerWith, leakWith, MockUpstream } from '../helpers/mockUpstream.ts';

let mock: MockUpstream;
let gateway: TestGateway;
beforeAll(async () => {
  mock = await MockUpstream.start();
  gateway = await startGateway({ upstream: mock.url });
});
afterAll(async () => {
  await gateway.close();
  await mock.close();
});

it('relays and stops', async () => {
  mock.next(answerWith('Hello there, general.'));
  const ok = await gateway.post('/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] });
  expect(ok.status).toBe(200);
  mock.next(leakWith((t) => t));
  const bad = await gateway.post('/v1/chat/completions', {
    messages: [
      { role: 'system', content: 'You are a helper.' },
      { role: 'user', content: 'Hi' },
    ],
  });
  expect(bad.status).toBe(400);
});
