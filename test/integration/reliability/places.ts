/** Every place of a request where text may stand that a model reads, format by format. */
import { type Body, CHAT, COMPLETIONS, EMBEDDINGS, type InputSurface, MESSAGES, RESPONSES } from './surfaces.ts';

/** A body with this text in one place and nothing else to say. */
export type Place = (text: string) => Body;

const base64 = (text: string, encoding: BufferEncoding = 'utf8') => Buffer.from(text, encoding).toString('base64');
const percent = (text: string) => `data:text/plain,${encodeURIComponent(text)}`;
const dataUrl = (text: string, type = 'text/plain') => `data:${type};base64,${base64(text)}`;
const hi = { role: 'user', content: 'Hi' };
const turn = (...messages: readonly object[]) => ({ messages: [hi, ...messages] });
const user = (content: unknown, extra: object = {}) => turn({ role: 'user', content, ...extra });
const file = (members: object) => user([{ type: 'file', file: members }]);
const tool = (members: object) => ({ ...turn(), tools: [{ type: 'function', function: { name: 'f', ...members } }] });
const schema = (properties: object) => tool({ parameters: { type: 'object', properties } });

const chat: Record<string, Place> = {
  'the last user turn': (text) => user(text),
  'an earlier user turn': (text) => ({
    messages: [{ role: 'user', content: text }, { role: 'assistant', content: 'No.' }, hi],
  }),
  'a text part': (text) => user([{ type: 'text', text }]),
  'the second text part': (text) =>
    user([
      { type: 'text', text: 'Hi' },
      { type: 'text', text },
    ]),
  'a part that is a string': (text) => user(['Hi', text]),
  'an assistant prefill': (text) => turn({ role: 'assistant', content: text }),
  'a refusal of the assistant': (text) => turn({ role: 'assistant', content: null, refusal: text }),
  'the arguments of an earlier call': (text) =>
    turn({
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: JSON.stringify({ q: text }) } }],
    }),
  'the name of an earlier call': (text) =>
    turn({
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name: text, arguments: '{}' } }],
    }),
  'a tool result': (text) => turn({ role: 'tool', tool_call_id: 'c', content: text }),
  'a part of a tool result': (text) => turn({ role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text }] }),
  'a function result': (text) => turn({ role: 'function', name: 'f', content: text }),
  'a name': (text) => user('Hi', { name: text }),
  'a role nobody knows': (text) => turn({ role: 'ipython', content: text }),
  'the transcript of an audio': (text) =>
    turn({ role: 'assistant', content: null, audio: { id: 'a', transcript: text } }),
  'a tool description': (text) => tool({ description: text }),
  'a tool name': (text) => ({ ...turn(), tools: [{ type: 'function', function: { name: text } }] }),
  'a schema text': (text) => schema({ a: { type: 'string', description: text } }),
  'an enumeration of a schema': (text) => schema({ a: { enum: ['x', text] } }),
  'a default of a schema': (text) => schema({ a: { default: { deep: [text] } } }),
  'a property name of a schema': (text) => schema({ [text]: { type: 'string' } }),
  'a custom tool': (text) => ({ ...turn(), tools: [{ type: 'custom', custom: { name: 'f', description: text } }] }),
  'a grammar of a custom tool': (text) => ({
    ...turn(),
    tools: [
      {
        type: 'custom',
        custom: { name: 'f', format: { type: 'grammar', grammar: { syntax: 'lark', definition: text } } },
      },
    ],
  }),
  'an older function definition': (text) => ({ ...turn(), functions: [{ name: 'f', description: text }] }),
  'the schema of the answer': (text) => ({
    ...turn(),
    response_format: { type: 'json_schema', json_schema: { name: 'a', description: text, schema: {} } },
  }),
  'a prediction': (text) => ({ ...turn(), prediction: { type: 'content', content: text } }),
  'the place of a web search': (text) => ({
    ...turn(),
    web_search_options: { user_location: { approximate: { city: text } } },
  }),
  'an unknown part': (text) => user([{ type: 'hologram', caption: { deep: text } }]),
  'an unknown member': (text) => ({ ...turn(), future: { deep: [text] } }),
  'a file name': (text) => file({ file_id: 'f', filename: text }),
  'a file in base64': (text) => file({ file_data: dataUrl(text) }),
  'a file of Markdown': (text) => file({ file_data: dataUrl(text, 'text/markdown; charset=utf-8') }),
  'a file of JSON': (text) => file({ file_data: dataUrl(JSON.stringify({ note: text }), 'application/json') }),
  'a file with escaped characters': (text) => file({ file_data: percent(text) }),
  'a file in plain': (text) => file({ file_data: `data:,${text}` }),
  'a file in base64 with a stray byte': (text) =>
    file({ file_data: `data:text/plain;base64,${base64(`${text}\xff`, 'latin1')}` }),
  'a file in base64 with padding before the end': (text) =>
    file({ file_data: `data:text/plain;base64,${base64('Hi!')}=${base64(text)}` }),
  'a file in base64 with padding in between': (text) =>
    file({ file_data: `data:text/plain;base64,${base64(text).replace(/(..)(..)/g, '$1=$2')}` }),
  'a file in base64 of two': (text) => file({ file_data: `data:text/plain;base64,${base64('Hi')}${base64(text)}` }),
  'a file in base64 with blanks': (text) => file({ file_data: dataUrl(text).replace(/(.{40})/g, '$1\n') }),
  'a file of UTF-16': (text) =>
    file({ file_data: `data:text/plain;charset=utf-16le;base64,${base64(text, 'utf16le')}` }),
  'a file that is no data URL': (text) => file({ file_data: text }),
  'a file of no type': (text) => file({ file_data: dataUrl(text, 'application/octet-stream') }),
  'a file of a type nobody has listed': (text) => file({ file_data: dataUrl(text, 'application/toml') }),
  'a file behind a long head': (text) => file({ file_data: dataUrl(text, `text/plain;a=${'b'.repeat(400)}`) }),
  'a file behind a blank': (text) => file({ file_data: ` ${dataUrl(text)}` }),
  'an address of an image': (text) => user([{ type: 'image_url', image_url: { url: text } }]),
  'an image that is a text': (text) => user([{ type: 'image_url', image_url: { url: dataUrl(text) } }]),
};

