"""Guesses which column of a strange file is which column of a record, with what speaks for each and what could be otherwise.

Four kinds of evidence: the words of the header in six languages, the shapes of the values, sums that come out (quantity x price =
amount in every row), and names that the store knows. Nothing is loaded on a guess: `draft_text` writes it down for a person.
Pure; costs about a second for a sample of 5,000 rows.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from riskengine.files.drafts.column_evidence import (
    COLUMN_ROLES,
    Candidate,
    ColumnFacts,
    Known,
    by_pairs,
    candidates_of,
    gather_facts,
)
from riskengine.files.drafts.header_words import LANGUAGES, fold, languages_of
from riskengine.files.drafts.sniff import FileSample
from riskengine.files.drafts.sums import Agreement, Product, agreement, find_products
from riskengine.files.drafts.value_shapes import CURRENCIES, NumberStyle, number_style, side_in, written_number
from riskengine.records.currency_units import MINOR_UNITS

KINDS = tuple(COLUMN_ROLES)
"""The kinds of files that a draft is made for."""

_LEAST = 0.3
"""The lowest score of a guess that is made at all."""
_SURE = 0.75
"""The lowest score of a guess without a doubt."""
_RIVAL = 0.85
"""A second role with this share of the score of the first is told."""
_PRODUCT = 0.5
_LONGEST_DEAL = 200
_SHOWN_ROWS = 3
_LOT_WORDS = frozenset({"volume", "lots", "lotti", "lose", "lotes", "size"})
_LARGEST_LOTS = 1_000
_AMOUNTS = ("quantity", "price", "fees", "contra_amount")


DEAL = re.compile(r".*?(?P<quantity>\d[\d.,]*)(?:/\d[\d.,]*)? ?(?:@|x|à|zu|at|a) ?(?P<price>\d[\d.,]*).*")
"""A deal in a text: a quantity (`34` or `34/42`), a sign for "at", a price."""


_FIELDS = {"date": "ts", "time": "ts", "day": "date", "deal": "quantity+price"}


class Guess(msgspec.Struct):
    """What one column is taken for.

    `role` is a column of the record, or "" where none was found; `date` and `time` are halves of `ts`; `deal` is a text that
    quantity and price are taken from by `pattern`. `record` is 2 for a column of a second record in the same row. `evidence`
    speaks for it, `doubts` ask a person. `product` is the sum that it is a part of, with the factor `scale` between the sides;
    `lost` is the role that another column fits better. `partly` says of an amount in how many rows it is quantity x price, and
    which differ; `is_mostly` that most rows fit and the others are in another unit.
    """

    index: int
    header: str
    role: str
    evidence: list[str]
    doubts: list[str]
    score: float = 0.0
    meaning: str = ""
    record: int = 1
    pattern: str = ""
    product: str = ""
    scale: int = 1
    lost: str = ""
    partly: str = ""
    is_mostly: bool = False

    @property
    def field(self) -> str:
        """The column of the record that the column goes into, "" for none; `quantity+price` for the text of a deal."""
        return _FIELDS.get(self.role, self.role)


class Draft(msgspec.Struct):
    """All guesses of a file: one for each column, the style of its numbers, the language of its header."""

    kind: str
    sample: FileSample
    facts: list[ColumnFacts]
    columns: list[Guess]
    numbers: NumberStyle
    language: str

    def guess(self, role: str, record: int = 1) -> Guess | None:
        """The column that was taken for a role; None if none was."""
        return next((guess for guess in self.columns if guess.role == role and guess.record == record), None)

    def guess_of(self, field: str) -> Guess | None:
        """The first column that goes into a column of the record; None if none does."""
        return next((guess for guess in self.columns if guess.field == field and guess.record == 1), None)


def make_draft(sample: FileSample, kind: str = "trades", known: Known | None = None) -> Draft:
    """Guess the columns of a sample for a kind of file (`KINDS`). `known` are the names of a store, if there is one."""
    known = known or Known()
    scores = languages_of(sample.header)
    language = max(LANGUAGES, key=lambda each: scores[each])
    facts = gather_facts(sample, language)
    numbers = number_style(
        [sample.column(each.index) for each in facts if each.values.shape == "number" and not _all_dates(each)]
    )
    candidates = [
        candidate for each in facts for candidate in candidates_of(each, kind, language, known, sample.column(each.index))
    ]
    amounts = _amounts(sample, facts, numbers.decimal)
    if kind == "trades":
        candidates += by_pairs(facts, [sample.column(each.index) for each in facts])
    likely = _likely_sum(find_products(amounts), candidates, facts) if kind == "trades" else None
    candidates += _by_sum(likely, candidates)
    guesses = _assign(facts, candidates)
    _note_sum(likely, guesses)
    draft = Draft(kind, sample, facts, guesses, numbers, language)
    if kind == "trades":
        _currencies_beside(draft)
        _deal_in_text(draft)
        _amount_for_quantity(draft)
        _net_amount(draft, amounts)
        _second_record(draft)
    _halves_of_time(draft)
    _doubt_scores(draft, candidates)
    return draft


def _all_dates(facts: ColumnFacts) -> bool:
    return facts.dates is not None and facts.dates.has_date


def _amounts(sample: FileSample, facts: Sequence[ColumnFacts], decimal: str) -> dict[int, list[Decimal | None]]:
    """The numbers of each column of numbers."""
    found: dict[int, list[Decimal | None]] = {}
    for each in facts:
        if each.values.shape == "number" and not _all_dates(each):
            written = [written_number(value) for value in sample.column(each.index)]
            found[each.index] = [number.value(decimal) if number else None for number in written]
    return found


class _Sum(msgspec.Struct):
    """A product that the roles of three columns make likely, with what it says."""

    product: Product
    roles: dict[int, str]
    said: str


def _likely_sum(products: Sequence[Product], candidates: Sequence[Candidate], facts: Sequence[ColumnFacts]) -> _Sum | None:
    """The product that fits the headers best, and which of its factors is the price; None if none fits."""
    scores: dict[tuple[int, str], float] = {}
    for each in candidates:
        scores[each.place, each.role] = max(each.score, scores.get((each.place, each.role), 0.0))
    best, found = 0.0, None
    for product in products:
        for quantity, price in (product.factors, product.factors[::-1]):
            roles = {quantity: "quantity", price: "price", product.amount: "contra_amount"}
            support = sum(scores.get((index, role), 0.0) for index, role in roles.items())
            support += 0.1 * facts[quantity].values.has_negatives + 0.2 * product.exact - 0.3 * (product.scale > 1)
            is_proof = product.rows > 1 and product.scale == 1
            if facts[price].values.has_negatives or support <= best or (support < 1 and not is_proof):
                continue
            scale = f" / {product.scale}" if product.scale > 1 else ""
            terms = f"{_named(facts[quantity])} x {_named(facts[price])}{scale} = {_named(facts[product.amount])}"
            best, found = support, _Sum(product, roles, f"{terms} in {product.rows} rows")
    return found


def _by_sum(likely: _Sum | None, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates of a likely product: each of its columns has what its header says, and more."""
    found = []
    for index, role in likely.roles.items() if likely is not None else ():
        own = max((each.score for each in candidates if (each.place, each.role) == (index, role)), default=0.0)
        found.append(Candidate(min(1.5, own + _PRODUCT), index, role, likely.said if likely is not None else "", role))
    return found


