/** A canary in several places of one streamed answer, no more than a part in each. The matrix has every single place. */
import { describe, expect, it } from 'vitest';
import { chunk, contentEvents, interleave, pieces, type Reply, toolCallEvents } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { type Answer, ask, canaryOf, chatBody, chunks, errorCode, expectNoneOf, payloads } from './support.ts';

const rig = useGateway();

const events = (list: readonly string[]): Reply => ({ stream: { events: list } });

/** `blocked` when the client is told so in the way of its request, else what came instead. */
function outcome(answer: Answer): string {
  const code = errorCode(answer.text);
  if (code !== 'content_filter') return `${answer.status} ${String(code)}`;
  if (answer.status === 400) return answer.headers.get('content-type') === 'application/json' ? 'blocked' : 'no JSON';
  const finished = chunks(answer.text).some((part) => part.choices?.[0]?.finish_reason === 'content_filter');
  return finished && payloads(answer.text).at(-1) === '[DONE]' ? 'blocked' : 'not ended';
}

describe('split', () => {
  const leaking = async (list: (token: string) => readonly string[]): Promise<Answer & { token: string }> => {
    rig.mock.next((request) => events(list(canaryOf(request.systemText))));
    const answer = await ask(rig.gateway, chatBody({ stream: true, n: 2 }));
    return { ...answer, token: canaryOf(rig.mock.last.systemText) };
  };

  it('over frames of one character after 6 kB of text', async () => {
    const before = 'All of this is quite harmless, 你好 is it not? '.repeat(130);
    const answer = await leaking((token) => contentEvents([...pieces(before, 40), ...token, ' and more']));
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over two channels of one choice, half in each', async () => {
    const answer = await leaking((token) => [
      chunk({ role: 'assistant', content: '' }),
      ...pieces(token.slice(0, 16), 4).map((piece) => chunk({ reasoning_content: piece })),
      ...pieces(token.slice(16), 4).map((piece) => chunk({ content: piece })),
      chunk({}, 0, 'stop'),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over two choices, half in each', async () => {
    const answer = await leaking((token) =>
      interleave(contentEvents(pieces(token.slice(0, 16), 4)), contentEvents(pieces(token.slice(16), 4), 1)),
    );
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over a finish and what follows it', async () => {
    const answer = await leaking((token) => [
      ...contentEvents(['Well 你好']),
      chunk({ content: token }),
      chunk({}, 0, 'stop'),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over text and tool call, half in each', async () => {
    const answer = await leaking((token) => [
      ...pieces(token.slice(0, 16), 4).map((content) => chunk({ content })),
      ...toolCallEvents([{ id: 'call_1', name: 'send', arguments: JSON.stringify({ text: token.slice(16) }) }]),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });
});
