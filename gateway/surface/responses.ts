import { responsesDialect } from '../stream/responsesDialect.ts';
import { type JsonNode, member, stringMember } from '../wire/json.ts';
import { readResponsesAnswer } from '../wire/responsesAnswer.ts';
import { readResponsesRequest } from '../wire/responsesRequest.ts';
import { openaiErrors } from './errorDialect.ts';
import type { KeptIds, Surface } from './surface.ts';

/** OpenAI Responses. */
export const responsesSurface: Surface = {
  id: 'responses',
  path: '/responses',
  readRequest: readResponsesRequest,
  readAnswer: readResponsesAnswer,
  stream: responsesDialect,
  errors: openaiErrors,
  keptIds,
};

/** Of a response, or of an event that carries one. */
function keptIds(root: JsonNode): KeptIds | null {
  const response = member(root, 'response') ?? root;
  const responseId = stringMember(response, 'id');
  const stored = member(response, 'store');
  if (responseId === null) return null;
  const output = member(response, 'output');
  const items = output?.kind === 'array' ? output.items : [];
  return {
    stored: !(stored?.kind === 'boolean' && stored.value === false),
    responseId,
    itemIds: items.flatMap((item) => stringMember(item, 'id') ?? []),
  };
}