def _note_sum(likely: _Sum | None, guesses: Sequence[Guess]) -> None:
    """Note the product at its columns, if they got the roles that it has for them."""
    if likely is None or any(guesses[index].role != role for index, role in likely.roles.items()):
        return
    for index in likely.roles:
        guesses[index].product = likely.said
        guesses[index].scale = likely.product.scale


def _named(facts: ColumnFacts) -> str:
    return facts.header or f"column {facts.index + 1}"


def _assign(facts: Sequence[ColumnFacts], candidates: Sequence[Candidate]) -> list[Guess]:
    """Give each role to the column with the best score, and each column one role. Equal scores: the first column."""
    guesses = [Guess(each.index, each.header, "", [], []) for each in facts]
    decided: set[int] = set()
    taken: dict[str, int] = {}
    for candidate in sorted(candidates, key=lambda each: (-each.score, each.place)):
        if candidate.place in decided or candidate.score < _LEAST:
            continue
        guess = guesses[candidate.place]
        if candidate.role in taken:
            if not any(candidate.role in doubt for doubt in guess.doubts):
                other = _named(facts[taken[candidate.role]])
                guess.lost = guess.lost or candidate.role
                guess.doubts.append(f"may be {candidate.role} too ({candidate.evidence}), but {other} fits better")
            continue
        decided.add(candidate.place)
        if candidate.role:
            taken[candidate.role] = candidate.place
        guess.role, guess.score, guess.meaning = candidate.role, candidate.score, candidate.meaning
        guess.evidence = list(
            dict.fromkeys(each.evidence for each in candidates if (each.place, each.role) == (candidate.place, candidate.role))
        )
        guess.doubts = []
    for guess in guesses:
        if guess.index not in decided and not guess.doubts and facts[guess.index].values.shape != "empty":
            examples = ", ".join(facts[guess.index].values.examples)
            guess.doubts.append(f"what is it? The values are {facts[guess.index].values.shape}: {examples}")
    return guesses


