// Lists to look things up in: cash by currency, closes, calendars, the audit trail.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { moment, whole, words } from "../amounts/plain_columns";
import type { Column } from "../grid/column";
import { usePainter } from "../amounts/answered";
import { GridPanel } from "../grid/panel";
import { link, session } from "../live/engine";
import type { Query } from "../live/http";
import { painted } from "../live/painting";
import { usePolled } from "../live/polled";
import type { Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { amountText, direction, exactText, sizeText } from "../words/numbers";
import { printable } from "../words/printable";
import { fullTimeText, momentText } from "../words/times";
import { ActButton, Said, useActing } from "../live/acting";
import { Age } from "../live/age";
import { dateText, ofKinds } from "./agenda";
import { outcomeOf } from "./hand_marks";
import { mayOperate } from "../live/rights";
import { PostRecord } from "./post_records";

const SLOW_MS = 15_000;
const DAYS_AHEAD = 45;

function cashColumn(id: string, label: string, title: string, none: string): Column {
  return {
    id, label, title, width: 140, tints: false,
    value: ({ row }) => numberOf(row, id), text: ({ row }) => amountText(numberOf(row, id), preferences.value.compact),
    tone: ({ row }, text) => direction(numberOf(row, id), text), hover: ({ row }) => exactText(numberOf(row, id)) || none,
  };
}

const CASH_COLUMNS: readonly Column[] = [
  words("currency", "Currency", "Of the flow", 110),
  words("bucket", "When", "due: its date is over and it has settled; then today, tom, spot, and dates", 130, (row) => (/^\d/.test(textOf(row, "bucket")) ? dateText(textOf(row, "bucket")) : textOf(row, "bucket"))),
  words("flow_date", "Value date", "When it flows; empty for what has settled", 110, (row) => textOf(row, "value_date")),
  cashColumn("amount", "Amount", "In the currency; comes in where positive", "not known"),
  cashColumn("amount_reporting", "Worth", "The same in the reporting currency", "no rate leads to the reporting currency"),
];

export const Cash = ({ place }: { place: Place }): JSX.Element =>
  "node" in place ? <CashOfNode node={place.node} /> : <section class="panel" aria-label="Cash ladder"><p class="tools quiet">cash is kept of nodes, not of dealers: choose a node</p></section>;

function CashOfNode({ node }: { node: string }): JSX.Element {
  void painted.value;
  const ladder = usePolled("v1/cashladder", { node }, 2 * SLOW_MS);
  const paint = usePainter(ladder, (answer) => rowsOf(answer, "rows"), (row) => `${textOf(row, "currency")} ${textOf(row, "bucket")}`);
  const fixing = rowsOf(ladder.answer, "awaiting_fixing").length;
  return (
    <GridPanel name="cash" label="Cash ladder" columns={CASH_COLUMNS} paint={paint} filters>
      <span>{printable(node)}</span>
      <Age polled={ladder}>{[`${sizeText(numberOf(ladder.answer, "total") ?? 0)} flows`, fixing > 0 ? `${sizeText(fixing)} more await their fixing` : ""].filter(Boolean).join(", ")}</Age>
      {mayOperate(session.value) && <PostRecord key={node} node={node} onDone={() => ladder.again()} />}
    </GridPanel>
  );
}

const CALENDAR_COLUMNS: readonly Column[] = [
  words("date", "Date", "The day", 120, (row) => textOf(row, "date")),
  words("day", "Day", "Which weekday", 110, (row) => dateText(textOf(row, "date"))),
  words("name", "Calendar", "A currency of a spot pair, or the exchange of an instrument", 110),
  words("kind", "Is", "A holiday, or a session that ends early", 110, (row) => textOf(row, "kind").replaceAll("_", " ")),
  words("what", "What", "What it means", 260, undefined, { elastic: 120 }),
];

export function CalendarList(): JSX.Element {
  void painted.value;
  const today = usePolled("v1/today", { ahead: DAYS_AHEAD }, 4 * SLOW_MS);
  const rows = (answer: Row | undefined): Row[] => ofKinds(rowsOf(answer, "rows"), "holiday", "early_close");
  const paint = usePainter(today, rows, (row) => `${textOf(row, "date")} ${textOf(row, "name")}`);
  return (
    <GridPanel name="calendars" label="Calendars" columns={CALENDAR_COLUMNS} paint={paint} filters>
      <span class="quiet">calendars in use, {DAYS_AHEAD} days ahead</span>
      <Age polled={today}>{today.answer === undefined ? "" : `${sizeText(rows(today.answer).length)} days`}</Age>
    </GridPanel>
  );
}

const CLOSE_COLUMNS: readonly Column[] = [
  words("subject", "Close of", "The trading day", 120),
  whole("version", "Version", "Above 1 it supersedes what was published", 76, "not said"),
  moment("ts", "Struck", "When it was written"),
  words("actor", "By", "Who struck it: the engine, or a command before the start", 110),
  whole("official", "Official", "Prices that were loaded as official closes", 84, "not said"),
  whole("closed_positions", "Positions", "Positions in it", 92, "not said"),
  words("content", "Hash", "Of its content, in the audit trail", 260, undefined, { elastic: 120, tone: () => "quiet" }),
];

/** An entry of a struck close as a row. */
function closeRow(entry: Row): Row {
  const detail = rowOf(entry, "detail");
  return { ...entry, version: detail?.["version"] ?? null, official: detail?.["official"] ?? null, closed_positions: detail?.["positions"] ?? null, content: detail?.["content"] ?? "" };
}

export function Closes({ place }: { place: Place }): JSX.Element {
  void painted.value;
  const operates = mayOperate(session.value);
  return operates ? <StruckCloses /> : <LastClose place={place} />;
}

/** For who does not read the audit trail: the newest close alone. */
function LastClose({ place }: { place: Place }): JSX.Element {
  const close = usePolled("v1/closes", { limit: 1, ...place }, SLOW_MS);
  const paint = usePainter(close, (answer) => (answer === undefined ? [] : [{ subject: answer["date"] ?? "", version: answer["version"] ?? null, ts: answer["struck_ts"] ?? null }]), (row) => textOf(row, "subject"));
  return (
    <GridPanel name="closes" label="Closes" columns={CLOSE_COLUMNS} paint={paint}>
      <Age polled={close}>the newest close; the list of all needs the role ops</Age>
    </GridPanel>
  );
}

function StruckCloses(): JSX.Element {
  const entries = usePolled("v1/audit", { kind: "close_struck", limit: 100 }, SLOW_MS);
  const paint = usePainter(entries, (answer) => rowsOf(answer, "rows").map(closeRow), (row) => String(row["audit_seq"]));
  return (
    <GridPanel name="closes" label="Closes" columns={CLOSE_COLUMNS} paint={paint} filters>
      <Age polled={entries}>{entries.answer === undefined ? "" : numberOf(entries.answer, "total") === null ? "the newest 100" : `${sizeText(numberOf(entries.answer, "total"))} struck`}</Age>
      <PostClose onDone={() => entries.again()} />
    </GridPanel>
  );
}

/** An official closing price of a day: its close gets another version within a second. */
function PostClose({ onDone }: { onDone: () => void }): JSX.Element {
  const acting = useActing();
  const [sent, setSent] = useState({ date: "", instrument: "", price: "" });
  const lacks = Object.entries(sent).find(([, value]) => value.trim() === "")?.[0] ?? "";
  const post = async (): Promise<void> => {
    if (lacks !== "") return;
    if (await acting.send("v1/closes", sent, (answer) => outcomeOf(answer, `${sent.instrument} closed at ${sent.price} on ${sent.date}`))) onDone();
  };
  return (
    <form class="line" onSubmit={(event) => { event.preventDefault(); void post(); }}>
      {(["date", "instrument", "price"] as const).map((name) => (
        <input key={name} type="text" name={name} aria-label={`Official close: ${name}`} placeholder={name === "date" ? "yyyy-mm-dd" : name} value={sent[name]} onInput={(event) => setSent({ ...sent, [name]: event.currentTarget.value })} />
      ))}
      <ActButton acting={acting} disabled={lacks !== ""} title={lacks === "" ? "an official close; another price makes a new version" : `name the ${lacks}`} submit>Post close</ActButton>
      <Said acting={acting} />
    </form>
  );
}

const AUDIT_COLUMNS: readonly Column[] = [
  moment("ts", "When", "When the entry was written, in your zone"),
  words("actor", "Who", "The name of a token, engine, followed (rows of other programs), or the user of a command", 110),
  words("kind", "Kind", "What it is about", 120, (row) => textOf(row, "kind").replaceAll("_", " ")),
  words("subject", "Subject", "Which one: a trade, a node, an exception, a day", 200),
  words("said", "Says", "Its detail, without the hashes of rows", 380, (row) => detailText(row), { elastic: 160 }),
  whole("row_count", "Rows", "Rows of trades that it covers", 80, ""),
  { ...whole("audit_seq", "Number", "Its number in the chain", 100, ""), tone: () => "quiet" },
];

function detailText(row: Row): string {
  const { store_seqs: ranges, ...detail } = rowOf(row, "detail") ?? {};
  const rows = Array.isArray(ranges) ? [`rows ${ranges.map((range) => (Array.isArray(range) ? [...new Set(range)].join(" to ") : "")).join(", ")}`] : [];
  return [...rows, ...Object.entries(detail).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)].join("; ").slice(0, 400);
}

