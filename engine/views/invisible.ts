/**
 * Characters that draw nothing: which they are, and the text without them.
 * The forwarded text keeps them (emoji and Persian need joiners); only views drop them.
 * What was written with them is read by `hidden.ts`.
 */
import { type View, ViewBuilder } from './view.ts';

/** Default_Ignorable_Code_Point, Unicode 17, inclusive ranges; a test compares it with the running Node's. */
const RANGES: readonly (readonly [number, number])[] = [
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x61c, 0x61c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfff8],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];

/** One bit per code point of the basic plane, so the common case is one load. */
const BASIC = new Uint8Array(0x10000 / 8);
for (const [first, last] of RANGES) {
  for (let code = first; code <= last && code <= 0xffff; code++) {
    BASIC[code >> 3] = (BASIC[code >> 3] as number) | (1 << (code & 7));
  }
}

/** True for a character that draws nothing and that matching must skip. */
export function isDefaultIgnorable(codePoint: number): boolean {
  if (codePoint < 0xad) return false;
  if (codePoint <= 0xffff) return ((BASIC[codePoint >> 3] as number) & (1 << (codePoint & 7))) !== 0;
  if (codePoint >= 0xe0000) return codePoint <= 0xe0fff;
  return (codePoint >= 0x1bca0 && codePoint <= 0x1bca3) || (codePoint >= 0x1d173 && codePoint <= 0x1d17a);
}

/** Also skipped in views: control characters but for blanks, interlinear marks and the object placeholder. */
function isSkipped(codePoint: number): boolean {
  if (codePoint < 0x20) return codePoint !== 0x09 && (codePoint < 0x0a || codePoint > 0x0d);
  if (codePoint < 0x7f) return false;
  if (codePoint < 0xad) return codePoint <= 0x9f && codePoint !== 0x85;
  return isDefaultIgnorable(codePoint) || (codePoint >= 0xfff9 && codePoint <= 0xfffc);
}

/** The view without characters that draw nothing; null where it has none. Expects well-formed text. */
export function removeInvisible(view: View): View | null {
  const { text } = view;
  let builder: ViewBuilder | null = null;
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    const unit = text.charCodeAt(i);
    if ((unit >= 0x20 && unit < 0x7f) || (unit > 0xad && unit < 0xd800 && !isDefaultIgnorable(unit))) {
      i++;
      continue;
    }
    const codePoint = unit < 0xd800 ? unit : (text.codePointAt(i) as number);
    const next = i + (codePoint > 0xffff ? 2 : 1);
    if (isSkipped(codePoint)) {
      builder ??= new ViewBuilder(view);
      builder.copy(kept, i);
      kept = next;
    }
    i = next;
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  return builder.build('visible', view.decodedFrom);
}
