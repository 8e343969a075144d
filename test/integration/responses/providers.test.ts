/** What one provider stores is asked for there, whatever a later request would be routed to. */
import { beforeEach, describe, expect, it } from 'vitest';
import { answerWith, reasoningItem, responseObject } from '../../helpers/mockUpstream.ts';
import { useMockPair } from '../../helpers/rig.ts';
import { canaryOf } from '../chat/support.ts';
import {
  create,
  createdId,
  errorView,
  good,
  INSTRUCTIONS,
  RESPONSES,
  responsesBody,
  send,
  unknownId,
} from './support.ts';

const rig = useMockPair(
  ({ first, second }) => ({
    upstream: first.url,
    config: (config) => ({
      ...config,
      providers: { other: { kind: 'openai-compatible', url: second.url } },
      routing: {
        default: null,
        routes: [
          { models: ['special-*'], provider: 'other' },
          { models: ['both'], provider: 'default', fallback: [{ provider: 'other' }] },
        ],
      },
      upstream: { ...config.upstream, fallbackStatuses: [429] },
    }),
  }),
  'each',
);
beforeEach(() => {
  rig.mock.first.fallback(answerWith('Hello from the first.'));
  rig.mock.second.fallback(answerWith('Hello from the second.'));
});

const seen = () => [rig.mock.first.requests.length, rig.mock.second.requests.length];

describe('a response at the second provider', () => {
  it.each([false, true])('is asked for, cancelled, continued and deleted there, stream: %s', async (stream) => {
    const answer = await create(rig.gateway, { model: 'special-1', stream });
    const id = /"id":"(resp_[^"]+)"/.exec(answer.text)?.[1] as string;
    const token = canaryOf(rig.mock.second.last.systemText);
    for (const [path, method] of [
      ['', 'GET'],
      ['?stream=true', 'GET'],
      ['/input_items', 'GET'],
      ['/cancel', 'POST'],
    ] as const) {
      const { status, text } = await send(rig.gateway, `${RESPONSES}/${id}${path}`, { method });
      expect([status, text.includes(token)]).toEqual([200, false]);
    }
    // Neither a model of the first provider nor none at all leads away from it.
    for (const model of ['plain', undefined]) {
      expect((await create(rig.gateway, { model, previous_response_id: id })).text).toContain('Hello from the second.');
    }
    expect((await send(rig.gateway, `${RESPONSES}/${id}`, { method: 'DELETE' })).status).toBe(200);
    expect(seen()).toEqual([0, 8]);
  });

  it('leads its items there', async () => {
    rig.mock.second.reply({
      json: responseObject({ id: 'resp_rs', output: [reasoningItem([], { id: 'rs_second' }), 'Bye.'] }),
    });
    await createdId(rig.gateway, { model: 'special-1' });
    const input = [
      { type: 'item_reference', id: 'rs_second' },
      { role: 'user', content: 'Go on' },
    ];
    expect((await create(rig.gateway, { model: 'plain', input })).text).toContain('Hello from the second.');
    expect(seen()).toEqual([0, 2]);
  });

  it('and items of the first are not put together', async () => {
    rig.mock.first.reply({
      json: responseObject({ id: 'resp_rs', output: [reasoningItem([], { id: 'rs_first' }), 'Bye.'] }),
    });
    await createdId(rig.gateway, { model: 'plain' });
    const id = await createdId(rig.gateway, { model: 'special-1' });
    const input = [
      { type: 'item_reference', id: 'rs_first' },
      { role: 'user', content: 'Go on' },
    ];
    expect(errorView(await create(rig.gateway, { previous_response_id: id, input }))).toEqual(unknownId('/input'));
    expect(seen()).toEqual([1, 1]);
  });

  it('is not found below the name of another one', async () => {
    const id = await createdId(rig.gateway, { model: 'special-1' });
    for (const [path, method] of [
      ['', 'GET'],
      ['/input_items', 'GET'],
      ['/cancel', 'POST'],
      ['', 'DELETE'],
    ] as const) {
      expect(errorView(await send(rig.gateway, `/openai/default/responses/${id}${path}`, { method }))).toEqual(
        unknownId(null),
      );
      expect((await send(rig.gateway, `/openai/other/responses/${id}/input_items`)).status).toBe(200);
    }
    const body = responsesBody({ previous_response_id: id });
    expect((await send(rig.gateway, '/openai/default/responses', { method: 'POST', body })).status).toBe(404);
    expect((await send(rig.gateway, '/openai/other/responses', { method: 'POST', body })).status).toBe(200);
    expect(seen()).toEqual([0, 6]);
  });
});

describe('a response that a fallback gave', () => {
  it('is asked for at the fallback', async () => {
    rig.mock.first.reply({ status: 429, json: { error: { message: 'Slow down.' } } });
    const id = await createdId(rig.gateway, { model: 'both' });
    const again = await send(rig.gateway, `${RESPONSES}/${id}`);
    expect(good(again).instructions).toBe(INSTRUCTIONS);
    expect((await create(rig.gateway, { model: 'both', previous_response_id: id })).text).toContain(
      'Hello from the second.',
    );
    expect(seen()).toEqual([1, 3]);
  });
});

describe('a background response', () => {
  it('has items that are known once they have been seen', async () => {
    const fields = { id: 'resp_background', background: true };
    rig.mock.first.reply({ json: { ...responseObject({ ...fields, output: [] }), status: 'in_progress' } });
    await createdId(rig.gateway, { model: 'plain', background: true });
    const input = [
      { type: 'item_reference', id: 'rs_later' },
      { role: 'user', content: 'Go on' },
    ];
    expect(errorView(await create(rig.gateway, { input }))).toEqual(unknownId('/input'));
    rig.mock.first.reply({
      json: responseObject({ ...fields, output: [reasoningItem([], { id: 'rs_later' }), 'Bye.'] }),
    });
    good(await send(rig.gateway, `${RESPONSES}/resp_background`));
    expect((await create(rig.gateway, { input })).status).toBe(200);
  });
});
