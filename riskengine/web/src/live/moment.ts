// A moment of the past in place of now: the tables of the page are filled from reads with `as_of=`, and the stream leaves them alone.
// Every number on the screen is then of one recorded instant; what no moment has says so.

import { signal } from "@preact/signals";
import { address, type Moment } from "../settings/address";
import type { Request, Row } from "../store/messages";
import { numberOf, rowOf, rowsOf, textsOf } from "../store/rows";
import type { Table } from "../store/table";
import { momentText } from "../words/times";
import { link, linkState } from "./engine";
import { read, reasonOf } from "./http";
import { painted, paintSoon } from "./painting";

const MOST_ROWS = 1_000_000;

/** What the engine says of the moment that it answered: see the manual, reading.md. */
export type ToldMoment = {
  readonly asked: number | null;
  /** The recorded instant; null where nothing was recorded. */
  readonly exactAt: number | null;
  readonly epoch: number | null;
  readonly seq: number | null;
  /** What could not be restored as it was. */
  readonly unknown: readonly string[];
};

export const toldMoment = signal<ToldMoment | null>(null);
/** Why the newest read of a moment failed; empty where it did not. */
export const momentProblem = signal("");

type Source = { readonly path: string; readonly key: (request: Request) => string[] };

/** Where a view's rows of a moment are read. Views that are not here are of now alone. */
const SOURCES: Partial<Record<Request["view"], Source>> = {
  nodes: { path: "v1/nodes", key: () => ["node"] },
  dealers: { path: "v1/dealers", key: () => ["dealer"] },
  ladder: { path: "v1/ladder", key: () => ["instrument"] },
  risk: { path: "v1/risk", key: () => ["instrument"] },
  exposure: { path: "v1/exposure", key: (request) => [("by" in request && request.by) || "currency"] },
};

export const NOT_OF_MOMENTS = "of now alone: no moment of the past has it";

/** Which question each table was last filled by. */
let filled = new WeakMap<Table, string>();
let standing = "";

const nameOf = (moment: Moment | null): string => (moment === null ? "" : JSON.stringify(moment));

/** `as of 14:32:05`; with its date where that is not today's. */
export function momentWords(): string {
  const { moment } = address.value;
  const at = moment === null ? null : numberOrNull(Date.parse(moment.asOf) * 1000);
  return at === null ? "as of a moment that cannot be read" : `as of ${momentText(at, link.clockNow())}`;
}

/** Look whether another moment is wanted, and which tables lack it. */
function look(): void {
  const { moment } = address.value;
  const now = nameOf(moment);
  if (now !== standing) change(moment);
  if (moment === null || linkState().name !== "live") return;
  for (const table of link.connection.tables.values()) {
    if (table.request.view === "status" || filled.get(table) === now) continue;
    filled.set(table, now);
    void fill(table, now);
  }
}

function change(moment: Moment | null): void {
  standing = nameOf(moment);
  filled = new WeakMap();
  momentProblem.value = "";
  toldMoment.value = null;
  link.standsAt = moment === null ? null : numberOrNull(Date.parse(moment.asOf) * 1000);
  link.connection.hold(moment !== null);
  for (const table of link.connection.tables.values()) if (moment !== null && table.request.view !== "status") table.synced = false;
}

const numberOrNull = (value: number): number | null => (Number.isNaN(value) ? null : value);

async function fill(table: Table, wanted: string): Promise<void> {
  const { view, ...query } = table.request;
  const source = SOURCES[view];
  if (source === undefined) return empty(table, NOT_OF_MOMENTS);
  try {
    const answer = await read(source.path, { ...query, limit: MOST_ROWS });
    if (standing !== wanted) return;
    const [epoch, seq, asOf] = [numberOf(answer, "epoch") ?? 0, numberOf(answer, "seq") ?? 0, numberOf(answer, "as_of") ?? 0];
    note(answer);
    table.replace({ type: "snapshot", id: "", epoch, seq, as_of: asOf, key: source.key(table.request), rows: rowsOf(answer, "rows"), summary: answer });
  } catch (failed) {
    if (standing !== wanted) return;
    momentProblem.value = reasonOf(failed);
    empty(table, reasonOf(failed));
  }
  paintSoon();
}

/** Nothing is shown in place of what is not known of the moment. */
function empty(table: Table, why: string): void {
  table.replace({ type: "snapshot", id: "", epoch: 0, seq: 0, as_of: 0, key: table.key.length > 0 ? [...table.key] : ["line"], rows: [] });
  table.refusal = why;
  paintSoon();
}

function note(answer: Row): void {
  const moment = rowOf(answer, "moment");
  const exactAt = numberOf(moment, "exact_at");
  toldMoment.value = { asked: numberOf(moment, "asked"), exactAt, epoch: numberOf(answer, "epoch"), seq: numberOf(answer, "seq"), unknown: textsOf(moment, "unknown") ?? [] };
  link.connection.asOf = exactAt ?? numberOf(answer, "as_of");
}

/** Follow the address from now on. */
export function followMoments(): void {
  painted.subscribe(look);
}
