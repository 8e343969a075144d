/**
 * The door for answers. A session reads any number of channels (a choice's text, its reasoning, a tool call's
 * arguments), says how far each may be released, and decides at the end. A whole answer is the same session fed once,
 * so streamed and whole answers get the same verdict by construction.
 */
import type { FailureMode, Limits, Policy } from '../../config/schema.ts';
import type { NeedleSet } from '../canary/compile.ts';
import type { ForeignWindows } from '../canary/foreign.ts';
import { CANARY_HOLD_CHARS_MAX } from '../canary/needles.ts';
import { ScatterTracker } from '../canary/scatter.ts';
import type { CanaryHit } from '../canary/stream.ts';
import type { ControlTokens } from '../control/matcher.ts';
import { type OutputToolViolation, type ProxiedCall, ToolGuard } from '../tools/guard.ts';
import type { ParseTree } from '../tools/tree.ts';
import { type Action, type GuardFailure, type Receipt, type ScannerState, worst } from '../types.ts';
import { Channel, type ChannelKind } from './channel.ts';

export interface OutputSessionOptions {
  readonly policy: Policy;
  readonly limits: Limits;
  readonly sets: readonly NeedleSet[];
  readonly foreign: ForeignWindows | null;
  readonly control: ControlTokens;
  readonly receipt: Receipt;
  readonly nowMicros: () => number;
  /** Null where the caller judges tool calls itself. */
  readonly parse: ParseTree | null;
}

/** A canary found in one channel. Never carries the value. */
export interface OutputCanaryHit extends CanaryHit {
  readonly where: string;
}

export interface OutputControlToken {
  readonly family: string;
  readonly token: string;
  count: number;
}

export interface OutputVerdict {
  /** `pass`, `sanitize` or `block`; answers are never escalated. */
  readonly action: Action;
  /** Set when the block is not a verdict but a guard that could not run. */
  readonly unavailable: boolean;
  readonly canaryHits: readonly OutputCanaryHit[];
  readonly controlTokens: readonly OutputControlToken[];
  readonly foreignCanary: boolean;
  /** Calls against `policy.tools`, the first of them; any one blocks. */
  readonly toolViolations: readonly OutputToolViolation[];
  readonly failures: readonly GuardFailure[];
  readonly receipt: Receipt;
}

export type OutputGuard = 'canary' | 'control-tokens' | 'tool-policy';

/** A letter that is part of no needle and ends every match. */
const LEAF_BREAK = '\u4e00';
/** Leaves whose last value is remembered; a provider that invents names only costs itself the short cut. */
const LEAVES_REMEMBERED_MAX = 1024;

/** Hits that a new one may repeat. */
const RECENT_HITS = 64;

export class OutputSession {
  readonly #options: OutputSessionOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #scatter: ScatterTracker;
  readonly #hits: OutputCanaryHit[] = [];
  readonly #failures: GuardFailure[] = [];
  readonly #tokens = new Map<string, OutputControlToken>();
  readonly #lastLeaf = new Map<string, { readonly text: string; readonly tail: string }>();
  readonly #states: Record<Exclude<OutputGuard, 'tool-policy'>, ScannerState>;
  readonly #tools: ToolGuard | null;
  #action: Action = 'pass';
  #unavailable = false;
  /** Reads every leaf, one after the other. */
  #leaves: Channel | null = null;
  #leafName = '';
  #foreign = false;
  #overflown = false;
  readonly #exceededNames = new Set<string>();
  #read = 0;
  #ended = false;

