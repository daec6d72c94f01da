// The columns of the three tables, and the reason that an empty cell shows.

import * as n from "./numbers.js";

const INCOMPLETE = "incomplete: ";

const SET_ASIDE = "quarantined: it broke an invariant; unknown until it has been compared with the store";

function unpriced(row) {
  const broken = row.quarantined_count > 0 ? `, ${row.quarantined_count} of them quarantined` : "";
  return `${row.unpriced_count} of ${row.position_count ?? "its"} positions with an unknown amount${broken}`;
}

/** A column of amounts in the reporting currency, signed and coloured. */
function money(label, field, title, reason, options = {}) {
  return {
    label, title, width: "amount",
    text: (row) => n.amount(row[field]),
    tone: (row, text) => `${n.direction(row[field], text)} ${options.tone ?? "priced"}`,
    hover: (row) => (n.known(row[field]) ? n.digits(row[field]) + (options.note?.(row) ?? "") : reason(row)),
  };
}

function count(label, field, title, options = {}) {
  return {
    label, title, width: "count",
    text: (row) => n.size(row[field]),
    tone: (row, text) => (n.direction(row[field], text) === "up" ? options.tone ?? "" : "zero"),
  };
}

const rowUnknown = (row) => (row.unpriced_count > 0 ? unpriced(row) : "not known yet");
const rowNote = (row) => (row.unpriced_count > 0 ? ` (${INCOMPLETE}${unpriced(row)})` : "");
const ofNode = (label, field, title, tone) => money(label, field, title, rowUnknown, { note: rowNote, tone });

const SUMS = [
  ofNode("total", "total_pnl", "Total P&L since the opening balance: realised + unrealised, before fees"),
  ofNode("realised", "realised_pnl", "P&L of closed positions, at the current rate of their currency", "rated"),
  ofNode("unrealised", "unrealised_pnl", "P&L of open positions: k q (mark \u2212 average)"),
  ofNode("net", "net_exposure", "Net exposure: foreign currency legs and products at current marks"),
  {
    ...ofNode("gross", "gross_exposure",
      "Gross exposure: long and short sizes after netting by currency and instrument; does not add up over nodes"),
    text: (row) => n.size(row.gross_exposure),
    tone: (row, text) => `${n.direction(row.gross_exposure, text) === "up" ? "" : "zero"} priced`,
  },
  count("trades", "trade_count", "Trades in force: the newest version of each, without cancelled ones"),
  count("unpriced", "unpriced_count", "Positions without a mark or a rate, or quarantined: the amounts in this row exclude them",
    { tone: "alarm" }),
  count("stale", "stale_count", "Positions valued with a stale mark or rate", { tone: "stale" }),
];

export const NODE_COLUMNS = [
  {
    label: "node", title: "Place in the organisation", width: "name", align: "left", tints: false,
    text: (row) => row.node,
    hover: (row) => row.level ?? "",
  },
  ...SUMS,
];

export const DEALER_COLUMNS = [
  {
    label: "dealer", title: "The dealer; (none) for trades without one",
    width: "name", align: "left", tints: false,
    text: (row) => row.dealer || "(none)",
    tone: (row) => (row.dealer ? "" : "zero"),
  },
  ...SUMS,
];

function priceUnknown(row, field) {
  if (row.quarantined) return SET_ASIDE;
  if (row.quantity === 0) return "flat: nothing is open";
  if (field === "average_price") return "nets long and short positions, each with its own average price";
  return "not known yet";
}

function markUnknown(row) {
  return row.quantity === 0 ? "flat: needs no mark" : "unpriced: there is no quote and no close";
}

function pnlUnknown(row) {
  if (row.quarantined) return SET_ASIDE;
  return n.known(row.mark) ? `unpriced: no rate from ${row.currency}` : markUnknown(row);
}

/** The columns of the ladder; the page passes `decimalsOf(row)` and `ageOf(ts)`. A row with `sum` is the sum or the folded line. */
export function ladderColumns(decimalsOf, ageOf) {
  const price = (label, field, title) => ({
    label, title, width: "price",
    text: (row) => (row.sum ? "" : n.price(row[field], decimalsOf(row))),
    tone: (row) => (row.sum || n.known(row[field]) ? "" : "unknown"),
    hover: (row) => {
      if (row.sum) return "";
      return n.known(row[field]) ? `${n.digits(row[field])} ${row.currency}` : priceUnknown(row, field);
    },
  });
  const pnl = (label, field, title, tone) => {
    const unknown = (row) => {
      if (row.sum) return rowUnknown(row);
      return field === "realised_pnl" && !row.quarantined ? `unpriced: no rate from ${row.currency}` : pnlUnknown(row);
    };
    return money(label, field, title, unknown, { tone, note: (row) => (row.sum ? rowNote(row) : "") });
  };
  return [
    {
      label: "instrument", title: "Instrument", width: "instrument", align: "left", tints: false,
      text: (row) => row.instrument,
      tone: (row) => (row.quarantined ? "alarm" : ""),
      hover: (row) => (row.sum ? "" : row.quarantined ? SET_ASIDE : `quoted in ${row.currency}, ${row.trade_count} trades`),
    },
    {
      label: "position", title: "Signed quantity, long > 0", width: "quantity",
      text: (row) => (row.sum ? "" : n.quantity(row.quantity)),
      tone: (row, text) => (row.sum ? "" : n.direction(row.quantity, text)),
    },
    price("average", "average_price", "Average price of the open position"),
    price("break-even", "breakeven_price", "The mark at which total P&L is 0: \u2212net cash / (k q)"),
    {
      ...price("mark", "mark", "The price that the position is valued with"),
      tone: (row) => (row.sum ? "" : !n.known(row.mark) ? "unknown" : row.stale ? "stale priced" : "priced"),
      hover: (row) => {
        if (row.sum) return "";
        if (!n.known(row.mark)) return markUnknown(row);
        const from = row.mark_source ? ` from ${row.mark_source}` : "";
        return `${n.digits(row.mark)} ${row.currency}${from}, ${n.time(row.mark_ts)}${row.stale ? ", stale" : ""}${row.closed ? ", market shut" : ""}`;
      },
    },
    {
      label: "age", title: "Age of the mark", width: "age", tints: false,
      text: (row) => (row.sum || !n.known(row.mark_ts) ? "" : ageOf(row.mark_ts)),
      tone: (row) => (row.stale ? "stale" : "quiet"),
    },
    pnl("unrealised", "unrealised_pnl", "k q (mark \u2212 average) at the current rate"),
    pnl("realised", "realised_pnl", "P&L of closed positions, at the current rate of their currency", "rated"),
    pnl("total", "total_pnl", "Realised + unrealised, before fees"),
  ];
}
