// How old a read is, or why there is none: beside the heading of what it shows.

import type { JSX } from "preact";
import { painted } from "./painting";
import type { Polled } from "./polled";
import { printable } from "../words/printable";

/** Whole seconds: nothing on the page moves more often for it. */
const wholeText = (ms: number): string => (ms < 120_000 ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`);

export function Age({ polled, children = "" }: { polled: Polled; children?: string }): JSX.Element {
  void painted.value;
  const age = polled.ageMs;
  const read = age === null ? (polled.problem === "" ? "reading\u2026" : "") : `read ${wholeText(age)} ago`;
  return (
    <span class="quiet">
      {[children, read].filter(Boolean).join(", ")}
      {polled.problem !== "" && <span class="alarm"> not read: {printable(polled.problem)}</span>}
    </span>
  );
}