  constructor(options: OutputSessionOptions) {
    this.#options = options;
    this.#scatter = new ScatterTracker(options.sets);
    const { canary, controlTokens } = options.policy.output;
    this.#states = {
      canary: canary.enabled ? 'ran' : 'not_run',
      'control-tokens': controlTokens.enabled ? 'ran' : 'not_run',
    };
    this.#tools =
      options.parse === null
        ? null
        : new ToolGuard({
            policy: options.policy,
            parse: options.parse,
            onBlock: () => this.#raise('block'),
            onFailure: (failure) => {
              this.#failures.push(failure);
              this.#unavailable ||= options.policy.output.toolConstraints.failureMode === 'closed';
            },
          });
  }

  /** Reads the next piece of a channel. Look at `blocked` afterwards. */
  push(name: string, kind: ChannelKind, delta: string): void {
    if (delta.length === 0) return;
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      if (this.#channels.size >= this.#options.limits.outputChannelsMax) {
        this.#overflown = true;
        if (kind === 'text') this.#tools?.unread();
        this.#exceeded(name);
        return;
      }
      channel = this.#open(() => name, kind);
      this.#channels.set(name, channel);
      this.#options.receipt.seen++;
      this.#options.receipt.scanned++;
    }
    this.#read += delta.length;
    this.#timed(() => channel.push(delta));
  }

  /**
   * Reads a leaf that comes whole and usually comes again, like an id. Repeats cost one comparison.
   */
  pushLeaf(name: string, text: string): void {
    const last = this.#lastLeaf.get(name);
    if (text.length === 0 || last?.text === text) return;
    const seen = last !== undefined;
    // One that is another in every event may be a text in pieces.
    const before = last === undefined ? '' : (last.tail + last.text).slice(-CANARY_HOLD_CHARS_MAX);
    if (this.#lastLeaf.size >= LEAVES_REMEMBERED_MAX) this.#lastLeaf.clear();
    this.#lastLeaf.set(name, { text, tail: before });
    if (!seen) {
      this.#options.receipt.seen++;
      this.#options.receipt.scanned++;
    }
    this.#leaves ??= this.#open(() => this.#leafName, 'meta', true);
    this.#leafName = name;
    this.#read += text.length;
    // All leaves share one channel, which costs more to make than most leaves to read; nothing matches across the break.
    this.#leaves.push(before + text + LEAF_BREAK);
  }

  /**
   * Judges one complete tool call that came as data against `policy.tools`. Any violation blocks, whatever
   * `output.toolConstraints.action` says: without the call the turn would announce one that is not there.
   */
  judgeCall(call: ProxiedCall): void {
    this.#timed(() => this.#tools?.judgeCall(call));
  }

  /** Characters of the channel, from its start, that may be released. */
  safeEnd(name: string): number {
    const channel = this.#channels.get(name);
    if (channel !== undefined) return channel.safeEnd;
    // Beyond the bound on channels nothing is read, so under `open` nothing is held either.
    return this.#overflown ? Number.POSITIVE_INFINITY : 0;
  }

  /** Characters of all channels that wait for what comes next. */
  get heldChars(): number {
    let held = 0;
    for (const channel of this.#channels.values()) held += channel.length - channel.safeEnd;
    return held;
  }

  /** Characters of the channel that were read so far. */
  length(name: string): number {
    return this.#channels.get(name)?.length ?? 0;
  }

  /** What to release for `[from, to)` of a channel, or null when it leaves as it came. Ranges must not go back. */
  rewrite(name: string, from: number, to: number, text: string): string | null {
    return this.#channels.get(name)?.rewrite(from, to, text) ?? null;
  }

  /** Nothing more may be released. */
  get blocked(): boolean {
    return this.#action === 'block';
  }

  /**
   * The channel seems complete: nothing of it is held any longer. What is pushed nevertheless is read both as its
   * continuation and as another text; what began in released text and turns out to be a leak, a call against the
   * policy or a control token (unless those are only observed) blocks.
   */
  flushChannel(name: string): void {
    this.#channels.get(name)?.flush();
  }

  /** Decides. Calling it again returns the same. */
  end(): OutputVerdict {
    if (!this.#ended) {
      this.#ended = true;
      for (const channel of this.#channels.values()) channel.end();
      this.#leaves?.end();
      Object.assign(this.#options.receipt.scanners, this.#states);
      if (this.#tools !== null) this.#options.receipt.scanners['tool-policy'] = this.#tools.state;
      this.#options.receipt.engineMicros = Math.round(this.#options.receipt.engineMicros);
    }
    return {
      action: this.#action,
      unavailable: this.#unavailable,
      canaryHits: this.#hits,
      controlTokens: [...this.#tokens.values()],
      foreignCanary: this.#foreign,
      toolViolations: this.#tools?.violations ?? [],
      failures: this.#failures,
      receipt: this.#options.receipt,
    };
  }

  /** Of what is `fixed` nothing is rewritten, so a canary in it has no place to be cut. */
  #open(name: () => string, kind: ChannelKind, fixed = false): Channel {
    const { policy, limits, sets, foreign, control } = this.#options;
    const { canary, controlTokens } = policy.output;
    return new Channel({
      kind,
      limits,
      sets: canary.enabled ? sets : [],
      foreign: canary.enabled ? foreign : null,
      control: controlTokens.enabled && kind !== 'meta' ? control : null,
      gate: kind === 'text' ? (this.#tools?.gate(name(), limits.toolCallBytesMax) ?? null) : null,
      rewriteCanary: canary.action === 'sanitize',
      rewriteControl: controlTokens.action === 'sanitize',
      onCanary: (hit) => this.#onCanary(name(), fixed ? { ...hit, start: null, end: null } : hit),
      onPiece: (piece) => this.#onPiece(name(), piece),
      onWindow: () => {
        if (canary.action === 'block') this.#raise('block');
      },
      onForeign: () => {
        this.#foreign = true;
        this.#raise('block');
      },
      onControl: (hit, released) => this.#onControl(hit.family, hit.name, released),
      onExceeded: () => this.#exceeded(name()),
      onFailure: (guard, error) => {
        if (guard === 'tool-policy') {
          this.#tools?.fail(error);
          return;
        }
        const { failureMode } = guard === 'canary' ? canary : controlTokens;
        this.#failures.push({ guard, error });
        this.#unavailable ||= failureMode === 'closed';
        this.#undecided(guard, failureMode);
      },
    });
  }

  #onCanary(where: string, hit: CanaryHit): void {
    const { action } = this.#options.policy.output.canary;
    // Readings of one place report close together; looking at all hits would be quadratic in an answer full of them.
    const known = this.#hits
      .slice(-RECENT_HITS)
      .some(
        (other) =>
          other.where === where &&
          other.tokenId === hit.tokenId &&
          (other.start ?? -1) <= (hit.start ?? -1) &&
          (other.end ?? -1) >= (hit.end ?? -1),
      );
    if (!known) this.#hits.push({ ...hit, where });
    if (action === 'block' || (action === 'sanitize' && hit.start === null)) this.#raise('block');
    else if (action === 'sanitize') this.#raise('sanitize');
  }

  #onPiece(where: string, piece: Parameters<ScatterTracker['add']>[0]): void {
    const tokenId = this.#scatter.add(piece, this.#read);
    if (tokenId !== null) {
      this.#onCanary(where, { tokenId, kind: 'fragment', encoding: 'scattered', start: null, end: null });
    }
  }

  #onControl(family: string, token: string, released: boolean): void {
    const key = `${family} ${token}`;
    const known = this.#tokens.get(key);
    if (known === undefined) this.#tokens.set(key, { family, token, count: 1 });
    else known.count++;
    const { action } = this.#options.policy.output.controlTokens;
    if (action !== 'observe') this.#raise(released ? 'block' : action);
  }

  /** A bound was met, so part of the channel was not read. */
  #exceeded(name: string): void {
    if (this.#exceededNames.has(name)) return;
    this.#exceededNames.add(name);
    this.#options.receipt.skipped.push({ path: name, reason: 'budget' });
    this.#undecided('canary', this.#options.policy.output.canary.failureMode);
  }

  /** A guard that was configured and did not decide: never silent. */
  #undecided(guard: Exclude<OutputGuard, 'tool-policy'>, mode: FailureMode): void {
    this.#states[guard] = mode === 'closed' ? 'failed_closed' : 'failed_open';
    if (mode === 'closed') this.#raise('block');
  }

  #timed(step: () => void): void {
    const started = this.#options.nowMicros();
    step();
    this.#options.receipt.engineMicros += this.#options.nowMicros() - started;
  }

  #raise(action: Action): void {
    this.#action = worst(this.#action, action);
  }
}
