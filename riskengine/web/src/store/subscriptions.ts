// Who watches what. Several parts of a screen that watch the same share one subscription, so that they show the same rows.

import type { Connection } from "./connection";
import type { Request } from "./messages";
import type { Table } from "./table";

export type Watch = { readonly table: Table; release(): void };

export class Subscriptions {
  private readonly shared = new Map<string, { id: string; table: Table; watchers: number }>();

  constructor(private readonly connection: Connection) {}

  /** The rows of a view until `release`, which may be called more than once. */
  watch(request: Request): Watch {
    const name = JSON.stringify(request, Object.keys(request).toSorted());
    let entry = this.shared.get(name);
    if (entry === undefined) {
      const id = this.connection.add(request);
      const table = this.connection.tables.get(id);
      if (table === undefined) throw new Error(`no table ${id}`);
      entry = { id, table, watchers: 0 };
      this.shared.set(name, entry);
    }
    entry.watchers += 1;
    const held = entry;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      held.watchers -= 1;
      if (held.watchers > 0) return;
      this.shared.delete(name);
      this.connection.drop(held.id);
    };
    return { table: held.table, release };
  }
}
