/** OpenAI Responses, whole: the answer to a call, one that was stored, and the items a stored one was given. */
import { type AnswerPart, isSet, readUsage } from './answer.ts';
import { type JsonNode, member, stringMember } from './json.ts';
import { ResponsesReader } from './responsesReader.ts';

/** Reads one response object. Null when it is none and no error either. One that failed is still an answer. */
export function readResponsesAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const reader = new ResponsesReader();
  const output = member(root, 'output');
  const isError = output === null && isSet(member(root, 'error'));
  if (!isError && output?.kind !== 'array' && stringMember(root, 'object') !== 'response') return null;
  reader.response(root, '', true);
  reader.keys(root);
  return reader.result({ isError, ends: true, usage: readUsage(member(root, 'usage')) });
}

/** Reads a list of the items that a stored response was given: the client's own words. Null when it is none. */
export function readInputItems(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isSet(member(root, 'error'));
  const data = member(root, 'data');
  if (!isError && (stringMember(root, 'object') !== 'list' || data?.kind !== 'array')) return null;
  const reader = new ResponsesReader();
  for (const [key, value] of root.entries) {
    if (value === data && !isError) reader.echo(value);
    else reader.strings(value, `/${key}`);
  }
  reader.keys(root);
  return reader.result({ isError, ends: true, usage: null });
}
