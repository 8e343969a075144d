/** A channel that stops where a canary could begin does not hold up the others, and loses nothing. */
import { expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { chunk, frameEvents } from '../../helpers/mockUpstream.ts';
import { type RigOptions, withGateway } from '../../helpers/rig.ts';
import { CHAT, canaryOf, chatBody, pause, readStream, said, WAIT_MS } from '../chat/support.ts';

/** Fewer than the frames after which a frame is cut however fast they came. */
const WORDS = 25;

it('while others go on, its frame is cut after holdFlushMs', async () => {
  const options: RigOptions = {
    config: (config) => ({ ...config, responses: { ...config.responses, holdFlushMs: 60 } }),
  };
  await withGateway(options, async ({ gateway, mock }) => {
    let text = '';
    let seenBefore = '';
    let reasoning = '';
    mock.next(async (request, response) => {
      // The reasoning ends with what could be the beginning of the token.
      reasoning = `Thinking about ${canaryOf(request.systemText).slice(0, 3)}`;
      const write = (...events: string[]) => response.write(Buffer.concat(frameEvents({ events, done: false })));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      write(chunk({ role: 'assistant', reasoning_content: reasoning }));
      for (let n = 0; n < WORDS; n++) {
        await pause(20);
        write(chunk({ content: '你好 ' }));
      }
      seenBefore = text;
      write(chunk({}, 0, 'stop'));
      response.end('data: [DONE]\n\n');
      return undefined;
    });
    const response = await within(WAIT_MS, gateway.post(CHAT, chatBody({ stream: true })), 'the head of the answer');
    const read = readStream(response, (arrived) => {
      text = arrived;
    });
    await within(WAIT_MS, read, 'the whole answer');
    expect(said(seenBefore)).toContain('你好');
    expect(said(text)).toBe('你好 '.repeat(WORDS));
    expect(said(text, 'reasoning_content')).toBe(reasoning);
  });
});
