import fc from 'fast-check';
import RE2 from 're2';
import { describe, expect, test } from 'vitest';
import { expandPattern } from '../../../../engine/rules/lexicon.ts';
import { Prefilter } from '../../../../engine/rules/prefilter.ts';
import { BORDER, relax } from '../../../../engine/rules/relax.ts';
import { loadRules } from '../../../../gateway/config/rules.ts';

const { records, lexicon } = loadRules('config/rules');
const patterns = records.flatMap((rule) => rule.patterns.map((pattern) => expandPattern(pattern, lexicon)));

/** The needs of a pattern with one alternative. */
function needs(pattern: string): readonly (readonly string[])[] {
  return relax(pattern)[0]?.needs ?? [];
}

function mayMatch(pattern: string, text: string): boolean {
  const prefilter = new Prefilter<true>();
  prefilter.add(pattern, true);
  prefilter.seal();
  return prefilter.candidates(text, Buffer.from(text)).length > 0;
}

describe('relax', () => {
  test.each([
    ['abc', [['abc']]],
    ['abc[^.]{0,40}def', [['abc'], ['def']]],
    ['(?:cat|dog)s?', [['cats', 'cat', 'dogs', 'dog']]],
    ['foo\\s+bar', [[`foo${BORDER}`], [`${BORDER}bar`]]],
    ['foo\\s*bar', [['foo'], ['bar']]],
    ['\\bfoo\\b', [[`${BORDER}foo${BORDER}`]]],
    ['colou?r', [['colour', 'color']]],
    ['summari[sz]e', [['summarise', 'summarize']]],
    ['(?:one|tw[a-z]o)x{2,9}', [['one', 'tw']]],
    ['abc(?:def){0,3}', [['abc']]],
    ['abc(?:def){2,3}', [['abc'], ['def']]],
  ])('%s', (pattern, expected) => {
    expect(needs(pattern)).toEqual(expected);
  });

  test('keeps the alternatives of the whole pattern apart', () => {
    expect(relax('foo|bar[0-9]+').map((relaxed) => relaxed.needs)).toEqual([[['foo']], [['bar']]]);
  });

  test.each([
    ['foo\\s+bar', 2],
    ['foo(?:\\w+\\s+){0,4}bar', 6],
    ['foo[^.]{0,10}bar', 8],
    ['foo.*bar', Infinity],
  ])('%s reaches over %s words', (pattern, words) => {
    expect(relax(pattern)[0]?.reachWords).toBe(words);
  });

  test.each(['[^a]{3,9}', '\\d+', '(?:a|bc)'])('refuses %s, which has nothing fixed to look for', (pattern) => {
    expect(() => relax(pattern)).toThrow('nothing fixed');
  });

  test.each(['(?i)abc', '(?<n>abc)', 'abc(', 'abc)', 'ab[c', '\\Qabc', 'abc\\'])('refuses %s', (pattern) => {
    expect(() => relax(pattern)).toThrow();
  });

  test('no counter, class or wildcard of a rule reaches the prefilter', () => {
    for (const pattern of patterns) {
      for (const text of relax(pattern).flatMap((relaxed) => relaxed.needs.flat())) {
        expect(text.replaceAll(BORDER, ''), pattern).not.toMatch(/[[\]{}]|\\[a-z]/);
      }
    }
  });
});

describe('the prefilter never says no wrongly', () => {
  const seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`relax seed ${seed}\n`);
  const words = [...new Set(patterns.flatMap((pattern) => relax(pattern).flatMap(({ needs: all }) => all.flat())))].map(
    (text) => text.replaceAll(BORDER, ''),
  );
  const separator = fc.constantFrom(
    ' ',
    '  ',
    '\n',
    ', ',
    '. ',
    '-',
    '_',
    '',
    ' the ',
    ' all ',
    ' of your ',
    'é',
    '你',
  );
  const text = fc
    .array(fc.tuple(fc.constantFrom(...words), separator, fc.boolean()), { minLength: 1, maxLength: 12 })
    .map((parts) => parts.map(([word, gap, upper]) => (upper ? word.toUpperCase() : word) + gap).join(''));
  const texts = fc.oneof(
    text,
    fc
      .tuple(text, fc.constantFrom(...records.flatMap((rule) => rule.examples.hit.map((hit) => hit.text))), text)
      .map((parts) => parts.join(' ')),
    text.map((raw) => raw.replace(/s/g, '\u017f').replace(/k/g, '\u212a')),
  );
  const exact = patterns.map((pattern) => new RE2(pattern, 'iu'));
  const prefilter = new Prefilter<number>();
  for (const [index, pattern] of patterns.entries()) prefilter.add(pattern, index);
  prefilter.seal();

  test('for the rules, on texts made of their own words', () => {
    let matched = 0;
    fc.assert(
      fc.property(texts, (sample) => {
        const bytes = Buffer.from(sample);
        const ranges = new Map(prefilter.candidates(sample, bytes).map(({ value, from, to }) => [value, { from, to }]));
        for (const [index, regex] of exact.entries()) {
          if (!regex.test(bytes)) continue;
          matched++;
          const range = ranges.get(index);
          expect(range, patterns[index]).toBeDefined();
          if (range !== undefined) expect(regex.test(bytes.subarray(range.from, range.to)), patterns[index]).toBe(true);
        }
      }),
      { seed, numRuns: 300 },
    );
    expect(matched).toBeGreaterThan(50);
  });

  test.each([
    ['so\\s+keep\\s+secret', 'so \u212aeep  \u017fecret'],
    ['foo\\s+skip', 'FOO\u0020\u017fKIP'],
    ['σας', 'ΣΑΣ'],
    ['игнор\\s+все', 'ИГНОР ВСЕ'],
    ['a\\bfoo|foo\\bx|\\bfoo', 'é foo'],
  ])('%s on %s', (pattern, sample) => {
    expect(new RE2(pattern, 'iu').test(sample)).toBe(true);
    expect(mayMatch(pattern, sample)).toBe(true);
  });
});
