import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../gateway/errors.ts';
import type { StoppedStream } from '../../../../gateway/stream/dialect.ts';
import { namedFrame } from '../../../../gateway/stream/namedFrame.ts';
import { responsesDialect } from '../../../../gateway/stream/responsesDialect.ts';
import { responsesSurface } from '../../../../gateway/surface/responses.ts';
import { parseJson } from '../../../../gateway/wire/json.ts';
import { event, LAST, parse } from './responsesEvents.ts';

describe('a stream that is stopped', () => {
  const stopped = (changes: Partial<StoppedStream> = {}): StoppedStream => ({
    first: parse(event('response.created')),
    last: parse({ type: 'response.output_text.delta', sequence_number: 7 }),
    openGroups: [0],
    error: new GatewayError('content_filter'),
    ...changes,
  });
  const text = (frames: readonly Buffer[]): string => Buffer.concat([...frames]).toString('utf8');
  const MESSAGE_TEXT = 'The request or the answer was stopped by a content policy.';

  it('ends with one error event in both spellings, whose number goes on', () => {
    expect(text(responsesDialect.stopped(stopped()))).toBe(
      `event: error\ndata: {"type":"error","sequence_number":8,"code":"content_filter","message":"${MESSAGE_TEXT}","param":null,` +
        `"error":{"message":"${MESSAGE_TEXT}","type":"invalid_request_error","param":null,"code":"content_filter"}}\n\n`,
    );
  });

  it('counts from nothing when the provider does not count', () => {
    for (const last of [null, parse({ type: 'response.created' })]) {
      expect(text(responsesDialect.stopped(stopped({ last })))).toContain('"sequence_number":0,');
    }
  });

  it('says that the provider broke it', () => {
    const error = new GatewayError('upstream_error');
    const message = 'The provider ended the answer before it was complete.';
    expect(text(responsesDialect.failed(stopped({ error })))).toBe(
      `event: error\ndata: {"type":"error","sequence_number":8,"code":"upstream_error","message":"${message}","param":null,` +
        `"error":{"message":"${message}","type":"server_error","param":null,"code":"upstream_error"}}\n\n`,
    );
  });

  it('ends quietly as a response that the content filter cut, without any text and without the prompt', () => {
    const quiet = text(responsesDialect.finished(stopped()));
    expect(quiet).toBe(
      'event: response.incomplete\ndata: {"type":"response.incomplete","sequence_number":8,"response":{"id":"resp_1",' +
        '"object":"response","created_at":1760000000,"model":"gpt-x","parallel_tool_calls":true,"temperature":0.5,"top_p":null,' +
        '"status":"incomplete","error":null,"incomplete_details":{"reason":"content_filter"},"instructions":null,"metadata":{},' +
        '"output":[],"tool_choice":"auto","tools":[],"usage":null}}\n\n',
    );
    expect(quiet).not.toContain('planted');
    const data = quiet.split('\ndata: ')[1] as string;
    expect(responsesDialect.read(parseJson(data.trim(), 64))).toMatchObject({ ends: true, isError: false });
  });

  it('has a quiet end also when nothing was released', () => {
    const quiet = text(responsesDialect.finished(stopped({ first: null, last: null })));
    const data = JSON.parse(quiet.split('\ndata: ')[1] as string) as { response: { id: string; created_at: number } };
    expect(data.response.id).toBe('resp_stopped');
    expect(Number.isInteger(data.response.created_at)).toBe(true);
  });

  it('keeps data in one line', () => {
    expect(namedFrame('x', { text: 'a\nb\r' }).toString()).toBe('event: x\ndata: {"text":"a\\nb\\r"}\n\n');
  });
});

describe('ids of what the provider keeps', () => {
  const ids = { stored: true, responseId: 'resp_1', itemIds: ['msg_1', 'fc_1'] };

  it('are those of the response and its items, from an answer or an event', () => {
    expect(responsesSurface.keptIds?.(parse(LAST))).toEqual(ids);
    expect(responsesSurface.keptIds?.(parse(event('response.completed')))).toEqual(ids);
    expect(responsesSurface.keptIds?.(parse(event('response.created')))).toEqual({
      stored: true,
      responseId: 'resp_1',
      itemIds: [],
    });
  });

  it('say whether the response is stored, and are none for what is none', () => {
    expect(responsesSurface.keptIds?.(parse({ ...LAST, store: false }))).toEqual({ ...ids, stored: false });
    expect(responsesSurface.keptIds?.(parse({ error: { message: 'No.' } }))).toBeNull();
  });
});
