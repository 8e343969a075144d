/** The gateway's own key in what a provider says: found however it is cut, and nothing else is lost or changed. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { KeyEchoed, KeyGuard } from '../../../../gateway/upstream/keyGuard.ts';
import { seeded } from '../../../helpers/random.ts';
import { client, fetchAll, httpServer, sleep } from './harness.ts';

const KEY = 'sk-ab-sk-ab-sk-abc';
const { int } = seeded('keyGuard');

const guardOf = (key: string): KeyGuard => KeyGuard.of(key) as KeyGuard;

/** What leaves, and whether the key was found. */
function read(key: string, chunks: readonly string[]): { out: string; found: boolean } {
  const guard = guardOf(key);
  let out = '';
  for (const chunk of chunks) {
    const safe = guard.push(Buffer.from(chunk, 'latin1'));
    if (safe === null) return { out, found: true };
    out += safe.toString('latin1');
  }
  return { out: out + guard.end().toString('latin1'), found: false };
}

describe('the guard of a key', () => {
  it('finds it at every split in two and in three, before any byte of it has left', () => {
    const text = `Your key is ${KEY}.`;
    for (let one = 0; one <= text.length; one += 1) {
      for (let two = one; two <= text.length; two += 1) {
        const chunks = [text.slice(0, one), text.slice(one, two), text.slice(two)];
        const { out, found } = read(KEY, chunks);
        expect([found, 'Your key is '.startsWith(out)], JSON.stringify(chunks)).toEqual([true, true]);
      }
    }
  });

  it('finds it byte by byte, behind beginnings of itself', () => {
    expect(read(KEY, [...`sk-sk-ab-sk-ab-${KEY}`])).toEqual({ out: 'sk-sk-ab-sk-ab-', found: true });
  });

  it('hands on every other text unchanged at every split, also when it ends like the key begins', () => {
    const text = `${KEY.slice(0, -1)}d sk-ab-sk-ab- ${KEY.slice(1)} ${KEY.slice(0, -1)}`;
    for (let at = 0; at <= text.length; at += 1) {
      expect(read(KEY, [text.slice(0, at), text.slice(at)])).toEqual({ out: text, found: false });
    }
  });

  it('holds back only what the key begins with', () => {
    const guard = guardOf(KEY);
    const pushed = ['plain ', 'sk-', 'x', `sk-ab${KEY.slice(0, 5)}`];
    expect(pushed.map((chunk) => guard.push(Buffer.from(chunk))?.toString())).toEqual(['plain ', '', 'sk-x', 'sk-ab']);
    expect([guard.end().toString(), guard.end().toString()]).toEqual(['sk-ab', '']);
  });

  it('agrees with a search in the whole text, over a small alphabet and any chunks', () => {
    for (let round = 0; round < 2000; round += 1) {
      const letters = (count: number) => Array.from({ length: count }, () => 'ab'[int(2)]).join('');
      // Long runs of one letter, so that the text is full of beginnings of the key.
      const key = `aaaaaaaaaaaa${letters(4)}`;
      const text = `${letters(int(40))}${'a'.repeat(int(30))}${int(2) === 0 ? key : letters(16)}${letters(int(40))}`;
      const chunks: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = int(9);
        chunks.push(text.slice(at, at + size));
        at += size;
      }
      const { out, found } = read(key, chunks);
      const at = text.indexOf(key);
      expect(found, `${key} in ${text}`).toBe(at !== -1);
      expect(at === -1 ? out === text : text.slice(0, at).startsWith(out)).toBe(true);
    }
  });

  it('is none for a key whose letters any text could hold', () => {
    expect([KeyGuard.of(null), KeyGuard.of('fifteen-letters'), KeyGuard.of('sixteen--letters') === null]).toEqual([
      null,
      null,
      false,
    ]);
  });
});

describe('an answer that holds the key', () => {
  it.each([1, 2, 5, KEY.length])('ends before a byte of it is handed on, sent in pieces of %i', async (size) => {
    const text = `data: before ${KEY} after`;
    const origin = await httpServer(async (_request, response) => {
      for (let at = 0; at < text.length; at += size) {
        response.write(text.slice(at, at + size));
        await sleep(1);
      }
      response.end();
    });
    const sink = await fetchAll(client(origin, {}, KEY));
    expect([sink.outcome, 'data: before '.startsWith(sink.text)]).toEqual(['bad_upstream', true]);
    expect(sink.errors[0]).toBeInstanceOf(KeyEchoed);
  });

  it('ends also when it is compressed', async () => {
    const origin = await httpServer((_request, response) => {
      response.setHeader('content-encoding', 'gzip');
      response.end(gzipSync(`before ${KEY} after`));
    });
    const sink = await fetchAll(client(origin, {}, KEY));
    expect([sink.outcome, sink.text]).toEqual(['bad_upstream', '']);
  });

  it('is stopped by policy when it is a refusal', async () => {
    const origin = await httpServer((_request, response) => void response.writeHead(400).end(`bad key ${KEY}`));
    const sink = await fetchAll(client(origin, {}, KEY));
    expect([sink.head?.status, sink.outcome, sink.text]).toEqual([400, 'content_filter', '']);
  });

  it.each(['x-request-id', 'content-type'])('has no head when it stands in %s', async (name) => {
    const origin = await httpServer((_request, response) => void response.setHeader(name, `text/${KEY}`).end('x'));
    const sink = await fetchAll(client(origin, {}, KEY));
    expect([sink.outcome, sink.head]).toEqual(['bad_upstream', null]);
  });

  it('is whole when the key is the caller’s, or when only its beginning was said', async () => {
    const origin = await httpServer((_request, response) => void response.end(`${KEY} ${KEY.slice(0, 9)}`));
    const callers = await fetchAll(client(origin, {}, KEY), { credential: KEY });
    expect([callers.outcome, callers.text]).toEqual(['end', `${KEY} ${KEY.slice(0, 9)}`]);
    const cut = await httpServer((_request, response) => void response.end(`so far ${KEY.slice(0, 9)}`));
    const sink = await fetchAll(client(cut, {}, KEY));
    expect([sink.outcome, sink.text]).toEqual(['end', `so far ${KEY.slice(0, 9)}`]);
  });
});
