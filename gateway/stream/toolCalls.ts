/** The tool calls of one answer: which are still being written, how large they are, and each to the engine once whole. */
import type { OutputSession } from '../../engine/stream/session.ts';
import type { CallPart } from '../wire/answer.ts';

interface Written {
  name: string | null;
  freeForm: boolean;
  arguments: string[] | null;
}

export class ToolCalls {
  readonly #session: OutputSession;
  /** Group of each call that may go on. */
  readonly #open = new Map<string, number>();
  /** Not judged yet. */
  readonly #written = new Map<string, Written>();
  /** Bytes of the text of each tool channel while frames wait. */
  readonly #bytes = new Map<string, number>();
  bytesMost = 0;

  constructor(session: OutputSession) {
    this.#session = session;
  }

  open(key: string, group: number): void {
    this.#open.set(key, group);
  }

  isOpen(key: string): boolean {
    return this.#open.has(key);
  }

  /** The group's calls are whole. */
  close(group: number): void {
    for (const [key, owner] of this.#open) if (owner === group) this.#open.delete(key);
  }

  closeAll(): void {
    this.#open.clear();
    this.judgeComplete();
  }

  add({ key, name, arguments: args, freeForm }: CallPart): void {
    let call = this.#written.get(key);
    if (call === undefined) {
      call = { name: null, freeForm: false, arguments: null };
      this.#written.set(key, call);
    }
    call.freeForm ||= freeForm === true;
    if (name !== null) call.name = (call.name ?? '') + name;
    if (args !== null) {
      call.arguments ??= [];
      call.arguments.push(args);
    }
  }

  /** Hands every call that is whole to the engine, once. */
  judgeComplete(): void {
    for (const [key, call] of this.#written) {
      if (this.#open.has(key)) continue;
      this.#written.delete(key);
      const { name, freeForm } = call;
      this.#session.judgeCall({ name, freeForm, arguments: call.arguments?.join('') ?? null, path: `/${key}` });
    }
  }

  count(channel: string, text: string): void {
    const bytes = (this.#bytes.get(channel) ?? 0) + Buffer.byteLength(text, 'utf8');
    this.#bytes.set(channel, bytes);
    this.bytesMost = Math.max(this.bytesMost, bytes);
  }

  resetCount(): void {
    this.#bytes.clear();
    this.bytesMost = 0;
  }
}
