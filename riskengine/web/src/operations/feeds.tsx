// Sources: alive, what is missing of them, their clocks; and what a person can say of one.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Column } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { session, status } from "../live/engine";
import { painted } from "../live/painting";
import type { Row } from "../store/messages";
import { isRow, isTrue, numberOf, rowsOf, textOf } from "../store/rows";
import { countText, exactText, sizeText, UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { ageText } from "../words/times";
import { ActButton, Said, useActing } from "../live/acting";
import { linesOf, whole, words } from "../amounts/plain_columns";
import { mayOperate } from "../live/rights";

const AHEAD_MS = 1_000;

function standing(row: Row): string {
  if (isTrue(row, "retired")) return "retired";
  if (isTrue(row, "anew")) return "numbers anew";
  if (isTrue(row, "gap")) return "gap";
  return row["alive"] === false ? "silent" : row["alive"] === true ? "alive" : "sends no heartbeats";
}

const toneOf = (row: Row): string => (["numbers anew", "gap", "silent"].includes(standing(row)) ? "alarm" : row["alive"] === true ? "" : "quiet");

/** 3, 7 to 9 */
export function rangesText(row: Row): string {
  const ranges = Array.isArray(row["missing"]) ? row["missing"] : [];
  return ranges.flatMap((range) => (Array.isArray(range) ? [range[0] === range[1] ? String(range[0]) : `${range[0]} to ${range[1]}`] : isRow(range) ? [JSON.stringify(range)] : [])).join(", ");
}

const numberText = (row: Row, id: string): string => (typeof row[id] === "string" ? textOf(row, id) : numberOf(row, id) === null ? UNKNOWN : exactText(numberOf(row, id)));

const COLUMNS: readonly Column[] = [
  words("source", "Source", "Who sends trades, prices or heartbeats", 140, (row) => textOf(row, "source") || "(no name)"),
  words("standing", "Standing", "Whether it is alive and whole: a source that beats is alive until it has been silent for 5 s", 150, standing, { tone: ({ row }) => toneOf(row) }),
  {
    id: "feed_age", label: "Heard", title: "Since its last heartbeat, or its last tick where it sends none", width: 84, tints: false,
    value: ({ row }) => numberOf(row, "age_ms"), text: ({ row }) => ageText(numberOf(row, "age_ms") === null ? null : (numberOf(row, "age_ms") ?? 0) * 1000),
    tone: ({ row }) => (numberOf(row, "age_ms") === null ? "unknown" : ""), hover: ({ row }) => (numberOf(row, "age_ms") === null ? "not heard of since the start" : `${exactText(numberOf(row, "age_ms"))} ms`),
  },
  whole("missing_count", "Missing", "Numbers that it says it has sent and that have not come", 80, "it promises no numbers", "alarm"),
  words("ranges", "Which", "The first ten ranges of missing numbers", 200, rangesText, { elastic: 120 }),
  whole("acknowledged_count", "Known", "Missing numbers that a person knows of", 76, "it promises no numbers"),
  { ...words("last_seq", "Sent", "The number that it says it sent last", 100, (row) => numberText(row, "last_seq")), left: false, hover: ({ row }) => (row["last_seq"] == null ? "it says no numbers" : "") },
  { ...words("received_seq", "Came", "The highest number that has come", 100, (row) => numberText(row, "received_seq")), left: false, hover: ({ row }) => (row["received_seq"] == null ? "no number of it has come" : "") },
  {
    id: "clock_skew_ms", label: "Clock ahead", title: "How far its clock runs ahead of the engine's, by its ticks", width: 104, tints: false,
    value: ({ row }) => numberOf(row, "clock_skew_ms"), text: ({ row }) => (numberOf(row, "clock_skew_ms") === null ? UNKNOWN : `${sizeText(numberOf(row, "clock_skew_ms"))} ms`),
    tone: ({ row }) => (numberOf(row, "clock_skew_ms") === null ? "unknown" : (numberOf(row, "clock_skew_ms") ?? 0) > AHEAD_MS ? "alarm" : ""), hover: ({ row }) => (numberOf(row, "clock_skew_ms") === null ? "it has sent no tick" : ""),
  },
];

const ACTIONS = { acknowledge: "the gap is known: it alarms no more", restart: "it numbers anew", retire: "it is no more" } as const;

export function Feeds(): JSX.Element {
  void painted.value;
  const [chosen, setChosen] = useState<string | null>(null);
  const acting = useActing();
  const seen = useRef("");
  const feeds = rowsOf(status.only, "feeds");
  const paint = (grid: LiveGrid): void => {
    const rows = rowsOf(status.only, "feeds");
    const said = JSON.stringify(rows);
    if (said === seen.current) return;
    seen.current = said;
    grid.show(linesOf(rows, (row) => textOf(row, "source")), "all");
  };
  const act = (action: keyof typeof ACTIONS): void => {
    void acting.send(`v1/feeds/${(chosen ?? "").split("/").map(encodeURIComponent).join("/")}`, { action }, () => ({ well: true, text: `${chosen}: ${ACTIONS[action]}` }));
  };
  return (
    <GridPanel name="feeds" label="Sources" columns={COLUMNS} paint={paint} onSelect={({ key }) => (setChosen(key), acting.clear())} onPick={({ key }) => (setChosen(key), acting.clear())}>
      <span class="quiet">{countText(feeds.length, "source")}</span>
      {mayOperate(session.value) && (chosen === null ? <span class="quiet">choose one to acknowledge a gap, restart its numbers or retire it</span> : (
        <>
          <b>{printable(chosen)}</b>
          {(Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]).map((action) => <ActButton key={action} acting={acting} title={ACTIONS[action]} onClick={() => act(action)}>{action}</ActButton>)}
        </>
      ))}
      <Said acting={acting} />
    </GridPanel>
  );
}
