// The work list: exceptions and breaks as cases, what is open first; and what can be done about each kind.

import type { Json, Row } from "../store/messages";
import { isRow, numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { exactText } from "../words/numbers";

/** What accepting and rejecting an exception of a kind does; kinds without `reject` end with their cause. */
export const EFFECTS: Readonly<Record<string, { readonly accept: string; readonly reject?: string }>> = {
  conflict: { accept: "replaces the stored version", reject: "keeps the stored version" },
  quarantined: { accept: "lets it take part", reject: "keeps it out" },
  suspect: { accept: "makes it the mark", reject: "drops it" },
  expired: { accept: "books what is suggested", reject: "books the opposite" },
  parked: { accept: "seen: no trade comes" },
  unmatched: { accept: "seen: no leg comes" },
  late: { accept: "seen" },
  off_market: { accept: "seen: the price is right" },
  possible_duplicate: { accept: "seen: both are right" },
  unpriced: { accept: "seen" },
  no_close: { accept: "seen" },
  no_fixing: { accept: "seen" },
  older_rule: { accept: "seen: it counts as before" },
  waiting: { accept: "seen" },
};

export type Case = {
  readonly key: string;
  readonly kind: string;
  /** Since when; null where nobody noted it. */
  readonly since: number | null;
  readonly where: string;
  readonly instrument: string;
  readonly what: string;
  /** accept or reject; of a break how it ended; empty while it is open. */
  readonly verdict: string;
  readonly by: string;
  readonly at: number | null;
  readonly comment: string;
  readonly isBreak: boolean;
  readonly row: Row;
};

const sideText = (value: Json | undefined): string => (value !== undefined && isRow(value) ? `${plain(value["quantity"])} (cash ${plain(value["net_cash"])})` : "nothing");
const plain = (value: Json | undefined): string => (typeof value === "number" ? exactText(value) : typeof value === "string" ? value : "unknown");

export function exceptionCase(row: Row): Case {
  const [trade, detail] = [rowOf(row, "trade"), rowOf(row, "detail")];
  const place = [textOf(trade, "desk"), textOf(trade, "dealer")].filter(Boolean).join(" \u00b7 ") || textOf(detail, "owner");
  return {
    key: textOf(row, "id"),
    kind: textOf(row, "kind"),
    since: numberOf(row, "ts"),
    where: place,
    instrument: textOf(row, "instrument"),
    what: textOf(row, "reason"),
    verdict: textOf(row, "verdict"),
    by: textOf(row, "verdict_by"),
    at: numberOf(row, "verdict_ts"),
    comment: textOf(row, "comment"),
    isBreak: false,
    row,
  };
}

export function breakCase(row: Row): Case {
  const kind = textOf(row, "kind");
  const isOpen = textOf(row, "status") === "open";
  return {
    key: `break:${row["break_id"]}`,
    kind: "break",
    since: numberOf(row, "first_seen_ts"),
    where: textOf(row, "node") || textOf(row, "dealer"),
    instrument: textOf(row, "instrument"),
    what: `${kind.replaceAll("_", " ")}: here ${sideText(row["here"])}, in the store ${sideText(row["there"])}`,
    verdict: isOpen ? "" : textOf(row, "status"),
    by: textOf(row, "resolved_by"),
    at: numberOf(row, "resolved_ts"),
    comment: textOf(row, "comment"),
    isBreak: true,
    row,
  };
}

/** Breaks, then exceptions in the engine's order: those that are open, then those that somebody has decided about. */
export function casesOf(exceptions: Row | undefined, breaks: Row | undefined): Case[] {
  const every = [...rowsOf(breaks, "rows").map(breakCase), ...rowsOf(exceptions, "rows").map(exceptionCase)];
  return [...every.filter(({ verdict }) => verdict === ""), ...every.filter(({ verdict }) => verdict !== "")];
}

/** How many cases of each kind are open, in their order. */
export function countsByKind(cases: readonly Case[]): [kind: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { kind, verdict } of cases) if (verdict === "") counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts];
}

export type Fact = { readonly name: string; readonly value: string; readonly other?: string };

const QUIET_FIELDS = new Set(["source", "trade_id", "leg", "version"]);

/** The fields of a row, first those in which it differs from the one beside it, with those of that one. */
export function comparedFacts(trade: Row | undefined, stands: Row | undefined): Fact[] {
  if (trade === undefined && stands === undefined) return [];
  const facts = Object.entries({ ...stands, ...trade }).flatMap(([name]): Fact[] => {
    const [here, there] = [valueText(name, trade?.[name]), stands === undefined ? "" : valueText(name, stands[name])];
    if (QUIET_FIELDS.has(name) || (here === "" && there === "")) return [];
    return [{ name: words(name), value: here, ...(stands !== undefined && here !== there && { other: there }) }];
  });
  return [...facts.filter(({ other }) => other !== undefined), ...facts.filter(({ other }) => other === undefined)];
}

/** What else is known of a case, one line each; what is inside others is named by both. */
export function detailFacts(detail: Row | undefined): Fact[] {
  return Object.entries(detail ?? {}).flatMap(([name, value]): Fact[] => {
    if (name === "stands" || value === null) return [];
    if (Array.isArray(value)) {
      const lines = value.map((each) => (isRow(each) ? Object.values(each).map((one) => valueText("", one)).join(" ") : valueText("", each)));
      return lines.length === 0 ? [] : [{ name: words(name), value: lines.join(", ") }];
    }
    if (isRow(value)) return Object.entries(value).map(([inner, each]) => ({ name: `${words(name)}: ${words(inner)}`, value: valueText(inner, each) || "unknown" }));
    return [{ name: words(name), value: valueText(name, value) }];
  });
}

const words = (name: string): string => (name === "ts" ? "executed" : name.replace(/_ts$/, "").replaceAll("_", " "));

function valueText(name: string, value: Json | undefined): string {
  if (value === null || value === undefined || value === "" || (typeof value === "object" && Object.keys(value).length === 0)) return "";
  if (name.endsWith("ts") && typeof value === "number") return new Date(value / 1000).toISOString().replace("T", " ").slice(0, 23) + " UTC";
  return typeof value === "number" ? exactText(value) : typeof value === "string" ? value : JSON.stringify(value);
}
