// What a user chose, kept in this browser under the user's name. It is never needed: a browser that keeps nothing shows the
// defaults.

import { effect, signal } from "@preact/signals";

export type ColumnChoice = { id: string; shown: boolean; width?: number };

export type Preferences = {
  theme: "system" | "light" | "dark";
  signs: "blue-orange" | "green-red";
  /** 1.2M instead of 1,204,331. */
  compact: boolean;
  /** Whether the tree and the curve show the day or everything since the opening. */
  period: "day" | "total";
  showFlat: boolean;
  treeShown: boolean;
  curveShown: boolean;
  curveDays: number;
  /** How often prices may move the screen; a trade moves it at once. */
  updatesPerSecond: number;
  /** The mark before decimals that the user types, "." or ","; empty: that of the browser's language. */
  decimalMark: string;
  /** The fields of the ticket that few deals need. */
  ticketMore: boolean;
  /** What notifies, and how: `red by sound`, `step by notification`. */
  told: string[];
  /** The node or dealer whose P&L and trades notify, as JSON; empty: none yet. */
  watched: string;
  /** So much P&L is a step, in the reporting currency, as it was typed. */
  pnlStep: string;
  /** Nodes of the tree that the user opened or closed, against the rule. */
  toggled: string[];
  /** Columns in their order, by grid. */
  columns: Record<string, ColumnChoice[]>;
  /** Layouts that the user keeps, by name (`layouts.ts`). */
  layouts: Record<string, unknown>;
};

export const DEFAULTS: Preferences = {
  theme: "system",
  signs: "blue-orange",
  compact: false,
  period: "day",
  showFlat: false,
  treeShown: true,
  curveShown: true,
  curveDays: 1,
  updatesPerSecond: 5,
  decimalMark: "",
  ticketMore: false,
  told: [],
  watched: "",
  pnlStep: "",
  toggled: [],
  columns: {},
  layouts: {},
};

export const preferences = signal<Preferences>(DEFAULTS);

export function prefer(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change };
}

/** Under which the manual, which asks nobody who reads it, finds the theme. */
const THEME = "riskengine/theme";

const nameOf = (user: string): string => `riskengine/${user}/preferences`;

/** Take what this user chose earlier, and keep what is chosen from now on. */
export function keepFor(user: string): void {
  preferences.value = readPreferences(load(nameOf(user)));
  effect(() => save(nameOf(user), JSON.stringify(preferences.value)));
  effect(() => {
    const { theme, signs } = preferences.value;
    const { dataset } = document.documentElement;
    dataset["theme"] = theme;
    dataset["signs"] = signs;
    save(THEME, theme);
  });
}

/** The preferences in a text that may be of an older version, or of somebody's making: what does not fit is the default. */
export function readPreferences(text: string | null): Preferences {
  let read: unknown = null;
  try {
    read = JSON.parse(text ?? "null");
  } catch {
    return DEFAULTS;
  }
  if (typeof read !== "object" || read === null) return DEFAULTS;
  const known = Object.entries(read).filter(([name, value]) => {
    const usual = DEFAULTS[name as keyof Preferences];
    return usual !== undefined && typeof value === typeof usual && Array.isArray(value) === Array.isArray(usual) && value !== null;
  });
  return { ...DEFAULTS, ...Object.fromEntries(known) };
}

function load(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // the browser keeps nothing
  }
}

function save(name: string, text: string): void {
  try {
    localStorage.setItem(name, text);
  } catch {
    // full, or not allowed: the choice holds until the page is closed
  }
}
