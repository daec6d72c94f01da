// In what the distance of a price from another one is told.

const FINEST_TICK = 4;

/** A pip of a pair of currencies is ten of its last decimal where that is an odd one; a tick of everything else is the last
 * decimal, at most the fourth: options have more. */
export function pipOf(kind: string, decimals: number): number {
  const isPair = kind.startsWith("fx") && kind !== "fx_option";
  return 10 ** -(isPair ? decimals - (decimals % 2) : Math.min(decimals, FINEST_TICK));
}
