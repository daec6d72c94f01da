// The stress grid: what a node would be worth at moves of spot times moves of vol, as a heat map that arrows walk through.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { Age } from "../live/age";
import { instruments, link } from "../live/engine";
import { painted } from "../live/painting";
import { usePosted } from "../live/polled";
import { address, choose } from "../settings/address";
import { preferences } from "../settings/preferences";
import { textOf } from "../store/rows";
import { reservations } from "../whatif/answers";
import { scopeOf } from "../whatif/typed";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { amountText, direction, distanceText, exactText, percentText } from "../words/numbers";
import { printable } from "../words/printable";
import { axesOf, type Heat, heatOf, moved, movesVol, rangeOf, SHOWN, SPOT_RANGES, strength, USUAL, VOL_RANGES } from "./heat";

const EVERY_MS = 15_000;
const PERCENT = 100;

export function Stress({ node }: { node: string }): JSX.Element {
  void painted.value;
  const { choices } = address.value;
  const [spotRange, volRange] = [rangeOf(choices["spot"], SPOT_RANGES, USUAL.spot), rangeOf(choices["vol"], VOL_RANGES, USUAL.vol)];
  const [field, , title] = SHOWN.find(([name]) => name === choices["stress"]) ?? SHOWN[0] ?? ["change", "", ""];
  const typed = choices["move"] ?? "";
  const scope = typed === "" ? { all: true } : scopeOf(typed.split(/\s+/), namesNow());
  const axes = axesOf(spotRange, volRange);
  const today = new Date((link.engineNow() ?? 0) / 1000).toISOString().slice(0, 10);
  const hasVol = movesVol(scope ?? {}, instruments.value.values(), today);
  const posted = usePosted("v1/whatif", { nodes: [node], grid: { ...axes, ...(!hasVol && { vol: [0] }), ...(scope ?? { all: true }) } }, EVERY_MS);
  const heat = heatOf(posted.answer, field);
  const said = posted.answer === undefined ? [] : reservations(posted.answer);
  return (
    <section class="panel stress" aria-label="Stress grid">
      <div class="tools">
        <h2>Stress of {printable(node)}</h2>
        <a href={manualUrl("whatif#shifts")} target={MANUAL_TAB} title="Shifts, in the manual" class="about" aria-label="The stress grid in the manual">?</a>
        <div role="group" aria-label="Shown" class="switch">
          {SHOWN.map(([name, label, about]) => <button key={name} type="button" title={about} aria-pressed={name === field} onClick={() => choose("stress", name === "change" ? "" : name)}>{label}</button>)}
        </div>
        <span><span class="quiet">spot </span><Range label="Widest move of spot" value={spotRange} choices={SPOT_RANGES} usual={USUAL.spot} name="spot" unit=" %" /></span>
        <span><span class="quiet">vol </span><Range label="Widest move of vol" value={volRange} choices={VOL_RANGES} usual={USUAL.vol} name="vol" unit=" pts" /></span>
        <MoveBox key={typed} typed={typed} wrong={scope === null} />
        <Age polled={posted}>{hasVol ? title : `${title}; no vol to move: ${"currency" in (scope ?? {}) ? "a currency has none" : "no option there"}`}</Age>
        {scope === null && <span class="alarm" role="alert">{printable(`${typed} is neither all, an instrument, a currency nor \u201csector NAME\u201d`)}</span>}
      </div>
      {said.length > 0 && <p class="fair notes">{printable(said.join("; "))}</p>}
      {scope === null || heat === null ? <p class="quiet notes">{scope === null ? "nothing is asked" : posted.problem === "" ? "working it out\u2026" : ""}</p> : <HeatMap heat={heat} title={title} />}
    </section>
  );
}

function namesNow(): { instruments: ReadonlySet<string>; currencies: ReadonlySet<string> } {
  const rows = [...instruments.value.values()];
  return {
    instruments: new Set(instruments.value.keys()),
    currencies: new Set(rows.flatMap((row) => [textOf(row, "base_currency"), textOf(row, "quote_currency")]).filter(Boolean)),
  };
}

