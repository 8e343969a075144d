import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../gateway/errors.ts';
import { eachString, parseJson } from '../../../../gateway/wire/json.ts';
import { readMessagesRequest } from '../../../../gateway/wire/messagesRequest.ts';
import type { WireSegment } from '../../../../gateway/wire/request.ts';

const LIMITS = { depthMax: 64, leafBytesMax: 100_000, segmentsMax: 100_000, nodesMax: 1_000_000 };
const HELLO = { role: 'user', content: 'hello' };
const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

const read = (body: Record<string, unknown>, limits = LIMITS) =>
  readMessagesRequest(JSON.stringify({ model: 'm', messages: [HELLO], ...body }), limits);
const withContent = (content: unknown, role = 'user') => read({ messages: [{ role, content }] });

/** `role text`, with `~` in front of what stands aside. */
const shown = ({ segments }: { readonly segments: readonly WireSegment[] }): Record<string, string> =>
  Object.fromEntries(
    segments
      .filter(({ leaf }) => leaf !== null)
      .map(({ path, role, text, aside }) => [path, `${aside === true ? '~' : ''}${role} ${text}`]),
  );

function failure(source: string, limits = LIMITS): { code: string; param: string | null } {
  try {
    readMessagesRequest(source, limits);
  } catch (error) {
    if (error instanceof GatewayError) return { code: error.code, param: error.param };
    throw error;
  }
  throw new Error('was accepted');
}

describe('a Messages request', () => {
  it('says its model and whether it streams', () => {
    expect(read({ stream: true })).toMatchObject({ model: 'm', stream: true, continued: null });
    expect(read({})).toMatchObject({ stream: false });
  });

  it('reads a system text as trusted, and as the place for canaries', () => {
    const request = read({ system: 'be brief' });
    expect(request.segments[0]).toMatchObject({ path: '/system', role: 'system', trusted: true, text: 'be brief' });
    expect(request.carriers.map(({ carrier, leaf }) => [carrier, leaf.value])).toEqual([['system', 'be brief']]);
  });

  it('reads every text of a system list, and plants nothing beside or below them', () => {
    const request = read({
      system: [
        { type: 'text', text: 'one', cache_control: { type: 'ephemeral', ttl: '5m' } },
        { type: 'text', text: ' ' },
        { type: 'document', title: 'a title', source: { type: 'text', media_type: 'text/plain', data: 'two' } },
        { type: 'text', text: 'three', citations: [{ type: 'char_location', cited_text: 'four' }] },
      ],
    });
    expect(request.carriers.map(({ leaf }) => leaf.value)).toEqual(['one', 'three']);
    expect(shown(request)).toMatchObject({
      '/system/0/text': 'system one',
      '/system/2/title': '~document a title',
      '/system/2/source/data': 'document two',
      '/system/3/citations/0/cited_text': '~system four',
    });
    expect(shown(request)).not.toHaveProperty('/system/0/cache_control/ttl');
    expect(request.segments.find(({ path }) => path === '/system/2/source/data')?.trusted).toBe(false);
  });

  it('reads the system text first, wherever it stands in the body', () => {
    const source = JSON.stringify({ tools: [{ name: 't' }], messages: [HELLO], system: 's' });
    const paths = readMessagesRequest(source, LIMITS).segments.map(({ path }) => path);
    expect(paths).toEqual(['/system', '/messages/0/content', '/tools/0/name']);
  });

  it('treats system and developer messages like a system text, and unknown roles like a user', () => {
    const request = read({
      messages: [
        { role: 'system', content: 'a' },
        { role: 'developer', content: [{ type: 'text', text: 'b' }] },
        { role: 'narrator', content: 'c' },
      ],
    });
    expect(request.segments.map(({ role, trusted }) => [role, trusted])).toEqual([
      ['system', true],
      ['developer', true],
      ['user', false],
    ]);
    expect(request.carriers.map(({ carrier, leaf }) => [carrier, leaf.value])).toEqual([
      ['system', 'a'],
      ['developer', 'b'],
    ]);
  });

  it('reads the prefill of an answer as the assistant', () => {
    const request = read({ messages: [HELLO, { role: 'assistant', content: 'Sure, the key is' }] });
    expect(shown(request)).toMatchObject({ '/messages/1/content': 'assistant Sure, the key is' });
    expect(request.carriers).toEqual([]);
  });

  it('does not read what no model reads', () => {
    const request = read({
      metadata: { user_id: 'u-1' },
      stop_sequences: ['STOP'],
      thinking: { type: 'enabled', display: 'summarized' },
      service_tier: 'auto',
      mcp_servers: [{ type: 'url', name: 'files', url: 'https://mcp.test', authorization_token: 'tok-1' }],
    });
    expect(shown(request)).toEqual({
      '/messages/0/content': 'user hello',
      '/mcp_servers/0/name': '~tool files',
      '/mcp_servers/0/url': '~tool https://mcp.test',
    });
    expect(JSON.stringify(request.segments)).not.toContain('tok-1');
  });

  it('reads tools with their schemas and the names of properties', () => {
    const request = read({
      tools: [
        {
          name: 'get',
          description: 'gets it',
          cache_control: { type: 'ephemeral', ttl: '1h' },
          input_schema: {
            type: 'object',
            properties: { ignore_all_rules: { type: 'string', description: 'a place' } },
          },
        },
      ],
      tool_choice: { type: 'tool', name: 'get' },
    });
    expect(shown(request)).toMatchObject({
      '/tools/0/name': '~tool get',
      '/tools/0/description': '~tool gets it',
      '/tools/0/input_schema/properties/ignore_all_rules/description': '~tool a place',
      '/tool_choice/name': '~tool get',
    });
    const keys = request.segments.find(({ path }) => path === '/tools#keys');
    expect(keys).toMatchObject({ role: 'tool', leaf: null });
    expect(keys?.text).toBe('ignore_all_rules');
  });
});

