// The rows of one subscription, and what changed in them since somebody last looked.

import type { Json, Patch, Request, Row, Snapshot } from "./messages";

/** Keys of rows that changed, came or went; `all` says that the whole table is another one. */
export class Changes {
  all = false;
  readonly changed = new Set<string>();
  readonly added = new Set<string>();
  readonly removed = new Set<string>();

  get none(): boolean {
    return !this.all && this.changed.size + this.added.size + this.removed.size === 0;
  }

  noteAll(): void {
    this.clear();
    this.all = true;
  }

  noteChanged(key: string): void {
    if (!this.all && !this.added.has(key)) this.changed.add(key);
  }

  /** A row that left and came back meanwhile is one that changed. */
  noteAdded(key: string): void {
    if (this.all) return;
    if (this.removed.delete(key)) this.changed.add(key);
    else this.added.add(key);
  }

  noteRemoved(key: string): void {
    if (this.all) return;
    this.changed.delete(key);
    if (!this.added.delete(key)) this.removed.add(key);
  }

  clear(): void {
    this.all = false;
    this.changed.clear();
    this.added.clear();
    this.removed.clear();
  }
}

/** The values of a row's key as one text, which is never empty. */
export const keyText = (values: readonly (Json | undefined)[]): string =>
  `=${values.map((value) => (typeof value === "string" ? value : JSON.stringify(value ?? null))).join("\u001f")}`;

export class Table {
  readonly rows = new Map<string, Row>();
  key: readonly string[] = [];
  /** The figures beside the rows of a risk or an exposure. */
  summary: Row | null = null;
  /** Whether the rows are those of the connection's seq. */
  synced = false;
  /** Whether rows have ever come. */
  filled = false;
  /** What the engine said when it refused the request. */
  refusal = "";
  /** Rises when rows come or go. */
  shape = 0;
  private readonly readers = new Set<Changes>();

  constructor(readonly request: Request) {}

  /** A reader's own account of what changed; it clears it when it has caught up. */
  follow(): Changes {
    const changes = new Changes();
    changes.noteAll();
    this.readers.add(changes);
    return changes;
  }

  unfollow(changes: Changes): void {
    this.readers.delete(changes);
  }

  keyOf(row: Row): string {
    return keyText(this.key.map((field) => row[field]));
  }

  get(...values: Json[]): Row | undefined {
    return this.rows.get(keyText(values));
  }

  /** The first row: of a view that has one. */
  get only(): Row | undefined {
    return this.rows.values().next().value;
  }

  replace(snapshot: Snapshot): void {
    this.key = snapshot.key;
    this.rows.clear();
    for (const row of snapshot.rows) this.rows.set(this.keyOf(row), row);
    this.summary = snapshot.summary ?? null;
    this.synced = true;
    this.filled = true;
    this.refusal = "";
    this.shape += 1;
    for (const changes of this.readers) changes.noteAll();
  }

  patch(patch: Patch): void {
    for (const row of patch.rows ?? []) this.put(row);
    for (const values of patch.removed ?? []) this.remove(keyText(values));
    if (patch.summary !== undefined) this.summary = patch.summary;
  }

  private put(row: Row): void {
    const key = this.keyOf(row);
    const current = this.rows.get(key);
    if (current !== undefined) {
      Object.assign(current, row);
      for (const changes of this.readers) changes.noteChanged(key);
      return;
    }
    this.rows.set(key, row);
    this.shape += 1;
    for (const changes of this.readers) changes.noteAdded(key);
  }

  private remove(key: string): void {
    if (!this.rows.delete(key)) return;
    this.shape += 1;
    for (const changes of this.readers) changes.noteRemoved(key);
  }
}
