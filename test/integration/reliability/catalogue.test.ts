/**
 * Every row of the catalogue of bad input (J) and of bad providers (U) has a test whose title begins with its id, or
 * its place here. A title may begin with several ids: `U6 U8 streams that break`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const TESTS = new URL('../../', import.meta.url).pathname;
const SELF = 'integration/reliability/catalogue.test.ts';

const IDS = [
  ...Array.from({ length: 13 }, (_, n) => `J${n + 1}`),
  ...Array.from({ length: 21 }, (_, n) => `U${n + 1}`),
];

/** Rows that are held by tests whose titles name what they do and not a row. */
const ELSEWHERE: Readonly<Record<string, { readonly file: string; readonly holds: string; readonly why: string }>> = {
  U13: {
    file: 'integration/matrix',
    holds: 'tool arguments, escaped',
    why: 'The matrix puts a leak into every position of every format, whole and streamed, and asks each surface why it has none.',
  },
  U14: {
    file: 'property/outputSession.test.ts',
    holds: 'leak matrix',
    why: 'Every transformation on the covered list is blocked before any part of it is out, whole and in random splits.',
  },
};

/** Rows without a test. */
const REASONS: Readonly<Record<string, string>> = {
  U20:
    'No tenant can set the address of a provider: it comes from the configuration file and the environment, which are the ' +
    "operator's. Link-local addresses are refused at connect time all the same; unit/gateway/upstream/address.test.ts holds that.",
};

interface Source {
  readonly file: string;
  readonly text: string;
}

const sources: readonly Source[] = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file !== SELF)
  .map((file) => ({ file, text: readFileSync(join(TESTS, file), 'utf8') }));

/** Files by the ids that titles of their tests begin with. */
function titled(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { file, text } of sources) {
    if (!file.endsWith('.test.ts')) continue;
    for (const [, ids = ''] of text.matchAll(/(?:describe|it|test)[^'"`\n]*\(\s*['"`]((?:[JU]\d{1,2}:? )+)/g)) {
      for (const id of ids.match(/[JU]\d+/g) ?? []) found.set(id, (found.get(id) ?? new Set()).add(file));
    }
  }
  return found;
}

it('every row of the catalogue has a test, or a reason why not', () => {
  const found = titled();
  const places = IDS.map((id): [string, string] => {
    const files = [...(found.get(id) ?? [])].sort();
    const { file } = ELSEWHERE[id] ?? {};
    if (file !== undefined && !files.includes(file)) files.push(file);
    return [id, files.join(', ') || (REASONS[id] ?? '')];
  });
  process.stdout.write(`${places.map(([id, where]) => `${id.padEnd(4)}${where}`).join('\n')}\n`);
  expect(places.filter(([, where]) => where === '').map(([id]) => id)).toEqual([]);
  expect(
    [...found.keys(), ...Object.keys(ELSEWHERE), ...Object.keys(REASONS)].filter((id) => !IDS.includes(id)),
  ).toEqual([]);
});

it('what is held elsewhere is there, and a row with a reason has no test', () => {
  for (const [id, { file, holds, why }] of Object.entries(ELSEWHERE)) {
    const own = sources.filter((source) => source.file === file || source.file.startsWith(`${file}/`));
    expect([id, own.some(({ text }) => text.includes(holds))]).toEqual([id, true]);
    expect(why).toMatch(/^[A-Z].*\.$/);
  }
  const found = titled();
  for (const [id, reason] of Object.entries(REASONS)) {
    expect([id, found.has(id)]).toEqual([id, false]);
    expect(reason).toMatch(/^[A-Z].*\.$/);
    for (const file of reason.match(/[\w/]+\.test\.ts/g) ?? [])
      expect(sources.map((source) => source.file)).toContain(file);
  }
});
