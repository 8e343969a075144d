/** Bytes of a provider's stream in, bytes for the client out, for every framing and split; nothing but the wire is in between. */
import { describe, expect, it } from 'vitest';
import type { OutputSession } from '../../engine/stream/session.ts';
import { checkAnswer } from '../../gateway/api/model/whole.ts';
import { chatDialect } from '../../gateway/stream/chatDialect.ts';
import { GuardedStream, type StreamLimits } from '../../gateway/stream/guardedStream.ts';
import { SseParser } from '../../gateway/stream/sse.ts';
import { openaiErrors } from '../../gateway/surface/errorDialect.ts';
import { readChatAnswer } from '../../gateway/wire/chatAnswer.ts';
import { parseJson } from '../../gateway/wire/json.ts';
import { testEngine } from '../helpers/engine.ts';
import { leadOf, STREAMED_FORMS } from '../helpers/leaks.ts';
import {
  chunk,
  completion,
  contentEvents,
  FRAMINGS,
  type Framing,
  frameEvents,
  interleave,
  pieces,
} from '../helpers/mockAnswers.ts';
import { seeded } from '../helpers/random.ts';

const { open, config } = testEngine();
const random = seeded('guardedStream');
const token = random.hex(32);

const same = (text: string): string => text;

function chatStream(session: OutputSession, limits: StreamLimits = config.limits): GuardedStream {
  return new GuardedStream(session, { dialect: chatDialect, restore: same, onBorder: null }, limits);
}

interface Out {
  readonly state: string;
  readonly text: string;
  readonly bytes: Buffer;
}

/** Runs a whole stream and reads what the client got with a plain line reader. */
function run(reads: readonly Buffer[], session: OutputSession = open(token)): Out {
  const stream = chatStream(session);
  const parser = new SseParser({ eventBytesMax: config.limits.sseEventBytesMax }, (frame) => stream.onFrame(frame));
  const out: Buffer[] = [];
  const state = (): string => stream.state;
  for (const read of reads) {
    parser.push(read);
    out.push(...stream.take());
    if (state() !== 'open') break;
  }
  if (state() === 'open') {
    parser.end();
    stream.onEnd();
    if (state() === 'done') out.push(...stream.take());
  }
  const bytes = Buffer.concat(out);
  return { state: state(), text: contentOf(bytes), bytes };
}

/** The JSON payloads that a client reads, by the letter of the WHATWG rules for LF and CRLF. */
function payloads(bytes: Buffer): { choices?: { index: number; delta?: Record<string, string> }[] }[] {
  return bytes
    .toString('utf8')
    .replaceAll('\r\n', '\n')
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line.startsWith('data:')))
    .map((lines) => lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n'))
    .filter((data) => data.startsWith('{'))
    .map((data) => JSON.parse(data));
}

/** The first choice's text, as a client adds it up. */
function contentOf(bytes: Buffer, field = 'content'): string {
  return payloads(bytes)
    .flatMap(({ choices }) => choices ?? [])
    .filter(({ index }) => index === 0)
    .map(({ delta }) => delta?.[field] ?? '')
    .join('');
}

function answer(text: string, framing: Framing, size: number): Buffer {
  const events = [
    chunk({ role: 'assistant', content: '' }),
    ...contentEvents(pieces(text, size)),
    chunk({}, 0, 'stop'),
  ];
  return Buffer.concat(frameEvents({ events, framing }));
}

function split(bytes: Buffer, sizes: () => number): Buffer[] {
  const reads: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = sizes();
    reads.push(bytes.subarray(at, at + size));
    at += size;
  }
  return reads;
}

const BENIGN = 'Here you go: naïve café, 50% of a < b, 这是一个回答, cafe decade 0xbeef and \\u0041 — done.\nBye 👋🏽!';
const LEAD = 'Of course, here it is: ';

