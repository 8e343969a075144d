import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { type FoundCall, findTextCalls } from '../../../../engine/tools/find.ts';
import { TextGate } from '../../../../engine/tools/gate.ts';
import { parseTree } from '../../../../gateway/wire/tree.ts';
import { testEngine, withOutput } from '../../../helpers/engine.ts';
import { seeded } from '../../../helpers/random.ts';

const random = seeded('gate');
const parse = (text: string) => parseTree(text, 128);
const HELD_MAX = 20_000;

interface Reading {
  readonly calls: readonly unknown[];
  /** `safeEnd` after each piece. */
  readonly safe: readonly number[];
  readonly exceeded: boolean;
}

const brief = (calls: readonly FoundCall[]) =>
  calls.map(({ name, args, badJson }) => [name, args === null ? null : [...args.entries.keys()], badJson]);

function read(pieces: readonly string[], heldCharsMax = HELD_MAX): Reading {
  const calls: unknown[] = [];
  const safe: number[] = [];
  let exceeded = false;
  const gate = new TextGate({
    path: 'text',
    heldCharsMax,
    parse,
    onCalls: (found) => calls.push(...brief(found)),
    onExceeded: () => {
      exceeded = true;
    },
  });
  for (const piece of pieces) {
    gate.push(piece);
    safe.push(gate.safeEnd);
  }
  gate.flush();
  return { calls, safe, exceeded };
}

const ARGS = '{"a":1,"b":"x"}';
/** Each with where its call begins. */
const CALLS: readonly (readonly [string, number])[] = [
  [`text <tool_call>\n{"name":"f","arguments":${ARGS}}\n</tool_call> more`, 5],
  [`[TOOL_CALLS] [{"name":"f","arguments":${ARGS}}] <`, 0],
  [`a [TOOL_CALLS]f[ARGS]${ARGS}`, 2],
  [`<|python_tag|>{"name":"f","parameters":${ARGS}}<|eom_id|>`, 0],
  [`Now <function=f>${ARGS}</function>.`, 4],
  ['<function_calls>\n<invoke name="f">\n<parameter name="a">1</parameter>\n</invoke>\n</function_calls>', 17],
  ['x < y <ns:invoke name="f"><ns:parameter name="a">1</ns:parameter></ns:invoke>', 6],
  ['<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>', 12],
  ['<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>', 0],
  [`<|channel|>commentary to=functions.f <|constrain|>json<|message|>${ARGS}<|call|>`, 22],
  [`<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>${ARGS}`, 28],
  [`<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n\`\`\`json\n${ARGS}\n\`\`\``, 20],
  ['to=functions.f <tool_call>{"name":"f","arguments":{}}</tool_call>', 15],
  ['<|tool_call_start|>[f(a=1)]<|tool_call_end|>', 0],
  ['<tool_call>{"name":"f","arguments":{"a":', 0],
  [` {"name":"f","arguments":${ARGS}} `, 1],
  [`\n\`\`\`json\n[{"name":"f","arguments":${ARGS}}]\n\`\`\`\n`, 1],
  [`{"say":"<tool_call>{}","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}`, 0],
];

describe('a call in a text', () => {
  it.each(CALLS)('is found however the text is cut, and held from its marker on: %j', (text, start) => {
    const whole = brief(findTextCalls(text, 'text', parse));
    expect(whole.length).toBeGreaterThan(0);
    const cuts = [
      [...text],
      ...Array.from({ length: text.length - 1 }, (_, i) => [text.slice(0, i + 1), text.slice(i + 1)]),
    ];
    for (const pieces of [[text], ...cuts]) {
      const reading = read(pieces);
      expect(reading.calls).toEqual(whole);
      expect(Math.max(...reading.safe)).toBeLessThanOrEqual(start);
    }
  });

  it.each(CALLS)('is handed over before anything behind its marker leaves, also with text around: %j', (text) => {
    const before = 'Some words. '.repeat(1 + random.int(20));
    const after = ' And other words follow, to be read.'.repeat(60);
    // As the whole answer a text means something else than inside of one.
    const all = `${before}${text}${after}`;
    const whole = findTextCalls(all, 'text', parse);
    const start = whole[0]?.span?.start ?? all.length;
    let seen = 0;
    let pushed = 0;
    const gate = new TextGate({
      path: 'text',
      heldCharsMax: HELD_MAX,
      parse,
      onCalls: (calls) => {
        seen += calls.length;
      },
      onExceeded: () => expect.unreachable(),
    });
    while (pushed < all.length) {
      const size = 1 + random.int(12);
      gate.push(all.slice(pushed, pushed + size));
      pushed += size;
      if (seen === 0) expect(gate.safeEnd).toBeLessThanOrEqual(start);
    }
    gate.flush();
    expect(seen).toBe(whole.length);
    expect(gate.safeEnd).toBe(all.length);
  });
});

