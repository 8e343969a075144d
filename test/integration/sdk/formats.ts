/** What a provider says, in each of the formats that the SDKs read. */

import { echoed } from '../../helpers/mockResponses.ts';
import {
  anthropicError,
  anthropicMessage,
  completion,
  contentEvents,
  functionCallItem,
  interleave,
  messageEvents,
  pieces,
  type RecordedRequest,
  type Reply,
  type ResponseItem,
  refusalItem,
  responseEvents,
  responseObject,
  TROUBLE,
  textItem,
  toolCallEvents,
  toolUseBlock,
  USAGE_CHUNK,
  unknownModel,
} from '../../helpers/mockUpstream.ts';
import { LOOKUP } from './sdk.ts';

export type FormatName = 'chat' | 'responses' | 'messages';

/** An answer of one kind. */
export type Said =
  | { readonly texts: readonly string[] }
  | { readonly refusal: string }
  /** Arguments of `LOOKUP`. */
  | { readonly call: string };

export interface Format {
  /** The route as logs name it. */
  readonly route: string;
  whole(request: RecordedRequest, said: Said): object;
  events(request: RecordedRequest, said: Said, size: number): string[];
  /** Events before the first delta of a text, and after its last. */
  readonly opening: number;
  readonly closing: number;
  /** Whether events have names, and no `[DONE]` follows them. */
  readonly named: boolean;
  /** The role in which the mock records the result of a tool. */
  readonly toolRole: string;
  readonly notFound: Reply;
  readonly rateLimited: Reply;
  readonly serverError: Reply;
  readonly errorIn200: Reply;
  /** An event that says that something went wrong. */
  readonly errorEvent: string;
}

const CHAT: Format = {
  route: '/v1/chat/completions',
  opening: 1,
  closing: 1,
  named: false,
  toolRole: 'tool',
  whole: (_request, said) => {
    if ('texts' in said) return completion(...said.texts);
    if ('refusal' in said) return completion({ refusal: said.refusal });
    return completion({ tool_calls: [callOf(said.call)] });
  },
  events: ({ json }, said, size) => {
    const wanted = (json as { stream_options?: { include_usage?: boolean } }).stream_options?.include_usage === true;
    return [...chatEvents(said, size), ...(wanted ? [USAGE_CHUNK] : [])];
  },
  notFound: unknownModel('mock-model'),
  rateLimited: TROUBLE.rateLimited,
  serverError: TROUBLE.serverError,
  errorIn200: TROUBLE.errorIn200,
  errorEvent: TROUBLE.errorEvent.stream.events[1],
};

function callOf(args: string) {
  return { id: 'call_1', name: LOOKUP.name, arguments: args };
}

function chatEvents(said: Said, size: number): string[] {
  if ('call' in said) return toolCallEvents([callOf(said.call)], size);
  if ('refusal' in said) return contentEvents(pieces(said.refusal, size), 0, 'refusal');
  return interleave(...said.texts.map((text, index) => contentEvents(pieces(text, size), index)));
}

const RESPONSES: Format = {
  ...CHAT,
  route: '/v1/responses',
  opening: 4,
  closing: 4,
  named: true,
  whole: (request, said) => responseObject({ ...responseFields(request), output: outputOf(request, said) }),
  events: (request, said, size) => responseEvents(outputOf(request, said), size, responseFields(request)),
  errorEvent: JSON.stringify({
    type: 'error',
    sequence_number: 99,
    code: 'server_error',
    message: 'Something went wrong.',
    param: null,
  }),
};

/** Repeats the members of the request, as the provider's answers do. */
function responseFields({ ordinal, json }: RecordedRequest) {
  return { ...echoed(json), id: `resp_mock_${ordinal}` };
}

function outputOf({ ordinal }: RecordedRequest, said: Said): ResponseItem[] {
  if ('call' in said) return [functionCallItem(LOOKUP.name, said.call, ordinal)];
  if ('refusal' in said) return [refusalItem(said.refusal, `msg_mock_${ordinal}`)];
  return said.texts.map((text, n) => textItem(text, { id: `msg_mock_${ordinal}_${n}` }));
}

const MESSAGES: Format = {
  route: '/v1/messages',
  opening: 3,
  closing: 3,
  named: true,
  toolRole: 'user',
  whole: (_request, said) => anthropicMessage(blocksOf(said), messageFields(said)),
  events: (_request, said, size) => messageEvents(blocksOf(said), size, messageFields(said)),
  notFound: { status: 404, json: anthropicError('not_found_error', 'model: mock-model') },
  rateLimited: { ...TROUBLE.rateLimited, json: anthropicError('rate_limit_error') },
  serverError: { status: 500, json: anthropicError('api_error') },
  errorIn200: { json: anthropicError('api_error') },
  errorEvent: JSON.stringify(anthropicError('overloaded_error')),
};

function blocksOf(said: Said) {
  if ('call' in said) return [toolUseBlock(LOOKUP.name, JSON.parse(said.call), 'toolu_1')];
  return 'refusal' in said ? [said.refusal] : said.texts;
}

function messageFields(said: Said) {
  return 'refusal' in said ? { stop_reason: 'refusal' } : {};
}

export const FORMATS: Readonly<Record<FormatName, Format>> = { chat: CHAT, responses: RESPONSES, messages: MESSAGES };
