/** What the behaviours ask of an SDK, and what they want to know about what came of it. */
import type { JSONSchema7 } from 'ai';

/** One call as an application makes it. Everything not named here is the SDK's default. */
export interface Ask {
  readonly baseUrl: string;
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
  /** Called at the first text of a stream. */
  readonly onText?: () => void;
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
  totalTokens: number | null;
  /** What the SDK ran the tool with. */
  readonly toolInputs: unknown[];
  /** Tool arguments that were shown without running the tool, or before. */
  toolText: string;
  failure: Failure | null;
}

export interface Sdk {
  readonly name: string;
  /** Never throws. */
  call(ask: Ask): Promise<Outcome>;
  /** Can ask for several choices. */
  readonly manyChoices: boolean;
  /** Can show a tool call without running the tool. */
  readonly showsToolCalls: boolean;
  /** Does as `x-should-retry` says. */
  readonly obeysShouldRetry: boolean;
  /** Class of the error for each kind of answer. */
  readonly errors: {
    readonly badRequest: string;
    readonly unauthorized: string;
    readonly rateLimited: string;
    readonly serverError: string;
    readonly midStream: string;
    /** What part of an error tells that a stream was stopped while it called a tool for the SDK to run. */
    readonly toolRunStopped: Partial<Failure>;
  };
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

export function newOutcome(): Outcome {
  return { texts: [], totalTokens: null, toolInputs: [], toolText: '', failure: null };
}

/** Appends streamed text and tells that there is some. */
export function addText(outcome: Outcome, ask: Ask, text: string, choice = 0): void {
  if (text === '') return;
  outcome.texts[choice] = (outcome.texts[choice] ?? '') + text;
  ask.onText?.();
}