describe('any text', () => {
  const ATOMS = [
    '<',
    '>',
    '<tool_call>',
    '</tool_call>',
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    'to=',
    'to=functions.f',
    '<|message|>',
    'f',
    '(',
    ')',
    '[TOOL_CALLS]',
    '<|python_tag|>',
    '<function=',
    'f>',
    '<invoke name="f">',
    '</invoke>',
    ' ',
    '\n',
    '```',
    '```json\n',
    '\ufeff',
    '{"name":"f","arguments":{}}',
    '"name":"f"',
    ',',
    ':',
    '<arg_key>',
    'a</arg_key><arg_value>',
    'ſ',
    '😀',
    '<ｔ',
    '<｜tool▁call▁begin｜>',
    '<|tool_call_begin|>',
    'words and words '.repeat(80),
    '</function>',
    't',
    'T',
    'o',
    '<parameter=a>',
  ];

  it('gives the same calls however it is cut, and lets nothing go back', () => {
    for (let round = 0; round < 1000; round++) {
      const text = Array.from({ length: 1 + random.int(24) }, () => random.pick(ATOMS)).join('');
      const whole = brief(findTextCalls(text, 'text', parse));
      expect(read([text]).calls, text).toEqual(whole);
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + random.int(round % 3 === 0 ? 1 : 40);
        pieces.push(text.slice(at, at + size));
        at += size;
      }
      const reading = read(pieces);
      expect(reading.calls, text).toEqual(whole);
      reading.safe.forEach((end, index) => {
        expect(end).toBeGreaterThanOrEqual(reading.safe[index - 1] ?? 0);
      });
    }
  });

  it('that goes on after flushes gives the calls of the whole, and those of what follows each', () => {
    for (let round = 0; round < 600; round++) {
      const parts = Array.from({ length: 2 + random.int(3) }, () =>
        Array.from({ length: 1 + random.int(8) }, () => random.pick(ATOMS)).join(''),
      );
      const text = parts.join('');
      const found: unknown[] = [];
      let length = 0;
      let last = 0;
      const gate = new TextGate({
        path: 'text',
        heldCharsMax: HELD_MAX,
        parse,
        onCalls: (calls) => found.push(...brief(calls)),
        onExceeded: () => expect.unreachable(),
      });
      for (const part of parts) {
        for (let at = 0; at < part.length; ) {
          const piece = part.slice(at, at + 1 + random.int(40));
          gate.push(piece);
          at += piece.length;
          length += piece.length;
          expect(gate.safeEnd).toBeGreaterThanOrEqual(last);
          expect(gate.safeEnd).toBeLessThanOrEqual(length);
          last = gate.safeEnd;
        }
        gate.flush();
        last = gate.safeEnd;
        expect(last).toBe(length);
      }
      const known = new Set(found.map((call) => JSON.stringify(call)));
      // As the whole text, as the text up to each flush, as each text by itself, and as each with all that follows.
      const readings = [
        ...parts.map((_, i) => parts.slice(0, i + 1).join('')),
        ...parts,
        ...parts.map((_, i) => parts.slice(i).join('')),
      ];
      for (const reading of readings) {
        for (const call of brief(findTextCalls(reading, 'text', parse))) {
          expect([...known], `${parts.join('|')} as ${reading}`).toContain(JSON.stringify(call));
        }
      }
      expect(text.length).toBe(length);
    }
  });

  it.each([
    ['prose', 'Compare a < b, see [1] and go to=nowhere. {name}, hello: "x". '.repeat(4)],
    ['a list of words', '[Note: this is no JSON] and so on, at some length.'],
    ['a template', '{name}, welcome to the shop.'],
    ['a fence of code', '```ts\nconst a = [1];\n```\nThat is all.'],
    ['tags', '<p>Some <b>bold</b> text with <a href="x">a link</a>.</p> '],
  ])('of %s is held no longer than a marker could be', (_name, text) => {
    const { safe } = read([...text]);
    const last = safe[safe.length - 1] as number;
    expect(text.length - last).toBeLessThanOrEqual(12);
  });
});

