// Which trades are asked for: where the user is, and what the filters say. The engine finds them, however old.

import type { Query } from "../live/http";
import type { Place } from "../settings/address";

/** How a trade stands; empty: any. */
export const STATUSES = ["", "in force", "amended", "cancelled", "kept out"] as const;
export type Status = (typeof STATUSES)[number];

export type TradeFilters = {
  readonly desk: string;
  readonly dealer: string;
  readonly instrument: string;
  readonly counterparty: string;
  readonly source: string;
  readonly status: Status;
};

export const NO_FILTERS: TradeFilters = { desk: "", dealer: "", instrument: "", counterparty: "", source: "", status: "" };

/** `exactly`: values of columns that the trades must have; an empty one is that of trades without. */
export type TradeQuery = { place: Place; limit: number; filters: TradeFilters; exactly?: Query };

/** What `GET /v1/trades` is asked. */
export function tradesQuery({ place, limit, filters, exactly }: TradeQuery): Query {
  const { counterparty, status } = filters;
  const action = status === "in force" ? "new" : status === "amended" ? "amend" : status === "cancelled" ? "cancel" : undefined;
  return {
    ...placeQuery(place, filters),
    counterparty: counterparty || undefined,
    action,
    kept_out: status === "" ? undefined : status === "kept out",
    limit,
    ...exactly,
  };
}

/** What `GET /v1/exceptions` is asked; null where no exception is to be listed. It knows no counterparties. */
export function exceptionsQuery({ place, filters, exactly = {} }: TradeQuery): Query | null {
  if (Object.keys(exactly).length > 0) return null;
  return filters.status === "" || filters.status === "kept out" ? placeQuery(place, filters) : null;
}

/** A filter narrows where the user is, and never widens it. */
function placeQuery(place: Place, { desk, dealer, instrument, source }: TradeFilters): Query {
  return {
    node: desk || ("node" in place ? place.node : undefined),
    dealer: "dealer" in place ? place.dealer : dealer || undefined,
    instrument: instrument || undefined,
    source: source || undefined,
  };
}

const PREFIX = "t-";

/** Filters as the address holds them. */
export function filtersIn(choices: Readonly<Record<string, string>>): TradeFilters {
  const said = (name: keyof TradeFilters): string => choices[PREFIX + name] ?? "";
  const status = STATUSES.find((each) => each === said("status")) ?? "";
  return { desk: said("desk"), dealer: said("dealer"), instrument: said("instrument"), counterparty: said("counterparty"), source: said("source"), status };
}

export const choiceOf = (name: keyof TradeFilters): string => PREFIX + name;

export const isFiltered = (filters: TradeFilters): boolean => Object.values(filters).some((value) => value !== "");
