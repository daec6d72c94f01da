"""Writes a draft as the text of a mapping (manual/mappings.md): every guess with its evidence, every doubt beside it.

What the draft cannot tell is a line that is commented out, with the question. A mapping with such lines is valid TOML and passes
the check of mappings; a load with it is refused until the questions that matter are answered. Pure.
"""

import re
from collections.abc import Sequence

from riskengine.files.drafts.column_evidence import Known, store_name
from riskengine.files.drafts.draft import Draft, Guess
from riskengine.files.drafts.draft_lines import said_line, shortened, toml_key, toml_text
from riskengine.files.drafts.draft_numbers import number_tables, sign_of_quantity, unit_of
from riskengine.files.drafts.draft_times import time_table
from riskengine.files.drafts.sniff import SampleRow
from riskengine.files.drafts.value_shapes import is_cancel, side_in
from riskengine.files.mappings.mapped_columns import find_name, named_columns
from riskengine.files.mappings.mapping import read_mapping, shipped_names
from riskengine.files.shapes import MAPPED
from riskengine.nearest import by_first_words, nearest
from riskengine.printable import printable
from riskengine.records.currency_units import MINOR_UNITS

_THOUSANDS = {"\u00a0": " ", "\u202f": " ", "\u2019": "'"}
_MOST_WORDS = 20
_NAMES = ("instrument", "desk")
"""Columns whose values are names in the store."""


def draft_text(draft: Draft, name: str, known: Known | None = None) -> str:
    """The mapping that a draft describes, in TOML. `name` is the file's, for the first lines. `known` are names of a store."""
    return "\n".join([*_Writer(draft, name, known or Known()).lines(), ""])


def ready_mappings(header: Sequence[str], kind: str) -> list[str]:
    """The names of the ready mappings whose columns a header has, all of them and four at least."""
    found = []
    for name in shipped_names():
        mapping = read_mapping(name)
        made = {group for pattern in mapping.extract.values() for group in re.compile(pattern).groupindex}
        refs = {ref for _, ref in named_columns(mapping) if isinstance(ref, str)} - made - set(mapping.optional)
        if mapping.kind == kind and len(refs) >= 4 and all(isinstance(find_name(header, ref), int) for ref in refs):
            found.append(name)
    return found