const item = (...items: readonly object[]) => ({ input: [hi, ...items] });
const said = (content: unknown) => item({ role: 'user', content });
const out = (members: object) => item({ type: 'function_call_output', call_id: 'c', ...members });
const rtool = (members: object) => ({ ...item(), tools: [{ type: 'function', name: 'f', ...members }] });

const responses: Record<string, Place> = {
  'the input as a text': (text) => ({ input: text }),
  'an input item': (text) => said(text),
  'a text part': (text) => said([{ type: 'input_text', text }]),
  'the second text part': (text) =>
    said([
      { type: 'input_text', text: 'Hi' },
      { type: 'input_text', text },
    ]),
  'an earlier user turn': (text) => ({
    input: [{ role: 'user', content: text }, { role: 'assistant', content: 'No.' }, hi],
  }),
  'an assistant turn': (text) => item({ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }),
  'a refusal': (text) => item({ type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: text }] }),
  'a tool result': (text) => out({ output: text }),
  'a part of a tool result': (text) => out({ output: [{ type: 'input_text', text }] }),
  'a custom tool result': (text) => item({ type: 'custom_tool_call_output', call_id: 'c', output: text }),
  'a shell result': (text) =>
    item({
      type: 'shell_call_output',
      call_id: 'c',
      output: [{ stdout: text, stderr: '', outcome: { type: 'exit', exit_code: 0 } }],
    }),
  'an earlier call': (text) =>
    item({ type: 'function_call', call_id: 'c', name: 'f', arguments: JSON.stringify({ q: text }) }),
  'a call of a remote tool': (text) =>
    item({ type: 'mcp_call', id: 'm', name: 'f', server_label: 's', arguments: '{}', output: text }),
  'a reasoning summary': (text) => item({ type: 'reasoning', summary: [{ type: 'summary_text', text }] }),
  'results of a file search': (text) =>
    item({ type: 'file_search_call', id: 's', status: 'completed', queries: ['x'], results: [{ file_id: 'f', text }] }),
  'outputs of an interpreter': (text) =>
    item({
      type: 'code_interpreter_call',
      id: 'i',
      code: 'x',
      container_id: 'c',
      status: 'completed',
      outputs: [{ type: 'logs', logs: text }],
    }),
  'code of an interpreter': (text) =>
    item({
      type: 'code_interpreter_call',
      id: 'i',
      code: `# ${text}`,
      container_id: 'c',
      status: 'completed',
      outputs: [],
    }),
  'a tool description': (text) => rtool({ description: text }),
  'a property name of a schema': (text) => rtool({ parameters: { properties: { [text]: {} } } }),
  'a schema text': (text) => rtool({ parameters: { properties: { a: { description: text } } } }),
  'a label of a tool server': (text) => ({
    ...item(),
    tools: [{ type: 'mcp', server_label: 's', server_url: 'https://example.test', server_description: text }],
  }),
  'a list of remote tools': (text) =>
    item({
      type: 'mcp_list_tools',
      id: 'm',
      server_label: 's',
      tools: [{ name: 'f', description: text, input_schema: {} }],
    }),
  'the schema of the answer': (text) => ({
    ...item(),
    text: { format: { type: 'json_schema', name: 'a', description: text, schema: {} } },
  }),
  'a variable of a stored prompt': (text) => ({ prompt: { id: 'p', variables: { city: text } } }),
  'a variable that is a part': (text) => ({ prompt: { id: 'p', variables: { city: { type: 'input_text', text } } } }),
  'a user among the instructions': (text) => ({ ...item(), instructions: [{ role: 'user', content: text }] }),
  'an unknown item': (text) => item({ type: 'hologram', caption: { deep: text } }),
  'an unknown part': (text) => said([{ type: 'hologram', caption: text }]),
  'an unknown member': (text) => ({ ...item(), future: { deep: [text] } }),
  'a file name': (text) => said([{ type: 'input_file', file_id: 'f', filename: text }]),
  'a file in base64': (text) => said([{ type: 'input_file', filename: 'a.txt', file_data: dataUrl(text) }]),
  'a file with escaped characters': (text) =>
    said([{ type: 'input_file', filename: 'a.txt', file_data: percent(text) }]),
  'a file with a stray byte': (text) =>
    said([{ type: 'input_file', file_data: `data:text/plain;base64,${base64(`${text}\xff`, 'latin1')}` }]),
  'a file of a tool result': (text) => out({ output: [{ type: 'input_file', file_data: dataUrl(text) }] }),
  'a file that is no data URL': (text) => said([{ type: 'input_file', filename: 'a.txt', file_data: text }]),
  'a file of no type': (text) => said([{ type: 'input_file', file_data: dataUrl(text, 'application/octet-stream') }]),
  'an image that is a text': (text) => said([{ type: 'input_image', image_url: dataUrl(text) }]),
};

