import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../gateway/errors.ts';
import {
  readCompletionsRequest,
  readEmbeddingsRequest,
  readModerationsRequest,
} from '../../../../gateway/wire/plainRequests.ts';
import type { ModelRequest, ReadLimits } from '../../../../gateway/wire/request.ts';

const LIMITS = { depthMax: 64, leafBytesMax: 100_000, segmentsMax: 100_000, nodesMax: 1_000_000 };
type Read = (source: string, limits: ReadLimits) => ModelRequest;

/** `~` stands in front of what stands aside. */
const shown = ({ segments }: ModelRequest): Record<string, string> =>
  Object.fromEntries(segments.map(({ path, text, aside }) => [path, `${aside === true ? '~' : ''}${text}`]));

const PNG = 'data:image/png;base64,AAAA';
const READERS: [string, Read, string][] = [
  ['a completion', readCompletionsRequest, 'prompt'],
  ['embeddings', readEmbeddingsRequest, 'input'],
  ['a moderation', readModerationsRequest, 'input'],
];

describe.each(READERS)('a request for %s', (_name, read, member) => {
  const send = (value: unknown, rest: object = {}) =>
    read(JSON.stringify({ model: 'm', [member]: value, ...rest }), LIMITS);

  it('reads one text', () => {
    const request = send('hi');
    expect(request.segments).toEqual([
      expect.objectContaining({ path: `/${member}`, role: 'user', trusted: false, text: 'hi', mime: 'text/plain' }),
    ]);
    expect(request).toMatchObject({
      model: 'm',
      stream: false,
      binary: [],
      unreadable: [],
      carriers: [],
      continued: null,
    });
  });

  it('reads a list of texts, each for itself', () => {
    expect(shown(send(['a', '', 'b']))).toEqual({ [`/${member}/0`]: 'a', [`/${member}/2`]: 'b' });
  });

  it('plants no canary', () => {
    expect(send('be brief', { system: 'you are', instructions: 'do' }).carriers).toEqual([]);
  });

  it('reads members that nobody knows, and none that no model reads', () => {
    const request = send('hi', { task: 'find', user: 'u-1', encoding_format: 'float', deep: { a_very_long_key: 'x' } });
    expect(shown(request)).toEqual({
      [`/${member}`]: 'hi',
      '/task': '~find',
      '/deep/a_very_long_key': '~x',
      '/deep#keys': '~a_very_long_key',
    });
  });

  it.each([[1], [true], [{}], [[]], [[null]], [['a', [['b']]]]])('is refused with its place for %j', (value) => {
    const place = Array.isArray(value) && value.length > 0 ? `/${member}/${value.length - 1}` : `/${member}`;
    expect(() => send(value)).toThrow(GatewayError);
    expect(() => send(value)).toThrow(expect.objectContaining({ code: 'invalid_request', param: place }));
  });

  it('is refused for a text above the bound', () => {
    const source = JSON.stringify({ [member]: ['ok', 'äääää'] });
    expect(() => read(source, { ...LIMITS, leafBytesMax: 8, segmentsMax: 100_000, nodesMax: 1_000_000 })).toThrow(
      expect.objectContaining({ code: 'request_too_large', param: `/${member}/1` }),
    );
  });
});

describe('a request for a completion', () => {
  const send = (body: object) => readCompletionsRequest(JSON.stringify(body), LIMITS);

  it('may stream', () => {
    expect(send({ prompt: 'a', stream: true }).stream).toBe(true);
    expect(() => send({ prompt: 'a', stream: 1 })).toThrow(expect.objectContaining({ param: '/stream' }));
  });

  it('reads what stands behind the gap', () => {
    expect(shown(send({ suffix: 'z', prompt: 'a' }))).toEqual({ '/prompt': 'a', '/suffix': 'z' });
    expect(() => send({ prompt: 'a', suffix: ['z'] })).toThrow(expect.objectContaining({ param: '/suffix' }));
  });

  it('may do without a prompt', () => {
    expect(send({ model: 'm' }).segments).toEqual([]);
    expect(send({ prompt: null }).segments).toEqual([]);
  });

  it('takes no parts', () => {
    const prompt = [{ type: 'text', text: 'a' }];
    expect(() => send({ prompt })).toThrow(expect.objectContaining({ param: '/prompt/0' }));
  });
});

describe.each(READERS.slice(0, 2))('tokens in a request for %s', (_name, read, member) => {
  const send = (value: unknown) => read(JSON.stringify({ [member]: value }), LIMITS);

  it('are noted as not inspected', () => {
    expect(send([1, 2, 3])).toMatchObject({ segments: [], binary: [], unreadable: [`/${member}`] });
    const lists = [`/${member}/0`, `/${member}/1`];
    expect(send([[1, 2], [3]])).toMatchObject({ segments: [], binary: [], unreadable: lists });
  });

  it('do not hide a text among them', () => {
    const request = send(['a', [1, 2], 'b']);
    expect(request.segments.map(({ text }) => text)).toEqual(['a', 'b']);
    expect(request.unreadable).toEqual([`/${member}/1`]);
  });
});

describe.each(READERS.slice(1))('parts in a request for %s', (_name, read) => {
  const send = (input: unknown) => read(JSON.stringify({ input }), LIMITS);

  it('are read like those of a message', () => {
    const request = send([
      { type: 'text', text: 'hi' },
      { type: 'image_url', image_url: { url: PNG, detail: 'low' } },
      { type: 'image_url', image_url: { url: 'data:text/plain,hello%20you' } },
      { type: 'hologram', said: 'there' },
    ]);
    expect(shown(request)).toEqual({
      '/input/0/text': 'hi',
      '/input/1/image_url/detail': '~low',
      '/input/2/image_url/url': 'hello you',
      '/input/3/type': '~hologram',
      '/input/3/said': '~there',
      '/input#keys': '~said',
    });
    expect(request.binary).toEqual(['/input/1/image_url']);
  });

  it('must be there', () => {
    expect(() => read('{"model":"m"}', LIMITS)).toThrow(
      expect.objectContaining({ code: 'invalid_request', param: '/input' }),
    );
  });
});

describe('a request for a moderation', () => {
  it('takes no tokens', () => {
    for (const input of [[1, 2], [[1, 2]]]) {
      const read = () => readModerationsRequest(JSON.stringify({ input }), LIMITS);
      expect(read).toThrow(expect.objectContaining({ code: 'invalid_request', param: '/input/0' }));
    }
  });
});
