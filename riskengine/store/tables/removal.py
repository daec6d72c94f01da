"""Takes nodes and instruments out that nothing refers to. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.limits import Limit
from riskengine.records.margin_rules import MarginRule
from riskengine.records.types import Refusal
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import Removed
from riskengine.store.tables.actions import instruments_named
from riskengine.store.tables.option_inputs import delete_inputs_of
from riskengine.store.tables.reference import RECORDED, instruments, nodes
from riskengine.store.tables.risk_rules import risk_rules

_OF_NODE = ("trades", "conflicts", "opening balances", "external cash", "carry")
_OF_INSTRUMENT = ("trades", "conflicts", "opening balances", "carry")
"""What `desk_referred` and `instrument_referred` look for, in their order."""


def remove_nodes(transaction: Transaction, names: Sequence[str], trail: Trail) -> Removed:
    """Remove nodes without trades, balances or nodes below them, children before their parents. O(trades) a name."""
    parents = {node.node: node.parent for node in nodes(transaction)}
    ruled = {each.node: each.rule_id for each in _highest_rules(transaction)}
    removed: list[str] = []
    refused: list[Refusal] = []
    places = {name: place for place, name in reversed([*enumerate(names)])}
    for name in sorted(places, key=lambda name: -_depth(name, parents)):
        children = sorted(child for child, parent in parents.items() if parent == name)
        if name not in parents:
            refused.append(Refusal(places[name], name, "there is no such node"))
        elif children:
            refused.append(Refusal(places[name], name, f"has nodes below it: {_first(children)}"))
        elif found := _references(transaction, "desk_referred", name, _OF_NODE):
            refused.append(Refusal(places[name], name, f"has {found}"))
        elif name in ruled:
            refused.append(Refusal(places[name], name, f"the limit or margin rule {ruled[name]} names it"))
        else:
            transaction.run("node_delete", [(name,)])
            del parents[name]
            removed.append(name)
    trail.records("nodes", RECORDED["nodes"].columns, [], gone=[(name,) for name in removed])
    return Removed(tuple(removed), tuple(refused))


def remove_instruments(transaction: Transaction, names: Sequence[str], trail: Trail) -> Removed:
    """Remove instruments that no trade, balance or other instrument names, with their mark, closes and vols. O(trades) a name."""
    known = {instrument.instrument: instrument.underlying for instrument in instruments(transaction)}
    acted_on = instruments_named(transaction)
    limited = {each.instrument: each.limit_id for each in _highest_rules(transaction) if isinstance(each, Limit)}
    removed: list[str] = []
    refused: list[Refusal] = []
    closes: list[tuple[str, str]] = []
    places = {name: place for place, name in reversed([*enumerate(names)])}
    # An option before its underlying, so that both can go at once.
    for name in sorted(places, key=lambda name: not known.get(name)):
        above = sorted(other for other, underlying in known.items() if underlying == name and other != name)
        if name not in known:
            refused.append(Refusal(places[name], name, "there is no such instrument"))
        elif above:
            refused.append(Refusal(places[name], name, f"is the underlying of {_first(above)}"))
        elif name in acted_on:
            refused.append(Refusal(places[name], name, "a corporate action names it"))
        elif name in limited:
            refused.append(Refusal(places[name], name, f"the limit {limited[name]} names it"))
        elif found := _references(transaction, "instrument_referred", name, _OF_INSTRUMENT):
            refused.append(Refusal(places[name], name, f"has {found}"))
        else:
            closes += transaction.rows("closes_of_instrument", (name,))
            for query in ("mark_delete", "manual_marks_delete", "closes_delete", "instrument_delete"):
                transaction.run(query, [(name,)])
            delete_inputs_of(transaction, name)
            del known[name]
            removed.append(name)
    trail.records("closes", RECORDED["closes"].columns, [], gone=closes)
    trail.records("instruments", RECORDED["instruments"].columns, [], gone=[(name,) for name in removed])
    return Removed(tuple(removed), tuple(refused), len(closes))


def _highest_rules(transaction: Transaction) -> list[Limit | MarginRule]:
    """The highest version of each limit and margin rule."""
    found = risk_rules(transaction)
    rules: list[Limit | MarginRule] = [*found.limits, *found.margin]
    return [*{(type(each), each.rule_id): each for each in rules}.values()]


def _references(transaction: Transaction, query: str, name: str, referring: Sequence[str]) -> str:
    """What refers to a name, in words; empty for nothing."""
    found = transaction.rows(query, (name,) * len(referring))[0]
    return ", ".join(what for what, is_there in zip(referring, found, strict=True) if is_there)


def _depth(name: str, parents: dict[str, str]) -> int:
    """How many nodes stand above a node."""
    depth = 0
    while (name := parents.get(name, "")) and depth < len(parents):
        depth += 1
    return depth


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
