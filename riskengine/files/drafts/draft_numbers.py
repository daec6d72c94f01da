"""The numbers of a drafted mapping: marks and units to take off, signs and what they go with. Pure."""

import re

from riskengine.files.drafts.draft import Draft, Guess, may_be_lots
from riskengine.files.drafts.draft_lines import said_line, toml_text
from riskengine.files.drafts.value_shapes import Values, WrittenNumber, side_in, written_number
from riskengine.files.mappings.mapping import NUMBERS
from riskengine.files.shapes import MAPPED

_MOST_DECIMALS = {"price": 10, "contra_amount": 10, "quantity": 10}
"""Decimals that a trade's numbers may have. Fees are rounded by the engine itself."""


def number_tables(draft: Draft) -> list[str]:
    """The tables `[numbers.FIELD]` of all fields whose numbers need a rule."""
    lines: list[str] = []
    for field in MAPPED[draft.kind].columns:
        guess = draft.guess(field)
        if guess is None or field not in NUMBERS:
            continue
        rules = [*_marks_of(draft, guess), *_signs_of(draft, guess)]
        if rules:
            lines += [*([""] if lines else []), f"[numbers.{field}]", *rules]
    return lines


def _marks_of(draft: Draft, guess: Guess) -> list[str]:
    """Currency marks and units beside the numbers of a column."""
    values = draft.facts[guess.index].values
    marks = [unit for unit in values.units if not unit.isalpha()]
    lines = []
    if marks:
        asked = [f"is {', '.join(marks)} the row's currency?"] if draft.guess("currency") is None else []
        lines += said_line(f"strip = [{', '.join(map(toml_text, marks))}]", "stand beside the numbers", asked)
    longest = max((_decimals(number) for number in values.numbers), default=0)
    if guess.role in _MOST_DECIMALS and longest > _MOST_DECIMALS[guess.role]:
        lines += said_line(f"round = {_MOST_DECIMALS[guess.role]}", f"some have {longest} decimals, more than a trade keeps")
    if unit := unit_of(draft, guess.role):
        lines += said_line(f"unit = {toml_text(unit)}", f"units beside the numbers: {', '.join(values.units[:5])}")
    if guess.role == "price" and guess.scale > 1:
        lines += ["# ASK: in hundredths of the row's currency? Or give currency = GBX and the like.", "# multiply = 0.01"]
    if guess.role == "quantity" and may_be_lots(draft):
        lines += ["# ASK: in lots? Then how many units is one?", "# multiply = 100000"]
    return lines


def unit_of(draft: Draft, role: str) -> str:
    """The field or column that takes the units of a column of numbers; empty where it has none."""
    guess = draft.guess(role)
    if guess is None or not any(unit.isalpha() for unit in draft.facts[guess.index].values.units):
        return ""
    field = {"fees": "fees_currency", "contra_amount": "currency"}.get(role, "")
    return field if field in MAPPED[draft.kind].columns and draft.guess(field) is None else f"{role}_unit"


def _signs_of(draft: Draft, guess: Guess) -> list[str]:
    values = draft.facts[guess.index].values
    if guess.role == "fees":
        return _signs_of_fees(values)
    if guess.role == "quantity" and (sign := sign_of_quantity(draft)):
        said = {
            "side": ("no column has the side: above 0 is a buy", ["is it so, and not the other way round?"]),
            "agrees": ("below 0 where it is a sale, in every row", []),
            "opposes": ("below 0 where it is a buy, in every row", []),
            "ignore": ("signs do not go with the sides", ["what does the sign mean?"]),
        }
        return said_line(f'sign = "{sign}"', *said[sign])
    if guess.role == "contra_amount" and values.has_negatives:
        sign = _sign_beside_side(draft, guess)
        asked = [] if sign != "ignore" else ["signs do not go with the sides: what do they mean?"]
        return said_line(f'sign = "{sign}"', "as the sides of the rows say", asked)
    return []


def _signs_of_fees(values: Values) -> list[str]:
    if values.is_never_positive:
        return said_line("negate = true", "no value is above 0: a cost is below 0 there, and above 0 here")
    if values.has_negatives:
        return ["# DOUBT: fees of both signs: which of them is a cost? Above 0 is one here.", "# negate = true"]
    return []


def sign_of_quantity(draft: Draft) -> str:
    """The rule for the sign of the quantity, "" where it has none."""
    guess = draft.guess("quantity")
    if guess is None or draft.kind != "trades":
        return ""
    if draft.guess("side") is None:
        return "side"
    return _sign_beside_side(draft, guess) if draft.facts[guess.index].values.has_negatives else ""


def _sign_beside_side(draft: Draft, guess: Guess) -> str:
    """How the sign of a column goes with the side, which is a column or the sign of the quantity."""
    side, quantity = draft.guess("side"), draft.guess("quantity")
    met = set()
    for row in draft.sample.rows:
        number = written_number(row.values[guess.index])
        if side is not None:
            bought = {"buy": 1, "sell": -1}.get(side_in(row.values[side.index]) or "", 0)
        else:
            held = written_number(row.values[quantity.index]) if quantity is not None else None
            bought = held.sign if held is not None else 0
        if number is not None and bought and re.search("[1-9]", number.core):
            met.add(bought * number.sign)
    return "agrees" if met == {1} else "opposes" if met == {-1} else "ignore"


def _decimals(number: WrittenNumber) -> int:
    """Decimals as written, under either mark: the digits behind the last one, where it is no mark of thousands."""
    tail = re.search(r"[.,](\d+)$", number.core)
    return len(tail[1].rstrip("0")) if tail else 0
