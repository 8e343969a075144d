/** What came of one answer, read as its client reads it. */
import { type Answer, DONE, payloads } from '../chat/support.ts';
import type { Mode } from './positions.ts';
import type { Ending } from './surfaces.ts';

export const BLOCK = {
  message: 'The request or the answer was stopped by a content policy.',
  type: 'invalid_request_error',
  param: null,
  code: 'content_filter',
};
/** In the Anthropic dialect. */
export const ANTHROPIC_BLOCK = {
  type: 'error',
  error: { type: BLOCK.type, message: BLOCK.message, code: BLOCK.code },
};

/** True for an answer that tells its client, in the way of its request, that it was stopped. */
export function isBlocked(answer: Answer, mode: Mode, ending: Ending): boolean {
  if (answer.status === 400) return isRefused(answer, ending);
  return answer.status === 200 && mode === 'stream' && isStopped(answer.text, ending);
}

function isRefused({ headers, text }: Answer, ending: Ending): boolean {
  const body = ending === 'messages' ? ANTHROPIC_BLOCK : { error: BLOCK };
  const own = ['content-type', 'x-should-retry', 'x-portcullis-action'].map((name) => headers.get(name));
  return text === JSON.stringify(body) && own.join() === 'application/json,false,block';
}

function isStopped(text: string, ending: Ending): boolean {
  const said = payloads(text);
  if (ending === 'responses' || ending === 'messages') {
    const last = JSON.parse(said.at(-1) ?? '{}') as Record<string, unknown>;
    const number = last.sequence_number;
    const { message, param, code } = BLOCK;
    const error = { type: 'error', sequence_number: number, code, message, param, error: BLOCK };
    const expected = ending === 'messages' ? ANTHROPIC_BLOCK : error;
    if (ending === 'responses' && number !== said.length - 1) return false;
    return text.endsWith(`event: error\ndata: ${JSON.stringify(expected)}\n\n`);
  }
  const [finish = '{}', error = '{}', done] = said.slice(-3);
  const choices = (JSON.parse(finish) as { choices?: { finish_reason: string }[] }).choices ?? [];
  const finished = choices.length === 1 && choices[0]?.finish_reason === 'content_filter';
  return finished && error === JSON.stringify({ error: BLOCK }) && done === DONE;
}

/** The answer ended as a good one does, or with an error of the provider. */
export function isWhole({ status, text }: Answer, mode: Mode, ending: Ending): boolean {
  if (mode === 'whole' || status >= 400) return status !== 502;
  const last = payloads(text).at(-1) ?? '';
  if (ending === 'chat' || ending === 'completions') return last === DONE;
  const { type } = JSON.parse(last) as { type: string };
  return ['message_stop', 'error', 'response.completed', 'response.failed', 'response.incomplete'].includes(type);
}

/**
 * Everything that an answer says, with the pieces of one place joined over its events, and escapes within decoded, as
 * they are once a client parses arguments.
 */
export function everythingSaid({ text }: Answer, isStream: boolean): string {
  const places = new Map<string, string>();
  const say = (place: string, said: string) => places.set(place, (places.get(place) ?? '') + said);
  const documents = isStream ? payloads(text).filter((data) => data !== DONE) : [text];
  for (const document of documents) walk(JSON.parse(document) as unknown, '', say);
  const said = [...places.values()].join('\n');
  return `${said}\n${said.replace(/\\u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))}`;
}

function walk(value: unknown, place: string, say: (place: string, text: string) => void): void {
  if (typeof value === 'string') say(place, value);
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    // Items that say nothing of their place go on with each other.
    for (const item of value) walk(item, `${place}/${indexOf(item) ?? ''}`, say);
    return;
  }
  // Texts of other events, items, parts and blocks are other texts.
  const own = value as Record<string, unknown>;
  const of = ['type', 'output_index', 'content_index', 'summary_index', 'index'].map((key) => own[key]).join();
  for (const [key, member] of Object.entries(own)) {
    say(`${place} keys`, `${key}\n`);
    walk(member, `${place}(${of})/${key}`, say);
  }
}

function indexOf(item: unknown): unknown {
  return typeof item === 'object' && item !== null ? (item as Record<string, unknown>).index : undefined;
}

/** Headers whose values are ours and may hold any hexadecimal digits. */
const OWN_HEADERS = /^(?:date|content-length|keep-alive|x-request-id|x-portcullis-telemetry-id|x-portcullis-receipt)$/;

/** Everything the client received as it came, and as it is read. */
export function received(answer: Answer, isStream: boolean): string {
  const headers = [...answer.headers].filter(([name]) => !OWN_HEADERS.test(name)).map((entry) => entry.join(': '));
  return [...headers, answer.text, everythingSaid(answer, isStream)].join('\n');
}

/** Runs of four characters of a canary that are in the text and would not be without it. */
export function runsOf(token: string, text: string, harmless: string): string[] {
  return Array.from({ length: token.length - 3 }, (_, at) => token.slice(at, at + 4)).filter(
    (run) => text.includes(run) && !harmless.includes(run),
  );
}
