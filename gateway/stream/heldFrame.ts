/** Frames that wait for the output door, and what of them changes when they leave. */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import type { OutputSession } from '../../engine/stream/session.ts';
import type { GroupState } from '../wire/answer.ts';
import { applySplices, type JsonString, replaceString, type Splice } from '../wire/json.ts';
import { reframe } from './sse.ts';

export interface HeldPiece {
  readonly channel: string;
  readonly leaf: JsonString;
  readonly group: number;
  readonly kind: ChannelKind;
  readonly whole: boolean;
  /** Text of the channel that was cut from an earlier frame. */
  carried: string;
  /** Range in the channel, carried text included. */
  from: number;
  to: number;
}

/** A group as a frame remembers it, without the tree that it was read from. */
export interface HeldGroup extends Omit<GroupState, 'logprobs'> {
  readonly logprobs: { readonly start: number; readonly end: number } | null;
}

/** Lets go of the tree; where there is nothing to let go of, the group itself. */
export function heldGroup(group: GroupState): HeldGroup {
  const { index, finished, toolCalls, logprobs } = group;
  if (logprobs === null) return group;
  const range = logprobs.kind === 'null' ? null : { start: logprobs.start, end: logprobs.end };
  return { index, finished, toolCalls, logprobs: range };
}

export interface HeldFrame {
  readonly raw: Buffer;
  readonly source: string;
  /** Name of the event where events are named. */
  readonly event: string | null;
  readonly reframed: boolean;
  /** It only adds text, so that it may leave in two parts. */
  readonly isDelta: boolean;
  readonly pieces: readonly HeldPiece[];
  readonly groups: readonly HeldGroup[];
  readonly closes: readonly string[];
  /** What changes whatever the guards say. */
  readonly splices: readonly Splice[];
  readonly isError: boolean;
}

/** A cut frame's remaining text, and the frame it was cut from. */
export interface Carry {
  readonly frame: HeldFrame;
  readonly piece: HeldPiece;
  readonly text: string;
  readonly from: number;
}

/** The bytes of a frame with what the guards rewrote. */
export function renderFrame(session: OutputSession, frame: HeldFrame): Buffer {
  const splices: Splice[] = [...frame.splices];
  for (const piece of frame.pieces) {
    const whole = piece.carried + piece.leaf.value;
    const text = whole.slice(0, piece.to - piece.from);
    const rewritten = session.rewrite(piece.channel, piece.from, piece.to, text);
    if (rewritten !== null) splices.push(...dropLogprobs(frame.groups, piece.group));
    if (rewritten !== null || text !== piece.leaf.value) splices.push(replaceString(piece.leaf, rewritten ?? text));
  }
  if (splices.length > 0) return reframe(applySplices(frame.source, disjoint(splices)), frame.event);
  return frame.reframed ? reframe(frame.source, frame.event) : frame.raw;
}

/** The rest of frames that were cut: each once more, with nothing but that rest in it. */
export function renderCarries(session: OutputSession, carries: readonly (readonly [string, Carry])[]): Buffer[] {
  const flushed = new Map<HeldFrame, Splice[]>();
  for (const [channel, carry] of carries) {
    const to = carry.from + carry.text.length;
    const text = session.rewrite(channel, carry.from, to, carry.text) ?? carry.text;
    const splices = flushed.get(carry.frame) ?? [];
    flushed.set(carry.frame, [...splices, replaceString(carry.piece.leaf, text)]);
  }
  return [...flushed].map(([frame, splices]) => {
    const kept = new Set(splices.map(({ start }) => start));
    const emptied = frame.pieces.filter(({ leaf }) => !kept.has(leaf.start)).map(({ leaf }) => replaceString(leaf, ''));
    return reframe(applySplices(frame.source, [...splices, ...emptied]), frame.event);
  });
}

/** Log-probabilities spell what was rewritten. */
export function dropLogprobs(groups: readonly HeldGroup[], group: number): Splice[] {
  const node = groups.find(({ index }) => index === group)?.logprobs;
  return node === null || node === undefined ? [] : [{ start: node.start, end: node.end, text: 'null' }];
}

/** Without those inside another one, such as a token inside log-probabilities that go, and without repetitions. */
export function disjoint(splices: readonly Splice[]): Splice[] {
  const sorted = [...splices].sort((a, b) => a.start - b.start || b.end - a.end);
  const kept: Splice[] = [];
  let end = -1;
  for (const splice of sorted) {
    if (splice.start < end) continue;
    kept.push(splice);
    end = splice.end;
  }
  return kept;
}
