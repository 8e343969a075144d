/** The responses a mock provider has given, which later requests ask for by id. */
import type { Reply } from './mockAnswers.ts';
import { isObject, type RecordedRequest } from './mockRequest.ts';
import { type ResponseItem, responseEvents } from './mockResponses.ts';

interface Stored {
  response: Readonly<Record<string, unknown>>;
  /** Payloads of the stream that is replayed. */
  readonly events: readonly string[];
  readonly input: readonly object[];
}

const ITEMS_LIMIT_DEFAULT = 20;

export class MockResponseStore {
  readonly #stored = new Map<string, Stored>();

  /** Keeps the answer to a create request, whoever made it, unless the request says `store: false`. */
  remember(request: RecordedRequest, reply: Reply): void {
    if (request.surface !== 'responses' || request.method !== 'POST' || (reply.status ?? 200) >= 300) return;
    const body = isObject(request.json) ? request.json : {};
    if (body.store === false) return;
    const payloads = (reply.stream?.events ?? []).map((event) => (typeof event === 'string' ? event : event.data));
    const response = reply.stream === undefined ? reply.json : lastResponse(payloads);
    if (!isObject(response) || response.object !== 'response' || typeof response.id !== 'string') return;
    const { output, ...fields } = response;
    const events = reply.stream === undefined ? responseEvents(output as ResponseItem[], 5, fields) : payloads;
    this.#stored.set(response.id, { response, events, input: inputItems(body.input, request.ordinal) });
  }

  /** The answer to a request for a stored response; null for any other request. */
  answer(request: RecordedRequest): Reply | null {
    const match = /^\/v1\/responses\/([^/]+)(\/input_items|\/cancel)?$/.exec(request.path);
    if (match === null) return null;
    const id = match[1] as string;
    const route = `${request.method} ${match[2] ?? ''}`;
    const stored = this.#stored.get(id);
    if (stored === undefined) return notFound(`Response with id '${id}' not found.`);
    const query = new URLSearchParams(request.query);
    switch (route) {
      case 'GET ':
        return query.get('stream') === 'true' ? replay(stored, query) : { json: stored.response };
      case 'GET /input_items':
        return { json: page(stored.input, query) };
      case 'POST /cancel':
        // The provider cancels only background responses; here every one can be, to keep tests short.
        stored.response = { ...stored.response, status: 'cancelled' };
        return { json: stored.response };
      case 'DELETE ':
        this.#stored.delete(id);
        return { json: { id, object: 'response', deleted: true } };
      default:
        return notFound(`Invalid URL (${request.method} ${request.path})`);
    }
  }
}

function replay(stored: Stored, query: URLSearchParams): Reply {
  const after = Number(query.get('starting_after') ?? -1);
  const events = stored.events.filter(
    (data) => (JSON.parse(data) as { sequence_number: number }).sequence_number > after,
  );
  return { stream: { events, named: true } };
}

function lastResponse(payloads: readonly string[]): unknown {
  for (const data of payloads.toReversed()) {
    if (!/^\{"type":"response\.(completed|incomplete|failed)"/.test(data)) continue;
    return (JSON.parse(data) as { response: unknown }).response;
  }
  return null;
}

/** Items as the provider lists them: with ids, and text as typed parts. */
function inputItems(input: unknown, ordinal: number): object[] {
  const list = Array.isArray(input) ? input : [{ role: 'user', content: input ?? '' }];
  return list.map((item: Record<string, unknown>, n) => {
    if (item.role === undefined) return { id: `item_mock_${ordinal}_${n}`, ...item };
    const type = item.role === 'assistant' ? 'output_text' : 'input_text';
    const content = typeof item.content === 'string' ? [{ type, text: item.content }] : item.content;
    return { id: `msg_mock_${ordinal}_in_${n}`, type: 'message', status: 'completed', ...item, content };
  });
}

/** Newest first unless asked otherwise. */
function page(input: readonly object[], query: URLSearchParams): object {
  const items = (query.get('order') === 'asc' ? [...input] : input.toReversed()) as { id: string }[];
  const start = items.findIndex(({ id }) => id === query.get('after')) + 1;
  const end = start + Number(query.get('limit') ?? ITEMS_LIMIT_DEFAULT);
  const data = items.slice(start, end);
  const ids = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return { object: 'list', data, ...ids, has_more: end < items.length };
}

function notFound(message: string): Reply {
  return { status: 404, json: { error: { message, type: 'invalid_request_error', param: null, code: null } } };
}
