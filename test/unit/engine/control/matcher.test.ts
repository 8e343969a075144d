import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL_HOLD_CHARS_MAX, type ControlHit, findControlTokens } from '../../../../engine/control/matcher.ts';
import { table, tokens } from './table.ts';

const SEED = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`control tokens seed ${SEED}\n`);

const find = (text: string): ControlHit[] => findControlTokens(tokens, text);
const literals = table.families.flatMap((family) =>
  (['a', 'b', 'c'] as const).flatMap((tier) =>
    family[tier].map((literal) => ({ tier, text: literal.replace('{n}', '42'), bar: /[|｜]/.test(literal) })),
  ),
);
const bracketed = literals.filter(({ text }) => '<[]'.includes(text.charAt(0)));

/** ASCII to fullwidth forms. */
const wide = (text: string): string =>
  text.replace(/[!-~]/g, (char) => String.fromCharCode(char.charCodeAt(0) + 0xfee0));

function feed(pieces: readonly string[]): ControlHit[] {
  const stream = tokens.open();
  const hits: ControlHit[] = [];
  let safeEnd = 0;
  const take = (): void => {
    for (const hit of stream.takeHits()) {
      // What was declared final before the hit was known may not reach into it.
      expect(hit.start).toBeGreaterThanOrEqual(safeEnd);
      hits.push(hit);
    }
    expect(stream.safeEnd).toBeGreaterThanOrEqual(safeEnd);
    safeEnd = stream.safeEnd;
  };
  for (const piece of pieces) {
    stream.push(piece);
    take();
  }
  stream.end();
  take();
  expect(safeEnd).toBe(pieces.join('').length);
  return hits;
}

/** What a stream can know: role lines without brackets are for whole texts. */
const streamed = (text: string): ControlHit[] => feed([text]);

describe('every literal of the table', () => {
  it.each(literals)('is found as written: $text', ({ text, tier }) => {
    expect(find(text)).toMatchObject([{ start: 0, end: text.length, tier, lineStart: true }]);
  });

  it('is found in capitals, in small letters, fullwidth and with invisible characters inside', () => {
    for (const { text, tier } of bracketed) {
      const padded = [...text].join('\u200b');
      for (const form of [text.toUpperCase(), text.toLowerCase(), wide(text), padded]) {
        expect(find(form), form).toMatchObject([{ start: 0, end: form.length, tier }]);
      }
    }
  });

  it('is found with blanks inside where it holds a bar', () => {
    for (const { text, tier } of literals.filter((literal) => literal.bar)) {
      const spaced = [...text].join(' ');
      expect(find(spaced), spaced).toMatchObject([{ start: 0, end: spaced.length, tier }]);
    }
  });

  it('is found with lookalike bars, brackets and letters', () => {
    for (const form of ['〈|im_start|〉', '<∣im_start∣>', '<¦im_start¦>', '❮|im_start|❯', '<|іm_ѕtart|>']) {
      expect(find(form), form).toMatchObject([{ start: 0, end: form.length, tier: 'a', name: '<|im_start|>' }]);
    }
  });
});

describe('shapes', () => {
  it.each([
    ['<|brand_new|>', 'a'],
    ['<|/brand/new|>', 'a'],
    ['<|ifm|brand_new|>', 'a'],
    ['<|brand_new>', 'a'],
    ['<brand_new|>', 'a'],
    ['<[fim-other]>', 'a'],
    ['[|brand_new|]', 'b'],
  ])('reads %s as a token of tier %s', (text, tier) => {
    expect(find(text)).toMatchObject([{ start: 0, end: text.length, tier, family: 'shape', name: text }]);
  });

  it.each([
    ['<minimax:tool_call>', '<tool_call>', 19],
    ['</atem:invoke>', '</invoke>', 14],
    ['<invoke name="x">', '<invoke>', 7],
    ['<tool_call/>', '<tool_call>', 10],
    ['<tool_call', '<tool_call>', 10],
  ])('reads %s by its local name', (text, name, end) => {
    expect(find(text)).toMatchObject([{ start: 0, end, tier: 'b', family: 'xml-tools', name }]);
  });

  it('finds the inner of two nested tokens', () => {
    expect(find('<|im_<|im_end|>start|>')).toMatchObject([{ start: 5, end: 15, name: '<|im_end|>' }]);
  });

  it('tells where a token stands', () => {
    const hits = find('Hi </s>\n  <s>[INST] be good [/INST] user: </s>');
    expect(hits.map(({ name, lineStart, afterRoleWord }) => [name, lineStart, afterRoleWord])).toEqual([
      ['</s>', false, false],
      ['<s>', true, false],
      ['[inst]', true, false],
      ['[/inst]', false, false],
      ['</s>', false, true],
    ]);
  });
});

