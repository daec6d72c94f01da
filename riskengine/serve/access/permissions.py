"""What a request needs: a role for what it does, grants for what it asks about. Hidden and unknown names get the same refusal."""

from typing import NamedTuple

from riskengine.records.hierarchy import Hierarchy
from riskengine.serve.answers.problems import Forbidden
from riskengine.views.grants import ROLES, Grants, Principal


class Need(NamedTuple):
    """What a principal must have: one of these roles, and with `everything` a grant of everything.

    `is_open`: nothing at all; strangers are answered too, with less detail. `or_books`: a token that books will do too.
    """

    roles: frozenset[str] = frozenset(ROLES)
    everything: bool = False
    is_open: bool = False
    or_books: bool = False


OPEN = Need(is_open=True)
READ = Need()
"""Any token; the answer is cut to its grants."""
READ_EVERYTHING = Need(everything=True)
"""For answers that cannot be cut: the whole answer or none."""
FEED = Need(frozenset({"feed"}))
POST_TRADES = Need(frozenset({"feed"}), or_books=True)
"""The handler cuts what a token that books may post (`booking`)."""
FEED_OR_OPS = Need(frozenset({"feed", "ops"}))
OPS = Need(frozenset({"ops"}))
OPS_EVERYTHING = Need(frozenset({"ops"}), everything=True)
"""For what is of the whole house and of how it is run."""
COMMENT = Need(frozenset({"dealer", "ops"}))


def check(need: Need, principal: Principal) -> None:
    """Raises Forbidden if `principal` lacks what is needed."""
    if need.is_open:
        return
    if need.roles.isdisjoint(principal.roles) and not (need.or_books and principal.may_book):
        booking = ", or a dealer's token made with --book" if need.or_books else ""
        raise Forbidden("role", f"this needs the role {' or '.join(sorted(need.roles))}{booking}")
    if need.everything and not principal.grants.see_everything:
        raise Forbidden("grant", "this answer is about everything, and the token has no grant of everything")


def check_row(grants: Grants, hierarchy: Hierarchy, node: str) -> None:
    """Raises Forbidden if the row of a node is hidden, whether or not the node exists."""
    if grants.nodes is not None and not grants.sees_row(hierarchy, node):
        raise _hidden("node")


def check_node(grants: Grants, hierarchy: Hierarchy, node: str | None) -> None:
    """Raises Forbidden if the holdings of a node (None: the root) are hidden, whether or not the node exists."""
    if grants.nodes is None:
        return
    if node is None:
        raise Forbidden("grant", "the token does not show the root: name a node or a dealer")
    if not grants.sees_below(hierarchy, node):
        raise _hidden("node")


def check_dealer(grants: Grants, dealer: str) -> None:
    """Raises Forbidden if the holdings of a dealer are hidden, whether or not the dealer exists."""
    if not grants.sees_dealer(dealer):
        raise _hidden("dealer")


def granted_tops(grants: Grants, hierarchy: Hierarchy) -> list[int]:
    """Numbers of the nodes whose holdings are visible and whose parent's are not, in the order of the tree. O(grants x depth)."""
    if grants.nodes is None:
        return [0] if len(hierarchy) else []
    named = {hierarchy.index[node] for node in grants.nodes if node in hierarchy.index}
    return sorted(number for number in named if named.isdisjoint(hierarchy.ancestors[number]))


def _hidden(what: str) -> Forbidden:
    return Forbidden("grant", f"{what}: the token does not show it")
