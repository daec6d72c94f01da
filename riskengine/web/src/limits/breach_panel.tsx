// One breach: what is known of it, and who knows of it. It stays after it has ended.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { measured, measureText, placeText } from "../amounts/limit_rows";
import { ActButton, Said, useActing } from "../live/acting";
import { link, session } from "../live/engine";
import { painted } from "../live/painting";
import { mayComment } from "../live/rights";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { exactText, UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { fullTimeText, momentText } from "../words/times";

const MOST_LETTERS = 2_000;

type Props = { row: Row; focus: number; onClose: () => void; onDone: () => void };

export function BreachPanel({ row, focus, onClose, onDone }: Props): JSX.Element {
  void painted.value;
  const box = useRef<HTMLDivElement>(null);
  const id = textOf(row, "breach_id");
  useEffect(() => {
    if (focus > 0) (box.current?.querySelector<HTMLElement>("input[name=reason]") ?? box.current)?.focus();
  }, [focus, id]);
  const ended = numberOf(row, "ended_ts");
  const known = textOf(row, "acknowledged_by");
  return (
    <section class="panel side ops" aria-label="Breach">
      <div class="tools">
        <h2>{printable(textOf(row, "limit_id"))}</h2>
        <a href={manualUrl("limits#breaches")} target={MANUAL_TAB}>what it means</a>
        <span class="space" />
        <button type="button" onClick={onClose} title="Escape">Close</button>
      </div>
      <div class="scroll case" ref={box} tabIndex={-1} role="group" aria-label="Breach of a limit" onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onClose())}>
        <p class="what">{printable(`${placeText(row)}: ${measureText(row)} ${ended === null ? "is" : "was"} beyond ${measured(textOf(row, "measure"), numberOf(row, "limit"), false)}`)}</p>
        <p class="quiet">{ended === null ? `since ${momentText(numberOf(row, "first_seen_ts"), link.engineNow())}` : `it ended ${momentText(ended, link.engineNow())}`}</p>
        <Acknowledge key={id} row={row} onDone={onDone} />
        {known !== "" && <p>{printable(`acknowledged by ${known}`)} <span class="quiet" title={fullTimeText(numberOf(row, "acknowledged_ts"))}>{momentText(numberOf(row, "acknowledged_ts"), link.engineNow())}</span></p>}
        {textOf(row, "reason") !== "" && <blockquote>{printable(textOf(row, "reason"))}</blockquote>}
        <Facts row={row} />
        <p class="quiet id" title="Its name for good">{printable(id)}</p>
      </div>
    </section>
  );
}

function Acknowledge({ row, onDone }: { row: Row; onDone: () => void }): JSX.Element {
  const acting = useActing();
  const [reason, setReason] = useState("");
  if (!mayComment(session.value)) return <p class="quiet">acknowledging needs the role dealer or ops</p>;
  const isMissing = reason.trim() === "";
  const send = async (): Promise<void> => {
    const path = `v1/breaches/${encodeURIComponent(textOf(row, "breach_id"))}`;
    const said = (answer: Row): { well: boolean; text: string } => ({ well: true, text: `acknowledged by ${textOf(answer, "acknowledged_by") || "you"}, stored` });
    if (!(await acting.send(path, { action: "acknowledge", comment: reason }, said))) return;
    setReason("");
    onDone();
  };
  return (
    <form class="acts" onSubmit={(event) => { event.preventDefault(); if (!isMissing) void send(); }}>
      <input type="text" name="reason" aria-label="Why it may stand" placeholder="why it may stand" maxLength={MOST_LETTERS} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      <div>
        <ActButton acting={acting} disabled={isMissing} title={isMissing ? "say why it may stand first" : "Enter in the field does the same"} submit>Acknowledge</ActButton>
      </div>
      <Said acting={acting} />
    </form>
  );
}

function Facts({ row }: { row: Row }): JSX.Element {
  const moment = (field: string): string => (numberOf(row, field) === null ? "" : fullTimeText(numberOf(row, field)));
  const facts: [string, string][] = [
    ["first seen", moment("first_seen_ts")],
    ["last seen", moment("last_seen_ts")],
    ["worst", exactText(numberOf(row, "worst"))],
    ["worst at", moment("worst_ts")],
    ["bound", exactText(numberOf(row, "limit"))],
    ["severity", textOf(row, "severity")],
    ["version of the limit", exactText(numberOf(row, "version"))],
    ["ended", moment("ended_ts") || "it lasts"],
  ];
  return (
    <table class="facts">
      <thead><tr><th scope="col">What is known</th><th scope="col" class="quiet">exact</th></tr></thead>
      <tbody>{facts.map(([name, value]) => <tr key={name}><th scope="row">{name}</th><td>{printable(value) || UNKNOWN}</td></tr>)}</tbody>
    </table>
  );
}
