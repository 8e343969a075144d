import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, GatewayError } from '../../../../gateway/errors.ts';
import { anthropicErrorBody, anthropicErrors } from '../../../../gateway/surface/anthropicError.ts';
import { completionsSurface } from '../../../../gateway/surface/completions.ts';
import { embeddingsSurface } from '../../../../gateway/surface/embeddings.ts';
import { countTokensSurface, messagesSurface } from '../../../../gateway/surface/messages.ts';
import { moderationsSurface } from '../../../../gateway/surface/moderations.ts';
import { parse } from '../wire/coverage.ts';

const LIMITS = { depthMax: 64, leafBytesMax: 1000, segmentsMax: 100_000, nodesMax: 1_000_000 };

describe('surfaces', () => {
  it('say where they are and whether they stream', () => {
    const surfaces = [messagesSurface, countTokensSurface, completionsSurface, embeddingsSurface, moderationsSurface];
    expect(surfaces.map(({ id, path, stream }) => [id, path, stream !== null])).toEqual([
      ['messages', '/messages', true],
      ['messages', '/messages/count_tokens', false],
      ['completions', '/completions', true],
      ['embeddings', '/embeddings', false],
      ['moderations', '/moderations', false],
    ]);
  });

  it('count tokens of the request as it would be sent, never as a stream', () => {
    const body = { model: 'm', system: 's', messages: [{ role: 'user', content: 'hi' }], stream: true };
    const request = countTokensSurface.readRequest(JSON.stringify(body), LIMITS);
    expect(request.stream).toBe(false);
    expect(request.carriers).toHaveLength(1);
    expect(countTokensSurface.readAnswer(parse({ input_tokens: 3 }))).toMatchObject({ isError: false });
    expect(countTokensSurface.readAnswer(parse({ type: 'message', content: [] }))).toBeNull();
  });
});

describe('an error of the Anthropic API', () => {
  const types: Partial<Record<ErrorCode, string>> = {
    content_filter: 'invalid_request_error',
    invalid_json: 'invalid_request_error',
    unsupported_media_type: 'invalid_request_error',
    invalid_api_key: 'authentication_error',
    permission_denied: 'permission_error',
    not_found: 'not_found_error',
    endpoint_not_offered: 'not_found_error',
    request_too_large: 'request_too_large',
    rate_limit_exceeded: 'rate_limit_error',
    internal_error: 'api_error',
    bad_upstream: 'api_error',
    guardrail_unavailable: 'api_error',
    overloaded: 'overloaded_error',
    draining: 'overloaded_error',
    upstream_timeout: 'timeout_error',
  };

  it.each(Object.entries(types) as [ErrorCode, string][])('is for %s of the type %s', (code, type) => {
    const body = anthropicErrorBody(new GatewayError(code, { message: 'sorry' }));
    expect(body).toBe(`{"type":"error","error":{"type":"${type}","message":"sorry","code":"${code}"}}`);
  });

  it('has a type for every error there is', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const { error } = JSON.parse(anthropicErrorBody(new GatewayError(code)));
      expect(error).toEqual({
        type: expect.stringMatching(/_error$|^request_too_large$/),
        message: expect.any(String),
        code,
      });
    }
  });

  it.each([
    [400, 'invalid_request_error'],
    [429, 'rate_limit_error'],
    [503, 'api_error'],
    [529, 'overloaded_error'],
  ])("tells the type of a provider's status %i", (status, type) => {
    expect(JSON.parse(anthropicErrors.foreign(status, 'sorry'))).toEqual({
      type: 'error',
      error: { type, message: 'sorry', code: 'upstream_error' },
    });
  });
});
