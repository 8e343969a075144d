/** Whatever a model reads is inspected, wherever it stands; what holds no text goes on untouched. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { useGateway } from '../../helpers/rig.ts';
import { ask, idleAfterEach } from '../chat/support.ts';
import { bodyOf, HALVES, PLACES } from './places.ts';
import { ATTACK, CHAT, INPUTS, MESSAGES, outcome, outcomeOf, RESPONSES, VALIDATE } from './surfaces.ts';

/** Longer than a word, harmless, and unlike anything the gateway adds. */
const HARMLESS = 'The lighthouse keeper painted forty wooden boats.';

const rig = useGateway();
idleAfterEach(rig);

const receiptOf = (headers: Headers): Record<string, string> =>
  Object.fromEntries(
    (headers.get('x-portcullis-receipt') ?? '').split(/[;,] */).map((pair) => pair.split('=') as [string, string]),
  );

const cells = PLACES.flatMap(([on, places]) =>
  Object.entries(places).map(([what, place]) => [on.name, what, on, place] as const),
);

describe('J8 text that a model reads', () => {
  it.each(cells)('%s: an attack in %s is stopped', async (_name, _what, on, place) => {
    expect((await outcome(rig.gateway, rig.mock, on, bodyOf(on, place, ATTACK))).result).toBe('blocked');
    const { result, answer } = await outcome(rig.gateway, rig.mock, on, bodyOf(on, place, HARMLESS));
    expect(result).toBe('accepted');
    const receipt = receiptOf(answer.headers);
    expect(Number(receipt.seen)).toBeGreaterThan(0);
    expect(receipt.scanned).toBe(receipt.seen);
  });

  const border = ATTACK.indexOf('vious');
  it.each(HALVES.map(([what, on, make]) => [on.name, what, on, make] as const))(
    '%s: an attack split over %s is stopped',
    async (_name, _what, on, make) => {
      for (const at of [border, ATTACK.indexOf('previous')]) {
        const body = { model: 'mock-model', max_tokens: 100, ...make(ATTACK.slice(0, at), ATTACK.slice(at)) };
        expect((await outcome(rig.gateway, rig.mock, on, body)).result).toBe('blocked');
      }
    },
  );

  it('/validate: each source is read in its own role', async () => {
    for (const role of ['rag_chunk', 'tool_output', 'note', 'other', 'unheard-of', null]) {
      const attachments_text = [{ text: 'Hi' }, { text: ATTACK, role }];
      const { result } = await outcome(rig.gateway, rig.mock, VALIDATE, { prompt: 'Hello', attachments_text });
      expect(result).toBe('blocked');
    }
    for (const source of ['user', 'retrieval', 'tool']) {
      expect((await outcome(rig.gateway, rig.mock, VALIDATE, { prompt: ATTACK, context: { source } })).result).toBe(
        'blocked',
      );
    }
  });

  // The roles system and developer are the operator's; what an application puts there is trusted by design, so it is
  // forwarded, protected with a canary.
  const trusted: [string, string, object][] = [
    [
      'chat',
      'a system message',
      {
        messages: [
          { role: 'system', content: ATTACK },
          { role: 'user', content: 'Hi' },
        ],
      },
    ],
    [
      'chat',
      'a developer message',
      {
        messages: [
          { role: 'developer', content: [{ type: 'text', text: ATTACK }] },
          { role: 'user', content: 'Hi' },
        ],
      },
    ],
    ['responses', 'the instructions', { instructions: ATTACK, input: 'Hi' }],
    [
      'responses',
      'a developer item',
      {
        input: [
          { role: 'developer', content: ATTACK },
          { role: 'user', content: 'Hi' },
        ],
      },
    ],
    ['messages', 'the system text', { max_tokens: 9, system: ATTACK, messages: [{ role: 'user', content: 'Hi' }] }],
    [
      'messages',
      'a system block',
      { max_tokens: 9, system: [{ type: 'text', text: ATTACK }], messages: [{ role: 'user', content: 'Hi' }] },
    ],
  ];
  it.each(trusted)('%s: %s is trusted, carries a canary, and is forwarded', async (name, _what, body) => {
    const on = [CHAT, RESPONSES, MESSAGES].find((surface) => surface.name === name) ?? CHAT;
    const { result } = await outcome(rig.gateway, rig.mock, on, { model: 'mock-model', ...body });
    expect(result).toBe('accepted');
    expect(rig.mock.last.systemText).toContain(ATTACK);
    expect(rig.mock.last.systemText).toMatch(/\nref: [0-9a-f]{32}$/);
  });
});

