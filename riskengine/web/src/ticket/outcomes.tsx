// What became of what was booked here, newest first. It stands right above the trades, where the row appears.

import type { JSX } from "preact";
import { printable } from "../words/printable";
import { timeText } from "../words/times";
import { itemWords } from "./booking";
import { forget, keyOf, send, sent } from "./sent";

export function Outcomes(): JSX.Element {
  return (
    <ul class="outcomes" role="status" aria-label="What became of it">
      {sent.value.map(({ item, at, fate, waiting }) => (
        <li key={keyOf(item)} class={`fate-${fate?.tone ?? "quiet"}`} data-status={fate?.status}>
          <span class="quiet">{timeText(at * 1000)}</span> <b>{fate?.words}</b>
          <span>{printable(itemWords(item))}{fate?.reason ? `: ${printable(fate.reason)}` : ""}</span>
          <span class="quiet"> {printable(String(item["trade_id"]))}</span>
          {fate?.status === "unanswered" && <button type="button" disabled={waiting} onClick={() => void send(item)}>Send again</button>}
          {!waiting && <button type="button" aria-label={`Take away what is said of ${printable(String(item["trade_id"]))}`} onClick={() => forget(item)}>{"\u00d7"}</button>}
        </li>
      ))}
    </ul>
  );
}
