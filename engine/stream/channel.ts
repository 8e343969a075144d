/** One text channel of an answer: the guards that read it, what they want changed, and how far it may be released. */
import type { Limits } from '../../config/schema.ts';
import type { NeedleSet } from '../canary/compile.ts';
import { ForeignStream, type ForeignWindows } from '../canary/foreign.ts';
import type { LanePiece } from '../canary/lane.ts';
import { holdsCanary } from '../canary/scan.ts';
import { type CanaryHit, CanaryStream } from '../canary/stream.ts';
import { escapeControlToken } from '../control/escape.ts';
import { escapeJsonToken } from '../control/jsonEscapes.ts';
import type { ControlHit, ControlStream, ControlTokens } from '../control/matcher.ts';
import { isActive } from '../control/tiers.ts';
import type { TextGate } from '../tools/gate.ts';
import type { Edit } from '../types.ts';
import { LateStage } from './late.ts';
import type { OutputGuard } from './session.ts';

/**
 * `text` and `tool` are shown or run, so control tokens are rewritten in them, in `tool` also behind JSON escapes;
 * `meta` is only read for canaries.
 */
export type ChannelKind = 'text' | 'tool' | 'meta';

/** What stands where a canary was cut. */
export const REDACTED = '[redacted]';

const NO_PAIRS: ReadonlySet<string> = new Set();
const NONE: ReadonlySet<number> = new Set();

export interface ChannelOptions {
  readonly kind: ChannelKind;
  readonly limits: Limits;
  readonly sets: readonly NeedleSet[];
  readonly foreign: ForeignWindows | null;
  readonly control: ControlTokens | null;
  /** Holds tool calls that stand in the text; null where none are judged. */
  readonly gate: TextGate | null;
  readonly rewriteCanary: boolean;
  readonly rewriteControl: boolean;
  readonly onCanary: (hit: CanaryHit) => void;
  readonly onPiece: (piece: LanePiece) => void;
  /** A window is complete; the hit itself is reported when it stops growing. */
  readonly onWindow: () => void;
  readonly onForeign: () => void;
  /** `released`: its beginning has left already, so it cannot be rewritten. */
  readonly onControl: (hit: ControlHit, released: boolean) => void;
  readonly onExceeded: () => void;
  readonly onFailure: (guard: OutputGuard, error: unknown) => void;
}