const PNG = 'iVBORw0KGgo';
const LARGE = Buffer.alloc(5 * 1024 * 1024, 0xa5).toString('base64');

describe('J7 what holds no text', () => {
  const chatPart = (part: object) => ({
    model: 'm',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Look' }, part] }],
  });
  const item = (part: object) => ({
    model: 'm',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'Look' }, part] }],
  });
  const block = (part: object) => ({ ...chatPart(part), max_tokens: 9 });
  const cases: [string, typeof CHAT, object][] = [
    ['an image', CHAT, chatPart({ type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } })],
    ['5 MB of an image', CHAT, chatPart({ type: 'image_url', image_url: { url: `data:image/png;base64,${LARGE}` } })],
    [
      'an image of a wrong type',
      CHAT,
      chatPart({ type: 'image_url', image_url: { url: `data:application/x-thing;base64,${PNG}` } }),
    ],
    ['audio', CHAT, chatPart({ type: 'input_audio', input_audio: { data: LARGE.slice(0, 4_000_000), format: 'wav' } })],
    [
      'a PDF',
      CHAT,
      chatPart({ type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PNG}` } }),
    ],
    ['an image', RESPONSES, item({ type: 'input_image', image_url: `data:image/png;base64,${PNG}` })],
    ['5 MB of an image', RESPONSES, item({ type: 'input_image', image_url: `data:image/png;base64,${LARGE}` })],
    [
      'a PDF',
      RESPONSES,
      item({ type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${PNG}` }),
    ],
    ['an image', MESSAGES, block({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } })],
    [
      '5 MB of an image',
      MESSAGES,
      block({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: LARGE } }),
    ],
    [
      'a PDF',
      MESSAGES,
      block({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: PNG } }),
    ],
  ];
  it.each(cases.map(([what, on, body]) => [on.name, what, on, body] as const))(
    '%s: %s goes on byte for byte and counts as skipped',
    async (_name, _what, on, body) => {
      const { result, answer } = await outcome(rig.gateway, rig.mock, on, body);
      expect(result).toBe('accepted');
      expect(rig.mock.last.text === JSON.stringify(body)).toBe(true);
      expect(receiptOf(answer.headers).skipped).toBe('1');
    },
  );

  it('an address of an image is forwarded, and nobody here asks for it', async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked += 1;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`;
      const bodies: [typeof CHAT, object][] = [
        [CHAT, chatPart({ type: 'image_url', image_url: { url } })],
        [RESPONSES, item({ type: 'input_image', image_url: url })],
        [RESPONSES, item({ type: 'input_file', file_url: url })],
        [MESSAGES, block({ type: 'image', source: { type: 'url', url } })],
        [MESSAGES, block({ type: 'document', source: { type: 'url', url } })],
      ];
      for (const [on, body] of bodies) {
        expect((await outcome(rig.gateway, rig.mock, on, body)).result).toBe('accepted');
        expect(rig.mock.last.text).toContain(url);
      }
      expect(asked).toBe(0);
    } finally {
      server.close();
    }
  });

  it.each(INPUTS.map((on) => [on.name, on] as const))(
    '%s: a text that only looks like data is a text',
    async (_, on) => {
      const said = on.says(`data:image/png;base64,${PNG} ${on.attack}`);
      expect(outcomeOf(await ask(rig.gateway, said, {}, on.path))).toBe('blocked');
    },
  );
});