describe('benign streams', () => {
  it.each(FRAMINGS)('arrive identical in framing %s for every two-way split and byte by byte', (framing) => {
    const bytes = answer(BENIGN, framing, 11);
    for (let cut = 1; cut < bytes.length; cut++) {
      const result = run([bytes.subarray(0, cut), bytes.subarray(cut)]);
      if (result.text !== BENIGN || result.state !== 'done')
        expect.unreachable(`cut ${cut}: ${result.state} ${result.text}`);
    }
    expect(run(split(bytes, () => 1))).toMatchObject({ text: BENIGN, state: 'done' });
  });

  it('leave byte-identical where the framing is plain', () => {
    const bytes = answer(BENIGN, 'lf', 5);
    for (let i = 0; i < 500; i++) expect(run(split(bytes, () => 1 + random.int(60))).bytes.equals(bytes)).toBe(true);
  });
});

describe('leaking streams', () => {
  const leaks = STREAMED_FORMS.filter(({ name }) =>
    ['plain', 'spaces', 'base64', 'percent', '\\u escapes', 'reversed'].includes(name),
  );

  it.each(FRAMINGS)(
    'let no part of the token out in framing %s, byte by byte and for every two-way split',
    (framing) => {
      for (const form of leaks) {
        const bytes = answer(`${LEAD}${form.of(token)} ok`, framing, 5);
        expect(run(split(bytes, () => 1))).toMatchObject({ state: 'blocked' });
        const step = form.name === 'plain' ? 1 : 23;
        for (let cut = 1; cut < bytes.length; cut += step) {
          const result = run([bytes.subarray(0, cut), bytes.subarray(cut)]);
          if (result.state !== 'blocked' || !LEAD.startsWith(result.text)) {
            expect.unreachable(`${form.name} cut ${cut}: ${result.state} ${result.text}`);
          }
        }
      }
    },
  );

  it('agree with the whole answer for 10,000 random answers, framings and splits', () => {
    for (let i = 0; i < 10_000; i++) {
      const leaking = random.int(2) === 0;
      const text = leaking ? `${LEAD}${random.pick(STREAMED_FORMS).of(token)} ok` : BENIGN.slice(random.int(40));
      const bytes = answer(text, random.pick(FRAMINGS), 1 + random.int(12));
      const streamed = run(split(bytes, () => 1 + random.int(random.pick([1, 9, 200]))));
      const whole = wholeState(text);
      if ((streamed.state === 'blocked') !== (whole === 'blocked') || (whole === 'blocked') !== leaking) {
        expect.unreachable(`${text}: streamed ${streamed.state}, whole ${whole}`);
      }
      if (!leaking && streamed.text !== text) expect.unreachable(`${streamed.text} instead of ${text}`);
    }
  });

  function wholeState(text: string): 'blocked' | 'done' {
    const body = Buffer.from(JSON.stringify(completion(text)));
    const head = { provider: 'default', status: 200, headers: new Map(), contentType: null };
    const format = { read: readChatAnswer, restore: same, depthMax: 128, errors: openaiErrors };
    try {
      checkAnswer(open(token), { head, body }, format);
      return 'done';
    } catch {
      return 'blocked';
    }
  }
});

