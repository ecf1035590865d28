import type { Key } from './ledger';

/** The rows of one table that one writer owns and knows to exist. Memory is bounded by `full`. */
export class OwnedKeys {
  readonly #keys: Key[] = [];
  readonly #position = new Map<string, number>();
  readonly #born = new Set<string>();
  readonly #deleted: Key[] = [];

  /** Above this many, deletes are preferred to inserts. */
  static readonly full = 1_000;

  get size(): number {
    return this.#keys.length;
  }

  /** @param born whether this writer inserted the row itself, so that no foreign key can point to it. */
  add(key: Key, born: boolean): void {
    const id = JSON.stringify(key);
    if (born) this.#born.add(id);
    if (this.#position.has(id)) return;
    this.#position.set(id, this.#keys.length);
    this.#keys.push(key);
  }

  remove(key: Key): void {
    const id = JSON.stringify(key);
    this.#born.delete(id);
    const position = this.#position.get(id);
    if (position === undefined) return;
    this.#position.delete(id);
    const last = this.#keys.pop()!;
    if (position === this.#keys.length) return;
    this.#keys[position] = last;
    this.#position.set(JSON.stringify(last), position);
  }

  /** Remembers a deleted row's key, to be used again; the oldest is forgotten after a hundred. */
  deleted(key: Key): void {
    this.#deleted.push(key);
    if (this.#deleted.length > 100) this.#deleted.shift();
  }

  /** A key whose row this writer deleted, if there is one; it is handed out once. */
  takeDeleted(): Key | undefined {
    return this.#deleted.shift();
  }

  /** How many deleted keys wait to be used again. */
  get deletedCount(): number {
    return this.#deleted.length;
  }

  isBorn(key: Key): boolean {
    return this.#born.has(JSON.stringify(key));
  }

  /** Any one of them that suits, found in a few random tries. */
  pick(suits: (key: Key) => boolean = () => true): Key | undefined {
    for (let tries = 0; tries < 8 && this.#keys.length > 0; tries++) {
      const key = this.#keys[Math.floor(Math.random() * this.#keys.length)]!;
      if (suits(key)) return key;
    }
    return undefined;
  }
}
