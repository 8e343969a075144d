import { describe, expect, it } from 'vitest';
import { CANARY_HOLD_CHARS_MAX } from '../../engine/canary/needles.ts';
import { testEngine, withOutput } from '../helpers/engine.ts';
import { LATE_FORMS, type LeakForm, leadOf, STREAMED_FORMS, UNCOVERED_FORMS } from '../helpers/leaks.ts';
import { seeded } from '../helpers/random.ts';

const { open, policy, config } = testEngine();
const random = seeded('outputSession');
const token = random.hex(32);

const BENIGN = [
  'A canary in a coal mine was an early warning: when the bird fell silent, the miners left. Bad air, dead bird.',
  'Commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b was built from cafe/decade-feed; deadbeef is a common marker value.',
  'Use `a[i] < b && c > d` or x <| f |> g; a table | like | this | and <div class="x">HTML</div> are fine. 50% of 3&4?',
  'Принцип работы: шлюз проверяет ответ модели. 这是一个普通的回答。 Emoji 👩‍👩‍👧‍👦 and accents: naïve café, Ωμέγα.',
  'const re = /[a-f0-9]{32}/; // \\u0041 and %20 and &amp; are escapes\nreturn JSON.stringify({ a: 1, b: [2, 3] });',
];

const PROSE = `The keeper climbed the hundred and twelve steps each evening before dusk, trimmed the wick and set the lens
turning. Ships that rounded the cape by night saw two short flashes and a long one, and knew where they were. In winter
the supply boat came once a month at best; he learned to bake his own bread, mended nets for the village below and kept
a careful diary of winds, birds and passing sails. When the light was made electric, he stayed on as a guide.`;

interface Run {
  readonly released: string;
  readonly action: string;
  readonly heldMax: number;
  readonly heldMean: number;
}

/** Feeds the pieces and releases as far as the session allows, as a relay does. */
function run(pieces: readonly string[], own = policy, canary: string | null = token): Run {
  const session = open(canary, own);
  const text = pieces.join('');
  let released = '';
  let from = 0;
  let held = 0;
  let heldMax = 0;
  const release = (): void => {
    const to = session.safeEnd('c');
    if (to <= from) return;
    released += session.rewrite('c', from, to, text.slice(from, to)) ?? text.slice(from, to);
    from = to;
  };
  for (const piece of pieces) {
    session.push('c', 'text', piece);
    if (session.blocked) return { released, action: session.end().action, heldMax, heldMean: 0 };
    release();
    held += session.heldChars;
    heldMax = Math.max(heldMax, session.heldChars);
  }
  const { action } = session.end();
  if (action !== 'block') release();
  return { released, action, heldMax, heldMean: held / pieces.length };
}

const perCharacter = (text: string): string[] => Array.from({ length: text.length }, (_, i) => text[i] as string);

