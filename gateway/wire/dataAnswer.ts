/** Answers that are data and are never rewritten: embeddings, moderations, model objects. Every string is a leaf. */
import { type AnswerPart, AnswerReader, isSet, readUsage } from './answer.ts';
import { type JsonNode, type JsonObject, member } from './json.ts';

/** Linear: anchored, one class and an ending of another character. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
/** Linear: anchored, one class. */
const HEX = /^[0-9a-fA-F]*$/;
/** Bytes of a text. Linear: anchored, one class. */
const PRINTABLE = /^[\x20-\x7e]*$/;
const VECTOR_BYTES_MIN = 16;
/** Components of embeddings are about 1; the largest of one is never tiny, and none is huge. */
const COMPONENT_MAX = 1e4;
const LARGEST_COMPONENT_MIN = 1e-3;

/** Any JSON, whatever it says of itself. */
export function readLeaves(root: JsonNode): AnswerPart {
  const reader = new AnswerReader();
  reader.strings(root, '');
  reader.keys(root);
  return reader.result({ isError: false, ends: true, usage: null });
}

/** Any JSON object. */
export function readDataAnswer(root: JsonNode): AnswerPart | null {
  return root.kind === 'object' ? { ...readLeaves(root), ...outcome(root) } : null;
}

/** Embeddings: lists of numbers, or the bytes of such a list as base64, which are no text either. */
export function readEmbeddingsAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const data = member(root, 'data');
  if (data?.kind !== 'array' && !isSet(member(root, 'error'))) return null;
  const reader = new AnswerReader();
  for (const [key, node] of root.entries) {
    if (key !== 'data' || node.kind !== 'array') reader.strings(node, `/${key}`);
    else for (const [index, item] of node.items.entries()) readEmbedding(reader, item, `/data/${index}`);
  }
  reader.keys(root);
  return reader.result({ ends: true, ...outcome(root) });
}

function readEmbedding(reader: AnswerReader, node: JsonNode, path: string): void {
  if (node.kind !== 'object') {
    reader.strings(node, path);
    return;
  }
  for (const [key, value] of node.entries) {
    const isBytes = key === 'embedding' && value.kind === 'string' && isVector(value.value);
    if (!isBytes) reader.strings(value, `${path}/${key}`);
  }
}

/** True for the base64 of numbers that an embedding may have. A text, encoded or not, is hardly ever one. */
function isVector(text: string): boolean {
  if (!BASE64.test(text) || HEX.test(text)) return false;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length < VECTOR_BYTES_MIN || bytes.length % 4 !== 0 || PRINTABLE.test(bytes.toString('latin1')))
    return false;
  let largest = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    const size = Math.abs(bytes.readFloatLE(at));
    // NaN is neither.
    if (!(size <= COMPONENT_MAX)) return false;
    largest = Math.max(largest, size);
  }
  return largest >= LARGEST_COMPONENT_MIN;
}

function outcome(root: JsonObject): Pick<AnswerPart, 'isError' | 'usage'> {
  return { isError: isSet(member(root, 'error')), usage: readUsage(member(root, 'usage')) };
}
