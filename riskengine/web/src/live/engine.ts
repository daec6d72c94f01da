// The one link of this page to its engine, and who watches what over it.

import { useEffect, useMemo } from "preact/hooks";
import { effect, signal } from "@preact/signals";
import { address } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Request, Row } from "../store/messages";
import { Link, type LinkState } from "../store/link";
import { isTrue, numberOf, rowsOf, textOf, textsOf } from "../store/rows";
import { Subscriptions } from "../store/subscriptions";
import type { Table } from "../store/table";
import { browser, HERE } from "./browser";
import { read } from "./http";
import { painted, paintSoon } from "./painting";

const LOOK_EVERY_MS = 250;

const listeners = new Set<() => void>();

/** Have `heard` called with every message and every change of the link, also in a tab that is not shown and paints nothing. */
export function listen(heard: () => void): () => void {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

export const link = new Link(browser, {
  changed: () => {
    paintSoon();
    for (const heard of listeners) heard();
  },
  refused: () => undefined, // a table keeps its own refusal, and its view shows it
  loginNeeded: () => location.replace(new URL("login", HERE)),
});

export const subscriptions = new Subscriptions(link.connection);

/** Of every screen: the tree, and what the engine says of itself. */
export const nodes = subscriptions.watch({ view: "nodes" }).table;
export const status = subscriptions.watch({ view: "status" }).table;

export type Session = {
  name: string;
  roles: readonly string[];
  login: boolean;
  mayBook: boolean;
  /** The nodes and dealers that it is shown, and books for; null: all. */
  nodes: readonly string[] | null;
  dealers: readonly string[] | null;
};

export const session = signal<Session | null>(null);

/** Instruments by symbol: what the stream's rows do not say. */
export const instruments = signal<ReadonlyMap<string, Row>>(new Map());

/** The rows of a view for as long as a component is shown. */
export function useTable(request: Request): Table {
  const name = JSON.stringify(request);
  const watch = useMemo(() => subscriptions.watch(request), [name]);
  useEffect(() => () => watch.release(), [watch]);
  return watch.table;
}

/** Whether what is on the screen is true now. */
export function linkState(): LinkState {
  return link.state();
}

/** Whether the page shows what is now, and it comes. */
export const isLive = (): boolean => address.value.moment === null && link.state().name === "live";

/** The rows without a parent among those that the user is shown. */
export function roots(): Row[] {
  return [...nodes.rows.values()].filter((row) => !textOf(row, "parent"));
}

export async function whoAmI(): Promise<Session> {
  const told = await read("v1/session");
  return {
    name: textOf(told, "name"),
    roles: textsOf(told, "roles") ?? [],
    login: isTrue(told, "login"),
    mayBook: isTrue(told, "may_book"),
    nodes: textsOf(told, "nodes"),
    dealers: textsOf(told, "dealers"),
  };
}

async function readInstruments(): Promise<void> {
  try {
    const answer = await read("v1/instruments");
    instruments.value = new Map(rowsOf(answer, "rows").map((row) => [textOf(row, "instrument"), row]));
    paintSoon();
  } catch {
    // asked for again with the next connection, or when a symbol comes that is not among them
  }
}

/** Ask for instruments again when the engine is another one, or knows more of them. */
function followInstruments(): void {
  let known = "";
  painted.subscribe(() => {
    if (!isLive() || !status.synced) return;
    const now = `${link.connection.epoch} ${numberOf(status.only, "instrument_count")}`;
    if (now === known) return;
    known = now;
    void readInstruments();
  });
}

export function connect(): void {
  setInterval(() => {
    link.look();
    paintSoon(); // ages grow even if no number changes
  }, LOOK_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    link.look();
    paintSoon();
  });
  followInstruments();
  effect(() => link.connection.limit(preferences.value.updatesPerSecond));
  void link.connect();
}
