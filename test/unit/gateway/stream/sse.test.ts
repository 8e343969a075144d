import { describe, expect, it } from 'vitest';
import { reframe, SseError, type SseFrame, SseParser } from '../../../../gateway/stream/sse.ts';

const BOM = '\u{feff}';

function parse(parts: readonly Buffer[], eventBytesMax = 1 << 20): SseFrame[] {
  const frames: SseFrame[] = [];
  const parser = new SseParser({ eventBytesMax }, (frame) => frames.push(frame));
  for (const part of parts) parser.push(part);
  parser.end();
  return frames;
}

function simple(frame: SseFrame): unknown[] {
  return [frame.data, frame.event, frame.needsReframing, frame.hasComment];
}

/** name, stream, [data, event, needsReframing, hasComment] of each frame. */
const STREAMS: readonly [string, string, unknown[][]][] = [
  [
    'LF',
    'data: {"a":1}\n\ndata: [DONE]\n\n',
    [
      ['{"a":1}', null, false, false],
      ['[DONE]', null, false, false],
    ],
  ],
  [
    'CRLF',
    'data: one\r\n\r\ndata: two\r\n\r\n',
    [
      ['one', null, false, false],
      ['two', null, false, false],
    ],
  ],
  [
    'CR',
    'data: one\r\rdata: two\r\r',
    [
      ['one', null, true, false],
      ['two', null, true, false],
    ],
  ],
  [
    'mixed line ends',
    'data: a\ndata: b\r\n\rdata: c\r\n\ndata: d\r\r\ndata: e\n\r\n',
    [
      ['a\nb', null, true, false],
      ['c', null, false, false],
      ['d', null, true, false],
      ['e', null, false, false],
    ],
  ],
  [
    'comments between and inside',
    ': ping\n\ndata: x\n: note\n\n',
    [
      [null, null, false, true],
      ['x', null, false, true],
    ],
  ],
  [
    'no blank after the colon, two blanks, no colon',
    'data:x\n\ndata:  y\n\ndata\n\ndata:\n\n',
    [
      ['x', null, false, false],
      [' y', null, false, false],
      ['', null, false, false],
      ['', null, false, false],
    ],
  ],
  ['multi-line data', 'data: {"a":\ndata:\ndata: 1}\n\n', [['{"a":\n\n1}', null, false, false]]],
  [
    'event, id, retry and unknown fields',
    'event: error\ndata: x\n\nevent:\ndata: w\n\nid: 7\ndata: y\n\nretry: 10\n\nfoo\nDATA: no\ndata : no\ndata: z\n\n',
    [
      ['x', 'error', true, false],
      ['w', null, true, false],
      ['y', null, true, false],
      [null, null, true, false],
      ['z', null, true, false],
    ],
  ],
  [
    'byte-order mark',
    `${BOM}data: x\n\ndata: y\n\n`,
    [
      ['x', null, true, false],
      ['y', null, false, false],
    ],
  ],
  [
    'byte-order mark and a blank line',
    `${BOM}\ndata: y\n\n`,
    [
      [null, null, true, false],
      ['y', null, false, false],
    ],
  ],
  [
    'a later byte-order mark is part of a field name',
    `data: x\n\n${BOM}data: y\n\n`,
    [
      ['x', null, false, false],
      [null, null, true, false],
    ],
  ],
  [
    'more blank lines than needed',
    '\ndata: x\n\n\n\r\ndata: y\n\n',
    [
      [null, null, false, false],
      ['x', null, false, false],
      [null, null, false, false],
      [null, null, false, false],
      ['y', null, false, false],
    ],
  ],
  ['no final blank line', 'data: x\n', [['x', null, true, false]]],
  ['no final line end', 'data: x', [['x', null, true, false]]],
  ['a final CR', 'data: x\r\n\r', [['x', null, true, false]]],
  ['text that looks like fields', 'data: a: b data: c\n\n', [['a: b data: c', null, false, false]]],
  ['characters of two to four bytes', 'data: Grüße 漢字 👩‍👩‍👧\n\n', [['Grüße 漢字 👩‍👩‍👧', null, false, false]]],
  ['an empty stream', '', []],
];

describe.each(STREAMS)('reads %s', (_name, text, expected) => {
  const bytes = Buffer.from(text);

  it('in one read', () => {
    const frames = parse([bytes]);
    expect(frames.map(simple)).toEqual(expected);
    expect(Buffer.concat(frames.map((frame) => frame.raw)).toString()).toBe(text);
  });

  it('split at every byte, at every pair of bytes, and into single bytes', () => {
    for (let i = 0; i <= bytes.length; i += 1) {
      for (let j = i; j <= bytes.length; j += 1) {
        const frames = parse([bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]);
        expect(frames.map(simple), `cut at ${i} and ${j}`).toEqual(expected);
      }
    }
    const single = parse(Array.from(bytes, (byte) => Buffer.from([byte])));
    expect(single.map(simple)).toEqual(expected);
  });
});

