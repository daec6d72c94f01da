// Where the user is, in the page's address: the view, the node or dealer, and how the view is arranged. A link shows
// somebody else the same.

import { signal } from "@preact/signals";

export type Place = { readonly node: string } | { readonly dealer: string };

/** A moment of the past that the page shows in place of now. */
export type Moment = {
  /** As `2026-12-01T14:32:05Z`. */
  readonly asOf: string;
  /** What was known `then`, or is known `now` of then. */
  readonly known: "then" | "now";
};

export type Address = {
  readonly view: string;
  /** null: live. */
  readonly moment: Moment | null;
  /** null: the top of what the user sees. */
  readonly place: Place | null;
  /** Choices of the view, such as `group` and `columns`. */
  readonly choices: Readonly<Record<string, string>>;
};

const FIRST_VIEW = "ladder";

const NAMED = new Set(["node", "dealer", "as_of", "known"]);

/** `#/ladder?node=FX1&group=currency` */
export function readAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const words = new URLSearchParams(query);
  const choices: Record<string, string> = {};
  for (const [name, value] of words) if (!NAMED.has(name)) choices[name] = value;
  const [node, dealer, asOf] = [words.get("node"), words.get("dealer"), words.get("as_of")];
  const moment: Moment | null = asOf === null ? null : { asOf, known: words.get("known") === "now" ? "now" : "then" };
  return { view: path || FIRST_VIEW, moment, place: dealer !== null ? { dealer } : node !== null ? { node } : null, choices };
}

export function writeAddress({ view, moment, place, choices }: Address): string {
  const when = moment === null ? {} : { as_of: moment.asOf, ...(moment.known === "now" && { known: "now" }) };
  const words = new URLSearchParams({ ...place, ...choices, ...when });
  const query = words.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

export const samePlace = (one: Place | null, other: Place | null): boolean => JSON.stringify(one) === JSON.stringify(other);

export const address = signal<Address>(readAddress(typeof location === "undefined" ? "" : location.hash));

/** Go somewhere: a step that the browser's Back undoes. */
export function go(change: Partial<Address>): void {
  const next = { ...address.value, ...change };
  if (writeAddress(next) === writeAddress(address.value)) return;
  history.pushState(null, "", writeAddress(next));
  address.value = next;
}

/** Note a choice of the view in the address, without a step of its own. An empty one is taken out. */
export function choose(name: string, value: string): void {
  const { [name]: _, ...others } = address.value.choices;
  const next = { ...address.value, choices: value === "" ? others : { ...others, [name]: value } };
  history.replaceState(null, "", writeAddress(next));
  address.value = next;
}

/** Show a moment, or with null what is live. Coming and going are steps that Back undoes; from one moment to another is none. */
export function stand(moment: Moment | null): void {
  const next = { ...address.value, moment };
  if (moment !== null && address.value.moment !== null) {
    history.replaceState(null, "", writeAddress(next));
    address.value = next;
  } else go({ moment });
}

/** Follow the browser's Back and Forward, and addresses that are typed. */
export function followBrowser(): void {
  for (const event of ["popstate", "hashchange"]) {
    addEventListener(event, () => {
      const next = readAddress(location.hash);
      if (writeAddress(next) !== writeAddress(address.value)) address.value = next;
    });
  }
}