def _currencies_beside(draft: Draft) -> None:
    """An unnamed column of currencies belongs to the amount before it."""
    for guess in draft.columns[1:]:
        if draft.facts[guess.index].values.shape != "currency" or guess.header:
            continue
        before = draft.columns[guess.index - 1].role
        role = {"price": "currency", "contra_amount": "currency", "fees": "fees_currency"}.get(before, "")
        holder = draft.guess(role) if role else None
        if holder is not None and holder is not guess and (holder.header or _beside(draft, holder) in ("price", "contra_amount")):
            role = ""
        if holder is not None and role and holder is not guess:
            _drop(holder, "a currency of another amount")
        said = f"stands without a name behind {draft.columns[guess.index - 1].header or 'an amount'}"
        guess.role, guess.evidence, guess.score = role, [said], 0.8
        guess.doubts = []


def _beside(draft: Draft, guess: Guess) -> str:
    return draft.columns[guess.index - 1].role if guess.index else ""


def _drop(guess: Guess, why: str) -> None:
    guess.role, guess.evidence, guess.doubts = "", [why], []


def _deal_in_text(draft: Draft) -> None:
    """Where no column is a price or a quantity, they may stand in a text: `OPEN BUY 34 @ 11.7480`."""
    if draft.guess("price") is not None or draft.guess("quantity") is not None:
        return
    side = draft.guess("side")
    for facts in draft.facts:
        texts = [
            row.values[facts.index]
            for row in draft.sample.rows
            if 0 < len(row.values[facts.index]) <= _LONGEST_DEAL and (side is None or side_in(row.values[side.index]))
        ]
        example = next(filter(DEAL.fullmatch, texts), None)
        if facts.values.shape not in ("text", "code") or example is None:
            continue
        fitting = sum(DEAL.fullmatch(text) is not None for text in texts)
        guess = draft.columns[facts.index]
        guess.role, guess.pattern, guess.score, guess.meaning = "deal", DEAL.pattern, fitting / len(texts), "deal"
        guess.evidence = [f"quantity and price stand in {fitting} of {len(texts)} texts: {example}"]
        guess.doubts = ["does the pattern take the right numbers, and do words such as OPEN and CLOSE turn the side?"]
        return


def _amount_for_quantity(draft: Draft) -> None:
    """Where no column is a quantity, the amount is one: dealers write the amount of the base currency."""
    amount = draft.guess("contra_amount")
    if (
        draft.guess("quantity") is None
        and draft.guess("deal") is None
        and amount is not None
        and not any(" x " in each for each in amount.evidence)
    ):
        amount.role = "quantity"
        amount.evidence.append("no other column is a quantity, and it is not quantity x price of others")
        amount.doubts.append("an amount of the base currency or of the other one? Taken as the quantity")


