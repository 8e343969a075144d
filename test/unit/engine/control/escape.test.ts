import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeControlToken } from '../../../../engine/control/escape.ts';
import { type ControlHit, findControlTokens } from '../../../../engine/control/matcher.ts';
import { codeFenceRanges, isActive, pairedNames } from '../../../../engine/control/tiers.ts';
import { decodeEntities } from '../../../../engine/views/entities.ts';
import { originalView } from '../../../../engine/views/view.ts';
import { table, tokens } from './table.ts';

const SEED = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`escape seed ${SEED}\n`);

const literals = table.families
  .flatMap((family) => [...family.a, ...family.b, ...family.c])
  .map((literal) => literal.replace('{n}', '7'))
  .filter((literal) => '<[]'.includes(literal.charAt(0)));

/** Escapes every hit of a text once. */
function neutralise(text: string): string {
  let out = '';
  let done = 0;
  for (const hit of findControlTokens(tokens, text)) {
    if (!'<[]＜［］'.includes(text.charAt(hit.start))) continue;
    out += text.slice(done, hit.start) + escapeControlToken(text.slice(hit.start, hit.end));
    done = hit.end;
  }
  return out + text.slice(done);
}

const bracketHits = (text: string): ControlHit[] =>
  findControlTokens(tokens, text).filter((hit) => hit.family !== 'plain-roles');

describe('escaping', () => {
  it('keeps the name readable', () => {
    expect(escapeControlToken('<|system|>')).toBe('‹|system|›');
    expect(escapeControlToken('[INST]')).toBe('⸢INST⸣');
    expect(escapeControlToken(']~b]ai')).toBe('⸣~b⸣ai');
    expect(escapeControlToken('＜｜User｜＞')).toBe('‹｜User｜›');
  });

  it('escapes brackets written as character references', () => {
    expect(escapeControlToken('&lt;|system|&#62;')).toBe('‹|system|›');
    expect(escapeControlToken('&amp;lt;|system|&amp;gt;')).toBe('‹|system|›');
  });

  it('is idempotent, never matches, and survives NFKC and HTML decoding', () => {
    for (const literal of literals) {
      const escaped = escapeControlToken(literal);
      expect(escapeControlToken(escaped)).toBe(escaped);
      expect(bracketHits(escaped), escaped).toEqual([]);
      expect(bracketHits(escaped.normalize('NFKC')), escaped).toEqual([]);
      expect(bracketHits(escaped.normalize('NFKD')), escaped).toEqual([]);
      expect(decodeEntities(originalView(escaped))).toBeNull();
    }
  });

  it('reaches a fixed point on nested and adjacent tokens', () => {
    const piece = fc.constantFrom(
      '<|im_',
      'start|>',
      '<|',
      '|>',
      '<',
      '>',
      '[',
      ']',
      '[INST]',
      ']~b]',
      '<<SYS>>',
      '‹',
      '›',
      'end',
      '|',
      ...literals,
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = neutralise(pieces.join(''));
        expect(bracketHits(once)).toEqual([]);
        expect(neutralise(once)).toBe(once);
      }),
      { seed: SEED, numRuns: 1000 },
    );
    expect(neutralise('<|im_<|im_end|>start|>')).toBe('<|im_‹|im_end|›start|>');
  });
});

describe('tiers', () => {
  const hit = (over: Partial<ControlHit>): ControlHit => ({
    start: 0,
    end: 3,
    tier: 'b',
    family: 'llama2',
    name: '<s>',
    lineStart: false,
    afterRoleWord: false,
    ...over,
  });
  const context = { inCodeFence: false, pairedNames: new Set<string>() };

  it.each([
    ['tier a anywhere', hit({ tier: 'a' }), { ...context, provenance: 'user', inCodeFence: true }, true],
    ['tier c nowhere', hit({ tier: 'c', lineStart: true }), { ...context, provenance: 'tool' }, false],
    ['tier b amid a line', hit({}), { ...context, provenance: 'user' }, false],
    ['tier b at a line start', hit({ lineStart: true }), { ...context, provenance: 'user' }, true],
    ['tier b after a role word', hit({ afterRoleWord: true }), { ...context, provenance: 'user' }, true],
    ['tier b before a role word', hit({}), { ...context, provenance: 'user', beforeRoleWord: true }, true],
    ['tier b in code', hit({ lineStart: true }), { ...context, provenance: 'user', inCodeFence: true }, false],
    [
      'tier b paired',
      hit({ name: '[inst]' }),
      { ...context, provenance: 'user', pairedNames: new Set(['[inst]']) },
      true,
    ],
    ['tier b in a document', hit({}), { ...context, provenance: 'document' }, true],
    ['tier b in a tool result', hit({}), { ...context, provenance: 'tool' }, true],
    ['tier b amid an answer', hit({}), { ...context, provenance: 'output' }, false],
    ['tier b opening a line of an answer', hit({ lineStart: true }), { ...context, provenance: 'output' }, true],
    [
      'reasoning tags of an answer',
      hit({ name: '[think]', lineStart: true }),
      { ...context, provenance: 'output' },
      false,
    ],
  ] as const)('%s', (_name, one, where, active) => {
    expect(isActive(one, where)).toBe(active);
  });

  it('pairs square brackets only', () => {
    const names = pairedNames(findControlTokens(tokens, 'x [INST] a [/INST] y <s>b</s> <tools></tools> [THINK]'));
    expect([...names].sort()).toEqual(['[/inst]', '[inst]']);
  });
});

describe('code fences', () => {
  it.each([
    ['a\n```js\nb\n```\nc', [[2, 13]]],
    ['~~~\na\n```\nb\n~~~~\nc', [[0, 16]]],
    ['````\n```\n````', [[0, 13]]],
    ['a\n   ```\nopen to the end', [[2, 24]]],
    ['    ```\nindented too far', []],
    ['`` not three', []],
  ])('of %j', (text, ranges) => {
    expect(codeFenceRanges(text).map(({ start, end }) => [start, end])).toEqual(ranges);
  });
});
