/**
 * Frames of a streamed answer through an output session: what may leave leaves at once and as it came, what may still
 * become a match waits, tool calls wait until they are whole. A state machine without I/O, the same for every format.
 *
 * Frames are kept in order and whole. Only when a channel stops in the middle of a possible match while others go on,
 * or the provider pauses, is a frame cut before the possible match; the rest travels with the channel's next text or
 * before its finish.
 */
import type { OutputSession } from '../../engine/stream/session.ts';
import type { GatewayError } from '../errors.ts';
import { type AnswerPart, type GroupState, mergeUsage, type Piece, type Usage } from '../wire/answer.ts';
import { JsonError, type JsonNode, parseJson, type Splice, stringMember } from '../wire/json.ts';
import { type CutReason, planCut } from './cut.ts';
import type { StreamDialect } from './dialect.ts';
import { type EchoFormat, restoreEchoes } from './echoes.ts';
import { type Carry, type HeldFrame, type HeldPiece, heldGroup, renderCarries, renderFrame } from './heldFrame.ts';
import { reframe, type SseFrame } from './sse.ts';
import { ToolCalls } from './toolCalls.ts';

export interface StreamLimits {
  readonly jsonDepthMax: number;
  readonly sseHeldBytesMax: number;
  readonly toolCallBytesMax: number;
  readonly outputChannelsMax: number;
}

/** `blocked`: the session decided. `failed`: the provider broke the stream. `held_too_much`: a buffer bound was met. */
export type GuardedStreamState = 'open' | 'done' | 'blocked' | 'failed' | 'held_too_much';

/** What a waiting frame costs beside its bytes. */
const FRAME_BYTES = 512;

/**
 * Frames per open group waiting behind a channel that has stopped before its frame is cut, however fast they came. Time
 * cuts it sooner; what is here in less than that leaves as it came.
 */
const STALLED_FRAMES = 32;

interface Group {
  /** Channels that go on. */
  readonly channels: Set<string>;
  finished: boolean;
  /** Text came after a finish. */
  goesOn: boolean;
}

/** The part of a surface that a stream needs. */
export interface StreamFormat extends EchoFormat {
  readonly dialect: StreamDialect;
  /** Looks at the first event and at the one that ends the answer. */
  readonly onBorder: ((root: JsonNode) => void) | null;
}

export class GuardedStream {
  readonly #session: OutputSession;
  readonly #limits: StreamLimits;
  readonly #dialect: StreamDialect;
  readonly #format: StreamFormat;
  readonly #queue: HeldFrame[] = [];
  readonly #carries = new Map<string, Carry>();
  /** Groups that have begun. */
  readonly #groups = new Map<number, Group>();
  /** Groups of which something was released and not yet their end. */
  readonly #releasedGroups = new Set<number>();
  readonly #calls: ToolCalls;
  #heldBytes = 0;
  /** Frames that have left. What goes up while frames wait is that another one is in front. */
  released = 0;
  #state: GuardedStreamState = 'open';
  /** What the first and the last released events say about themselves; one that is held must not be repeated. */
  #first: string | null = null;
  #last: string | null = null;
  #openGroups = 0;
  #out: Buffer[] = [];
  /** An event was seen, so the provider did speak the protocol. */
  #spoke = false;
  #ended = false;
  /** The first thing the provider said is an error, which is then no answer at all. */
  startsWithError = false;
  /** The provider ended its answer with an error, which is relayed. */
  endedInError = false;
  /** What the provider counted so far. */
  usage: Usage | null = null;
  /** Characters of text and tool calls that the provider sent. */
  chars = 0;

  constructor(session: OutputSession, format: StreamFormat, limits: StreamLimits) {
    this.#session = session;
    this.#dialect = format.dialect;
    this.#format = format;
    this.#limits = limits;
    this.#calls = new ToolCalls(session, limits.outputChannelsMax);
  }

