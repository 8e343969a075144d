import { describe, expect, it } from 'vitest';
import { responsesDialect } from '../../../../gateway/stream/responsesDialect.ts';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { eachString, type JsonNode } from '../../../../gateway/wire/json.ts';
import { type Random, seeded } from '../../../helpers/random.ts';
import { CALL, type EventType, event, events, MESSAGE, parse } from './responsesEvents.ts';

const readOrNull = (event: unknown): AnswerPart | null => responsesDialect.read(parse(event));
const read = (event: unknown): AnswerPart => {
  const part = readOrNull(event);
  if (part === null) throw new Error('expected an event');
  return part;
};
const pieces = (part: AnswerPart): [string, string, string, boolean][] =>
  part.pieces.map(({ channel, kind, leaf, whole }) => [channel, kind, leaf.value, whole === true]);

/** Every string of the event but its own type, in order of their texts. */
function strings(root: JsonNode): string[] {
  const found: string[] = [];
  eachString(root, '', (leaf, path) => {
    if (path !== '/type') found.push(leaf.value);
  });
  return found.sort();
}

function covered(part: AnswerPart): string[] {
  return [
    ...part.pieces.map(({ leaf }) => leaf.value),
    ...part.leaves.filter(({ name }) => !/^keys? /.test(name)).map(({ text }) => text),
    ...part.echoes.map(({ value }) => value),
  ].sort();
}

describe('every event', () => {
  it.each(events)('%s has each of its strings read exactly once', (_type, body) => {
    const root = parse(body);
    expect(covered(read(body))).toEqual(strings(root));
  });

  it.each(events)('%s has each of its strings read when none is what it seems', (_type, body) => {
    const swapped = Object.fromEntries(
      Object.entries(body).map(([key, value]) => [key, key === 'type' ? value : [{ odd: 'x', was: value }]]),
    );
    expect(covered(read(swapped))).toEqual(strings(parse(swapped)));
  });

  it('of a type nobody knows is read, its type and its deltas included', () => {
    const part = read({
      type: 'response.new_thing.delta',
      output_index: 2,
      content_index: 1,
      delta: 'abc',
      other: ['d'],
    });
    expect(pieces(part)).toEqual([['2/new_thing/1/0', 'text', 'abc', false]]);
    expect(part.leaves.map(({ text }) => text)).toEqual(expect.arrayContaining(['response.new_thing.delta', 'd']));
    expect(read({ type: 'keepalive' })).toMatchObject({ pieces: [], isError: false, ends: false });
  });

  it.each([
    ['a list', []],
    ['an event of another provider', { type: 'message_start', message: {} }],
    ['a chat chunk', { object: 'chat.completion.chunk', choices: [] }],
    ['an event without a type', { output_index: 0, delta: 'x' }],
  ])('is not %s', (_name, body) => {
    expect(readOrNull(body)).toBeNull();
  });
});

describe('deltas', () => {
  it.each<[EventType, string, string]>([
    ['response.output_text.delta', '0/content/0/text', 'text'],
    ['response.refusal.delta', '0/content/0/refusal', 'text'],
    ['response.reasoning_text.delta', '0/reasoning/0/text', 'text'],
    ['response.reasoning_summary_text.delta', '0/summary/0/text', 'text'],
    ['response.function_call_arguments.delta', '0/arguments', 'tool'],
    ['response.mcp_call_arguments.delta', '0/arguments', 'tool'],
    ['response.custom_tool_call_input.delta', '0/input', 'tool'],
    ['response.code_interpreter_call_code.delta', '0/code', 'tool'],
    ['response.audio.transcript.delta', '0/transcript', 'text'],
  ])('%s goes on in %s', (type, channel, kind) => {
    const [piece] = read(event(type)).pieces;
    expect(piece).toMatchObject({ group: 0, channel, kind });
    expect(piece?.whole).toBeUndefined();
  });

  it('keep items and parts apart', () => {
    const [piece] = read(event('response.output_text.delta', { output_index: 3, content_index: 2 })).pieces;
    expect(piece).toMatchObject({ group: 3, channel: '3/content/2/text' });
  });

  it('carry their tokens beside the text, and name them as what goes when it is rewritten', () => {
    const part = read(event('response.output_text.delta'));
    expect(pieces(part)).toEqual([
      ['0/content/0/text', 'text', 'Hi', false],
      ['0/content/0/logprobs', 'meta', 'Hi', false],
    ]);
    expect(part.groups).toMatchObject([{ index: 0, finished: false, toolCalls: [], logprobs: { kind: 'array' } }]);
    expect(part.closes).toEqual([]);
    expect(read(event('response.output_text.delta', { logprobs: [] })).groups[0]?.logprobs).toBeNull();
  });

  it('go on with what an added part or item begins', () => {
    const part = read(event('response.content_part.added', { part: { type: 'output_text', text: 'Be' } }));
    expect(pieces(part)).toEqual([['0/content/0/text', 'text', 'Be', false]]);
    const item = read(event('response.output_item.added', { item: { ...CALL, arguments: '{"' } }));
    expect(pieces(item)).toEqual([
      ['0/name', 'tool', 'send', true],
      ['0/arguments', 'tool', '{"', false],
    ]);
  });

  it('of audio are data', () => {
    expect(read(event('response.audio.delta')).pieces).toEqual([]);
  });
});

