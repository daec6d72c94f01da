// Why the P&L of a node moved between two instants: a waterfall from one to the other, and below it every instrument.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Line } from "../grid/column";
import { GridPanel } from "../grid/panel";
import { Age } from "../live/age";
import { link } from "../live/engine";
import { painted } from "../live/painting";
import { chosenPlace } from "../live/place";
import { type Polled, usePolled } from "../live/polled";
import { address, choose } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowOf } from "../store/rows";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { amountText, direction, exactText } from "../words/numbers";
import { printable } from "../words/printable";
import { momentText } from "../words/times";
import { EXPLAIN_COLUMNS } from "./columns";
import { instrumentLines, readInstant, reservations, type Step, waterfall } from "./waterfall";

/** Until now from the last close is one snapshot; other spans are engines made for the question, and do not change by themselves. */
const DAY_EVERY_MS = 3_000;
const SPAN_EVERY_MS = 120_000;
const MOST_ROWS = 10_000;

export function ExplainView(): JSX.Element | null {
  void painted.value;
  const place = chosenPlace();
  if (place === null) return null;
  if (!("node" in place)) return <section class="panel" aria-label="Explain"><p class="tools quiet">P&L is explained of nodes, not of dealers; choose a node</p></section>;
  return <Explained node={place.node} />;
}

function Explained({ node }: { node: string }): JSX.Element {
  void painted.value;
  const { from = "", to = "" } = address.value.choices;
  const polled = usePolled("v1/explain", { node, limit: MOST_ROWS, ...(from !== "" && { from }), ...(to !== "" && { to }) }, from === "" && to === "" ? DAY_EVERY_MS : SPAN_EVERY_MS);
  const { answer } = polled;
  const said = answer === undefined ? [] : reservations(answer);
  return (
    <>
      <section class="panel explain" aria-label="Waterfall">
        <div class="tools">
          <h2>P&L of {printable(node)} explained</h2>
          <Span key={`${from} ${to}`} from={from} to={to} />
          <Age polled={polled}>{answer === undefined ? "" : endsText(answer)}</Age>
        </div>
        {said.length > 0 && <p class={`notes ${answer?.["alarmed"] === true ? "alarm" : "fair"}`} role="status">{printable(said.join("; "))}</p>}
        {answer === undefined ? <p class="notes quiet">{polled.problem === "" ? "reading\u2026" : ""}</p> : <Waterfall steps={waterfall(answer)} />}
      </section>
      <Instruments polled={polled} />
    </>
  );
}

function endsText(answer: Row): string {
  const [from, to] = [rowOf(answer, "from"), rowOf(answer, "to")];
  return `from ${momentText(numberOf(from, "ts"), link.engineNow())} to ${momentText(numberOf(to, "ts"), link.engineNow())}`;
}

/** The two instants as they are typed; Enter asks. */
function Span({ from, to }: { from: string; to: string }): JSX.Element {
  const [typed, setTyped] = useState({ from, to });
  const [wrong, setWrong] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const now = link.clockNow() ?? Date.now() * 1000;
    const [first, last] = [readInstant(typed.from, now), readInstant(typed.to, now)];
    setWrong(first === null || last === null ? "write a date (its close), or a time such as 14:32 or 2026-11-27 14:32" : "");
    if (first === null || last === null) return;
    choose("from", first);
    choose("to", last);
  };
  return (
    <form class="line" role="search" aria-label="Between which instants" onSubmit={submit}>
      {(["from", "to"] as const).map((end) => (
        <label key={end}>
          <span class="quiet">{end} </span>
          <input type="text" name={end} aria-invalid={wrong !== ""} placeholder={end === "from" ? "last close" : "now"} value={typed[end]} onInput={(event) => setTyped({ ...typed, [end]: event.currentTarget.value })} />
        </label>
      ))}
      <button type="submit">Explain</button>
      {(from !== "" || to !== "") && <button type="button" onClick={() => (choose("from", ""), choose("to", ""))}>Today</button>}
      {wrong !== "" && <span class="alarm" role="alert">{wrong}</span>}
    </form>
  );
}

const PERCENT = 100;

function Waterfall({ steps }: { steps: readonly Step[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="From one instant to the other">
      <table class="waterfall">
        <thead>
          <tr>
            <th scope="col">Line <a class="about" href={manualUrl("explain#lines")} target={MANUAL_TAB} aria-label="The lines in the manual">?</a></th>
            <th scope="col" class="right">P&L</th>
            <th scope="col">From one to the other; the scale need not begin at 0</th>
          </tr>
        </thead>
        <tbody>{steps.map((step) => <StepRow key={step.id} step={step} />)}</tbody>
      </table>
    </div>
  );
}

function StepRow({ step: { id, label, title, kind, value, from, to } }: { step: Step }): JSX.Element {
  const text = amountText(value, preferences.value.compact);
  const [left, width] = [Math.min(from, to), Math.abs(to - from)];
  return (
    <tr class={kind} data-step={id}>
      <th scope="row" title={title}>{kind === "line" ? <a href={manualUrl(`explain#lines.${id}`)} target={MANUAL_TAB}>{label}</a> : printable(label)}</th>
      <td class={`right ${direction(value, text)}`} title={value === null ? "nothing of it is known" : exactText(value)}>{text}</td>
      <td class={direction(value, exactText(value))}>
        {value !== null && <span class="step" aria-hidden="true" style={{ "--left": `${(left * PERCENT).toFixed(2)}%`, "--width": `${(width * PERCENT).toFixed(2)}%` }} />}
      </td>
    </tr>
  );
}

function Instruments({ polled }: { polled: Polled }): JSX.Element {
  const seen = useRef<unknown>(null);
  const latest = useRef(polled);
  latest.current = polled;
  return (
    <GridPanel
      name="explain"
      label="P&L explained by instrument"
      columns={EXPLAIN_COLUMNS}
      filters
      paint={(grid) => {
        const { answer } = latest.current;
        if (seen.current === (answer ?? "none")) return;
        seen.current = answer ?? "none";
        grid.show(instrumentLines(answer), "all");
        grid.pin(answer === undefined ? [] : [totalLine(answer)]);
      }}
    >
      <h2>Instruments</h2>
    </GridPanel>
  );
}

/** The engine's own sums, which the lines below add up to. */
function totalLine(answer: Row): Line {
  const row = { ...rowOf(answer, "lines"), instrument: "All", net_pnl: answer["net_pnl"] ?? null };
  return { key: "total", kind: "total", row, parent: "", level: 0, open: null, place: 0 };
}
