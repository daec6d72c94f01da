// Layouts that a user keeps under names in this browser: where the page is and how it is arranged, so that one step brings it back.

import { signal } from "@preact/signals";
import { address, go, readAddress, writeAddress } from "./address";
import { type ColumnChoice, prefer, preferences } from "./preferences";

/** What a layout brings back beside the address. */
export const KEPT_WITH_IT = ["showFlat", "treeShown", "curveShown", "compact"] as const;

export type Layout = { address: string; columns: Record<string, ColumnChoice[]>; flags: Record<string, boolean> };

/** Rises with every layout that is taken: grids then arrange their columns anew. */
export const taken = signal(0);

export const layoutNames = (): string[] => Object.keys(preferences.value.layouts).toSorted();

export function keepLayout(name: string): void {
  const { columns, layouts } = preferences.value;
  const flags = Object.fromEntries(KEPT_WITH_IT.map((flag) => [flag, preferences.value[flag]]));
  prefer({ layouts: { ...layouts, [name]: { address: writeAddress({ ...address.value, moment: null }), columns, flags } } });
}

export function forgetLayout(name: string): void {
  const { [name]: _, ...others } = preferences.value.layouts;
  prefer({ layouts: others });
}

export function takeLayout(name: string): void {
  const layout = preferences.value.layouts[name];
  if (!isLayout(layout)) return;
  const flags = Object.fromEntries(KEPT_WITH_IT.flatMap((flag) => (typeof layout.flags[flag] === "boolean" ? [[flag, layout.flags[flag]]] : [])));
  prefer({ columns: layout.columns, ...flags });
  go({ ...readAddress(layout.address), moment: address.value.moment }); // of whatever moment the page is
  taken.value += 1;
}

/** What a browser has kept may be of somebody's making. */
function isLayout(value: unknown): value is Layout {
  if (typeof value !== "object" || value === null) return false;
  const { address: where, columns, flags } = value as Partial<Record<keyof Layout, unknown>>;
  const isObject = (part: unknown): boolean => typeof part === "object" && part !== null && !Array.isArray(part);
  return typeof where === "string" && isObject(columns) && isObject(flags) && Object.values(columns as object).every(Array.isArray);
}
