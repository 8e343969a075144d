/** Byte offsets of a UTF-8 buffer as UTF-16 offsets of the text it was encoded from. */

/** One table entry per this many bytes: a look-up walks at most that far. */
const STEP_BYTES = 64;

export class ByteOffsets {
  readonly #bytes: Buffer;
  /** Every byte is one UTF-16 unit. */
  readonly #identity: boolean;
  /** UTF-16 units before byte `i * STEP_BYTES`; built on the first look-up, since most texts have no match. */
  #table: Int32Array | null = null;

  /** `bytes` is `text` in UTF-8, so equal lengths mean ASCII: any other unit takes two bytes or more. */
  constructor(text: string, bytes: Buffer) {
    this.#bytes = bytes;
    this.#identity = bytes.length === text.length;
  }

  /** `offset` stands on a character border, as RE2's offsets do. */
  toUtf16(offset: number): number {
    if (this.#identity) return offset;
    this.#table ??= this.#build();
    const step = Math.floor(offset / STEP_BYTES);
    let units = this.#table[step] as number;
    for (let i = step * STEP_BYTES; i < offset; i++) units += unitsAt(this.#bytes[i] as number);
    return units;
  }

  #build(): Int32Array {
    const table = new Int32Array(Math.floor(this.#bytes.length / STEP_BYTES) + 1);
    let units = 0;
    for (let i = 0; i < this.#bytes.length; i++) {
      if (i % STEP_BYTES === 0) table[i / STEP_BYTES] = units;
      units += unitsAt(this.#bytes[i] as number);
    }
    if (this.#bytes.length % STEP_BYTES === 0) table[this.#bytes.length / STEP_BYTES] = units;
    return table;
  }
}

/** Lead bytes carry the units of their character: two for a surrogate pair, one otherwise; continuation bytes none. */
function unitsAt(byte: number): number {
  if ((byte & 0xc0) === 0x80) return 0;
  return byte >= 0xf0 ? 2 : 1;
}
