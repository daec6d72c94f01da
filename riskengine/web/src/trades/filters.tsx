// The filters of the trade blotter. They stand in the address, so that a link shows somebody else the same trades.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { instruments } from "../live/engine";
import { childrenByParent } from "../live/place";
import { choose, type Place } from "../settings/address";
import type { Row } from "../store/messages";
import { textOf } from "../store/rows";
import { printable } from "../words/printable";
import { choiceOf, isFiltered, NO_FILTERS, STATUSES, type TradeFilters } from "./query";

type Name = Exclude<keyof TradeFilters, "desk" | "status">;

const NAMES: readonly [Name, string][] = [["dealer", "Dealer"], ["instrument", "Instrument"], ["counterparty", "Counterparty"], ["source", "Source"]];
const MOST_CHOICES = 400;

export function Filters({ place, filters, rows }: { place: Place; filters: TradeFilters; rows: readonly Row[] }): JSX.Element {
  const desks = leavesBelow(place);
  return (
    <div class="filters" role="group" aria-label="Which trades" onKeyDown={(event) => event.stopPropagation()}>
      {desks.length > 1 && (
        <select aria-label="Desk" value={filters.desk} onChange={(event) => choose(choiceOf("desk"), event.currentTarget.value)}>
          <option value="">every desk</option>
          {desks.map((desk) => <option key={desk} value={desk}>{printable(desk)}</option>)}
        </select>
      )}
      {NAMES.filter(([name]) => name !== "dealer" || !("dealer" in place)).map(([name, label]) => (
        <NameFilter key={name} name={name} label={label} value={filters[name]} choices={choicesOf(name, rows)} />
      ))}
      <select aria-label="Status" value={filters.status} onChange={(event) => choose(choiceOf("status"), event.currentTarget.value)}>
        {STATUSES.map((status) => <option key={status} value={status}>{status || "any status"}</option>)}
      </select>
      {isFiltered(filters) && <button type="button" onClick={clear}>All</button>}
    </div>
  );
}

type NameProps = { name: Name; label: string; value: string; choices: readonly string[] };

/** A name, taken with Enter or when the field is left. */
function NameFilter({ name, label, value, choices }: NameProps): JSX.Element {
  const [written, setWritten] = useState(value);
  useEffect(() => setWritten(value), [value]);
  const take = (text: string): void => choose(choiceOf(name), text.trim());
  return (
    <>
      <input type="text" aria-label={label} placeholder={label} list={`filter-${name}`} value={written} spellcheck={false} autocomplete="off"
        onInput={(event) => {
          setWritten(event.currentTarget.value);
          if (choices.includes(event.currentTarget.value) || event.currentTarget.value === "") take(event.currentTarget.value);
        }}
        onChange={(event) => take(event.currentTarget.value)} />
      <datalist id={`filter-${name}`}>{choices.map((choice) => <option key={choice} value={choice}>{printable(choice)}</option>)}</datalist>
    </>
  );
}

function clear(): void {
  for (const name of Object.keys(NO_FILTERS) as (keyof TradeFilters)[]) choose(choiceOf(name), "");
}

/** What is on the screen, and every instrument. */
function choicesOf(name: Name, rows: readonly Row[]): string[] {
  const names = name === "instrument" ? [...instruments.value.keys()] : [...new Set(rows.map((row) => textOf(row, name)))];
  return names.filter((each) => each !== "").toSorted().slice(0, MOST_CHOICES);
}

function leavesBelow(place: Place): string[] {
  const children = childrenByParent();
  const found: string[] = [];
  const visit = (node: string): void => {
    const below = children.get(node) ?? [];
    if (below.length === 0 && node !== "") found.push(node);
    for (const child of below) visit(textOf(child, "node"));
  };
  visit("node" in place ? place.node : "");
  return found;
}
