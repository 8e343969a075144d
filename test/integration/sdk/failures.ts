/** Behaviours of errors: of the gateway, of the provider, and of answers that break. Each is raised as what it is. */
import { describe, expect, it } from 'vitest';
import { type RecordedRequest, type Reply, type StreamReply, TROUBLE } from '../../helpers/mockUpstream.ts';
import { everything, MODES, type Place, receivedText, TEXT } from './bench.ts';
import { type Trouble, titled } from './sdk.ts';

/** Sent with the SDK's own number of retries, so that their waits are short. */
const SOON = { 'retry-after-ms': '10' };
/** Larger than any body the gateway takes. */
const HUGE_CHARS = 17 * 1024 * 1024;
const SIZE = 5;
const EVENTS_BEFORE_END = 5;

export function describeFailures(place: Place): void {
  const { sdk, format } = place;
  const { troubles, tries, triesBecause: because } = sdk;
  const title = (what: string, trouble: Trouble): string => titled(what, troubles[trouble]);

  describe.each(MODES)(`${sdk.name}, %s errors`, (_mode, stream) => {
    it(title('raises a wrong key after one try, and nothing reaches the provider', 'unauthorized'), async () => {
      const { failure } = await place.ask(stream, { key: 'wrong' });

      expect(failure).toMatchObject(troubles.unauthorized.sees);
      expect(await place.reached()).toEqual({ gateway: 1, provider: 0 });
    });

    it(title('raises a model that the provider does not have after one try', 'notFound'), async () => {
      place.mock.fallback(format.notFound);

      const { failure } = await place.ask(stream);

      expect(failure).toMatchObject(troubles.notFound.sees);
      expect(failure?.message).toContain('mock-model');
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    });

    it(
      titled('raises a rate limit with its headers after the retries of the SDK and no others', { because }),
      async () => {
        const { headers } = format.rateLimited;
        place.mock.fallback({ ...format.rateLimited, headers: { ...headers, 'retry-after': '1', ...SOON } });

        const { failure } = await place.ask(stream);

        expect(failure).toMatchObject(troubles.rateLimited.sees);
        expect(failure?.message).toContain('Something went wrong.');
        expect(failure?.header('retry-after')).toBe('1');
        expect(failure?.header('x-ratelimit-remaining-requests')).toBe('0');
        expect(await place.reached()).toEqual({ gateway: tries, provider: tries });
      },
    );

    it('tries again after a rate limit and then gets its answer', async () => {
      place.mock.reply({ ...format.rateLimited, headers: { 'retry-after': '1', ...SOON } });
      place.mock.next(place.says({ texts: [TEXT] }));

      expect(await place.ask(stream)).toMatchObject({ failure: null, texts: [TEXT] });
      expect(await place.reached()).toEqual({ gateway: 2, provider: 2 });
    });

    it(
      titled('raises a server error of the provider after the retries of the SDK and no others', { because }),
      async () => {
        place.mock.fallback({ ...format.serverError, headers: SOON });

        const { failure } = await place.ask(stream);

        expect(failure).toMatchObject(troubles.serverError.sees);
        expect(failure?.message).toContain('Something went wrong.');
        expect(await place.reached()).toEqual({ gateway: tries, provider: tries });
      },
    );

    const bodies: [string, Reply][] = [
      ['a page', TROUBLE.html200],
      ['nothing', TROUBLE.empty200],
      ['an error object', format.errorIn200],
      ['half of an answer', TROUBLE.truncatedJson],
    ];
    it.each(bodies)(title('raises an error for a 200 that holds %s', 'badUpstream'), async (_name, reply) => {
      place.mock.fallback(reply);

      const outcome = await place.ask(stream, place.once);

      expect(outcome.failure).toMatchObject(troubles.badUpstream.sees);
      expect(receivedText(outcome)).toBe('');
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    });
  });

  it(
    title(`${sdk.name} raises a body that is too large after one try, and nothing reaches the provider`, 'tooLarge'),
    async () => {
      const { failure } = await place.ask(false, { user: 'a'.repeat(HUGE_CHARS) });

      expect(failure).toMatchObject(troubles.tooLarge.sees);
      expect(await place.reached()).toEqual({ gateway: 1, provider: 0 });
    },
  );

  describe(`${sdk.name}, streams that break`, () => {
    const afterEvents = format.opening + EVENTS_BEFORE_END;
    const cuts: [string, Pick<StreamReply, 'cut'>][] = [
      ['closes its connection', { cut: { afterEvents, how: 'destroy' } }],
      ['resets its connection', { cut: { afterEvents, how: 'reset' } }],
      ['breaks off within an event', { cut: { afterEvents, midEvent: true, how: 'end' } }],
      ['ends without a finish', { cut: { afterEvents, how: 'end' } }],
    ];
    it.each(cuts)(
      title('raises an error when the provider %s in the middle of an answer', 'brokenMidStream'),
      async (_name, { cut }) => {
        place.mock.fallback((request) => ({
          stream: {
            events: format.events(request, { texts: [TEXT] }, SIZE),
            named: format.named,
            ...(cut !== undefined && { cut }),
          },
        }));

        await expectBroken(troubles.brokenMidStream.sees);
      },
    );

    it(
      title('raises an error when the provider sends what is no JSON in the middle of an answer', 'brokenMidStream'),
      async () => {
        place.mock.fallback((request) => halfThen(request, '{"type":"message_stop","choices":[{'));

        await expectBroken(troubles.brokenMidStream.sees);
      },
    );

    it(
      titled('raises what the provider says in the middle of an answer', { because: sdk.losesErrorEvents }),
      async () => {
        place.mock.fallback((request) => halfThen(request, format.errorEvent));

        const { type } = troubles.brokenMidStream.sees;
        await expectBroken(
          sdk.losesErrorEvents === undefined
            ? { type, message: expect.stringContaining('Something went wrong.') }
            : null,
        );
      },
    );

    function halfThen(request: RecordedRequest, event: string): Reply {
      const events = format.events(request, { texts: [TEXT] }, SIZE).slice(0, afterEvents);
      return { stream: { events: [...events, event], named: format.named, done: false } };
    }

    async function expectBroken(sees: object | null): Promise<void> {
      const outcome = await place.ask(true, place.once);

      const { failure, texts } = outcome;
      if (sees === null) {
        expect(failure).toBeNull();
        expect(everything(outcome)).toContain('Something went wrong.');
      } else expect(failure).toMatchObject(sees);
      expect(TEXT.startsWith(texts.join(''))).toBe(true);
      expect(texts.join('')).not.toBe('');
      expect(texts.join('')).not.toBe(TEXT);
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    }

    it(title('raises an error when the provider begins a stream with one', 'badUpstream'), async () => {
      place.mock.fallback({ stream: { events: [format.errorEvent], named: format.named } });

      const outcome = await place.ask(true, place.once);

      expect(outcome.failure).toMatchObject(troubles.badUpstream.sees);
      expect(receivedText(outcome)).toBe('');
    });
  });
}
