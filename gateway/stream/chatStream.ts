/**
 * Frames of a streamed chat completion through an output session: what may leave leaves at once and as it came, what
 * may still become a match waits, tool calls wait until they are whole. A state machine without I/O.
 *
 * Frames are kept in order and whole. Only when a channel stops in the middle of a possible match while others go on,
 * or the provider pauses, is a frame cut before the possible match; the rest travels with the channel's next text or
 * before its finish.
 */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import type { OutputSession } from '../../engine/stream/session.ts';
import { type AnswerPart, type ChoiceState, readChatAnswer } from '../wire/chatAnswer.ts';
import {
  applySplices,
  JsonError,
  type JsonNode,
  type JsonString,
  parseJson,
  replaceString,
  type Splice,
} from '../wire/json.ts';
import { DONE, stoppedFrames } from './endings.ts';
import { reframe, type SseFrame } from './sse.ts';

export interface ChatStreamLimits {
  readonly jsonDepthMax: number;
  readonly sseHeldBytesMax: number;
  readonly toolCallBytesMax: number;
  readonly outputChannelsMax: number;
}

/** `blocked`: the session decided. `failed`: the provider broke the stream. `held_too_much`: a buffer bound was met. */
export type ChatStreamState = 'open' | 'done' | 'blocked' | 'failed' | 'held_too_much';

interface HeldPiece {
  readonly channel: string;
  readonly leaf: JsonString;
  readonly choice: number;
  readonly kind: ChannelKind;
  /** Text of the channel that was cut from an earlier frame. */
  carried: string;
  /** Range in the channel, carried text included. */
  from: number;
  to: number;
}

interface HeldFrame {
  readonly root: JsonNode;
  readonly raw: Buffer;
  readonly source: string;
  readonly reframed: boolean;
  readonly pieces: HeldPiece[];
  readonly choices: readonly ChoiceState[];
  readonly isError: boolean;
}

/** A cut frame's remaining text, and the frame it was cut from. */
interface Carry {
  readonly frame: HeldFrame;
  readonly piece: HeldPiece;
  readonly text: string;
  readonly from: number;
}

/** Frames per open choice waiting behind a channel that has stopped before its frame is cut. */
const STALLED_FRAMES = 2;

interface Choice {
  finished: boolean;
  /** Text came after a finish. */
  goesOn: boolean;
  readonly openToolCalls: Set<string>;
}

export class ChatStream {
  readonly #session: OutputSession;
  readonly #limits: ChatStreamLimits;
  readonly #queue: HeldFrame[] = [];
  readonly #carries = new Map<string, Carry>();
  /** Choices that have begun, and whether their finish has been released. */
  readonly #choices = new Map<number, Choice>();
  #heldBytes = 0;
  /** Bytes of the text of each tool channel while frames wait. */
  readonly #toolBytes = new Map<string, number>();
  #toolBytesMost = 0;
  #state: ChatStreamState = 'open';
  /** The last chunk that was released: what one that is not says about itself must not be repeated. */
  #last: JsonNode | null = null;
  #out: Buffer[] = [];
  /** A chunk or an error was seen, so the provider did speak the protocol. */
  #spoke = false;
  /** The first thing the provider said is an error, which is then no answer at all. */
  startsWithError = false;
  /** The provider ended its answer with an error, which is relayed. */
  endedInError = false;

  constructor(session: OutputSession, limits: ChatStreamLimits) {
    this.#session = session;
    this.#limits = limits;
  }

  get state(): ChatStreamState {
    return this.#state;
  }

