/** Bodies at the limits of what is accepted: refused as a whole or read to the last character, and always in time. */
import { describe, expect, it } from 'vitest';
import { useGateway } from '../../helpers/rig.ts';
import { idleAfterEach } from '../chat/support.ts';
import {
  ATTACK,
  type Body,
  CALLERS_CANARY,
  CHAT,
  COMPLETIONS,
  EMBEDDINGS,
  INPUTS,
  type InputSurface,
  MESSAGES,
  type Outcome,
  outcomeOf,
  RESPONSES,
  times,
  VALIDATE,
  VALIDATE_OUTPUT,
} from './surfaces.ts';

const MIB = 1024 * 1024;
/** Far above what any of these takes, and below any timeout of a client. */
const DEADLINE_MS = 15_000;
/** Half a million units of each are bounded by the tests of the view ladder; here the whole way is walked. */
const SOME = 256 * 1024;
/** One door for each way through the engine. */
const ENGINES: readonly InputSurface[] = [CHAT, VALIDATE, VALIDATE_OUTPUT];

const rig = useGateway();
idleAfterEach(rig);

async function send(on: InputSurface, body: Body): Promise<Outcome> {
  rig.mock.clear();
  const response = await fetch(rig.gateway.url + on.path, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const result = outcomeOf({ status: response.status, text: await response.text() });
  expect([result, rig.mock.requests.length]).toEqual([result, on.forwards && result === 'accepted' ? 1 : 0]);
  return result;
}

/** Text of just under the bound of one text, with this at its end. */
function filled(piece: string, end: string, bytes = MIB - 1024): string {
  return piece.repeat(Math.floor((bytes - end.length) / Buffer.byteLength(piece))) + end;
}

const names = (surfaces: readonly InputSurface[]) => surfaces.map((on) => [on.name, on] as const);

describe('J6 large bodies', () => {
  it.each(names(INPUTS))('%s: a prompt of 10 MB is refused as a whole', async (_, on) => {
    expect(await send(on, on.says(filled('word ', on.attack, 10 * MIB)))).toBe('refused 413 request_too_large');
  });

  it.each(names(INPUTS))('%s: a body above the bound is refused as a whole', async (_, on) => {
    // One more than the sixteen MB of the largest bound.
    const tools = schemas(on, 17, on.attack);
    expect(await send(on, { ...on.says('Hello'), tools })).toBe('refused 413 request_too_large');
  });

  it.each(names(INPUTS))('%s: what stands at the end of a single word of 1 MB is read', async (_, on) => {
    expect(await send(on, on.says(filled('a', ` ${on.attack}`)))).toBe('blocked');
  });

  const last: [string, string][] = [
    ['words', 'word and other words. '],
    ['white space', ' \n'],
    ['letters of four bytes', '𝒶 '],
  ];
  it.each(times(ENGINES, last))('%s: what stands at the end of 1 MB of %s is read', async (_name, _what, on, piece) => {
    expect(await send(on, on.says(filled(piece, ` ${on.attack}`)))).toBe('blocked');
  });

  it.each(names(INPUTS))('%s: a harmless text of 1 MB goes on whole', async (_, on) => {
    expect(await send(on, on.says(filled('word and other words. ', ' The end.')))).toBe('accepted');
    if (on.forwards) expect(rig.mock.last.text).toContain(' The end.');
  });

  it.each(names(INPUTS))('%s: half a million values without a text are too many', async (_, on) => {
    const x = Array.from({ length: 500_000 }, () => []);
    expect(await send(on, { ...on.says('Hello'), x })).toBe('refused 413 json_too_large');
  });

  it('chat: 200,000 messages are too many, and none of them is let through', async () => {
    expect(await send(CHAT, { messages: turns(200_000, 'Hello') })).toBe('refused 413 json_too_large');
    expect(await send(CHAT, { messages: turns(50_000, 'Hello') })).toBe('refused 413 request_too_large');
  });

  /** So many texts in one body, the last of them this. */
  const many: Record<string, [InputSurface, (last: string) => Body]> = {
    '20,000 messages': [CHAT, (end) => ({ messages: turns(20_000, end) })],
    '20,000 turns of Anthropic': [MESSAGES, (end) => ({ messages: turns(20_000, end) })],
    '20,000 items': [RESPONSES, (end) => ({ input: turns(20_000, end) })],
    '20,000 prompts': [COMPLETIONS, (end) => ({ prompt: list(20_000, end) })],
    '20,000 inputs': [EMBEDDINGS, (end) => ({ input: list(20_000, end) })],
    '5,000 parts': [CHAT, (end) => ({ messages: [{ role: 'user', content: parts('text', end) }] })],
    '5,000 parts of an item': [RESPONSES, (end) => ({ input: [{ role: 'user', content: parts('input_text', end) }] })],
    '5,000 blocks': [MESSAGES, (end) => ({ messages: [{ role: 'user', content: parts('text', end) }] })],
    'three tool schemas of 1 MB': [CHAT, (end) => ({ tools: schemas(CHAT, 3, end) })],
    'three tool schemas of 1 MB in a response': [RESPONSES, (end) => ({ tools: schemas(RESPONSES, 3, end) })],
    'three tool schemas of 1 MB of Anthropic': [MESSAGES, (end) => ({ tools: schemas(MESSAGES, 3, end) })],
  };
  it.each(Object.entries(many))('%s are read to the last', async (_, [on, make]) => {
    expect(await send(on, { ...on.says('Hello'), ...make(ATTACK) })).toBe('blocked');
    expect(await send(on, { ...on.says('Hello'), ...make('The end.') })).toBe('accepted');
    expect(rig.mock.last.text).toContain('The end.');
  });

  it('/validate: attachments beyond the bound escalate, they never count as clean', async () => {
    const { attachmentsMax } = rig.gateway.deps.config.limits;
    const answer = async (count: number) => {
      const attachments_text = list(count, 'The end.').map((text) => ({ text }));
      return (await (await rig.gateway.post('/validate', { prompt: 'Hello', attachments_text })).json()) as {
        action: string;
        coverage: { truncated?: boolean };
      };
    };
    const whole = await answer(attachmentsMax);
    expect([whole.action, whole.coverage.truncated ?? false]).toEqual(['pass', false]);
    expect(await answer(20_000)).toMatchObject({ action: 'escalate', coverage: { truncated: true } });
    const blocked = list(attachmentsMax, ATTACK).map((text) => ({ text }));
    expect(await send(VALIDATE, { prompt: 'Hello', attachments_text: blocked })).toBe('blocked');
  });

  it('/validate_output: the last of 20,000 parts and of 20,000 calls is read', async () => {
    const said = `Here it is: ${CALLERS_CANARY}.`;
    const output = list(20_000, said).map((text) => ({ type: 'text', text }));
    expect(await send(VALIDATE_OUTPUT, { canaryTokens: [CALLERS_CANARY], output })).toBe('blocked');
    const toolCalls = list(20_000, said).map((q) => ({ name: 'f', arguments: { q } }));
    expect(await send(VALIDATE_OUTPUT, { canaryTokens: [CALLERS_CANARY], output: '', toolCalls })).toBe('blocked');
  });
});

function list(count: number, end: string): string[] {
  const texts = Array.from({ length: count }, () => 'hi');
  texts[count - 1] = end;
  return texts;
}

function turns(count: number, end: string): Body[] {
  return list(count, end).map((content, n) => ({ role: (count - n) % 2 === 1 ? 'user' : 'assistant', content }));
}

function parts(type: string, end: string): Body[] {
  return list(5_000, end).map((text) => ({ type, text }));
}

/** Tool definitions of 1 MB each, this in the last of them. */
function schemas(on: InputSurface, count: number, end: string): Body[] {
  const description = 'Some words about it. '.repeat(48_000);
  return list(count, end).map((text, n) => {
    const name = `f${n}`;
    const schema = { type: 'object', properties: { a: { description }, b: { description: text } } };
    if (on === MESSAGES) return { name, input_schema: schema };
    const described = { name, parameters: schema };
    return on === RESPONSES ? { type: 'function', ...described } : { type: 'function', function: described };
  });
}

/** Each took seconds to minutes in some gateway. */
const stubborn: Record<string, string> = {
  'one letter': 'a',
  'nested quotes': `"'`,
  'open brackets': '([{<',
  'base64-like runs': 'QWxhZGRpbjpvcGVuIHNlc2FtZQ+/',
  'blanks and zero-width characters in turn': ' \u200b',
  'blanks and tabs in turn': ' \t',
  'hyphenated letters': 'i-g-n-o-r-e- ',
  'beginnings of an attack': 'ignore all previous ',
  'slashes and percents': '%25/../',
  'HTML entities': '&amp;#x26;',
};

describe('J11 texts that stop regular expressions', () => {
  it.each(Object.entries(stubborn))('%s: 100 KB end in time at every door', async (_, piece) => {
    for (const on of ENGINES) {
      const result = await send(on, on.says(filled(piece, '', 100 * 1024)));
      expect(['accepted', 'blocked']).toContain(result);
      expect(await send(on, on.says(filled(piece, ` ${on.attack}`, 100 * 1024)))).toBe('blocked');
    }
  });
});

/** What grows when it is normalised or decoded. */
const growing: Record<string, string> = {
  'a ligature of eighteen letters': '\u{fdfa}',
  'towers of combining marks': `e${'\u0301'.repeat(200)}`,
  'nested percent signs': '%2525',
  'nested entities': '&amp;amp;',
  'nested base64': Buffer.from(
    Buffer.from(Buffer.from('ordinary words ').toString('base64')).toString('base64'),
  ).toString('base64'),
  'escapes of escapes': '\\u005cu0061',
};

describe('J12 texts that grow', () => {
  it.each(Object.entries(growing))('%s: the text ends in time, and an attack behind it is read', async (_, piece) => {
    for (const on of [CHAT, VALIDATE]) {
      expect(['accepted', 'blocked']).toContain(await send(on, on.says(filled(piece, ' ', SOME))));
      expect(await send(on, on.says(filled(piece, ` ${on.attack}`, SOME)))).toBe('blocked');
    }
  });
});
