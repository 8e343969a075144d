/** Documents given as base64 beside their media type: those of a text type are read, and written back the same way. */
import { GatewayError } from '../errors.ts';
import { decodeTextData } from './dataUrl.ts';
import type { JsonString } from './json.ts';
import type { ReadLimits, WireSegment } from './request.ts';

/**
 * A type without the parameters behind it; a comma would end the head of a data URL. Linear: anchored, and no class
 * shares a character with what follows it.
 */
const MEDIA_TYPE = /^\s*([\w.+-]{1,64}\/[\w.+-]{1,64})\s*(?:;|$)/;

/** Null when it holds no text. Throws `request_too_large` for a text above the bound. */
export function readEncodedDocument(
  leaf: JsonString,
  mediaType: string,
  path: string,
  { leafBytesMax }: ReadLimits,
): WireSegment | null {
  const type = MEDIA_TYPE.exec(mediaType)?.[1] ?? 'application/octet-stream';
  const head = `data:${type};base64,`;
  const decoded = decodeTextData(head + leaf.value);
  if (decoded === null) return null;
  const { mime, text } = decoded;
  if (text.length * 3 > leafBytesMax && Buffer.byteLength(text, 'utf8') > leafBytesMax) {
    throw new GatewayError('request_too_large', {
      message: `A text is larger than ${leafBytesMax} bytes.`,
      param: path,
    });
  }
  const encode = (changed: string): string => decoded.encode(changed).slice(head.length);
  return { path, role: 'document', mime, text, trusted: false, leaf, encode };
}
