/** Digits written for letters (`1gn0r3`) read as letters. */
import { isAsciiLetter } from './chars.ts';
import type { View } from './view.ts';

const LEET: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
};

const TOKEN_UNITS_MAX = 32;

function isTokenUnit(unit: number): boolean {
  return isAsciiLetter(unit) || (unit >= 0x30 && unit <= 0x39) || unit === 0x40 || unit === 0x24;
}

/** The token in letters, or null: only one with a digit before its last letter and not more digits than letters. */
function deleetToken(token: string): string | null {
  let letters = 0;
  let digits = 0;
  let early = false;
  let text = '';
  for (let i = 0; i < token.length; i++) {
    const unit = token.charCodeAt(i);
    if (isAsciiLetter(unit)) {
      letters++;
      if (digits > 0) early = true;
      text += token[i];
      continue;
    }
    const letter = LEET[token[i] as string];
    if (letter === undefined) return null;
    digits++;
    text += letter;
  }
  return early && letters >= 2 && digits <= letters ? text : null;
}

/** One unit becomes one unit, so the offset map stays as it is. Null where no token changes. */
export function deleet(view: View): View | null {
  const { text } = view;
  let parts: string[] | null = null;
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    if (!isTokenUnit(text.charCodeAt(i))) {
      i++;
      continue;
    }
    const start = i;
    let mixed = false;
    while (i < text.length && isTokenUnit(text.charCodeAt(i))) {
      if (!isAsciiLetter(text.charCodeAt(i))) mixed = true;
      i++;
    }
    if (!mixed || i - start > TOKEN_UNITS_MAX) continue;
    const token = text.slice(start, i);
    // An e-mail address.
    if (text[i] === '.' && isAsciiLetter(text.charCodeAt(i + 1)) && token.includes('@')) continue;
    const changed = deleetToken(token);
    if (changed === null) continue;
    parts ??= [];
    parts.push(text.slice(kept, start), changed);
    kept = i;
  }
  if (parts === null) return null;
  parts.push(text.slice(kept));
  return { name: 'deleet', text: parts.join(''), map: view.map, decodedFrom: view.decodedFrom };
}
