// The tree at the left: the organisation in small, with the P&L of each node, and the dealers. One Tab stop; arrows move,
// Right and Left open and close, Enter goes there.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { nodes, useTable } from "../live/engine";
import { painted } from "../live/painting";
import { childrenByParent, chosenPlace } from "../live/place";
import { go, type Place, samePlace } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { amountText, direction } from "../words/numbers";
import { printable } from "../words/printable";

const MANY = 300;
const DEALERS = "dealers";

type Item = { id: string; name: string; level: number; open: boolean | null; place: Place | null; row: Row | null };

export function Tree(): JSX.Element {
  void painted.value;
  const flipped = new Set(preferences.value.toggled);
  const dealersOpen = flipped.has(DEALERS);
  const items = [...nodeItems(flipped), { id: DEALERS, name: "Dealers", level: 0, open: dealersOpen, place: null, row: null }];
  return <TreeItems items={items} dealersOpen={dealersOpen} />;
}

function nodeItems(flipped: ReadonlySet<string>): Item[] {
  const children = childrenByParent();
  const items: Item[] = [];
  const visit = (row: Row, level: number): void => {
    const node = textOf(row, "node");
    const below = children.get(node);
    const id = `node ${node}`;
    const open = below === undefined ? null : (nodes.rows.size <= MANY || level < 1) !== flipped.has(id);
    items.push({ id, name: node, level, open, place: { node }, row });
    if (open === true) for (const child of below ?? []) visit(child, level + 1);
  };
  for (const root of children.get("") ?? []) visit(root, 0);
  return items;
}

function TreeItems({ items, dealersOpen }: { items: Item[]; dealersOpen: boolean }): JSX.Element {
  void painted.value;
  const list = useRef<HTMLUListElement>(null);
  const [at, setAt] = useState<string | null>(null);
  const dealers = useTable(dealersOpen ? { view: "dealers" } : { view: "nodes" });
  const all = dealersOpen ? [...items, ...dealerItems([...dealers.rows.values()])] : items;
  const chosen = chosenPlace();
  const current = all.find(({ id }) => id === at) ?? all.find(({ place }) => place !== null && samePlace(place, chosen)) ?? all[0];
  const moved = useRef(false);

  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    list.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  }, [at]);

  const move = (item: Item | undefined): void => {
    if (item === undefined) return;
    moved.current = true;
    setAt(item.id);
  };

  const press = (event: KeyboardEvent): void => {
    if (current === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const place = all.indexOf(current);
    if (event.key === "ArrowDown") move(all[place + 1]);
    else if (event.key === "ArrowUp") move(all[place - 1]);
    else if (event.key === "Home") move(all[0]);
    else if (event.key === "End") move(all.at(-1));
    else if (event.key === "ArrowRight") {
      if (current.open === false) flip(current.id);
      else if (current.open === true) move(all[place + 1]);
    } else if (event.key === "ArrowLeft") {
      if (current.open === true) flip(current.id);
      else move(all.slice(0, place).findLast(({ level }) => level < current.level));
    } else if (event.key === "Enter" || event.key === " ") pick(current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <ul class="tree-items" role="tree" aria-label="Organisation" ref={list} onKeyDown={press}>
      {all.map((item) => (
        <TreeItem key={item.id} item={item} chosen={item.place !== null && samePlace(item.place, chosen)} focusable={item === current} onFocus={() => setAt(item.id)} />
      ))}
    </ul>
  );
}

function TreeItem({ item, chosen, focusable, onFocus }: { item: Item; chosen: boolean; focusable: boolean; onFocus: () => void }): JSX.Element {
  void painted.value;
  const { period, compact } = preferences.value;
  const { id, name, level, open, row } = item;
  const value = row === null ? null : numberOf(row, period === "day" ? "day_pnl" : "total_pnl");
  const text = row === null ? "" : amountText(value, compact);
  const unpriced = row === null ? 0 : (numberOf(row, "unpriced_count") ?? 0);
  return (
    <li
      role="treeitem"
      aria-level={level + 1}
      aria-selected={chosen}
      {...(open !== null && { "aria-expanded": open })}
      tabIndex={focusable ? 0 : -1}
      style={{ "--level": String(level) }}
      onFocus={onFocus}
      onClick={(event) => {
        if (open !== null && event.target instanceof Element && event.target.closest(".twisty") !== null) flip(id);
        else pick(item);
      }}
    >
      <span class="twisty" aria-hidden="true">{open === null ? "" : open ? "\u25be" : "\u25b8"}</span>
      <span class="name">{printable(name)}</span>
      <span class={`number ${row === null ? "" : direction(value, text)}`} title={unpriced > 0 ? `without ${unpriced} positions of which an amount is unknown` : ""}>
        {text}{unpriced > 0 ? "*" : ""}
      </span>
    </li>
  );
}

function dealerItems(rows: Row[]): Item[] {
  return rows
    .filter((row) => "dealer" in row)
    .toSorted((one, other) => (textOf(one, "dealer") < textOf(other, "dealer") ? -1 : 1))
    .map((row) => {
      const dealer = textOf(row, "dealer");
      return { id: `dealer ${dealer}`, name: dealer || "(no dealer)", level: 1, open: null, place: { dealer }, row };
    });
}

function pick({ id, place }: Item): void {
  if (place === null) flip(id);
  else go({ place });
}

function flip(id: string): void {
  const { toggled } = preferences.value;
  prefer({ toggled: toggled.includes(id) ? toggled.filter((other) => other !== id) : [...toggled, id] });
}
