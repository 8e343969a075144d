/** What providers keep for clients, in the embedded store. Writes belong inside the store's transactions. */
import type { Database, RootDatabase } from 'lmdb';
import type { KeptRecord } from './port.ts';
import { encodeRecord, keptSchema, RecordReader } from './records.ts';

type Key = (string | number)[];

const NOTHING = Buffer.from([0]);

export class KeptTable {
  readonly #reader: RecordReader<KeptRecord>;
  /** [tenant, id] -> record */
  readonly #records: Database<Buffer, Key>;
  /** [expiresAt, tenant, id] -> nothing */
  readonly #byExpiry: Database<Buffer, Key>;

  constructor(root: RootDatabase, onCorrupt: () => void) {
    this.#reader = new RecordReader(keptSchema, onCorrupt);
    this.#records = root.openDB({ name: 'kept', encoding: 'binary' });
    this.#byExpiry = root.openDB({ name: 'keptByExpiry', encoding: 'binary' });
  }

  put(records: readonly KeptRecord[]): void {
    for (const record of records) {
      const { tenant, id, expiresAt } = record;
      this.remove(tenant, id);
      void this.#records.put([tenant, id], encodeRecord(record));
      void this.#byExpiry.put([expiresAt, tenant, id], NOTHING);
    }
  }

  get(tenant: string, id: string, now: number): KeptRecord | null {
    const record = this.#reader.read(this.#records.get([tenant, id]));
    return record === null || record.expiresAt <= now ? null : record;
  }

  /** False when there was none. */
  remove(tenant: string, id: string): boolean {
    const bytes = this.#records.get([tenant, id]);
    if (bytes === undefined) return false;
    const record = this.#reader.read(bytes);
    if (record !== null) void this.#byExpiry.remove([record.expiresAt, tenant, id]);
    void this.#records.remove([tenant, id]);
    return true;
  }

  /** Removes at most `max` that have expired; returns how many. */
  sweep(now: number, max: number): number {
    if (max <= 0) return 0;
    const keys = [...this.#byExpiry.getKeys({ end: [now + 1], limit: max })];
    for (const key of keys) {
      const [, tenant, id] = key as [number, string, string];
      void this.#byExpiry.remove(key);
      void this.#records.remove([tenant, id]);
    }
    return keys.length;
  }
}
