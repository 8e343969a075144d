/** The openai package against endpoints that are relayed unread. */
import OpenAI, { NotFoundError, toFile } from 'openai';
import { expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { WAIT_MS } from '../chat/support.ts';
import { bytes, json, PROVIDER_KEY, useRelay } from './provider.ts';

const rig = useRelay();

/** Every byte value, and what is no UTF-8. */
const BINARY = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) % 256));

const client = (key = rig.gateway.open) => new OpenAI({ baseURL: `${rig.gateway.url}/v1`, apiKey: key, maxRetries: 0 });
const soon = <T>(promise: PromiseLike<T>) => within(WAIT_MS, promise, 'an answer');

function expectSent(method: string, path: string): void {
  const { last } = rig.mock;
  expect([last.method, last.url, last.headers.authorization]).toEqual([method, path, `Bearer ${PROVIDER_KEY}`]);
  expect(rig.mock.everything).not.toContain(rig.gateway.open);
}

it('speech comes back byte for byte', async () => {
  rig.mock.answer = bytes(BINARY, 'audio/mpeg');
  const speech = await soon(client().audio.speech.create({ model: 'tts', voice: 'alloy', input: 'Hello' }));
  expect(speech.headers.get('content-type')).toBe('audio/mpeg');
  expect(speech.headers.get('content-length')).toBe(String(BINARY.length));
  expect(Buffer.from(await soon(speech.arrayBuffer())).equals(BINARY)).toBe(true);
  expect(JSON.parse(rig.mock.last.body.toString())).toEqual({ model: 'tts', voice: 'alloy', input: 'Hello' });
  expectSent('POST', '/v1/audio/speech');
});

it('a transcription uploads its file with the boundary it was given', async () => {
  rig.mock.answer = json({ text: 'Hello there.' });
  const file = await toFile(BINARY, 'a.wav', { type: 'audio/wav' });
  expect((await soon(client().audio.transcriptions.create({ model: 'whisper', file }))).text).toBe('Hello there.');
  const boundary = /^multipart\/form-data; ?boundary=(\S+)$/.exec(rig.mock.last.headers['content-type'] ?? '')?.[1];
  expect(rig.mock.last.body.includes(`--${boundary}--`)).toBe(true);
  expect(rig.mock.last.body.includes(BINARY)).toBe(true);
  expectSent('POST', '/v1/audio/transcriptions');
});

it('files are created, listed, read and deleted', async () => {
  const file = { id: 'file-1', object: 'file', bytes: BINARY.length, filename: 'a.jsonl' };
  rig.mock.answer = json(file);
  const upload = await toFile(BINARY, 'a.jsonl');
  expect((await soon(client().files.create({ file: upload, purpose: 'batch' }))).id).toBe('file-1');
  expect(rig.mock.last.body.includes(BINARY)).toBe(true);
  expectSent('POST', '/v1/files');

  rig.mock.answer = json({ object: 'list', data: [file], has_more: false });
  expect((await soon(client().files.list({ limit: 3, purpose: 'batch' }))).data).toMatchObject([{ id: 'file-1' }]);
  expectSent('GET', '/v1/files?limit=3&purpose=batch');

  rig.mock.answer = bytes(BINARY, 'application/octet-stream');
  const content = await soon(client().files.content('file-1'));
  expect(Buffer.from(await soon(content.arrayBuffer())).equals(BINARY)).toBe(true);
  expectSent('GET', '/v1/files/file-1/content');

  rig.mock.answer = json({ id: 'file-1', object: 'file', deleted: true });
  expect((await soon(client().files.delete('file-1'))).deleted).toBe(true);
  expectSent('DELETE', '/v1/files/file-1');
});

it('images and batches answer JSON', async () => {
  rig.mock.answer = json({ created: 1, data: [{ b64_json: BINARY.toString('base64') }] });
  const images = await soon(client().images.generate({ model: 'image', prompt: 'A red house' }));
  expect(images.data?.[0]?.b64_json).toBe(BINARY.toString('base64'));
  expectSent('POST', '/v1/images/generations');

  rig.mock.answer = json({ id: 'batch-1', object: 'batch', status: 'validating' });
  const asked = {
    input_file_id: 'file-1',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  } as const;
  expect((await soon(client().batches.create(asked))).status).toBe('validating');
  expectSent('POST', '/v1/batches');
  await soon(client().batches.cancel('batch-1'));
  expectSent('POST', '/v1/batches/batch-1/cancel');
});

it("a provider's refusal is the error that the package knows", async () => {
  rig.mock.answer = json({ error: { message: 'No such file.', type: 'invalid_request_error', code: 'gone' } }, 404);
  const error = await soon(client().files.retrieve('file-2')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(NotFoundError);
  expect((error as NotFoundError).code).toBe('gone');
});

it('what the policy does not list is NotFoundError, and nothing of it reaches the provider', async () => {
  const closed = client(rig.gateway.closed);
  const calls: (() => PromiseLike<unknown>)[] = [
    () => closed.audio.speech.create({ model: 'tts', voice: 'alloy', input: 'Hello' }),
    () => closed.files.list(),
    () => closed.images.generate({ model: 'image', prompt: 'A red house' }),
    () => client().fineTuning.jobs.list(),
  ];
  for (const call of calls) {
    const error = await soon(call()).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(NotFoundError);
    expect((error as NotFoundError).code).toBe('endpoint_not_offered');
  }
  expect(rig.mock.seen).toEqual([]);
});
