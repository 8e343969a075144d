import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scanner } from '../../engine/scanners/scanner.ts';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let app: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp({
    config: (config) => ({
      ...config,
      limits: { ...config.limits, textLeafBytesMax: 1000, validateBodyBytesMax: 20_000 },
    }),
  });
});
afterAll(() => app.close());

/** The one shape of every refusal. */
function refusal(path: string, code: string, message: string, pointer: string | null, reason = 'block') {
  const nothing =
    path === '/validate'
      ? { redactions: [], coverage: { attachments_seen: 0, per_source: [] } }
      : { findings: { canary_hits: [] } };
  return {
    valid: false,
    reason,
    action: 'block',
    risk: 0,
    ...nothing,
    telemetryId: expect.stringMatching(UUID),
    modelVersion: 'none',
    rulesVersion: app.deps.engine.rulesVersion,
    error: { code, message, pointer },
  };
}

const invalid = (path: string, where: string, expected: string) =>
  refusal(
    path,
    'invalid_request',
    `Invalid value at ${where === '/' ? 'the request body' : where}: ${expected}.`,
    where,
  );

const INVALID_JSON = 'The request body is not valid JSON.';
const TOO_DEEP = 'The request body is nested too deeply.';
const REPEATED = 'The request body repeats a key of one object.';

describe('a body that cannot be read', () => {
  it.each([
    ['no JSON', '{"prompt": ', 'invalid_json', INVALID_JSON],
    ['nothing', '', 'invalid_json', INVALID_JSON],
    [
      'invalid UTF-8',
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
      'invalid_json',
      'The request body is not valid UTF-8.',
    ],
    ['a repeated key', '{"prompt":"a","prompt":"b"}', 'duplicate_key', REPEATED],
    ['a repeated key below', '{"prompt":"a","opts":{"debug":true,"debug":false}}', 'duplicate_key', REPEATED],
    ['6,000 levels', `{"prompt":${'['.repeat(6000)}${']'.repeat(6000)}}`, 'json_too_deep', TOO_DEEP],
  ])('answers 400 to %s', async (_name, body, code, message) => {
    for (const path of ['/validate', '/validate_output']) {
      const { status, json } = await app.post(path, body);
      expect(status).toBe(400);
      expect(json).toEqual(refusal(path, code, message, null));
    }
  });

  it('answers 400 to 100,000 levels', async () => {
    const wide = await startValidateApp();
    try {
      const { status, json } = await wide.post('/validate', '['.repeat(100_000) + ']'.repeat(100_000));
      expect([status, json.error.code, json.action]).toEqual([400, 'json_too_deep', 'block']);
    } finally {
      await wide.close();
    }
  });

  it.each(['text/plain', 'application/json; charset=utf-16', 'multipart/form-data'])(
    'answers 415 to %s',
    async (type) => {
      const { status, json } = await app.post('/validate', '{}', {
        authorization: `Bearer ${app.key}`,
        'content-type': type,
      });
      expect(status).toBe(415);
      expect(json).toEqual(
        refusal(
          '/validate',
          'unsupported_media_type',
          'The request body must be application/json in UTF-8, not compressed.',
          null,
        ),
      );
    },
  );

  it('answers 413 to a body over the limit, declared or chunked', async () => {
    const body = JSON.stringify({ prompt: 'x'.repeat(21_000) });
    const expected = refusal('/validate', 'request_too_large', 'The request body is larger than 20000 bytes.', null);
    const declared = await app.post('/validate', body);
    expect([declared.status, declared.json]).toEqual([413, expected]);
    const chunked = await sendChunked(body);
    expect([chunked.status, chunked.json]).toEqual([413, expected]);
  });

  it('answers 405 to another method and names the right one', async () => {
    for (const path of ['/validate', '/validate_output']) {
      const response = await fetch(`${app.url}${path}`);
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('POST');
      expect(await response.json()).toEqual(
        refusal(path, 'method_not_allowed', 'This method is not offered at this path.', null),
      );
    }
  });
});