describe('the limit on held characters', () => {
  const long = `<tool_call>{"name":"f","arguments":{"a":"${'x'.repeat(5000)}"}}</tool_call>`;
  const json = `{"name":"f","arguments":{"a":"${'x'.repeat(5000)}"}}`;

  it.each([
    ['a marked call', `Go. ${long} then ${'words '.repeat(2000)}`],
    ['a whole answer', json],
    ['a whole answer that goes on as prose', `${json} then words`],
    ['a marked call that does not end', `<tool_call>{${' '.repeat(9000)}`],
  ])('is met by %s, however it is cut', (_name, text) => {
    for (const pieces of [[text], [...text], [text.slice(0, 3000), text.slice(3000)]]) {
      const reading = read(pieces, 2000);
      expect(reading).toMatchObject({ exceeded: true, calls: [] });
      expect(reading.safe[reading.safe.length - 1]).toBe(Number.POSITIVE_INFINITY);
    }
    for (const pieces of [[text], [...text]]) expect(read(pieces).exceeded).toBe(false);
  });

  it('is not met by prose of any length', () => {
    expect(read(['many words < than [this] '.repeat(2000)], 2000).exceeded).toBe(false);
  });
});

describe('an answer session with a tool policy', () => {
  const { policy, open } = testEngine();
  const with_ = (tools: Partial<Policy['tools']>, failureMode: 'open' | 'closed' = 'closed'): Policy =>
    withOutput(
      { ...policy, tools: { ...policy.tools, ...tools } },
      { toolConstraints: { ...policy.output.toolConstraints, action: 'sanitize', failureMode } },
    );

  it.each(CALLS)('lets no part of a call leave that is not allowed: %j', (text, start) => {
    for (const pieces of [[text], [...text]]) {
      const session = open(null, with_({ allowed: [] }));
      for (const piece of pieces) {
        session.push('0/content', 'text', piece);
        expect(session.blocked ? 0 : session.safeEnd('0/content')).toBeLessThanOrEqual(start);
      }
      const verdict = session.end();
      expect(verdict.action).toBe('block');
      expect(verdict.toolViolations[0]?.path).toMatch(/^0\/content/);
      expect(verdict.receipt.scanners['tool-policy']).toBe('ran');
    }
  });

  it('releases a call that is allowed with all that follows it', () => {
    const text = 'Now [TOOL_CALLS]f{"a":1} and that was it.';
    const session = open(null, with_({ allowed: ['f'] }));
    session.push('0/content', 'text', text);
    expect(session.safeEnd('0/content')).toBe(4);
    session.flushChannel('0/content');
    expect(session.safeEnd('0/content')).toBe(text.length);
    expect(session.end()).toMatchObject({ toolViolations: [], unavailable: false });
  });

  it('rewrites what it held as if it had not been held', () => {
    const text = `{"a":"${'words <|im_start|> and [INST] more '.repeat(300)}","tokens":["<|eot_id|>"]}`;
    const released = (tools: Partial<Policy['tools']>): string => {
      const session = open(null, with_(tools));
      let result = '';
      let done = 0;
      const release = (): void => {
        const end = session.safeEnd('0/content');
        for (let at = done; at < end; at += 5) {
          const to = Math.min(end, at + 5);
          const part = text.slice(at, to);
          result += session.rewrite('0/content', at, to, part) ?? part;
        }
        done = end;
      };
      for (let at = 0; at < text.length; at += 7) {
        session.push('0/content', 'text', text.slice(at, at + 7));
        release();
      }
      if (tools.allowed !== undefined) expect(done).toBe(0);
      session.end();
      release();
      return result;
    };
    const expected = released({});
    expect(expected).toContain('words \u2039|im_start|\u203a and');
    expect(released({ allowed: ['f'] })).toBe(expected);
  });

  it('holds nothing and says so while the policy states nothing', () => {
    const session = open(null);
    session.push('0/content', 'text', '{"name":"f","arguments":{}}');
    expect(session.safeEnd('0/content')).toBe(27);
    session.judgeCall({ name: 'f', arguments: '{}', path: '/x' });
    const verdict = session.end();
    expect(verdict).toMatchObject({ action: 'pass', toolViolations: [] });
    expect(verdict.receipt.scanners['tool-policy']).toBe('not_run');
  });

  it('judges calls that came as data, and blocks though the action is to sanitize', () => {
    const session = open(null, with_({ allowed: ['f', 'sh*'], required: { f: ['a'] } }));
    session.judgeCall({ name: 'f', arguments: '{"a":1}', path: '/calls/0' });
    session.judgeCall({ name: 'shell', arguments: null, path: '/calls/1' });
    expect(session.blocked).toBe(false);
    session.judgeCall({ name: 'f', arguments: '{"b":"secret"}', path: '/calls/2' });
    session.judgeCall({ name: 'g', arguments: '{}', path: '/calls/3' });
    session.judgeCall({ name: 'f', arguments: '{"a":', path: '/calls/4' });
    expect(session.blocked).toBe(true);
    const verdict = session.end();
    expect(verdict.toolViolations).toEqual([
      { tool: 'f', code: 'missing_field', path: '/calls/2/arguments/a' },
      { tool: 'g', code: 'not_allowed', path: '/calls/3' },
      { tool: 'f', code: 'bad_json', path: '/calls/4/arguments' },
    ]);
    expect(JSON.stringify(verdict)).not.toContain('secret');
  });

  it('reads the arguments of a free-form tool as text', () => {
    const judged = (tools: Partial<Policy['tools']>, text: string) => {
      const session = open(null, with_(tools));
      session.judgeCall({ name: 'sql', arguments: text, freeForm: true, path: '/c' });
      return session.end().toolViolations.map(({ code, path }) => `${code} ${path}`);
    };
    const rule = { tool: 'sql', argument: '', excludes: '(?i)drop' };
    expect(judged({ allowed: ['sql'] }, 'SELECT 1')).toEqual([]);
    expect(judged({ arguments: [rule] }, 'DROP x')).toEqual(['argument /c/arguments']);
    expect(judged({ arguments: [{ ...rule, argument: '/q' }] }, 'SELECT 1')).toEqual(['argument /c/arguments']);
    expect(judged({ schemas: { sql: { type: 'string', maxLength: 3 } } }, 'SELECT 1')).toEqual(['schema /c/arguments']);
  });

  it('keeps a bounded number of violations', () => {
    const session = open(null, with_({ allowed: [] }));
    for (let i = 0; i < 200; i++) session.judgeCall({ name: 'f', arguments: null, path: `/c/${i}` });
    expect(session.end().toolViolations).toHaveLength(64);
  });

  it.each([
    ['closed', { action: 'block', unavailable: true }, 'failed_closed'],
    ['open', { action: 'pass', unavailable: false }, 'failed_open'],
  ] as const)('that cannot decide ends as %s says', (mode, verdict, state) => {
    // A schema that runs in a circle on any data.
    const schemas = { f: { $dynamicAnchor: 'x', allOf: [{ $dynamicRef: '#x' }] } };
    const session = open(null, with_({ schemas }, mode));
    session.judgeCall({ name: 'f', arguments: '{}', path: '/c' });
    const end = session.end();
    expect(end).toMatchObject(verdict);
    expect(end.receipt.scanners['tool-policy']).toBe(state);
    expect(end.failures.map(({ guard }) => guard)).toEqual(['tool-policy']);
  });

  it.each([
    ['closed', true],
    ['open', false],
  ] as const)('with more to hold than the limit ends as %s says', (mode, blocked) => {
    const session = open(null, with_({ allowed: [] }, mode));
    const piece = '<tool_call>{"name":"f","arguments":{"a":"'.padEnd(65_536, 'x');
    for (let i = 0; i < 20; i++) session.push('0/content', 'text', i === 0 ? piece : 'x'.repeat(65_536));
    expect(session.blocked).toBe(blocked);
    expect(session.end().receipt.scanners['tool-policy']).toBe(`failed_${mode}`);
  });

  it.each([
    ['closed', true],
    ['open', false],
  ] as const)('with more channels than are read ends as %s says', (mode, blocked) => {
    const tolerant = with_({ allowed: [] }, mode);
    const { output } = tolerant;
    const session = open(null, withOutput(tolerant, { canary: { ...output.canary, failureMode: 'open' } }));
    for (let i = 0; i <= 2000 && !session.blocked; i++) session.push(`${i}/content`, 'text', 'x');
    expect(session.blocked).toBe(blocked);
    const verdict = session.end();
    expect(verdict.receipt.scanners['tool-policy']).toBe(`failed_${mode}`);
    expect(verdict.failures.length).toBeLessThanOrEqual(8);
  });
});
