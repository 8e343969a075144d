/** One provider and one gateway for all SDKs of a file, and the answers and waits that their behaviours share. */
import { beforeEach } from 'vitest';
import { until, within } from '../../helpers/deadline.ts';
import type { TestGateway } from '../../helpers/gateway.ts';
import { type LeakForm, STREAMED_FORMS } from '../../helpers/leaks.ts';
import { frameEvents, type MockHandler, type MockUpstream, type RecordedRequest } from '../../helpers/mockUpstream.ts';
import { type Rig, useGateway } from '../../helpers/rig.ts';
import { FORMATS, type Format, type Said } from './formats.ts';
import type { Ask, Outcome, Sdk } from './sdk.ts';

/** For anything that should happen at once. */
export const DEADLINE_MS = 8_000;

export const SYSTEM =
  'You are a librarian.\nAnswer in one sentence.\nStay polite, in "every" language: über, 日本, 🙂.';
export const USER = 'Which book comes first on the shelf?';
export const TEXT = 'The first book is an atlas: it shows München, 東京 and 🌍 on "one" page.\n';
/** Folded to letters and digits, it has no four hexadecimal digits in a row. A whole number of pieces of three. */
export const LEAD = 'Sure, it is this: ';

export const MODES = [
  ['whole', false],
  ['streamed', true],
] as const;

export const formOf = (name: string): LeakForm => STREAMED_FORMS.find((form) => form.name === name) as LeakForm;
export const PLAIN = formOf('plain');

export class Bench {
  readonly #rig: Rig;
  #logged = 0;

  /** Starts both before the tests of the calling file and stops them after. */
  constructor() {
    this.#rig = useGateway({
      // Tests let the provider fail many times in a row, and would then be refused without a try.
      config: (config) => ({
        ...config,
        upstream: { ...config.upstream, breaker: NEVER_OPENS },
        tenants: { ...config.tenants, [OTHER_TENANT]: { policy: 'default' } },
      }),
    });
    beforeEach(() => {
      this.#logged = this.gateway.logs().length;
    });
  }

  get mock(): MockUpstream {
    return this.#rig.mock;
  }

  get gateway(): TestGateway {
    return this.#rig.gateway;
  }

  /** Returns once all requests have been answered and logged. */
  idle(ms = DEADLINE_MS): Promise<void> {
    return until(ms, 'the gateway has no request in work', async () =>
      /^portcullis_in_flight_requests 0$/m.test(await this.gateway.metrics()),
    );
  }

  /** Requests to a route since the test began. */
  async tries(route: string): Promise<number> {
    await this.idle();
    const lines = this.gateway.logs().slice(this.#logged).trim().split('\n');
    const events = lines.map((line) => JSON.parse(line === '' ? '{}' : line) as { event?: string; route?: string });
    return events.filter((entry) => entry.event === 'request' && entry.route === route).length;
  }
}

/** One SDK on a bench, with the answers of its provider in its format. */
export class Place {
  readonly bench: Bench;
  readonly sdk: Sdk;
  readonly format: Format;
  /** For answers that the gateway marks as not worth another try. */
  readonly once: Partial<Ask>;

  constructor(bench: Bench, sdk: Sdk) {
    this.bench = bench;
    this.sdk = sdk;
    this.format = FORMATS[sdk.format];
    this.once = sdk.obeysShouldRetry ? {} : { retries: 0 };
  }

  get mock(): MockUpstream {
    return this.bench.mock;
  }

  ask(stream: boolean, more: Partial<Ask> = {}): Promise<Outcome> {
    const { url, key } = this.bench.gateway;
    return within(
      DEADLINE_MS,
      this.sdk.call({ origin: url, key, stream, system: SYSTEM, user: USER, ...more }),
      'the SDK comes back',
    );
  }

  /** The same without the gateway. */
  askProvider(stream: boolean, more: Partial<Ask> = {}): Promise<Outcome> {
    return this.ask(stream, { origin: this.mock.origin, key: 'unused', ...more });
  }

  tries(): Promise<number> {
    return this.bench.tries(this.format.route);
  }

  /** Answers in the requested mode; what is said may depend on the request. */
  says(said: Said | ((request: RecordedRequest) => Said), size = 5): MockHandler {
    return (request) => {
      const now = typeof said === 'function' ? said(request) : said;
      return request.wantsStream
        ? { stream: { events: this.format.events(request, now, size), named: this.format.named } }
        : { json: this.format.whole(request, now) };
    };
  }

  /** Streams events one by one; the one at `index` waits for what `ready` gives. */
  saysInSteps(
    events: (request: RecordedRequest) => readonly string[],
    ready: (index: number) => Promise<void>,
  ): MockHandler {
    return inSteps(events, this.format.named, ready);
  }

  /** Streams the first events, and the rest once `next` is given. */
  saysInTwoParts(
    events: (request: RecordedRequest) => readonly [first: readonly string[], rest: readonly string[]],
    next: Promise<void>,
  ): MockHandler {
    let border = 0;
    return this.saysInSteps(
      (request) => {
        const [first, rest] = events(request);
        border = first.length;
        return [...first, ...rest];
      },
      (index) => (index === border ? next : Promise.resolve()),
    );
  }

  /** Counts what reached the gateway and the provider. */
  async reached(): Promise<{ gateway: number; provider: number }> {
    return { gateway: await this.tries(), provider: this.mock.requests.length };
  }
}

/** Streams events one by one; the one at `index` waits for what `ready` gives. */
export function inSteps(
  events: (request: RecordedRequest) => readonly string[],
  named: boolean,
  ready: (index: number) => Promise<void>,
): MockHandler {
  return async (request, response) => {
    const frames = frameEvents({ events: events(request), named });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [index, frame] of frames.entries()) {
      await within(DEADLINE_MS, ready(index), `what comes before event ${index} has reached the client`);
      response.write(frame);
    }
    response.end();
    return undefined;
  };
}

export const OTHER_TENANT = 'other';
const NEVER_OPENS = { failuresMax: Number.MAX_SAFE_INTEGER, openMs: 1 };
const REF_LINE = /(?:^|\n)ref: ([0-9a-f]{32})(?=\n|$)/;

/** The canary that a provider was sent. */
export function canaryOf({ systemText }: RecordedRequest): string {
  const token = REF_LINE.exec(systemText)?.[1];
  if (token === undefined) throw new Error('the provider was sent no canary');
  return token;
}

/** A promise and what settles it. */
export function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = (): void => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

/** Runs of characters of a token, or of the form in which it was leaked, in what a client received. */
export function runsOf(token: string, form: LeakForm, received: string, length = 4): string[] {
  const folded = received.toLowerCase().replace(/[^a-z0-9]/g, '');
  const runs = (text: string): string[] =>
    Array.from({ length: Math.max(0, text.length - length + 1) }, (_, i) => text.slice(i, i + length));
  const reversed = [...token].reverse().join('');
  return [
    ...[...runs(token), ...runs(reversed)].filter((run) => folded.includes(run)),
    ...runs(form.of(token)).filter((run) => received.includes(run)),
  ];
}

/** Text and arguments as the client reads them. */
export function receivedText({ texts, toolText, refusal }: Outcome): string {
  return texts.join('') + toolText + refusal;
}

/** Everything that the SDK handed over, in any member. */
export function everything({ shown, texts, toolText, toolInputs, refusal, failure }: Outcome): string {
  const seen = new WeakSet<object>();
  return JSON.stringify([shown, texts, toolText, toolInputs, refusal, failure], (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return undefined;
    seen.add(value);
    return value;
  });
}

/** Runs so long that random ids do not have them. */
export const ID_SAFE_RUN = 8;
