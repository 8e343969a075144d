/** Lone surrogates become U+FFFD, before anything is removed: removal could join two halves into a new character. */
import type { View } from './view.ts';

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Index of the first lone surrogate from `from`, or -1. */
function nextLone(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) i++;
    else return i;
  }
  return -1;
}

/** One unit becomes one unit, so the offset map stays as it is. Null where nothing is lone. */
export function wellFormed(view: View): View | null {
  const { text } = view;
  let lone = nextLone(text, 0);
  if (lone < 0) return null;
  const parts: string[] = [];
  let done = 0;
  while (lone >= 0) {
    parts.push(text.slice(done, lone), '\ufffd');
    done = lone + 1;
    lone = nextLone(text, done);
  }
  parts.push(text.slice(done));
  return { name: 'wellFormed', text: parts.join(''), map: view.map, decodedFrom: view.decodedFrom };
}
