// The finder: an instrument, node, dealer or layout by a few letters of its name.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { instruments, nodes, useTable } from "../live/engine";
import { chosenPlace } from "../live/place";
import { wantedInstrument } from "../live/wanted";
import { address, go, type Place } from "../settings/address";
import { layoutNames, takeLayout } from "../settings/layouts";
import { textOf } from "../store/rows";
import { printable } from "../words/printable";
import { type Found, ranked } from "./ranking";

export const FINDER = "finder";
const MOST = 12;

export function Finder(): JSX.Element {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const dealers = useTable(open ? { view: "dealers" } : { view: "nodes" });
  const names: Found[] = open
    ? [
        ...[...nodes.rows.values()].map((row) => ({ kind: "node" as const, name: textOf(row, "node") })),
        ...[...dealers.rows.values()].flatMap((row) => ("dealer" in row ? [{ kind: "dealer" as const, name: textOf(row, "dealer") }] : [])),
        ...layoutNames().map((name) => ({ kind: "layout" as const, name })),
        ...[...instruments.value.keys()].map((name) => ({ kind: "instrument" as const, name })),
      ]
    : [];
  const found = ranked(names, text, MOST);
  const close = (): void => {
    setOpen(false);
    setText("");
    setAt(0);
  };
  const press = (event: KeyboardEvent): void => {
    event.stopPropagation();
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const picked = found[at];
    if (step !== 0) setAt(Math.min(Math.max(at + step, 0), found.length - 1));
    else if (event.key === "Enter" && picked !== undefined) {
      close();
      input.current?.blur();
      pick(picked);
    } else if (event.key === "Escape") {
      close();
      input.current?.blur();
    } else return;
    event.preventDefault();
  };
  return (
    <div class="finder">
      <input
        id={FINDER}
        ref={input}
        type="text"
        role="combobox"
        aria-label="Find an instrument, node, dealer or layout"
        aria-expanded={found.length > 0}
        aria-controls="found"
        aria-autocomplete="list"
        {...(found.length > 0 && { "aria-activedescendant": `found-${at}` })}
        placeholder="/ find"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onFocus={() => setOpen(true)}
        onBlur={close}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={press}
      />
      <ul class="popover" id="found" role="listbox" aria-label="Found" hidden={found.length === 0}>
        {found.map((each, place) => (
          <li
            key={`${each.kind} ${each.name}`}
            id={`found-${place}`}
            role="option"
            aria-selected={place === at}
            onMouseDown={(event) => {
              event.preventDefault();
              close();
              pick(each);
            }}
          >
            {printable(each.name || "(no dealer)")} <span class="quiet">{each.kind}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function pick({ kind, name }: Found): void {
  if (kind === "layout") {
    takeLayout(name);
    return;
  }
  if (kind === "instrument") {
    wantedInstrument.value = name;
    go({ view: "ladder", place: chosenPlace() });
    return;
  }
  const place: Place = kind === "node" ? { node: name } : { dealer: name };
  go({ view: address.value.view, place });
}
