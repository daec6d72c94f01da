"""What a mapping does to a row, as steps made once for a file: each takes a record of the file and our row in the making.

A record is the list of a line's fields, stripped, with the columns that the mapping makes at its end. A step raises Rejected
for a value that it cannot read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from riskengine.errors import InputError
from riskengine.files.columns import Row
from riskengine.files.mappings.mapped_columns import HeaderColumns
from riskengine.files.mappings.mapped_numbers import EXACT, NumberReader, changed, is_zero, number_reader
from riskengine.files.mappings.mapping import DATES, NUMBERS, TIMES, CheckRule, Combined, FileMapping, NumberRule, TimeRule, Words
from riskengine.files.times import NAME_THE_ZONE, date_parser, needs_zone, time_parser
from riskengine.records.fields import Rejected, excerpt

Record = list[str]
Step = Callable[[Record, Row], None]

OTHERS = "*"
"""The word that stands for all others."""

MAX_WORDS = 12
"""Known words that a refusal lists."""

_ZONE_KEY = 'zone under [times] names it, such as zone = "Europe/London"'
_NO_RULE = NumberRule()


class Roundings:
    """Counts the rows in which a number was rounded, by field and decimals."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int], int] = {}

    def add(self, field: str, decimals: int) -> None:
        """Count one row."""
        self.counts[field, decimals] = self.counts.get((field, decimals), 0) + 1


