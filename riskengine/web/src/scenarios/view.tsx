// Scenarios: the stress grid and the backtest of a node, and its value at risk with what contributes to it.

import type { JSX } from "preact";
import { painted } from "../live/painting";
import { chosenPlace, nameOf } from "../live/place";
import { Stress } from "./stress";
import { Backtest, VarPanel } from "./var";

export function ScenariosView(): JSX.Element | null {
  void painted.value;
  const place = chosenPlace();
  if (place === null) return null;
  return (
    <div class="scenarios">
      <div class="stacked">
        {"node" in place ? <Stress node={place.node} /> : <Only what="Stress grid" />}
        {"node" in place ? <Backtest node={place.node} /> : <Only what="Backtest of VaR" />}
      </div>
      <VarPanel place={place} name={nameOf(place)} />
    </div>
  );
}

const Only = ({ what }: { what: string }): JSX.Element => (
  <section class="panel" aria-label={what}><p class="tools quiet">{what}: worked out of nodes, not of dealers; choose a node</p></section>
);