describe('channels', () => {
  it('stop a token whose halves lie in two choices', () => {
    const events = interleave(
      contentEvents(pieces(`First half: ${token.slice(0, 16)}.`, 4), 0),
      contentEvents(pieces(`Second half: ${token.slice(16)}.`, 4), 1),
    );
    expect(run(frameEvents({ events })).state).toBe('blocked');
  });

  it('stop a token in eighths over four choices', () => {
    const quarters = [0, 1, 2, 3].map((i) =>
      contentEvents([`Part ${i}: ${token.slice(i * 8, i * 8 + 8)}. `, 'So?'], i),
    );
    expect(run(frameEvents({ events: quarters.flat() })).state).toBe('blocked');
  });

  it('go on when a channel stops in the middle of a possible match, and lose nothing', () => {
    // The reasoning ends with what could be the beginning of the token.
    const reasoning = `Thinking about ${token.slice(0, 3)}`;
    const events = [
      ...contentEvents(pieces(reasoning, 4), 0, 'reasoning_content'),
      ...contentEvents(pieces(BENIGN, 6)),
      chunk({}, 0, 'stop'),
    ];
    const reads = frameEvents({ events });
    const stream = chatStream(open(token));
    const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => stream.onFrame(frame));
    let out = '';
    let early = 0;
    reads.forEach((read, index) => {
      parser.push(read);
      out += Buffer.concat(stream.take()).toString('utf8');
      if (index === reads.length - 4) early = out.length;
    });
    expect(early).toBeGreaterThan(1000);
    expect(stream.state).toBe('done');
    expect(contentOf(Buffer.from(out))).toBe(BENIGN);
    expect(contentOf(Buffer.from(out), 'reasoning_content')).toBe(reasoning);
  });

  const four = token.match(/.{4}/g) as string[];

  it.each(['stop', 'null'])('stop a token when every chunk names the finish reason %s', (reason) => {
    const events = four.map((part) => chunk({ content: part }, 0, reason));
    const { state, text } = run(frameEvents({ events }));
    expect(state).toBe('blocked');
    expect(text.length).toBeLessThan(10);
  });

  it('stop a token spread over content parts, choice members, and delta beside message', () => {
    const choice = (members: object) => JSON.stringify({ choices: [{ index: 0, ...members, finish_reason: null }] });
    const part = (text: string) => ({ type: 'text', text });
    const shapes = {
      'parts of one delta': [choice({ delta: { content: four.map(part) } })],
      'parts by delta': four.map((text) => choice({ delta: { content: [part(text)] } })),
      'a member of the choice': four.map((text) => choice({ reasoning: text })),
      'a bare delta': four.map((text) => choice({ delta: text })),
      'delta beside message': four.map((text) => choice({ delta: { content: text }, message: { content: 'filler' } })),
      'legacy logprobs': four.map((text) => choice({ delta: {}, logprobs: { tokens: [text] } })),
    };
    for (const [name, events] of Object.entries(shapes)) {
      expect.soft(run(frameEvents({ events })).state, name).toBe('blocked');
    }
  });

  it('read on after a finish', () => {
    const events = [...contentEvents(['Done.']), chunk({}, 0, 'stop'), ...contentEvents(pieces(token, 4))];
    expect(run(frameEvents({ events })).state).toBe('blocked');
  });
});

it('reads every string of a chunk exactly once', () => {
  const source = JSON.stringify({
    id: 'a1',
    model: 'm',
    choices: [
      {
        index: 0,
        delta: { role: 'assistant', content: 'c', refusal: 'r', unknown: 'u', annotations: [{ url: 'x', title: 't' }] },
        logprobs: { content: [{ token: 'c', top_logprobs: [{ token: 'd' }] }] },
        finish_reason: null,
      },
    ],
  });
  const part = readChatAnswer(parseJson(source, 32));
  const seen = [...(part?.pieces ?? []).map(({ leaf }) => leaf.value), ...(part?.leaves ?? []).map(({ text }) => text)];
  const keys = ['annotations', 'finish_reason', 'top_logprobs'];
  expect(seen.filter((text) => !keys.includes(text)).sort()).toEqual(
    ['a1', 'assistant', 'c', 'c', 'd', 'm', 'r', 't', 'u', 'x'].sort(),
  );
});

