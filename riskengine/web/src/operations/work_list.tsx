// The work list: what is wrong, since when, where, and what a person said of it.

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Column } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import type { Polled } from "../live/polled";
import { choose } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { sizeText } from "../words/numbers";
import { Age } from "../live/age";
import type { Case } from "./cases";
import { linesOf, moment, words } from "../amounts/plain_columns";

const verdictText = (row: Row): string => [textOf(row, "verdict"), textOf(row, "by") && `by ${textOf(row, "by")}`].filter(Boolean).join(" ");

const COLUMNS: readonly Column[] = [
  { ...words("kind", "Kind", "What it is: an exception by its kind, or a break between engine and store", 124, (row) => textOf(row, "kind").replaceAll("_", " ")), tone: ({ row }) => (textOf(row, "verdict") === "" ? "alarm" : "quiet") },
  { ...moment("since", "Since", "When it was first seen, in your zone", "nobody noted since when"), width: 104 },
  words("instrument", "Instrument", "What it is about", 108),
  words("where", "Where", "Desk and dealer of the trade, or the owner of the position", 120),
  words("what", "What", "What is wrong, in the engine's words", 340, undefined, { elastic: 200 }),
  words("said", "Verdict", "What a person decided, and who; empty while it is open", 104, verdictText),
  words("comment", "Comment", "What a person wrote", 160, undefined, { optional: 1_100 }),
];

/** A case as a row of its grid. */
const rowOf = (one: Case): Row => ({ kind: one.kind, since: one.since, instrument: one.instrument, where: one.where, what: one.what, verdict: one.verdict, by: one.by, comment: one.comment, key: one.key });

type Props = {
  /** Another list whenever it has changed. */
  listed: readonly Case[];
  kind: string;
  all: boolean;
  exceptions: Polled;
  breaks: Polled;
  chosen: string;
  onChoose: (key: string, focus: boolean) => void;
};

export function WorkList({ listed, kind, all, exceptions, breaks, chosen, onChoose }: Props): JSX.Element {
  const shown = useRef<{ listed: readonly Case[]; chosen: string } | null>(null);
  const paint = (grid: LiveGrid): void => {
    if (shown.current?.listed === listed && shown.current.chosen === chosen) return;
    shown.current = { listed, chosen };
    grid.show(linesOf(listed.map(rowOf), (row) => textOf(row, "key")).map((line) => ({ ...line, open: line.key === chosen })), "all");
  };
  const cut = [exceptions, breaks].some(({ answer }) => (numberOf(answer, "total") ?? 0) > rowsOf(answer, "rows").length);
  return (
    <GridPanel name="cases" label="Work list" columns={COLUMNS} paint={paint} filters onToggle={({ key, open }) => onChoose(open === true ? "" : key, true)} onSelect={({ key }) => onChoose(key, false)} onPick={({ key }) => onChoose(key, true)}>
      <h2>Work list</h2>
      <div role="group" aria-label="Cases" class="switch">
        <button type="button" aria-pressed={!all} onClick={() => choose("cases", "")}>Open</button>
        <button type="button" aria-pressed={all} onClick={() => choose("cases", "all")}>All</button>
      </div>
      {kind !== "" && <button type="button" onClick={() => choose("kind", "")} title="All kinds again">{kind.replaceAll("_", " ")} {"\u00d7"}</button>}
      <Age polled={exceptions.problem === "" ? breaks.problem === "" ? exceptions : breaks : exceptions}>
        {exceptions.answer === undefined ? "" : `${sizeText(listed.length)}${cut ? ` among the first ${sizeText(rowsOf(exceptions.answer, "rows").length)} of ${sizeText(numberOf(exceptions.answer, "total"))}` : ""}${chosen === "" ? "; Enter opens a case" : ""}`}
      </Age>
    </GridPanel>
  );
}
