/** Stored responses through the openai package: asked for again, continued, cancelled, deleted; and its stream helper. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { answerWith, type MockHandler } from '../../helpers/mockUpstream.ts';
import { Bench, canaryOf, ID_SAFE_RUN, LEAD, OTHER_TENANT, PLAIN, runsOf, SYSTEM, TEXT, USER } from './bench.ts';
import { OpenAI7 } from './openai7Client.ts';
import { openaiFailure } from './openaiErrors.ts';
import { MODEL } from './sdk.ts';

const bench = new Bench();
const NOT_FOUND = { type: 'NotFoundError', status: 404 };

describe.each([
  ['openai 6', OpenAI],
  ['openai 7', OpenAI7],
])('%s', (_name, Client) => {
  const client = (key = bench.gateway.key) => new Client({ baseURL: `${bench.gateway.url}/v1`, apiKey: key });

  /** A stored response whose prompt carries a canary in its instructions and in its input. */
  async function stored(): Promise<{ id: string; token: string }> {
    bench.mock.fallback(answerWith(TEXT));
    const { id } = await client().responses.create({
      model: MODEL,
      instructions: SYSTEM,
      input: [
        { role: 'developer', content: `${SYSTEM}\nAgain.` },
        { role: 'user', content: USER },
      ],
    });
    return { id, token: canaryOf(bench.mock.last) };
  }

  const secretsIn = (token: string, shown: unknown): string[] => [
    ...runsOf(token, PLAIN, JSON.stringify(shown), ID_SAFE_RUN),
    ...(JSON.stringify(shown).includes('ref: ') ? ['the reference line'] : []),
  ];

  it('shows a stored response with the instructions of the client', async () => {
    const { id, token } = await stored();

    const response = await client().responses.retrieve(id);

    expect(response).toMatchObject({ id, instructions: SYSTEM, output_text: TEXT });
    expect(secretsIn(token, response)).toEqual([]);
  });

  it('streams a stored response with the instructions of the client', async () => {
    const { id, token } = await stored();

    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of await client().responses.retrieve(id, { stream: true })) events.push(event);

    const deltas = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []));
    expect(deltas.join('')).toBe(TEXT);
    expect(events[0]).toMatchObject({ type: 'response.created', response: { id, instructions: SYSTEM } });
    expect(events.at(-1)).toMatchObject({ type: 'response.completed', response: { instructions: SYSTEM } });
    expect(secretsIn(token, events)).toEqual([]);
  });

  it('lists the input of a stored response as the client wrote it, page by page', async () => {
    const { id, token } = await stored();

    const items: unknown[] = [];
    for await (const item of client().responses.inputItems.list(id, { limit: 1, order: 'asc' })) items.push(item);

    expect(items).toMatchObject([
      { role: 'developer', content: [{ text: `${SYSTEM}\nAgain.` }] },
      { role: 'user', content: [{ text: USER }] },
    ]);
    expect(bench.mock.last.path).toBe(`/v1/responses/${id}/input_items`);
    expect(secretsIn(token, items)).toEqual([]);
  });

  it('cancels a response', async () => {
    const { id, token } = await stored();

    const response = await client().responses.cancel(id);

    expect(response).toMatchObject({ id, status: 'cancelled', instructions: SYSTEM });
    expect(bench.mock.last).toMatchObject({ method: 'POST', path: `/v1/responses/${id}/cancel`, text: '' });
    expect(secretsIn(token, response)).toEqual([]);
  });

  it('deletes a response, which is then not found', async () => {
    const { id } = await stored();

    await client().responses.delete(id);
    expect(bench.mock.last).toMatchObject({ method: 'DELETE', path: `/v1/responses/${id}` });

    expect(await client().responses.retrieve(id).catch(openaiFailure)).toMatchObject(NOT_FOUND);
    expect(bench.mock.requests).toHaveLength(2);
  });

  it('finds no response of another tenant, and nothing reaches the provider', async () => {
    const { id } = await stored();
    const other = client(await bench.gateway.createKey(['proxy'], [OTHER_TENANT]));

    const failures = await Promise.all([
      other.responses.retrieve(id).catch(openaiFailure),
      other.responses.cancel(id).catch(openaiFailure),
      other.responses.delete(id).catch(openaiFailure),
      Promise.resolve(other.responses.inputItems.list(id)).catch(openaiFailure),
      other.responses.create({ model: MODEL, input: USER, previous_response_id: id }).catch(openaiFailure),
    ]);

    expect(failures).toHaveLength(5);
    for (const failure of failures) expect(failure).toMatchObject(NOT_FOUND);
    expect(bench.mock.requests).toHaveLength(1);
  });

  it.each([
    ['whole', false],
    ['streamed', true],
  ])('continues a response by its id: %s', async (_mode, stream) => {
    const { id } = await stored();

    const body = { model: MODEL, input: 'And the second one?', previous_response_id: id };
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    if (stream) for await (const event of await client().responses.create({ ...body, stream })) events.push(event);
    const response = stream ? null : await client().responses.create(body);

    const last = events.at(-1);
    const answer = last?.type === 'response.completed' ? last.response : response;
    expect(answer?.output).toMatchObject([{ content: [{ text: TEXT }] }]);
    expect(bench.mock.last.json).toMatchObject({ previous_response_id: id, input: 'And the second one?' });
  });

  it('raises a canary of the first turn in the answer to the second', async () => {
    const { id, token } = await stored();
    bench.mock.fallback(answerWith(LEAD + token));

    const body = { model: MODEL, input: 'And the second one?', previous_response_id: id };
    const failure = await client().responses.create(body).catch(openaiFailure);

    expect(failure).toMatchObject({ type: 'BadRequestError', status: 400, code: 'content_filter' });
  });

  it('finds no response that is unknown, and nothing reaches the provider', async () => {
    const body = { model: MODEL, input: USER, previous_response_id: 'resp_unknown' };

    expect(await client().responses.create(body).catch(openaiFailure)).toMatchObject(NOT_FOUND);
    expect(bench.mock.requests).toHaveLength(0);
  });

  describe('stream helper', () => {
    const body = { model: MODEL, instructions: SYSTEM, input: USER };

    it('shows deltas and the final response with the instructions of the client', async () => {
      bench.mock.fallback(answerWith(TEXT));
      const deltas: string[] = [];

      const stream = client().responses.stream(body);
      stream.on('response.output_text.delta', ({ delta }) => deltas.push(delta));
      const response = await stream.finalResponse();

      expect(deltas.join('')).toBe(TEXT);
      expect(response).toMatchObject({ output_text: TEXT, instructions: SYSTEM, usage: { total_tokens: 15 } });
      expect(secretsIn(canaryOf(bench.mock.last), response)).toEqual([]);
    });

    const silent: MockHandler = (request) => answerWith(TEXT, 5, { cut: { afterEvents: 8, how: 'destroy' } })(request);
    const leaking: MockHandler = (request) => answerWith(`${LEAD.repeat(4)}${canaryOf(request)}`, 3)(request);
    it.each([
      ['a leak', leaking, 'content_filter'],
      ['an answer that breaks off', silent, 'upstream_error'],
    ])('raises %s', async (_what, answer, code) => {
      bench.mock.fallback(answer);

      const failure = await client().responses.stream(body).finalResponse().catch(openaiFailure);

      expect(failure).toMatchObject({ code });
    });
  });
});
