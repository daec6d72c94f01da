// Which names a few letters mean, the likeliest first.

export type Found = { readonly kind: "node" | "dealer" | "instrument" | "layout"; readonly name: string };

/** Names that begin with the letters, then those that have them inside, then those that have them in this order; shorter ones first. */
export function ranked(names: readonly Found[], letters: string, most: number): Found[] {
  const wanted = letters.trim().toLowerCase();
  if (wanted === "") return [];
  const scored = names.flatMap((found) => {
    const score = scoreOf(found.name.toLowerCase(), wanted);
    return score === null ? [] : [{ found, score }];
  });
  scored.sort((one, other) => one.score - other.score || one.found.name.length - other.found.name.length || (one.found.name < other.found.name ? -1 : 1));
  return scored.slice(0, most).map(({ found }) => found);
}

function scoreOf(name: string, wanted: string): number | null {
  const place = name.indexOf(wanted);
  if (place === 0) return name === wanted ? 0 : 1;
  if (place > 0) return 2;
  let from = 0;
  for (const letter of wanted) {
    from = name.indexOf(letter, from) + 1;
    if (from === 0) return null;
  }
  return 3;
}
