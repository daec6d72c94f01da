// What stands around every view: where the user is, the views, the finder, the lights, the notices and the tree.

import type { ComponentType, JSX } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { link, linkState, nodes, status } from "../live/engine";
import { painted } from "../live/painting";
import { chosenPlace, nameOf, pathTo, totalsOf } from "../live/place";
import { momentWords, NOT_OF_MOMENTS, toldMoment } from "../live/moment";
import { startNotifications } from "../notifications/notify";
import { address, go, stand } from "../settings/address";
import { taken } from "../settings/layouts";
import { preferences } from "../settings/preferences";
import type { LinkState } from "../store/link";
import { numberOf } from "../store/rows";
import { amountText } from "../words/numbers";
import { printable } from "../words/printable";
import { timeText } from "../words/times";
import { Finder } from "./finder";
import { listenToKeys } from "./keys";
import { LightButtons } from "./light_buttons";
import { lightsOf } from "./lights";
import { MomentBar } from "./moment_bar";
import { Notices } from "./notices";
import { seen } from "./seen";
import { SettingsMenu } from "./settings_menu";
import { Tree } from "./tree";

/** A view: its name in the address, its label, and what it draws. Its key is its place in the list. */
export type View = {
  readonly id: string;
  readonly label: string;
  readonly Draw: ComponentType;
  /** Whether it can show a moment of the past. */
  readonly hasMoments?: true;
};

export function Frame({ views }: { views: readonly View[] }): JSX.Element {
  const [menu, setMenu] = useState(false);
  useLayoutEffect(() => listenToKeys(views.map(({ id }) => id), () => setMenu((open) => !open)), [views]);
  useEffect(() => startNotifications(() => lightsOf(seen())), []);
  void painted.value;
  const state = linkState();
  const lights = lightsOf(seen());
  const view = views.find(({ id }) => id === address.value.view) ?? views[0];
  stamp(state, lights.prices.look === "bad");

  return (
    <>
      <header class="top">
        <h1>riskengine</h1>
        <nav aria-label="Views">
          {views.map(({ id, label }, place) => (
            <button key={id} type="button" {...(id === view?.id && { "aria-current": "page" as const })} title={`Key ${place + 1}`} onClick={() => go({ view: id, choices: {} })}>
              {label}
            </button>
          ))}
        </nav>
        <Breadcrumb />
        <Finder />
        <LightButtons lights={lights} />
        <SettingsMenu open={menu} onToggle={() => setMenu(!menu)} />
      </header>
      <Notices state={state} />
      <MomentBar />
      <div class={`body ${preferences.value.treeShown ? "" : "without-tree"}`}>
        {preferences.value.treeShown && <aside aria-label="Organisation"><Tree /><Cut /></aside>}
        <main>{nodes.filled && view !== undefined ? <Drawn key={`${view.id} ${taken.value}`} view={view} /> : <Waiting state={state} />}</main>
      </div>
    </>
  );
}

/** A view, or of a moment that it has not: that it is of now alone. */
function Drawn({ view }: { view: View }): JSX.Element {
  if (address.value.moment === null || view.hasMoments === true) return <view.Draw />;
  return (
    <div class="waiting" role="status">
      <p>{view.label} is {NOT_OF_MOMENTS}.</p>
      <p><button type="button" class="strong" onClick={() => stand(null)}>Back to live</button></p>
    </div>
  );
}

function Breadcrumb(): JSX.Element {
  void painted.value;
  const place = chosenPlace();
  const path = place === null ? [] : "node" in place ? pathTo(place.node) : [];
  return (
    <nav class="path" aria-label="Where you are">
      {place !== null && "dealer" in place && <span>Dealers {"\u203a"} <b>{printable(nameOf(place))}</b></span>}
      {path.map((node, at) =>
        at === path.length - 1 ? (
          <b key={node} aria-current="location">{printable(node)}</b>
        ) : (
          <span key={node}><button type="button" onClick={() => go({ place: { node } })}>{printable(node)}</button> {"\u203a"} </span>
        ),
      )}
    </nav>
  );
}

/** Of which moment all numbers on the screen are. */
function Cut(): JSX.Element {
  void painted.value;
  const { epoch, seq, asOf, reportingCurrency } = link.connection;
  const told = toldMoment.value;
  if (address.value.moment !== null) return <p class="cut" title="All numbers on the screen are of this moment">{reportingCurrency}, {printable(momentWords())}, not live{told === null ? "" : `, snapshot ${told.epoch}.${told.seq}`}</p>;
  if (asOf === null) return <p class="cut" />;
  return <p class="cut" title="All numbers on the screen are of this snapshot">{reportingCurrency}, {timeText(asOf)}, snapshot {epoch}.{seq}</p>;
}

function Waiting({ state }: { state: LinkState }): JSX.Element {
  const progress = state.name === "loading" ? state.progress : null;
  return (
    <div class="waiting" role="status">
      {state.name === "loading" ? (
        <>
          <p>The engine is {state.state}{state.phase && `: ${printable(state.phase)}`}. Numbers come when it is live.</p>
          <progress aria-label="Morning start" {...(progress !== null && { value: progress })} max={1} />
          <p id="progress">{progress === null ? "" : `${Math.floor(progress * 100)} %`}</p>
        </>
      ) : (
        <p>{state.name === "live" ? "Fetching rows\u2026" : state.name === "connecting" ? "Connecting\u2026" : "No connection to the engine."}</p>
      )}
    </div>
  );
}

/** What style sheet, tab and tests read off the page. */
function stamp(state: LinkState, pricesOld: boolean): void {
  const { dataset } = document.body;
  const inStep = [...link.connection.tables.values()].every((table) => table.synced || table.refusal !== "");
  dataset["link"] = state.name;
  dataset["prices"] = pricesOld ? "old" : "live";
  dataset["inStep"] = String(inStep);
  dataset["cut"] = `${link.connection.epoch}.${link.connection.seq}`;
  dataset["engine"] = String(status.only?.["state"] ?? "");
  const past = address.value.moment === null ? "" : momentWords();
  dataset["moment"] = past;
  document.body.style.setProperty("--moment", past === "" ? '""' : `" \u00b7 ${past.replace("as of ", "")}, not live"`);
  document.title = past === "" ? title(state) : `\u23f1 ${past} \u00b7 riskengine`;
}

function title(state: LinkState): string {
  const place = chosenPlace();
  if (state.name === "loading") return `loading${state.progress === null ? "" : ` ${Math.floor(state.progress * 100)} %`} \u00b7 riskengine`;
  if (state.name !== "live") return `\u26a0 ${state.name === "hangs" ? "engine hangs" : "not live"} \u00b7 riskengine`;
  if (place === null || !("node" in place)) return `${place === null ? "" : `${printable(nameOf(place))} \u00b7 `}riskengine`;
  const value = numberOf(totalsOf(place, null), preferences.value.period === "day" ? "day_pnl" : "total_pnl");
  return `${amountText(value, true)} ${printable(place.node)} \u00b7 riskengine`;
}
