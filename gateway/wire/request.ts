/**
 * What every request format is read into: the strings a model may read, who wrote them, and where canaries go.
 * Everything that is not known to be out of the model's sight counts as text, so that a new field is inspected before
 * anyone here has heard of it.
 */
import type { Carrier } from '../../engine/canary/derive.ts';
import type { Role, Segment } from '../../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { DataError, type DataOptions, isProse, readData, type TextData } from './dataUrl.ts';
import { eachString, JsonError, type JsonNode, type JsonObject, type JsonString, member, parseJson } from './json.ts';
import { namedKeys } from './namedKeys.ts';
import { SCHEMA_TYPE_WORDS, type Vocabulary } from './vocabulary.ts';

export interface ReadLimits {
  readonly depthMax: number;
  /** Values of all kinds, each of which costs some hundred bytes while it is read. */
  readonly nodesMax: number;
  readonly leafBytesMax: number;
  /** Texts of one request. */
  readonly segmentsMax: number;
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
  /** Pointers of texts in a form that only the provider can read, such as token numbers. */
  readonly unreadable: readonly string[];
  readonly continued: Continued | null;
}

/** Further trusted texts are forwarded as they are. */
const CARRIERS_MAX = 8;

/** What a part of a request is about. */
export interface StringsOptions {
  /** Where something is said; every other string stands beside it. */
  readonly isContent?: (path: string, key: string) => boolean;
  /** The pointer of the part that a string without text belongs to; null for text. */
  readonly binaryPart?: (path: string, leaf: JsonString) => string | null;
  /** The same for ids and for what is encrypted: it may be prose, and is never decoded. */
  readonly sealedPart?: (path: string) => string | null;
  /** The type of the data, where it is not in the string. */
  readonly mediaType?: string;
  readonly onContent?: (leaf: JsonString) => void;
}

/** Collects the segments of one request. Throws `request_too_large` for a text above the bound. */
export class RequestReader {
  readonly segments: WireSegment[] = [];
  readonly carriers: CarrierLeaf[] = [];
  readonly binary: string[] = [];
  readonly unreadable: string[] = [];
  readonly #leafBytesMax: number;
  readonly #segmentsMax: number;
  readonly #vocabulary: Vocabulary;

  constructor(limits: ReadLimits, vocabulary: Vocabulary) {
    this.#leafBytesMax = limits.leafBytesMax;
    this.#segmentsMax = limits.segmentsMax;
    this.#vocabulary = vocabulary;
  }

  /** Every string below a node, in document order, then the keys that its writer has chosen. */
  node(node: JsonNode, path: string, role: Role, options: StringsOptions = {}): void {
    this.strings(node, path, role, options);
    this.keys(node, path, role);
  }

  strings(node: JsonNode, path: string, role: Role, options: StringsOptions = {}): void {
    eachString(node, path, (leaf, at, key) => {
      if (leaf.value === '' || (key === 'type' && this.#isTypeWord(leaf.value, at))) return;
      const sealed = options.sealedPart?.(at) ?? null;
      const part = options.binaryPart?.(at, leaf) ?? null;
      if (sealed !== null || (part !== null && key === 'file_id')) {
        this.sealed(leaf, at, sealed ?? (part as string));
        return;
      }
      if (part !== null) {
        this.data(leaf, at, part, options.mediaType);
        return;
      }
      const said = options.isContent?.(at, key) ?? false;
      this.text(leaf, at, role, { aside: !said });
      if (said) options.onContent?.(leaf);
    });
  }

  /** Members of a list have its key, and only schemas list types. */
  #isTypeWord(value: string, path: string): boolean {
    return (path.endsWith('/type') ? this.#vocabulary.types : SCHEMA_TYPE_WORDS).has(value);
  }

  /** One string. `aside` stands beside what is said. */
  text(leaf: JsonString, path: string, role: Role, { aside }: { readonly aside: boolean }): void {
    this.#segment({ path, role, mime: 'text/plain', text: leaf.value, leaf, aside });
  }

  /** A string that stands for data: text where text is in it, else only noted. Throws `invalid_request`. */
  data(leaf: JsonString, path: string, part: string, mediaType?: string): void {
    const read = dataAt(leaf.value, path, { mediaType: mediaType ?? null, textBytesMax: this.#leafBytesMax });
    if (read === null || read.partial) this.note(part);
    if (read === null) return;
    const { mime, text, encode } = read;
    const back = encode === null ? { leaf: null } : { leaf, encode };
    this.#segment({ path, role: 'document', mime, text, aside: false, ...back });
  }

  /** A string that only the provider understands, unless it says something. */
  sealed(leaf: JsonString, path: string, part: string): void {
    if (isProse(leaf.value)) this.text(leaf, path, 'document', { aside: false });
    else this.note(part);
  }

  /** A part that holds no text, noted once. */
  note(part: string): void {
    if (this.binary.at(-1) !== part) this.binary.push(part);
  }

  /** Keys reach the model like texts. They are one text, which can stop a request and cannot be rewritten. */
  keys(node: JsonNode, path: string, role: Role): void {
    const keys = namedKeys(node, this.#vocabulary.keys);
    if (keys.length === 0) return;
    this.#segment({ path: `${path}#keys`, role, mime: 'text/plain', text: keys.join('\n'), leaf: null, aside: true });
  }

  /** What was collected, with what the format says beside it. */
  result(said: Pick<ModelRequest, 'source' | 'root' | 'model' | 'stream' | 'continued'>): ModelRequest {
    const { segments, carriers, binary, unreadable } = this;
    return { ...said, segments, carriers, binary, unreadable };
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
    if (this.segments.length >= this.#segmentsMax) {
      throw new GatewayError('request_too_large', {
        message: `The request has more than ${this.#segmentsMax} texts.`,
        param: path,
      });
    }
    this.segments.push({ ...segment, trusted, ...(aside && { aside }) });
  }
}

function dataAt(value: string, path: string, options: DataOptions): TextData | null {
  try {
    return readData(value, options);
  } catch (error) {
    if (error instanceof DataError) throw invalid(path, `expected ${error.message}`);
    throw error;
  }
}

/** Parses a body that has to be an object. Throws `GatewayError`. */
export function readObject(
  source: string,
  { depthMax, nodesMax }: Pick<ReadLimits, 'depthMax' | 'nodesMax'>,
): JsonObject {
  let root: JsonNode;
  try {
    root = parseJson(source, depthMax, nodesMax);
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
