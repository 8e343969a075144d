/** The tool policy as a guard of one output session: judges complete calls, and remembers what was wrong with them. */
import type { Policy } from '../../config/schema.ts';
import type { GuardFailure, ScannerState } from '../types.ts';
import { type FoundCall, readArguments } from './call.ts';
import type { ToolProblem } from './constraints.ts';
import { TextGate } from './gate.ts';
import { statesNothing, toolPolicy } from './policy.ts';
import type { ParseTree } from './tree.ts';

/** One tool call that a provider sent as data, complete. */
export interface ProxiedCall {
  /** Null when the call does not say which tool it means. */
  readonly name: string | null;
  /** The JSON text as the model wrote it; null when there is none. */
  readonly arguments: string | null;
  /** The arguments of a free-form tool are a text; one that is a JSON object is read as such nevertheless. */
  readonly freeForm?: boolean;
  /** JSON pointer of the call. What is wrong with its arguments is reported below `${path}/arguments`. */
  readonly path: string;
}

/** What is wrong with one call. Never carries a value of an argument. */
export interface OutputToolViolation {
  readonly tool: string | null;
  readonly code: ToolProblem;
  readonly path: string;
}

export interface ToolGuardOptions {
  readonly policy: Policy;
  readonly parse: ParseTree;
  /** Whatever the configured action is: a turn without the call it announces cannot be shown. */
  readonly onBlock: () => void;
  readonly onFailure: (failure: GuardFailure) => void;
}

/** What may be a tool call did not end within the limit. */
export class HeldTextError extends Error {
  override readonly name = 'HeldTextError';
}

/** A text came on more channels than are read. */
export class UnreadTextError extends Error {
  override readonly name = 'UnreadTextError';
}

/** More of them say no more. */
const VIOLATIONS_MAX = 64;
const FAILURES_MAX = 8;
/** A tool's name is the model's text: so much of it is told. */
const NAME_CHARS_MAX = 128;

export class ToolGuard {
  readonly violations: OutputToolViolation[] = [];
  state: ScannerState;
  readonly #options: ToolGuardOptions;
  #failures = 0;

  constructor(options: ToolGuardOptions) {
    this.#options = options;
    const { tools, output } = options.policy;
    this.state = output.toolConstraints.enabled && !statesNothing(tools) ? 'ran' : 'not_run';
  }

  /** True while calls are judged; costs nothing otherwise. */
  get active(): boolean {
    return this.state === 'ran' || this.state === 'failed_open';
  }

  /** Judges one call that came as data. */
  judgeCall(call: ProxiedCall): void {
    this.judge(() => [this.#found(call)]);
  }

  /** Judges what `find` finds. */
  judge(find: () => readonly FoundCall[]): void {
    if (!this.active) return;
    try {
      const violations = toolPolicy(this.#options.policy.tools).check(find());
      if (violations.length === 0) return;
      for (const { call, code, path } of violations.slice(0, VIOLATIONS_MAX - this.violations.length)) {
        this.violations.push({ tool: call.name?.slice(0, NAME_CHARS_MAX) ?? null, code, path });
      }
      this.#options.onBlock();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What holds back calls in the text of one channel until they were judged; null while nothing is judged. */
  gate(path: string, heldCharsMax: number): TextGate | null {
    if (!this.active) return null;
    return new TextGate({
      path,
      heldCharsMax,
      parse: this.#options.parse,
      onCalls: (calls) => this.judge(() => calls),
      onExceeded: () => this.fail(new HeldTextError(`more than ${heldCharsMax} characters of one channel`)),
    });
  }

  /** A text that may hold calls is not read at all. */
  unread(): void {
    if (this.active) this.fail(new UnreadTextError('more channels than are read'));
  }

  /** The guard could not decide. */
  fail(error: unknown): void {
    const { failureMode } = this.#options.policy.output.toolConstraints;
    this.state = failureMode === 'closed' ? 'failed_closed' : 'failed_open';
    if (this.#failures++ < FAILURES_MAX) this.#options.onFailure({ guard: 'tool-policy', error });
    if (failureMode === 'closed') this.#options.onBlock();
  }

  #found({ name, arguments: text, freeForm, path }: ProxiedCall): FoundCall {
    const given = text === null ? null : ({ kind: 'string', value: text, start: 0, end: text.length } as const);
    const read = readArguments(given, this.#options.parse);
    const base = { name, path, argsPath: `${path}/arguments`, span: null, markers: [] };
    if (freeForm === true && read.badJson && given !== null)
      return { ...base, args: null, badJson: false, text: given };
    return { ...base, ...read };
  }
}
