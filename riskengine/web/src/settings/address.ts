// Where the user is, in the page's address: the view, the node or dealer, and how the view is arranged. A link shows
// somebody else the same.

import { signal } from "@preact/signals";

export type Place = { readonly node: string } | { readonly dealer: string };

export type Address = {
  readonly view: string;
  /** null: the top of what the user sees. */
  readonly place: Place | null;
  /** Choices of the view, such as `group` and `columns`. */
  readonly choices: Readonly<Record<string, string>>;
};

const FIRST_VIEW = "ladder";

/** `#/ladder?node=FX1&group=currency` */
export function readAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const words = new URLSearchParams(query);
  const choices: Record<string, string> = {};
  for (const [name, value] of words) if (name !== "node" && name !== "dealer") choices[name] = value;
  const [node, dealer] = [words.get("node"), words.get("dealer")];
  return { view: path || FIRST_VIEW, place: dealer !== null ? { dealer } : node !== null ? { node } : null, choices };
}

export function writeAddress({ view, place, choices }: Address): string {
  const words = new URLSearchParams({ ...place, ...choices });
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

/** Follow the browser's Back and Forward, and addresses that are typed. */
export function followBrowser(): void {
  for (const event of ["popstate", "hashchange"]) {
    addEventListener(event, () => {
      const next = readAddress(location.hash);
      if (writeAddress(next) !== writeAddress(address.value)) address.value = next;
    });
  }
}