function randomSplit(text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const size = 1 + random.int(random.pick([1, 3, 8, 40]));
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** Where the leak begins: nothing from here on may be released. */
const PREFIX = 'Of course! What you asked for: ';
const SUFFIX = '. Is there anything else?';

/** How many characters of the form may be out: marks and unrelated text in front of the token. */
const LEADS = new Map(STREAMED_FORMS.map((form) => [form, leadOf(form, token)]));
const leaked = (form: LeakForm, released: string, before: number): number =>
  Math.max(0, released.length - before - (LEADS.get(form) as number));

describe('leak matrix', () => {
  it('blocks every streamed form before any part of it is out, whole and character by character', () => {
    const rows: string[] = [];
    for (const form of STREAMED_FORMS) {
      const text = PREFIX + form.of(token) + SUFFIX;
      const whole = run([text]);
      const single = run(perCharacter(text));
      rows.push(
        `${form.name.padEnd(38)} whole ${whole.action.padEnd(6)} streamed ${single.action.padEnd(6)} out ${leaked(form, single.released, PREFIX.length)}`,
      );
      expect.soft(whole.action, form.name).toBe('block');
      expect.soft(single.action, form.name).toBe('block');
      expect.soft(leaked(form, single.released, PREFIX.length), `${form.name}: ${single.released}`).toBe(0);
    }
    for (const form of LATE_FORMS) {
      const text = PREFIX + form.of(token) + SUFFIX;
      const whole = run([text]);
      const single = run(perCharacter(text));
      rows.push(`${form.name.padEnd(38)} whole ${whole.action.padEnd(6)} streamed ${single.action.padEnd(6)} (late)`);
      expect.soft(whole.action, form.name).toBe('block');
      expect.soft(single.action, form.name).toBe('block');
    }
    for (const form of UNCOVERED_FORMS) {
      const whole = run([PREFIX + form.of(token) + SUFFIX]);
      rows.push(`${form.name.padEnd(38)} whole ${whole.action.padEnd(6)} (not covered)`);
      expect.soft(whole.action, form.name).toBe('pass');
    }
    process.stdout.write(`${rows.join('\n')}\n`);
  });
});

describe('splits', () => {
  it('releases no part of a leak for any two-way split', () => {
    for (const form of STREAMED_FORMS) {
      const text = PREFIX + form.of(token) + SUFFIX;
      for (let cut = 1; cut < text.length; cut++) {
        const result = run([text.slice(0, cut), text.slice(cut)]);
        if (result.action !== 'block' || leaked(form, result.released, PREFIX.length) > 0) {
          expect.unreachable(`${form.name} cut at ${cut}: ${result.action}, ${result.released}`);
        }
      }
    }
  });

  it('releases no part of a leak for 10,000 random splits', () => {
    for (let i = 0; i < 10_000; i++) {
      const form = random.pick(STREAMED_FORMS);
      const text = random.pick(BENIGN) + PREFIX + form.of(token) + SUFFIX;
      const before = text.indexOf(PREFIX) + PREFIX.length;
      const result = run(randomSplit(text));
      if (result.action !== 'block' || leaked(form, result.released, before) > 0) {
        expect.unreachable(`${form.name}: ${result.action}, ${result.released}`);
      }
    }
  });

  it('releases benign text unchanged for any split', () => {
    for (const text of BENIGN) {
      for (let cut = 0; cut <= text.length; cut++) {
        expect(run([text.slice(0, cut), text.slice(cut)])).toMatchObject({ released: text, action: 'pass' });
      }
      expect(run(perCharacter(text))).toMatchObject({ released: text, action: 'pass' });
    }
    for (let i = 0; i < 10_000; i++) {
      const text = random.pick(BENIGN);
      const result = run(randomSplit(text));
      if (result.released !== text || result.action !== 'pass')
        expect.unreachable(`${result.action}: ${result.released}`);
    }
  });

  it('holds at most the declared bound, and at most two characters of prose on average', () => {
    const prose = run(perCharacter(PROSE));
    const mixed = run(perCharacter(BENIGN.join('\n')));
    for (const [name, { heldMax, heldMean }] of Object.entries({ prose, mixed })) {
      process.stdout.write(`held characters, ${name}: mean ${heldMean.toFixed(2)}, most ${heldMax}\n`);
      expect(heldMax).toBeLessThanOrEqual(CANARY_HOLD_CHARS_MAX);
    }
    expect(prose.heldMean).toBeLessThanOrEqual(2);
  });
});

describe('rewriting', () => {
  const sanitising = withOutput(policy, { canary: { ...policy.output.canary, action: 'sanitize' } });
  const text = `Before <|im_start|>system and ${token} and <｜User｜> after.`;

  it('gives the same text and verdict for every split', () => {
    const whole = run([text], sanitising);
    expect(whole.action).toBe('sanitize');
    expect(whole.released).toBe('Before ‹|im_start|›system and [redacted] and ‹｜User｜› after.');
    for (let cut = 0; cut <= text.length; cut++) {
      expect(run([text.slice(0, cut), text.slice(cut)], sanitising)).toMatchObject({
        released: whole.released,
        action: 'sanitize',
      });
    }
    expect(run(perCharacter(text), sanitising)).toMatchObject({ released: whole.released, action: 'sanitize' });
  });

  it('cuts a token in base64 instead of blocking the answer', () => {
    const leak = `${PREFIX}${Buffer.from(token).toString('base64')}${SUFFIX}`;
    const { action, released } = run([leak], sanitising);
    expect(action).toBe('sanitize');
    // The last character before the padding holds 2 bits of the token and as many of what follows.
    expect(released.replace(/\[redacted\].?=?/, '[redacted]')).toBe(`${PREFIX}[redacted]${SUFFIX}`);
  });

  it('redacts every located form completely', () => {
    for (const form of STREAMED_FORMS) {
      const leak = PREFIX + form.of(token) + SUFFIX;
      const whole = run([leak], sanitising);
      const single = run(perCharacter(leak), sanitising);
      expect.soft(single, form.name).toMatchObject({ released: whole.released, action: whole.action });
      if (whole.action === 'sanitize') expect.soft(run([whole.released], policy).action, form.name).toBe('pass');
    }
  });

  it('is idempotent', () => {
    const { released } = run([text], sanitising);
    expect(run([released], sanitising)).toMatchObject({ released, action: 'pass' });
  });
});

describe('more channels than the bound', () => {
  const push = (own = policy) => {
    const session = open(token, own);
    for (let i = 0; i <= config.limits.outputChannelsMax; i++) session.push(`c${i}`, 'text', 'Hello');
    return session;
  };

  it('block the answer, and pass visibly where the guard fails open', () => {
    const closed = push();
    expect(closed.blocked).toBe(true);
    const lenient = push(withOutput(policy, { canary: { ...policy.output.canary, failureMode: 'open' } }));
    expect(lenient.blocked).toBe(false);
    expect(lenient.safeEnd(`c${config.limits.outputChannelsMax}`)).toBe(Number.POSITIVE_INFINITY);
    const { receipt } = lenient.end();
    expect(receipt.scanners.canary).toBe('failed_open');
    expect(receipt.skipped).toEqual([{ path: `c${config.limits.outputChannelsMax}`, reason: 'budget' }]);
  });
});

describe('padding between the characters of a token', () => {
  const padded = (length: number) => [...token].map((char) => char + '-'.repeat(length)).join('');

  it('beyond the cap is itself a leak, after at most three characters', () => {
    const { released, action } = run(perCharacter(PREFIX + padded(config.limits.holdRawCharsMax)));
    expect(action).toBe('block');
    expect(released.slice(PREFIX.length).replaceAll('-', '').length).toBeLessThanOrEqual(3);
  });

  it('does not hold ordinary rulers for ever', () => {
    const text = `A table\n${'-'.repeat(5000)}\nand more a${' '.repeat(5000)}b.`;
    expect(run(perCharacter(text))).toMatchObject({ released: text, action: 'pass' });
  });
});
