/** Provider streams as bytes in any split, and what a client reads of them. */
import { readdirSync, readFileSync } from 'node:fs';
import type { MockHandler } from '../../helpers/mockUpstream.ts';

const FOLDER = new URL('../../fixtures/', import.meta.url);

export const FOLDERS = ['chat', 'responses', 'messages', 'completions', 'embeddings'] as const;
export type Folder = (typeof FOLDERS)[number];

const SYSTEM = 'You are a helpful assistant.';
const SAID = { model: 'mock-model', messages: [{ role: 'user', content: 'Hello' }] };

/** A request of each format, with a system prompt where it has one, so that the answer is read for its canary. */
export const REQUESTS: Readonly<Record<Folder, { readonly path: string; readonly body: object }>> = {
  chat: {
    path: '/v1/chat/completions',
    body: { ...SAID, messages: [{ role: 'system', content: SYSTEM }, ...SAID.messages] },
  },
  responses: { path: '/v1/responses', body: { model: 'mock-model', instructions: SYSTEM, input: 'Hello' } },
  messages: { path: '/v1/messages', body: { ...SAID, max_tokens: 100, system: SYSTEM } },
  completions: { path: '/v1/completions', body: { model: 'mock-model', prompt: 'Hello' } },
  embeddings: { path: '/v1/embeddings', body: { model: 'mock-model', input: 'Hello' } },
};

export interface Fixture {
  readonly folder: Folder;
  readonly name: string;
  readonly bytes: Buffer;
}

/** All fixtures with this ending; never none. */
export function fixtures(ending: '.sse' | '.json'): Fixture[] {
  const found = FOLDERS.flatMap((folder) =>
    readdirSync(new URL(folder, FOLDER))
      .filter((file) => file.endsWith(ending))
      .map((file) => ({
        folder,
        name: `${folder}/${file}`,
        bytes: readFileSync(new URL(`${folder}/${file}`, FOLDER)),
      })),
  );
  if (found.length === 0) throw new Error(`no fixture ends in ${ending}`);
  return found;
}

export interface ClientEvent {
  readonly event: string;
  readonly data: string;
}

/** An event stream by the rules of the HTML standard; comments, ids and retry times say nothing. */
export function eventsOf(text: string): ClientEvent[] {
  const events: ClientEvent[] = [];
  let event = '';
  let data: string[] = [];
  for (const line of text.replace(/^\u{feff}/u, '').split(/\r\n|\r|\n/)) {
    if (line === '') {
      if (data.length > 0) events.push({ event: event === '' ? 'message' : event, data: data.join('\n') });
      event = '';
      data = [];
      continue;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
  }
  return events;
}

/** The same with payloads read. */
export function parsedEvents(text: string): { event: string; data: unknown }[] {
  return eventsOf(text).map(({ event, data }) => ({
    event,
    data: data === '[DONE]' ? data : (JSON.parse(data) as unknown),
  }));
}

/** Answers with these bytes, cut at these offsets, each part in a write of its own. */
export function inParts(bytes: Buffer, cuts: readonly number[]): MockHandler {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.socket?.setNoDelay(true);
    void (async () => {
      let from = 0;
      for (const to of [...cuts, bytes.length]) {
        response.write(bytes.subarray(from, to));
        from = to;
        // A turn of the event loop, so that the kernel is given each part on its own.
        await new Promise((resolve) => setImmediate(resolve));
        if (response.destroyed) return;
      }
      response.end();
    })();
    return undefined;
  };
}
