"""Computes the expected positions from the sent and the stored trades, in exact decimals, without any code of the engine.

An acknowledged trade that the store does not hold as sent is lost. An unacknowledged trade may be stored or not; the store says
which. Of each trade only the highest stored version counts, once; a cancel counts as nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from replay.dealing import INSTRUMENTS, Journal, Message, Sent, Version

Key = tuple[str, str, str]
"""`node` or `dealer`, its name, an instrument."""


class Holding(NamedTuple):
    """Quantity, net cash (received minus paid) and number of effective trades."""

    quantity: Decimal
    cash: Decimal
    trades: int


NOTHING = Holding(Decimal(0), Decimal(0), 0)
NUMBERS = ("quantity", "price", "contra_amount")


class Finding(NamedTuple):
    """The faults found, each in words that name the trade or position; empty if there are none."""

    lost: list[str]
    doubled: list[str]
    other: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether there are no faults."""
        return not (self.lost or self.doubled or self.other)

    def lines(self, most: int = 20) -> list[str]:
        """The first `most` faults, one line each."""
        return [f"    {each}" for each in [*self.lost, *self.doubled, *self.other][:most]]

    def __str__(self) -> str:
        return f"{len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.other)} otherwise wrong"


class Expected(NamedTuple):
    """The positions that follow from the store's rows and the journal, and the faults of the rows themselves."""

    positions: dict[Key, Holding]
    finding: Finding
    durable_unanswered: int
    """Stored versions whose sender has no answer yet."""


def expected_positions(journal: Journal, rows: Iterable[Mapping[str, Any]]) -> Expected:
    """Compare the store's trades, as plain column values, with the journal; return the expected positions and faults."""
    stored: dict[Version, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        stored[row["source"], row["trade_id"], row["leg"], row["version"]].append(row)
    lost, doubled, other, unanswered = [], [], [], 0
    standing: dict[tuple[str, str, int], tuple[int, Message]] = {}
    for version, found in stored.items():
        if len(found) > 1:
            doubled.append(f"{version} is {len(found)} times in the store")
        sent = next((each for each in journal.versions.get(version, ()) if _is_row(each.message, found[0])), None)
        if sent is None:
            other.append(f"{version} is in the store with values that nobody sent")
            continue
        if set(sent.answers) & {"conflict", "rejected"}:
            other.append(f"{version} is in the store, but was answered {dict(sent.answers)}")
        unanswered += not sent.is_promised
        identity, message = version[:3], sent.message
        counts = message["action"] == "cancel" or message["instrument"] in INSTRUMENTS
        if counts and version[3] > standing.get(identity, (0, {}))[0]:
            standing[identity] = (version[3], message)
    for version, sents in journal.versions.items():
        gone = [each for each in sents if each.is_promised and not _is_stored(each, stored)]
        lost += [f"{version} was answered {dict(each.answers)}" for each in gone]
    positions = _sum(message for _, message in standing.values() if message["action"] != "cancel")
    return Expected(positions, Finding(lost, doubled, other), unanswered)


def _is_stored(sent: Sent, stored: Mapping[Version, list[Mapping[str, Any]]]) -> bool:
    message = sent.message
    version = message["source"], message["trade_id"], message["leg"], message["version"]
    return any(_is_row(message, row) for row in stored.get(version, ()))


def _is_row(message: Message, row: Mapping[str, Any]) -> bool:
    """Whether a stored row equals the sent message. Of a cancel only identity and action count."""
    if message["action"] == "cancel" or row["action"] == "cancel":
        return bool(message["action"] == row["action"])
    for key in ("action", "ts", "source_seq", "instrument", "desk", "dealer", "side", "legs", *NUMBERS):
        ours, theirs = message.get(key), row[key]
        if key in NUMBERS and ours is not None and theirs is not None:
            ours, theirs = Decimal(ours), Decimal(theirs)
        if ours != theirs:
            return False
    return True


def _sum(messages: Iterable[Message]) -> dict[Key, Holding]:
    totals: dict[Key, list[Any]] = defaultdict(lambda: [Decimal(0), Decimal(0), 0])
    with localcontext() as context:
        context.prec = 120
        for message in messages:
            symbol = message["instrument"]
            sign = 1 if message["side"] == "buy" else -1
            quantity, contra = sign * Decimal(message["quantity"]), message.get("contra_amount")
            multiplier = Decimal(INSTRUMENTS[symbol][4])
            cash = -multiplier * quantity * Decimal(message["price"]) if contra is None else -sign * Decimal(contra)
            for kind, owner in (("node", message["desk"]), ("dealer", message["dealer"])):
                total = totals[kind, owner, symbol]
                total[0] += quantity
                total[1] += cash
                total[2] += 1
    return {key: Holding(*total) for key, total in totals.items()}


def differences(shown: Mapping[Key, Holding], due: Mapping[Key, Holding]) -> Finding:
    """Compare the engine's positions with the expected ones: fewer trades count as lost, more as doubled."""
    lost: list[str] = []
    doubled: list[str] = []
    other: list[str] = []
    for key in sorted(shown.keys() | due.keys()):
        here, there = shown.get(key, NOTHING), due.get(key, NOTHING)
        if here != there:
            kind = lost if here.trades < there.trades else doubled if here.trades > there.trades else other
            kind.append(f"{' '.join(key)}: shown {_holding_text(here)}, must be {_holding_text(there)}")
    return Finding(lost, doubled, other)


def _holding_text(holding: Holding) -> str:
    return f"{holding.quantity:f} for {holding.cash:f} in {holding.trades} trades"


def merge_findings(*findings: Finding) -> Finding:
    """Merge several findings into one."""
    return Finding(*([said for each in findings for said in getattr(each, field)] for field in Finding._fields))


def count_faults(findings: Iterable[Finding]) -> Counter[str]:
    """The number of faults of each kind."""
    total: Counter[str] = Counter(lost=0, doubled=0, other=0)
    for each in findings:
        total.update({field: len(getattr(each, field)) for field in Finding._fields})
    return total
