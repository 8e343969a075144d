/** The guarantees of streams, for the formats beside chat: benign text arrives as it came, and no part of a canary gets out. */
import { describe, expect, it } from 'vitest';
import { completionsDialect } from '../../gateway/stream/completionsDialect.ts';
import type { StreamDialect } from '../../gateway/stream/dialect.ts';
import { GuardedStream } from '../../gateway/stream/guardedStream.ts';
import { messagesDialect } from '../../gateway/stream/messagesDialect.ts';
import { responsesDialect } from '../../gateway/stream/responsesDialect.ts';
import { SseParser } from '../../gateway/stream/sse.ts';
import { testEngine } from '../helpers/engine.ts';
import { leadOf, STREAMED_FORMS } from '../helpers/leaks.ts';
import { type Framing, frameEvents } from '../helpers/mockAnswers.ts';
import { messageEvents, textBlock, thinkingBlock, toolUseBlock } from '../helpers/mockMessages.ts';
import { completionEvents } from '../helpers/mockPlain.ts';
import { functionCallItem, reasoningItem, responseEvents, textItem } from '../helpers/mockResponses.ts';
import { seeded } from '../helpers/random.ts';

const { open, config } = testEngine();
const random = seeded('dialects');
const token = random.hex(32);

const BENIGN = 'Here you go: naïve café, 50% of a < b, 这是一个回答, cafe decade 0xbeef and \\u0041 — done.\nBye 👋🏽!';
const LEAD = 'Of course, here it is: ';

interface Format {
  readonly name: string;
  readonly dialect: StreamDialect;
  readonly named: boolean;
  /** Events of an answer that says `text` in pieces of `size`. */
  readonly say: (text: string, size: number) => readonly string[];
  /** Events of an answer that has `text` in the field. */
  readonly fields: Readonly<Record<string, (text: string) => readonly string[]>>;
  /** Text that the deltas of an event add. */
  readonly delta: (event: Record<string, unknown>) => string;
}

const FORMATS: readonly Format[] = [
  {
    name: 'responses',
    dialect: responsesDialect,
    named: true,
    say: (text, size) => responseEvents([textItem(text)], size),
    fields: {
      reasoning: (text) => responseEvents([reasoningItem([text]), textItem('ok')], 5),
      'tool arguments': (text) => responseEvents([functionCallItem('send', JSON.stringify({ text }))], 5),
      'tool name': (text) => responseEvents([functionCallItem(text, '{}')], 5),
    },
    delta: ({ type, delta }) => (type === 'response.output_text.delta' ? String(delta) : ''),
  },
  {
    name: 'messages',
    dialect: messagesDialect,
    named: true,
    say: (text, size) => messageEvents([textBlock(text)], size),
    fields: {
      reasoning: (text) => messageEvents([thinkingBlock(text), textBlock('ok')], 5),
      'tool arguments': (text) => messageEvents([toolUseBlock('send', { text })], 5),
      'tool name': (text) => messageEvents([toolUseBlock(text, {})], 5),
    },
    delta: ({ type, delta }) => (type === 'content_block_delta' ? ((delta as { text?: string }).text ?? '') : ''),
  },
  {
    name: 'completions',
    dialect: completionsDialect,
    named: false,
    say: (text, size) => completionEvents([text], size),
    fields: {
      'second choice': (text) => completionEvents(['ok', text], 5),
      logprobs: (text) => completionEvents([text], 5, true),
    },
    delta: ({ choices }) => (choices as { text: string }[]).map(({ text }) => text).join(''),
  },
];

interface Out {
  readonly state: string;
  readonly text: string;
  readonly bytes: Buffer;
}

/** Reads what a client gets; with `paused`, the provider pauses after every read. */
function run(format: Format, reads: readonly Buffer[], paused = false): Out {
  const { dialect } = format;
  const stream = new GuardedStream(open(token), { dialect, restore: (text) => text, onBorder: null }, config.limits);
  const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => stream.onFrame(frame));
  const out: Buffer[] = [];
  for (const read of reads) {
    parser.push(read);
    if (paused) stream.onPause();
    out.push(...stream.take());
  }
  if (stream.state === 'open') {
    parser.end();
    stream.onEnd();
    if ((stream.state as string) === 'done') out.push(...stream.take());
  }
  const bytes = Buffer.concat(out);
  const text = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => format.delta(JSON.parse(line.slice(6)) as Record<string, unknown>))
    .join('');
  return { state: stream.state, text, bytes };
}

function bytesOf({ named }: Format, events: readonly string[], framing: Framing = 'lf'): Buffer {
  return Buffer.concat(frameEvents({ events, framing, ...(named && { named }) }));
}

function split(bytes: Buffer, size: () => number): Buffer[] {
  const reads: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + size();
    reads.push(bytes.subarray(at, end));
    at = end;
  }
  return reads;
}

describe.each(FORMATS)('$name', (format) => {
  it('leaves byte-identical where nothing is found, for random splits', () => {
    for (let i = 0; i < 100; i++) {
      const bytes = bytesOf(format, format.say(BENIGN, 1 + random.int(12)));
      const result = run(
        format,
        split(bytes, () => 1 + random.int(random.pick([1, 9, 200]))),
      );
      expect(result.state).toBe('done');
      expect(result.bytes.equals(bytes)).toBe(true);
    }
  });

  it('loses nothing when the provider pauses after every few bytes', () => {
    for (let i = 0; i < 100; i++) {
      const text = `${BENIGN} ${token.slice(0, random.int(9))} ${BENIGN}`;
      const bytes = bytesOf(format, format.say(text, 1 + random.int(20)));
      expect(
        run(
          format,
          split(bytes, () => 1 + random.int(80)),
          true,
        ),
      ).toMatchObject({ state: 'done', text });
    }
  });

  it('says every event once, however it is held', () => {
    const bytes = bytesOf(format, format.say(`${token.slice(0, 6)} is how it begins`, 30));
    const type = (text: string) => text.match(/"type":"[a-z_.]+(?:added|start|created|stop|done|completed)"/g) ?? [];
    const result = run(
      format,
      split(bytes, () => 40),
      true,
    );
    expect(type(result.bytes.toString('utf8'))).toEqual(type(bytes.toString('utf8')));
  });

  it('lets no part of a token out, in any form, split or paused', () => {
    for (const form of STREAMED_FORMS) {
      for (const paused of [false, true]) {
        const bytes = bytesOf(format, format.say(`${LEAD}${form.of(token)} ok`, 1 + random.int(9)));
        const { state, text } = run(
          format,
          split(bytes, () => 1 + random.int(60)),
          paused,
        );
        expect(state, form.name).toBe('blocked');
        expect(text.length, `${form.name}: ${text}`).toBeLessThanOrEqual(LEAD.length + leadOf(form, token));
      }
    }
  });

  it.each(Object.keys(format.fields))('lets no part of a token out of the %s', (field) => {
    const bytes = bytesOf(format, (format.fields[field] as (text: string) => string[])(`is ${token}`));
    for (let i = 0; i < 50; i++) {
      const result = run(
        format,
        split(bytes, () => 1 + random.int(60)),
        i % 2 === 1,
      );
      expect(result.state).toBe('blocked');
      const out = result.bytes.toString('utf8');
      for (let at = 0; at + 6 <= token.length; at++) expect(out).not.toContain(token.slice(at, at + 6));
    }
  });
});
