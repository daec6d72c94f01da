// The lights at the top right: each is a button that says what it knows.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { LIGHTS, MANUAL_TAB, manualUrl } from "../words/manual";
import { printable } from "../words/printable";
import type { Light, Lights, Look } from "./lights";

const NAMES: Readonly<Record<keyof Lights, string>> = { trades: "trades", prices: "prices", connection: "link" };

/** What a colour says, for those who do not see it. */
const SAID: Readonly<Record<Look, string>> = {
  good: "well", unsure: "seems well", fair: "with reservations", bad: "not well", off: "unknown",
};

export function LightButtons({ lights }: { lights: Lights }): JSX.Element {
  const [opened, setOpened] = useState<keyof Lights | null>(null);
  return (
    <div class="lights" onKeyDown={(event) => event.key === "Escape" && setOpened(null)}>
      {(Object.keys(NAMES) as (keyof Lights)[]).map((name) => (
        <LightButton key={name} name={name} light={lights[name]} open={opened === name} onClick={() => setOpened(opened === name ? null : name)} />
      ))}
    </div>
  );
}

type Props = { name: keyof Lights; light: Light; open: boolean; onClick: () => void };

function LightButton({ name, light, open, onClick }: Props): JSX.Element {
  return (
    <div class="light-box">
      <button
        type="button"
        class={`light ${light.look}`}
        data-light={name}
        aria-expanded={open}
        aria-label={`${NAMES[name]} ${light.words}: ${SAID[light.look]}`}
        title={printable(light.knows.join("\n"))}
        onClick={onClick}
      >
        <i aria-hidden="true" />
        <span>{NAMES[name]}</span> <b>{light.words}</b>
      </button>
      {open && (
        <div class="popover knows">
          <ul role="status">{light.knows.map((text) => <li key={text}>{printable(text)}</li>)}</ul>
          <a href={manualUrl(LIGHTS)} target={MANUAL_TAB}>what the lights say, in the manual</a>
        </div>
      )}
    </div>
  );
}
