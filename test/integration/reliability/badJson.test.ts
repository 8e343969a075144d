/** Bodies that no client should send, at every door: one exact outcome each, nothing upstream, the process goes on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../gateway/config/load.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, errorCode, idleAfterEach } from '../chat/support.ts';
import {
  COMPLETIONS,
  EMBEDDINGS,
  INPUTS,
  type InputSurface,
  MODEL_INPUTS,
  outcome,
  saysRaw,
  times,
  VALIDATE,
  VALIDATE_OUTPUT,
  withMembers,
  withSaid,
} from './surfaces.ts';

const rig = useGateway();
idleAfterEach(rig);
afterEach(async () => {
  expect(Object.keys(Object.prototype)).toEqual([]);
});

const send = async (on: InputSurface, body: string, headers: Record<string, string> = {}) =>
  (await outcome(rig.gateway, rig.mock, on, body, headers)).result;

/** Bytes as they are. */
async function sendBytes(on: InputSurface, body: Buffer): Promise<{ status: number; code: unknown }> {
  rig.mock.clear();
  const response = await fetch(rig.gateway.url + on.path, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.gateway.key}`, 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(5_000),
  });
  const { error } = (await response.json()) as { error?: { code: string } };
  expect(rig.mock.requests).toEqual([]);
  return { status: response.status, code: error?.code };
}

const DEEP = 100_000;
const ARRAYS = '['.repeat(DEEP) + ']'.repeat(DEEP);
const OBJECTS = `${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`;
const TOOL = (schema: string) => `"tools":[{"type":"function","function":{"name":"f","parameters":${schema}}}]`;

type Make = (on: InputSurface) => string;
const deep: [string, Make][] = [
  ['arrays as content', (on) => withSaid(on, ARRAYS)],
  ['objects as content', (on) => withSaid(on, OBJECTS)],
  ['arrays in a tool schema', (on) => withMembers(on.says('Hello'), TOOL(ARRAYS))],
  ['objects in a tool schema', (on) => withMembers(on.says('Hello'), TOOL(OBJECTS))],
  ['arrays in metadata', (on) => withMembers(on.says('Hello'), `"metadata":${ARRAYS}`)],
  ['objects in metadata', (on) => withMembers(on.says('Hello'), `"metadata":{"x":${OBJECTS}}`)],
  ['arrays that never close', () => '['.repeat(DEEP)],
];

describe('J1 100,000 levels', () => {
  it.each(times(INPUTS, deep))('%s: %s', async (_name, _what, on, make) => {
    expect(await send(on, make(on))).toBe('refused 400 json_too_deep');
  });
});

const twice: [string, Make][] = [
  ['what is said', (on) => withMembers(on.says('Hello'), `"${on.key}":${JSON.stringify(on.says('Bye')[on.key])}`)],
  ['what is said, first', (on) => `{"${on.key}":"x",${JSON.stringify(on.says('Hello')).slice(1)}`],
  ['stream', (on) => withMembers(on.says('Hello'), '"stream":false,"stream":true')],
  ['model', (on) => withMembers(on.says('Hello'), '"x":1,"model":"a","model":"b"')],
  ['role', (on) => withSaid(on, '[{"role":"system","role":"user","content":"a"}]')],
  ['content', (on) => withSaid(on, '[{"role":"user","content":"a","content":"b"}]')],
  ['an escaped key', (on) => withMembers(on.says('Hello'), '"x":1,"\\u0078":2')],
  ['a key below', (on) => withMembers(on.says('Hello'), '"metadata":{"a":{"b":1,"b":2}}')],
  ['__proto__', (on) => withMembers(on.says('Hello'), '"metadata":{"__proto__":1,"__proto__":2}')],
];

describe('J2 duplicate keys', () => {
  it.each(times(INPUTS, twice))('%s: %s', async (_name, _what, on, make) => {
    expect(await send(on, make(on))).toBe('refused 400 duplicate_key');
  });
});

const badBytes: [string, string][] = [
  ['a stray byte', 'ff'],
  ['an overlong slash', 'c0af'],
  ['an overlong NUL', 'c080'],
  ['a surrogate in UTF-8', 'eda080'],
  ['a character cut short', 'f09f98'],
  ['a code point beyond Unicode', 'f4908080'],
];

describe('J3 text that is none', () => {
  it.each(times(INPUTS, badBytes))('%s: %s is refused', async (_name, _what, on, hex) => {
    const [before, after] = saysRaw(on, '"a|b"').split('|') as [string, string];
    const body = Buffer.concat([Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from(after)]);
    expect(await sendBytes(on, body)).toEqual({ status: 400, code: 'invalid_json' });
  });

  it.each(INPUTS.map((on) => [on.name, on] as const))(
    '%s: UTF-16 is refused, with and without its mark',
    async (_, on) => {
      for (const mark of ['\u{feff}', '']) {
        const body = Buffer.from(mark + JSON.stringify(on.says('Hello')), 'utf16le');
        expect(await sendBytes(on, body)).toEqual({ status: 400, code: 'invalid_json' });
      }
      const labelled = { 'content-type': 'application/json; charset=utf-16' };
      expect(await send(on, JSON.stringify(on.says('Hello')), labelled)).toBe('refused 415 unsupported_media_type');
    },
  );

  it.each(INPUTS.map((on) => [on.name, on] as const))(
    '%s: a raw NUL is refused, an escaped one is text',
    async (_, on) => {
      expect(await send(on, saysRaw(on, '"a\u0000b"'))).toBe('refused 400 invalid_json');
      expect(await send(on, saysRaw(on, '"a\\u0000b"'))).toBe('accepted');
    },
  );

  const lone = '"a \\ud800 b \\udc00 c \\ud83d"';
  it.each(MODEL_INPUTS.map((on) => [on.name, on] as const))(
    '%s: lone surrogates go on as they came, in texts and keys',
    async (_, on) => {
      const body = withMembers(
        JSON.parse(saysRaw(on, '"x"')) as object as never,
        '"metadata":{"\\ud800":"\\udfff"}',
      ).replace('"x"', lone);
      expect(await send(on, body)).toBe('accepted');
      expect(rig.mock.last.text).toBe(body);
    },
  );

  it.each(INPUTS.map((on) => [on.name, on] as const))(
    '%s: an attack beside and around lone surrogates is read',
    async (_, on) => {
      const attack = JSON.stringify(on.attack).slice(1, -1);
      expect(await send(on, saysRaw(on, `"\\ud800 ${attack} \\udc00"`))).toBe('blocked');
      // Pairs up to any place where a scan could be cut in two.
      expect(await send(on, saysRaw(on, JSON.stringify(`${'🙂'.repeat(40_001)} ${on.attack}`)))).toBe('blocked');
      expect(await send(on, saysRaw(on, JSON.stringify(`x${'🙂'.repeat(40_001)} ${on.attack}`)))).toBe('blocked');
    },
  );
});

const names: [string, string][] = [
  ['__proto__', '"__proto__":{"stream":true,"x":"polluted","opts":{"debug":true}}'],
  ['constructor.prototype', '"constructor":{"prototype":{"x":"polluted","stream":true}}'],
  ['toString', '"toString":"a","valueOf":{"x":"polluted"},"hasOwnProperty":1'],
  ['those in metadata', '"metadata":{"__proto__":{"x":"polluted"},"constructor":"a","toString":"b"}'],
];

describe('J4 keys of prototypes', () => {
  it.each(times(INPUTS, names))('%s: %s mean nothing and are never merged', async (_name, _what, on, members) => {
    const body = withMembers(on.says('Hello'), members);
    expect(await send(on, body)).toBe('accepted');
    if (on.forwards) expect(rig.mock.last.text).toBe(body);
    expect(rig.mock.requests.some(({ wantsStream }) => wantsStream)).toBe(false);
    expect(({} as Record<string, unknown>).x).toBe(undefined);
  });

  it('below a schema: what they say is read like any text', async () => {
    for (const key of ['__proto__', 'constructor', 'toString']) {
      const schema = `{"type":"object","properties":{"${key}":{"description":"${VALIDATE.attack}"}}}`;
      for (const on of MODEL_INPUTS)
        expect(await send(on, withMembers(on.says('Hello'), TOOL(schema)))).toBe('blocked');
    }
  });

  it('a configuration file with such keys is refused and pollutes nothing', () => {
    const dir = mkdtempSync(join(tmpdir(), 'portcullis-config-'));
    try {
      for (const key of ['__proto__', 'constructor', 'toString']) {
        const file = join(dir, 'gateway.yaml');
        writeFileSync(file, `"${key}":\n  polluted: yes\nlimits:\n  "${key}": { polluted: 1 }\n`);
        expect(() => loadConfig(file)).toThrow();
        expect(({} as Record<string, unknown>).polluted).toBe(undefined);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('a tenant with such a name is no tenant', async () => {
    for (const tenant of ['__proto__', 'constructor', 'toString']) {
      const { result } = await outcome(rig.gateway, rig.mock, VALIDATE, { ...VALIDATE.says('Hello'), tenant });
      expect(result).toMatch(/^refused 4\d\d /);
    }
    const metrics = await rig.gateway.metrics();
    expect(metrics).not.toMatch(/"(?:__proto__|constructor|toString)"/);
  });
});

const NUMBERS = '"seed":1152921504606846976,"top_k":-0,"a1":1e400,"a2":-1E-400,"a3":-0.0e+1,"a4":0.1000,"a5":1E400';

describe('J5 numbers', () => {
  it.each(INPUTS.map((on) => [on.name, on] as const))('%s: odd and huge ones are kept as written', async (_, on) => {
    const body = withMembers(on.says('Hello'), NUMBERS);
    expect(await send(on, body)).toBe('accepted');
    if (on.forwards) expect(rig.mock.last.text).toBe(body);
  });

  it.each(INPUTS.map((on) => [on.name, on] as const))('%s: a literal of 10 MB ends in time', async (_, on) => {
    const body = withMembers(on.says('Hello'), `"a":${'7'.repeat(10 * 1024 * 1024)}`);
    expect(await send(on, body)).toBe(on.forwards ? 'accepted' : 'refused 413 request_too_large');
    if (on.forwards) expect(rig.mock.last.rawBody.equals(Buffer.from(body))).toBe(true);
  });

  it.each(INPUTS.map((on) => [on.name, on] as const))('%s: what is no number of JSON is refused', async (_, on) => {
    for (const literal of ['NaN', 'Infinity', '01', '+1', '.5', '1.', '0x10', '1e', '--1', '1_000']) {
      expect(await send(on, withMembers(on.says('Hello'), `"a":${literal}`))).toBe('refused 400 invalid_json');
    }
  });
});

const types: [string, string][] = [
  ['text/plain', 'text/plain'],
  ['none', ''],
  ['multipart', 'multipart/form-data; boundary=x'],
  ['a form', 'application/x-www-form-urlencoded'],
  ['another charset', 'application/json; charset="iso-8859-1"'],
  ['two types', 'application/json, text/plain'],
  ['lines of JSON', 'application/x-ndjson'],
];

describe('J9 media types', () => {
  it.each(times(INPUTS, types))(
    '%s: a body labelled %s is refused, never passed unread',
    async (_name, _what, on, type) => {
      expect(await send(on, JSON.stringify(on.says('Hello')), { 'content-type': type })).toBe(
        'refused 415 unsupported_media_type',
      );
    },
  );

  it.each(INPUTS.map((on) => [on.name, on] as const))('%s: a parameter nobody knows changes nothing', async (_, on) => {
    const headers = { 'content-type': 'Application/JSON; x=y' };
    expect(await send(on, JSON.stringify(on.says('Hello')), headers)).toBe('accepted');
    expect(await send(on, JSON.stringify(on.says(on.attack)), headers)).toBe('blocked');
  });

  it.each(INPUTS.map((on) => [on.name, on] as const))('%s: a compressed body is refused', async (_, on) => {
    for (const coding of ['gzip', 'br', 'zstd', 'identity, gzip']) {
      const headers = { 'content-type': 'application/json', 'content-encoding': coding };
      expect(await send(on, JSON.stringify(on.says('Hello')), headers)).toBe('refused 415 unsupported_media_type');
    }
  });
});

const paths = [
  '/v1/realtime',
  '/v1/realtime/sessions',
  '/v1/batches',
  '/v1/files',
  '/v1/uploads',
  '/v1/assistants',
  '/v1/threads/t/runs',
  '/v1/vector_stores',
  '/v1/fine_tuning/jobs',
  '/v1/evals',
  '/v1/conversations',
  '/v1/responses/compact/x',
  '/v1/messages/batches',
  '/v1/complete',
  '/v1/chat/completions/x',
  '/v1/models/m/x/generate',
  '/v1beta/models/m:generateContent',
  '/v2/chat/completions',
];

describe('J10 what nobody has listed', () => {
  it.each(paths)('POST %s reaches no provider', async (path) => {
    rig.mock.clear();
    const answer = await ask(rig.gateway, { model: 'm', input: VALIDATE.attack }, {}, path);
    expect(answer.status === 404 || answer.status === 405).toBe(true);
    expect(['endpoint_not_offered', 'not_found', 'method_not_allowed']).toContain(errorCode(answer.text));
    expect(rig.mock.requests).toEqual([]);
  });

  const fields: [string, object][] = [
    ['a text', { new_field: VALIDATE.attack }],
    ['a deep text', { new_field: [{ a: { b: [{ c: VALIDATE.attack }] } }] }],
    ['a key', { new_field: { [VALIDATE.attack]: 1 } }],
  ];
  it.each(times(MODEL_INPUTS, fields))('%s: %s of an unknown field is text', async (_name, _what, on, field) => {
    expect(await send(on, JSON.stringify({ ...on.says('Hello'), ...field }))).toBe('blocked');
    expect(await send(on, JSON.stringify({ ...on.says('Hello'), new_field: 'harmless' }))).toBe('accepted');
    expect(rig.mock.last.json).toMatchObject({ new_field: 'harmless' });
  });

  it.each([VALIDATE, VALIDATE_OUTPUT].map((on) => [on.name, on] as const))(
    '%s: unknown fields are ignored, counted, and switch nothing off',
    async (_, on) => {
      const body = { ...on.says(on.attack), skip_checks: true, opts: { disable: true }, debug: true };
      expect(await send(on, JSON.stringify(body))).toBe('blocked');
    },
  );

  it.each([COMPLETIONS, EMBEDDINGS].map((on) => [on.name, on] as const))(
    '%s: a kind of input nobody knows is refused',
    async (_, on) => {
      const bodies = ['{"new":"kind"}', '[{"role":"user"},["a"]]', 'true', '[[["a"]]]', '[null]'];
      for (const value of bodies) expect(await send(on, withSaid(on, value))).toMatch(/^refused 400 invalid_request$/);
    },
  );
});
