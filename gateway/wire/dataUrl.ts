/** Data URLs (RFC 2397) whose media type is text: what they say, and how a changed text goes back. */

export interface TextData {
  /** Without parameters, in lower case. */
  readonly mime: string;
  readonly text: string;
  readonly encode: (text: string) => string;
}

const TEXT_TYPE =
  /^(?:text\/[\w.+-]{1,64}|application\/(?:[\w.-]{1,64}\+)?(?:json|xml|yaml)|application\/(?:x-)?(?:javascript|ndjson|sh|yaml))$/;
/** Types whose content only a reader of that type understands. */
const BINARY_TYPE =
  /^(?:(?:audio|video|font|model)\/|image\/(?!svg)|application\/(?:pdf|zip|gzip|x-tar|msword|vnd\.(?:ms-|openxmlformats-|oasis\.)))/;
/** Characters that no text has. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: looking for them is the purpose
const NOT_TEXT = /[\u0000-\u0008\u000e-\u001f\ufffd]/;

/**
 * Null when the string is no data URL, or holds no text. What is declared to be text is read whatever it holds; of
 * types that say neither, what can be read is.
 */
export function decodeTextData(url: string): TextData | null {
  const start = url.search(/\S/);
  if (start === -1 || !/^data:/i.test(url.slice(start, start + 'data:'.length))) return null;
  const comma = url.indexOf(',', start);
  if (comma === -1) return null;
  const head = url.slice(start, comma);
  const params = head.slice('data:'.length).toLowerCase().split(';');
  // RFC 2397: no type means plain text.
  const mime = (params[0] as string).trim() || 'text/plain';
  if (BINARY_TYPE.test(mime)) return null;
  const base64 = params.at(-1)?.trim() === 'base64';
  const text = base64 ? fromBase64(url.slice(comma + 1)) : fromPercent(url.slice(comma + 1));
  if (text === null || (!TEXT_TYPE.test(mime) && NOT_TEXT.test(text))) return null;
  const encode = (changed: string): string =>
    `${head},${base64 ? Buffer.from(changed, 'utf8').toString('base64') : encodeURIComponent(Buffer.from(changed, 'utf8').toString('utf8'))}`;
  return { mime, text, encode };
}

/**
 * Text of base64 in either alphabet. Bytes that are no UTF-8 are marked as readers mark them, since one of them must
 * not hide the text around it; null when there is nothing else.
 */
export function fromBase64(data: string): string | null {
  // Readers differ in what they make of padding before the end: some stop, some go on, some begin anew.
  const padding = data.indexOf('=');
  const goesOn = padding !== -1 && /[^=\s]/.test(data.slice(padding));
  const text = goesOn ? `${utf8(data.replaceAll('=', ''))}\n${data.split('=').map(utf8).join('')}` : utf8(data);
  // Linear: one class, anchored.
  return /^\ufffd+$/.test(text) ? null : text;
}

function utf8(base64: string): string {
  return new TextDecoder('utf-8').decode(Buffer.from(base64, 'base64'));
}

/** A broken escape is what it looks like: text. */
function fromPercent(data: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    return data;
  }
}
