import { describe, expect, it } from 'vitest';
import { namedKeys } from '../../../../gateway/wire/namedKeys.ts';
import { CHAT_WORDS, MESSAGES_WORDS } from '../../../../gateway/wire/vocabulary.ts';
import { parse } from './coverage.ts';

const chat = (value: unknown) => namedKeys(parse(value), CHAT_WORDS.keys);

describe('keys that a writer has chosen', () => {
  it('are read in document order, short ones too', () => {
    const properties = { ignore: {}, all: { type: 'string' }, the: { properties: { old: {} } }, rules: {} };
    const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties } } };
    expect(chat(tool)).toEqual(['ignore', 'all', 'the', 'rules', 'old']);
  });

  it('are read where they look like the words of a format', () => {
    const names = { type: 1, role: 2, content: {}, properties: { text: {} } };
    expect(chat({ parameters: { properties: names } })).toEqual(['type', 'role', 'content', 'properties']);
    expect(chat({ parameters: { $defs: names } })).toEqual(['type', 'role', 'content', 'properties']);
    expect(namedKeys(parse({ type: 'tool_use', input: { text: [{ name: 1 }] } }), MESSAGES_WORDS.keys)).toEqual([
      'text',
      'name',
    ]);
    expect(chat({ default: { name: { type: 1 } } })).toEqual(['name', 'type']);
  });

  it('are not the words of the format', () => {
    expect(chat({ role: 'tool', content: [{ type: 'text', text: 'x' }], tool_call_id: 'c' })).toEqual([]);
    expect(chat([{ function: { name: 'f', strict: true, parameters: { required: [], properties: {} } } }])).toEqual([]);
  });

  it('are found at any depth', () => {
    let value: unknown = { deep: 1 };
    for (let depth = 0; depth < 30; depth++) value = [{ content: value }];
    expect(chat(value)).toEqual(['deep']);
  });
});
