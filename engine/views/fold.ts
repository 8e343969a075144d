/**
 * The folded view: lower case, marks off Latin letters, lookalike letters read as Latin, spelled-out
 * words joined. Honest Russian or Greek stays as it is: letters of another script are read as Latin
 * only in a word that also has Latin letters, or in a word made wholly of lookalikes while its script
 * is not the one the text is written in.
 *
 * Known gap: a wholly lookalike word inside a longer honest text of the same script is left alone.
 */
import { firstNonAscii, isAsciiLetter } from './chars.ts';
import { CONFUSABLES } from './confusables.ts';
import { despace } from './despace.ts';
import { type View, ViewBuilder } from './view.ts';

const WHOLE_WORD_MIN = 3;

const WORD = 1;
const LATIN = 2;
const MARK = 4;
const LOOKALIKE = 8;
/** No letter and no digit: enclosed letters, regional indicators. */
const SYMBOL = 16;
const KNOWN = 128;

/** Classes of the code points met so far, up to the emoji: property tests cost more than a load. */
const CLASSES = new Uint8Array(0x20000);

// Linear: one character class each, no quantifier.
const LETTER_OR_MARK = /^[\p{L}\p{M}]/u;
const DIGIT = /^\p{Nd}/u;

/** Marks that are drawn on the letter before them and mean nothing on a Latin one. */
function isMark(codePoint: number): boolean {
  return (
    (codePoint >= 0x300 && codePoint <= 0x36f) ||
    (codePoint >= 0x483 && codePoint <= 0x489) ||
    (codePoint >= 0x1ab0 && codePoint <= 0x1aff) ||
    (codePoint >= 0x1dc0 && codePoint <= 0x1dff) ||
    (codePoint >= 0x20d0 && codePoint <= 0x20ff) ||
    (codePoint >= 0xfe20 && codePoint <= 0xfe2f)
  );
}

function isLatin(codePoint: number): boolean {
  return (
    isAsciiLetter(codePoint) ||
    (codePoint >= 0xc0 && codePoint <= 0x2af) ||
    (codePoint >= 0x1d00 && codePoint <= 0x1dbf) ||
    (codePoint >= 0x1e00 && codePoint <= 0x1eff) ||
    (codePoint >= 0x2c60 && codePoint <= 0x2c7f) ||
    (codePoint >= 0xa720 && codePoint <= 0xa7ff) ||
    (codePoint >= 0xab30 && codePoint <= 0xab6f)
  );
}

function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  let bits = KNOWN;
  const isLetter = LETTER_OR_MARK.test(char);
  const isDigit = DIGIT.test(char);
  if (CONFUSABLES.has(codePoint)) bits |= LOOKALIKE | WORD | (isLetter || isDigit ? 0 : SYMBOL);
  if (isMark(codePoint)) bits |= MARK | WORD;
  if (isLetter || (codePoint < 0x80 && isDigit)) bits |= WORD;
  if (isLatin(codePoint)) bits |= LATIN;
  return bits;
}

function classOf(codePoint: number): number {
  if (codePoint >= CLASSES.length) return classify(codePoint);
  const known = CLASSES[codePoint] as number;
  if (known !== 0) return known;
  const bits = classify(codePoint);
  CLASSES[codePoint] = bits;
  return bits;
}

/** True where the text is written in the script of its lookalikes: most letters, some like no Latin letter. */
function isNative(text: string, from: number): boolean {
  let latin = 0;
  let other = 0;
  let unlike = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) {
      if (isAsciiLetter(unit)) latin++;
    } else if (i >= from && unit >= 0x370 && unit < 0x2000) {
      other++;
      if ((classOf(unit) & LOOKALIKE) === 0) unlike++;
    }
  }
  return other > latin && unlike > 0;
}

interface Word {
  readonly end: number;
  /** What all its characters are, together. */
  readonly bits: number;
  /** Some of its characters are Latin, or all of them are lookalikes: the lookalikes are read as Latin. */
  readonly disguised: boolean;
}

/** Looks over the word at `at`, which may be empty. */
function readWord(text: string, at: number, native: boolean): Word {
  let end = at;
  let bits = 0;
  let lookalikes = 0;
  let unlike = 0;
  while (end < text.length) {
    const codePoint = text.codePointAt(end) as number;
    const own = classOf(codePoint);
    if ((own & WORD) === 0) break;
    bits |= own;
    if ((own & LOOKALIKE) !== 0) lookalikes++;
    else if (codePoint >= 0x80 && (own & MARK) === 0) unlike++;
    end += codePoint > 0xffff ? 2 : 1;
  }
  const whole = unlike === 0 && lookalikes >= WHOLE_WORD_MIN && !native;
  return { end, bits, disguised: lookalikes > 0 && ((bits & LATIN) !== 0 || whole) };
}

/** Appends the word as it reads in Latin letters. */
function pushWord(builder: ViewBuilder, text: string, at: number, word: Word): void {
  let onLatin = false;
  for (let i = at; i < word.end; ) {
    const codePoint = text.codePointAt(i) as number;
    const next = i + (codePoint > 0xffff ? 2 : 1);
    const own = classOf(codePoint);
    if ((own & MARK) !== 0 && onLatin) {
      i = next;
      continue;
    }
    const letter = word.disguised || (own & SYMBOL) !== 0 ? CONFUSABLES.get(codePoint) : undefined;
    if (letter === undefined) builder.copy(i, next);
    else builder.push(letter, i, next);
    onLatin = letter !== undefined || codePoint < 0x80 || (own & LATIN) !== 0;
    i = next;
  }
}

function foldCharacters(view: View): View | null {
  const { text } = view;
  const first = firstNonAscii(text);
  if (first < 0) return null;
  const native = isNative(text, first);
  let builder: ViewBuilder | null = null;
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    const word = readWord(text, i, native);
    if (word.end === i) {
      i += (text.codePointAt(i) as number) > 0xffff ? 2 : 1;
      continue;
    }
    // A mark on a digit has no Latin letter beside it; that it is copied again unchanged does no harm.
    if (word.disguised || (word.bits & (MARK | SYMBOL)) !== 0) {
      builder ??= new ViewBuilder(view);
      builder.copy(kept, i);
      pushWord(builder, text, i, word);
      kept = word.end;
    }
    i = word.end;
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  const folded = builder.build('folded', view.decodedFrom);
  return folded.text === text ? null : folded;
}

/** Null where nothing but case would change, since rules ignore case. */
export function fold(view: View): View | null {
  const characters = foldCharacters(view);
  const joined = despace(characters ?? view);
  const folded = joined ?? characters;
  if (folded === null) return null;
  const lower = folded.text.toLowerCase();
  // Lower-casing never shrinks a text, so equal length means unit for unit.
  const text = lower.length === folded.text.length ? lower : folded.text;
  return { name: 'folded', text, map: folded.map, decodedFrom: folded.decodedFrom };
}
