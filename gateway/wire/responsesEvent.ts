/** Events of a streamed response (OpenAI). Every string of an event is read, whatever its type. */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import { type AnswerPart, integer, isSet, readUsage } from './answer.ts';
import { type JsonNode, type JsonObject, member, pointerKey, stringMember } from './json.ts';
import { textOf } from './nodeText.ts';
import { begunCall, hasAction, isCall } from './responsesCalls.ts';
import { type Copy, logprobsOf, partPlace, ResponsesReader } from './responsesReader.ts';

/** A text that comes in deltas and then once more whole. */
interface Family {
  /** Below its item; the indexes of the event stand where the braces are. */
  readonly place: string;
  /** Member that holds it in its last event. */
  readonly text: string;
  readonly kind: ChannelKind;
  /** A tool call is written with it. */
  readonly isCall: boolean;
}

const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['output_text', { place: 'content/{c}/text', text: 'text', kind: 'text', isCall: false }],
  ['refusal', { place: 'content/{c}/refusal', text: 'refusal', kind: 'text', isCall: false }],
  ['reasoning_text', { place: 'reasoning/{c}/text', text: 'text', kind: 'text', isCall: false }],
  ['reasoning_summary_text', { place: 'summary/{s}/text', text: 'text', kind: 'text', isCall: false }],
  ['function_call_arguments', { place: 'arguments', text: 'arguments', kind: 'tool', isCall: true }],
  ['mcp_call_arguments', { place: 'arguments', text: 'arguments', kind: 'tool', isCall: true }],
  ['custom_tool_call_input', { place: 'input', text: 'input', kind: 'tool', isCall: true }],
  ['code_interpreter_call_code', { place: 'code', text: 'code', kind: 'tool', isCall: false }],
  ['audio.transcript', { place: 'transcript', text: 'transcript', kind: 'text', isCall: false }],
]);

/** Events that carry the response, by what its channels begin with; each replaces what the client had. */
const LIFECYCLE: ReadonlyMap<string, string> = new Map([
  ['response.created', 'created'],
  ['response.queued', 'queued'],
  ['response.in_progress', 'in_progress'],
  ['response.completed', 'final'],
  ['response.incomplete', 'final'],
  ['response.failed', 'final'],
  ['response.cancelled', 'final'],
]);

/** Other events have a type that is read like any string. Linear: anchored alternatives of fixed words. */
const PLAIN =
  /^response\.(?:content_part|reasoning_summary_part|output_item)\.(?:added|done)$|^response\.(?:code_interpreter|file_search|web_search|image_generation|mcp)_call\.(?:in_progress|interpreting|searching|generating|partial_image|completed|failed)$|^response\.mcp_list_tools\.(?:in_progress|completed|failed)$|^response\.output_text\.annotation\.added$|^response\.audio\.(?:delta|done)$/;
/** Linear: the greedy run goes back at most once over the type. */
const SAID = /^response\.(.*)\.(delta|done)$/;

/** Reads one event. Null when it is none of this format. */
export function readResponsesEvent(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const type = stringMember(root, 'type');
  const reader = new EventReader();
  if (type === 'error' || (type === null && isSet(member(root, 'error')))) {
    for (const [key, node] of root.entries) if (key !== 'type') reader.strings(node, `/error/${pointerKey(key)}`);
    reader.keys(root);
    return reader.result({ isError: true, ends: false, usage: null });
  }
  // Providers send `keepalive` while a tool takes its time.
  if (type === null || (!type.startsWith('response.') && type !== 'keepalive')) return null;
  const name = LIFECYCLE.get(type);
  const response = member(root, 'response');
  reader.event(root, type);
  reader.keys(root);
  return reader.result({ isError: false, ends: name === 'final', usage: readUsage(member(response, 'usage')) });
}

class EventReader extends ResponsesReader {
  event(root: JsonObject, type: string): void {
    const index = integer(member(root, 'output_index'));
    const group = index ?? 0;
    const said = SAID.exec(type);
    const family = said === null ? undefined : FAMILIES.get(said[1] as string);
    for (const [key, node] of root.entries) {
      if (key === 'type') {
        if (family === undefined && !LIFECYCLE.has(type) && !PLAIN.test(type)) this.strings(node, '/type');
      } else if (key === 'response' && node.kind === 'object') {
        const name = LIFECYCLE.get(type) ?? 'other';
        this.response(node, name, name === 'final');
      } else if (key === 'item') this.item(node, copyOf(group, type, 'item'));
      else if (key === 'part') this.#part(root, node, group, type);
      else if (key === 'annotation')
        this.shown(node, { group, channel: `${group}/content/${contentIndex(root)}/annotation`, at: '/annotation' });
      else if (key === 'logprobs') this.#tokens(root, node, group, said?.[2] === 'delta');
      else if (key === 'item_id') this.strings(node, `/output/${group}/id`);
      else if (said === null || !this.#said(root, key, node, group, family, said)) {
        this.strings(node, `/${pointerKey(key)}`);
      }
    }
    if (family !== undefined) this.#written(root, group, family, said?.[2] === 'delta');
    this.#itemCalls(member(root, 'item'), group, type);
    if (index === null) return;
    this.groups.push({
      index,
      finished: type === 'response.output_item.done',
      toolCalls: family?.isCall === true || isCall(member(root, 'item')) ? [`${group}`] : [],
      logprobs: logprobsOf(root) ?? logprobsOf(member(root, 'part')) ?? logprobsOf(member(root, 'item')),
    });
  }