/** The kinds that people look for most; the others are found by their name in the header. */
const KINDS = ["verdict", "manual_mark", "booked", "trades", "correction", "repair", "reconcile", "break_comment", "feed", "closes_posted", "close_struck", "cash", "carry", "actions", "instruments", "nodes", "calendars", "start", "login", "refused", "tokens"];

export function Audit({ place }: { place: Place }): JSX.Element {
  void painted.value;
  const [asked, setAsked] = useState<Query>({});
  const trail = usePolled("v1/audit", { limit: 200, ...asked }, SLOW_MS);
  const paint = usePainter(trail, (answer) => rowsOf(answer, "rows"), (row) => String(row["audit_seq"]));
  const total = numberOf(trail.answer, "total");
  const node = "node" in place ? place.node : null;
  const change = (name: string, value: string): void => {
    const { [name]: _, ...others } = asked;
    setAsked(value === "" ? others : { ...others, [name]: value });
  };
  const oldest = rowsOf(trail.answer, "rows").at(-1);
  return (
    <GridPanel name="audit" label="Audit trail" columns={AUDIT_COLUMNS} paint={paint} filters>
      <form class="line" role="search" aria-label="Search the audit trail" onSubmit={(event) => { event.preventDefault(); change("trade", new FormData(event.currentTarget).get("trade")?.toString().trim() ?? ""); }}>
        <select aria-label="Kind of entry" value={String(asked["kind"] ?? "")} onChange={(event) => change("kind", event.currentTarget.value)}>
          <option value="">every kind</option>
          {KINDS.map((kind) => <option key={kind} value={kind}>{kind.replaceAll("_", " ")}</option>)}
        </select>
        <input type="text" name="trade" aria-label="Trade" placeholder="source:trade_id" />
        <button type="submit">Find trade</button>
        {node !== null && <button type="button" aria-pressed={asked["node"] === node} onClick={() => change("node", asked["node"] === node ? "" : node)}>{printable(node)} only</button>}
        {total === null && oldest !== undefined && <button type="button" onClick={() => change("until", String(numberOf(oldest, "ts") ?? ""))} title={`before ${fullTimeText(numberOf(oldest, "ts"))}`}>Older</button>}
        {asked["until"] !== undefined && <button type="button" onClick={() => change("until", "")} title={`before ${momentText(Number(asked["until"]), link.engineNow())} now`}>Newest</button>}
      </form>
      <Age polled={trail}>{trail.answer === undefined ? "" : total === null ? "the newest 200" : `${sizeText(total)} entries`}</Age>
    </GridPanel>
  );
}
