// The ladder view: the chosen place's ladder, others kept beside it, and the curve of the place below.

import type { ComponentChildren, JSX } from "preact";
import { Curve } from "../curve/curve";
import { painted } from "../live/painting";
import { chosenPlace, nameOf } from "../live/place";
import { address, choose, type Place, samePlace } from "../settings/address";
import { preferences } from "../settings/preferences";
import { WhatIfPanel } from "../whatif/panel";
import { printable } from "../words/printable";
import { AttributedLadder } from "./attributed";
import { ATTRIBUTES } from "./attributes";
import { GROUPS } from "./groups";
import { Ladder } from "./ladder";

export function LadderView(): JSX.Element | null {
  void painted.value;
  const place = chosenPlace();
  if (place === null) return null;
  const { group = "" } = address.value.choices;
  const isPast = address.value.moment !== null;
  const drawn = !isPast && address.value.choices["whatif"] === "open";
  const beside = readBeside(address.value.choices["beside"] ?? "").filter((other) => !samePlace(other, place));
  return (
    <>
      <div class="ladders">
        <AnyLadder place={place} group={group}>
          <label>
            <span class="quiet">Group by </span>
            <select value={group} onChange={(event) => choose("group", event.currentTarget.value)}>
              <option value="">Instrument</option>
              {Object.entries(ATTRIBUTES).map(([id, label]) => <option key={id} value={id}>{label}</option>)}
              {Object.entries(GROUPS).map(([id, { label }]) => <option key={id} value={id}>{label}</option>)}
            </select>
          </label>
          <button type="button" title="Keep this ladder on the screen beside the next one" onClick={() => choose("beside", writeBeside([...beside, place]))}>
            Keep beside
          </button>
          {!isPast && <button type="button" aria-pressed={drawn} title="Intended trades and shifts, before and after (key w)" onClick={() => choose("whatif", drawn ? "" : "open")}>What if</button>}
        </AnyLadder>
        {beside.map((other) => (
          <AnyLadder key={JSON.stringify(other)} place={other} group={group}>
            <button
              type="button"
              aria-label={`Take away the ladder of ${printable(nameOf(other))}`}
              onClick={() => choose("beside", writeBeside(beside.filter((each) => !samePlace(each, other))))}
            >
              ×
            </button>
          </AnyLadder>
        ))}
      </div>
      {drawn ? <WhatIfPanel place={place} onClose={() => leave(place)} /> : preferences.value.curveShown && <Curve place={place} />}
    </>
  );
}

/** Parts by a column of trades are read over HTTP; everything else a ladder groups by is in its own rows. */
function AnyLadder({ place, group, children }: { place: Place; group: string; children: ComponentChildren }): JSX.Element {
  if (group in ATTRIBUTES && address.value.moment !== null) return <Ladder place={place} group=""><span class="fair">{`by ${group} of now alone: by instrument`}</span>{children}</Ladder>;
  if (!(group in ATTRIBUTES)) return <Ladder place={place} group={group}>{children}</Ladder>;
  return <AttributedLadder key={JSON.stringify([place, group])} place={place} by={group}>{children}</AttributedLadder>;
}

/** Close the drawer and go on where the keyboard was: at the ladder. */
function leave(place: Place): void {
  choose("whatif", "");
  document.querySelector<HTMLElement>(`[aria-label=${CSS.escape(`Ladder of ${printable(nameOf(place))}`)}] .ag-row .ag-cell`)?.focus();
}

/** Places in an address: `node:FX1` and `dealer:ann`, apart by commas. */
export function readBeside(text: string): Place[] {
  return text.split(",").flatMap((word): Place[] => {
    const [kind, name = ""] = word.split(":", 2).map(decodeURIComponent);
    return kind === "node" ? [{ node: name }] : kind === "dealer" ? [{ dealer: name }] : [];
  });
}

export function writeBeside(places: readonly Place[]): string {
  return places.map((place) => ("node" in place ? `node:${encodeURIComponent(place.node)}` : `dealer:${encodeURIComponent(place.dealer)}`)).join();
}
