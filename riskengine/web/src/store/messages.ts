// What the engine and the page say to each other on /v1/stream (manual/stream.md), and reading it without believing it.

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** One row of a view: a field that is absent or null is unknown. */
export type Row = Record<string, Json>;

/** What a screen can watch; `id` is the connection's own. */
export type Request =
  | { view: "nodes" }
  | { view: "dealers" }
  | { view: "status" }
  | { view: "limits" }
  | { view: "ladder"; node?: string; dealer?: string }
  | { view: "risk"; node?: string; dealer?: string }
  | { view: "exposure"; node?: string; dealer?: string; by?: string };

export type Hello = {
  type: "hello";
  protocol: number;
  epoch: number;
  seq: number;
  reporting_currency: string;
  heartbeat_ms: number;
};
export type Snapshot = {
  type: "snapshot";
  id: string;
  epoch: number;
  seq: number;
  as_of: number;
  key: string[];
  rows: Row[];
  summary?: Row;
};
export type Patch = { rows?: Row[]; removed?: Json[][]; summary?: Row };
export type Update = {
  type: "update";
  epoch: number;
  seq: number;
  prev_seq: number;
  as_of: number;
  views?: Record<string, Patch>;
  checksums?: Record<string, number>;
};
export type Heartbeat = { type: "heartbeat"; epoch: number; seq: number; ts: number; publish_age_ms?: number | null };
export type Refusal = { type: "error"; id: string | null; title: string; detail?: string };
export type Bye = { type: "bye"; reconnect_after_ms: number };

export type Message = Hello | Snapshot | Update | Heartbeat | Refusal | Bye;

/** The fields without which a message of a type means nothing, and what each must be. */
const NEEDED: Record<Message["type"], Record<string, "number" | "string" | "array">> = {
  hello: { protocol: "number", epoch: "number", seq: "number", reporting_currency: "string", heartbeat_ms: "number" },
  snapshot: { id: "string", epoch: "number", seq: "number", as_of: "number", key: "array", rows: "array" },
  update: { epoch: "number", seq: "number", prev_seq: "number", as_of: "number" },
  heartbeat: { epoch: "number", seq: "number", ts: "number" },
  error: { title: "string" },
  bye: { reconnect_after_ms: "number" },
};

/** A message that this page knows; null for one of a later version. Throws on what is no message. */
export function readMessage(text: string): Message | null {
  const read: unknown = JSON.parse(text);
  if (typeof read !== "object" || read === null || !("type" in read) || typeof read.type !== "string") {
    throw new TypeError("not a message");
  }
  const needed = NEEDED[read.type as Message["type"]];
  if (needed === undefined) return null;
  for (const [name, kind] of Object.entries(needed)) {
    const value: unknown = (read as Record<string, unknown>)[name];
    if (kind === "array" ? !Array.isArray(value) : typeof value !== kind) throw new TypeError(`${read.type}: no ${name}`);
  }
  return read as Message;
}
