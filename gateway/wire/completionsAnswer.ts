/** OpenAI legacy completions, whole or as stream chunks: every string becomes a piece of a channel or a leaf. */
import { type AnswerPart, AnswerReader, integer, isSet, readUsage } from './answer.ts';
import { eachString, type JsonNode, member, pointerKey, stringMember } from './json.ts';

/** Members of a choice that say how it ended. */
const ENDINGS = new Set(['finish_reason', 'native_finish_reason', 'stop_reason']);

/** Reads a whole completion. Null when it has no list of choices and is no error either. */
export function readCompletionsAnswer(root: JsonNode): AnswerPart | null {
  return read(root, true);
}

/** Reads one chunk of a stream, which is written alike. */
export function readCompletionsChunk(root: JsonNode): AnswerPart | null {
  return read(root, false);
}

function read(root: JsonNode, whole: boolean): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isSet(member(root, 'error'));
  const choices = member(root, 'choices');
  if (!isError && choices?.kind !== 'array') return null;
  const reader = new CompletionsReader();
  for (const [key, node] of root.entries) {
    if (key !== 'choices' || node.kind !== 'array') reader.strings(node, `/${key}`);
    else for (const [position, choice] of node.items.entries()) reader.choice(choice, position, whole);
  }
  reader.keys(root);
  return reader.result({ isError, ends: whole, usage: readUsage(member(root, 'usage')) });
}

class CompletionsReader extends AnswerReader {
  choice(node: JsonNode, position: number, whole: boolean): void {
    if (node.kind !== 'object') {
      this.strings(node, `/choices/${position}`);
      return;
    }
    const index = integer(member(node, 'index')) ?? position;
    for (const [key, value] of node.entries) {
      if (key === 'logprobs') this.#logprobs(value, index);
      else if (ENDINGS.has(key)) this.strings(value, `/choices/${index}/${key}`);
      else if (key === 'text' && value.kind === 'string') this.piece(index, `${index}/text`, 'text', value);
      else this.#others(value, index, `${index}/choice/${pointerKey(key)}`);
    }
    const reason = stringMember(node, 'finish_reason');
    const finished = whole || (reason !== null && reason !== '');
    this.groups.push({ index, finished, toolCalls: [], logprobs: member(node, 'logprobs') });
  }

  /** Whatever else a provider says in a choice may go on in the next chunk. */
  #others(node: JsonNode, index: number, channel: string): void {
    eachString(node, channel, (leaf, path) => this.piece(index, path, 'text', leaf));
  }

  /** The tokens spell the text a second time; alternatives are single words that were not said. */
  #logprobs(node: JsonNode, index: number): void {
    const entries = node.kind === 'object' ? [...node.entries] : [];
    for (const [key, list] of entries) {
      const path = `${index}/logprobs/${pointerKey(key)}`;
      const items = list.kind === 'array' ? list.items : [list];
      for (const item of items) this.#logprob(item, index, path);
    }
    if (node.kind !== 'object') this.strings(node, `/choices/${index}/logprobs`);
  }

  /** A bare token, or the entry of a provider that lists them as chat completions do. */
  #logprob(node: JsonNode, index: number, path: string): void {
    const token = node.kind === 'string' ? node : member(node, 'token');
    if (token?.kind === 'string') this.piece(index, path, 'meta', token);
    eachString(node, path, (leaf, at) => {
      if (leaf !== token) this.leaves.push({ name: at, text: leaf.value });
    });
  }
}