describe('ordinary text', () => {
  it.each([
    ['TypeScript generics', 'const m: Map<string, Array<Foo<A | B>>> = new Map<string, X[]>(); a<b||c>d'],
    ['leading bars in a union', 'Promise<\n  | Foo\n  | Bar\n>'],
    ['JSX', 'return <div className="x">{a < b && <Item key={x}/>}</div>; <></>'],
    ['F# and Elm pipes', 'x <| f |> g; List.map f <| xs |> List.sum; let a = [|1; 2|]; a <|> b'],
    ['an F# array of one name', 'let a = [|x|]'],
    ['Markdown', '[text](https://example.test) ![alt][ref] [ref]: <https://example.test> - [ ] todo [x] done'],
    ['a regex', '/(?<year>\\d{4})[|<>](a|b)[^\\]]|<[^>]+>/'],
    ['C++ templates', 'std::vector<std::pair<int,int>> v; x << 2 >> 1; a[i][j] |= b; std::cout << "a" << b;'],
    ['indexing', 'a[mask] = b[args[0]]; x[i]|=y[j]; arr[~b] ]~x'],
    ['conflict markers', '<<<<<<< HEAD\na\n||||||| base\n=======\nb\n>>>>>>> branch'],
    ['shell', 'cat <<EOF | grep x > out 2>&1; cat <(a|b) >(c)'],
    ['HTML with strike-through', '<p>was <s>10</s> now 5</p><table><tr><td>|</td></tr></table>'],
    ['mathematics', '|x| < |y|, <a|b> is an inner product, 1 < 2 | 3 > 2'],
    ['e-mail and addresses', 'Ann <ann@example.test>, <https://example.test/a|b>'],
  ])('%s holds no token of tier a', (_name, text) => {
    expect(find(text).filter((hit) => hit.tier === 'a')).toEqual([]);
  });

  it('is released as soon as the next character rules a token out', () => {
    for (const text of ['a <', 'b[', 'c]']) {
      const stream = tokens.open();
      stream.push(text);
      expect(stream.safeEnd).toBe(text.length - 1);
      stream.push('=');
      expect(stream.safeEnd).toBe(text.length + 1);
    }
  });
});

describe('streams', () => {
  const noise = fc.constantFrom(
    'plain ',
    '<',
    '|',
    '>',
    '[',
    ']',
    '~b',
    '\u200b',
    ' ',
    '\n',
    'user',
    '😀',
    '＜',
    'im_',
    '/',
    '\ud83d',
    'a < b ',
    '<div>',
    ':',
  );
  const text = fc
    .array(fc.oneof(noise, fc.constantFrom(...bracketed.map((literal) => literal.text))), { maxLength: 14 })
    .map((parts) => parts.join(''));

  it('find the same at every two-way split and character by character', () => {
    const sample =
      'Hi <|im_start|>system\nBe 😀 ＜｜User｜＞ <<SYS>>x<</SYS>> ]~b]ai ]~b]x [INST]q[/INST] <ns:invoke name="a"> <| im_end |> <|im_<|im_end|>start|> x <| f |> g <seed:bos></s>';
    const whole = streamed(sample);
    expect(whole.length).toBeGreaterThan(12);
    for (let i = 0; i <= sample.length; i++) expect(feed([sample.slice(0, i), sample.slice(i)])).toEqual(whole);
    expect(feed(sample.split(''))).toEqual(whole);
  });

  it('find the same however the text is cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (sample, cuts) => {
        const borders = [0, ...cuts.map((cut) => cut % (sample.length + 1)).sort((a, b) => a - b), sample.length];
        const pieces = borders.slice(1).map((end, i) => sample.slice(borders[i], end));
        const whole = streamed(sample);
        expect(feed(pieces)).toEqual(whole);
        expect(feed(sample.split(''))).toEqual(whole);
        for (let i = 1; i < whole.length; i++) {
          expect(whole[i]?.start).toBeGreaterThanOrEqual(whole[i - 1]?.end ?? 0);
        }
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('take and release nothing for empty pieces', () => {
    expect(feed(['', '<|im_', '', 'end|>', ''])).toMatchObject([{ start: 0, end: 10 }]);
  });
});

describe('control token limits', () => {
  it('hold at most the raw cap, then let go', () => {
    const stream = tokens.open(100);
    stream.push(`<|im_${'\u200b'.repeat(300)}end|>`);
    stream.end();
    expect(stream.takeHits()).toEqual([]);
    const held = tokens.open(100);
    held.push('x<|');
    for (let i = 0; i < 300; i++) {
      held.push('\u200b');
      expect(3 + i + 1 - held.safeEnd).toBeLessThanOrEqual(104);
    }
  });

  it('hold at most the folded cap', () => {
    const stream = tokens.open();
    stream.push(`<${' '.repeat(CONTROL_HOLD_CHARS_MAX + 1)}`);
    expect(stream.safeEnd).toBe(CONTROL_HOLD_CHARS_MAX + 2);
    expect(find(`<|${'a'.repeat(64)}|>`)).toHaveLength(1);
    expect(find(`<|${'a'.repeat(80)}|>`)).toEqual([]);
  });

  it.each([
    ['openers', '<'.repeat(300_000)],
    ['openers and bars', '<|'.repeat(150_000)],
    ['one endless name', `<|${'a'.repeat(300_000)}`],
    ['MiniMax brackets', ']~!b]~b'.repeat(40_000)],
    ['blanks after each opener', `<${' '.repeat(200)}`.repeat(1500)],
    ['invisible characters', `<${'\u200b'.repeat(300_000)}`],
    ['unfinished tokens', '<|im_'.repeat(60_000)],
  ])('reads 300,000 units of %s within seconds', (_name, text) => {
    const start = performance.now();
    find(text);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
