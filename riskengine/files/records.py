"""Reads the input files of the command line: checked records with their line numbers, a bad line as a `Refusal`.

Readers stream, so memory does not grow with the file. A reader raises InputError if the whole file cannot be read; records
that it yielded before stay valid. The checks are those of the HTTP routes.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import structs

from riskengine.errors import InputError
from riskengine.files.columns import ColumnOptions, Row, TableFile, load_alias, parse_columns, read_rows
from riskengine.files.lines import display_name
from riskengine.files.mappings.mapped_rows import rows_of
from riskengine.files.shapes import (
    ACTIONS,
    CALENDARS,
    CARRY,
    CASH,
    CLOSES,
    INSTRUMENTS,
    LIMITS,
    MARGIN_RULES,
    MARKS,
    NODES,
    OPENINGS,
    RATES,
    SCENARIOS,
    TICKS,
    TRADES,
    VOLS,
    Shape,
)
from riskengine.files.spreadsheet import unescape_formula
from riskengine.files.times import TimeParser, date_parser, time_parser, with_way_out
from riskengine.records.actions import Action, ActionInput, check_action
from riskengine.records.calendars import CalendarEntry, CalendarInput, check_calendar
from riskengine.records.cash import CarryInput, CarryRecord, CashInput, CashMovement, EntryCheck
from riskengine.records.currency_units import AS_THEY_ARE, PriceUnits
from riskengine.records.decode import TradeInput, convert
from riskengine.records.fields import Rejected, excerpt, name, quote
from riskengine.records.limits import Limit, LimitCheck, LimitInput
from riskengine.records.margin_rules import MarginRule, MarginRuleCheck, MarginRuleInput
from riskengine.records.option_input_checks import OptionInputCheck, RateInput, VolInput
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference_input import (
    CloseInput,
    InstrumentInput,
    MarkInput,
    NodeInput,
    OpeningInput,
    check_close,
    check_instrument,
    check_mark,
    check_node,
    check_opening,
)
from riskengine.records.scenario_shifts import ScenarioShift, ScenarioShiftCheck, ScenarioShiftInput
from riskengine.records.types import Close, Instrument, Node, Opening, Refusal, StoredMark, Tick, Trade

__all__ = [
    "ACTIONS",
    "CALENDARS",
    "CARRY",
    "CASH",
    "CLOSES",
    "INSTRUMENTS",
    "LIMITS",
    "MARGIN_RULES",
    "MARKS",
    "NODES",
    "OPENINGS",
    "RATES",
    "SCENARIOS",
    "TICKS",
    "TRADES",
    "VOLS",
    "ColumnOptions",
    "Shape",
    "load_alias",
    "merge_by_time",
    "parse_columns",
    "parse_time",
    "read_actions",
    "read_calendars",
    "read_carry",
    "read_cash",
    "read_closes",
    "read_instruments",
    "read_limits",
    "read_margin_rules",
    "read_marks",
    "read_nodes",
    "read_openings",
    "read_rates",
    "read_rows",
    "read_scenarios",
    "read_ticks",
    "read_trades",
    "read_vols",
]

_Sent = TypeVar("_Sent")
_Record = TypeVar("_Record")

TICK_FIELDS = ("instrument", "ts", "bid", "ask", "mid", "source")

Parser = Callable[[str | int, str], int | str]
"""From a time or a date as sent, and its field's name, to the same as our records have it. Raises Rejected."""

_NAMES_KEPT = 10_000
_TIMES = ("ts", "booked_ts")
_DATES = ("date", "value_date", "trade_date", "expiry", "ex_date", "from", "to")


def parse_time(text: str | int, options: ColumnOptions, field: str = "ts") -> int:
    """Parse a time by `options` (`times.time_parser`) to microseconds since the epoch, UTC. Raises Rejected.

    Cost 0.7 us for a time in a cached minute.
    """
    return _time_parser(options)(text, field)


def _time_parser(options: ColumnOptions) -> TimeParser:
    """A parser for one column of one file."""
    return time_parser(options.tz, options.time_format, options.repeated_hour)


# -- trades and balances -----------------------------------------------------------------------------------------


