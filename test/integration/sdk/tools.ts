/** Behaviours of tool calls: they arrive whole, their results go back, and a stopped one is never run. */
import { describe, expect, it } from 'vitest';
import type { MockHandler } from '../../helpers/mockUpstream.ts';
import { canaryOf, everything, ID_SAFE_RUN, MODES, PLAIN, type Place, receivedText, runsOf, TEXT } from './bench.ts';
import { LOOKUP, titled } from './sdk.ts';

const ARGUMENTS = '{"title":"Atlas \\"Łódź\\" 🌍","limit":3}';

export function describeTools(place: Place): void {
  const { sdk, format } = place;

  const leakInArguments = (seen: { token: string }): MockHandler =>
    place.says((request) => {
      seen.token = canaryOf(request);
      return { call: JSON.stringify({ title: `the line ${seen.token}`, limit: 1 }) };
    });

  describe.each(MODES)(`${sdk.name}, %s tool calls`, (_mode, stream) => {
    it('runs a tool with the arguments of the model and shows the answer that follows', async () => {
      place.mock.next(place.says({ call: ARGUMENTS }));
      place.mock.next(place.says({ texts: [TEXT] }));

      const outcome = await place.ask(stream, { tool: 'run' });

      expect(outcome.failure).toBeNull();
      expect(outcome.toolInputs).toEqual([{ title: 'Atlas "Łódź" 🌍', limit: 3 }]);
      expect(outcome.texts).toEqual([TEXT]);
      expect(place.mock.last.messages.at(-1)).toEqual({ role: format.toolRole, text: LOOKUP.result });
      expect(await place.reached()).toEqual({ gateway: 2, provider: 2 });
    });

    const { toolRunStopped, blocked } = sdk.troubles;
    const stopped = stream ? toolRunStopped : blocked;
    it(titled('raises a leak in the arguments of a tool and never runs it', stopped), async () => {
      const seen = { token: '' };
      place.mock.next(leakInArguments(seen));

      const outcome = await place.ask(stream, { tool: 'run' });

      expect(outcome.failure).toMatchObject(stopped.sees);
      expect(outcome.toolInputs).toEqual([]);
      expect(runsOf(seen.token, PLAIN, receivedText(outcome))).toEqual([]);
      expect(runsOf(seen.token, PLAIN, everything(outcome), ID_SAFE_RUN)).toEqual([]);
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    });

    if (!sdk.showsToolCalls) return;

    it('shows the arguments of a tool', async () => {
      place.mock.next(place.says({ call: ARGUMENTS }));

      const outcome = await place.ask(stream, { tool: 'show' });

      expect(outcome.failure).toBeNull();
      expect(JSON.parse(outcome.toolText)).toEqual(JSON.parse(ARGUMENTS));
    });

    it('raises a leak in the arguments of a tool and shows none of them', async () => {
      const seen = { token: '' };
      place.mock.next(leakInArguments(seen));

      const outcome = await place.ask(stream, { tool: 'show' });

      expect(outcome.failure).toMatchObject({ code: 'content_filter' });
      expect(outcome.toolText).toBe('');
      expect(runsOf(seen.token, PLAIN, everything(outcome), ID_SAFE_RUN)).toEqual([]);
    });
  });
}
