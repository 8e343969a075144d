/** Turns what a rule file says into RE2 syntax. */
import type { Lexicon } from '../../config/schema.ts';

/** A blank, and a blank that may be missing. */
const BLANKS: Readonly<Record<string, string>> = { ' ': '\\s+', ' ?': '\\s*' };

/**
 * Replaces each `{{name}}` by the alternatives of that lexicon entry, then each blank outside a class by any white space.
 * Entries hold no macros themselves.
 */
export function expandPattern(pattern: string, lexicon: Lexicon): string {
  const whole = pattern.replace(/\{\{([^{}]*)\}\}/g, (_, name: string) => {
    const words = Object.hasOwn(lexicon, name) ? lexicon[name] : undefined;
    if (words === undefined) throw new Error(`unknown lexicon entry {{${name}}}`);
    return `(?:${words.join('|')})`;
  });
  return whole.replace(/\\.|\[(?:\\.|[^\]\\])*\]| \??/gsu, (part) => BLANKS[part] ?? part);
}