  /** Bytes that may leave now, in order. */
  take(): Buffer[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** True while frames wait. */
  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  /** The provider pauses: releases of the waiting text everything that can no longer become a match. */
  onPause(): void {
    while (this.#state === 'open' && this.#cut('pause')) this.#release();
  }

  /** Reads one frame of the provider. Frames after the end are dropped. */
  onFrame(frame: SseFrame): void {
    if (this.#state !== 'open') return;
    if (frame.data === null || frame.data.trim() === '') return;
    if (frame.data.trim() === '[DONE]') {
      this.#finish(true);
      return;
    }
    const parsed = this.#parse(frame);
    if (parsed === null) {
      this.#state = 'failed';
      return;
    }
    this.startsWithError ||= !this.#spoke && parsed.part.isError;
    this.#spoke = true;
    this.#read(frame, parsed);
    if (this.#state !== 'open') return;
    if (this.#session.blocked) this.#state = 'blocked';
    else if (parsed.part.isError) {
      this.endedInError = true;
      this.#finish(true);
    } else this.#release();
  }

  /** The provider closed the stream. Without a finish for every choice it is a broken answer, not a short one. */
  onEnd(): void {
    if (this.#state === 'open') this.#finish(false);
  }

  /** What tells the client that the answer was stopped; see `stoppedFrames`. */
  blockFrames(errorBody: string, error: boolean): Buffer[] {
    const open = [...this.#choices].filter(([, choice]) => !choice.finished).map(([index]) => index);
    return stoppedFrames({
      like: this.#last,
      choices: open.length === 0 ? [0] : open,
      errorBody: error ? errorBody : null,
    });
  }

  #parse(frame: SseFrame): { root: JsonNode; part: AnswerPart } | null {
    try {
      const root = parseJson(frame.data as string, this.#limits.jsonDepthMax);
      const part = readChatAnswer(root);
      return part === null ? null : { root, part };
    } catch (error) {
      if (error instanceof JsonError) return null;
      throw error;
    }
  }

  #read(frame: SseFrame, { root, part }: { root: JsonNode; part: AnswerPart }): void {
    const session = this.#session;
    for (const leaf of part.leaves) session.pushLeaf(leaf.name, leaf.text);
    const pieces = part.pieces.map((piece): HeldPiece => {
      const { channel } = piece;
      const choice = this.#choice(piece.choice);
      choice.goesOn ||= choice.finished;
      const from = session.length(channel);
      session.push(channel, piece.kind, piece.leaf.value);
      if (piece.kind === 'tool') this.#countTool(channel, piece.leaf.value);
      const carry = this.#carries.get(channel);
      this.#carries.delete(channel);
      return {
        channel,
        leaf: piece.leaf,
        choice: piece.choice,
        kind: piece.kind,
        carried: carry?.text ?? '',
        from: carry?.from ?? from,
        to: from + piece.leaf.value.length,
      };
    });
    for (const choice of part.choices) this.#readChoice(choice);
    const held: HeldFrame = {
      root,
      raw: frame.raw,
      source: frame.data as string,
      reframed: frame.needsReframing || frame.hasComment,
      pieces,
      choices: part.choices,
      isError: part.isError,
    };
    this.#queue.push(held);
    this.#heldBytes += frame.raw.length;
  }

  #countTool(channel: string, text: string): void {
    const bytes = (this.#toolBytes.get(channel) ?? 0) + Buffer.byteLength(text, 'utf8');
    this.#toolBytes.set(channel, bytes);
    this.#toolBytesMost = Math.max(this.#toolBytesMost, bytes);
  }

  #choice(index: number): Choice {
    let choice = this.#choices.get(index);
    if (choice === undefined) {
      if (this.#choices.size >= this.#limits.outputChannelsMax) this.#state = 'held_too_much';
      choice = { finished: false, goesOn: false, openToolCalls: new Set() };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  #readChoice({ index, finished, toolCalls }: ChoiceState): void {
    const choice = this.#choice(index);
    // A call is whole when its choice finishes: until then its arguments may go on.
    for (const call of toolCalls) choice.openToolCalls.add(call);
    if (!finished) return;
    choice.finished = true;
    // Some providers name a reason in every chunk: once text has come after a finish, only the end of all is one.
    if (choice.goesOn) return;
    this.#session.flushChannels(`${index}/`);
    choice.openToolCalls.clear();
  }

  #release(): void {
    // Taken off at once: frame by frame would be quadratic for a long tool call.
    let leaving = 0;
    while (leaving < this.#queue.length && this.#mayLeave(this.#queue[leaving] as HeldFrame)) leaving++;
    for (const frame of this.#queue.splice(0, leaving)) {
      this.#heldBytes -= frame.raw.length;
      this.#flushBefore(frame);
      this.#out.push(this.#render(frame));
      if (!frame.isError) this.#last = frame.root;
    }
    if (this.#queue.length === 0) {
      this.#toolBytes.clear();
      this.#toolBytesMost = 0;
    }
    const { sseHeldBytesMax, toolCallBytesMax } = this.#limits;
    if (this.#heldBytes > sseHeldBytesMax || this.#toolBytesMost > toolCallBytesMax) this.#state = 'held_too_much';
    else if (this.#queue.length > STALLED_FRAMES && this.#isStalled() && this.#cut('stalled')) this.#release();
  }

  /** With several choices in turn, the next piece of each is that many frames away. */
  #isStalled(): boolean {
    let open = 0;
    for (const choice of this.#choices.values()) if (!choice.finished) open++;
    return this.#queue.length > STALLED_FRAMES * Math.max(1, open);
  }

  #mayLeave(frame: HeldFrame): boolean {
    return !this.#inOpenCall(frame) && frame.pieces.every((piece) => piece.to <= this.#session.safeEnd(piece.channel));
  }

  #inOpenCall(frame: HeldFrame): boolean {
    return frame.choices.some(({ index, toolCalls }) => {
      const open = this.#choices.get(index)?.openToolCalls;
      return toolCalls.some((call) => open?.has(call));
    });
  }

  /**
   * Cuts the first frame before what may still become a match; the rest of its text goes on with the channel.
   * `stalled` cuts only for channels that have gone quiet, so that others can go on; otherwise something has to be
   * gained by it. False when the frame stays whole.
   */
  #cut(reason: 'stalled' | 'pause'): boolean {
    const [frame] = this.#queue;
    if (frame === undefined || this.#inOpenCall(frame)) return false;
    const later = this.#queue.slice(1);
    const held = frame.pieces
      .map((piece) => ({ piece, safe: Math.max(piece.from, this.#session.safeEnd(piece.channel)) }))
      .filter(({ piece, safe }) => piece.to > safe);
    if (held.length === 0 || held.some(({ piece }) => piece.kind !== 'text')) return false;
    const heirs = held.map(({ piece }) => pieceOf(later, piece.channel));
    if (
      reason === 'stalled' ? heirs.some((heir) => heir !== null) : held.every(({ piece, safe }) => safe === piece.from)
    ) {
      return false;
    }
    held.forEach(({ piece, safe }, index) => {
      const text = (piece.carried + piece.leaf.value).slice(safe - piece.from);
      const heir = heirs[index] ?? null;
      if (heir === null) this.#carries.set(piece.channel, { frame, piece: { ...piece }, text, from: safe });
      else {
        heir.carried = text + heir.carried;
        heir.from = safe;
      }
      piece.to = safe;
    });
    return true;
  }

  /** Text that was cut and never continued goes out before its choice, or the whole answer, ends. */
  #flushCarries(ends: (choice: number) => boolean): void {
    const flushed = new Map<HeldFrame, Splice[]>();
    for (const [channel, carry] of this.#carries) {
      if (!ends(carry.piece.choice)) continue;
      this.#carries.delete(channel);
      const to = carry.from + carry.text.length;
      const text = this.#session.rewrite(channel, carry.from, to, carry.text) ?? carry.text;
      const splices = flushed.get(carry.frame) ?? [];
      flushed.set(carry.frame, [...splices, replaceString(carry.piece.leaf, text)]);
    }
    for (const [frame, splices] of flushed) {
      const kept = new Set(splices.map(({ start }) => start));
      const emptied = frame.pieces
        .filter(({ leaf }) => !kept.has(leaf.start))
        .map(({ leaf }) => replaceString(leaf, ''));
      this.#out.push(reframe(applySplices(frame.source, [...splices, ...emptied])));
    }
  }

  #flushBefore(frame: HeldFrame): void {
    if (this.#carries.size === 0) return;
    const finished = frame.choices.filter((choice) => choice.finished).map((choice) => choice.index);
    this.#flushCarries((choice) => frame.isError || finished.includes(choice));
  }

  #render(frame: HeldFrame): Buffer {
    const splices: Splice[] = [];
    for (const piece of frame.pieces) {
      const whole = piece.carried + piece.leaf.value;
      const text = whole.slice(0, piece.to - piece.from);
      const rewritten = this.#session.rewrite(piece.channel, piece.from, piece.to, text);
      if (rewritten !== null) splices.push(...this.#dropLogprobs(frame, piece.choice));
      if (rewritten !== null || text !== piece.leaf.value) splices.push(replaceString(piece.leaf, rewritten ?? text));
    }
    if (splices.length > 0) return reframe(applySplices(frame.source, unique(splices)));
    return frame.reframed ? reframe(frame.source) : frame.raw;
  }

  /** Log-probabilities spell what was rewritten. */
  #dropLogprobs(frame: HeldFrame, choice: number): Splice[] {
    const node = frame.choices.find(({ index }) => index === choice)?.logprobs;
    return node === null || node === undefined ? [] : [{ start: node.start, end: node.end, text: 'null' }];
  }

  #finish(explicit: boolean): void {
    const complete = [...this.#choices.values()].every((choice) => choice.finished);
    if (!this.#spoke || (!explicit && !complete)) {
      this.#state = 'failed';
      return;
    }
    const verdict = this.#session.end();
    if (verdict.action === 'block') {
      this.#state = 'blocked';
      return;
    }
    // Half a tool call that ends in an error must not look like one to run.
    const broken = this.#queue.some((frame) => frame.isError);
    for (const frame of this.#queue.splice(0)) {
      if (broken && this.#inOpenCall(frame)) continue;
      this.#flushBefore(frame);
      this.#out.push(this.#render(frame));
      if (!frame.isError) this.#last = frame.root;
    }
    this.#flushCarries(() => true);
    this.#out.push(DONE);
    this.#state = 'done';
  }
}

/** Two rewritten pieces of one choice drop the same log-probabilities. */
function unique(splices: readonly Splice[]): Splice[] {
  return splices.filter((splice, index) => splices.findIndex((other) => other.start === splice.start) === index);
}

/** The first piece of a channel in frames that wait. */
function pieceOf(frames: readonly HeldFrame[], channel: string): HeldPiece | null {
  for (const frame of frames) {
    const piece = frame.pieces.find((candidate) => candidate.channel === channel);
    if (piece !== undefined) return piece;
  }
  return null;
}
