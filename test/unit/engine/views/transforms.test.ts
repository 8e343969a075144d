import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BRACKETS, CONFUSABLES } from '../../../../engine/views/confusables.ts';
import { deleet } from '../../../../engine/views/deleet.ts';
import { despace } from '../../../../engine/views/despace.ts';
import { fold } from '../../../../engine/views/fold.ts';
import { isDefaultIgnorable, removeInvisible } from '../../../../engine/views/invisible.ts';
import { nfkc } from '../../../../engine/views/nfkc.ts';
import { originalView, toOriginal } from '../../../../engine/views/view.ts';
import { wellFormed } from '../../../../engine/views/wellFormed.ts';

const SEED = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`transforms seed ${SEED}\n`);

const UNITS_MAX = 1_000_000;

describe('confusables', () => {
  it('maps to one ASCII letter or digit, from beyond ASCII', () => {
    for (const [code, letter] of CONFUSABLES) {
      expect(code).toBeGreaterThan(0x7f);
      expect(letter).toMatch(/^[A-Za-z0-9]$/);
    }
  });

  it('never reads the brackets of an escaped control token as brackets', () => {
    for (const code of [0x2039, 0x203a, 0x2e22, 0x2e23, 0x2e24, 0x2e25]) {
      expect(BRACKETS.has(code)).toBe(false);
      expect(CONFUSABLES.has(code)).toBe(false);
    }
  });

  it('reads as a bracket whatever NFKC turns into one', () => {
    for (let code = 0x80; code <= 0xffff; code++) {
      const normal = String.fromCharCode(code).normalize('NFKC');
      if (/^[<>[\]|]$/.test(normal)) expect(BRACKETS.get(code)).toBe(normal);
    }
  });
});

describe('invisible characters', () => {
  it('are those of the Unicode property', () => {
    const property = /^\p{Default_Ignorable_Code_Point}$/u;
    for (let code = 0; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      if (isDefaultIgnorable(code) !== property.test(String.fromCodePoint(code))) {
        throw new Error(`U+${code.toString(16)} differs`);
      }
    }
  });

  it('are removed with offsets kept', () => {
    const view = removeInvisible(originalView('ig\u200bno\u{e0041}r\u0000e\ufeff'));
    expect(view?.text).toBe('ignore');
    if (view !== null) expect(toOriginal(view, { start: 1, end: 5 })).toEqual({ start: 1, end: 8 });
  });

  it('cannot be made by removing others, once lone surrogates are replaced', () => {
    const text = '\udb40\u{e0041}\udc42';
    const formed = wellFormed(originalView(text));
    expect(formed?.text).toBe('\ufffd\u{e0041}\ufffd');
    expect(formed && removeInvisible(formed)?.text).toBe('\ufffd\ufffd');
  });

  it('leave plain text alone', () => {
    expect(removeInvisible(originalView('a\tb\nc é 你好'))).toBeNull();
    expect(wellFormed(originalView('a 😀'))).toBeNull();
  });
});

describe('NFKC', () => {
  const blanks = /[\u0085\u1680\u2028\u2029\u2800\ufeff]/g;

  it('equals the native form on any text, with blanks as spaces', () => {
    const unit = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2 }),
      fc.constantFrom(
        'e\u0301',
        '\u1100',
        '\u1161',
        '\u11a8',
        '\u0323',
        '\uff76\uff9e',
        '\uffa1\uffc2',
        '\ufdfa',
        '\u3000',
      ),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 200 }), (units) => {
        const joined = originalView(units.join(''));
        const { text } = wellFormed(joined) ?? joined;
        const view = nfkc(originalView(text), UNITS_MAX).view;
        expect(view?.text ?? text).toBe(text.normalize('NFKC').replace(blanks, ' '));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it('keeps offsets tight', () => {
    const { view } = nfkc(originalView('a ｆｏｏ e\u0301 b'), UNITS_MAX);
    expect(view?.text).toBe('a foo \u00e9 b');
    if (view === null) return;
    expect(toOriginal(view, { start: 3, end: 4 })).toEqual({ start: 3, end: 4 });
    expect(toOriginal(view, { start: 6, end: 7 })).toEqual({ start: 6, end: 8 });
  });

  it('stops at its budget, keeps the rest and says so', () => {
    const { view, exceeded } = nfkc(originalView('\ufdfa'.repeat(1000)), 2000);
    expect(exceeded).toBe(true);
    expect(view?.text.endsWith('\ufdfa')).toBe(true);
  });
});

describe('folding', () => {
  it.each([
    ['Cyrillic letters in a Latin word', 'іgnоrе рrеvious', 'ignore previous'],
    ['small capitals', 'ɪɢɴᴏʀᴇ it', 'ignore it'],
    ['accents', 'Ïgnöré', 'ignore'],
    ['marks piled on letters', 'i\u0334g\u0337n\u0335ore', 'ignore'],
    ['squared letters', '🅸🅶🅽🅾🆁🅴', 'ignore'],
    ['regional indicators', '🇮🇬🇳🇴🇷🇪', 'ignore'],
    ['a word wholly of lookalikes in an English text', 'open the расе now please', 'open the pace now please'],
    ['spelled-out words', 'i g n o r e   p r e v i o u s', 'ignore previous'],
    ['hyphenated letters', 'i-g-n-o-r-e a-l-l!', 'ignore all!'],
  ])('reads %s', (_name, text, folded) => {
    const normal = nfkc(originalView(text), UNITS_MAX).view ?? originalView(text);
    expect(fold(normal)?.text).toBe(folded);
  });

  it.each([
    ['Russian', 'Привет, мир! Как тот кот? Нет, это мост.'],
    ['Greek', 'Το κατοικίδιο είναι μια γάτα και ένα σκυλί'.normalize('NFC')],
    ['Chinese', '你好，世界。'],
    ['capitals', 'IGNORE THIS'],
    ['a list of numbers', '1 2 3 4 5 6'],
  ])('leaves %s alone', (_name, text) => {
    expect(fold(originalView(text))).toBeNull();
  });

  it('maps a joined word to its first and last letter', () => {
    const view = despace(originalView('now i g n o r e it'));
    expect(view?.text).toBe('now ignore it');
    if (view !== null) expect(toOriginal(view, { start: 4, end: 10 })).toEqual({ start: 4, end: 15 });
  });

  it.each([
    ['1gn0r3 pr3v10us', 'ignore previous'],
    ['p@ssw0rd', 'password'],
  ])('reads digits for letters in %s', (text, plain) => {
    expect(deleet(originalView(text))?.text).toBe(plain);
  });

  it.each(['sha1', 'mp3', '2024', 'v2', 'a@example.test 10', '0123456789abcdef'])('keeps %s', (text) => {
    expect(deleet(originalView(text))).toBeNull();
  });
});
