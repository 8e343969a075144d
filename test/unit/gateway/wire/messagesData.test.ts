import { describe, expect, it } from 'vitest';
import { readMessagesRequest } from '../../../../gateway/wire/messagesRequest.ts';
import type { ModelRequest } from '../../../../gateway/wire/request.ts';

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
});
