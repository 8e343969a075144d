/** The tool calls of one answer: which are still being written, how large they are, and each to the engine once whole. */
import type { OutputSession } from '../../engine/stream/session.ts';
import type { CallPart } from '../wire/answer.ts';

interface Written {
  readonly key: string;
  readonly id: string | null;
  /** As the parts of the call gave it, in order. */
  readonly names: string[];
  nameOf: string | null;
  freeForm: boolean;
  arguments: string[] | null;
}

/** Some providers number all their calls 0, others give one call another id in every chunk, but name it once. */
function isOther(call: Written, id: string | null): boolean {
  return id !== null && call.id !== null && id !== call.id;
}

/** Nothing can follow arguments that are JSON; what is named behind them is another call. */
function isComplete({ arguments: parts }: Written): boolean {
  if (parts?.at(-1)?.trimEnd().endsWith('}') !== true) return false;
  try {
    JSON.parse(parts.join(''));
    return true;
  } catch {
    return false;
  }
}

export class ToolCalls {
  readonly #session: OutputSession;
  readonly #callsMax: number;
  /** Calls that may go on, by group. */
  readonly #open = new Map<number, Set<string>>();
  readonly #openKeys = new Set<string>();
  /** Calls that were not judged yet. */
  readonly #written = new Map<string, Written>();
  /** Of those, the ones that do not go on. */
  #whole: Written[] = [];
  /** First name of each call, which its copies share. */
  readonly #names = new Map<string, string>();
  /** Bytes of the text of each tool channel while frames wait. */
  readonly #bytes = new Map<string, number>();
  bytesMost = 0;

  constructor(session: OutputSession, callsMax: number) {
    this.#session = session;
    this.#callsMax = callsMax;
  }

  /** More calls than an answer may have. */
  get tooMany(): boolean {
    return this.#openKeys.size > this.#callsMax || this.#names.size > this.#callsMax;
  }

  open(key: string, group: number): void {
    if (this.#openKeys.has(key)) return;
    this.#openKeys.add(key);
    const keys = this.#open.get(group) ?? new Set();
    this.#open.set(group, keys.add(key));
  }

  isOpen(key: string): boolean {
    return this.#openKeys.has(key);
  }

  /** The group's calls are whole. */
  close(group: number): void {
    for (const key of this.#open.get(group) ?? []) this.#close(key);
    this.#open.delete(group);
  }

  /** Every call is whole, and judged. */
  closeAll(): void {
    for (const key of [...this.#openKeys]) this.#close(key);
    this.#open.clear();
    this.judgeWhole([]);
  }

  /** Reads what the parts of one event say. */
  read(parts: readonly CallPart[]): void {
    for (const part of parts) this.#add(part);
  }

  /** Hands every call that does not go on to the engine, once. `parts` are those of the event that was read last. */
  judgeWhole(parts: readonly CallPart[]): void {
    for (const { key } of parts) if (!this.#openKeys.has(key)) this.#take(key);
    const whole = this.#whole;
    this.#whole = [];
    for (const call of whole) {
      for (const name of this.#namesOf(call)) {
        const { key, freeForm } = call;
        this.#session.judgeCall({ name, freeForm, arguments: call.arguments?.join('') ?? null, path: `/${key}` });
      }
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

  #add(part: CallPart): void {
    const { key, nameOf, arguments: args, freeForm } = part;
    // Some providers fill what they have nothing for.
    const id = part.id || null;
    const name = part.name || null;
    let call = this.#written.get(key);
    if (call !== undefined && name !== null && (isOther(call, id) || (args && isComplete(call)))) {
      this.#take(key);
      call = undefined;
    }
    if (call === undefined || (call.id === null && id !== null)) {
      const before = call ?? { names: [], nameOf: null, freeForm: false, arguments: null };
      call = { ...before, key, id };
      this.#written.set(key, call);
    }
    call.nameOf ??= nameOf ?? null;
    call.freeForm ||= freeForm === true;
    if (name !== null) {
      call.names.push(name);
      if (!this.#names.has(key)) this.#names.set(key, name);
    }
    if (args !== null) {
      call.arguments ??= [];
      call.arguments.push(args);
    }
  }

  #close(key: string): void {
    this.#openKeys.delete(key);
    this.#take(key);
  }

  #take(key: string): void {
    const call = this.#written.get(key);
    if (call === undefined) return;
    this.#written.delete(key);
    this.#whole.push(call);
  }

  /**
   * Every name that a client may take the call for: some join the parts of a name, some take the first one or the last.
   * A name that is only repeated is one name.
   */
  #namesOf({ names, nameOf }: Written): (string | null)[] {
    const shared = nameOf === null ? undefined : this.#names.get(nameOf);
    const said = names.length === 0 && shared !== undefined ? [shared] : names;
    if (said.length === 0) return [null];
    const distinct = new Set(said);
    return distinct.size === 1
      ? [...distinct]
      : [...new Set([said.join(''), said[0] as string, said.at(-1) as string])];
  }
}
