/**
 * What a text says once it is read as its media type: the decoded strings of JSON, the text, comments and attributes
 * of HTML. Each part knows its place in the source, so what is found in it can be cut there.
 */
import { eachString, JsonError, type JsonNode, parseJson } from './json.ts';

export interface Part {
  readonly text: string;
  /** JSON pointer of a string; null in HTML. */
  readonly pointer: string | null;
  /** Range in the source that a changed text replaces. */
  readonly start: number;
  readonly end: number;
  /** What separates it from the part before. */
  readonly separator: string;
  /** Where an offset of the text stands in the source. */
  sourceOffset(offset: number): number;
  /** The source form of a changed text. */
  encode(text: string): string;
}

export interface Parts {
  readonly parts: readonly Part[];
  /** The text is not what its media type says; it was read as plain text only. */
  readonly malformed: boolean;
}

const NONE: Parts = { parts: [], malformed: false };

/** Reads a text as `mime`. Nothing comes of types that say nothing more than the text itself. */
export function readParts(mime: string, text: string, depthMax: number): Parts {
  const type = (mime.split(';')[0] as string).trim().toLowerCase();
  if (text.trim() === '') return NONE;
  if (type === 'application/json' || type.endsWith('+json')) return readJson(text, depthMax);
  if (type === 'text/html' || type === 'application/xhtml+xml') return { parts: readHtml(text), malformed: false };
  return NONE;
}

/** Longer escaped strings give the place of the whole string: walking them once per finding would be quadratic. */
const WALK_CHARS_MAX = 65_536;

function readJson(source: string, depthMax: number): Parts {
  let root: JsonNode;
  try {
    root = parseJson(source, depthMax);
  } catch (error) {
    if (error instanceof JsonError) return { parts: [], malformed: true };
    throw error;
  }
  const parts: Part[] = [];
  eachString(root, '', ({ value, start, end }, pointer) => {
    if (value === '') return;
    parts.push({
      text: value,
      pointer,
      start,
      end,
      separator: '\n',
      sourceOffset: (offset) => start + 1 + escapedUnits(source, start + 1, end - 1, value.length, offset),
      encode: (text) => JSON.stringify(text),
    });
  });
  return { parts, malformed: false };
}

/** Source units in front of a decoded offset. */
function escapedUnits(source: string, from: number, to: number, decoded: number, offset: number): number {
  if (to - from === decoded) return offset;
  if (decoded > WALK_CHARS_MAX) return offset >= decoded ? to - from : 0;
  let at = from;
  for (let i = 0; i < offset && at < to; i++) {
    if (source.charCodeAt(at) !== 0x5c) at++;
    else at += source.charCodeAt(at + 1) === 0x75 ? 6 : 2;
  }
  return at - from;
}

/** Elements that do not interrupt a sentence. */
const INLINE = new Set(
  'a abbr b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike strong sub sup tt u var wbr'.split(
    ' ',
  ),
);

/** One pass. Where a tag or comment does not end, the rest is text. Entities are left to the decoded views. */
function readHtml(source: string): Part[] {
  const parts: Part[] = [];
  let separator = '\n';
  const add = (start: number, end: number, border: string): void => {
    if (source.slice(start, end).trim() === '') return;
    parts.push({
      text: source.slice(start, end),
      pointer: null,
      start,
      end,
      separator: border,
      sourceOffset: (offset) => start + offset,
      encode: (text) => text,
    });
  };
  const attributes: (readonly [number, number])[] = [];
  let at = 0;
  while (at < source.length) {
    const open = nextTag(source, at);
    if (open > at) {
      add(at, open, separator);
      separator = '';
    }
    if (open === source.length) break;
    if (source.startsWith('<!--', open)) {
      const close = source.indexOf('-->', open + 4);
      const end = close === -1 ? source.length : close;
      attributes.push([open + 4, end]);
      at = close === -1 ? source.length : close + 3;
      continue;
    }
    const end = tagEnd(source, open, attributes);
    if (end === -1) {
      add(open, source.length, '\n');
      break;
    }
    const name = /^<\/?([a-z][a-z0-9-]{0,30})/i.exec(source.slice(open, open + 40))?.[1]?.toLowerCase() ?? '';
    if (!INLINE.has(name)) separator = '\n';
    at = end;
  }
  for (const [start, end] of attributes) add(start, end, '\n');
  return parts;
}

/** The next `<` that opens a tag or comment, or the end. */
function nextTag(source: string, from: number): number {
  for (let at = source.indexOf('<', from); at !== -1; at = source.indexOf('<', at + 1)) {
    const code = source.charCodeAt(at + 1) | 0x20;
    const next = source[at + 1];
    if ((code >= 0x61 && code <= 0x7a) || next === '/' || next === '!' || next === '?') return at;
  }
  return source.length;
}

/** The end of a tag, quotes observed, with its quoted values noted; -1 when it has none. */
function tagEnd(source: string, open: number, values: (readonly [number, number])[]): number {
  const known = values.length;
  for (let at = open + 1; at < source.length; at++) {
    const char = source[at];
    if (char === '>') return at + 1;
    if (char !== '"' && char !== "'") continue;
    const close = source.indexOf(char, at + 1);
    if (close === -1) break;
    values.push([at + 1, close]);
    at = close;
  }
  values.length = known;
  return -1;
}
