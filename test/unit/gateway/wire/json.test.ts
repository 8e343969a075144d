import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applySplices,
  eachString,
  insertIntoString,
  JsonError,
  type JsonNode,
  type JsonString,
  member,
  parseJson,
  replaceString,
  type Splice,
} from '../../../../gateway/wire/json.ts';

function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object':
      return Object.fromEntries([...node.entries].map(([key, value]) => [key, plain(value)]));
    case 'array':
      return node.items.map(plain);
    default:
      return node.value;
  }
}

const problem = (source: string, depthMax = 16): string => {
  try {
    parseJson(source, depthMax);
  } catch (error) {
    if (error instanceof JsonError) return error.problem;
    throw error;
  }
  return 'none';
};

describe('the reader', () => {
  it('reads what JSON.parse reads, for any value and spacing', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(0, 1, 2), (source, indent) => {
        const value: unknown = JSON.parse(source);
        if (source.includes('__proto__')) return;
        const text = JSON.stringify(value, null, indent);
        expect(plain(parseJson(text, 64))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses what JSON.parse refuses, and nothing else but repeated keys', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'{}[],:"\\ntruefals0123-+.eE \n\u0000é'), maxLength: 14 }),
        (source) => {
          let valid = true;
          try {
            JSON.parse(source);
          } catch {
            valid = false;
          }
          const found = problem(source, 64);
          expect(found === 'none' || found === 'duplicate_key').toBe(valid);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['{"a":1,"a":2}', 'duplicate_key'],
    ['{"a":{"b":1,"b":1}}', 'duplicate_key'],
    ['{"a":1,"\\u0061":2}', 'duplicate_key'],
    ['[[[[1]]]]', 'json_too_deep'],
    ['{"a":{"a":{"a":{"a":1}}}}', 'json_too_deep'],
    ['', 'invalid_json'],
    ['{"a":1,}', 'invalid_json'],
    ['[1,]', 'invalid_json'],
    ['01', 'invalid_json'],
    ['"\t"', 'invalid_json'],
    ['"\\x"', 'invalid_json'],
    ['{"a":1} x', 'invalid_json'],
    ['nul', 'invalid_json'],
    ['"open', 'invalid_json'],
    ["{'a':1}", 'invalid_json'],
  ])('refuses %s as %s', (source, expected) => {
    expect(problem(source, 3)).toBe(expected);
  });

  it('survives a depth of a million', () => {
    expect(problem('['.repeat(1_000_000))).toBe('json_too_deep');
    expect(problem('{"a":'.repeat(1_000_000))).toBe('json_too_deep');
    expect(problem('['.repeat(1_000_000), 2_000_000)).toBe('invalid_json');
  });

  it('keeps keys of the prototype as ordinary members', () => {
    const root = parseJson('{"__proto__":{"x":1},"constructor":2,"toString":"t"}', 8);
    expect(member(root, '__proto__')?.kind).toBe('object');
    expect(member(root, 'toString')?.kind).toBe('string');
    expect(member(root, 'hasOwnProperty')).toBe(null);
    expect(({} as Record<string, unknown>).x).toBe(undefined);
  });

  it('visits every string with its pointer, in order', () => {
    const seen: string[] = [];
    eachString(parseJson('{"a":["x",{"b/c":"y"}],"~":"z"}', 8), '', (leaf, path) => seen.push(`${path}=${leaf.value}`));
    expect(seen).toEqual(['/a/0=x', '/a/1/b~1c=y', '/~0=z']);
  });
});

describe('splices', () => {
  it('change one leaf and no other byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }),
        fc.string(),
        fc.nat(),
        (texts, text, pick) => {
          const source = `{ "n": 1e400,\t"list" : ${JSON.stringify(texts)} , "z":-0}`;
          const list = member(parseJson(source, 8), 'list');
          const items = list?.kind === 'array' ? list.items : [];
          const index = pick % items.length;
          const leaf = items[index] as JsonString;
          const result = applySplices(source, [replaceString(leaf, text)]);
          const expected = texts.map((other, i) => (i === index ? text : other));
          expect(result.startsWith(source.slice(0, leaf.start))).toBe(true);
          expect(result.endsWith(source.slice(leaf.end))).toBe(true);
          expect((JSON.parse(result) as { list: string[] }).list).toEqual(expected);
        },
      ),
    );
  });

  it('that overlap are refused, and those that touch are not', () => {
    const splice = (start: number, end: number): Splice => ({ start, end, text: '""' });
    for (const overlapping of [
      [splice(1, 4), splice(1, 4)],
      [splice(2, 6), splice(1, 3)],
      [splice(1, 9), splice(3, 3)],
    ]) {
      expect(() => applySplices('0123456789', overlapping)).toThrow(/overlap/);
    }
    expect(applySplices('0123456789', [splice(4, 6), splice(1, 4), splice(1, 1)])).toBe('0""""""6789');
  });

  it('insert into a literal and leave its own spelling alone', () => {
    const source = '{"s":"a\\u00e9\\n\\"b\\/\\ud83d\\udc4b!"}';
    const leaf = member(parseJson(source, 8), 's') as JsonString;
    for (let offset = 0; offset <= leaf.value.length; offset++) {
      const splices: Splice[] = insertIntoString(source, leaf, [{ offset, text: '\n"X"' }]);
      const result = applySplices(source, splices);
      expect(JSON.parse(result).s).toBe(`${leaf.value.slice(0, offset)}\n"X"${leaf.value.slice(offset)}`);
      expect(result.replace('\\n\\"X\\"', '')).toBe(source);
    }
  });
});

it('refuses more values than it may read, of whatever kind', () => {
  for (const source of ['[[],[],[]]', '[{},{},{}]', '[1,2,3]', '{"a":1,"b":2,"c":3}']) {
    expect(() => parseJson(source, 8, 3)).toThrow('json_too_large');
    expect(parseJson(source, 8, 4).end).toBe(source.length);
  }
});