const source = (members: object, rest: object = {}) => user([{ type: 'document', source: members, ...rest }]);
const result = (content: unknown) => user([{ type: 'tool_result', tool_use_id: 't', content }]);

const messages: Record<string, Place> = {
  'the last user turn': (text) => user(text),
  'an earlier user turn': (text) => ({
    messages: [{ role: 'user', content: text }, { role: 'assistant', content: 'No.' }, hi],
  }),
  'a text block': (text) => user([{ type: 'text', text }]),
  'the second text block': (text) =>
    user([
      { type: 'text', text: 'Hi' },
      { type: 'text', text },
    ]),
  'an assistant prefill': (text) => turn({ role: 'assistant', content: text }),
  'a thought of the assistant': (text) =>
    turn({ role: 'assistant', content: [{ type: 'thinking', thinking: text, signature: 'x' }] }),
  'the input of an earlier call': (text) =>
    turn({ role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: { q: [text] } }] }),
  'a tool result': (text) => result(text),
  'a block of a tool result': (text) => result([{ type: 'text', text }]),
  'a document of a tool result': (text) =>
    result([{ type: 'document', source: { type: 'text', media_type: 'text/plain', data: text } }]),
  'a search result in a tool result': (text) =>
    result([{ type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text }] }]),
  'a search result': (text) =>
    user([{ type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text }] }]),
  'the title of a search result': (text) => user([{ type: 'search_result', source: 's', title: text, content: [] }]),
  'the source of a search result': (text) => user([{ type: 'search_result', source: text, title: 't', content: [] }]),
  'a document': (text) => source({ type: 'text', media_type: 'text/plain', data: text }),
  'a document in blocks': (text) => source({ type: 'content', content: [{ type: 'text', text }] }),
  'a document in base64': (text) => source({ type: 'base64', media_type: 'text/plain', data: base64(text) }),
  'a document in base64 with a stray byte': (text) =>
    source({ type: 'base64', media_type: 'text/plain', data: base64(`${text}\xff`, 'latin1') }),
  'a document in base64 of a type nobody has listed': (text) =>
    source({ type: 'base64', media_type: 'application/toml', data: base64(text) }),
  'a document in plain that says base64': (text) =>
    source({ type: 'base64', media_type: 'application/pdf', data: text }),
  'a document of a type that is none': (text) => source({ type: 'base64', media_type: '?', data: base64(text) }),
  'the title of a document': (text) => source({ type: 'file', file_id: 'f' }, { title: text }),
  'the context of a document': (text) => source({ type: 'file', file_id: 'f' }, { context: text }),
  'a result of a web search': (text) =>
    turn({
      role: 'assistant',
      content: [
        {
          type: 'web_search_tool_result',
          tool_use_id: 's',
          content: [{ type: 'web_search_result', url: 'https://example.test', title: text, encrypted_content: 'x' }],
        },
      ],
    }),
  'output of a shell': (text) =>
    turn({
      role: 'assistant',
      content: [
        {
          type: 'bash_code_execution_tool_result',
          tool_use_id: 's',
          content: { type: 'bash_code_execution_result', stdout: text, stderr: '', return_code: 0, content: [] },
        },
      ],
    }),
  'a tool description': (text) => ({ ...turn(), tools: [{ name: 'f', description: text, input_schema: {} }] }),
  'a schema text': (text) => ({
    ...turn(),
    tools: [{ name: 'f', input_schema: { properties: { a: { description: text } } } }],
  }),
  'a property name of a schema': (text) => ({
    ...turn(),
    tools: [{ name: 'f', input_schema: { properties: { [text]: {} } } }],
  }),
  'an unknown block': (text) => user([{ type: 'hologram', caption: { deep: text } }]),
  'an unknown member': (text) => ({ ...turn(), future: { deep: [text] } }),
  'an unknown member of a message': (text) => user('Hi', { thoughts: [text] }),
  'an unknown source': (text) => source({ type: 'hologram', data: { deep: text } }),
};

