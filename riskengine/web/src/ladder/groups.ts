// By what a ladder's positions are grouped: what an instrument's own row says.

import { instrumentOf } from "../amounts/instruments";
import { textOf } from "../store/rows";
import type { Row } from "../store/messages";

const WITHOUT = "(none)";

export const GROUPS: Readonly<Record<string, { label: string; of: (row: Row) => string }>> = {
  currency: { label: "Currency", of: (row) => textOf(row, "currency") || WITHOUT },
  base: { label: "Base currency", of: (row) => textOf(instrumentOf(row), "base_currency") || WITHOUT },
  underlying: { label: "Underlying", of: (row) => textOf(instrumentOf(row), "underlying") || textOf(row, "instrument") },
  kind: { label: "Kind", of: (row) => textOf(instrumentOf(row), "kind") || WITHOUT },
  sector: { label: "Sector", of: (row) => textOf(instrumentOf(row), "sector") || WITHOUT },
};
