// What the user wants to be told of, and how: each by itself, kept in this browser.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { link } from "../live/engine";
import { painted } from "../live/painting";
import { chosenPlace, nameOf } from "../live/place";
import { samePlace } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import { MANUAL_TAB, manualUrl, NOTIFICATIONS } from "../words/manual";
import { printable } from "../words/printable";
import { timeText } from "../words/times";
import { isTold, notices, type Reason, watchedPlace } from "./notify";
import { type Means, obstacleOf, prepare } from "./speak";
import { readStep } from "./steps";

const MEANS: readonly Means[] = ["notification", "sound"];
const REASONS: readonly [Reason, string][] = [["red", "A light turns red"], ["step", "A step of P&L"], ["trade", "A trade of somebody else"]];

export function NotificationSettings(): JSX.Element {
  void painted.value;
  const [, drawAgain] = useState(0);
  const { told, pnlStep } = preferences.value;
  const place = watchedPlace();
  const here = chosenPlace();
  const watches = told.some((each) => !each.startsWith("red"));
  const wanted = MEANS.filter((means) => told.some((each) => each.endsWith(`by ${means}`)));
  const obstacles = wanted.map(obstacleOf).filter((obstacle) => obstacle !== "");

  const turn = async (reason: Reason, means: Means, on: boolean): Promise<void> => {
    const name = `${reason} by ${means}`;
    prefer({ told: on ? [...told, name] : told.filter((each) => each !== name) });
    if (on && reason !== "red" && place === null && here !== null) prefer({ watched: JSON.stringify(here) });
    if (on) await prepare(means);
    drawAgain((count) => count + 1);
  };

  return (
    <>
      <h3>Tell me <a href={manualUrl(NOTIFICATIONS)} target={MANUAL_TAB} aria-label="Notifications in the manual">?</a></h3>
      <table class="told">
        <thead><tr><th scope="col">When</th><th scope="col">notification</th><th scope="col">sound</th></tr></thead>
        <tbody>
          {REASONS.map(([reason, label]) => (
            <tr key={reason}>
              <th scope="row">{label}</th>
              {MEANS.map((means) => (
                <td key={means}>
                  <input type="checkbox" aria-label={`${label}: ${means}`} checked={isTold(reason, means)} onChange={(event) => void turn(reason, means, event.currentTarget.checked)} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {watches && (
        <>
          <p>
            P&L and trades of <b>{place === null ? "nothing yet" : printable(nameOf(place))}</b>{" "}
            {here !== null && !samePlace(place, here) && <button type="button" onClick={() => prefer({ watched: JSON.stringify(here) })}>Watch {printable(nameOf(here))}</button>}
          </p>
          <label class="choice">
            A step is, in {link.connection.reportingCurrency || "the reporting currency"}
            <input type="text" class="right" value={pnlStep} placeholder="50k" aria-invalid={pnlStep !== "" && readStep(pnlStep) === null}
              onInput={(event) => prefer({ pnlStep: event.currentTarget.value })} />
          </label>
          {told.some((each) => each.startsWith("step")) && readStep(pnlStep) === null && <p class="alarm">no step is told before it is set, as 50,000 or 50k</p>}
        </>
      )}
      {obstacles.map((obstacle) => <p key={obstacle} class="alarm" role="status">{obstacle}</p>)}
      {notices.value.length > 0 && (
        <ul aria-label="Told last" class="told-last">
          {notices.value.slice(0, 5).map(({ at, title, body }) => <li key={`${at} ${title}`}><span class="quiet">{timeText(at * 1000)}</span> {printable(title)}: {printable(body)}</li>)}
        </ul>
      )}
    </>
  );
}
