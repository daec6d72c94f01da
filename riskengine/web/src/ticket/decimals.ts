// Numbers as people type them, read as decimal texts: no digit goes through a JavaScript number.

/** Which mark stands before the decimals; the other one groups thousands. */
export type DecimalMark = "." | ",";

export type Read = { readonly value: string } | { readonly problem: string };

const SUFFIXES: Readonly<Record<string, number>> = { "": 0, k: 3, t: 3, m: 6, mm: 6, mio: 6, bn: 9, b: 9 };

/** How a number is written, by its mark: for choices and messages. */
export const EXAMPLES: Readonly<Record<DecimalMark, string>> = { ".": "1,234,567.5", ",": "1.234.567,5" };

/** The mark of the reader's own language. */
export function localMark(language: string): DecimalMark {
  return new Intl.NumberFormat(language).format(1.5).includes(",") ? "," : ".";
}

/**
 * A number as the engine takes it: `-?digits[.digits]`. Groups of three by the other mark, spaces or apostrophes are taken out;
 * `5m` is 5000000, k, m, mio and bn likewise; `(5)` is -5. A price in which one group could be decimals is refused.
 */
export function readDecimal(text: string, mark: DecimalMark, what: "quantity" | "price" | "amount"): Read {
  const bare = text.replace(/[\s\u00a0\u202f\u2009']/g, "").replaceAll("\u2212", "-");
  if (bare === "") return { problem: "is missing" };
  const inBrackets = /^\((.*)\)$/.exec(bare);
  const other = mark === "." ? "," : ".";
  const written = (inBrackets?.[1] ?? bare).toLowerCase();
  const parts = /^([+-]?)([\d.,]*)([a-z]*)$/.exec(written);
  const shift = SUFFIXES[parts?.[3] ?? "?"];
  const digits = parts?.[2] ?? "";
  const form = new RegExp(`^(\\d+|\\d{1,3}(?:\\${other}\\d{3})+)?(?:\\${mark}(\\d*))?$`).exec(digits);
  if (parts === null || shift === undefined || form === null || !/\d/.test(digits) || (inBrackets !== null && parts[1] !== "")) {
    return { problem: `${quoted(text)} is no number as numbers are read here (${EXAMPLES[mark]})` };
  }
  const [, whole = "", decimals = ""] = form;
  if (what === "price" && new RegExp(`^\\d{1,3}\\${other}\\d{3}$`).test(digits)) {
    return { problem: `${quoted(text)} could be ${digits.replace(other, "")} or ${digits.replace(other, ".")}: write it without ${quoted(other)}, or change how numbers are read` };
  }
  const negative = parts[1] === "-" || inBrackets !== null;
  return { value: (negative ? "-" : "") + shifted(whole.replaceAll(other, ""), decimals, shift) };
}

/** The decimal point moved right, without needless zeros. */
function shifted(whole: string, decimals: string, places: number): string {
  const padded = decimals.padEnd(places, "0");
  const left = (whole + padded.slice(0, places)).replace(/^0+(?=\d)/, "") || "0";
  const right = padded.slice(places).replace(/0+$/, "");
  return right === "" ? left : `${left}.${right}`;
}

/** Without its sign, and whether it had one below zero. */
export function unsigned(value: string): { size: string; negative: boolean } {
  return value.startsWith("-") ? { size: value.slice(1), negative: true } : { size: value, negative: false };
}

const quoted = (text: string): string => `\u201c${text.trim()}\u201d`;
