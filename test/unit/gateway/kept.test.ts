import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, echoesOf, type KeepRequest, Kept } from '../../../gateway/kept.ts';
import { deriveSecrets } from '../../../gateway/secrets.ts';
import { openEmbedded } from '../../../gateway/store/embedded.ts';
import type { Store } from '../../../gateway/store/port.ts';

let dir: string;
let store: Store;
const current = randomBytes(32);
const secrets = deriveSecrets({ current, previous: null });
let now = 1_000;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-'));
  store = openEmbedded(join(dir, 'store'));
});
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

function keeper(change: Partial<ConstructorParameters<typeof Kept>[0]> = {}): Kept {
  return new Kept({ store, secrets, now: () => now, keptHours: 2, historyCharsMax: 20, ...change });
}

let count = 0;
function request(change: Partial<KeepRequest> = {}): KeepRequest {
  const responseId = `resp_${++count}`;
  const empty = { itemIds: [], tokens: [], planted: [], own: [], history: [] };
  return { tenant: 'default', provider: 'default', responseId, ...empty, ...change };
}

const GONE = { code: 'not_found', message: 'There is no such response or item.' };

describe('a kept response', () => {
  it('gives back what was noted, to any process with the same secret', async () => {
    const noted = request({
      tokens: ['a', 'b'],
      planted: ['\nref: a'],
      own: [digestOf('own')],
      history: [
        { role: 'user', text: 'One.' },
        { role: 'tool', text: 'Two.' },
      ],
    });
    await keeper().keep(noted);
    const found = await keeper().response('default', noted.responseId);
    const segment = { mime: 'text/plain', trusted: false };
    expect(found).toEqual({
      segments: [
        { ...segment, role: 'user', path: '/previous_response_id#0', text: 'One.' },
        { ...segment, role: 'tool', path: '/previous_response_id#1', text: 'Two.' },
      ],
      tokens: ['a', 'b'],
      planted: ['\nref: a'],
      own: [digestOf('own')],
      provider: 'default',
    });
  });

  it('is known before the store has it, and not after the store has failed', async () => {
    let settle: (error: Error) => void = () => {};
    const putKept = () =>
      new Promise<void>((_, reject) => {
        settle = reject;
      });
    const slow: Pick<Store, 'kept' | 'putKept'> = { kept: (...asked) => store.kept(...asked), putKept };
    const kept = keeper({ store: slow as Store });
    const noted = request({ itemIds: ['item_pending'] });
    const done = kept.keep(noted);
    expect((await kept.response('default', noted.responseId)).provider).toBe('default');
    await kept.continue('default', { responseId: null, itemIds: ['item_pending'] });
    await expect(kept.response('other', noted.responseId)).rejects.toMatchObject(GONE);
    settle(new Error('the disk is full'));
    await expect(done).rejects.toThrow('the disk is full');
    await expect(kept.response('default', noted.responseId)).rejects.toMatchObject(GONE);
  });

  it('is forgotten by every process once one has forgotten it', async () => {
    const [one, two] = [keeper(), keeper()];
    const noted = request();
    await one.keep(noted);
    expect(await two.forget('default', noted.responseId)).toBe(true);
    await expect(one.response('default', noted.responseId)).rejects.toMatchObject(GONE);
    expect(await one.forget('default', noted.responseId)).toBe(false);
  });

  it('expires', async () => {
    const kept = keeper();
    const noted = request();
    await kept.keep(noted);
    now += 2 * 3_600_000 - 1;
    await kept.response('default', noted.responseId);
    now += 1;
    await expect(kept.response('default', noted.responseId)).rejects.toMatchObject(GONE);
  });

  it('opens with the secret of before a rotation, and is unknown to any other', async () => {
    const noted = request({ tokens: ['a'] });
    await keeper().keep(noted);
    const rotated = deriveSecrets({ current: randomBytes(32), previous: current });
    expect((await keeper({ secrets: rotated }).response('default', noted.responseId)).tokens).toEqual(['a']);
    const other = deriveSecrets({ current: randomBytes(32), previous: null });
    await expect(keeper({ secrets: other }).response('default', noted.responseId)).rejects.toMatchObject(GONE);
  });

  it('does not open under another name or for another tenant, whoever moves it there', async () => {
    const noted = request();
    await keeper().keep(noted);
    const record = await store.kept('default', noted.responseId, now);
    if (record === null) throw new Error('nothing was kept');
    await store.putKept([
      { ...record, tenant: 'thief' },
      { ...record, id: 'resp_moved' },
    ]);
    await expect(keeper().response('thief', noted.responseId)).rejects.toMatchObject(GONE);
    await expect(keeper().response('default', 'resp_moved')).rejects.toMatchObject(GONE);
  });

  it('has the latest of its history, the end of a turn that is too long', async () => {
    const history = ['0123456789', 'abcdefghij', 'ABCDE'].map((text) => ({ role: 'user' as const, text }));
    const noted = request({ history });
    await keeper().keep(noted);
    const { segments } = await keeper().response('default', noted.responseId);
    expect(segments.map(({ text }) => text)).toEqual(['56789', 'abcdefghij', 'ABCDE']);
  });

  it('has at most 48 canaries, the latest of its chain', async () => {
    const tokens = Array.from({ length: 52 }, (_, n) => `token ${n}`);
    const noted = request({ tokens, itemIds: ['item_tokens'] });
    await keeper().keep(noted);
    expect((await keeper().response('default', noted.responseId)).tokens).toEqual(tokens.slice(0, 48));
    const later = request({ tokens: ['latest'] });
    await keeper().keep(later);
    const both = await keeper().continue('default', { responseId: later.responseId, itemIds: ['item_tokens'] });
    expect(both.tokens).toEqual(['latest', ...tokens.slice(0, 47)]);
  });
});