def read_trades(
    path: str,
    options: ColumnOptions,
    check: Callable[[TradeInput, int, str], Trade],
    received_ts: Callable[[], int] | int,
    default_source: str = "file",
) -> Iterator[tuple[int, Trade | Refusal]]:
    """The checked trades of a file. `received_ts` is the time of arrival of all, or is called for each."""

    def checked(sent: TradeInput) -> Trade:
        return check(sent, received_ts if isinstance(received_ts, int) else received_ts(), default_source)

    return _records(path, options, TRADES, TradeInput, checked)


def read_nodes(path: str, options: ColumnOptions) -> Iterator[tuple[int, Node | Refusal]]:
    """The nodes of a file. The caller checks that they form a tree."""
    return _records(path, options, NODES, NodeInput, check_node)


def read_instruments(path: str, options: ColumnOptions) -> Iterator[tuple[int, Instrument | Refusal]]:
    """The instruments of a file."""
    return _records(path, options, INSTRUMENTS, InstrumentInput, check_instrument)


def read_calendars(path: str, options: ColumnOptions) -> Iterator[tuple[int, CalendarEntry | Refusal]]:
    """The calendar entries of a file."""
    return _records(path, options, CALENDARS, CalendarInput, check_calendar)


def read_openings(
    path: str, options: ColumnOptions, instruments: Mapping[str, Instrument]
) -> Iterator[tuple[int, Opening | Refusal]]:
    """The opening balances of a file. The caller checks that the desks exist."""
    return _records(path, options, OPENINGS, OpeningInput, lambda sent: check_opening(sent, instruments))


def read_closes(
    path: str, options: ColumnOptions, instruments: Mapping[str, Instrument], units: PriceUnits = AS_THEY_ARE
) -> Iterator[tuple[int, Close | Refusal]]:
    """The closing prices of a file. `units` are those of sources that quote in another unit than the instrument."""
    return _records(path, options, CLOSES, CloseInput, lambda sent: check_close(sent, instruments, units))


def read_marks(
    path: str, options: ColumnOptions, instruments: Mapping[str, Instrument], units: PriceUnits = AS_THEY_ARE
) -> Iterator[tuple[int, StoredMark | Refusal]]:
    """The marks of a file. `units` as for `read_closes`.

    A line with neither price nor time says that there is no mark: those are passed over, and told.
    """

    def check(sent: MarkInput) -> StoredMark:
        return check_mark(sent, instruments, units)

    return _records(path, options, MARKS, MarkInput, check, passed_over=("price", "ts"))


def read_vols(
    path: str, options: ColumnOptions, check: OptionInputCheck, now: int
) -> Iterator[tuple[int, OptionInput | Refusal]]:
    """The vols of a file, of options and surfaces; all came at `now`."""
    return _records(path, options, VOLS, VolInput, lambda sent: check(sent, now))


def read_rates(
    path: str, options: ColumnOptions, check: OptionInputCheck, now: int
) -> Iterator[tuple[int, OptionInput | Refusal]]:
    """The rates, discount factors, yields and points of a file; all came at `now`."""
    return _records(path, options, RATES, RateInput, lambda sent: check(sent, now))


def read_cash(path: str, options: ColumnOptions, check: EntryCheck) -> Iterator[tuple[int, CashMovement | Refusal]]:
    """The external movements of a file. The store sets `received_ts`."""
    return _records(path, options, CASH, CashInput, lambda sent: check.cash(sent, 0))


def read_carry(path: str, options: ColumnOptions, check: EntryCheck) -> Iterator[tuple[int, CarryRecord | Refusal]]:
    """The carry records of a file. The store sets `received_ts`."""
    return _records(path, options, CARRY, CarryInput, lambda sent: check.carry(sent, 0))


def read_actions(
    path: str, options: ColumnOptions, instruments: Mapping[str, Instrument], received_ts: int
) -> Iterator[tuple[int, Action | Refusal]]:
    """The corporate actions of a file; all came at `received_ts`."""
    return _records(path, options, ACTIONS, ActionInput, lambda sent: check_action(sent, instruments, received_ts))


def read_scenarios(path: str, options: ColumnOptions, check: ScenarioShiftCheck) -> Iterator[tuple[int, ScenarioShift | Refusal]]:
    """The shifts of scenarios of a file."""
    return _records(path, options, SCENARIOS, ScenarioShiftInput, check)


def read_limits(
    path: str, options: ColumnOptions, check: LimitCheck, now: int, author: str
) -> Iterator[tuple[int, Limit | Refusal]]:
    """The limits of a file; all were entered at `now` by `author`."""
    return _records(path, options, LIMITS, LimitInput, lambda sent: check(sent, now, author))