export class Channel {
  readonly #options: ChannelOptions;
  #canary: CanaryStream | null;
  #control: ControlStream | null;
  readonly #foreign: ForeignStream | null;
  readonly #late: LateStage | null;
  #gate: TextGate | null;
  /** Raw text from `#tailStart` on: what edits may still need. */
  #tail = '';
  #tailStart = 0;
  /** Raw text before the tail that only the gate still holds. */
  #waiting = '';
  #edits: Edit[] = [];
  /** Edits before this are behind what was rewritten. */
  #edited = 0;
  #ended = false;
  /** What came before the last flush is released. */
  #flushed = 0;
  /** Where control tokens begin that a flush found complete though they may go on. */
  #flushedTokens: ReadonlySet<number> = NONE;
  length = 0;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const rawHoldMax = options.limits.holdRawCharsMax;
    const guarded = options.sets.some((set) => set.tokens.length > 0);
    this.#canary = guarded
      ? new CanaryStream({
          sets: options.sets,
          rawHoldMax,
          onHit: (hit) => this.#onCanary(hit),
          onPiece: options.onPiece,
        })
      : null;
    this.#control =
      (options.kind === 'tool' ? options.control?.openEscaped(rawHoldMax) : options.control?.open(rawHoldMax)) ?? null;
    this.#gate = options.gate;
    this.#foreign = options.foreign === null ? null : new ForeignStream(options.foreign);
    this.#late = guarded
      ? new LateStage({ limits: options.limits, scan: (text) => holdsCanary(options.sets, text, rawHoldMax) })
      : null;
  }

  push(delta: string): void {
    this.length += delta.length;
    this.#tail += delta;
    this.#run((step) => step.push(delta));
    this.#runGate((gate) => gate.push(delta));
    if (this.#canary?.hasOpenHit) this.#options.onWindow();
    if (this.#foreign !== null) {
      this.#foreign.push(delta);
      if (this.#foreign.hit) this.#options.onForeign();
    }
    this.#trim();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#run((step) => step.end());
    this.#runGate((gate) => gate.flush());
    this.#trim();
    this.#runLate((late) => late.end());
  }

  /**
   * Releases what is held, because the text seems complete. The guards read on where they are: what follows
   * nevertheless may complete what began in released text, which then blocks.
   */
  flush(): void {
    if (this.#ended || this.length === this.#flushed) return;
    const tokens = new Set(this.#flushedTokens);
    this.#run((step) => step.flush(), tokens);
    this.#runGate((gate) => gate.flush());
    this.#flushed = this.length;
    const open = this.#control?.safeEnd ?? this.length;
    for (const start of tokens) if (start < open) tokens.delete(start);
    this.#flushedTokens = tokens;
    this.#trim();
  }

  get safeEnd(): number {
    if (this.#ended) return this.length;
    return Math.min(this.#readEnd, this.#gate?.safeEnd ?? this.length);
  }

  /** Up to here the guards of single tokens are through, and nothing is edited any more. */
  get #readEnd(): number {
    if (this.#ended) return this.length;
    const control = this.#control?.safeEnd ?? this.length;
    return Math.min(this.#canary?.safeEnd ?? this.length, Math.max(this.#flushed, control));
  }

  /** `text` is `[from, to)` of the channel. Null when nothing in it changes. */
  rewrite(from: number, to: number, text: string): string | null {
    const edits: Edit[] = [];
    // In order and disjoint, so what a piece does not touch is not looked at: there may be as many as were held.
    for (let at = this.#edited; at < this.#edits.length; at++) {
      const edit = this.#edits[at] as Edit;
      if (edit.start >= to) break;
      if (edit.end > from) edits.push(edit);
      if (edit.end <= to) this.#edited = at + 1;
    }
    if (this.#edited === this.#edits.length) {
      this.#edits = [];
      this.#edited = 0;
    }
    return edits.length === 0 ? null : edited(text, from, edits);
  }

  /** One failing guard must not take the other with it, nor pass unseen. Adds to `tokens` where active ones begin. */
  #run(step: (reader: CanaryStream | ControlStream) => void, tokens?: Set<number>): void {
    try {
      if (this.#canary !== null) step(this.#canary);
    } catch (error) {
      this.#canary = null;
      this.#options.onFailure('canary', error);
    }
    try {
      if (this.#control !== null) {
        step(this.#control);
        for (const hit of this.#control.takeHits()) {
          if (this.#onControl(hit)) tokens?.add(hit.start);
        }
      }
    } catch (error) {
      this.#control = null;
      this.#options.onFailure('control-tokens', error);
    }
  }

  #runGate(step: (gate: TextGate) => void): void {
    if (this.#gate === null) return;
    try {
      step(this.#gate);
    } catch (error) {
      this.#gate = null;
      this.#options.onFailure('tool-policy', error);
    }
  }

  #runLate(step: (late: LateStage) => void): void {
    if (this.#late === null || this.#canary === null) return;
    const { found, exceeded } = this.#late;
    try {
      step(this.#late);
    } catch (error) {
      this.#canary = null;
      this.#options.onFailure('canary', error);
      return;
    }
    if (this.#late.found && !found) {
      this.#options.onCanary({ tokenId: '', kind: 'fragment', encoding: 'decoded', start: null, end: null });
    }
    if (this.#late.exceeded && !exceeded) this.#options.onExceeded();
  }

  #onCanary(hit: CanaryHit): void {
    if (this.#options.rewriteCanary && hit.start !== null && hit.end !== null) {
      this.#addEdit({ start: hit.start, end: hit.end, text: REDACTED });
    }
    this.#options.onCanary(hit);
  }

  /** False for one that stays as it is. */
  #onControl(hit: ControlHit): boolean {
    if (!isActive(hit, { provenance: 'output', inCodeFence: false, pairedNames: NO_PAIRS })) return false;
    // Its bracket was rewritten before it left.
    if (this.#flushedTokens.has(hit.start)) return true;
    const released = hit.start < this.#flushed;
    if (this.#options.rewriteControl && !released) {
      const raw = this.#tail.slice(hit.start - this.#tailStart, hit.end - this.#tailStart);
      const text = this.#options.kind === 'tool' ? escapeJsonToken(raw) : escapeControlToken(raw);
      this.#addEdit({ start: hit.start, end: hit.end, text });
    }
    this.#options.onControl(hit, released);
    return true;
  }

  /** Edits stay sorted and disjoint; where two overlap, the redaction of a canary wins. */
  #addEdit(edit: Edit): void {
    const last = this.#edits[this.#edits.length - 1];
    // The usual case; anything dearer per edit is quadratic in an answer full of tokens.
    if (last === undefined || last.end <= edit.start) {
      this.#edits.push(edit);
      return;
    }
    this.#edits = this.#edits.slice(this.#edited);
    this.#edited = 0;
    const overlapping = this.#edits.filter((other) => other.start < edit.end && other.end > edit.start);
    const merged =
      overlapping.length === 0
        ? edit
        : {
            start: Math.min(edit.start, ...overlapping.map((other) => other.start)),
            end: Math.max(edit.end, ...overlapping.map((other) => other.end)),
            text: [edit, ...overlapping].some((other) => other.text === REDACTED) ? REDACTED : edit.text,
          };
    this.#edits = [...this.#edits.filter((other) => !overlapping.includes(other)), merged].sort(
      (a, b) => a.start - b.start,
    );
  }

  #trim(): void {
    const ready = this.#readEnd - this.#tailStart;
    if (ready > 0) {
      this.#waiting += this.#tail.slice(0, ready);
      this.#tail = this.#tail.slice(ready);
      this.#tailStart += ready;
    }
    const from = this.#tailStart - this.#waiting.length;
    const keep = this.safeEnd;
    if (keep <= from) return;
    const released = this.#waiting.slice(0, keep - from);
    this.#waiting = this.#waiting.slice(keep - from);
    // The second stage reads what is released, so that what was cut already is not found once more.
    const edits = this.#edits.filter((edit) => edit.start < keep && edit.end > from);
    this.#runLate((late) => late.push(edits.length === 0 ? released : edited(released, from, edits)));
  }
}

/** Applies edits, in order, to a text that stands at `from`; of one that began before it only the rest is cut. */
function edited(text: string, from: number, edits: readonly Edit[]): string {
  const to = from + text.length;
  let result = '';
  let at = from;
  for (const edit of edits) {
    if (edit.start >= from) result += text.slice(at - from, edit.start - from) + edit.text;
    at = Math.min(to, edit.end);
  }
  return result + text.slice(at - from);
}
