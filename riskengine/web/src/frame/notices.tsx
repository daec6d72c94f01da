// What a reader must know of the numbers before reading them: a connection that is not live, the engine's own warnings, open
// breaks. The tab's title says the first of it too.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { link, status } from "../live/engine";
import { painted } from "../live/painting";
import type { LinkState } from "../store/link";
import type { Row } from "../store/messages";
import { numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { countText, percentText } from "../words/numbers";
import { GREY, MANUAL_TAB, manualUrl, warningParagraph } from "../words/manual";
import { printable } from "../words/printable";
import { ageText, fullTimeText, momentText } from "../words/times";

/** The sentence of a connection that is not live; empty for one that is. */
export function linkSentence(state: LinkState, asOf: number | null): string {
  const held = asOf === null ? "" : ` Grey numbers are as of ${fullTimeText(asOf)}.`;
  switch (state.name) {
    case "live":
      return "";
    case "silent":
      return `The engine has been silent for ${ageText(state.forMs * 1000)}.${held}`;
    case "hangs":
      return `The engine answers and has published nothing for ${ageText(state.forMs * 1000)}: all numbers are that old.`;
    case "loading":
      return `The engine is ${state.state}${state.phase ? ` (${state.phase})` : ""}${state.progress === null ? "" : `: ${percentText(state.progress * 100)}`}.${held}`;
    case "connecting":
      return asOf === null ? "" : `Connecting to the engine.${held}`;
    case "down":
      return `No connection to the engine; the next try is in ${Math.ceil(state.retryInMs / 1000)} s.${held}`;
  }
}

export function Notices({ state }: { state: LinkState }): JSX.Element {
  void painted.value;
  const [all, setAll] = useState(false);
  const sentence = linkSentence(state, link.connection.asOf);
  const warnings = warningsOf(status.only);
  const [first] = warnings;
  const shown = all ? warnings : first === undefined ? [] : [first];
  return (
    <>
      <p class="banner" role="alert" hidden={sentence === ""}>{printable(sentence)} <a href={manualUrl(GREY)} target={MANUAL_TAB}>manual</a></p>
      <div class="warnings" role="region" aria-label="Warnings" hidden={first === undefined}>
        <ul>
          {shown.map(({ kind, text, since }) => (
            <li key={`${kind} ${text}`}>
              <a href={manualUrl(warningParagraph(kind))} target={MANUAL_TAB} title="What it means and what to do, in the manual">{printable(kind.replaceAll("_", " "))}</a> {printable(text)}
              {since !== null && <span class="since"> since {momentText(since, link.engineNow())}</span>}
            </li>
          ))}
        </ul>
        {warnings.length > 1 && (
          <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "fewer" : `${warnings.length - 1} more`}
          </button>
        )}
      </div>
    </>
  );
}

type Warning = { kind: string; text: string; since: number | null };

/** The engine's warnings, and the breaks that its last reconciliation found. */
export function warningsOf(engine: Row | undefined): Warning[] {
  const found = rowsOf(engine, "warnings").map((row) => ({ kind: textOf(row, "kind"), text: textOf(row, "text"), since: numberOf(row, "since") }));
  if (textOf(engine, "state") === "degraded") {
    found.unshift({ kind: "degraded", text: "the store is away: reads go on, and no trade can be taken", since: null });
  }
  const open = numberOf(rowOf(engine, "last_reconciliation"), "open") ?? 0;
  if (open > 0 && !found.some(({ kind }) => kind.includes("break"))) {
    found.push({ kind: "breaks", text: `the last reconciliation left ${countText(open, "break")} open`, since: null });
  }
  return found;
}
