/**
 * What every request format is read into: the strings a model may read, who wrote them, and where canaries go.
 * Everything that is not known to be out of the model's sight counts as text, so that a new field is inspected before
 * anyone here has heard of it.
 */
import type { Carrier } from '../../engine/canary/derive.ts';
import type { Role, Segment } from '../../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { decodeTextData } from './dataUrl.ts';
import {
  eachKey,
  eachString,
  JsonError,
  type JsonNode,
  type JsonObject,
  type JsonString,
  member,
  parseJson,
} from './json.ts';

export interface ReadLimits {
  readonly depthMax: number;
  readonly leafBytesMax: number;
}

export interface WireSegment extends Segment {
  /** The string in the body; null for what is read and cannot be rewritten, such as keys. */
  readonly leaf: JsonString | null;
  /** The string for a rewritten text, where the body holds it in another form. */
  readonly encode?: (text: string) => string;
}

/** A trusted text that a canary is planted in. */
export interface CarrierLeaf {
  readonly carrier: Carrier;
  readonly leaf: JsonString;
}

/** What a request continues that only the provider holds. */
export interface Continued {
  readonly responseId: string | null;
  /** Ids of single items. */
  readonly itemIds: readonly string[];
}

/** A request of any format. */
export interface ModelRequest {
  readonly source: string;
  readonly root: JsonObject;
  /** Null when the request names none. */
  readonly model: string | null;
  readonly stream: boolean;
  readonly segments: readonly WireSegment[];
  readonly carriers: readonly CarrierLeaf[];
  /** Pointers of parts that hold no text: images, audio, files. */
  readonly binary: readonly string[];
  readonly continued: Continued | null;
}

/** Further trusted texts are forwarded as they are. */
const CARRIERS_MAX = 8;
/** What a `type` looks like; anything else under that key is read as text. */
const TYPE = /^[a-z][a-z0-9_]{0,63}$/;
/** What neither an address, an id nor base64 has: a blank between words, letters beyond ASCII. */
const PROSE = /\S \S|[^\s!-~]/;
const DATA_URL = /^\s*data:/i;
/** Keys from this length on can say something; property names of a schema reach the model like its texts. */
const KEY_CHARS_MIN = 9;

/** What a part of a request is about. */
export interface StringsOptions {
  /** Where something is said; every other string stands beside it. */
  readonly isContent?: (path: string, key: string) => boolean;
  /** The pointer of the part that a string without text belongs to; null for text. */
  readonly binaryPart?: (path: string, leaf: JsonString) => string | null;
  readonly onContent?: (leaf: JsonString) => void;
}

/** Collects the segments of one request. Throws `request_too_large` for a text above the bound. */
export class RequestReader {
  readonly segments: WireSegment[] = [];
  readonly carriers: CarrierLeaf[] = [];
  readonly binary: string[] = [];
  readonly #leafBytesMax: number;

  constructor(limits: ReadLimits) {
    this.#leafBytesMax = limits.leafBytesMax;
  }

  /** Every string below a node, in document order, then its long keys. */
  node(node: JsonNode, path: string, role: Role, options: StringsOptions = {}): void {
    this.strings(node, path, role, options);
    this.keys(node, path, role);
  }

  strings(node: JsonNode, path: string, role: Role, options: StringsOptions = {}): void {
    eachString(node, path, (leaf, at, key) => {
      if (leaf.value === '' || (key === 'type' && TYPE.test(leaf.value))) return;
      const part = options.binaryPart?.(at, leaf) ?? null;
      if (part !== null) {
        this.data(leaf, at, part);
        return;
      }
      const said = options.isContent?.(at, key) ?? false;
      this.text(leaf, at, role, { aside: !said });
      if (said) options.onContent?.(leaf);
    });
  }

  /** One string. `aside` stands beside what is said. */
  text(leaf: JsonString, path: string, role: Role, { aside }: { readonly aside: boolean }): void {
    this.#segment({ path, role, mime: 'text/plain', text: leaf.value, leaf, aside });
  }

  /** A string that stands for data: text where its media type says so or only text looks like it, else only noted. */
  data(leaf: JsonString, path: string, part: string): void {
    const decoded = decodeTextData(leaf.value);
    if (decoded !== null) {
      const { mime, text, encode } = decoded;
      this.#segment({ path, role: 'document', mime, text, leaf, aside: false, encode });
    } else if (!DATA_URL.test(leaf.value) && PROSE.test(leaf.value))
      this.text(leaf, path, 'document', { aside: false });
    else if (this.binary.at(-1) !== part) this.binary.push(part);
  }

  /** Long keys, as one text that can stop a request and cannot be rewritten. */
  keys(node: JsonNode, path: string, role: Role): void {
    const keys: string[] = [];
    eachKey(node, KEY_CHARS_MIN, (key) => keys.push(key));
    if (keys.length === 0) return;
    this.#segment({ path: `${path}#keys`, role, mime: 'text/plain', text: keys.join('\n'), leaf: null, aside: true });
  }

  carrier(carrier: Carrier, leaf: JsonString): void {
    if (this.carriers.length < CARRIERS_MAX && leaf.value.trim() !== '') this.carriers.push({ carrier, leaf });
  }

  #segment({ aside, ...segment }: Omit<WireSegment, 'trusted' | 'aside'> & { readonly aside: boolean }): void {
    const { text, role, path } = segment;
    // A UTF-16 unit is at most three bytes of UTF-8, so short texts need no count.
    if (text.length * 3 > this.#leafBytesMax && Buffer.byteLength(text, 'utf8') > this.#leafBytesMax) {
      throw new GatewayError('request_too_large', {
        message: `A text is larger than ${this.#leafBytesMax} bytes.`,
        param: path,
      });
    }
    const trusted = role === 'system' || role === 'developer';
    this.segments.push({ ...segment, trusted, ...(aside && { aside }) });
  }
}

/** Parses a body that has to be an object. Throws `GatewayError`. */
export function readObject(source: string, depthMax: number): JsonObject {
  let root: JsonNode;
  try {
    root = parseJson(source, depthMax);
  } catch (cause) {
    if (cause instanceof JsonError) throw new GatewayError(cause.problem, { cause });
    throw cause;
  }
  if (root.kind !== 'object') throw invalid('', 'expected an object');
  return root;
}

/** A 400 that names the place and what was expected there. */
export function invalid(pointer: string, expected: string): GatewayError {
  const where = pointer === '' ? 'the request body' : pointer;
  return new GatewayError('invalid_request', {
    message: `Invalid value at ${where}: ${expected}.`,
    param: pointer || '/',
  });
}

/** An optional string member; null when absent or null. Throws `invalid_request`. */
export function optionalString(root: JsonObject, key: string): string | null {
  const node = member(root, key);
  if (node === null || node.kind === 'null') return null;
  if (node.kind !== 'string') throw invalid(`/${key}`, 'expected a string');
  return node.value;
}

/** An optional boolean member; null when absent or null. Throws `invalid_request`. */
export function optionalBoolean(root: JsonObject, key: string): boolean | null {
  const node = member(root, key);
  if (node === null || node.kind === 'null') return null;
  if (node.kind !== 'boolean') throw invalid(`/${key}`, 'expected a boolean');
  return node.value as boolean;
}
