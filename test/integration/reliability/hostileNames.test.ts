/** Names that a client chooses, in every place where they come near a log line, a label or a header. */
import { describe, expect, it } from 'vitest';
import { answerWith } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, expectIdle, head, idleAfterEach, RawClient } from '../chat/support.ts';
import { CHAT, MODEL_INPUTS, VALIDATE } from './surfaces.ts';

/** Part of every name, and of nothing else. */
const MARK = 'zqMarkedName';
const NAMES: Readonly<Record<string, string>> = {
  'new lines': `${MARK}\n{"level":"error","event":"forged"}\r\n`,
  'line separators': `${MARK}\u2028{"event":"forged"}\u2029\u0085`,
  'terminal escapes': `\u001b[2J\u001b[31m${MARK}\u001b]0;title\u0007`,
  'direction overrides': `\u202e${MARK}\u2066`,
  'quotes and braces': `"},{"${MARK}":"`,
  'a label of metrics': `${MARK}"} 1\nportcullis_forged_total{x="`,
  'one megabyte': MARK + 'x'.repeat(1_000_000),
  'control characters': `${MARK}\u0000\u0008\u007f\u009b`,
};

const rig = useGateway();
idleAfterEach(rig);

/** Runs `act`; the log lines that it brought, parsed. */
async function logged(act: () => Promise<unknown>): Promise<{ event: string; route?: string }[]> {
  const before = rig.gateway.logs().length;
  await act();
  await expectIdle(rig.gateway);
  const text = rig.gateway.logs().slice(before);
  expect(text).not.toContain(MARK);
  expect(text).not.toContain('forged');
  // Nothing but printable characters and the line ends between the objects.
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { event: string });
}

const seriesOf = (metrics: string): string[] => metrics.split('\n').map((line) => line.slice(0, line.lastIndexOf(' ')));

const cells = MODEL_INPUTS.flatMap((on) =>
  Object.entries(NAMES).map(([what, name]) => [on.name, what, on, name] as const),
);

describe('J13 hostile names', () => {
  it.each(cells)('%s: a model name with %s is one line of a log without it', async (_name, _what, on, model) => {
    const lines = await logged(async () => {
      const answer = await ask(rig.gateway, { ...on.says('Hello'), model }, {}, on.path);
      expect(answer.status).toBe(200);
      for (const [header, value] of answer.headers) expect(`${header}: ${value}`).not.toContain(MARK);
    });
    expect(lines.filter(({ event }) => event === 'request').map(({ route }) => route)).toEqual([on.path]);
    expect(await rig.gateway.metrics()).not.toContain(MARK);
  });

  it('a new model name with every request makes no new series', async () => {
    await ask(rig.gateway, CHAT.says('Hello'));
    const before = new Set(seriesOf(await rig.gateway.metrics()));
    for (let n = 0; n < 40; n += 1) await ask(rig.gateway, { ...CHAT.says('Hello'), model: `${MARK}-${n}` });
    expect(seriesOf(await rig.gateway.metrics()).filter((series) => !before.has(series))).toEqual([]);
  });

  it('names in paths, of models, deployments, responses and providers, stay out of logs and labels', async () => {
    const name = encodeURIComponent(NAMES['new lines'] ?? '');
    const lines = await logged(async () => {
      for (const path of [
        `/openai/deployments/${name}/chat/completions`,
        `/openai/${MARK}/chat/completions`,
        `/anthropic/${MARK}/v1/messages`,
        `/v1/${MARK}`,
        `/${MARK}/x`,
      ]) {
        await ask(rig.gateway, CHAT.says('Hello'), {}, path);
      }
      for (const path of [`/v1/models/${name}`, `/v1/responses/${name}`, `/openai/v1/models/${MARK}`]) {
        const response = await fetch(rig.gateway.url + path, {
          headers: { authorization: `Bearer ${rig.gateway.key}` },
        });
        await response.text();
      }
    });
    expect(lines.filter(({ event }) => event === 'request').length).toBe(8);
    expect(await rig.gateway.metrics()).not.toContain(MARK);
  });

  it('names of tenants and tools that nobody has configured stay out of logs and labels', async () => {
    await logged(async () => {
      for (const name of Object.values(NAMES)) {
        const short = name.slice(0, 200);
        await ask(rig.gateway, { ...VALIDATE.says('Hello'), tenant: short }, {}, VALIDATE.path);
        await ask(rig.gateway, { ...VALIDATE.says('Hello'), tool: short }, {}, VALIDATE.path);
        await ask(
          rig.gateway,
          { output: '', toolCalls: [{ name: short, arguments: {} }], expect: { allowedTools: [] } },
          {},
          '/validate_output',
        );
      }
    });
    expect(await rig.gateway.metrics()).not.toContain(MARK);
  });

  it('names in headers stay out of logs and labels', async () => {
    const lines = await logged(async () => {
      const client = await RawClient.open(rig.gateway);
      const body = JSON.stringify(CHAT.says('Hello'));
      const own = [
        `content-length: ${Buffer.byteLength(body)}`,
        `user-agent: ${MARK} \u00a0\u00ff`,
        `x-request-id: ${MARK}`,
      ];
      client.send(
        Buffer.from(
          head(rig.gateway, [...own, `traceparent: ${MARK}`, `x-portcullis-tenant: ${MARK}`]) + body,
          'latin1',
        ),
      );
      const { status } = await client.whole();
      expect([200, 400, 403, 404]).toContain(status);
      client.close();
    });
    expect(lines.filter(({ event }) => event === 'request').length).toBe(1);
    expect(await rig.gateway.metrics()).not.toContain(MARK);
  });

  it.each(MODEL_INPUTS.slice(0, 4).map((on) => [on.name, on] as const))(
    '%s: a model name that only the provider says stays out of logs and labels',
    async (_, on) => {
      await logged(async () => {
        for (const stream of [false, true]) {
          rig.mock.next((request) =>
            JSON.parse(JSON.stringify(answerWith('Fine.')(request)).replaceAll('mock-model', MARK)),
          );
          const answer = await ask(rig.gateway, { ...on.says('Hello'), stream }, {}, on.path);
          expect(answer.text).toContain(MARK);
        }
      });
      expect(await rig.gateway.metrics()).not.toContain(MARK);
    },
  );
});
