/** Answers that are data and are never rewritten: embeddings, moderations, model objects. Every string is a leaf. */
import { type AnswerPart, AnswerReader, isSet, readUsage } from './answer.ts';
import { type JsonNode, type JsonObject, member } from './json.ts';

/** Linear: anchored, one class and an ending of another character. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Any JSON object. */
export function readDataAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const reader = new AnswerReader();
  reader.strings(root, '');
  return conclude(reader, root);
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
  return conclude(reader, root);
}

function readEmbedding(reader: AnswerReader, node: JsonNode, path: string): void {
  if (node.kind !== 'object') {
    reader.strings(node, path);
    return;
  }
  for (const [key, value] of node.entries) {
    const isBytes = key === 'embedding' && value.kind === 'string' && BASE64.test(value.value);
    if (!isBytes) reader.strings(value, `${path}/${key}`);
  }
}

function conclude(reader: AnswerReader, root: JsonObject): AnswerPart {
  reader.keys(root);
  const usage = readUsage(member(root, 'usage'));
  return reader.result({ isError: isSet(member(root, 'error')), ends: true, usage });
}
