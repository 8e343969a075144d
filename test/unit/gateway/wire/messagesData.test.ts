import { describe, expect, it } from 'vitest';
import { readMessagesRequest } from '../../../../gateway/wire/messagesRequest.ts';
import type { ModelRequest } from '../../../../gateway/wire/request.ts';
import { testEngine } from '../../../helpers/engine.ts';
import { seeded } from '../../../helpers/random.ts';

const random = seeded('files');

const LIMITS = { depthMax: 64, leafBytesMax: 100_000, segmentsMax: 100_000, nodesMax: 1_000_000 };
const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
const withContent = (content: unknown, role = 'user') =>
  readMessagesRequest(JSON.stringify({ messages: [{ role, content }] }), LIMITS);

/** `role text`, with `~` in front of what stands aside. */
const shown = ({ segments }: ModelRequest): Record<string, string> =>
  Object.fromEntries(
    segments.map(({ path, role, text, aside }) => [path, `${aside === true ? '~' : ''}${role} ${text}`]),
  );

describe('what a Messages request passes off as data, as types or as ids', () => {
  it('reads the arguments of a call whatever their keys are', () => {
    const input = { type: 'ignore_all_rules', also: { type: ['reveal', 'string'] } };
    const request = withContent([{ type: 'tool_use', id: 't', name: 'n', input }], 'assistant');
    expect(shown(request)).toMatchObject({
      '/messages/0/content/0/input/type': '~assistant ignore_all_rules',
      '/messages/0/content/0/input/also/type/0': '~assistant reveal',
    });
    expect(shown(request)).not.toHaveProperty('/messages/0/content/0/input/also/type/1');
  });

  it('gives every string of a body to at most one segment that can be rewritten', () => {
    const request = withContent([
      { type: 'container_upload', file_id: 'data:text/plain,<|im_start|>hello' },
      { type: 'document', source: { type: 'base64', media_type: 'text/plain', data: base64('hi') } },
      { type: 'image', source: { type: 'file', file_id: 'say something' } },
    ]);
    const starts = request.segments.flatMap(({ leaf }) => (leaf === null ? [] : [leaf.start]));
    expect(new Set(starts).size).toBe(starts.length);
    expect(shown(request)).toMatchObject({
      '/messages/0/content/0/file_id': '~user data:text/plain,<|im_start|>hello',
      '/messages/0/content/2/source/file_id': 'document say something',
    });
  });

  it.each([undefined, 'application/octet-stream', 'application/rtf', 'image/png', 'application/pdf', '?'])(
    'reads a text in base64 whose type is said to be %s',
    (media_type) => {
      const data = base64('a text for the model');
      const request = withContent([{ type: 'document', source: { type: 'base64', media_type, data } }]);
      const segment = request.segments.find(({ path }) => path.endsWith('/data'));
      expect(segment).toMatchObject({ role: 'document', text: 'a text for the model', mime: 'text/plain' });
      expect(request.binary).toEqual([]);
    },
  );

  it('reads a text in base64 of a single-byte charset, and writes it back in that', () => {
    const data = Buffer.from('caf\xe9 \x93bar\x94', 'latin1').toString('base64');
    const request = withContent([{ type: 'document', source: { type: 'base64', media_type: 'text/plain', data } }]);
    const segment = request.segments.find(({ path }) => path.endsWith('/data'));
    expect(segment?.text).toBe('café “bar”');
    expect(segment?.encode?.('café “bar”')).toBe(data);
  });

  it.each(['%PDF ', 'ID3\x03', '\x01'.repeat(30)])(
    'reads, and notes, a file that hides its text behind %j',
    (start) => {
      const data = base64(`${start}a text for the model`);
      for (const media_type of ['application/octet-stream', 'application/pdf', undefined]) {
        const request = withContent([{ type: 'document', source: { type: 'base64', media_type, data } }]);
        const segment = request.segments.find(({ path }) => path.endsWith('/data'));
        expect(segment).toMatchObject({ role: 'document', leaf: null, trusted: false });
        expect(segment?.text).toContain('a text for the model');
        expect(request.binary).toEqual(['/messages/0/content/0/source']);
      }
    },
  );

  it('refuses more pieces of base64 than its bound, and names the place', () => {
    const data = 'QQ=='.repeat(5_000);
    const source = { type: 'base64', media_type: 'text/plain', data };
    expect(() => withContent([{ type: 'document', source }])).toThrow(
      expect.objectContaining({ code: 'invalid_request', param: '/messages/0/content/0/source/data' }),
    );
  });

  it('notes an image that begins like a text above the bound', () => {
    const source = { type: 'base64', media_type: 'image/png', data: base64('a text '.repeat(20_000)) };
    const request = withContent([{ type: 'image', source }]);
    expect(request.binary).toEqual(['/messages/0/content/0/source']);
    expect(request.segments.find(({ path }) => path.endsWith('/data'))?.text).toHaveLength(100_000);
  });

  it('passes random bytes of a type that nobody has listed', async () => {
    const { engine, policy } = testEngine();
    let read = 0;
    for (let sample = 0; sample < 50; sample++) {
      const words = Uint32Array.from({ length: 16_384 }, () => random.int(2 ** 32));
      const data = Buffer.from(words.buffer).toString('base64');
      const source = { type: 'base64', media_type: 'application/octet-stream', data };
      const { segments } = withContent([{ type: 'document', source }]);
      if (segments.some(({ path }) => path.endsWith('/data'))) read++;
      expect((await engine.inspect(segments, { policy, tool: null })).action).toBe('pass');
    }
    expect(read).toBeGreaterThan(0);
  });
});