const completions: Record<string, Place> = {
  'the prompt': (text) => ({ prompt: text }),
  'a prompt of several': (text) => ({ prompt: ['Hi', text] }),
  'a prompt beside token numbers': (text) => ({ prompt: [[1, 2, 3], text] }),
  'the suffix': (text) => ({ prompt: 'Hi', suffix: text }),
  'an unknown member': (text) => ({ prompt: 'Hi', future: { deep: [text] } }),
};

const embeddings: Record<string, Place> = {
  'the input': (text) => ({ input: text }),
  'an input of several': (text) => ({ input: ['Hi', text] }),
  'an input beside token numbers': (text) => ({ input: [[1, 2, 3], text] }),
  'a part': (text) => ({ input: [{ type: 'text', text }] }),
  'an unknown member': (text) => ({ input: 'Hi', instruction: text }),
};

/** Members of the format that every body needs. */
const NEEDED: Readonly<Record<string, Body>> = { messages: { max_tokens: 100 } };

export const PLACES: readonly (readonly [InputSurface, Readonly<Record<string, Place>>])[] = [
  [CHAT, chat],
  [RESPONSES, responses],
  [MESSAGES, messages],
  [COMPLETIONS, completions],
  [EMBEDDINGS, embeddings],
];

/** A body with this text in that place. */
export function bodyOf(on: InputSurface, place: Place, text: string): Body {
  return { model: 'mock-model', ...NEEDED[on.name], ...place(text) };
}

/** A text in two pieces that a model reads one after the other. */
export const HALVES: readonly (readonly [string, InputSurface, (first: string, second: string) => Body])[] = [
  [
    'two parts',
    CHAT,
    (a, b) =>
      user([
        { type: 'text', text: a },
        { type: 'text', text: b },
      ]),
  ],
  [
    'two messages',
    CHAT,
    (a, b) => ({
      messages: [
        { role: 'user', content: a },
        { role: 'user', content: b },
      ],
    }),
  ],
  [
    'two parts with an image between',
    CHAT,
    (a, b) =>
      user([
        { type: 'text', text: a },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
        { type: 'text', text: b },
      ]),
  ],
  [
    'two parts',
    RESPONSES,
    (a, b) =>
      said([
        { type: 'input_text', text: a },
        { type: 'input_text', text: b },
      ]),
  ],
  ['two items', RESPONSES, (a, b) => item({ role: 'user', content: a }, { role: 'user', content: b })],
  [
    'two results',
    RESPONSES,
    (a, b) =>
      item(
        { type: 'function_call_output', call_id: 'c', output: a },
        { type: 'function_call_output', call_id: 'd', output: b },
      ),
  ],
  [
    'two blocks',
    MESSAGES,
    (a, b) =>
      user([
        { type: 'text', text: a },
        { type: 'text', text: b },
      ]),
  ],
  [
    'two blocks of a result',
    MESSAGES,
    (a, b) =>
      result([
        { type: 'text', text: a },
        { type: 'text', text: b },
      ]),
  ],
  [
    'two blocks of a document',
    MESSAGES,
    (a, b) =>
      source({
        type: 'content',
        content: [
          { type: 'text', text: a },
          { type: 'text', text: b },
        ],
      }),
  ],
];