describe('raw bytes', () => {
  it('are the same for every split as long as no CR stands alone', () => {
    for (const [name, text] of STREAMS) {
      const bytes = Buffer.from(text);
      const whole = parse([bytes]);
      if (/\r(?!\n)/.test(text)) continue;
      for (let i = 0; i <= bytes.length; i += 1) {
        const split = parse([bytes.subarray(0, i), bytes.subarray(i)]);
        expect(
          split.map((frame) => frame.raw.toString()),
          `${name} cut at ${i}`,
        ).toEqual(whole.map((frame) => frame.raw.toString()));
      }
    }
  });

  it('lose an LF that comes in the read after a block of bare CRs, and no event is made of it', () => {
    const frames = parse([Buffer.from('data: x\r\r'), Buffer.from('\ndata: y\n\n')]);
    expect(frames.map((frame) => frame.raw.toString())).toEqual(['data: x\r\r', 'data: y\n\n']);
  });
});

describe('promptness', () => {
  it.each(['data: x\n\n', 'data: x\r\n\r\n', 'data: x\r\r', 'data: x\n\r\n'])(
    'hands out %j without more input',
    (text) => {
      const seen: (string | null)[] = [];
      new SseParser({ eventBytesMax: 100 }, (frame) => seen.push(frame.data)).push(Buffer.from(text));
      expect(seen).toEqual(['x']);
    },
  );

  it('hands out nothing after stop, in the same read or later', () => {
    const seen: (string | null)[] = [];
    const parser = new SseParser({ eventBytesMax: 100 }, (frame) => {
      seen.push(frame.data);
      parser.stop();
    });
    parser.push(Buffer.from('data: x\n\ndata: y\n\ndata: z'));
    parser.push(Buffer.from('\n\n'));
    parser.end();
    expect(seen).toEqual(['x']);
  });
});

describe('limits', () => {
  const cases: [string, string[]][] = [
    ['one event in one read', ['data: 0123456789\n\n']],
    ['one event in many reads', [...'data: 0123456789\n\n']],
    ['a line that never ends', ['data: ', '0123456789', '0123456789']],
    ['many lines that never end the block', Array(10).fill('data: x\n')],
  ];
  it.each(cases)('refuses %s over the size limit, after the frames before it', (_name, parts) => {
    const seen: (string | null)[] = [];
    const parser = new SseParser({ eventBytesMax: 16 }, (frame) => seen.push(frame.data));
    const feed = () => {
      parser.push(Buffer.concat([Buffer.from('data: ok\n\n'), Buffer.from(parts[0] ?? '')]));
      for (const part of parts.slice(1)) parser.push(Buffer.from(part));
    };
    expect(feed).toThrow(expect.objectContaining({ code: 'event_too_large' }));
    expect(seen).toEqual(['ok']);
    expect(() => parser.push(Buffer.from('data: y\n\n'))).toThrow(SseError);
    expect(() => parser.end()).toThrow(SseError);
  });

  it('takes an event of exactly the limit', () => {
    expect(parse([Buffer.from('data: 01234567\n\n')], 16)).toHaveLength(1);
  });

  it('joins an event of many reads in linear time', () => {
    const read = Buffer.alloc(64, 0x61);
    const start = process.cpuUsage();
    const frames = parse([Buffer.from('data: '), ...Array(100_000).fill(read), Buffer.from('\n\n')], 8 << 20);
    expect(frames[0]?.data?.length).toBe(6_400_000);
    // 0.1 s of CPU here; copying the buffer on each read would take minutes.
    expect(process.cpuUsage(start).user).toBeLessThan(5_000_000);
  });
});

describe('invalid UTF-8', () => {
  it.each([
    ['a lone continuation byte', [0x80]],
    ['a cut character', [0xe6, 0xbc]],
    ['an overlong form', [0xc0, 0xaf]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
  ])('refuses %s', (_name, bytes) => {
    const stream = Buffer.concat([Buffer.from('data: '), Buffer.from(bytes), Buffer.from('\n\n')]);
    for (let i = 0; i <= stream.length; i += 1) {
      expect(() => parse([stream.subarray(0, i), stream.subarray(i)])).toThrow(
        expect.objectContaining({ code: 'invalid_utf8' }),
      );
    }
  });

  it('refuses a stream that ends inside a character', () => {
    expect(() => parse([Buffer.from('data: x'), Buffer.from([0xf0, 0x9f])])).toThrow(SseError);
  });

  it('puts none of the text into the error', () => {
    const error = (() => {
      try {
        parse([Buffer.from('data: sk-marker-4711\n\n')], 4);
      } catch (caught) {
        return caught;
      }
      return null;
    })();
    expect(String(error)).not.toContain('marker');
  });
});

describe('reframe', () => {
  it.each([
    ['{"a":1}', 'data: {"a":1}\n\n'],
    ['', 'data: \n\n'],
    ['a\nb', 'data: a\ndata: b\n\n'],
    ['a\r\nb\rc\n', 'data: a\ndata: b\ndata: c\ndata: \n\n'],
  ])('frames %j', (data, expected) => {
    expect(reframe(data).toString()).toBe(expected);
    const frames = parse([reframe(data)]);
    expect(frames.map((frame) => frame.data)).toEqual([data.replace(/\r\n|\r/g, '\n')]);
    expect(frames[0]?.needsReframing).toBe(false);
  });
});