describe('a provider that pauses', () => {
  const stop = `ends in ${token.slice(0, 4)}`;

  /** Reads events one by one with a pause after each. */
  function paused(events: readonly string[]): { texts: string[]; state: string; final: string } {
    const stream = chatStream(open(token));
    const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => stream.onFrame(frame));
    let out = '';
    const texts: string[] = [];
    for (const read of frameEvents({ events })) {
      parser.push(read);
      stream.onPause();
      out += Buffer.concat(stream.take()).toString('utf8');
      texts.push(contentOf(Buffer.from(out)));
    }
    return { texts, state: stream.state, final: contentOf(Buffer.from(out)) };
  }

  it('is cut before what may become a match, and nothing is lost', () => {
    const long = `${BENIGN} ${stop}`;
    const { texts, state, final } = paused([...contentEvents([long, ' and goes on']), chunk({}, 0, 'stop')]);
    expect(texts).toContain(long.slice(0, -4));
    expect(state).toBe('done');
    expect(final).toBe(`${long} and goes on`);
  });

  it('gives every text back whole, whatever the sizes and pauses', () => {
    for (let i = 0; i < 500; i++) {
      const text = `${BENIGN} ${token.slice(0, random.int(9))} ${BENIGN}`;
      const { state, final } = paused([...contentEvents(pieces(text, 1 + random.int(20))), chunk({}, 0, 'stop')]);
      expect({ state, final }).toEqual({ state: 'done', final: text });
    }
  });

  it('lets no part of a token out in its pauses', () => {
    for (const form of STREAMED_FORMS) {
      const { state, final } = paused(contentEvents(pieces(`${LEAD}${form.of(token)} ok`, 7)));
      expect(state, form.name).toBe('blocked');
      expect(final.length, `${form.name}: ${final}`).toBeLessThanOrEqual(LEAD.length + leadOf(form, token));
    }
  });
});

it('reads a chunk with a list of 300,000 items and an answer of 20,000 parts in linear time', () => {
  const list = JSON.stringify({ choices: [{ index: 0, delta: { content: 'x' }, list: Array(300_000).fill(0) }] });
  expect(run(frameEvents({ events: [list, chunk({}, 0, 'stop')] }))).toMatchObject({ state: 'done', text: 'x' });
  const parts = Array.from({ length: 20_000 }, (_, i) => ({ type: 'text', [`t${i}`]: 'word ' }));
  const events = [JSON.stringify({ choices: [{ index: 0, delta: { content: parts } }] })];
  expect(run(frameEvents({ events })).state).toBe('blocked');
});

it('reads a tool call of 60,000 chunks in linear time', () => {
  const part = chunk({ tool_calls: [{ index: 0, function: { arguments: 'word ' } }] });
  const events = [...Array.from({ length: 60_000 }, () => part), chunk({}, 0, 'tool_calls')];
  const limits = { ...config.limits, sseHeldBytesMax: 1 << 28, toolCallBytesMax: 1 << 24 };
  const stream = chatStream(open(token), limits);
  const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => stream.onFrame(frame));
  parser.push(Buffer.concat(frameEvents({ events })));
  expect(stream.state).toBe('done');
  expect(stream.take()).toHaveLength(60_002);
});

describe('the bounds of what is held', () => {
  const held = (limits: Partial<typeof config.limits>, events: readonly string[]): string => {
    const stream = chatStream(open(token), { ...config.limits, ...limits });
    const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => stream.onFrame(frame));
    parser.push(Buffer.concat(frameEvents({ events, done: false })));
    return stream.state;
  };
  const call = chunk({ tool_calls: [{ index: 0, function: { arguments: 'word ' } }] });

  it('stop a stream whose waiting frames are larger than sseHeldBytesMax', () => {
    // Each with its `data: `, its line ends, and what keeping it costs.
    const room = (call.length + 8 + 512) * 12;
    expect(held({ sseHeldBytesMax: room }, Array(12).fill(call))).toBe('open');
    expect(held({ sseHeldBytesMax: room }, Array(13).fill(call))).toBe('held_too_much');
  });

  it('stop a stream with more choices than outputChannelsMax', () => {
    const choices = (count: number) => Array.from({ length: count }, (_, index) => chunk({}, index));
    expect(held({ outputChannelsMax: 8 }, choices(8))).toBe('open');
    expect(held({ outputChannelsMax: 8 }, choices(9))).toBe('held_too_much');
  });
});