def _net_amount(draft: Draft, amounts: Mapping[int, Sequence[Decimal | None]]) -> None:
    """An amount that is quantity x price with the fees in it is no amount of the trade; one that is neither is a doubt."""
    taken = {role: draft.guess(role) for role in _AMOUNTS}
    amount = taken["contra_amount"]
    if amount is None or taken["quantity"] is None or taken["price"] is None:
        return
    columns = {role: amounts.get(guess.index, []) for role, guess in taken.items() if guess is not None}
    agreed = agreement(columns["quantity"], columns["price"], columns["contra_amount"])
    if _other_unit(draft, amount, agreed) or amount.product:
        return
    fees = columns.get("fees") or [None] * len(draft.sample.rows)
    rows = zip(columns["quantity"], columns["price"], fees, columns["contra_amount"], strict=False)
    sums = [
        (abs(quantity * price), abs(fee or Decimal(0)), abs(total))
        for quantity, price, fee, total in rows
        if quantity and price and total
    ]
    cent = Decimal("0.006")
    if sums and all(min(abs(gross + fee - total), abs(gross - fee - total)) < cent for gross, fee, total in sums):
        _drop(amount, "is quantity x price with the fees in it")
    elif agreed.fits * 2 > agreed.of:
        amount.partly = _said_of(draft, agreed, agreed.off)
        amount.doubts.append(f"{amount.partly}: with interest in it, or wrong?")
    else:
        amount.doubts.append("is not quantity x price: with fees or interest in it, or of contracts of another size?")


def _other_unit(draft: Draft, amount: Guess, agreed: Agreement) -> bool:
    """Whether the amount of some rows is in another unit than their price: then it is no amount of the trade, which it drops."""
    currency = draft.guess("currency")
    units = draft.sample.column(currency.index) if currency is not None else []
    is_named = any(units[place] in MINOR_UNITS for place, _ in agreed.by_hundred if place < len(units))
    # In a file of pence alone the price is the doubt, unless its currency says pence: the amount would be read as pence too.
    if not agreed.by_hundred or not (agreed.fits or is_named):
        return False
    said = _said_of(draft, agreed, agreed.by_hundred)
    _drop(amount, "would be the amount of the trade where it is quantity x price")
    amount.doubts.append(f"{said}: in another unit there than the price, and not drafted as contra_amount")
    amount.partly, amount.is_mostly, amount.product = said, agreed.fits * 2 > agreed.of, ""
    return True


def _said_of(draft: Draft, agreed: Agreement, off: Sequence[tuple[int, Decimal]]) -> str:
    """`fits in 5 of 6 rows; line 8 (GBX) differs by 100`."""
    currency = draft.guess("currency")
    rows = []
    for place, factor in off[:_SHOWN_ROWS]:
        row = draft.sample.rows[place]
        unit = f" ({row.values[currency.index]})" if currency is not None and row.values[currency.index] else ""
        times = factor if factor >= 1 else 1 / factor
        rows.append(f"line {row.line}{unit} differs by {'100' if times == 100 else f'a factor of {times:.4g}'}")
    more = f", and {len(off) - _SHOWN_ROWS:,} more rows differ" if len(off) > _SHOWN_ROWS else ""
    return f"fits in {agreed.fits:,} of {agreed.of:,} rows; {', '.join(rows)}{more}"


def _second_record(draft: Draft) -> None:
    """A time and a price that stand a second time under the same names are a second trade in the row, often the closing one."""
    found = {role: (first, _again(draft, first)) for role in ("ts", "price") if (first := draft.guess(role)) is not None}
    if len(found) < 2 or any(again is None for _, again in found.values()):
        return
    for role, (first, again) in found.items():
        if again is not None:
            again.role, again.record, again.score = role, 2, first.score
            again.evidence = [f"stands twice, or is a closing one: {again.header}"]
            again.doubts = ["a second trade in the row, the closing one with the other side? Or is it something else?"]


def _again(draft: Draft, first: Guess) -> Guess | None:
    """The column behind another one that has its name again, or is called a closing one; None if none does."""
    shape = draft.facts[first.index].values.shape
    for each in draft.columns[first.index + 1 :]:
        is_same = bool(first.header) and fold(each.header) == fold(first.header)
        if (is_same or each.meaning == "closing") and draft.facts[each.index].values.shape == shape:
            return each
    return None


