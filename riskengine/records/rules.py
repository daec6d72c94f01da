"""The stricter rules that judge only the rows stored after they came (ACCOUNTING section 2).

A store notes from which store_seq each rule judges. An older row counts as it always did; where the rule would refuse it, the
engine lists it as `older_rule`. Live, replay, renewal, repair and reconciliation judge a row by its number alone, so they judge
alike. What comes to the door has no number yet: every rule judges it.

To add a rule: its name here, in `RULES`; a migration that puts it into the table `rules`; its check in `decode.TradeCheck`,
behind `judges`; and what it would have refused in `TradeCheck.broken_rule`.
"""

from collections.abc import Mapping
from types import MappingProxyType

CONTRA_AMOUNT_SIGN = "contra_amount_sign"
"""`contra_amount` has the sign of the price. Before: it was never negative, whatever the price."""

FEES_CURRENCY = "fees_currency"
"""Fees are in a currency that can have a rate. Before: in any currency of an instrument, the base of a metal among them."""

RULES = (CONTRA_AMOUNT_SIGN, FEES_CURRENCY)
"""Every rule that migrations have put into the table `rules` and that judges by store_seq."""

TRADE_DATE_WAITS = "trade_date_waits"
"""A trade that is dated after the current trading day waits for its day. Before: it counted at once.

Judges by `received_ts`, which a trade in memory has too: the number in `rules` is the first one that it judges, microseconds.
"""

FORWARDS_COUNT = "forwards_count"
"""A trade on a pair to another date than spot counts as a forward. Before: it was kept out. Older ones count now, and are listed.

Judges by `received_ts`, as TRADE_DATE_WAITS.
"""

OPTION_CUTS = "option_cuts"
"""A trade in an option that is dated after its cut is kept out. Before: it counted.

Judges by `received_ts`, as TRADE_DATE_WAITS.
"""

RuleStarts = Mapping[str, int]
"""The first store_seq (or received_ts, see above) that each rule judges. One that is absent judges every row."""

NO_STARTS: RuleStarts = MappingProxyType({})


def judges(starts: RuleStarts, rule: str, store_seq: int | None) -> bool:
    """Whether a rule judges the row with this number. None: no row yet, so it does. O(1)."""
    return store_seq is None or store_seq >= starts.get(rule, 0)


def judges_all(starts: RuleStarts) -> bool:
    """Whether every rule judges every row, as in a store that is younger than all of them. O(rules)."""
    return all(first <= 1 for first in starts.values())