describe('items', () => {
  it('lead to the provider that has them, and never to two', async () => {
    await keeper().keep(request({ provider: 'a', itemIds: ['item_a', 'item_a'] }));
    await keeper().keep(request({ provider: 'b', responseId: 'resp_b', itemIds: ['item_b'] }));
    const kept = keeper();
    expect((await kept.continue('default', { responseId: null, itemIds: ['item_a'] })).provider).toBe('a');
    for (const [responseId, itemIds] of [
      [null, ['item_a', 'item_b']],
      ['resp_b', ['item_a']],
    ] as const) {
      await expect(kept.continue('default', { responseId, itemIds })).rejects.toMatchObject({
        ...GONE,
        param: '/input',
      });
    }
  });

  it('that come later are known like the first, as long as their response', async () => {
    const kept = keeper();
    const noted = request({ tokens: ['a'], itemIds: ['item_first'] });
    await kept.keep(noted);
    now += 3_600_000;
    await kept.addItems('default', noted.responseId, ['item_first', 'item_later']);
    expect((await kept.continue('default', { responseId: null, itemIds: ['item_later'] })).tokens).toEqual(['a']);
    now += 3_600_000;
    await expect(kept.continue('default', { responseId: null, itemIds: ['item_later'] })).rejects.toMatchObject(GONE);
    await expect(kept.addItems('default', 'resp_unknown', ['item_x'])).rejects.toMatchObject(GONE);
  });

  it('are known up to 256 of one response', async () => {
    const itemIds = Array.from({ length: 258 }, (_, n) => `item_many_${n}`);
    await keeper().keep(request({ itemIds }));
    await keeper().continue('default', { responseId: null, itemIds: itemIds.slice(0, 256) });
    await expect(keeper().continue('default', { responseId: null, itemIds: ['item_many_256'] })).rejects.toMatchObject(
      GONE,
    );
  });

  it.each(['x'.repeat(257), 'x'.repeat(5_000), 'nul\0', '\u{1f511}'.repeat(65)])(
    'may have names that no store takes',
    async (id) => {
      await keeper().keep(request({ itemIds: [id] }));
      expect((await keeper().continue('default', { responseId: null, itemIds: [id] })).provider).toBe('default');
      await expect(keeper().continue('default', { responseId: null, itemIds: [`${id}y`] })).rejects.toMatchObject(GONE);
      expect(await keeper().forget('default', id)).toBe(true);
    },
  );

  it('that are too many are refused before anything is looked up', async () => {
    const itemIds = Array.from({ length: 1_025 }, (_, n) => `item_${n}`);
    await expect(keeper().continue('default', { responseId: 'resp_none', itemIds })).rejects.toMatchObject({
      code: 'invalid_request',
      param: '/input',
    });
  });
});

describe('what a provider repeats', () => {
  const [line, head] = [`\nref: ${'a'.repeat(32)}`, `ref: ${'b'.repeat(32)}\n`];

  it('loses the planted lines and nothing else', () => {
    const { restore } = echoesOf([line, head], []);
    expect(restore(`${head}One.${line}\nTwo.\n`)).toBe('One.\nTwo.\n');
    expect(restore(`One. ${line.trim()} Two.`)).toBe(`One. ${line.trim()} Two.`);
    expect(echoesOf([], []).restore(line)).toBe(line);
    expect(echoesOf([''], []).restore('abc')).toBe('abc');
  });

  it('loses the line of an empty text only where no longer one is', () => {
    expect(echoesOf([line.trim(), line], []).restore(`One.${line}`)).toBe('One.');
    expect(echoesOf([line.trim(), line], []).restore(line.trim())).toBe('');
  });

  it("is the client's own only when it is exactly what it sent", () => {
    const own = `One.${line}`;
    const { restore, isOwn } = echoesOf([line], [digestOf(own)]);
    expect([restore(own), isOwn(own)]).toEqual([own, true]);
    for (const other of [`${own} `, own.toUpperCase(), own.slice(1), line, '']) expect(isOwn(other)).toBe(false);
  });
});
