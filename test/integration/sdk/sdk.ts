/** What the behaviours ask of an SDK, and what they want to know about what came of it. */
import type { JSONSchema7 } from 'ai';
import type { FormatName } from './formats.ts';

/** One call as an application makes it. Everything not named here is the SDK's default. */
export interface Ask {
  /** Of the gateway or the provider, without a path. */
  readonly origin: string;
  readonly key: string;
  readonly stream: boolean;
  readonly system: string;
  readonly user: string;
  /** Offers `LOOKUP`: for the SDK to run, or for the application to look at its arguments. */
  readonly tool?: 'run' | 'show';
  readonly choices?: number;
  readonly signal?: AbortSignal;
  /** Turns the SDK's own retries off. */
  readonly retries?: 0;
  /** Called with all text of a choice so far whenever a stream brings some. */
  readonly onText?: (text: string) => void;
}

/** An error as the application meets it: thrown, or as a part of the stream. */
export interface Failure {
  /** Class of the error. */
  readonly type: string;
  readonly status: number | null;
  readonly code: string | null;
  readonly message: string;
  readonly header: (name: string) => string | null;
}

export interface Outcome {
  /** Text by choice, with what came before a failure. */
  readonly texts: string[];
  refusal: string;
  totalTokens: number | null;
  /** What the SDK ran the tool with. */
  readonly toolInputs: unknown[];
  /** Tool arguments that were shown without running the tool, or before. */
  toolText: string;
  /** Every answer and event as the SDK hands it over, whatever is in it. */
  readonly shown: unknown[];
  failure: Failure | null;
}

/** What an application can tell of a failure. */
export interface Sight {
  readonly sees: Partial<Failure>;
  /** Why it can tell less than the gateway says, or nothing at all. */
  readonly because?: string;
}

export type Trouble =
  | 'blocked'
  | 'unauthorized'
  | 'notFound'
  | 'tooLarge'
  | 'rateLimited'
  | 'serverError'
  | 'badUpstream'
  | 'leakMidStream'
  /** While the SDK collects a tool call that it would run itself. */
  | 'toolRunStopped'
  | 'brokenMidStream';

export interface Sdk {
  readonly name: string;
  readonly format: FormatName;
  /** Never throws. */
  call(ask: Ask): Promise<Outcome>;
  /** Can ask for several choices. */
  readonly manyChoices: boolean;
  /** Can show a tool call without running the tool. */
  readonly showsToolCalls: boolean;
  /** Does as `x-should-retry` says. */
  readonly obeysShouldRetry: boolean;
  /** Tries at a call that keeps failing in a way that may pass. */
  readonly tries: number;
  /** Why not those of its defaults. */
  readonly triesBecause?: string;
  readonly troubles: Readonly<Record<Trouble, Sight>>;
  /** Why an error that a provider sends as an event is not raised, but shown as that event. */
  readonly losesErrorEvents?: string;
  /** Where the text of a refusal is found. */
  readonly refusal: { readonly shownAs: 'refusal' | 'text' | 'error' | 'nothing'; readonly because?: string };
}

/** The name of a test with what the SDK cannot do about it. */
export function titled(what: string, { because }: { readonly because?: string | undefined }): string {
  return because === undefined ? what : `${what} (${because})`;
}

export const MODEL = 'mock-model';

export const LOOKUP = {
  name: 'lookup',
  description: 'Looks up a document by its title.',
  parameters: {
    type: 'object',
    properties: { title: { type: 'string' }, limit: { type: 'integer' } },
    required: ['title', 'limit'],
    additionalProperties: false,
  },
  result: 'One document found.',
} as const satisfies { parameters: JSONSchema7; [key: string]: unknown };

/** As SDKs that know no readonly arrays take them. */
export function parametersOf() {
  return { ...LOOKUP.parameters, required: [...LOOKUP.parameters.required] };
}

export function newOutcome(): Outcome {
  return { texts: [], refusal: '', totalTokens: null, toolInputs: [], toolText: '', shown: [], failure: null };
}

/** Appends streamed text and tells that there is some. */
export function addText(outcome: Outcome, ask: Ask, text: string, choice = 0): void {
  if (text === '') return;
  const all = (outcome.texts[choice] ?? '') + text;
  outcome.texts[choice] = all;
  ask.onText?.(all);
}

/** What the tool that the SDK offers does. */
export function runLookup(outcome: Outcome, input: unknown): string {
  outcome.toolInputs.push(input);
  return LOOKUP.result;
}

export function signalOf({ signal }: Ask): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
