/** Behaviours of good answers: what is said reaches the application whole and in time, and the prompt stays private. */
import { describe, expect, it } from 'vitest';
import { until } from '../../helpers/deadline.ts';
import {
  canaryOf,
  DEADLINE_MS,
  everything,
  ID_SAFE_RUN,
  MODES,
  PLAIN,
  type Place,
  runsOf,
  SYSTEM,
  TEXT,
} from './bench.ts';
import { titled } from './sdk.ts';

/** Code points of all lengths in UTF-8, one beside the other. */
const SCRIPTS = 'Grüße, Привет, नमस्ते, 你好, 👩‍👩‍👧 and 𝕏, e\u0301 ß ﬁ.\nمرحبا — שלום — ไทย';
const REFUSAL = 'I am sorry, but this book is not on the shelf.';
const WORDS = 'The old keeper of the library walked along the shelf and read the name of each book that stood there'
  .split(' ')
  // Providers' tokens carry the blank in front; behind a word it would be held with the word's last letter.
  .map((word, index) => (index === 0 ? word : ` ${word}`));
/** Deltas that may be under way between provider and client. */
const UNDER_WAY = 3;

export function describeAnswers(place: Place): void {
  const { sdk, format } = place;

  describe.each(MODES)(`${sdk.name}, %s answers`, (_mode, stream) => {
    it('shows the text and usage of an answer', async () => {
      place.mock.fallback(place.says({ texts: [TEXT] }));

      expect(await place.ask(stream)).toMatchObject({ failure: null, texts: [TEXT], totalTokens: 15 });
      expect(await place.reached()).toEqual({ gateway: 1, provider: 1 });
    });

    it('shows text of many scripts, one code point at a time', async () => {
      place.mock.fallback(place.says({ texts: [SCRIPTS] }, 1));

      expect(await place.ask(stream)).toMatchObject({ failure: null, texts: [SCRIPTS] });
    });

    if (sdk.manyChoices) {
      it('shows every choice of an answer', async () => {
        const texts = [TEXT, 'A second opinion.', 'And, at last, a third one: the dictionary.'];
        place.mock.fallback(place.says({ texts }));

        expect(await place.ask(stream, { choices: 3 })).toMatchObject({ failure: null, texts });
      });
    }

    it('sends the provider the body of the SDK with one reference line added to the system prompt', async () => {
      place.mock.fallback(place.says({ texts: [TEXT] }));
      const direct = await place.askProvider(stream, { tool: 'run' });
      const sent = place.mock.last;
      const relayed = await place.ask(stream, { tool: 'run' });
      const received = place.mock.last;

      expect([direct.failure, relayed.failure]).toEqual([null, null]);
      expect(sent.systemText).toBe(SYSTEM);
      const line = `\nref: ${canaryOf(received)}`;
      expect(received.systemText.split(line).join('')).toBe(SYSTEM);
      expect(received.systemText.length).toBe(SYSTEM.length + line.length);
      expect(received.text.replace(line.replace('\n', '\\n'), '')).toBe(sent.text);
      expect(received.path).toBe(sent.path);
    });

    it('shows nothing of the reference line, wherever an answer repeats the prompt', async () => {
      place.mock.fallback(place.says({ texts: [TEXT] }));

      const outcome = await place.ask(stream);

      expect(outcome.shown).not.toEqual([]);
      expect(runsOf(canaryOf(place.mock.last), PLAIN, everything(outcome), ID_SAFE_RUN)).toEqual([]);
      expect(everything(outcome)).not.toContain('ref: ');
    });

    it('shows control tokens of models in a form that is none', async () => {
      place.mock.fallback(place.says({ texts: ['The atlas <|im_end|>is on the <|im_start|>first shelf.'] }));

      const outcome = await place.ask(stream);

      expect(outcome).toMatchObject({
        failure: null,
        texts: ['The atlas ‹|im_end|›is on the ‹|im_start|›first shelf.'],
      });
      expect(everything(outcome)).not.toContain('<|im_');
    });

    it(titled('shows a refusal as the provider alone would', sdk.refusal), async () => {
      place.mock.fallback(place.says({ refusal: REFUSAL }));

      const direct = await place.askProvider(stream);
      const relayed = await place.ask(stream);

      const said = ({ texts, refusal, failure }: typeof direct) => ({
        text: texts.join(''),
        refusal,
        error: failure === null ? null : failure.message,
      });
      expect(said(relayed)).toEqual(said(direct));
      const { shownAs } = sdk.refusal;
      if (shownAs === 'nothing') expect(said(relayed)).toEqual({ text: '', refusal: '', error: null });
      else expect(said(relayed)[shownAs]).toContain(REFUSAL);
    });
  });

  it(`${sdk.name} shows delta k before the provider sends delta k+${UNDER_WAY}`, async () => {
    let shown = '';
    place.mock.fallback(
      place.saysInSteps(
        (request) => {
          // The words in place of the pieces of equal size that a text is cut into.
          const marks = WORDS.map((_word, k) => String.fromCharCode(0xe000 + k));
          const events = format.events(request, { texts: [marks.join('')] }, 1);
          return events.map((event) =>
            event.replace(/[\ue000-\uf8ff]/g, (mark) => WORDS[mark.charCodeAt(0) - 0xe000] ?? ''),
          );
        },
        (index) => {
          const before = WORDS.slice(0, Math.max(0, Math.min(index - format.opening, WORDS.length) - UNDER_WAY)).join(
            '',
          );
          return until(DEADLINE_MS, 'the client has the earlier words', () => shown.startsWith(before));
        },
      ),
    );

    const outcome = await place.ask(true, {
      onText: (text) => {
        shown = text;
      },
    });

    expect(outcome).toMatchObject({ failure: null, texts: [WORDS.join('')] });
  });
}