class RowSteps:
    """Makes a row of ours from a record. `fields` are those that it may have, `make` the row."""

    def __init__(
        self, mapping: FileMapping, columns: HeaderColumns, key: str, moved: Mapping[str, int], rounded: Roundings
    ) -> None:
        """`moved` are fields whose number was taken from its unit: it stands in that column. Raises InputError."""
        self._mapping = mapping
        self._columns = columns
        self._key = key
        self._rounded = rounded
        self.simple: dict[str, int] = {}
        self.steps: list[Step] = []
        self._reads: dict[str, NumberReader] = {}
        for field, source in mapping.columns.items():
            self._add_source(field, source, moved)
        self._constants = dict(mapping.set)
        self.fields = {*mapping.columns, *mapping.set}
        self.steps += [_remove_step(field, words) for field, words in mapping.remove.items() if field in self.fields]
        self.steps += [_words_step(field, words) for field, words in mapping.values.items() if field in self.fields]
        self._add_numbers()
        self._add_times()
        if mapping.check.total:
            self._add_total(mapping.check)

    def make(self, record: Record) -> Row:
        """The row of a record. Raises Rejected."""
        row: Row = {field: record[at] for field, at in self.simple.items()}
        if self._constants:
            row.update(self._constants)
        for step in self.steps:
            step(record, row)
        return row

    def make_partly(self, record: Record) -> Row:
        """The row of a record as far as it can be read: what cannot stays as it was written, for a person who mends it."""
        row: Row = {field: record[at] for field, at in self.simple.items()} | self._constants
        for step in self.steps:
            with suppress(Rejected):
                step(record, row)
        return row

    # -- where fields come from ----------------------------------------------------------------------------------

    def _add_source(self, field: str, source: Any, moved: Mapping[str, int]) -> None:
        key = f"{self._key}columns.{field}"
        if field in moved:
            self.simple[field] = moved[field]
        elif isinstance(source, str | int):
            at = self._columns.find(source, key)
            if at is not None:
                self.simple[field] = at
        else:
            refs = source.parts if isinstance(source, Combined) else source
            places = [at for ref in refs if (at := self._columns.find(ref, key)) is not None]
            if isinstance(source, Combined) and source.sum:
                self.steps.append(self._sum_step(field, places))
            elif isinstance(source, Combined):
                self.steps.append(_first_step(field, places))
            else:
                self.steps.append(_join_step(field, places, self._mapping.join.get(field, " ")))

    def _reader(self, field: str) -> NumberReader:
        if field not in self._reads:
            self._reads[field] = number_reader(self._mapping, self._mapping.numbers.get(field, _NO_RULE))
        return self._reads[field]

    def _sum_step(self, field: str, places: Sequence[int]) -> Step:
        read = self._reader(field)

        def step(record: Record, row: Row) -> None:
            parts = [EXACT.create_decimal(read(record[at], field)) for at in places if record[at]]
            total = Decimal(0)
            for part in parts:
                total = EXACT.add(total, part)
            row[field] = format(total, "f") if parts else ""

        return step

    # -- numbers -------------------------------------------------------------------------------------------------

    def _add_numbers(self) -> None:
        mapping = self._mapping
        is_plain = mapping.decimal == "." and not mapping.thousands
        for field in [field for field in mapping.columns if field in NUMBERS]:
            rule, source = mapping.numbers.get(field), mapping.columns[field]
            is_read = isinstance(source, Combined) and bool(source.sum)
            if rule is None and is_plain:
                continue  # the check of the record reads it
            self.steps.append(self._number_step(field, rule or _NO_RULE, is_read=is_read))
            if rule is not None and rule.sign:
                self.steps.append(_sign_step(field, rule.sign))
                if rule.sign == "side":
                    self.fields.add("side")

    def _number_step(self, field: str, rule: NumberRule, *, is_read: bool) -> Step:
        read, rounded = self._reader(field), self._rounded
        if not is_read and rule == NumberRule(strip=rule.strip, sign=rule.sign):
            return _plain_number_step(field, read)
        changes = rule.negate or rule.multiply is not None or rule.round is not None
        unit = rule.unit

        def step(record: Record, row: Row) -> None:
            text = row.get(field)
            if not text:
                return
            number = text if is_read else read(text, field)
            if unit and not row.get(unit, "x") and not is_zero(number):
                raise Rejected(field, f"has no unit, which is the row's {unit}: {excerpt(text)}")
            if changes:
                try:
                    number, was_rounded = changed(number, rule)
                except ArithmeticError:
                    raise Rejected(field, f"has too many digits to be changed exactly: {excerpt(text)}") from None
                if was_rounded and rule.round is not None:
                    rounded.add(field, rule.round)
            row[field] = number

        return step

    # -- times and checks ----------------------------------------------------------------------------------------

    def _add_times(self) -> None:
        """Constants are not of the file: they are RFC 3339 or ISO, as in files of ours."""
        for field in [field for field in self._mapping.columns if field in TIMES | DATES]:
            rule = self._mapping.times.of(field)
            try:
                if field in TIMES:
                    self.steps.append(_time_step(field, rule))
                elif rule.format is not None:
                    self.steps.append(_date_step(field, rule.format))
            except InputError as error:
                raise InputError(f"{self._mapping.name}: times ({field}): {error}") from None

    def _add_total(self, check: CheckRule) -> None:
        at = self._columns.find(check.total, f"{self._key}check.total")
        by = self._columns.find(check.multiplier, f"{self._key}check.multiplier") if check.multiplier else None
        if at is not None:
            marks = tuple({mark: None for rule in self._mapping.numbers.values() for mark in rule.strip})
            read = number_reader(self._mapping, NumberRule(strip=marks))
            self.steps.append(_total_step(at, by, check.tolerance, read))


def _plain_number_step(field: str, read: NumberReader) -> Step:
    def step(record: Record, row: Row) -> None:
        text = row.get(field)
        if text:
            row[field] = read(text, field)

    return step


def _first_step(field: str, places: Sequence[int]) -> Step:
    def step(record: Record, row: Row) -> None:
        row[field] = next((record[at] for at in places if record[at]), "")

    return step


def _join_step(field: str, places: Sequence[int], between: str) -> Step:
    def step(record: Record, row: Row) -> None:
        row[field] = between.join([record[at] for at in places if record[at]])

    return step


def _remove_step(field: str, words: Words) -> Step:
    texts = (words,) if isinstance(words, str) else words

    def step(record: Record, row: Row) -> None:
        row[field] = without(row.get(field, ""), texts)

    return step


def without(text: str, parts: Sequence[str]) -> str:
    """A text without some parts."""
    for part in parts:
        text = text.replace(part, "")
    return text.strip()


def _words_step(field: str, words: Mapping[str, str]) -> Step:
    def step(record: Record, row: Row) -> None:
        text = row.get(field, "")
        ours = words.get(text)
        row[field] = ours if ours is not None else translated(text, words, field)

    return step


