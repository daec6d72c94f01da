// Marks that people set by hand: those in force, a line to set one, and the end of one.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { decimalsOf } from "../amounts/instruments";
import type { Column } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { instruments, link, session } from "../live/engine";
import { painted } from "../live/painting";
import { usePolled } from "../live/polled";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { exactText, priceText, sizeText } from "../words/numbers";
import { printable } from "../words/printable";
import { momentText } from "../words/times";
import { ActButton, Said, useActing, type Outcome } from "../live/acting";
import { Age } from "../live/age";
import { linesOf, moment, words } from "../amounts/plain_columns";
import { mayOperate } from "../live/rights";

const EVERY_MS = 4_000;
const MOST = 1_000_000;
const MINUTE_US = 60_000_000;

const COLUMNS: readonly Column[] = [
  words("instrument", "Instrument", "What the price is of", 140),
  {
    id: "price", label: "Mark", title: "The price that values it, in the cash currency", width: 110, tints: false,
    value: ({ row }) => numberOf(row, "price"), text: ({ row }) => priceText(numberOf(row, "price"), decimalsOf(row)), hover: ({ row }) => `${exactText(numberOf(row, "price"))} ${textOf(row, "currency")}`,
  },
  words("author", "Set by", "Who set it", 110),
  words("reason", "Why", "What the author said", 280, undefined, { elastic: 120 }),
  moment("ts", "Of", "Its event time"),
  moment("expires_ts", "Holds until", "Until when it holds against the feeds", "a newer price replaces it"),
];

/** How long a mark holds against the feeds: minutes; 0: until a newer price comes. */
const HOLDS: readonly [minutes: number, words: string][] = [[0, "until a newer price"], [15, "for 15 min"], [60, "for 1 h"], [240, "for 4 h"], [720, "for 12 h"]];

export function HandMarks(): JSX.Element {
  void painted.value;
  const marks = usePolled("v1/marks", { limit: MOST }, EVERY_MS);
  const [chosen, setChosen] = useState<string | null>(null);
  const seen = useRef(-1);
  const byHand = rowsOf(marks.answer, "rows").filter((row) => textOf(row, "author") !== "");
  const paint = (grid: LiveGrid): void => {
    if (seen.current === marks.version) return;
    seen.current = marks.version;
    grid.show(linesOf(rowsOf(marks.answer, "rows").filter((row) => textOf(row, "author") !== ""), (row) => textOf(row, "instrument")), "all");
  };
  return (
    <GridPanel name="hand-marks" label="Marks by hand" columns={COLUMNS} paint={paint} onSelect={({ key }) => setChosen(key)} onPick={({ key }) => setChosen(key)}>
      <Age polled={marks}>{marks.answer === undefined ? "" : byHand.length === 0 ? "none in force" : `${sizeText(byHand.length)} in force`}</Age>
      {mayOperate(session.value) && <SetMark chosen={chosen} onDone={() => marks.again()} />}
    </GridPanel>
  );
}

function SetMark({ chosen, onDone }: { chosen: string | null; onDone: () => void }): JSX.Element {
  const acting = useActing();
  const [sent, setSent] = useState({ instrument: "", price: "", reason: "", minutes: 0 });
  const known = instruments.value.get(sent.instrument);
  const lacks = sent.instrument.trim() === "" ? "name an instrument" : sent.price.trim() === "" ? "name a price" : sent.reason.trim() === "" ? "say why" : "";
  const send = async (body: Row, said: string): Promise<void> => {
    if (await acting.send("v1/marks", body, (answer) => outcomeOf(answer, said))) {
      setSent({ ...sent, price: "", reason: "" });
      onDone();
    }
  };
  const now = (): number => Math.round(link.engineNow() ?? Date.now() * 1000);
  const set = (): void => {
    if (lacks !== "") return;
    const ts = now();
    const expires = sent.minutes === 0 ? {} : { expires_ts: ts + sent.minutes * MINUTE_US };
    void send({ instrument: sent.instrument.trim(), ts, price: sent.price.trim(), reason: sent.reason.trim(), ...expires }, `${sent.instrument.trim()} is marked at ${sent.price.trim()}${sent.minutes === 0 ? "" : ` until ${momentText(ts + sent.minutes * MINUTE_US, ts)}`}`);
  };
  return (
    <form class="line" onSubmit={(event) => { event.preventDefault(); set(); }}>
      <input type="text" name="instrument" aria-label="Instrument" placeholder="instrument" list="known-instruments" value={sent.instrument} onInput={(event) => setSent({ ...sent, instrument: event.currentTarget.value })} />
      <datalist id="known-instruments">{[...instruments.value.keys()].map((name) => <option key={name} value={name}>{printable(name)}</option>)}</datalist>
      <input type="text" name="price" aria-label="Price" inputMode="decimal" placeholder={known === undefined ? "price" : `price in ${printable(textOf(known, "currency"))}`} value={sent.price} onInput={(event) => setSent({ ...sent, price: event.currentTarget.value })} />
      <input type="text" name="reason" aria-label="Reason" placeholder="why" value={sent.reason} onInput={(event) => setSent({ ...sent, reason: event.currentTarget.value })} />
      <select aria-label="Holds" value={sent.minutes} onChange={(event) => setSent({ ...sent, minutes: Number(event.currentTarget.value) })}>
        {HOLDS.map(([minutes, said]) => <option key={minutes} value={minutes}>{said}</option>)}
      </select>
      <ActButton acting={acting} disabled={lacks !== ""} title={lacks || "Enter does the same"} submit>Set</ActButton>
      {chosen !== null && <ActButton acting={acting} title="A price of the feeds takes its place" onClick={() => void send({ instrument: chosen, ts: now(), action: "clear", reason: sent.reason.trim() }, `the mark of ${chosen} by hand has ended`)}>End {printable(chosen)}</ActButton>}
      <Said acting={acting} />
    </form>
  );
}

/** The first result says what became of the one mark that was sent. */
export function outcomeOf(answer: Row, said: string): Outcome {
  const [result] = rowsOf(answer, "results");
  const status = textOf(result, "status");
  if (status === "applied") return { well: true, text: said };
  return { well: false, text: [status || "no result", textOf(result, "reason")].filter(Boolean).join(": ") };
}
