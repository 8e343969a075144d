/**
 * The readable form of a control token that no tokenizer, no normaliser and no HTML decoder turns back.
 * Brackets alone are replaced: the name stays, so a question about `<|im_start|>` still makes sense.
 */
import { decodeEntities } from '../views/entities.ts';
import { originalView } from '../views/view.ts';
import { foldCharacter } from './fold.ts';

/** U+2039, U+203A, U+2E22 and U+2E23 have no normal form but themselves and are read as no bracket here. */
const ESCAPES: Readonly<Record<string, string>> = {
  '<': '\u2039',
  '>': '\u203a',
  '[': '\u2e22',
  ']': '\u2e23',
};

/** `&amp;amp;lt;` unwraps one level each time; deeper nesting is not a token to any renderer. */
const ENTITY_LEVELS_MAX = 4;

/**
 * The same text with each angle or square bracket, whatever its form, in the escaped one. Idempotent; the
 * result never matches, nor does a part of it with its neighbours, since no name holds an escaped bracket.
 * Brackets written as character references are escaped too; in other encodings a token must be cut instead.
 */
export function escapeControlToken(raw: string): string {
  let text = raw;
  for (let level = 0; level < ENTITY_LEVELS_MAX && text.includes('&'); level++) {
    const decoded = decodeEntities(originalView(text));
    if (decoded === null) break;
    text = decoded.text;
  }
  let escaped = '';
  for (const char of text) {
    escaped += ESCAPES[foldCharacter(char.codePointAt(0) as number)] ?? char;
  }
  return escaped;
}