def read_margin_rules(
    path: str, options: ColumnOptions, check: MarginRuleCheck, now: int, author: str
) -> Iterator[tuple[int, MarginRule | Refusal]]:
    """The margin rules of a file; all were entered at `now` by `author`."""
    return _records(path, options, MARGIN_RULES, MarginRuleInput, lambda sent: check(sent, now, author))


def _records(
    path: str,
    options: ColumnOptions,
    shape: Shape,
    into: type[_Sent],
    check: Callable[[_Sent], _Record],
    passed_over: tuple[str, ...] = (),
) -> Iterator[tuple[int, _Record | Refusal]]:
    """The records of a file. Rows with all of the columns `passed_over` empty are no records; how many is told."""
    # A mapping has read the times and dates of its rows.
    parsers = {} if options.mapping is not None else _parsers(options, shape)
    left_out = 0
    for number, row in rows_of(path, options, shape):
        if isinstance(row, Refusal):
            yield number, row
            continue
        if passed_over and all(row.get(field) in (None, "") for field in passed_over):
            left_out += 1
            continue
        options.keep(number, row)
        read = row
        try:
            if parsers:
                row = _parse_times(row, parsers)
            record: _Record | Refusal = check(convert(row, into))
        except Rejected as error:
            record = _refusal(number, error, read, options)
        yield number, record
    if left_out:
        lines = "1 line" if left_out == 1 else f"{left_out:,} lines"
        options.tell(f"{display_name(path)}: {lines} without {' and '.join(passed_over)} passed over: no {shape.what} there")


def _refusal(number: int, error: Rejected, row: Row, options: ColumnOptions) -> Refusal:
    """The refusal of a line, with the value as the file has it: a person looks for it there."""
    hint = options.near(error.field, error.unknown) if error.unknown else ""
    sent = row.get(error.field)
    if not hint and sent not in (None, "") and excerpt(str(sent)) not in error.reason:
        hint = f": {excerpt(str(sent))}"
    return Refusal(number, error.field, f"{with_way_out(error.reason)}{hint}")


def _parsers(options: ColumnOptions, shape: Shape) -> dict[str, Parser]:
    """The parsers of a file's times and dates by column, without those that need none. Raises InputError."""
    found: dict[str, Parser] = {}
    if options.tz is not None or options.time_format is not None:
        found |= {field: _time_parser(options) for field in _TIMES if field in shape.columns}
    # The dates of closes have always been told by the format of times: such a file has no time.
    parse_date = date_parser(options.date_format or (options.time_format if shape is CLOSES else None))
    if parse_date is not None:
        found |= {field: parse_date for field in _DATES if field in shape.columns}
    return found


def _parse_times(row: Row, parsers: Mapping[str, Parser]) -> Row:
    """The row with its times and dates parsed; the row as it was read stays as it is. Raises Rejected."""
    sent = {field: row[field] for field in parsers if row.get(field) not in (None, "")}
    parsed = {
        field: parsers[field](value if isinstance(value, str | int) else str(value), field) for field, value in sent.items()
    }
    return row | parsed


# -- ticks -------------------------------------------------------------------------------------------------------


def read_ticks(path: str, options: ColumnOptions) -> Iterator[tuple[int, Tick | Refusal]]:
    """The ticks of a file, in its order. Cost 3 us a tick from CSV.

    A tick needs one side. The mark rules, which know the instruments, say what a side of 0 is (a price of a future, no side of
    any other kind), and check the instrument and the sign of the price.
    """
    if options.mapping is not None:
        yield from _mapped_ticks(path, options)
        return
    table = TableFile(path, options, TICKS)
    tick = _TickReader(options, is_csv=not table.is_json)
    # A missing column has index -1: each record gets an empty field at its end.
    instrument, ts, bid, ask, mid, source = (table.layout.get(field, -1) for field in TICK_FIELDS)
    for number, record in table.records():
        try:
            if isinstance(record, list):
                record.append("")
                made: Tick | Refusal = tick(record[instrument], record[ts], record[bid], record[ask], record[mid], record[source])
            elif isinstance(record, Refusal):
                made = record
            else:
                known = table.known_fields(record, number)
                made = known if isinstance(known, Refusal) else tick(*map(known.get, TICK_FIELDS))
        except Rejected as error:
            made = _refusal(number, error, _as_row(record, table), options)
        yield number, made


