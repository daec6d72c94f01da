// What a user can choose, who is logged in, and the keys.

import type { JSX } from "preact";
import { session } from "../live/engine";
import { NotificationSettings } from "../notifications/settings";
import { prefer, type Preferences, preferences } from "../settings/preferences";
import { printable } from "../words/printable";
import { KEYS } from "./keys";
import { LayoutList } from "./layout_list";

const RATES = [1, 2, 5, 10];

export function SettingsMenu({ open, onToggle }: { open: boolean; onToggle: () => void }): JSX.Element {
  const who = session.value;
  return (
    <div class="settings" onKeyDown={(event) => event.key === "Escape" && open && onToggle()}>
      <button type="button" aria-expanded={open} title="Settings, keys, log out" onClick={onToggle}>
        {who === null ? "Settings" : printable(who.name)}
      </button>
      {open && (
        <div class="popover" role="region" aria-label="Settings">
          <Choice name="theme" label="Theme" options={{ system: "As the system", light: "Light", dark: "Dark" }} />
          <Choice name="signs" label="Gain and loss" options={{ "blue-orange": "Blue and orange", "green-red": "Green and red" }} />
          <Choice name="period" label="Tree and curve" options={{ day: "The day", total: "Since the opening" }} />
          <label class="choice">
            Prices move the screen
            <select value={preferences.value.updatesPerSecond} onChange={(event) => prefer({ updatesPerSecond: Number(event.currentTarget.value) })}>
              {RATES.map((rate) => <option key={rate} value={rate}>{rate} a second</option>)}
            </select>
          </label>
          <Tick name="compact" label="Short numbers (1.2M)" />
          <Tick name="showFlat" label="Flat positions" />
          <Tick name="treeShown" label="Tree" />
          <Tick name="curveShown" label="Curve" />
          <LayoutList onTaken={onToggle} />
          <NotificationSettings />
          <h3>Keys</h3>
          <dl>
            {KEYS.map(([key, what]) => (
              <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>
            ))}
          </dl>
          {who?.login === true && (
            <form method="post" action="logout">
              <span class="quiet">{printable(who.name)} ({who.roles.join(", ")})</span> <button type="submit">Log out</button>
            </form>
          )}
        </div>
      )}
    </div>
  );
}

type Words = "theme" | "signs" | "period";

function Choice<Name extends Words>({ name, label, options }: { name: Name; label: string; options: Record<Preferences[Name], string> }): JSX.Element {
  return (
    <label class="choice">
      {label}
      <select value={preferences.value[name]} onChange={(event) => prefer({ [name]: event.currentTarget.value })}>
        {Object.entries<string>(options).map(([value, words]) => <option key={value} value={value}>{words}</option>)}
      </select>
    </label>
  );
}

function Tick({ name, label }: { name: "compact" | "showFlat" | "treeShown" | "curveShown"; label: string }): JSX.Element {
  return (
    <label>
      <input type="checkbox" checked={preferences.value[name]} onChange={(event) => prefer({ [name]: event.currentTarget.checked })} /> {label}
    </label>
  );
}
