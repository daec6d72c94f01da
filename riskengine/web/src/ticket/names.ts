// Names of pasted rows that bring none: made of what they say, so that the same rows pasted again are the same trades. Equal rows
// of one paste are counted, so that two equal deals stay two.

import type { Item } from "./booking";

const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const MASK = (1n << 64n) - 1n;
const BASIS = [0xcbf29ce484222325n, 0x9ae16a3b2f90404fn] as const;
const PRIME = 0x100000001b3n;

/** `more` tells rows apart that say the same on different days. `known` counts the equal ones of this paste. */
export function contentName(item: Item, more: string, known: Map<string, number>): string {
  const { ts, trade_id: _, ...said } = item;
  const text = JSON.stringify([...Object.entries(said).toSorted(([one], [other]) => (one < other ? -1 : 1)), more === "" ? ts : more]);
  const count = (known.get(text) ?? 0) + 1;
  known.set(text, count);
  return `P-${hash(text)}${count > 1 ? `-${count}` : ""}`;
}

/** 100 bits of two FNV-1a hashes: for telling rows of a desk apart, not against forgers. */
function hash(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let all = 0n;
  for (const basis of BASIS) {
    let value: bigint = basis;
    for (const byte of bytes) value = ((value ^ BigInt(byte)) * PRIME) & MASK;
    value ^= value >> 29n;
    all = (all << 64n) | value;
  }
  let letters = "";
  for (let place = 0; place < 20; place += 1) {
    letters += LETTERS[Number(all & 31n)];
    all >>= 6n;
  }
  return letters;
}
