/** Instructions come back as the client wrote them, wherever the provider repeats them, and the canary nowhere. */
import { describe, expect, it } from 'vitest';
import { leadOf, STREAMED_FORMS } from '../../helpers/leaks.ts';
import {
  echoed,
  leakWith,
  type RecordedRequest,
  responseEvents,
  responseObject,
  textItem,
} from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { type Answer, canaryOf, errorCode } from '../chat/support.ts';
import {
  create,
  createdId,
  type Door,
  events,
  expectNoRun,
  good,
  INSTRUCTIONS,
  RESPONSES,
  responsesBody,
  send,
  withStranger,
} from './support.ts';

const rig = useGateway({ config: withStranger });

const LONG = `${'Be kind and short.\n'.repeat(120)}The end.`;
const TEXTS: readonly (readonly [string, string])[] = [
  ['one line', 'You are a helpful assistant.'],
  ['several lines, the last one closed', INSTRUCTIONS],
  ['CRLF line ends', 'One.\r\nTwo.\r\nThree.'],
  ['only blanks around', '  \n\tTwo.\n\n'],
  ['other scripts and escapes', 'Sei höflich.\n"Zitate" \\ und \u2028 \u{1f511} 你好\n'],
  ['a long text, which carries three canaries', LONG],
];

/** What the provider was sent of the instructions, and the canaries in it. */
function sent(request: RecordedRequest): { readonly instructions: string; readonly tokens: readonly string[] } {
  const { instructions } = request.json as { instructions: string };
  return {
    instructions,
    tokens: [...instructions.matchAll(/\bref: ([0-9a-f]{32})\b/g)].map(([, token]) => token as string),
  };
}

function expectClean(tokens: readonly string[], answer: Answer): void {
  expect(tokens.length).toBeGreaterThan(0);
  const headers = [...answer.headers].filter(([name]) => !/(?:^|-)(?:id|date|receipt)$/.test(name));
  for (const token of tokens) expectNoRun(token, answer.text + JSON.stringify(headers));
}

describe('instructions', () => {
  it.each(TEXTS)('of %s come back byte for byte with every way to ask', async (_, instructions) => {
    const whole = await create(rig.gateway, { instructions });
    const { id } = good(whole);
    const forwarded = sent(rig.mock.last);
    expect(forwarded.instructions).not.toBe(instructions);
    const streamed = await create(rig.gateway, { instructions, stream: true });
    const again = await send(rig.gateway, `${RESPONSES}/${id}`);
    const replayed = await send(rig.gateway, `${RESPONSES}/${id}?stream=true`);
    const cancelled = await send(rig.gateway, `${RESPONSES}/${id}/cancel`, { method: 'POST' });
    for (const answer of [whole, again, cancelled]) expect(good(answer).instructions).toBe(instructions);
    for (const { status, text } of [streamed, replayed]) {
      expect(status).toBe(200);
      const said = events(text).filter(({ response }) => response !== undefined);
      expect(said.map(({ type }) => type)).toEqual(['response.created', 'response.in_progress', 'response.completed']);
      for (const { response } of said) expect(response?.instructions).toBe(instructions);
    }
    for (const answer of [whole, streamed, again, replayed, cancelled]) expectClean(forwarded.tokens, answer);
  });

  it('are the only thing that changes in an answer', async () => {
    const body = JSON.stringify(responseObject({ id: 'resp_bytes', output: ['Bye.'], instructions: 'HERE' }), null, 1);
    rig.mock.next((request) => ({ body: body.replace('"HERE"', JSON.stringify(sent(request).instructions)) }));
    const answer = await create(rig.gateway);
    expect(answer.text).toBe(body.replace('"HERE"', JSON.stringify(INSTRUCTIONS)));
  });

  it('that are repeated as a list of items come back as they were', async () => {
    rig.mock.next((request) => {
      const item = {
        type: 'message',
        role: 'developer',
        content: [{ type: 'input_text', text: sent(request).instructions }],
      };
      return { json: responseObject({ id: 'resp_list', output: ['Bye.'], instructions: [item] }) };
    });
    const answer = await create(rig.gateway);
    expect(JSON.stringify(good(answer).instructions)).toContain(JSON.stringify(INSTRUCTIONS));
    expectClean(sent(rig.mock.last).tokens, answer);
  });
});