  /** The text of a delta, or of the event that repeats it whole. False for other members. */
  #said(
    root: JsonObject,
    key: string,
    node: JsonNode,
    group: number,
    family: Family | undefined,
    [, name = '', step]: RegExpExecArray,
  ): boolean {
    if (node.kind !== 'string') return false;
    if (step === 'delta') {
      if (key !== 'delta' || name === 'audio') return false;
      const place =
        family === undefined ? `${name}/${contentIndex(root)}/${summaryIndex(root)}` : placeIn(root, family);
      this.piece(group, `${group}/${place}`, family?.kind ?? 'text', node);
      return true;
    }
    if (family === undefined || (key !== family.text && key !== 'name')) return false;
    const place = key === 'name' ? 'name' : placeIn(root, family);
    this.piece(group, `${group}/done/${place}`, family.kind, node, true);
    return true;
  }

  #part(root: JsonObject, node: JsonNode, group: number, type: string): void {
    const isSummary = member(root, 'summary_index') !== null;
    const list = isSummary ? 'summary' : 'content';
    const index = isSummary ? summaryIndex(root) : contentIndex(root);
    const copy = copyOf(group, type, 'part');
    this.part(node, copy, list, index);
    if (copy.goesOn) return;
    const place = partPlace(node, list, index);
    this.closes.push(`${group}/${place}/text`, `${group}/${place}/refusal`, `${group}/${place}/logprobs`);
  }

  #tokens(root: JsonObject, node: JsonNode, group: number, goesOn: boolean): void {
    const base = goesOn ? `${group}` : `${group}/done`;
    const index = contentIndex(root);
    this.logprobs(
      node,
      { group, base, goesOn },
      `content/${index}/logprobs`,
      `/output/${group}/content/${index}/logprobs`,
    );
  }

  /** What a delta adds to a call; the whole text ends the deltas. */
  #written(root: JsonObject, group: number, family: Family, isDelta: boolean): void {
    if (!isDelta) {
      this.closes.push(`${group}/${placeIn(root, family)}`);
      if (family.isCall) this.#copiedCall(root, group, family);
      return;
    }
    const delta = stringMember(root, 'delta');
    if (!family.isCall || delta === null) return;
    this.calls.push({ key: `${group}`, name: null, arguments: delta });
  }

  /** Clients may take the copy for what the deltas said; without a name it goes by that of the call. */
  #copiedCall(root: JsonObject, group: number, family: Family): void {
    const name = stringMember(root, 'name') || null;
    const args = textOf(member(root, family.text));
    if (name === null && args === null) return;
    this.calls.push({
      key: `${group}/copy`,
      name,
      ...(name === null && { nameOf: `${group}` }),
      arguments: args,
      freeForm: family.text === 'input',
    });
  }

  #itemCalls(item: JsonNode | null, group: number, type: string): void {
    if (item?.kind !== 'object') return;
    if (type === 'response.output_item.added') {
      const begun = begunCall(item);
      if (begun !== null) this.calls.push({ key: `${group}`, ...begun });
      // What is already there is all that some clients wait for.
      else if (hasAction(item)) this.call(item, `${group}/added`);
    } else this.call(item, `${group}/done`);
  }
}

/** What is added is empty or begins what deltas go on with; anything else is a copy. */
function copyOf(group: number, type: string, name: string): Copy {
  const goesOn = type.endsWith('.added');
  return { group, base: goesOn ? `${group}` : `${group}/${name}`, goesOn };
}

function placeIn(root: JsonObject, { place }: Family): string {
  return place.replace('{c}', `${contentIndex(root)}`).replace('{s}', `${summaryIndex(root)}`);
}

function contentIndex(root: JsonObject): number {
  return integer(member(root, 'content_index')) ?? 0;
}

function summaryIndex(root: JsonObject): number {
  return integer(member(root, 'summary_index')) ?? 0;
}
