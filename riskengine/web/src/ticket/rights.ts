// Who may book what, as the engine says it of the session: for choices and sentences. The engine judges.

import { type Session, nodes } from "../live/engine";
import { childrenByParent, pathTo } from "../live/place";
import type { Row } from "../store/messages";
import { textOf } from "../store/rows";
import { MANUAL } from "./booking";

/** The leaves that a session books to, in the order of the tree. */
export function ownDesks({ nodes: granted }: Session): string[] {
  const parents = childrenByParent();
  const leaves = [...nodes.rows.values()].map((row) => textOf(row, "node")).filter((node) => !parents.has(node));
  return granted === null ? leaves : leaves.filter((leaf) => pathTo(leaf).some((node) => granted.includes(node)));
}

/** Why a stored trade cannot be changed on this ticket; empty where it may be tried. */
export function whyNot(session: Session, trade: Row): string {
  if (session.roles.includes("feed")) return "";
  const source = textOf(trade, "source");
  if (source !== MANUAL) return `it came from ${source || "a source without a name"}: amend or cancel it there`;
  const dealer = textOf(trade, "dealer");
  if (session.dealers !== null && !session.dealers.includes(dealer)) return `it is ${dealer || "nobody"}'s`;
  return "";
}
