/**
 * Text written with characters that draw nothing: tag characters, variation selectors, and two
 * zero-width symbols as bits. Almost no honest text decodes, so a run is itself a strong signal.
 *
 * Known gap: one hidden character after each visible one (runs of one) is removed but not decoded.
 */
import type { Span } from '../types.ts';
import { decodeUtf8, firstNonAscii, printableShare } from './chars.ts';
import { isDefaultIgnorable } from './invisible.ts';
import { type View, ViewBuilder } from './view.ts';

export interface HiddenRun {
  readonly span: Span;
  readonly text: string;
  readonly kind: 'tag' | 'variation-selector' | 'zero-width-binary';
}

/** Fewer decoded characters than this are taken for an accident (emoji presentation, joiners). */
const HIDDEN_CHARS_MIN = 4;

const BLACK_FLAG = 0x1f3f4;
const CANCEL_TAG = 0xe007f;
/** Subdivision flags carry a region and up to three more letters or digits, then the cancel tag. */
const FLAG_TAGS_MAX = 7;

/** End of the flag sequence whose tags start at `at`, or `at` where none does. */
function flagEnd(text: string, at: number): number {
  for (let i = at, tags = 0; i < text.length && tags <= FLAG_TAGS_MAX; i += 2, tags++) {
    const codePoint = text.codePointAt(i) as number;
    if (codePoint === CANCEL_TAG) return tags >= 3 ? i + 2 : at;
    const ascii = codePoint - 0xe0000;
    const plain = (ascii >= 0x30 && ascii <= 0x39) || (ascii >= 0x61 && ascii <= 0x7a);
    if (!plain) return at;
  }
  return at;
}

/** Accepts what a person could read in full. */
function readable(text: string | null): string | null {
  if (text === null || text.length < HIDDEN_CHARS_MIN || printableShare(text) < 1) return null;
  return [...text].length >= HIDDEN_CHARS_MIN && text.trim() !== '' ? text : null;
}

function fromTags(codePoints: readonly number[]): string | null {
  const chars = codePoints.filter((c) => c >= 0xe0020 && c <= 0xe007e).map((c) => String.fromCharCode(c - 0xe0000));
  return readable(chars.join(''));
}

function fromSelectors(codePoints: readonly number[]): string | null {
  const bytes: number[] = [];
  for (const c of codePoints) {
    if (c >= 0xfe00 && c <= 0xfe0f) bytes.push(c - 0xfe00);
    else if (c >= 0xe0100 && c <= 0xe01ef) bytes.push(c - 0xe0100 + 16);
  }
  return bytes.length < HIDDEN_CHARS_MIN ? null : readable(decodeUtf8(Uint8Array.from(bytes)));
}

/** Reads groups of bits as characters; null where a group is no character. */
function fromGroups(groups: readonly string[]): string | null {
  const codes = groups.map((group) => Number.parseInt(group, 2));
  if (groups.some((group) => group.length > 21)) return null;
  if (codes.every((code) => code < 256)) {
    const text = readable(decodeUtf8(Uint8Array.from(codes)));
    if (text !== null) return text;
  }
  if (codes.some((code) => code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))) return null;
  return readable(codes.map((code) => String.fromCodePoint(code)).join(''));
}

/** Cuts `bits` into groups of `size`; a rest shorter than a group is dropped. */
function cut(bits: string, size: number): string[] {
  const groups: string[] = [];
  for (let i = 0; i + size <= bits.length; i += size) groups.push(bits.slice(i, i + size));
  return groups;
}

/** `zero` and `one` are the bit symbols; any other ignorable parts groups. Both polarities are tried. */
function fromBits(codePoints: readonly number[], zero: number, one: number): string | null {
  let bits = '';
  let groups: string[] = [];
  let group = '';
  for (const c of codePoints) {
    if (c === zero || c === one) {
      group += c === one ? '1' : '0';
    } else if (group !== '') {
      groups.push(group);
      bits += group;
      group = '';
    }
  }
  if (group !== '') groups.push(group);
  bits += group;
  if (bits.length < HIDDEN_CHARS_MIN * 7) return null;
  for (const inverted of [false, true]) {
    if (inverted) {
      const flip = (text: string): string => text.replaceAll('0', 'x').replaceAll('1', '0').replaceAll('x', '1');
      bits = flip(bits);
      groups = groups.map(flip);
    }
    // Parted groups are letters where none is longer than a code point, whole words of bytes otherwise.
    const parted = groups.length > 1 ? fromGroups(groups) : null;
    const spaced = groups.length > 1 ? readable(groups.map((word) => fromGroups(cut(word, 8)) ?? '').join(' ')) : null;
    const text = parted ?? fromGroups(cut(bits, 8)) ?? spaced ?? fromGroups(cut(bits, 7));
    if (text !== null) return text;
  }
  return null;
}

/** Pairs of zero and one in use: invisible times and plus, zero-width space and non-joiner or joiner. */
const BIT_PAIRS: readonly (readonly [number, number])[] = [
  [0x2062, 0x2064],
  [0x200b, 0x200c],
  [0x200c, 0x200d],
  [0x200b, 0x200d],
];

function decodeRun(span: Span, codePoints: readonly number[], out: HiddenRun[]): void {
  if (codePoints.length < HIDDEN_CHARS_MIN) return;
  const tags = fromTags(codePoints);
  if (tags !== null) out.push({ span, text: tags, kind: 'tag' });
  const selectors = fromSelectors(codePoints);
  if (selectors !== null) out.push({ span, text: selectors, kind: 'variation-selector' });
  for (const [zero, one] of BIT_PAIRS) {
    const bits = fromBits(codePoints, zero, one);
    if (bits === null) continue;
    out.push({ span, text: bits, kind: 'zero-width-binary' });
    return;
  }
}

/** Every run of ignorable characters that decodes to at least four readable ones. Flag emoji are left out. */
export function decodeHidden(text: string): HiddenRun[] {
  const out: HiddenRun[] = [];
  let start = -1;
  let run: number[] = [];
  let previous = 0;
  const from = firstNonAscii(text);
  if (from < 0) return out;
  for (let i = from; i <= text.length; ) {
    const codePoint = i < text.length ? (text.codePointAt(i) as number) : 0;
    if (previous === BLACK_FLAG) {
      const end = flagEnd(text, i);
      previous = 0;
      if (end > i) {
        i = end;
        continue;
      }
    }
    if (isDefaultIgnorable(codePoint)) {
      if (run.length === 0) start = i;
      run.push(codePoint);
    } else if (run.length > 0) {
      decodeRun({ start, end: i }, run, out);
      run = [];
    }
    previous = codePoint;
    i += codePoint > 0xffff ? 2 : 1;
  }
  return out;
}

/** Hidden runs replaced by what they say, parted from their neighbours by blanks; null where there are none. */
export function decodeHiddenView(view: View): View | null {
  const runs = decodeHidden(view.text);
  if (runs.length === 0) return null;
  const builder = new ViewBuilder(view);
  let done = 0;
  for (const { span, text } of runs) {
    builder.copy(done, span.start);
    builder.push(` ${text} `, span.start, span.end);
    done = span.end;
  }
  builder.copy(done, view.text.length);
  return builder.build('hidden', [...view.decodedFrom, 'hidden']);
}
