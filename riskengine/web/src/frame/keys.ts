// Keys that work everywhere, and the list of them that `?` shows.

import { address, go } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import { FINDER } from "./finder";
import { toggleMoments } from "./moment_bar";

export const KEYS: readonly [string, string][] = [
  ["/", "find an instrument, node or dealer"],
  ["1 to 7", "views: ladder, blotter, risk, operations, limits, scenarios, explain"],
  ["[ and ]", "back and forth"],
  ["Tab", "from part to part; arrows move inside a grid or the tree"],
  ["Enter", "open a line in place, or a desk's ladder"],
  ["Right and Left", "open and close a line in the first column, or a node of the tree"],
  ["Space", "choose a node of the blotter"],
  ["Escape", "close what is open"],
  ["c", "copy the line; with Ctrl the cell"],
  ["d", "day or total in the tree and the curve"],
  ["f", "flat positions"],
  ["k", "1.2M or 1,204,331"],
  ["t", "the tree"],
  ["p", "the curve"],
  ["w", "what if: intended trades and shifts at the ladder; Ctrl+Enter asks again"],
  ["m", "the slider over the day: any moment of it, and back to live"],
  ["F1", "the manual, at the chosen column"],
  ["?", "this list"],
];

/** What a key does; undefined where it does nothing here. */
function actionOf(key: string, views: readonly string[], help: () => void): (() => void) | undefined {
  const view = /^[1-9]$/.test(key) ? views[Number(key) - 1] : undefined;
  if (view !== undefined) return () => go({ view, choices: view === address.value.view ? address.value.choices : {} });
  const { period, compact, showFlat, treeShown, curveShown } = preferences.value;
  const actions: Record<string, () => void> = {
    "/": () => document.getElementById(FINDER)?.focus(),
    "[": () => history.back(),
    "]": () => history.forward(),
    d: () => prefer({ period: period === "day" ? "total" : "day" }),
    f: () => prefer({ showFlat: !showFlat }),
    k: () => prefer({ compact: !compact }),
    t: () => prefer({ treeShown: !treeShown }),
    p: () => prefer({ curveShown: !curveShown }),
    w: openWhatIf,
    m: toggleMoments,
    "?": help,
  };
  return actions[key];
}

/** At the ladder, with the cursor where trades are typed. */
function openWhatIf(): void {
  const { view, choices } = address.value;
  go({ view: "ladder", choices: { ...(view === "ladder" ? choices : {}), whatif: "open" } });
  requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector<HTMLElement>(".whatif textarea")?.focus()));
}

/** Inputs that take no letters. */
const WITHOUT_LETTERS = new Set(["range", "checkbox", "radio"]);

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || (target instanceof HTMLInputElement ? !WITHOUT_LETTERS.has(target.type) : ["SELECT", "TEXTAREA"].includes(target.tagName)));

/** Listen until the returned function is called. */
export function listenToKeys(views: readonly string[], help: () => void): () => void {
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    const action = actionOf(event.key, views, help);
    if (action === undefined) return;
    event.preventDefault();
    action();
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}