async function sendChunked(body: string): Promise<{ status: number; json: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${app.url}/validate`,
      { method: 'POST', headers: { authorization: `Bearer ${app.key}`, 'content-type': 'application/json' } },
      (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }));
      },
    );
    outgoing.on('error', reject);
    outgoing.write(body.slice(0, 10_000));
    outgoing.end(body.slice(10_000));
  });
}

describe('a wrong /validate body', () => {
  it.each([
    [[], '/', 'expected an object'],
    [{}, '/prompt', 'expected a string'],
    [{ prompt: null }, '/prompt', 'expected a string'],
    [{ prompt: 1 }, '/prompt', 'expected a string'],
    [{ prompt: 'x', system: [] }, '/system', 'expected a string'],
    [{ prompt: 'x', developer: 1 }, '/developer', 'expected a string'],
    [{ prompt: 'x', token: 1 }, '/token', 'expected a string'],
    [{ prompt: 'x', tenant: {} }, '/tenant', 'expected a string'],
    [{ prompt: 'x', tool: 1 }, '/tool', 'expected a string'],
    [{ prompt: 'x', attachments_text: {} }, '/attachments_text', 'expected a list'],
    [{ prompt: 'x', attachments_text: ['a'] }, '/attachments_text/0', 'expected an object with a text'],
    [{ prompt: 'x', attachments_text: [{ text: 'a' }, {}] }, '/attachments_text/1/text', 'expected a string'],
    [{ prompt: 'x', attachments_text: [{ text: 'a', role: 1 }] }, '/attachments_text/0/role', 'expected a string'],
    [{ prompt: 'x', context: 'user' }, '/context', 'expected an object'],
    [{ prompt: 'x', context: { source: 'web' } }, '/context/source', 'expected one of user, retrieval, tool'],
    [{ prompt: 'x', context: { mime: 1 } }, '/context/mime', 'expected a string'],
    [{ prompt: 'x', opts: { debug: 'yes' } }, '/opts/debug', 'expected a boolean'],
    [{ prompt: 'x', opts: { truth: 'maybe' } }, '/opts/truth', 'expected malicious or benign'],
    [{ prompt: 'x', canaryToken: 1 }, '/canaryToken', 'expected a string'],
    [{ prompt: 'x', canaryToken: 'ab-' }, '/canaryToken', 'expected at least 4 letters or digits'],
    [{ prompt: 'x', canaryToken: 'a'.repeat(129) }, '/canaryToken', 'expected at most 128 characters'],
  ])('%j names the place and what was expected', async (body, pointer, expected) => {
    const { status, json } = await app.post('/validate', body);
    expect(status).toBe(400);
    expect(json).toEqual(invalid('/validate', pointer, expected));
  });

  it.each(['prompt', 'system', 'developer'])('answers 413 to a %s over the limit of a text', async (field) => {
    const { status, json } = await app.post('/validate', { prompt: 'x', [field]: 'é'.repeat(501) });
    expect(status).toBe(413);
    expect(json.error).toEqual({
      code: 'request_too_large',
      message: `The text at /${field} is larger than 1000 bytes.`,
      pointer: `/${field}`,
    });
    expect((await app.post('/validate', { prompt: 'x', [field]: 'é'.repeat(500) })).status).toBe(200);
  });
});

describe('a wrong /validate_output body', () => {
  it.each([
    [{}, '/output', 'expected a string or a list of content parts'],
    [{ output: null }, '/output', 'expected a string or a list of content parts'],
    [{ output: {} }, '/output', 'expected a string or a list of content parts'],
    [{ output: ['a', 1] }, '/output/1', 'expected a content part'],
    [{ output: '', toolCalls: {} }, '/toolCalls', 'expected a list of tool calls'],
    [{ output: '', toolCalls: ['a'] }, '/toolCalls/0', 'expected a tool call object'],
    [{ output: '', canaryPolicy: 'warn' }, '/canaryPolicy', 'expected one of block, sanitize, observe'],
    [{ output: '', canaryTokens: 'a' }, '/canaryTokens', 'expected a list of strings'],
    [{ output: '', canaryTokens: ['abcd', 1] }, '/canaryTokens/1', 'expected a string'],
    [{ output: '', canaryTokens: ['abcd', '--'] }, '/canaryTokens/1', 'expected at least 4 letters or digits'],
    [
      { output: '', canaryTokens: Array.from({ length: 65 }, (_, i) => `abcd${i}`) },
      '/canaryTokens',
      'expected at most 64 canaries',
    ],
    [{ output: '', expect: [] }, '/expect', 'expected an object'],
    [{ output: '', expect: { mime: 'json' } }, '/expect/mime', 'expected a media type'],
    [{ output: '', expect: { allowedTools: 'a' } }, '/expect/allowedTools', 'expected a list of strings'],
    [{ output: '', expect: { toolFields: [] } }, '/expect/toolFields', 'expected an object of lists of strings'],
    [{ output: '', expect: { toolFields: { f: 'a' } } }, '/expect/toolFields/f', 'expected a list of strings'],
    [{ output: '', expect: { toolSchemas: [] } }, '/expect/toolSchemas', 'expected an object of JSON Schemas'],
    [{ output: '', relatesTo: 'x' }, '/relatesTo', 'expected the telemetryId of a /validate answer'],
  ])('%j names the place and what was expected', async (body, pointer, expected) => {
    const { status, json } = await app.post('/validate_output', body);
    expect(status).toBe(400);
    expect(json).toEqual(invalid('/validate_output', pointer, expected));
  });

  it.each([
    [{ output: 'x'.repeat(1001) }, '/output'],
    [{ output: [{ type: 'text', text: 'x'.repeat(1001) }] }, '/output/0/text'],
    [{ output: '', toolCalls: [{ name: 'a', arguments: 'x'.repeat(1001) }] }, '/toolCalls/0/arguments'],
  ])('answers 413 to a text over the limit, %#', async (body, pointer) => {
    const { status, json } = await app.post('/validate_output', body);
    expect([status, json.error.pointer]).toEqual([413, pointer]);
  });
});

describe('odd but legal input', () => {
  it('keys with a meaning in JavaScript mean nothing', async () => {
    const body =
      '{"prompt":"hi","__proto__":{"opts":{"debug":true}},"constructor":1,"opts":{"__proto__":{"debug":true}}}';
    const { status, json } = await app.post('/validate', body);
    expect(status).toBe(200);
    expect(json).not.toHaveProperty('debug');
    const tools =
      '{"output":"","toolCalls":[{"name":"__proto__","arguments":{}}],"expect":{"toolFields":{"__proto__":["x"]}}}';
    expect((await app.post('/validate_output', tools)).json.findings.tool_violations).toEqual([
      { tool: '__proto__', code: 'missing_field', path: '/toolCalls/0/arguments/x' },
    ]);
  });

  it('lone surrogates come back as they came', async () => {
    const body = String.raw`{"prompt":"a\ud800b","opts":{"return_sanitized":true}}`;
    const { status, text } = await app.post('/validate', body);
    expect(status).toBe(200);
    expect(text).toContain(String.raw`"sanitizedPrompt":"a\ud800b"`);
    expect((await app.post('/validate_output', String.raw`{"output":"a\udc00<|im_start|>"}`)).json.action).toBe(
      'sanitize',
    );
  });
});

describe('trouble of our own', () => {
  const dead: Scanner = {
    name: 'injection.rules',
    guard: (policy) => policy.input.injection,
    scan: () => {
      throw new Error('secret text of a prompt');
    },
  };

  it('answers 500 in the same shape when a guard fails under closed', async () => {
    const broken = await startValidateApp({ scanners: [dead] });
    try {
      const { status, json, text } = await broken.post('/validate', { prompt: 'hello' });
      expect(status).toBe(500);
      expect(json).toMatchObject({ valid: false, action: 'block', risk: 0, error: { code: 'guardrail_unavailable' } });
      expect(text).not.toContain('secret text');
      expect(broken.logs.join('')).not.toContain('secret text');
      expect(broken.logs.join('')).toContain('guard_failed');
    } finally {
      await broken.close();
    }
  });

  it('answers 200 and says degraded under open', async () => {
    const policy = (base: ValidateApp['deps']['config']['policies'][string]) => ({
      ...base,
      input: { ...base.input, injection: { enabled: true, failureMode: 'open' as const } },
    });
    const broken = await startValidateApp({ scanners: [dead], policy });
    try {
      const { status, json } = await broken.post('/validate', { prompt: 'hello' });
      expect(status).toBe(200);
      expect(json).toMatchObject({
        action: 'pass',
        coverage: { degraded: true, receipt: { scanners: { 'injection.rules': 'failed_open' } } },
      });
    } finally {
      await broken.close();
    }
  });

  it('answers 503 with retry-after beyond the concurrency bound', async () => {
    const full = await startValidateApp();
    full.deps.lifecycle.inFlight = full.deps.config.limits.concurrentRequestsMax;
    try {
      const { status, json, headers } = await full.post('/validate', { prompt: 'hello' });
      expect([status, headers.get('retry-after'), json.action, json.error.code]).toEqual([
        503,
        '1',
        'block',
        'overloaded',
      ]);
    } finally {
      await full.close();
    }
  });

  it('answers 500 in the same shape to a fault, without its text', async () => {
    const broken = await startValidateApp();
    broken.deps.canaries.register = () => Promise.reject(new Error('disk says secret'));
    try {
      const { status, json, text } = await broken.post('/validate', { prompt: 'hello', system: 'Be kind.' });
      expect([status, json.action, json.error.code]).toEqual([500, 'block', 'internal_error']);
      expect(text + broken.logs.join('')).not.toContain('secret');
    } finally {
      await broken.close();
    }
  });
});
