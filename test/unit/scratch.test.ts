import { test } from 'vitest';
import { compileNeedles } from '../../engine/canary/compile.ts';
import { CanaryStream } from '../../engine/canary/stream.ts';
import { LATE_FORMS, STREAMED_FORMS, UNCOVERED_FORMS } from '../helpers/leaks.ts';

test('matrix', () => {
  const token = '7f3a91bc04de5f6688a1c2d3e4f50b9a';
  let t0 = performance.now();
  const set = compileNeedles([{ id: 't', value: token }], 'full');
  console.log('compile ms', performance.now() - t0, set.skeleton.link.length, set.base64.link.length);
  t0 = performance.now();
  for (let i = 0; i < 20; i++) compileNeedles([{ id: 't', value: token.replace('7', String(i % 10)) }], 'full');
  console.log('compile ms each', (performance.now() - t0) / 20);
  for (const form of [...STREAMED_FORMS, ...LATE_FORMS, ...UNCOVERED_FORMS]) {
    const hits: unknown[] = [];
    const s = new CanaryStream({ sets: [set], rawHoldMax: 2048, onHit: (h) => hits.push(`${h.kind}/${h.encoding}/${h.start}-${h.end}`), onPiece: (p) => hits.push('piece ' + p.text) });
    s.push(`Sure, here it is: ${form.of(token)}. Anything else?`);
    s.end();
    console.log(form.name.padEnd(40), JSON.stringify(hits.slice(0, 3)), form.of(token).length);
  }
  // speed
  const text = 'The quick brown fox jumps over the lazy dog, and then feeds a cab of bad decade cafes. '.repeat(1000);
  const s = new CanaryStream({ sets: [set], rawHoldMax: 2048, onHit: () => {}, onPiece: () => {} });
  let held = 0, n = 0, max = 0;
  t0 = performance.now();
  for (let i = 0; i < text.length; i += 255) { s.push(text.slice(i, i + 255)); }
  console.log('us per 255', ((performance.now() - t0) * 1000) / (text.length / 255));
  const s2 = new CanaryStream({ sets: [set], rawHoldMax: 2048, onHit: () => {}, onPiece: () => {} });
  for (let i = 0; i < text.length; i++) { s2.push(text[i]!); const h = i + 1 - s2.safeEnd; held += h; n++; max = Math.max(max, h); }
  console.log('mean held', held / n, 'max', max);
});
