// What a person enters as cash, carry or a corporate action, and the record that it becomes.

import type { Row } from "../store/messages";

export type Words = Readonly<Record<string, string>>;
type Form = {
  readonly label: string;
  readonly path: string;
  /** The column that names a record. */
  readonly id: string;
  /** Fields with what stands in them while they are empty, or with the words that they may be. */
  readonly fields: Readonly<Record<string, string | readonly string[]>>;
  /** Fields that may stay empty. */
  readonly free: readonly string[];
  /** Whether it has a time of its own: that of its first writing. */
  readonly timed: boolean;
};

export const FORMS: Readonly<Record<string, Form>> = {
  cash: {
    label: "External cash", path: "v1/cash", id: "cash_id", timed: true, free: ["comment"],
    fields: { node: "node", currency: "currency", amount: "amount, in is +", comment: "comment" },
  },
  carry: {
    label: "Carry", path: "v1/carry", id: "carry_id", timed: true, free: ["dealer"],
    fields: {
      desk: "desk", dealer: "dealer", instrument: "instrument", currency: "currency", amount: "amount, in is +",
      type: ["swap_points", "funding", "interest", "borrow", "withholding", "dividend"],
    },
  },
  split: {
    label: "Split", path: "v1/actions", id: "action_id", timed: false, free: [],
    fields: { instrument: "instrument", ex_date: "ex-date yyyy-mm-dd", ratio: "ratio, 4:1" },
  },
  dividend: {
    label: "Dividend", path: "v1/actions", id: "action_id", timed: false, free: ["currency"],
    fields: { instrument: "instrument", ex_date: "ex-date yyyy-mm-dd", amount: "amount of one", currency: "currency" },
  },
};

/** What is written, without the fields that are empty. */
export function recordOf(kind: string, written: Words, name: string, ts: number): Row {
  const form = FORMS[kind];
  if (form === undefined) return {};
  const fields = Object.entries(written).flatMap(([field, value]) => (field in form.fields && value.trim() !== "" ? [[field, value.trim()] as const] : []));
  return { [form.id]: name, ...(form.timed ? { ts } : { kind }), ...Object.fromEntries(fields) };
}

/** The first field that is missing; empty where none is. */
export function lacking(kind: string, written: Words): string {
  const form = FORMS[kind];
  if (form === undefined) return "kind";
  return Object.keys(form.fields).find((field) => !form.free.includes(field) && !written[field]?.trim()) ?? "";
}
