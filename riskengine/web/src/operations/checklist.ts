// The morning as a checklist: each line is well, needs a look, or is not known, with when it was so.

import type { Row } from "../store/messages";
import { isTrue, numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import type { Paragraph } from "../words/manual";
import { countText, sizeText } from "../words/numbers";

export type Standing = "well" | "look" | "unknown";
export type Check = { readonly name: string; readonly standing: Standing; readonly at: number | null; readonly text: string; /** How long it took. */ readonly took?: string; readonly about: Paragraph };

const PHASES: Readonly<Record<string, string>> = {
  lease: "the one writer of the store",
  schema: "tables are there",
  reference: "nodes, instruments, openings",
  marks: "stored marks and closes",
  replay: "every stored trade",
  integrity: "the tree adds up, both roll-ups agree",
  compare: "compared with the store's own sums",
  live: "serves",
};

/** The phases of the start with when each began and how long it took. */
export function phaseChecks(start: Row | undefined): Check[] {
  return rowsOf(start, "phases").map((phase) => {
    const name = textOf(phase, "phase");
    const seconds = numberOf(phase, "seconds");
    const isOver = seconds !== null || name === "live";
    return {
      name,
      standing: isOver ? "well" : "unknown",
      at: numberOf(phase, "started_ts"),
      text: [PHASES[name] ?? "", isOver ? "" : "at work"].filter(Boolean).join(", "),
      took: seconds === null ? "" : `${seconds.toFixed(2)} s`,
      about: `morning#phases.${name}`,
    };
  });
}

/** What the start found, and how things stand now: of the status, the root's row and what is open. */
export function stateChecks(status: Row | undefined, root: Row | undefined, open: number | null): Check[] {
  const start = rowOf(status, "start");
  return [tradesCheck(start), comparedCheck(start), closeCheck(start), reconciliationCheck(rowOf(status, "last_reconciliation")), sourcesCheck(status), pricesCheck(root), workCheck(open)];
}

const liveAt = (start: Row | undefined): number | null => numberOf(rowsOf(start, "phases").find((phase) => textOf(phase, "phase") === "live"), "started_ts");

function tradesCheck(start: Row | undefined): Check {
  const [loaded, total] = [numberOf(start, "trades_loaded"), numberOf(start, "trades_total")];
  const lost = (["unreadable", "unjudged", "openings_left_out"] as const).flatMap((field) => {
    const count = numberOf(start, field) ?? 0;
    return count > 0 ? [`${sizeText(count)} ${field.replaceAll("_", " ")}`] : [];
  });
  const standing: Standing = loaded === null ? "unknown" : lost.length > 0 || loaded !== total ? "look" : "well";
  const text = loaded === null ? "not known yet" : [loaded === total ? countText(loaded, "trade") : `${sizeText(loaded)} of ${countText(total ?? loaded, "trade")}`, `${countText(numberOf(start, "openings") ?? 0, "opening")}`, ...lost].join(", ");
  return { name: "loaded", standing, at: liveAt(start), text, about: "morning#phases" };
}

function comparedCheck(start: Row | undefined): Check {
  const compared = numberOf(start, "compared");
  const mismatches = Array.isArray(start?.["mismatches"]) ? start["mismatches"].length : 0;
  const from = textOf(start, "from_close");
  const refused = textOf(start, "from_close_refused");
  const how = from ? `from the close of ${from}` : refused ? `everything replayed: ${refused}` : "";
  const text = mismatches > 0 ? `${countText(mismatches, "difference")} accepted` : compared === null ? "in the background, not done yet" : `${countText(compared, "position")} compared`;
  return { name: "store", standing: mismatches > 0 ? "look" : compared === null ? "unknown" : "well", at: liveAt(start), text: [text, how].filter(Boolean).join("; "), about: "morning#when-engine-and-store-disagree" };
}

function closeCheck(start: Row | undefined): Check {
  const closed = textOf(start, "closed");
  const madeUp = Array.isArray(start?.["made_up"]) ? start["made_up"].filter((each) => typeof each === "string") : [];
  const text = closed === "" ? "none is struck: the day's P&L is not known" : `${closed}${madeUp.length > 0 ? `; made up at the start: ${madeUp.join(", ")}` : ""}`;
  return { name: "last close", standing: closed === "" ? "look" : "well", at: null, text, about: "closes#the-mark-of-a-close" };
}

function reconciliationCheck(last: Row | undefined): Check {
  const about: Paragraph = "reconciliation#what-the-engine-does-with-breaks";
  if (last === undefined) return { name: "reconciliation", standing: "unknown", at: null, text: "none since the start", about };
  const [found, open] = [numberOf(last, "found"), numberOf(last, "open")];
  const isClean = isTrue(last, "clean");
  const compared = countText(numberOf(last, "compared") ?? 0, "position");
  const text = isClean ? `clean, ${compared}` : `${countText(found ?? 0, "break")} in ${compared}${open === null ? "" : `, ${sizeText(open)} open`}`;
  return { name: "reconciliation", standing: isClean ? "well" : "look", at: numberOf(last, "started_ts"), text, about };
}

function sourcesCheck(status: Row | undefined): Check {
  const feeds = rowsOf(status, "feeds").filter((feed) => !isTrue(feed, "retired"));
  const beating = feeds.filter((feed) => feed["alive"] !== null);
  const faulty = beating.filter((feed) => isTrue(feed, "gap") || isTrue(feed, "anew") || feed["alive"] === false);
  const about: Paragraph = "publishing#heartbeats-and-gaps";
  if (faulty.length > 0) return { name: "sources", standing: "look", at: null, text: `${sizeText(faulty.length)} of ${sizeText(beating.length)} silent or with gaps`, about };
  if (beating.length === 0) return { name: "sources", standing: "unknown", at: null, text: feeds.length === 0 ? "none heard of" : `none of ${sizeText(feeds.length)} beats: silence looks like quiet`, about };
  return { name: "sources", standing: "well", at: null, text: `${countText(beating.length, "source")} beat, none with a gap`, about };
}

function pricesCheck(root: Row | undefined): Check {
  const [unpriced, stale, count] = [numberOf(root, "unpriced_count"), numberOf(root, "stale_count"), numberOf(root, "position_count")];
  const about: Paragraph = "accounting#marks";
  if (unpriced === null || stale === null || count === null) return { name: "prices", standing: "unknown", at: null, text: "not known", about };
  const text = unpriced + stale === 0 ? `all ${countText(count, "position")} priced` : `${sizeText(unpriced)} unpriced, ${sizeText(stale)} stale of ${countText(count, "position")}`;
  return { name: "prices", standing: unpriced + stale === 0 ? "well" : "look", at: null, text, about };
}

function workCheck(open: number | null): Check {
  return { name: "work list", standing: open === null ? "unknown" : open === 0 ? "well" : "look", at: null, text: open === null ? "not read yet" : open === 0 ? "nothing" : countText(open, "open case"), about: "reading#exceptions" };
}