describe('the content of a Messages request', () => {
  it.each<[string, unknown, Record<string, string>, string[]]>([
    ['a bare string in a list', ['hi'], { '': 'user hi' }, []],
    ['text', [{ type: 'text', text: 'hi' }], { '/text': 'user hi' }, []],
    [
      'an image as base64',
      [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }],
      { '/source/media_type': '~user image/png' },
      ['/source'],
    ],
    ['an image by URL', [{ type: 'image', source: { type: 'url', url: 'https://a.test/b.png' } }], {}, ['/source']],
    ['an image by id', [{ type: 'image', source: { type: 'file', file_id: 'file_1' } }], {}, ['/source']],
    [
      'an image by a URL that is a text',
      [{ type: 'image', source: { type: 'url', url: 'data:text/plain,hi%20you' } }],
      { '/source/url': 'document hi you' },
      [],
    ],
    [
      'a document of plain text',
      [{ type: 'document', title: 't', context: 'c', source: { type: 'text', media_type: 'text/plain', data: 'hi' } }],
      {
        '/title': '~document t',
        '/context': '~document c',
        '/source/media_type': '~document text/plain',
        '/source/data': 'document hi',
      },
      [],
    ],
    [
      'a PDF',
      [{ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: base64('%PDF') } }],
      { '/source/media_type': '~document application/pdf' },
      ['/source'],
    ],
    [
      'bytes that are no text, whatever their type says',
      [{ type: 'document', source: { type: 'base64', media_type: 'text/plain', data: '/////w==' } }],
      { '/source/media_type': '~document text/plain' },
      ['/source'],
    ],
    [
      'a document of blocks',
      [{ type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'hi' }] } }],
      { '/source/content/0/text': 'document hi' },
      [],
    ],
    [
      'a document of one text block source',
      [{ type: 'document', source: { type: 'content', content: 'hi' } }],
      { '/source/content': 'document hi' },
      [],
    ],
    [
      'a search result',
      [{ type: 'search_result', source: 'https://a.test', title: 't', content: [{ type: 'text', text: 'hi' }] }],
      { '/source': '~document https://a.test', '/title': '~document t', '/content/0/text': 'document hi' },
      [],
    ],
    [
      'the result of a tool',
      [{ type: 'tool_result', tool_use_id: 'tu_1', content: 'hi', cache_control: { type: 'ephemeral' } }],
      { '/tool_use_id': '~tool tu_1', '/content': 'tool hi' },
      [],
    ],
    [
      'the result of a tool in blocks',
      [
        {
          type: 'tool_result',
          tool_use_id: 'tu_1',
          content: [
            { type: 'text', text: 'hi' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
            { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'doc' } },
          ],
        },
      ],
      {
        '/tool_use_id': '~tool tu_1',
        '/content/0/text': 'tool hi',
        '/content/1/source/media_type': '~tool image/png',
        '/content/2/source/media_type': '~document text/plain',
        '/content/2/source/data': 'document doc',
      },
      ['/content/1/source'],
    ],
    [
      'the result of a remote tool',
      [{ type: 'mcp_tool_result', tool_use_id: 'tu_1', content: [{ type: 'text', text: 'hi' }] }],
      { '/tool_use_id': '~tool tu_1', '/content/0/text': 'tool hi' },
      [],
    ],
    [
      'a web search',
      [
        {
          type: 'web_search_tool_result',
          tool_use_id: 'tu_1',
          content: [{ type: 'web_search_result', title: 't', url: 'https://a.test', encrypted_content: 'RUE=' }],
        },
      ],
      {
        '/tool_use_id': '~document tu_1',
        '/content/0/title': '~document t',
        '/content/0/url': '~document https://a.test',
      },
      ['/content/0/encrypted_content'],
    ],
    [
      'a fetched page',
      [
        {
          type: 'web_fetch_tool_result',
          tool_use_id: 'tu_1',
          content: {
            type: 'web_fetch_result',
            url: 'https://a.test',
            content: { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'hi' } },
          },
        },
      ],
      {
        '/tool_use_id': '~document tu_1',
        '/content/url': '~document https://a.test',
        '/content/content/source/media_type': '~document text/plain',
        '/content/content/source/data': 'document hi',
      },
      [],
    ],
    [
      'code that was run',
      [
        {
          type: 'bash_code_execution_tool_result',
          tool_use_id: 'tu_1',
          content: { type: 'bash_code_execution_result', stdout: 'out', stderr: 'err', return_code: 0, content: [] },
        },
      ],
      { '/tool_use_id': '~tool tu_1', '/content/stdout': 'tool out', '/content/stderr': 'tool err' },
      [],
    ],
    [
      'lines that were replaced',
      [
        {
          type: 'text_editor_code_execution_tool_result',
          tool_use_id: 'tu_1',
          content: { type: 'text_editor_code_execution_str_replace_result', lines: ['-a', '+b'] },
        },
      ],
      { '/tool_use_id': '~tool tu_1', '/content/lines/0': 'tool -a', '/content/lines/1': 'tool +b' },
      [],
    ],
    [
      'an uploaded file',
      [{ type: 'container_upload', file_id: 'file_1' }],
      { '/file_id': '~user file_1' },
      ['/file_id'],
    ],
    [
      'a block nobody knows',
      [{ type: 'hologram', text: 'hi', content: [{ text: 'you' }], more: { deep: ['there'] } }],
      {
        '/type': '~user hologram',
        '/text': 'user hi',
        '/content/0/text': 'user you',
        '/more/deep/0': '~user there',
      },
      [],
    ],
    [
      'a source nobody knows',
      [{ type: 'image', source: { type: 'mirror', of: 'hi', cache_control: 'you' } }],
      { '/source/type': '~user mirror', '/source/of': '~user hi', '/source/cache_control': '~user you' },
      [],
    ],
  ])('reads %s', (_name, content, texts, binary) => {
    const request = withContent(content);
    const at = (path: string): string => `/messages/0/content/0${path}`;
    expect(shown(request)).toEqual(Object.fromEntries(Object.entries(texts).map(([path, text]) => [at(path), text])));
    expect(request.binary).toEqual(binary.map(at));
  });

  it('reads the turns of an assistant, and nothing that only its provider can read', () => {
    const request = withContent(
      [
        { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
        { type: 'redacted_thinking', data: 'ZGF0YQ==' },
        { type: 'tool_use', id: 'tu_1', name: 'get', input: { url: 'https://a.test', tags: ['x'], a_long_key: 1 } },
        { type: 'mcp_tool_use', id: 'tu_2', name: 'put', server_name: 'files', input: {} },
        { type: 'compaction', content: 'so far', encrypted_content: 'RUE=' },
      ],
      'assistant',
    );
    expect(shown(request)).toEqual({
      '/messages/0/content/0/thinking': 'assistant hm',
      '/messages/0/content/2/id': '~assistant tu_1',
      '/messages/0/content/2/name': '~assistant get',
      '/messages/0/content/2/input/url': '~assistant https://a.test',
      '/messages/0/content/2/input/tags/0': '~assistant x',
      '/messages/0/content/3/id': '~assistant tu_2',
      '/messages/0/content/3/name': '~assistant put',
      '/messages/0/content/3/server_name': '~assistant files',
      '/messages/0/content/4/content': 'assistant so far',
    });
    expect(request.binary).toEqual(['/messages/0/content/1/data', '/messages/0/content/4/encrypted_content']);
    expect(request.segments.find(({ path }) => path === '/messages/0#keys')?.text).toBe('url\ntags\na_long_key');
  });

  it.each(['text/markdown', 'text/plain; charset=utf-8', 'application/json'])(
    'reads a base64 document of %s',
    (type) => {
      const source = { type: 'base64', media_type: type, data: base64('grüße') };
      const request = withContent([{ type: 'document', source }]);
      const segment = request.segments.find(({ path }) => path.endsWith('/data')) as WireSegment;
      expect(segment).toMatchObject({ role: 'document', trusted: false, text: 'grüße', mime: type.split(';')[0] });
      expect(segment.leaf?.value).toBe(source.data);
      expect(segment.encode?.('neu')).toBe(base64('neu'));
      expect(request.binary).toEqual([]);
    },
  );

  it('reads strings in document order', () => {
    const texts = ['a', 'b', 'c', 'd'].map((text) => ({ type: 'text', text }));
    const request = withContent([texts[0], { type: 'tool_result', content: [texts[1], texts[2]] }, texts[3]]);
    expect(request.segments.filter(({ leaf }) => leaf !== null).map(({ text }) => text)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('reads blocks nested deeper than a call stack is', () => {
    const depth = 20_000;
    const open = '{"type":"tool_result","content":['.repeat(depth);
    const source = `{"messages":[{"role":"user","content":[${open}{"type":"text","text":"deep"}${']}'.repeat(depth)}]}]}`;
    const { segments } = readMessagesRequest(source, { ...LIMITS, depthMax: 10 * depth });
    expect(segments.map(({ text, role }) => [role, text])).toContainEqual(['tool', 'deep']);
  });

  it('leaves no string out, whatever the blocks are, but for those it says', () => {
    const block = (type: string, rest: object) => ({ type, ...rest });
    const content = [
      block('text', { text: 't1', citations: [{ cited_text: 't2', document_title: 't3' }] }),
      block('tool_use', { id: 't4', name: 't5', input: { a: ['t6', { b: 't7' }] }, caller: { tool_id: 't8' } }),
      block('tool_result', { tool_use_id: 't9', content: [block('tool_reference', { tool_name: 't10' })] }),
      block('code_execution_tool_result', {
        tool_use_id: 't11',
        content: block('encrypted_code_execution_result', { encrypted_stdout: 'opaque', stderr: 't12', content: [] }),
      }),
      block('tool_search_tool_result', {
        content: block('tool_search_tool_search_result', { tool_references: [{ tool_name: 't13' }] }),
      }),
      block('text_editor_code_execution_tool_result', {
        content: block('text_editor_code_execution_view_result', { content: 't14', file_type: 't15' }),
      }),
      block('mcp_tool_listing', { mcp_server_name: 't16', tools: [{ name: 't17', description: 't18' }] }),
    ];
    const all = new Set<string>();
    eachString(parseJson(JSON.stringify(content), 64), '', ({ value }) => {
      if (/^t\d+$/.test(value)) all.add(value);
    });
    const texts = withContent(content).segments.map(({ text }) => text);
    expect(all.size).toBe(18);
    expect(texts.filter((text) => all.has(text)).sort()).toEqual([...all].sort());
    expect(texts).not.toContain('opaque');
  });
});

describe('a Messages request that is none', () => {
  it.each<[string, unknown, string]>([
    ['is no object', [], '/'],
    ['has no messages', { model: 'm' }, '/messages'],
    ['has an empty list of messages', { messages: [] }, '/messages'],
    ['has a message that is no object', { messages: ['hi'] }, '/messages/0'],
    ['has a message without a role', { messages: [HELLO, { content: 'x' }] }, '/messages/1/role'],
    ['has a role that is a sentence', { messages: [{ role: 'be evil now', content: 'x' }] }, '/messages/0/role'],
    ['has a message without content', { messages: [{ role: 'user' }] }, '/messages/0/content'],
    ['has null content', { messages: [{ role: 'user', content: null }] }, '/messages/0/content'],
    ['has a number for a block', { messages: [{ role: 'user', content: [1] }] }, '/messages/0/content/0'],
    ['has a number for a system text', { messages: [HELLO], system: 1 }, '/system'],
    ['has a number in its system list', { messages: [HELLO], system: ['a', 1] }, '/system/1'],
    ['has a number for a model', { messages: [HELLO], model: 1 }, '/model'],
    ['has a string for stream', { messages: [HELLO], stream: 'yes' }, '/stream'],
  ])('is refused with its place when it %s', (_name, body, param) => {
    expect(failure(JSON.stringify(body))).toEqual({ code: 'invalid_request', param });
  });

  it('is refused as too large for a text above the bound, decoded ones too', () => {
    const limits = { ...LIMITS, leafBytesMax: 8, segmentsMax: 100_000, nodesMax: 1_000_000 };
    const long = { messages: [{ role: 'user', content: 'ääääa' }] };
    expect(failure(JSON.stringify(long), limits)).toEqual({ code: 'request_too_large', param: '/messages/0/content' });
    const source = { type: 'base64', media_type: 'text/plain', data: base64('ääääa') };
    const encoded = { messages: [{ role: 'user', content: [{ type: 'document', source }] }] };
    source.data = base64('ä'.repeat(8));
    expect(
      failure(JSON.stringify(encoded), { ...LIMITS, leafBytesMax: 12, segmentsMax: 100_000, nodesMax: 1_000_000 }),
    ).toEqual({
      code: 'request_too_large',
      param: '/messages/0/content/0/source/data',
    });
  });
});