def translated(text: str, words: Mapping[str, str], field: str) -> str:
    """Our word for theirs. Raises Rejected for one that nobody has named."""
    found = words.get(text)
    if found is not None:
        return found
    if not text:
        return text
    others = words.get(OTHERS)
    if others is None and not words:
        ours = '"buy" or "sell"' if field == "side" else '".."'
        raise Rejected(field, f"is {excerpt(text)}; values.{field} has no words yet: write {_toml_word(text)} = {ours}")
    if others is None:
        known = ", ".join(map(excerpt, list(words)[:MAX_WORDS])) + (", .." if len(words) > MAX_WORDS else "")
        raise Rejected(field, f"is {excerpt(text)}, a word that values.{field} does not have; there are {known}")
    return text if others == OTHERS else others


def _toml_word(text: str) -> str:
    """A word as the key of a table, in quotes where TOML wants them."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text) else f'"{excerpt(text)[1:-1]}"'


def _sign_step(field: str, sign: str) -> Step:
    """Take the sign off a number, and let it say the side or agree with it. A cancel's side says nothing."""

    def step(record: Record, row: Row) -> None:
        text = row.get(field)
        if not text:
            return
        is_negative = text.startswith("-")
        if is_negative:
            row[field] = text[1:]
        if sign == "side":
            row["side"] = "sell" if is_negative else "buy"
        elif sign != "ignore" and row.get("action") != "cancel" and not is_zero(text):
            side = row.get("side")
            if side in ("buy", "sell") and (side == "buy") == (is_negative if sign == "agrees" else not is_negative):
                raise Rejected(field, f"is {text}, which contradicts the side {side}")

    return step


def _time_step(field: str, rule: TimeRule) -> Step:
    if rule.zone is None and needs_zone(rule.format):
        raise InputError(f"times in the format {rule.format!r} have no zone: {_ZONE_KEY}")
    parse = time_parser(rule.zone, rule.format, rule.repeated_hour)

    def step(record: Record, row: Row) -> None:
        text = row.get(field)
        if text:
            try:
                row[field] = parse(text, field)
            except Rejected as error:
                reason = error.reason.removesuffix(NAME_THE_ZONE)
                raise Rejected(field, reason if reason == error.reason else f"{reason}; {_ZONE_KEY}") from None

    return step


def _date_step(field: str, form: str) -> Step:
    parse = date_parser(form)
    assert parse is not None

    def step(record: Record, row: Row) -> None:
        text = row.get(field)
        if text:
            row[field] = parse(text, field)

    return step


def _total_step(at: int, by: int | None, tolerance: Decimal, read: NumberReader) -> Step:
    def step(record: Record, row: Row) -> None:
        quantity, price, total = row.get("quantity"), row.get("price"), record[at]
        if not (quantity and price and total):
            return
        factors = [quantity, price, *([read(record[by], "multiplier")] if by is not None and record[by] else ())]
        product = Decimal(1)
        try:
            for factor in factors:
                product = EXACT.multiply(product, EXACT.create_decimal(factor))
        except ArithmeticError:
            return  # the check of the record says which of them is no number
        said = EXACT.create_decimal(read(total, "total"))
        if abs(abs(product) - abs(said)) > tolerance:
            text, formula = format(product.normalize(EXACT), "f"), " x ".join(factors)
            raise Rejected("total", f"is {total}, but quantity x price is {text} ({formula}){_hundredth(product, said)}")

    return step


def _hundredth(product: Decimal, said: Decimal) -> str:
    """What a total that is 1/100 of the product to its last place, or 100 times, probably is; empty for any other."""
    product, said = abs(product), abs(said)
    half = Decimal(5).scaleb(int(said.as_tuple().exponent) - 1)
    if said and abs(EXACT.multiply(product, Decimal("0.01")) - said) < half:
        return ". It is exactly 1/100 of it: are the amounts in pounds and the prices in pence?"
    if said and abs(EXACT.multiply(product, Decimal(100)) - said) < half:
        return ". It is exactly 100 times of it: are the amounts in pence and the prices in pounds?"
    return ""