def _mapped_ticks(path: str, options: ColumnOptions) -> Iterator[tuple[int, Tick | Refusal]]:
    plain = structs.replace(options, tz=None, time_format=None, alias={})  # the mapping has read times and names
    make = _TickReader(plain, is_csv=False)
    for number, row in rows_of(path, options, TICKS):
        try:
            made = row if isinstance(row, Refusal) else make(*map(row.get, TICK_FIELDS))
        except Rejected as error:
            made = _refusal(number, error, row if isinstance(row, dict) else {}, options)
        yield number, made


def _as_row(record: list[str] | Row | Refusal, table: TableFile) -> Row:
    """A record under our names, for the reason why it is refused."""
    if isinstance(record, list):
        return {ours: record[index] for ours, index in table.layout.items()}
    return record if isinstance(record, dict) else {}


class _TickReader:
    """Makes ticks from the values of one file. Caches its names, so that ticks share them."""

    def __init__(self, options: ColumnOptions, *, is_csv: bool) -> None:
        self._unescape: Callable[[str], str] = unescape_formula if is_csv else str
        self._alias = options.alias
        self._instrument = options.instrument or ""
        self._time = _time_parser(options)
        self._instruments: dict[str, str] = {}
        self._sources: dict[str, str] = {"": ""}

    def __call__(self, instrument: Any, ts: Any, bid: Any, ask: Any, mid: Any, source: Any) -> Tick:
        """One tick. Raises Rejected."""
        symbol = self._instruments.get(instrument) if type(instrument) is str else None
        if symbol is None:
            symbol = self._symbol(instrument)
        moment = self._time(ts.strip() if type(ts) is str else _json_value(ts), "ts")
        bid, ask, mid = _side(bid, "bid"), _side(ask, "ask"), _side(mid, "mid")
        if bid is None and ask is None and mid is None:
            raise Rejected("bid", "is missing, as are ask and mid: a tick needs a price")
        known = self._sources.get(source) if type(source) is str else ""
        return Tick(symbol, moment, bid, ask, mid, self._source(source) if known is None else known)

    def _symbol(self, sent: Any) -> str:
        if not isinstance(sent, str | None):
            raise Rejected("instrument", "is not a text")
        text = self._unescape((sent or "").strip()) or self._instrument
        symbol = name(self._alias.get(text, text), "instrument")
        return _remember(self._instruments, sent or "", symbol)

    def _source(self, sent: str) -> str:
        return _remember(self._sources, sent, name(self._unescape(sent.strip()), "source", required=False))


def _remember(names: dict[str, str], sent: str, checked: str) -> str:
    if len(names) >= _NAMES_KEPT:  # bounds the memory for a file in which every name differs
        names.clear()
    names[sent] = checked
    return checked


def _side(value: Any, field: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return quote(float(value), field)
    return quote(value if type(value) is str else str(_json_value(value)), field)


def _json_value(value: Any) -> str | int:
    """An NDJSON value as a type that the field parsers take; a list or an object becomes a text, which they refuse."""
    if value is None:
        return ""
    if isinstance(value, Decimal | bool):
        return str(value)
    return value if isinstance(value, str | int) else repr(value)


# -- replay ------------------------------------------------------------------------------------------------------


def merge_by_time(streams: Iterable[Iterable[Tick | Trade]], *, max_step_back: int | None = None) -> Iterator[Tick | Trade]:
    """Merge streams by event time, with one message of each in memory; at equal times the first stream leads.

    Streams need not be sorted: a message older than its predecessor follows that one at once, and the engine puts it in its
    place by event time. No message is dropped, and the order is always the same. A message older than its predecessors by more
    than `max_step_back` microseconds raises InputError (a file written newest first is no recording); a cancel without a time
    never does.
    """
    timed = [_keep_order(stream, number, max_step_back) for number, stream in enumerate(streams, start=1)]
    return (message for _, message in heapq.merge(*timed, key=lambda pair: pair[0]))


def _keep_order(stream: Iterable[Tick | Trade], number: int, max_step_back: int | None) -> Iterator[tuple[int, Tick | Trade]]:
    newest = 0
    for message in stream:
        if message.ts >= newest:
            newest = message.ts
        elif max_step_back is not None and message.ts and newest - message.ts > max_step_back:
            raise InputError(f"stream {number} is not in time order: {message.ts} follows {newest}")
        yield newest, message
