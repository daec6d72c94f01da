// Of which snapshot the parts of a ladder are, and how old: they are read, and not streamed.

import type { JSX } from "preact";
import { painted } from "../live/painting";
import type { Polled } from "../live/polled";
import { numberOf } from "../store/rows";
import { printable } from "../words/printable";

/** Beyond this the numbers are said to be old. */
const OLD_MS = 5_000;

export function PartsAge({ polled }: { polled: Polled }): JSX.Element {
  void painted.value;
  const { ageMs, problem, answer } = polled;
  if (ageMs === null) return problem === "" ? <span class="quiet">reading the trades…</span> : <span class="alarm" role="alert">not read: {printable(problem)}</span>;
  const old = ageMs > OLD_MS;
  return (
    <span class={old ? "alarm" : "quiet"} title="All lines and the total are of this snapshot">
      of snapshot {numberOf(answer, "seq")}, {old ? `${Math.floor(ageMs / 1000)} s old` : "read each second"}
      {problem !== "" && `; not read again: ${printable(problem)}`}
    </span>
  );
}
