/**
 * Requests that are a list of texts: legacy completions, embeddings, moderations. All of it is a user's text, also what
 * is sent to be moderated; none of it is a place for canaries.
 */
import { type JsonNode, type JsonObject, member, pointerKey } from './json.ts';
import {
  invalid,
  type ModelRequest,
  optionalBoolean,
  optionalString,
  type ReadLimits,
  RequestReader,
  readObject,
} from './request.ts';
import { CHAT_WORDS } from './vocabulary.ts';

/** Top-level members that no model reads. */
const NOT_READ = new Set([
  'encoding_format',
  'metadata',
  'model',
  'prompt_cache_key',
  'safety_identifier',
  'service_tier',
  'stop',
  'user',
]);

/** What may stand in a list besides texts. */
interface TextsOptions {
  /** Numbers for a tokenizer that only the provider has, so what they say is not read. */
  readonly tokens: boolean;
  /** Parts like those of a chat message. */
  readonly parts: boolean;
}

/** Reads and checks a legacy completion. Throws `GatewayError` with the JSON pointer of the problem. */
export function readCompletionsRequest(source: string, limits: ReadLimits): ModelRequest {
  const root = readObject(source, limits);
  const stream = optionalBoolean(root, 'stream') ?? false;
  const reader = new TextsReader(limits, CHAT_WORDS);
  const prompt = member(root, 'prompt');
  // Without a prompt the model begins a document of its own.
  if (prompt !== null && prompt.kind !== 'null') reader.texts(prompt, '/prompt', { tokens: true, parts: false });
  if (optionalString(root, 'suffix') !== null) reader.said(member(root, 'suffix') as JsonNode, '/suffix');
  return reader.request(source, root, stream, ['prompt', 'suffix']);
}

/** Reads and checks a request for embeddings. Throws `GatewayError` with the JSON pointer of the problem. */
export function readEmbeddingsRequest(source: string, limits: ReadLimits): ModelRequest {
  // Multimodal models of compatible providers take parts.
  return readInput(source, limits, { tokens: true, parts: true });
}

/** Reads and checks a request for moderation. Throws `GatewayError` with the JSON pointer of the problem. */
export function readModerationsRequest(source: string, limits: ReadLimits): ModelRequest {
  return readInput(source, limits, { tokens: false, parts: true });
}

function readInput(source: string, limits: ReadLimits, options: TextsOptions): ModelRequest {
  const root = readObject(source, limits);
  const reader = new TextsReader(limits, CHAT_WORDS);
  reader.texts(member(root, 'input'), '/input', options);
  return reader.request(source, root, false, ['input']);
}

/** Parts of a list whose strings are content of another kind. Linear: anchored, and no two parts of it overlap. */
const BINARY = /^(\/input\/\d+\/(?:image_url|image|input_audio|video_url|file))(?:\/(?:url|data|file_data|file_id))?$/;
const SAID = /^\/input\/\d+\/text$/;

class TextsReader extends RequestReader {
  texts(node: JsonNode | null, path: string, options: TextsOptions): void {
    if (node?.kind === 'string') {
      this.said(node, path);
      return;
    }
    if (node?.kind !== 'array' || node.items.length === 0) throw invalid(path, expected(options, ''));
    for (const [index, item] of node.items.entries()) this.#item(item, `${path}/${index}`, path, options);
    this.keys(node, path, 'user');
  }

  said(node: JsonNode, path: string): void {
    this.strings(node, path, 'user', { isContent: () => true });
  }

  /** The members that were read already are named; all others may reach a model too. */
  request(source: string, root: JsonObject, stream: boolean, read: readonly string[]): ModelRequest {
    const model = optionalString(root, 'model');
    for (const [key, node] of root.entries) {
      if (!read.includes(key) && !NOT_READ.has(key)) this.node(node, `/${pointerKey(key)}`, 'user');
    }
    return this.result({ source, root, model, stream, continued: null });
  }

  #item(item: JsonNode, path: string, list: string, options: TextsOptions): void {
    if (item.kind === 'string') this.said(item, path);
    else if (options.tokens && item.kind === 'number') this.#unread(list);
    else if (options.tokens && isTokens(item)) this.#unread(path);
    else if (options.parts && item.kind === 'object') {
      this.strings(item, path, 'user', {
        isContent: (at) => SAID.test(at),
        binaryPart: (at) => BINARY.exec(at)?.[1] ?? null,
      });
    } else throw invalid(path, expected(options, ' in the list'));
  }

  #unread(path: string): void {
    if (this.unreadable.at(-1) !== path) this.unreadable.push(path);
  }
}

function isTokens(node: JsonNode): boolean {
  return node.kind === 'array' && node.items.length > 0 && node.items.every(({ kind }) => kind === 'number');
}

function expected({ tokens, parts }: TextsOptions, where: string): string {
  const also = [...(tokens ? ['token numbers'] : []), ...(parts ? ['content parts'] : [])].join(' or ');
  return where === '' ? `expected a text, or a list of texts, ${also}` : `expected a text, ${also}${where}`;
}
