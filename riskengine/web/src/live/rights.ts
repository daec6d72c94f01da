// What the roles of a token allow here; the engine refuses the rest whatever the page shows.

type Roles = { readonly roles: readonly string[] } | null;

/** Accept, reject, repair, post: for the role `ops`. */
export const mayOperate = (who: Roles): boolean => who?.roles.includes("ops") === true;

/** A comment decides nothing: dealers may leave one too. */
export const mayComment = (who: Roles): boolean => mayOperate(who) || who?.roles.includes("dealer") === true;
