/** What stands around a control token, and the role lines that need no bracket. */
import { isAsciiLetter } from '../views/chars.ts';
import { isDefaultIgnorable } from '../views/invisible.ts';
import { foldCharacter } from './fold.ts';
import { advance, type Entry, type TrieNode } from './trie.ts';

/** Units before a token that decide about it; a stream keeps as many. */
export const CONTEXT_UNITS = 64;

const ROLE_UNITS_MAX = 12;

const ROLE_WORDS: ReadonlySet<string> = new Set([
  'system',
  'developer',
  'user',
  'human',
  'assistant',
  'ai',
  'bot',
  'model',
  'tool',
  'function',
  'observation',
  'environment',
  'ipython',
]);

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09 || unit === 0xa0 || unit === 0x3000 || isDefaultIgnorable(unit);
}

/** True where only blanks stand between `at` and the line's start, or the offset `after` of a token at one. */
export function isLineStart(text: string, at: number, after: number): boolean {
  const from = Math.max(0, at - CONTEXT_UNITS);
  for (let i = at; i > from; i--) {
    if (i === after) return true;
    const unit = text.charCodeAt(i - 1);
    if (unit === 0x0a || unit === 0x0d || unit === 0x2028 || unit === 0x2029) return true;
    if (!isBlank(unit)) return false;
  }
  // Nothing but blanks as far as is remembered.
  return true;
}

/** True where a role word, with or without a colon, stands right before `at`. */
export function isAfterRoleWord(text: string, at: number): boolean {
  const from = Math.max(0, at - CONTEXT_UNITS);
  let end = at;
  while (end > from && (isBlank(text.charCodeAt(end - 1)) || text[end - 1] === ':' || text[end - 1] === '\n')) end--;
  let start = end;
  while (start > from && end - start <= ROLE_UNITS_MAX && isAsciiLetter(text.charCodeAt(start - 1))) start--;
  return ROLE_WORDS.has(text.slice(start, end).toLowerCase());
}

/** True where a role word, alone on its line or with a colon, stands right after `at`. */
export function isBeforeRoleWord(text: string, at: number): boolean {
  let start = at;
  const to = Math.min(text.length, at + CONTEXT_UNITS);
  while (start < to && (isBlank(text.charCodeAt(start)) || text[start] === '\n')) start++;
  let end = start;
  while (end < to && end - start <= ROLE_UNITS_MAX && isAsciiLetter(text.charCodeAt(end))) end++;
  const next = text[end];
  const isAlone = next === undefined || next === ':' || next === '\n' || next === '\r' || next === '<' || next === '[';
  return isAlone && ROLE_WORDS.has(text.slice(start, end).toLowerCase());
}

export interface RoleMarker {
  readonly start: number;
  readonly end: number;
  readonly entry: Entry;
}

/** Longest literal of `roots` at `at`. */
function markerAt(root: TrieNode, text: string, at: number): RoleMarker | null {
  let node: TrieNode | null = root;
  let found: RoleMarker | null = null;
  for (let i = at; i < text.length && node !== null; ) {
    const codePoint = text.codePointAt(i) as number;
    i += codePoint > 0xffff ? 2 : 1;
    for (const char of foldCharacter(codePoint)) {
      node = node === null ? null : advance(node, char);
    }
    if (node !== null && node.entry !== null) found = { start: at, end: i, entry: node.entry };
    // Literals are short; a row of ignorable characters is not followed for ever.
    if (i - at > CONTEXT_UNITS) break;
  }
  return found;
}

/** Role lines without brackets, read at the start of a line only. */
export function findRoleMarkers(root: TrieNode, text: string): RoleMarker[] {
  const found: RoleMarker[] = [];
  for (let line = 0; line <= text.length; ) {
    let at = line;
    while (at < text.length && isBlank(text.charCodeAt(at))) at++;
    const marker = markerAt(root, text, at);
    if (marker !== null) found.push(marker);
    const next = text.indexOf('\n', at);
    if (next < 0) break;
    line = next + 1;
  }
  return found;
}
