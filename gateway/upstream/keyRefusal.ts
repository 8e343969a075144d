/**
 * Refusals of the gateway's own key. To a client they would look like refusals of its key for the gateway, and their
 * text is about a secret that is none of its business.
 */
import { JsonError, type JsonNode, member, parseJson, stringMember } from '../wire/json.ts';
import type { UpstreamHead } from './call.ts';

/** Whatever is longer is no word about a key. */
const BODY_BYTES_MAX = 64 * 1024;
const DEPTH_MAX = 16;
/** Members of an error that say what it is. */
const NAMING = ['type', 'code', 'status'];
const WORD_CHARS_MAX = 200;
/** Linear: literals, and one class on either side of one of them. */
const OF_KEYS = /auth|permission|api[_-]?key|(?:^|[^a-z])key(?:$|[^a-z])/i;

/** What a status says about the key: `maybe` has to be read. */
export function refusesKey(status: number): 'yes' | 'maybe' | 'no' {
  if (status === 401) return 'yes';
  return status === 403 ? 'maybe' : 'no';
}

/** An answer that is kept back until it is known whether it refuses the key, a region or a content. */
export class Withheld {
  readonly head: UpstreamHead;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(head: UpstreamHead) {
    this.head = head;
  }

  /** False when it has become too long to be kept back. */
  add(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    return this.#bytes <= BODY_BYTES_MAX;
  }

  get body(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Whether the error, as every kind of provider writes it, names a key, an authentication or a permission. */
  get isOfKey(): boolean {
    const root = parse(this.body.toString('utf8'));
    return [root, member(root, 'error')].some((node) => NAMING.some((name) => isOfKeys(stringMember(node, name))));
  }
}

function isOfKeys(word: string | null): boolean {
  return word !== null && word.length <= WORD_CHARS_MAX && OF_KEYS.test(word);
}

function parse(text: string): JsonNode | null {
  try {
    return parseJson(text, DEPTH_MAX);
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}
