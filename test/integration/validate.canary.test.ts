import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

let app: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp();
});
afterAll(() => app.close());

const ask = async (body: object, on = app) => (await on.post('/validate', { prompt: 'Hello', ...body })).json;
const count = (text: string, token: string) => text.split(token).length - 1;

describe('canarising', () => {
  it('plants a derived token and changes nothing else', async () => {
    const system = 'You are a bank clerk.\nBe polite.';
    const { canarizedSystem, canarizedDeveloper } = await ask({ system });
    expect(canarizedDeveloper).toBeUndefined();
    const [line] = /\nref: [0-9a-f]{32}/.exec(canarizedSystem) as RegExpExecArray;
    expect(canarizedSystem.replace(line, '')).toBe(system);
    const again = await ask({ system: canarizedSystem });
    expect(again.canarizedSystem).toBe(canarizedSystem);
  });

  it('gives each carrier a token of its own', async () => {
    const json = await ask({ system: 'Be kind.', developer: 'Be kind.' });
    expect(json.canarizedSystem).not.toBe(json.canarizedDeveloper);
  });

  it('embeds the given token, once, in every carrier', async () => {
    const canaryToken = 'Zx81-pq77-Lm32-Vb90';
    const first = await ask({ system: 'Be kind.', developer: 'Be brief.', canaryToken });
    expect(count(first.canarizedSystem, canaryToken)).toBe(1);
    const second = await ask({ system: first.canarizedSystem, developer: first.canarizedDeveloper, canaryToken });
    expect(second.canarizedSystem).toBe(first.canarizedSystem);
    expect(second.canarizedDeveloper).toBe(first.canarizedDeveloper);
    expect(first).not.toHaveProperty('warnings');
  });

  it('happens whatever the verdict is', async () => {
    const json = await ask({ prompt: 'zebrablock', system: 'Be kind.' });
    expect(json.action).toBe('block');
    expect(json.canarizedSystem).toMatch(/ref: /);
  });

  it('needs a carrier, and notes that under debug only', async () => {
    const canaryToken = 'Zx81-pq77-Lm32-Vb90';
    const quiet = await ask({ canaryToken });
    expect(quiet).not.toHaveProperty('canarizedSystem');
    expect(quiet).not.toHaveProperty('debug');
    const { debug } = await ask({ canaryToken, opts: { debug: true } });
    expect(debug.notes).toEqual(['canaryToken: there is neither system nor developer to carry it']);
    expect(JSON.stringify(debug)).not.toContain(canaryToken);
  });

  it.each(['abcd', 'Xk29dLq8', 'blue-elephant-garden', 'Correct Horse Battery 2024'])(
    'embeds the weak token %s with a warning',
    async (canaryToken) => {
      const json = await ask({ canaryToken, system: 'Be kind.' });
      expect(json.canarizedSystem).toContain(canaryToken);
      expect(json.warnings).toEqual([
        {
          code: 'weak_canary',
          message: 'A canary of at least 12 random characters gives no false hits; this one may.',
          pointer: '/canaryToken',
        },
      ]);
    },
  );

  it('takes a blank token for none', async () => {
    expect((await ask({ canaryToken: '  ', system: 'Be kind.' })).canarizedSystem).toMatch(/ref: [0-9a-f]{32}/);
  });

  it('leaves an empty carrier alone', async () => {
    expect(await ask({ system: '' })).not.toHaveProperty('canarizedSystem');
  });

  it.each([
    ['auto', true, true],
    ['asked', false, true],
    ['off', false, false],
  ] as const)('in mode %s plants without token: %s, with token: %s', async (mode, derived, given) => {
    const other = await startValidateApp({ policy: (policy) => ({ ...policy, canary: { ...policy.canary, mode } }) });
    try {
      expect('canarizedSystem' in (await ask({ system: 'Be kind.' }, other))).toBe(derived);
      expect('canarizedSystem' in (await ask({ system: 'Be kind.', canaryToken: 'Zx81pq77Lm32' }, other))).toBe(given);
    } finally {
      await other.close();
    }
  });
});
