// How an option was valued: the model, the numbers that went into it, and each term by its formula, exact.

import type { JSX } from "preact";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowsOf, rowOf, textOf } from "../store/rows";
import { UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { fullTimeText } from "../words/times";

/** Facts of the inputs that are said with the spot, or not of interest to people. */
const WITH_SPOT: ReadonlySet<string> = new Set(["spot", "spot_instrument", "spot_source", "spot_ts"]);

export function OptionTerms({ option }: { option: Row }): JSX.Element {
  const inputs = rowOf(option, "inputs") ?? {};
  const others = Object.entries(inputs).filter(([name, value]) => !WITH_SPOT.has(name) && value !== null && typeof value !== "object");
  return (
    <>
      <h3>
        Option <span class={isTrue(option, "stale") ? "stale" : "quiet"}>{printable(modelWords(option))}</span>
      </h3>
      <dl class="terms">
        <div>
          <dt>spot</dt>
          <dd>
            {printable(textOf(inputs, "spot") || UNKNOWN)} <span class="quiet">{printable(spotWords(inputs))}</span>
          </dd>
        </div>
        {others.map(([name, value]) => <Fact key={name} name={name} value={value} />)}
        {rowsOf(option, "terms").map((term, place) => <Fact key={place} name={nameOf(term)} value={resultOf(term)} formula={textOf(term, "formula")} />)}
        {rowsOf(option, "position").map((term, place) => <Fact key={`held ${place}`} name={nameOf(term)} value={resultOf(term)} formula={textOf(term, "formula")} />)}
      </dl>
    </>
  );
}

const nameOf = (term: Row): string => textOf(term, "name");
const resultOf = (term: Row): unknown => term["result"] ?? term["value"];

function Fact({ name, value, formula = "" }: { name: string; value: unknown; formula?: string }): JSX.Element {
  return (
    <div title={printable([`${name}: ${value === null || value === undefined ? UNKNOWN : String(value)}`, formula].filter(Boolean).join(" = "))}>
      <dt>{printable(name.replaceAll("_", " "))}</dt>
      <dd>
        {value === null || value === undefined ? UNKNOWN : printable(String(value))}
        {formula !== "" && <span class="quiet"> {printable(formula)}</span>}
      </dd>
    </div>
  );
}

function modelWords(option: Row): string {
  const parts = [textOf(option, "model") || UNKNOWN, textOf(option, "state"), textOf(option, "reason"), isTrue(option, "stale") && "from an old input"];
  return parts.filter(Boolean).join("; ");
}

function spotWords(inputs: Row): string {
  const source = textOf(inputs, "spot_source");
  return [textOf(inputs, "spot_instrument"), source && `from ${source}`, fullTimeText(numberOf(inputs, "spot_ts"))].filter(Boolean).join(", ");
}
