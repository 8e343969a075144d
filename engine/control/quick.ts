/**
 * Most brackets in code and HTML start no token, and the next few characters prove it. This says so
 * without opening a candidate; where it cannot prove it, or the text ends too early, it says nothing.
 * Measured on 255 characters of JSX: 3 us in place of 7.
 */
import { isAsciiAlnum } from '../views/chars.ts';
import { Candidate, type Literals } from './candidate.ts';
import { advance, type TrieNode } from './trie.ts';

const NAME_UNITS_MAX = 64;

export type QuickMiss = (text: string, at: number) => number;

/** Per opener: 1 for the ASCII characters after which a token is still possible. */
function viable(literals: Literals, opener: string): Uint8Array {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code++) {
    const candidate = new Candidate(literals, opener);
    if (candidate.feed(String.fromCharCode(code).toLowerCase())) table[code] = 1;
  }
  return table;
}

function isNameUnit(unit: number): boolean {
  return isAsciiAlnum(unit) || unit === 0x5f || unit === 0x2d || unit === 0x2e;
}

function step(node: TrieNode | null, char: string): TrieNode | null {
  return node === null ? null : advance(node, char);
}

/** `<name` with an ordinary delimiter, where no literal and no tool tag has that name. */
function missedTag(literals: Literals, text: string, at: number): number {
  const isClosing = text.charCodeAt(at + 1) === 0x2f;
  const from = isClosing ? at + 2 : at + 1;
  let bar = step(literals.bar, '<');
  let plain = step(literals.plain, '<');
  if (isClosing) {
    bar = step(bar, '/');
    plain = step(plain, '/');
  }
  let end = from;
  for (; end - from <= NAME_UNITS_MAX && isNameUnit(text.charCodeAt(end)); end++) {
    if (bar === null && plain === null) continue;
    const char = (text[end] as string).toLowerCase();
    bar = step(bar, char);
    plain = step(plain, char);
  }
  const delimiter = text.charCodeAt(end);
  // A bar may close a half-open token and a colon may follow a prefix; at the text's end all is open.
  const isOpen = !(delimiter < 0x80) || delimiter === 0x7c || delimiter === 0x3a;
  if (isOpen || end === from || end - from > NAME_UNITS_MAX || bar !== null || plain !== null) return -1;
  return literals.tags.has(text.slice(from, end).toLowerCase()) ? -1 : end;
}

/** `<` and blanks: only a literal with a bar may go on after them. */
function missedBlank(literals: Literals, text: string, at: number): number {
  let end = at + 1;
  while (text.charCodeAt(end) === 0x20 && end - at < NAME_UNITS_MAX) end++;
  const next = text.charCodeAt(end);
  if (!(next < 0x80) || next === 0x09 || next === 0x20) return -1;
  return step(step(literals.bar, '<'), (text[end] as string).toLowerCase()) === null ? end : -1;
}

/** For the opener at `at`: the index to read on from when no token starts there for certain, else -1. */
export function quickMiss(literals: Literals): QuickMiss {
  const tables = new Map([...'<[]'].map((opener) => [opener.charCodeAt(0), viable(literals, opener)] as const));
  return (text, at) => {
    const opener = text.charCodeAt(at);
    const table = tables.get(opener);
    const next = text.charCodeAt(at + 1);
    if (table === undefined || !(next < 0x80)) return -1;
    if (table[next] === 0) return at + 1;
    if (opener === 0x3c && next === 0x20) return missedBlank(literals, text, at);
    return opener === 0x3c && (next === 0x2f || isNameUnit(next)) ? missedTag(literals, text, at) : -1;
  };
}