describe('copies', () => {
  it.each<[EventType, [string, string, string, boolean][], string[]]>([
    [
      'response.output_text.done',
      [
        ['0/done/content/0/text', 'text', 'Hi', true],
        ['0/done/content/0/logprobs', 'meta', 'Hi', false],
      ],
      ['0/done/content/0/logprobs', '0/content/0/text'],
    ],
    ['response.refusal.done', [['0/done/content/0/refusal', 'text', 'No', true]], ['0/content/0/refusal']],
    ['response.reasoning_text.done', [['0/done/reasoning/0/text', 'text', 'long', true]], ['0/reasoning/0/text']],
    ['response.custom_tool_call_input.done', [['0/done/input', 'tool', 'select', true]], ['0/input']],
    ['response.code_interpreter_call_code.done', [['0/done/code', 'tool', 'print(1)', true]], ['0/code']],
    [
      'response.function_call_arguments.done',
      [
        ['0/done/name', 'tool', 'send', true],
        ['0/done/arguments', 'tool', '{"to":"a"}', true],
      ],
      ['0/arguments'],
    ],
    [
      'response.reasoning_summary_part.done',
      [['0/part/summary/0/text', 'text', 'brief', true]],
      ['0/summary/0/text', '0/summary/0/refusal', '0/summary/0/logprobs'],
    ],
    [
      'response.content_part.done',
      [
        ['0/part/content/0/text', 'text', 'Hi', true],
        ['0/part/content/0/annotations/title', 'text', 't', true],
        ['0/part/content/0/logprobs', 'meta', 'Hi', false],
      ],
      ['0/part/content/0/logprobs', '0/content/0/text', '0/content/0/refusal', '0/content/0/logprobs'],
    ],
    [
      'response.output_item.done',
      [
        ['0/item/name', 'tool', 'send', true],
        ['0/item/arguments', 'tool', '{"to":"a"}', true],
      ],
      [],
    ],
    [
      'response.completed',
      [
        ['final/0/content/0/text', 'text', 'Hi', true],
        ['final/0/content/0/annotations/title', 'text', 't', true],
        ['final/1/name', 'tool', 'send', true],
        ['final/1/arguments', 'tool', '{"to":"a"}', true],
      ],
      [],
    ],
  ])('%s has channels of its own and closes what it repeats', (type, expected, closes) => {
    const part = read(event(type));
    expect(pieces(part)).toEqual(expected);
    expect(part.closes).toEqual(closes);
  });

  it('of the response are whole, echo the instructions, and end the stream only when it is over', () => {
    for (const [type] of events) {
      const ends = ['response.completed', 'response.incomplete', 'response.failed'].includes(type);
      expect([type, read(event(type as EventType)).ends]).toEqual([type, ends]);
    }
    const part = read(event('response.created'));
    expect(part.echoes.map(({ value }) => value)).toEqual(['planted']);
    expect(part.leaves.map(({ text }) => text)).not.toContain('planted');
    expect(read(event('response.completed')).usage).toEqual({ inputTokens: 1, outputTokens: 2 });
  });

  it('name the same thing alike, so that repeats cost nothing', () => {
    const name = (part: AnswerPart, text: string): string | undefined =>
      part.leaves.find((leaf) => leaf.text === text)?.name;
    expect(name(read(event('response.output_text.delta')), 'msg_1')).toBe('/output/0/id');
    expect(name(read(event('response.completed')), 'msg_1')).toBe('/output/0/id');
    expect(name(read(event('response.created')), 'gpt-x')).toBe(name(read(event('response.completed')), 'gpt-x'));
  });
});

