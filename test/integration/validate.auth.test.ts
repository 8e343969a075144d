import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

let app: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp();
});
afterAll(() => app.close());

const send = (body: object, headers: Record<string, string>, path = '/validate') =>
  app.post(path, { prompt: 'hi', output: 'hi', ...body }, headers);

describe('the key', () => {
  it.each(['/validate', '/validate_output'])('may come in any documented place of %s', async (path) => {
    const { key } = app;
    for (const headers of [
      { authorization: `Bearer ${key}` },
      { authorization: `bearer  ${key} ` },
      { authorization: `Token ${key}` },
      { 'x-api-key': key },
      { authorization: 'Basic abc', 'x-api-key': key },
      { authorization: '', 'x-api-key': key },
    ]) {
      expect((await send({}, headers as Record<string, string>, path)).status).toBe(200);
    }
    expect((await send({ token: key }, {}, path)).status).toBe(200);
  });

  it('in a header beats the body, and is not forgiven for it', async () => {
    const good = { authorization: `Bearer ${app.key}` };
    expect((await send({ token: 'nonsense' }, good)).status).toBe(200);
    const bad = await send({ token: app.key }, { authorization: 'Bearer nonsense' });
    expect([bad.status, bad.json.reason]).toEqual([401, 'not_found']);
    const second = await send({ token: app.key }, { authorization: 'Bearer nonsense', 'x-api-key': app.key });
    expect(second.status).toBe(401);
  });

  it('in a bad header is refused before the body is read', async () => {
    expect((await app.post('/validate', 'no json', { authorization: 'Bearer nonsense' })).status).toBe(401);
    expect((await app.post('/validate', 'no json', {})).status).toBe(400);
  });

  it('is told apart from nothing by no answer', async () => {
    const none = await send({}, {});
    const unknown = await send({}, { 'x-api-key': 'pck_unknown' });
    for (const { status, json, headers } of [none, unknown]) {
      expect(status).toBe(401);
      expect(headers.get('www-authenticate')).toBe('Bearer');
      expect({ ...json, telemetryId: '' }).toEqual({ ...none.json, telemetryId: '' });
      expect(json).toMatchObject({ valid: false, action: 'block', reason: 'not_found', risk: 0 });
    }
    expect(none.json.telemetryId).not.toBe(unknown.json.telemetryId);
  });

  it('names the state that refuses it', async () => {
    const reasonOf = async (key: string) => {
      const { status, json } = await send({}, { 'x-api-key': key });
      return [status, json.reason];
    };
    const owned = async (userId: string, change: { state?: 'inactive'; locked?: boolean }) => {
      const key = await app.createKey({ userId });
      await app.store.changeUser(userId, change);
      return key;
    };
    expect(await reasonOf(await app.createKey({ expiresAt: 1 }))).toEqual([401, 'inactive']);
    expect(await reasonOf(await owned('locked', { locked: true }))).toEqual([401, 'user_locked']);
    expect(await reasonOf(await owned('gone', { state: 'inactive' }))).toEqual([401, 'user_inactive']);
    expect(await reasonOf(await owned('both', { state: 'inactive', locked: true }))).toEqual([401, 'user_inactive']);
  });

  it('and two of them that differ are noted in the log, without either', async () => {
    await send({}, { authorization: `Bearer ${app.key}`, 'x-api-key': 'pck_another' });
    const logs = app.logs.join('');
    expect(logs).toContain('conflicting_keys');
    expect(logs).not.toContain('pck_');
  });
});

describe('what a key may do', () => {
  const headers = (key: string) => ({ 'x-api-key': key });

  it('needs the scope', async () => {
    const key = await app.createKey({ scopes: ['proxy'] });
    const { status, json } = await send({}, headers(key));
    expect([status, json.action, json.error.code]).toEqual([403, 'block', 'permission_denied']);
  });

  it.each(['/validate', '/validate_output'])('is limited to its tenants in %s', async (path) => {
    const one = await app.createKey();
    const both = await app.createKey({ tenants: ['other'] });
    expect((await send({ tenant: 'default' }, headers(one), path)).status).toBe(200);
    expect((await send({ tenant: 'other' }, headers(both), path)).status).toBe(200);
    for (const tenant of ['other', 'nobody', 'constructor', '']) {
      const { status, json } = await send({ tenant }, headers(one), path);
      expect([status, json.error.pointer]).toEqual([403, '/tenant']);
    }
  });

  it('includes labels only with the scope for it', async () => {
    const refused = await send({ opts: { truth: 'benign' } }, headers(app.key));
    expect([refused.status, refused.json.error.pointer]).toEqual([403, '/opts/truth']);
    const admin = await app.createKey({ scopes: ['admin'] });
    expect((await send({ opts: { truth: 'benign' } }, headers(admin))).status).toBe(200);
  });
});