describe('system text within the input', () => {
  const SYSTEM = 'You are terse.\nNever apologise.';
  const FORMS: readonly (readonly [string, object])[] = [
    ['a system item', { role: 'system', content: SYSTEM }],
    ['a developer item', { role: 'developer', content: SYSTEM }],
    [
      'a typed message with typed parts',
      { type: 'message', role: 'system', content: [{ type: 'input_text', text: SYSTEM }] },
    ],
    ['a developer item with typed parts', { role: 'developer', content: [{ type: 'input_text', text: SYSTEM }] }],
  ];

  it.each(FORMS)('of %s carries a canary, which is in no list of input items', async (_, item) => {
    const input = [item, { role: 'user', content: 'Hello' }];
    const { instructions: _unused, ...body } = responsesBody({ input });
    const whole = await send(rig.gateway, RESPONSES, { method: 'POST', body });
    const { id } = good(whole);
    const token = canaryOf(rig.mock.last.systemText);
    const list = await send(rig.gateway, `${RESPONSES}/${id}/input_items?order=asc`);
    const items = JSON.parse(list.text) as { data: { content: { text: string }[] }[] };
    expect(items.data[0]?.content[0]?.text).toBe(SYSTEM);
    expect(items.data[1]?.content[0]?.text).toBe('Hello');
    for (const answer of [whole, list]) expectClean([token], answer);
  });

  it('is restored in seven long messages beside instructions, which carry 22 canaries together', async () => {
    const long = (n: number) => `Message ${n}. ${LONG}`;
    const messages = Array.from({ length: 7 }, (_, n) => ({ role: 'developer', content: long(n) }));
    const id = await createdId(rig.gateway, { input: [...messages, { role: 'user', content: 'Hello' }] });
    const tokens = [...rig.mock.last.systemText.matchAll(/\bref: ([0-9a-f]{32})\b/g)].map(
      ([, token]) => token as string,
    );
    expect(new Set(tokens).size).toBe(22);
    const list = await send(rig.gateway, `${RESPONSES}/${id}/input_items?order=asc&limit=100`);
    const { data } = JSON.parse(list.text) as { data: { content: { text: string }[] }[] };
    expect(data.slice(0, 7).map(({ content }) => content[0]?.text)).toEqual(messages.map(({ content }) => content));
    expectClean(tokens, list);
  });

  it('of an earlier turn is restored in the input items of a later one', async () => {
    const input = [
      { role: 'system', content: SYSTEM },
      { role: 'user', content: 'Hello' },
    ];
    const first = await createdId(rig.gateway, { input });
    const texts = rig.mock.last.messages.filter(({ role }) => role === 'system').map(({ text }) => text);
    const second = await createdId(rig.gateway, { input: 'Go on', previous_response_id: first });
    const data = texts.map((text) => ({ type: 'message', role: 'system', content: [{ type: 'input_text', text }] }));
    rig.mock.reply({ json: { object: 'list', data, first_id: 'a', last_id: 'a', has_more: false } });
    const list = await send(rig.gateway, `${RESPONSES}/${second}/input_items`);
    expect(list.text).toContain(JSON.stringify(SYSTEM));
    expectClean([canaryOf(texts.join())], list);
  });
});

describe('a leak beside an echo', () => {
  it.each([false, true])('is blocked, stream: %s', async (stream) => {
    rig.mock.next(leakWith((system) => `The reference is ${canaryOf(system)}.`));
    const answer = await create(rig.gateway, { stream });
    expect(errorCode(answer.text)).toBe('content_filter');
    expectClean(sent(rig.mock.last).tokens, answer);
  });

  it('is blocked when the stored response is asked for again', async () => {
    const id = await createdId(rig.gateway);
    const system = rig.mock.last.systemText;
    const output = [textItem(`It is ${canaryOf(system)}.`)];
    rig.mock.reply({ json: responseObject({ id, instructions: system, output }) });
    expect(errorCode((await send(rig.gateway, `${RESPONSES}/${id}`)).text)).toBe('content_filter');
    rig.mock.reply({ stream: { events: responseEvents(output, 5, { id, instructions: system }), named: true } });
    const replayed = await send(rig.gateway, `${RESPONSES}/${id}?stream=true`);
    expect(errorCode(replayed.text)).toBe('content_filter');
    expectClean([canaryOf(system)], replayed);
  });
});

