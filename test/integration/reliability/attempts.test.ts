/** How often a provider is asked for one request: once, unless nothing of it can have arrived. */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { TestGateway } from '../../helpers/gateway.ts';
import { completion, type Reply } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, chatBody, expectIdle, idleAfterEach, until } from '../chat/support.ts';
import { codeOf, MODES, patient, request, STREAMS } from './streams.ts';

const rig = useGateway({ config: patient });
idleAfterEach(rig);

const modes = STREAMS.flatMap((on) => MODES.map((mode) => [on.name, mode, on] as const));

describe('U11 errors of the provider', () => {
  it.each(modes)('%s, %s: go to the client with their advice, and are not tried again', async (_name, mode, on) => {
    const limits = on.name === 'messages' ? 'anthropic-ratelimit-requests-remaining' : 'x-ratelimit-remaining-requests';
    for (const status of [400, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504, 529]) {
      const reply: Reply = {
        status,
        headers: { 'retry-after': '7', 'retry-after-ms': '7000', [limits]: '3' },
        json: on.errorBody,
      };
      rig.mock.clear();
      rig.mock.reply(reply);
      const answer = await request(rig.gateway, on, mode === 'streamed');
      expect([answer.status, JSON.parse(answer.text)]).toEqual([status, on.errorBody]);
      for (const name of ['retry-after', 'retry-after-ms', limits]) {
        expect(answer.headers.get(name)).toBe(reply.headers?.[name]);
      }
      expect(rig.mock.requests.length).toBe(1);
    }
  });

  it.each(modes)('%s, %s: in a form that SDKs do not read are put into one', async (_name, mode, on) => {
    for (const body of ['<html>down</html>', '', 'busy', '{"error":', '[]', '{"detail":"x"}']) {
      rig.mock.clear();
      rig.mock.reply({ status: 503, headers: { 'content-type': 'text/html', 'retry-after': '2' }, body });
      const answer = await request(rig.gateway, on, mode === 'streamed');
      expect([answer.status, codeOf(answer.text), answer.headers.get('retry-after')]).toEqual([
        503,
        'upstream_error',
        '2',
      ]);
      expect(answer.headers.get('content-type')).toBe('application/json');
      expect(rig.mock.requests.length).toBe(1);
    }
  });
});

/** A provider on a bare socket: what it does with the n-th request that it has read is the test's. */
async function bare(
  onRequest: (socket: Socket, ordinal: number) => void,
): Promise<{ url: string; seen: () => number; sockets: Set<Socket>; close: () => Promise<void> }> {
  let seen = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (part) => {
      text += part.toString('latin1');
      const border = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.POSITIVE_INFINITY);
      if (border === -1 || text.length < border + 4 + length) return;
      text = '';
      seen += 1;
      onRequest(socket, seen);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen: () => seen,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const answerBytes = (() => {
  const body = JSON.stringify(completion('Hello there'));
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nkeep-alive: timeout=60\r\n\r\n${body}`;
})();

describe('U21 a kept connection that closes', () => {
  async function withProvider(
    onRequest: (socket: Socket, ordinal: number) => void,
    act: (gateway: TestGateway, provider: Awaited<ReturnType<typeof bare>>) => Promise<void>,
  ): Promise<void> {
    const provider = await bare(onRequest);
    const own = await rig.start({ upstream: provider.url });
    try {
      await act(own, provider);
      await expectIdle(own);
    } finally {
      await provider.close();
    }
  }

  it.each(['end', 'destroy', 'reset'] as const)('while idle (%s) costs the next request nothing', async (how) => {
    await withProvider(
      (socket) => void socket.write(answerBytes),
      async (own, provider) => {
        for (let n = 1; n <= 10; n++) {
          expect((await ask(own, chatBody())).status).toBe(200);
          for (const socket of provider.sockets) {
            if (how === 'reset') socket.resetAndDestroy();
            else if (how === 'end') socket.end();
            else socket.destroy();
          }
          // Half of them race with the next request.
          if (n % 2 === 0) await until('the connection is gone', () => provider.sockets.size === 0);
        }
        expect(provider.seen()).toBe(10);
      },
    );
  });

  it.each(['end', 'destroy', 'reset'] as const)(
    'behind a request that it has read (%s) is a 502, and the request is not made again',
    async (how) => {
      await withProvider(
        (socket, ordinal) => {
          if (ordinal % 2 === 1) socket.write(answerBytes);
          else if (how === 'reset') socket.resetAndDestroy();
          else if (how === 'end') socket.end();
          else socket.destroy();
        },
        async (own, provider) => {
          for (let n = 1; n <= 3; n++) {
            expect((await ask(own, chatBody())).status).toBe(200);
            const answer = await ask(own, chatBody());
            expect([answer.status, codeOf(answer.text)]).toEqual([502, 'upstream_unreachable']);
            expect(provider.seen()).toBe(2 * n);
          }
        },
      );
    },
  );
});