def _halves_of_time(draft: Draft) -> None:
    """A date and a time of day make `ts`; a date beside a whole `ts` is the trade date."""
    whole, date, time = draft.guess("ts"), draft.guess("date"), draft.guess("time")
    style = draft.facts[whole.index].dates if whole else None
    if whole is not None and style is not None and not style.has_time and (time is not None or date is None):
        whole.role, date = ("date", whole) if date is None else ("date", date)
        whole = None
    if whole is not None:
        for half in (date, time):
            if half is not None:
                half.role = "trade_date" if half is date and draft.kind == "trades" else ""
                half.evidence.append(f"{_named(draft.facts[whole.index])} has date and time already")
    elif date is not None and time is None:
        date.doubts.append("no column has the time of day: is there another file with it, or is a time to be set?")
    elif time is not None and date is None:
        time.doubts.append("no column has the date")


def _doubt_scores(draft: Draft, candidates: Sequence[Candidate]) -> None:
    """Ask about guesses on little evidence, and about columns that could as well be something else that nothing else is."""
    for guess in draft.columns:
        if not guess.role:
            if 0 < guess.score < _SURE:
                guess.doubts.append("is it really of no use? Little speaks for it")
            continue
        if guess.score < _SURE:
            guess.doubts.append("little speaks for it")
        rivals = [
            each
            for each in candidates
            if each.place == guess.index and each.role not in ("", guess.role) and each.score >= guess.score * _RIVAL
        ]
        for rival in rivals[:1]:
            if draft.guess(rival.role) is None:
                guess.doubts.append(f"may be {rival.role} instead: {rival.evidence}")
        _doubt_values(draft, guess)


def _doubt_values(draft: Draft, guess: Guess) -> None:
    """Ask about values that do not fit the guess."""
    facts = draft.facts[guess.index]
    values, dates = facts.values, facts.dates
    if values.others:
        guess.doubts.append(f"{', '.join(values.others)} is no {values.shape} as the others are")
    if dates is not None and dates.doubt and guess.field in ("ts", "date", "value_date", "booked_ts", "trade_date"):
        guess.doubts.append(dates.doubt)
    if guess.role in _AMOUNTS and draft.numbers.doubt:
        guess.doubts.append(draft.numbers.doubt)
    if guess.role == "instrument" and values.shape == "currency" and draft.kind == "trades":
        guess.doubts.append(
            "one half of a pair? Where the store has pairs, join two columns: instrument = [.., ..], join.instrument = ''"
        )
    if guess.role == "quantity" and may_be_lots(draft):
        guess.doubts.append("in lots, and not in units of the first currency?")
    has_currency = draft.guess("fees_currency") is not None or any(unit.isalpha() for unit in values.units)
    if guess.role == "fees" and draft.kind == "trades" and not has_currency:
        guess.doubts.append("in which currency?")
    if guess.role == "price" and guess.scale > 1:
        guess.doubts.append("in hundredths (pence, cents), while the amount is in whole ones?")
    if guess.role == "side" and values.examples and all(value.isdigit() for value in values.examples):
        guess.doubts.append("are 1 and 2 a buy and a sell, as in FIX?")
    if guess.role == "trade_id" and not values.is_unique and values.count > 1:
        guess.doubts.append("values stand more than once: fills of one order, versions of one trade, or legs?")
    if guess.role in ("currency", "fees_currency") and any(value not in CURRENCIES for value in values.examples):
        guess.doubts.append("not every value is a currency")


def may_be_lots(draft: Draft) -> bool:
    """Whether the volume of pairs is that small that it may be in lots."""
    guess, instrument = draft.guess("quantity"), draft.guess("instrument")
    if guess is None or instrument is None or draft.facts[instrument.index].values.shape != "pair":
        return False
    values = draft.facts[guess.index].values
    numbers = [number.value(draft.numbers.decimal) or Decimal(0) for number in values.numbers]
    is_named = not _LOT_WORDS.isdisjoint(fold(guess.header).split())
    return is_named and not values.units and max(map(abs, numbers), default=Decimal(0)) < _LARGEST_LOTS