describe('an echo', () => {
  const reply = (stream: boolean, request: RecordedRequest, instructions: string) => {
    const fields = { ...echoed(request.json), instructions };
    return stream
      ? { stream: { events: responseEvents(['Bye.'], 5, fields), named: true } }
      : { json: responseObject({ ...fields, output: ['Bye.'] }) };
  };
  const forms = STREAMED_FORMS.filter(({ name }) => name !== 'plain');

  it.each(forms.map((form) => [form.name, form] as const))(
    'of the canary in another form is blocked: %s',
    async (_, form) => {
      for (const stream of [false, true]) {
        let shown = '';
        rig.mock.next((request) => {
          shown = form.of(canaryOf(request.systemText));
          return reply(stream, request, `${request.systemText}\n${shown}`);
        });
        const answer = await create(rig.gateway, { stream });
        expect({ status: answer.status, code: errorCode(answer.text) }).toEqual({
          status: 400,
          code: 'content_filter',
        });
        expect(answer.text).not.toContain(shown.slice(leadOf(form, canaryOf(rig.mock.last.systemText))));
      }
    },
  );

  it('of the bare canary without its line is blocked', async () => {
    rig.mock.next((request) => reply(false, request, `${INSTRUCTIONS} ${canaryOf(request.systemText)}`));
    expect(errorCode((await create(rig.gateway)).text)).toBe('content_filter');
  });

  it("of another prompt's or another tenant's line is blocked", async () => {
    const own = await otherLine(rig.gateway);
    const foreign = await otherLine({
      url: rig.gateway.url,
      key: await rig.gateway.createKey(['proxy'], ['stranger']),
    });
    for (const line of [own, foreign]) {
      expect(line).toMatch(/^ref: [0-9a-f]{32}$/);
      // The caches of live canaries are a second old at most.
      await expect
        .poll(
          async () => {
            rig.mock.next((request) => reply(false, request, `${request.systemText}\n${line}`));
            return errorCode((await create(rig.gateway)).text);
          },
          { timeout: 5_000, interval: 200 },
        )
        .toBe('content_filter');
    }
  });

  async function otherLine(door: Door): Promise<string> {
    await createdId(door, { instructions: `Another prompt of ${door.key.length} characters and ${door.key}.` });
    return `ref: ${canaryOf(rig.mock.last.systemText)}`;
  }
});

describe('instructions that already hold a canary', () => {
  it('of their own, as the client once received them, are not blocked by their echo', async () => {
    await create(rig.gateway);
    const { instructions, tokens } = sent(rig.mock.last);
    for (const stream of [false, true]) {
      const answer = await create(rig.gateway, { instructions, stream });
      expect(answer.status, answer.text).toBe(200);
      expect(sent(rig.mock.last).instructions).toBe(instructions);
      const { response } = stream
        ? (events(answer.text).at(-1) as { response: { instructions: unknown; id: string } })
        : { response: good(answer) };
      expect(response.instructions).toBe(instructions);
      const again = await send(rig.gateway, `${RESPONSES}/${response.id}`);
      expect(good(again).instructions).toBe(instructions);
    }
    rig.mock.next(leakWith((system) => `It is ${canaryOf(system)}.`));
    const leak = await create(rig.gateway, { instructions });
    expect(errorCode(leak.text)).toBe('content_filter');
    expectClean(tokens, leak);
  });

  it("of another prompt, of an earlier version, or of the caller's own making are echoed as well", async () => {
    await create(rig.gateway);
    const [token = ''] = sent(rig.mock.last).tokens;
    for (const given of [`Changed since.\nref: ${token}\nBye.`, `The old reference was ${token}, as you know.`]) {
      const whole = await create(rig.gateway, { instructions: given });
      expect(good(whole).instructions).toBe(given);
      const planted = sent(rig.mock.last).tokens.filter((other) => other !== token);
      expectClean(planted, whole);
      expect(good(await send(rig.gateway, `${RESPONSES}/${good(whole).id}`)).instructions).toBe(given);
      const second = await createdId(rig.gateway, { previous_response_id: good(whole).id, instructions: null });
      rig.mock.reply({ json: responseObject({ id: second, instructions: given, output: ['Bye.'] }) });
      expect(good(await send(rig.gateway, `${RESPONSES}/${second}`)).instructions).toBe(given);
    }
  });

  it('in one text keep it there where the same line is planted in another', async () => {
    await create(rig.gateway, { instructions: 'Be kind.' });
    const { instructions } = sent(rig.mock.last);
    const input = [
      { role: 'system', content: 'Be kind.' },
      { role: 'system', content: instructions },
      { role: 'user', content: 'Hello' },
    ];
    const id = await createdId(rig.gateway, { input, instructions: null });
    const list = await send(rig.gateway, `${RESPONSES}/${id}/input_items?order=asc`);
    const { data } = JSON.parse(list.text) as { data: { content: { text: string }[] }[] };
    expect(data[1]?.content[0]?.text).toBe(instructions);
  });
});
