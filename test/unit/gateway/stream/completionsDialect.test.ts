import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../gateway/errors.ts';
import { completionsDialect } from '../../../../gateway/stream/completionsDialect.ts';
import { parse } from '../wire/coverage.ts';

const last = parse({ id: 'cmpl-1', object: 'text_completion', created: 7, model: 'm', choices: [] });
const stopped = (openGroups: readonly number[]) => ({
  first: last,
  last,
  openGroups,
  error: new GatewayError('content_filter', { message: 'stopped' }),
});
const sent = (frames: readonly Buffer[]): string => Buffer.concat(frames).toString('utf8');
const finish = (index: number): string =>
  'data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":' +
  `[{"index":${index},"text":"","logprobs":null,"finish_reason":"content_filter"}]}\n\n`;
const ERROR =
  'data: {"error":{"message":"stopped","type":"invalid_request_error","param":null,"code":"content_filter"}}\n\n';
const DONE = 'data: [DONE]\n\n';

describe('a stream of completion chunks', () => {
  it('ends with its choices or its mark, and names no events', () => {
    expect(completionsDialect).toMatchObject({ doneMark: '[DONE]', namedEvents: false, endsWithGroups: true });
    const chunk = parse({ choices: [{ index: 1, text: 'a', finish_reason: 'stop' }] });
    expect(completionsDialect.read(chunk)).toMatchObject({ ends: false, groups: [{ index: 1, finished: true }] });
  });

  it('is stopped with a finish for every open choice, the error and the end', () => {
    expect(sent(completionsDialect.stopped(stopped([0, 2])))).toBe(finish(0) + finish(2) + ERROR + DONE);
  });

  it('says why it stopped even when no choice is open', () => {
    expect(sent(completionsDialect.stopped(stopped([])))).toBe(finish(0) + ERROR + DONE);
  });

  it('ends quietly without the error', () => {
    expect(sent(completionsDialect.finished(stopped([1])))).toBe(finish(1) + DONE);
  });

  it('does not look complete when the provider broke it', () => {
    expect(sent(completionsDialect.failed(stopped([0])))).toBe(ERROR + DONE);
  });

  it('can be stopped before anything was released', () => {
    const frames = completionsDialect.stopped({ ...stopped([]), first: null, last: null });
    const data = frames.map((frame) => frame.toString('utf8').slice('data: '.length).trim());
    expect(JSON.parse(data[0] as string)).toMatchObject({
      object: 'text_completion',
      choices: [{ index: 0, text: '', finish_reason: 'content_filter' }],
    });
    expect(data).toHaveLength(3);
  });
});
