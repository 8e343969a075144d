/**
 * One look over a text that says which transforms could change it, since most text needs none.
 * It may answer "maybe" too often and never "no" wrongly; a property test compares it with the transforms.
 * Measured on 2 KB of English: 20 us in place of 95 us for asking every transform.
 */

export interface Survey {
  /** Printable ASCII, tabs and line breaks only. */
  readonly plain: boolean;
  readonly spelled: boolean;
  readonly leet: boolean;
  readonly escapes: boolean;
  readonly percent: boolean;
  readonly entities: boolean;
  readonly hex: boolean;
  readonly base64: boolean;
}

const LETTER = 1;
const DIGIT_LIKE = 2;
const BASE64 = 4;
const HEX = 8;
const HEX_SEPARATOR = 16;
const TRIGGER = 32;
const WORD = 64;

/** Classes by ASCII code; 0 ends every run, 255 is not plain. */
const CLASSES = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const char = String.fromCharCode(code);
  let bits = 0;
  if (/[A-Za-z]/.test(char)) bits |= LETTER | WORD;
  if (/[0-9]/.test(char)) bits |= WORD;
  if (/[0-9@$]/.test(char)) bits |= DIGIT_LIKE;
  if (/[A-Za-z0-9+/_-]/.test(char)) bits |= BASE64;
  if (/[0-9A-Fa-f]/.test(char)) bits |= HEX;
  // An `x` follows the zero or the backslash of a prefix.
  if (/[:,; \n\r\\xX-]/.test(char)) bits |= HEX_SEPARATOR;
  if (/[%&\\+]/.test(char)) bits |= TRIGGER;
  if (code < 0x20 && (code < 0x09 || code > 0x0d)) bits = 255;
  if (code === 0x7f) bits = 255;
  CLASSES[code] = bits;
}

export const BASE64_CHARS_MIN = 16;
export const HEX_DIGITS_MIN = 24;
export const SINGLES_MIN = 4;

export function survey(text: string): Survey {
  let run64 = 0;
  let digits = 0;
  let word = 0;
  let singles = 0;
  let previous = 0;
  let plain = true;
  let hex = false;
  let base64 = false;
  let spelled = false;
  let leet = false;
  let triggers = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    let bits = unit < 128 ? (CLASSES[unit] as number) : 255;
    if (bits === 255) {
      // It ends every run of ASCII, as it does for the decoders.
      plain = false;
      bits = 0;
    }
    if ((bits & BASE64) !== 0) {
      if (++run64 === BASE64_CHARS_MIN) base64 = true;
    } else run64 = 0;
    if ((bits & HEX) !== 0) {
      if (++digits === HEX_DIGITS_MIN) hex = true;
    } else if ((bits & HEX_SEPARATOR) === 0) digits = 0;
    if ((bits & WORD) !== 0) word++;
    else if (word > 0) {
      singles = word === 1 ? singles + 1 : 0;
      if (singles === SINGLES_MIN) spelled = true;
      word = 0;
    }
    if (((bits | previous) & (LETTER | DIGIT_LIKE)) === (LETTER | DIGIT_LIKE)) leet = true;
    if ((bits & TRIGGER) !== 0) triggers = true;
    previous = bits;
  }
  return {
    plain,
    // Letters beyond ASCII may be spelled out too.
    spelled: !plain || spelled || (word === 1 && singles + 1 >= SINGLES_MIN),
    leet,
    escapes: triggers,
    percent: triggers,
    entities: triggers,
    hex,
    base64,
  };
}