class _Writer:
    """Writes one draft. Columns that the kind of file does not have are left out, with what they seem to be."""

    def __init__(self, draft: Draft, name: str, known: Known) -> None:
        self._draft = draft
        self._name = printable(name)
        self._known = known
        self._fields = MAPPED[draft.kind].columns
        self._refs = _column_refs(draft)
        self._ready = ready_mappings(draft.sample.header, draft.kind)

    def lines(self) -> list[str]:
        """The lines of the mapping: what the file is, which rows count, columns, words, constants, numbers, times."""
        tables = (
            self._columns(),
            self._extract(),
            self._values(),
            self._set(),
            number_tables(self._draft),
            time_table(self._draft),
            self._check(),
        )
        parts = [self._head(), self._file(), self._rows(), *tables, self._records(), self._unused()]
        lines: list[str] = []
        for part in filter(None, parts):
            lines += [*part, ""]
        return lines[:-1]

    def _head(self) -> list[str]:
        sample = self._draft.sample
        doubts = sum(bool(guess.doubts) for guess in self._draft.columns)
        part = "all" if sample.whole else "the first"
        return [
            f"# A draft, guessed from {part} {len(sample.rows):,} rows of {self._name}. Nothing was loaded.",
            "# Beside each line stands what speaks for it. DOUBT: look at the file and decide. ASK: the file does not tell;",
            f"# write the answer and take the # away. In doubt: {doubts} of {len(sample.header)} columns. Then:",
            f"#   riskengine check-mapping THIS_FILE --against {self._name}",
            *(f"# The ready mapping {name} names columns that this file has: look at it first." for name in self._ready),
        ]

    # -- the file ------------------------------------------------------------------------------------------------

    def _file(self) -> list[str]:
        sample = self._draft.sample
        lines = [f'kind = "{self._draft.kind}"']
        if not sample.slices:
            delimiter = {"\t": "tab"}.get(sample.separator.value, sample.separator.value)
            lines += said_line(f"delimiter = {toml_text(delimiter)}", sample.separator.evidence, [sample.separator.doubt])
        lines += said_line(f"encoding = {toml_text(sample.encoding.value)}", sample.encoding.evidence, [sample.encoding.doubt])
        lines += self._number_marks()
        lines += self._skip()
        if sample.slices:
            lines += said_line("", sample.separator.evidence, [sample.separator.doubt])
            cuts = zip(self._refs, sample.slices, strict=True)
            places = [f"{toml_key(ref)} = {toml_text(f'{cut.start + 1}-{cut.end}')}" for ref, cut in cuts]
            lines.append(f"fixed = {{ {', '.join(places)} }}")
        return lines + self._identity()

    def _number_marks(self) -> list[str]:
        numbers = self._draft.numbers
        thousands = _THOUSANDS.get(numbers.thousands, numbers.thousands)
        if numbers.doubt:
            other = "," if numbers.decimal == "." else "."
            return [
                f"# ASK: {printable(numbers.doubt)}. One of:",
                f'# decimal = "{numbers.decimal}"',
                f'# decimal = "{other}"',
                f'# thousands = "{numbers.decimal}"',
            ]
        lines = said_line(f'decimal = "{numbers.decimal}"', numbers.evidence)
        if thousands:
            lines += said_line(
                f"thousands = {toml_text(thousands)}", f"groups of three digits with {numbers.thousands!r} between them"
            )
        return lines

    def _skip(self) -> list[str]:
        sample = self._draft.sample
        if sample.slices:
            before = sample.rows[0].line - 1 if sample.rows else sample.header_line
            return said_line(f"skip = {before}", "lines before the first row; a fixed-width file has no header") if before else []
        if not sample.header_line:
            lines = said_line("header = false", "the first row has values, no names")
            return lines + (said_line(f"skip = {len(sample.preamble)}", "lines before the first row") if sample.preamble else [])
        if sample.header_line > 1:
            return said_line(
                'skip = "header"', f"the header is line {sample.header_line}; before it: {'; '.join(sample.preamble[:2])}"
            )
        return []

    def _identity(self) -> list[str]:
        """Where the ids of trades come from."""
        if self._draft.kind != "trades" or self._draft.guess("trade_id") is not None:
            return []
        order = self._draft.guess("order_id")
        lines = [
            "# DOUBT: no column has an id of the trade: two equal rows of two files would be two trades only by their count."
        ]
        if order is not None:
            lines.append(
                f"# {self._ref(order)} is an order's: several fills may have one. If it is a trade's: id = {self._value(order)}"
            )
        return [*lines, 'id = { hash = "row" }']

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rows(self) -> list[str]:
        """Which rows count: none of a sum, none whose side is no side. A load refuses words that the sample does not have."""
        sample = self._draft.sample
        left_out = [*sample.totals, *sample.odd]
        lines = [f"# DOUBT: line {row.line} is another row than most: {shortened(_row_text(row))}" for row in sample.odd[:3]]
        asked, wanted = self._other_sides()
        lines += asked
        if left_out and (guess := self._always_full(but=self._draft.guess("side") if wanted else None)) is not None:
            wanted.append(f"{toml_key(self._ref(guess))} = true")
        if wanted:
            said = (
                f"line {left_out[0].line} has none: {shortened(_row_text(left_out[0]))}"
                if left_out
                else "rows that are no trades"
            )
            lines += said_line(f"where = {{ {', '.join(wanted)} }}", said)
        elif left_out:
            lines.append(f"# ASK: which column tells line {left_out[0].line} from the others? Then: where = {{ Column = true }}")
        return lines

    def _other_sides(self) -> tuple[list[str], list[str]]:
        """Questions about words of the side that are none, and the condition that leaves such rows out."""
        side = self._draft.guess("side")
        if side is None:
            return [], []
        words, others = self._strange_sides(side)
        asked = [
            f"# DOUBT: a side of {shortened(word)}: a cancel? Its rows are refused, see values"
            for word in words
            if is_cancel(word)
        ]
        if not others:
            return asked, []
        asked.append(f"# DOUBT: rows with {shortened(', '.join(others))} are taken for no trades: income, fees, transfers?")
        return asked, [f"{toml_key(self._ref(side))} = {{ not = [{', '.join(map(toml_text, others))}] }}"]

    def _strange_sides(self, side: Guess) -> tuple[list[str], list[str]]:
        """The words of the side that a load refuses, as long as nobody says what they are, and those that are left out.

        What may take a trade back, or is short, is for a person to say; and where no word is a side, every one of them.
        """
        all_words = list(dict.fromkeys(filter(None, self._draft.sample.column(side.index))))
        words = [word for word in all_words if not side_in(word)]
        is_known = len(words) < len(all_words)
        others = [word for word in words if is_known and len(word) > 3 and not is_cancel(word)]
        return [word for word in words if word not in others], others

    def _always_full(self, but: Guess | None) -> Guess | None:
        """A mapped column that every row has and no total, another one than `but`."""
        sample = self._draft.sample
        left_out = [*sample.totals, *sample.odd]
        for guess in self._draft.columns:
            is_full = guess.role and guess is not but and all(row.values[guess.index] for row in sample.rows)
            if is_full and not any(len(row.values) > guess.index and row.values[guess.index] for row in left_out):
                return guess
        return None

    # -- columns -------------------------------------------------------------------------------------------------

    def _columns(self) -> list[str]:
        """The mapped columns, in the order of the record's."""
        lines = ["[columns]"]
        for field in self._fields:
            if field == "ts":
                lines += self._ts()
                continue
            guess = self._draft.guess_of(field)
            if guess is not None:
                lines += self._more_fees(guess) if field == "fees" else []
                lines += said_line(f"{field} = {self._value(guess)}", *self._about(guess))
            elif field in self._required() and not self._comes_otherwise(field):
                lines.append(f"# ASK: no column was found for {field}.")
                lines.append(f'# {field} = "?"')
        return lines

    def _more_fees(self, fees: Guess) -> list[str]:
        """Ask whether other columns of fees, and of taxes, belong to the fees."""
        more = [
            guess
            for guess in self._draft.columns
            if not guess.role and (guess.lost == "fees" or guess.meaning == "tax") and self._draft.facts[guess.index].values.count
        ]
        if not more:
            return []
        names = ", ".join(printable(str(self._ref(guess))) for guess in more)
        source = ", ".join(map(self._value, (fees, *more)))
        return [f"# ASK: do {names} belong to the fees? Then instead of the line below:", f"# fees = {{ sum = [{source}] }}"]

    def _ts(self) -> list[str]:
        guesses = [guess for role in ("ts", "date", "time") if (guess := self._draft.guess(role)) is not None]
        if "ts" not in self._fields:
            return []
        if not guesses:
            return ["# ASK: no column has the time.", '# ts = "?"']
        said = [self._about(guess) for guess in guesses]
        values = [self._value(guess) for guess in guesses]
        source = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        return said_line(
            f"ts = {source}", "; ".join(evidence for evidence, _ in said), [doubt for _, doubts in said for doubt in doubts]
        )

    def _about(self, guess: Guess) -> tuple[str, list[str]]:
        """Evidence and doubts of a column, with an example of its values."""
        values = self._draft.facts[guess.index].values
        example = f"; such as {values.examples[0]}" if values.examples else "; empty in every row"
        doubts = list(guess.doubts)
        if guess.role in _NAMES:
            doubts += self._doubt_names(guess)
        return "; ".join(guess.evidence) + example, doubts

    def _doubt_names(self, guess: Guess) -> list[str]:
        """Ask about names that the store does not know, or that nobody could look up."""
        names = self._known.instruments if guess.role == "instrument" else self._known.desks
        values = sorted({value for value in self._draft.sample.column(guess.index) if value})
        if not names:
            return [f"are these the store's names of {guess.role}s? --store looks them up, --alias and values change them"]
        strange = [value for value in values if value not in names and store_name(value) not in names]
        meant = {value: nearest(value, names) or by_first_words(value, names) for value in strange[:5]}
        near = [f"{value} ({found}?)" if found else value for value, found in meant.items()]
        return [f"the store knows no {guess.role} {', '.join(near)}: values or --alias name them"] if strange else []

    def _comes_otherwise(self, field: str) -> bool:
        """Whether a field that no column has is a constant, an id of the row's content, or taken out of a text."""
        draft = self._draft
        if field in ("quantity", "price") and draft.guess("deal") is not None:
            return True
        return field in ("trade_id", "desk") or (field == "side" and sign_of_quantity(self._draft) == "side")

    def _required(self) -> set[str]:
        return {group[0] for group in MAPPED[self._draft.kind].required}

    def _extract(self) -> list[str]:
        guess = self._draft.guess("deal")
        if guess is None:
            return []
        return ["[extract]", *said_line(f"{toml_key(self._ref(guess))} = '{guess.pattern}'", *self._about(guess))]

    # -- words and constants -------------------------------------------------------------------------------------

    def _values(self) -> list[str]:
        side = self._draft.guess("side")
        lines: list[str] = []
        if side is not None and "side" in self._fields:
            lines.append("[values.side]")
            for word in dict.fromkeys(filter(None, self._draft.sample.column(side.index))):
                if (meant := side_in(word)) is not None:
                    lines.append(f'{toml_text(word)} = "{meant}"')
            for word in self._strange_sides(side)[0][:_MOST_WORDS]:
                lines.append(f'# {toml_key(word)} = "?"')
        for field in _NAMES:
            if respelt := self._respelt(field):
                lines += [*([""] if lines else []), f"[values.{field}]", *respelt]
        if removed := self._separators_of_pairs():
            lines += [*([""] if lines else []), "[remove]"]
            lines += said_line(
                f"instrument = {toml_text(removed)}", "so that pairs are named as EURUSD is", ["does the store name them so?"]
            )
        return lines

    def _respelt(self, field: str) -> list[str]:
        """Names that the store writes in another way: EUR.USD is its EURUSD."""
        guess = self._draft.guess(field)
        names = self._known.instruments if field == "instrument" else ()
        if guess is None or not names:
            return []
        values = [value for value in dict.fromkeys(self._draft.sample.column(guess.index)) if value and value not in names]
        lines = [f"{toml_text(value)} = {toml_text(store_name(value))}" for value in values if store_name(value) in names]
        return [*lines, *said_line('"*" = "*"', "all others as they are")] if lines else []

    def _separators_of_pairs(self) -> str:
        """What stands between the currencies of every pair; empty where it is none, or where the store has it so."""
        guess = self._draft.guess("instrument")
        if guess is None or self._draft.facts[guess.index].values.shape != "pair":
            return ""
        values = [value for value in self._draft.sample.column(guess.index) if value]
        marks = {mark for value in values for mark in re.findall(r"[^A-Za-z0-9]", value)}
        if len(marks) != 1 or self._known.instruments:
            return ""
        return str(marks.pop())

    def _set(self) -> list[str]:
        """Constants that somebody has to give."""
        draft = self._draft
        lines = ["[set]"]
        if "source" in self._fields and draft.guess("source") is None and draft.kind == "trades":
            lines += ["# ASK: under which name do its trades go? Ids are unique within a source.", '# source = "?"']
        if "desk" in self._fields and draft.guess("desk") is None:
            some = f", such as {', '.join(sorted(self._known.desks)[:3])}" if self._known.desks else ""
            lines += [f"# ASK: no column names a desk. Which one is it{some}?", '# desk = "?"']
        if (
            draft.kind == "trades"
            and draft.guess("fees") is not None
            and draft.guess("fees_currency") is None
            and not unit_of(draft, "fees")
        ):
            lines += [*self._ask_fees_currency(), '# fees_currency = "?"']
        return lines if len(lines) > 1 else []

    def _ask_fees_currency(self) -> list[str]:
        """The question in which currency the fees are; beside a minor unit they would be hundredths."""
        currency = self._draft.guess("currency")
        units = self._draft.sample.column(currency.index) if currency is not None else []
        minor = next((unit for unit in units if unit in MINOR_UNITS), "")
        lines = ["# ASK: in which currency are the fees? Without an answer, in that of the row."]
        if minor and currency is not None:
            lines += [
                f"# DOUBT: fees of a row in {minor} would be hundredths of {MINOR_UNITS[minor]}. If they are whole ones:",
                f"# fees_currency = {self._value(currency)} under [columns], and under [values.fees_currency]",
                f'# {minor} = "{MINOR_UNITS[minor]}" and the others as they are (mappings.md, pence and pounds in one file).',
            ]
        return lines

    def _check(self) -> list[str]:
        """The check that the amounts of the sample pass."""
        if (partly := next((guess for guess in self._draft.columns if guess.partly), None)) is not None:
            return self._check_of_some(partly)
        guess = self._draft.guess("contra_amount")
        if guess is None or "contra_amount" not in self._fields or unit_of(self._draft, "contra_amount"):
            return []
        if not guess.product or guess.scale > 1:
            return []
        return ["[check]", *said_line(f"total = {self._value(guess)}", guess.product)]

    def _check_of_some(self, guess: Guess) -> list[str]:
        """The check that most rows pass: it refuses the others, where they are in another unit. Else a doubt."""
        total = f"total = {self._value(guess)}"
        if guess.is_mostly:
            doubt = "that row is refused until its unit is settled: [[records]] (mappings.md, pence and pounds in one file)"
            return ["[check]", *said_line(total, "quantity x price in most rows", [guess.partly, doubt])]
        return ["[check]", f"# DOUBT: {printable(guess.partly)}; a row that differs is refused by", f"# {total}"]

    # -- a second record, and the rest ---------------------------------------------------------------------------

    def _records(self) -> list[str]:
        second = [guess for guess in self._draft.columns if guess.record == 2]
        if not second:
            return self._exchanges()
        columns = ", ".join(f"{guess.role} = {self._value(guess)}" for guess in second)
        lines = [
            f"# DOUBT: {second[0].doubts[0]}",
            "# Taken for an opening and a closing trade, the fees with the opening; if not, take both tables away.",
            "[[records]]",
            "",
            "[[records]]",
            f"columns = {{ {columns} }}",
        ]
        if self._draft.guess("fees") is not None:
            lines.append('set = { fees = "0" }')
        if (side := self._draft.guess("side")) is not None:
            turned = {"buy": "sell", "sell": "buy"}
            words = [word for word in dict.fromkeys(self._draft.sample.column(side.index)) if side_in(word)]
            pairs = ", ".join(f'{toml_text(word)} = "{turned[side_in(word) or ""]}"' for word in words)
            lines.append(f"values = {{ side = {{ {pairs} }} }}")
        return lines

    def _exchanges(self) -> list[str]:
        """Ask about a column of exchange rates: the broker's exchange of currency is a trade of its own."""
        rates = [guess for guess in self._draft.columns if not guess.role and guess.meaning == "exchange_rate"]
        if self._draft.kind != "trades" or not rates or not self._draft.facts[rates[0].index].values.count:
            return []
        name = printable(str(self._ref(rates[0])))
        return [
            f"# ASK: {name} is an exchange rate. Did the broker exchange the currency too? Then that is a second trade",
            "# of the row, in the pair: [[records]] says how.",
        ]

    def _unused(self) -> list[str]:
        """The columns that are not mapped, each with what it seems to be."""
        lines = []
        for guess in self._draft.columns:
            if guess.field in self._fields or guess.role == "deal":
                continue
            seems = guess.role or "; ".join(guess.evidence) or "unknown"
            if guess.role:
                seems = f"{guess.role}, which a {MAPPED[self._draft.kind].what} does not have"
            examples = ", ".join(self._draft.facts[guess.index].values.examples) or "empty"
            doubt = f" DOUBT: {'; '.join(guess.doubts)}" if guess.doubts else ""
            lines.append(f"#   {printable(f'{self._ref(guess)}: {seems} ({shortened(examples)}).{doubt}')}")
        return ["# Not mapped:", *lines] if lines else []

    def _ref(self, guess: Guess) -> str | int:
        return self._refs[guess.index]

    def _value(self, guess: Guess) -> str:
        ref = self._ref(guess)
        return str(ref) if isinstance(ref, int) else toml_text(ref)


def _column_refs(draft: Draft) -> list[str | int]:
    """How the mapping names each column: its header, `Time#2` for the second of that name, its number where it has none."""
    header = draft.sample.header
    refs: list[str | int] = []
    folded = [name.lower() for name in header]
    for index, name in enumerate(header):
        if not name:
            refs.append(f"column {index + 1}" if draft.sample.slices else index + 1)
        elif folded.count(name.lower()) > 1:
            refs.append(f"{name}#{folded[: index + 1].count(name.lower())}")
        else:
            refs.append(name)
    return refs


def _row_text(row: SampleRow) -> str:
    return " ".join(filter(None, row.values))
