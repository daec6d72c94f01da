"""Who may see a limit: its line is hidden with the numbers that it bounds."""

from riskengine.records.hierarchy import Hierarchy
from riskengine.records.limits import LIMIT_MEASURES
from riskengine.views.grants import Grants


def sees_limit(grants: Grants, hierarchy: Hierarchy, node: str, dealer: str, measure: str | None) -> bool:
    """Whether a caller may see a limit or a breach of a node or dealer. O(depth).

    A limit on a number of a node's row is seen with that row; one on positions, exposures or trades needs the holdings below.
    """
    if grants.see_everything:
        return True
    if dealer:
        return grants.sees_dealer(dealer)
    terms = LIMIT_MEASURES.get(measure or "")
    if terms is not None and terms.of_row:
        return grants.sees_row(hierarchy, node)
    return grants.sees_below(hierarchy, node)