/** What is typed counts once it is left, or with Enter. */
function MoveBox({ typed, wrong }: { typed: string; wrong: boolean }): JSX.Element {
  const [text, setText] = useState(typed);
  const take = (): void => choose("move", text.trim());
  return (
    <form class="line" onSubmit={(event) => (event.preventDefault(), take())}>
      <label>
        <span class="quiet">of </span>
        <input type="text" name="move" aria-label="What moves: all, an instrument, a currency or sector NAME" placeholder="all" value={text} aria-invalid={wrong} onInput={(event) => setText(event.currentTarget.value)} onBlur={take} />
      </label>
    </form>
  );
}

type RangeProps = { label: string; value: number; choices: readonly number[]; usual: number; name: string; unit: string };

function Range({ label, value, choices, usual, name, unit }: RangeProps): JSX.Element {
  return (
    <select aria-label={label} value={String(value)} onChange={(event) => choose(name, Number(event.currentTarget.value) === usual ? "" : event.currentTarget.value)}>
      {choices.map((each) => <option key={each} value={String(each)}>{`\u00b1${Number((each * PERCENT).toPrecision(6))}${unit}`}</option>)}
    </select>
  );
}

const spotText = (move: number): string => (move === 0 ? "now" : `${distanceText(move * PERCENT, Number.isInteger(move * PERCENT) ? 0 : 2)} %`);
const volText = (move: number): string => (move === 0 ? "now" : `${distanceText(move * PERCENT, 2)} pts`);

function HeatMap({ heat, title }: { heat: Heat; title: string }): JSX.Element {
  const table = useRef<HTMLTableElement>(null);
  const [at, setAt] = useState<readonly [number, number]>([Math.floor(heat.vol.length / 2), Math.floor(heat.spot.length / 2)]);
  const [row, column] = [Math.min(at[0], heat.vol.length - 1), Math.min(at[1], heat.spot.length - 1)];
  const value = heat.cells[row]?.[column] ?? null;
  const press = (event: KeyboardEvent): void => {
    const next = moved([row, column], event.key, heat);
    if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    event.stopPropagation();
    setAt(next);
    requestAnimationFrame(() => table.current?.querySelector<HTMLElement>('td[tabindex="0"]')?.focus());
  };
  return (
    <>
      <div class="scroll">
        <table class="heat" role="grid" aria-label={title} ref={table} onKeyDown={press}>
          <thead>
            <tr><th scope="col">{"vol \\ spot"}</th>{heat.spot.map((move) => <th key={move} scope="col">{spotText(move)}</th>)}</tr>
          </thead>
          <tbody>
            {heat.vol.map((up, down) => (
              <tr key={up}>
                <th scope="row">{volText(up)}</th>
                {heat.spot.map((across, right) => {
                  const cell = heat.cells[down]?.[right] ?? null;
                  const text = amountText(cell, preferences.value.compact);
                  const tone = direction(cell, text);
                  return (
                    <td
                      key={across}
                      class={`${tone}${up === 0 && across === 0 ? " now" : ""}`}
                      style={{ "--heat": `${Math.round(strength(cell, heat.most) * PERCENT)}%` }}
                      tabIndex={down === row && right === column ? 0 : -1}
                      title={cell === null ? "unknown: nothing of the node can be valued there" : exactText(cell)}
                      onFocus={() => setAt([down, right])}
                    >{text}</td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="quiet notes" aria-live="off" data-said>
        {`spot ${spotText(heat.spot[column] ?? 0)}, vol ${volText(heat.vol[row] ?? 0)}: ${value === null ? "unknown: nothing of the node can be valued there" : exactText(value)}${heat.most > 0 && value !== null ? `, ${percentText(strength(value, heat.most) * PERCENT)} of the largest` : ""}`}
      </p>
    </>
  );
}
