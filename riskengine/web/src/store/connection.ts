// One connection's copy of what it watches, moved by messages. No socket and no timer: link.ts has those.
//
// One update moves every table from one seq to the next, so that the numbers on one screen add up. An update that does not
// start where the connection stands is not applied: the tables keep their old rows, count as out of step, and are asked for
// again.

import { checksum } from "./checksum";
import type { Hello, Message, Refusal, Request, Snapshot, Update } from "./messages";
import { Table } from "./table";

const PROTOCOL = 1;

export type Sent =
  | ({ op: "subscribe"; id: string } & Request)
  | { op: "unsubscribe" | "resync"; id: string }
  | { op: "configure"; max_hz: number };

export class Connection {
  readonly tables = new Map<string, Table>();
  epoch: number | null = null;
  seq: number | null = null;
  asOf: number | null = null;
  reportingCurrency = "";
  heartbeatMs = 1000;
  /** How old the newest snapshot was at the last heartbeat: an engine that hangs goes on beating. */
  publishAgeMs: number | null = null;
  /** Whether requests can be sent: from hello until the connection is lost. */
  open = false;
  /** Whether all tables but the status are somebody else's to fill: those of a moment of the past. */
  held = false;
  private nextId = 0;
  private maxHz: number | null = null;
  /** Tables that have been asked for again because their checksum differed. */
  private readonly doubted = new Set<string>();

  /** `again` asks for another connection. */
  constructor(
    private readonly send: (message: Sent) => void,
    private readonly again: () => void,
    private readonly refused: (refusal: Refusal) => void,
  ) {}

  /** Watch a view, now and after every reconnect. */
  add(request: Request): string {
    const id = `${request.view}-${this.nextId}`;
    this.nextId += 1;
    const table = new Table(request);
    this.tables.set(id, table);
    if (this.open && this.follows(table)) this.send({ op: "subscribe", id, ...request });
    return id;
  }

  drop(id: string): void {
    const table = this.tables.get(id);
    this.tables.delete(id);
    this.doubted.delete(id);
    if (this.open && (table === undefined || this.follows(table))) this.send({ op: "unsubscribe", id });
  }

  /** Leave all tables but the status to somebody else, or take them back: then they are asked for anew. */
  hold(held: boolean): void {
    if (held === this.held) return;
    const mine = [...this.tables].filter(([, table]) => table.request.view !== "status");
    this.held = held;
    for (const [id, table] of mine) {
      table.synced = false;
      this.doubted.delete(id);
      if (this.open) this.send(held ? { op: "unsubscribe", id } : { op: "subscribe", id, ...table.request });
    }
  }

  private follows(table: Table): boolean {
    return !this.held || table.request.view === "status";
  }

  /** How many updates a second prices may cause, now and after every reconnect. */
  limit(hz: number): void {
    if (hz === this.maxHz) return;
    this.maxHz = hz;
    if (this.open) this.send({ op: "configure", max_hz: hz });
  }

  /** The connection is gone: rows stay, and are nobody's seq until a snapshot comes. */
  lose(): void {
    this.open = false;
    this.publishAgeMs = null;
    this.doubted.clear();
    for (const table of this.tables.values()) if (this.follows(table)) table.synced = false;
  }

  hear(message: Message): void {
    switch (message.type) {
      case "hello":
        this.greet(message);
        break;
      case "snapshot":
        this.take(message);
        break;
      case "update":
        this.move(message);
        break;
      case "heartbeat":
        this.publishAgeMs = message.publish_age_ms ?? null;
        break;
      case "error": {
        const table = message.id === null ? undefined : this.tables.get(message.id);
        if (table !== undefined) table.refusal = [message.title, message.detail].filter(Boolean).join(": ");
        this.refused(message);
        break;
      }
      case "bye":
        break; // link.ts comes back when it says
    }
  }

  private greet(hello: Hello): void {
    if (hello.protocol !== PROTOCOL) throw new TypeError(`protocol ${hello.protocol}: reload the page`);
    this.epoch = hello.epoch;
    this.seq = hello.seq;
    this.asOf = null;
    this.reportingCurrency = hello.reporting_currency;
    this.heartbeatMs = hello.heartbeat_ms;
    this.publishAgeMs = null;
    this.doubted.clear();
    this.open = true;
    if (this.maxHz !== null) this.send({ op: "configure", max_hz: this.maxHz });
    for (const [id, table] of this.tables) {
      if (!this.follows(table)) continue;
      table.synced = false;
      this.send({ op: "subscribe", id, ...table.request });
    }
  }

  private take(snapshot: Snapshot): void {
    this.stand(snapshot);
    const table = this.tables.get(snapshot.id);
    if (table !== undefined && this.follows(table)) table.replace(snapshot);
  }

  private move(update: Update): void {
    const follows = update.prev_seq === this.seq && update.epoch === this.epoch;
    this.stand(update);
    if (!follows) {
      this.resync(this.tables.keys());
      return;
    }
    for (const [id, patch] of Object.entries(update.views ?? {})) {
      const table = this.tables.get(id);
      if (table?.synced && this.follows(table)) table.patch(patch);
    }
    this.compare(update.checksums ?? {});
  }

  private stand({ epoch, seq, as_of }: Snapshot | Update): void {
    this.epoch = epoch;
    this.seq = seq;
    if (!this.held) this.asOf = as_of;
  }

  /** A copy that has drifted is asked for once; if it differs again, the whole connection is made anew. */
  private compare(checksums: Record<string, number>): void {
    for (const [id, sum] of Object.entries(checksums)) {
      const table = this.tables.get(id);
      if (!table?.synced || !this.follows(table)) continue;
      if (checksum(table.rows.values()) === sum) this.doubted.delete(id);
      else if (this.doubted.has(id)) {
        this.again();
        return;
      } else {
        this.doubted.add(id);
        this.resync([id]);
      }
    }
  }

  private resync(ids: Iterable<string>): void {
    for (const id of ids) {
      const table = this.tables.get(id);
      if (table === undefined || !this.follows(table)) continue;
      table.synced = false;
      this.send({ op: "resync", id });
    }
  }
}