describe('tool calls', () => {
  /** What a client has of each call at the end. */
  function written(all: object[]): Map<string, { name: string | null; args: string }> {
    const calls = new Map<string, { name: string | null; args: string }>();
    for (const { key, name, arguments: args } of all.flatMap((one) => read(one).calls)) {
      const known = calls.get(key) ?? { name: null, args: '' };
      calls.set(key, { name: name ?? known.name, args: known.args + (args ?? '') });
    }
    return calls;
  }

  it('are held under one key from the first event to the done item, which finishes the group', () => {
    const held = (type: EventType, changes: object = {}) => read(event(type, changes)).groups;
    const open = { index: 0, finished: false, toolCalls: ['0'] };
    expect(held('response.output_item.added')).toMatchObject([open]);
    expect(held('response.function_call_arguments.delta')).toMatchObject([open]);
    expect(held('response.function_call_arguments.done')).toMatchObject([open]);
    expect(held('response.output_item.done')).toMatchObject([{ index: 0, finished: true, toolCalls: ['0'] }]);
    expect(held('response.output_item.done', { item: MESSAGE })).toMatchObject([{ finished: true, toolCalls: [] }]);
    expect(held('response.code_interpreter_call_code.delta')).toMatchObject([{ finished: false, toolCalls: [] }]);
  });

  it('are told as written in deltas and again in every complete copy', () => {
    const calls = written([
      event('response.output_item.added'),
      event('response.function_call_arguments.delta', { delta: '{"to"' }),
      event('response.function_call_arguments.delta', { delta: ':"a"}' }),
      event('response.function_call_arguments.done'),
      event('response.output_item.done'),
      event('response.completed'),
    ]);
    const call = { name: 'send', args: '{"to":"a"}' };
    expect([...calls]).toEqual([
      ['0', call],
      ['0/copy', call],
      ['0/done', call],
      ['final/1', call],
    ]);
  });

  it('with free text have it as an argument, whatever it is cut into', () => {
    const item = { id: 'ct_1', type: 'custom_tool_call', call_id: 'c2', name: 'sql', input: '' };
    const input = 'say "\u{1f600}"\n\\';
    const halves = [input.slice(0, 6), input.slice(6)];
    const calls = written([
      event('response.output_item.added', { item }),
      ...halves.map((delta) => event('response.custom_tool_call_input.delta', { delta })),
      event('response.custom_tool_call_input.done', { input }),
      event('response.output_item.done', { item: { ...item, input } }),
    ]);
    expect([...calls]).toEqual([
      ['0', { name: 'sql', args: input }],
      ['0/copy', { name: null, args: input }],
      ['0/done', { name: 'sql', args: input }],
    ]);
  });

  it('of built-in tools are told once they are whole', () => {
    const item = { type: 'shell_call', call_id: 'c1', action: { commands: ['ls'] } };
    const calls = written([
      event('response.output_item.added', { item: { ...item, action: { commands: [] } } }),
      event('response.output_item.done', { item }),
    ]);
    expect([...calls]).toEqual([['0/done', { name: 'shell', args: '{"commands":["ls"]}' }]]);
  });
});

describe('an error event', () => {
  it.each([
    ['flat', { type: 'error', code: 'x', message: 'It broke.' }],
    ['nested', { type: 'error', error: { code: 'x', message: 'It broke.' } }],
    ['without a type', { error: { message: 'It broke.' } }],
  ])('%s is an error', (_name, body) => {
    const part = read(body);
    expect(part).toMatchObject({ isError: true, ends: false, pieces: [] });
    expect(part.leaves.map(({ text }) => text)).toContain('It broke.');
  });
});

describe('the texts of any response', () => {
  const random = seeded('responses events');
  const FAMILIES = [
    ['output_text', 'text'],
    ['refusal', 'refusal'],
    ['reasoning_text', 'text'],
    ['reasoning_summary_text', 'text'],
    ['function_call_arguments', 'arguments'],
    ['custom_tool_call_input', 'input'],
  ] as const;

  /** Events of texts in turn, each cut anywhere. */
  function generate(random: Random): object[] {
    const texts = Array.from({ length: 1 + random.int(6) }, (_, output_index) => {
      const [family, key] = random.pick(FAMILIES);
      const place = { output_index, content_index: random.int(3), summary_index: random.int(3) };
      const whole = Array.from({ length: random.int(40) }, () => random.pick(['a', '"', '\u{1f600}', ' ', '\\'])).join(
        '',
      );
      const deltas: object[] = [];
      for (let at = 0; at < whole.length; ) {
        const to = Math.min(whole.length, at + 1 + random.int(5));
        deltas.push({ type: `response.${family}.delta`, ...place, delta: whole.slice(at, to) });
        at = to;
      }
      return [...deltas, { type: `response.${family}.done`, ...place, [key]: whole }];
    });
    const all: object[] = [];
    while (texts.some((queue) => queue.length > 0)) {
      const next = random.pick(texts.filter((queue) => queue.length > 0)).shift();
      if (next !== undefined) all.push(next);
    }
    return all;
  }

  it('are the same in deltas and in the copy that closes them', () => {
    for (let round = 0; round < 300; round++) {
      const channels = new Map<string, string>();
      for (const part of generate(random).map(read)) {
        for (const { channel, leaf, whole } of part.pieces) {
          if (whole !== true) {
            channels.set(channel, (channels.get(channel) ?? '') + leaf.value);
            continue;
          }
          expect(part.closes).toHaveLength(1);
          const [closed] = part.closes as [string];
          expect(channel).toBe(closed.replace(/^(\d+)\//, '$1/done/'));
          expect(channels.get(closed) ?? '').toBe(leaf.value);
        }
      }
    }
  });
});
