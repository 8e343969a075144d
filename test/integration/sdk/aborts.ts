/** Behaviours of calls that the application gives up: the provider stops working for nobody. */
import { describe, expect, it } from 'vitest';
import { until, within } from '../../helpers/deadline.ts';
import type { MockHandler } from '../../helpers/mockUpstream.ts';
import { DEADLINE_MS, type Place, signal, TEXT } from './bench.ts';

/** For everything to be let go after an abort. */
const ABORT_MS = 1_000;
const HEAD = { headers: { 'content-type': 'text/event-stream' }, fault: 'head-then-silence' } as const;

export function describeAborts(place: Place): void {
  const { sdk, format } = place;

  const silentAfterText: MockHandler = (request) => ({
    stream: {
      events: format.events(request, { texts: [TEXT] }, 5),
      named: format.named,
      cut: { afterEvents: format.opening + 7, how: 'silence' },
    },
  });
  const phases: [string, boolean, MockHandler][] = [
    ['before the provider answers a whole request', false, () => ({ fault: 'never' })],
    ['between head and body of a whole answer', false, () => ({ fault: 'head-then-silence' })],
    ['before the provider answers a streamed request', true, () => ({ fault: 'never' })],
    ['between head and first byte of a stream', true, () => HEAD],
    ['in the middle of a stream', true, silentAfterText],
  ];

  describe(`${sdk.name}.abort`, () => {
    it.each(phases)('reaches the provider within a second: %s', async (_name, stream, answer) => {
      const controller = new AbortController();
      const shown = signal();
      place.mock.fallback(answer);
      const call = place.ask(stream, { signal: controller.signal, onText: shown.give });

      await until(DEADLINE_MS, 'the provider has the request', () => place.mock.requests.length === 1);
      if (answer === silentAfterText) await within(DEADLINE_MS, shown.given, 'the first text reaches the client');
      // Time for the head of the answer, where there is one, to be read.
      else await new Promise((resolve) => setTimeout(resolve, 50));
      const at = performance.now();
      controller.abort();

      await within(ABORT_MS, call, 'the SDK comes back');
      await within(ABORT_MS, place.mock.last.over, 'the provider sees the connection close');
      expect(place.mock.last.aborted).toBe(true);
      expect((place.mock.last.abortedAt ?? Number.POSITIVE_INFINITY) - at).toBeLessThan(ABORT_MS);
      await place.bench.idle(ABORT_MS);
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    });
  });
}
