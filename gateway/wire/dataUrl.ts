/** Data URLs (RFC 2397) whose media type is text: what they say, and how a changed text goes back. */

export interface TextData {
  /** Without parameters, in lower case. */
  readonly mime: string;
  readonly text: string;
  readonly encode: (text: string) => string;
}

const TEXT_TYPE =
  /^(?:text\/[\w.+-]{1,64}|application\/(?:[\w.-]{1,64}\+)?(?:json|xml|yaml)|application\/(?:x-)?(?:javascript|ndjson|sh|yaml))$/;
/** The head ends at the first comma; real ones are short. */
const HEAD_CHARS_MAX = 256;

/** Null when the string is no data URL, not of a text type, or not what it says. */
export function decodeTextData(url: string): TextData | null {
  if (!/^data:/i.test(url)) return null;
  const comma = url.slice(0, HEAD_CHARS_MAX).indexOf(',');
  if (comma === -1) return null;
  const head = url.slice(0, comma);
  const params = head.slice('data:'.length).toLowerCase().split(';');
  // RFC 2397: no type means plain text.
  const mime = (params[0] as string).trim() || 'text/plain';
  if (!TEXT_TYPE.test(mime)) return null;
  const base64 = params.at(-1)?.trim() === 'base64';
  const text = base64 ? fromBase64(url.slice(comma + 1)) : fromPercent(url.slice(comma + 1));
  if (text === null) return null;
  const encode = (changed: string): string =>
    `${head},${base64 ? Buffer.from(changed, 'utf8').toString('base64') : encodeURIComponent(Buffer.from(changed, 'utf8').toString('utf8'))}`;
  return { mime, text, encode };
}

/** Text of base64 in either alphabet; null when the bytes are no UTF-8. */
export function fromBase64(data: string): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(data, 'base64'));
  } catch {
    return null;
  }
}

/** A broken escape is what it looks like: text. */
function fromPercent(data: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    return data;
  }
}
