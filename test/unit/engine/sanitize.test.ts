import { describe, expect, it } from 'vitest';
import { type Findings, sanitize } from '../../../engine/sanitize.ts';

const NOTHING: Findings = { cuts: [], edits: [] };
const once = (text: string, first: Findings) => sanitize(text, first, () => NOTHING);
const spanOf = (text: string, part: string) => ({ start: text.indexOf(part), end: text.indexOf(part) + part.length });

describe('cutting', () => {
  const text = 'A long enough introduction, then bad words, and a long enough conclusion.';

  it('leaves a marker where a span was', () => {
    expect(once(text, { cuts: [spanOf(text, 'bad words')], edits: [] })).toBe(text.replace('bad words', '[removed]'));
  });

  it('grows to whole words and graphemes', () => {
    const inside = { start: text.indexOf('ad word'), end: text.indexOf('ad word') + 4 };
    expect(once(text, { cuts: [inside], edits: [] })).toBe(text.replace('bad words', '[removed]'));
    const family = 'Some words of introduction before 👩‍👩‍👧 and some more words after it.';
    const joiner = family.indexOf('\u200d');
    expect(once(family, { cuts: [{ start: joiner, end: joiner + 1 }], edits: [] })).toBe(
      family.replace('👩‍👩‍👧', '[removed]'),
    );
  });

  it('merges overlapping and touching spans', () => {
    const cuts = [spanOf(text, 'bad'), spanOf(text, 'bad words'), spanOf(text, 'words')];
    expect(once(text, { cuts, edits: [] })).toBe(text.replace('bad words', '[removed]'));
  });

  it('wins over edits inside it and keeps those beside it', () => {
    const edits = [
      { ...spanOf(text, 'A'), text: 'Ä' },
      { ...spanOf(text, 'ad wo'), text: '?' },
      { ...spanOf(text, 'conclusion'), text: 'end' },
    ];
    const cut = text.replace('bad words', '[removed]').replace('A ', 'Ä ').replace('conclusion', 'end');
    expect(once(text, { cuts: [spanOf(text, 'bad words')], edits })).toBe(cut);
  });

  it('has no result when more than 60 % would go, or when three rounds do not suffice', () => {
    expect(once('bad words only', { cuts: [{ start: 0, end: 9 }], edits: [] })).toBe(null);
    const endless = (again: string): Findings => ({ cuts: [{ start: 0, end: Math.min(3, again.length) }], edits: [] });
    expect(sanitize(text, endless(text), endless)).toBe(null);
  });

  it('takes time linear in cuts and edits', () => {
    const unit = 'some clean words here x ';
    const many = unit.repeat(20_000);
    const at = (offset: number) => Array.from({ length: 20_000 }, (_, i) => i * unit.length + offset);
    const cuts = at(22).map((start) => ({ start, end: start + 1 }));
    const edits = at(0).map((start) => ({ start, end: start + 1, text: 'S' }));
    expect(once(many, { cuts, edits })).toBe('Some clean words here [removed] '.repeat(20_000));
  });
});