  get state(): GuardedStreamState {
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

  /** The frame in front has waited for long: cuts it if the channel it waits for has gone quiet while others go on. */
  onStall(): void {
    // Alone it waits for nobody but itself, and what comes to the front now has not waited yet.
    if (this.#state === 'open' && this.#queue.length > 1 && this.#cut('stalled')) this.#release();
  }

  /** Reads one frame of the provider. Frames after the end are dropped. */
  onFrame(frame: SseFrame): void {
    if (this.#state !== 'open') return;
    if (frame.data === null || frame.data.trim() === '') return;
    if (frame.data.trim() === this.#dialect.doneMark) {
      this.#finish(true);
      return;
    }
    const parsed = this.#parse(frame.data);
    if (parsed === null) {
      this.#state = 'failed';
      return;
    }
    const { part } = parsed;
    this.startsWithError ||= !this.#spoke && part.isError;
    if (!this.#spoke || part.ends) this.#format.onBorder?.(parsed.root);
    this.#spoke = true;
    this.#read(frame, parsed);
    if (this.#state !== 'open') return;
    if (this.#session.blocked) this.#state = 'blocked';
    else if (part.isError || part.ends) {
      this.endedInError = part.isError;
      this.#ended = part.ends;
      this.#finish(true);
    } else this.#release();
  }

  /** The provider closed the stream. Without its end it is a broken answer, not a short one. */
  onEnd(): void {
    if (this.#state === 'open') this.#finish(false);
  }

  /** What tells the client that the answer was stopped. */
  stopFrames(error: GatewayError, how: 'error' | 'finish'): readonly Buffer[] {
    const stream = this.#stopped(error);
    return how === 'error' ? this.#dialect.stopped(stream) : this.#dialect.finished(stream);
  }

  /** What tells the client that the provider broke the answer. */
  failFrames(error: GatewayError): readonly Buffer[] {
    return this.#dialect.failed(this.#stopped(error));
  }

  #stopped(error: GatewayError) {
    // Read once more, since the trees of frames would take many times their bytes while they wait.
    const read = (source: string | null): JsonNode | null =>
      source === null ? null : parseJson(source, this.#limits.jsonDepthMax);
    return { first: read(this.#first), last: read(this.#last), openGroups: [...this.#releasedGroups], error };
  }

  #parse(data: string): { root: JsonNode; part: AnswerPart } | null {
    try {
      const root = parseJson(data, this.#limits.jsonDepthMax);
      const part = this.#dialect.read(root);
      return part === null ? null : { root, part };
    } catch (error) {
      if (error instanceof JsonError) return null;
      throw error;
    }
  }

  #read(frame: SseFrame, { root, part }: { root: JsonNode; part: AnswerPart }): void {
    const session = this.#session;
    for (const leaf of part.leaves) session.pushLeaf(leaf.name, leaf.text);
    const splices = part.echoes.length === 0 ? NO_SPLICES : restoreEchoes(session, part.echoes, this.#format);
    const pieces: HeldPiece[] = [];
    for (const piece of part.pieces) {
      // Nothing more of it will leave, so nothing more has to be read.
      if (session.blocked || this.#state !== 'open') return;
      pieces.push(this.#readPiece(piece));
    }
    this.#calls.read(part.calls);
    for (const channel of part.closes) session.flushChannel(channel);
    for (const group of part.groups) this.#readGroup(group);
    this.#calls.judgeWhole(part.calls);
    if (this.#calls.tooMany) this.#state = 'held_too_much';
    if (part.usage !== null) this.usage = mergeUsage(this.usage, part.usage);
    const event = this.#eventOf(frame, root, part.isError);
    // Written out, since spreading objects costs more than all else that is done with a frame.
    this.#queue.push({
      raw: frame.raw,
      source: frame.data as string,
      event,
      reframed: frame.hasComment || (frame.needsReframing && !(frame.named && event !== null && event === frame.event)),
      isDelta: this.#dialect.isDelta(root),
      pieces,
      groups: part.groups.map(heldGroup),
      closes: part.closes,
      splices,
      isError: part.isError,
    });
    this.#heldBytes += frame.raw.length + FRAME_BYTES;
  }

  #readPiece({ channel, group: index, kind, leaf, whole = false }: Piece): HeldPiece {
    const session = this.#session;
    const group = this.#group(index);
    group.goesOn ||= group.finished;
    const from = session.length(channel);
    session.push(channel, kind, leaf.value);
    if (whole) session.flushChannel(channel);
    else {
      group.channels.add(channel);
      this.chars += leaf.value.length;
    }
    if (kind === 'tool') this.#calls.count(channel, leaf.value);
    const carry = this.#carries.get(channel);
    this.#carries.delete(channel);
    return {
      channel,
      leaf,
      group: index,
      kind,
      whole,
      carried: carry?.text ?? '',
      from: carry?.from ?? from,
      to: from + leaf.value.length,
    };
  }

  /** The name decides how clients read an event where events are named; only the one that was inspected may be there. */
  #eventOf(frame: SseFrame, root: JsonNode, isError: boolean): string | null {
    if (!this.#dialect.namedEvents || frame.event === null) return null;
    const type = stringMember(root, 'type') ?? (isError ? 'error' : null);
    return type !== null && EVENT_NAME.test(type) ? type : null;
  }

  #group(index: number): Group {
    let group = this.#groups.get(index);
    if (group === undefined) {
      if (this.#groups.size >= this.#limits.outputChannelsMax) this.#state = 'held_too_much';
      group = { channels: new Set(), finished: false, goesOn: false };
      this.#openGroups++;
      this.#groups.set(index, group);
    }
    return group;
  }

  #readGroup({ index, finished, toolCalls }: GroupState): void {
    const group = this.#group(index);
    // A call is whole when its group finishes: until then its arguments may go on.
    for (const call of toolCalls) this.#calls.open(call, index);
    if (!finished) return;
    if (!group.finished) this.#openGroups--;
    group.finished = true;
    // Some providers name a reason in every chunk: once text has come after a finish, only the end of all is one.
    if (group.goesOn) return;
    for (const channel of group.channels) this.#session.flushChannel(channel);
    group.channels.clear();
    this.#calls.close(index);
  }

  #release(): void {
    // Taken off at once: frame by frame would be quadratic for a long tool call.
    let leaving = 0;
    while (leaving < this.#queue.length && this.#mayLeave(this.#queue[leaving] as HeldFrame)) leaving++;
    for (const frame of this.#queue.splice(0, leaving)) this.#emit(frame);
    if (this.#session.blocked) {
      this.#state = 'blocked';
      return;
    }
    if (this.#queue.length === 0) this.#calls.resetCount();
    const { sseHeldBytesMax, toolCallBytesMax } = this.#limits;
    if (this.#heldBytes > sseHeldBytesMax || this.#calls.bytesMost > toolCallBytesMax) this.#state = 'held_too_much';
    else if (this.#queue.length > STALLED_FRAMES && this.#isStalled() && this.#cut('stalled')) this.#release();
  }

  /** With several groups in turn, the next piece of each is that many frames away. */
  #isStalled(): boolean {
    return this.#queue.length > STALLED_FRAMES * Math.max(1, this.#openGroups);
  }

  #mayLeave(frame: HeldFrame): boolean {
    return !this.#inOpenCall(frame) && frame.pieces.every((piece) => piece.to <= this.#session.safeEnd(piece.channel));
  }

  #inOpenCall(frame: HeldFrame): boolean {
    return frame.groups.some(({ toolCalls }) => toolCalls.some((call) => this.#calls.isOpen(call)));
  }

  #emit(frame: HeldFrame): void {
    this.released++;
    this.#heldBytes -= frame.raw.length + FRAME_BYTES;
    this.#flushBefore(frame);
    this.#out.push(renderFrame(this.#session, frame));
    for (const { index, finished } of frame.groups) {
      if (finished) this.#releasedGroups.delete(index);
      else this.#releasedGroups.add(index);
    }
    if (frame.isError) return;
    this.#first ??= frame.source;
    this.#last = frame.source;
  }

  /** Cuts the first frame before what may still become a match. False when it stays whole. */
  #cut(reason: CutReason): boolean {
    const [frame] = this.#queue;
    if (frame === undefined || this.#inOpenCall(frame)) return false;
    const cuts = planCut(this.#queue, (channel) => this.#session.safeEnd(channel), reason);
    if (cuts === null) return false;
    for (const { piece, safe, heir } of cuts) {
      const text = (piece.carried + piece.leaf.value).slice(safe - piece.from);
      if (heir === null) this.#carries.set(piece.channel, { frame, piece: { ...piece }, text, from: safe });
      else {
        heir.carried = text + heir.carried;
        heir.from = safe;
      }
      piece.to = safe;
    }
    return true;
  }

  /** Text that was cut and never continued goes out before its channel, its group, or the whole answer ends. */
  #flushCarries(ends: (channel: string, group: number) => boolean): void {
    const ending = [...this.#carries].filter(([channel, { piece }]) => ends(channel, piece.group));
    for (const [channel] of ending) this.#carries.delete(channel);
    this.#out.push(...renderCarries(this.#session, ending));
  }

  #flushBefore(frame: HeldFrame): void {
    if (this.#carries.size === 0) return;
    const finished = frame.groups.filter((group) => group.finished).map((group) => group.index);
    this.#flushCarries((channel, group) => frame.isError || finished.includes(group) || frame.closes.includes(channel));
  }

  #finish(explicit: boolean): void {
    const groupsDone = [...this.#groups.values()].every((group) => group.finished);
    const complete = this.#ended || this.endedInError || (this.#dialect.endsWithGroups && (explicit || groupsDone));
    if (!this.#spoke || !complete) {
      this.#state = 'failed';
      return;
    }
    // Half a tool call that ends in an error must not look like one to run.
    const broken = this.#queue.some((frame) => frame.isError);
    const unsaid = broken && this.#queue.some((frame) => frame.isError && this.#inOpenCall(frame));
    if (!broken) this.#calls.closeAll();
    const verdict = this.#session.end();
    if (verdict.action === 'block') {
      this.#state = 'blocked';
      return;
    }
    for (const frame of this.#queue.splice(0)) if (!broken || !this.#inOpenCall(frame)) this.#emit(frame);
    this.#flushCarries(() => true);
    if (unsaid) {
      this.#state = 'failed';
      return;
    }
    if (this.#dialect.doneMark !== null) this.#out.push(reframe(this.#dialect.doneMark));
    this.#state = 'done';
  }
}

const NO_SPLICES: readonly Splice[] = [];

/** The names of events as formats write them. */
const EVENT_NAME = /^[a-z][a-z0-9_.]{0,127}$/;
