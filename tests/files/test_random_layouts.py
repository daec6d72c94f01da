"""A property: random trades written in a random layout, and read by the mapping that describes it, are the same trades.

The writer here shares nothing with the reader: it writes numbers, times and words from exact records.
"""

import csv
import datetime as dt
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskengine.files.columns import ColumnOptions
from riskengine.files.mappings.mapping import parse_mapping
from riskengine.files.records import read_trades
from riskengine.records.decode import TradeInput
from riskengine.records.types import Refusal

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "America/New_York+7h", "Asia/Kolkata")
TIMES = ("%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%d;%H%M%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S")
DATES = ("%d.%m.%Y", "%Y%m%d", "%m/%d/%y")
WORDS = (("BOT", "SLD"), ("K", "V"), ("Kauf", "Verkauf"), ("achat", "vente"), ("buy", "sell"))
FIELDS = ("trade_id", "ts", "instrument", "desk", "side", "quantity", "price", "fees", "value_date")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Deal:
    """A trade, exact: quantity and price in units of 1e-4, fees of 1e-2."""

    trade_id: str
    seconds: int
    instrument: str
    side: str
    quantity: int
    price: int
    fees: int
    value_date: dt.date


@dataclass(frozen=True)
class Layout:
    """A way to write a file. `sign` says what the sign of a quantity is."""

    delimiter: str
    decimal: str
    thousands: str
    encoding: str
    zone: str
    times: str
    dates: str
    words: tuple[str, str]
    sign: str
    negates_fees: bool
    unit: str
    lot: int
    preamble: int
    quotes: bool
    order: Sequence[str]
    is_fixed: bool


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    decimal = draw(st.sampled_from(".,"))
    return Layout(
        delimiter=draw(st.sampled_from([";", "\t", "|", ","])),
        decimal=decimal,
        thousands=draw(st.sampled_from([mark for mark in ("", ".", ",", "'", " ") if mark != decimal])),
        encoding=draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"])),
        zone=draw(st.sampled_from(ZONES)),
        times=draw(st.sampled_from(TIMES)),
        dates=draw(st.sampled_from(DATES)),
        words=draw(st.sampled_from(WORDS)),
        sign=draw(st.sampled_from(["", "side", "agrees", "ignore"])),
        negates_fees=draw(st.booleans()),
        unit=draw(st.sampled_from(["", "{} {}", "{}{}", "{1} {0}"])),
        lot=draw(st.sampled_from([1, 100, 100_000])),
        preamble=draw(st.integers(0, 3)),
        quotes=draw(st.booleans()),
        order=draw(st.permutations(FIELDS)),
        is_fixed=draw(st.booleans()),
    )


deals = st.builds(
    Deal,
    trade_id=st.text("ABCxyz0123456789-_", min_size=1, max_size=12),
    # July and January: no clock changes then.
    seconds=st.one_of(st.integers(1_783_000_000, 1_784_900_000), st.integers(1_767_400_000, 1_769_700_000)),
    instrument=st.sampled_from(["EURUSD", "BRK B", "Ünïcode", "a/b"]),
    side=st.sampled_from(["buy", "sell"]),
    quantity=st.integers(1, 10**12),
    price=st.integers(1, 10**10),
    fees=st.integers(-(10**7), 10**7),
    value_date=st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)),
)


# -- the writer ------------------------------------------------------------------------------------------------------


def number(units: int, places: int, layout: Layout) -> str:
    """An exact number in the writing of a layout."""
    digits = f"{abs(units):0{places + 1}d}"
    whole, part = digits[:-places], digits[-places:]
    groups = [whole[max(0, at - 3) : at] for at in range(len(whole), 0, -3)]
    text = layout.thousands.join(reversed(groups)) + layout.decimal + part
    return f"-{text}" if units < 0 else text


def local_time(seconds: int, layout: Layout) -> dt.datetime:
    name, ahead, _ = layout.zone.partition("+7h")
    moment = (EPOCH + dt.timedelta(seconds=seconds)).astimezone(ZoneInfo(name)).replace(tzinfo=None)
    return moment + dt.timedelta(hours=7) if ahead else moment


def cells(deal: Deal, layout: Layout) -> dict[str, str]:
    """What a file says of a deal, by our fields."""
    sign = -1 if layout.sign and deal.side == "sell" else 1
    fees = number(-deal.fees if layout.negates_fees else deal.fees, 2, layout)
    said = {
        "trade_id": deal.trade_id,
        "ts": local_time(deal.seconds, layout).strftime(layout.times),
        "instrument": deal.instrument,
        "desk": "FX1",
        "side": layout.words[deal.side == "sell"],
        "quantity": number(sign * deal.quantity, 4, layout),
        "price": number(deal.price, 4, layout),
        "fees": layout.unit.format(fees, "CHF") if layout.unit else fees,
        "value_date": deal.value_date.strftime(layout.dates),
    }
    if layout.sign == "side":
        said["side"] = "?"
    return said


def file_text(table: Sequence[dict[str, str]], layout: Layout) -> str:
    out = io.StringIO()
    out.write("Export of a broker\n" * layout.preamble)
    if layout.is_fixed:
        for row in table:
            out.write("".join(row[field].ljust(40) for field in layout.order) + "\n")
        return out.getvalue()
    writer = csv.writer(
        out,
        delimiter=layout.delimiter,
        quoting=csv.QUOTE_ALL if layout.quotes else csv.QUOTE_MINIMAL,
        lineterminator="\r\n",
    )
    writer.writerow([f"Their {field}" for field in layout.order])
    writer.writerows([row[field] for field in layout.order] for row in table)
    return out.getvalue()


def mapping_text(layout: Layout) -> str:
    """The mapping that describes a layout."""
    fields = [field for field in FIELDS if field not in ("desk", "side" if layout.sign == "side" else "")]
    lines = [
        'kind = "trades"',
        f'delimiter = "{"tab" if layout.delimiter == chr(9) else layout.delimiter}"',
        f'decimal = "{layout.decimal}"',
        f'thousands = "{layout.thousands}"',
        f'encoding = "{layout.encoding}"',
        f"skip = {layout.preamble}",
        'set = { desk = "FX1" }',
        "[columns]",
        *(f'{field} = "Their {field}"' for field in fields),
        "[values]",
        *([f'side = {{ "{layout.words[0]}" = "buy", "{layout.words[1]}" = "sell" }}'] if layout.sign != "side" else ()),
        "[numbers]",
        f'quantity = {{ multiply = {layout.lot}, sign = "{layout.sign}" }}',
        f'fees = {{ negate = {str(layout.negates_fees).lower()}, unit = "{"fees_currency" if layout.unit else ""}" }}',
        "[times]",
        f"format = '{layout.times}'",
        f"dates = '{layout.dates}'",
        f'zone = "{layout.zone}"',
    ]
    if layout.is_fixed:
        lines += ["[fixed]", *(f'"Their {field}" = "{40 * at + 1}-{40 * at + 40}"' for at, field in enumerate(layout.order))]
    return "\n".join(lines)


def expected(deal: Deal, layout: Layout) -> tuple[object, ...]:
    quantity = Decimal(deal.quantity).scaleb(-4) * layout.lot
    fees_currency = "CHF" if layout.unit else ""
    return (
        *(deal.trade_id, deal.seconds * 1_000_000, deal.instrument, "FX1", deal.side, quantity),
        *(Decimal(deal.price).scaleb(-4), Decimal(deal.fees).scaleb(-2), fees_currency, deal.value_date.isoformat()),
    )


def as_read(sent: TradeInput) -> tuple[object, ...]:
    return (
        *(sent.trade_id, sent.ts, sent.instrument, sent.desk, sent.side, sent.quantity),
        *(sent.price, sent.fees, sent.fees_currency, sent.value_date),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(deals, min_size=1, max_size=8), layouts())
def test_what_a_layout_says_is_read_by_the_mapping_that_describes_it(many: list[Deal], layout: Layout) -> None:
    mapping = parse_mapping(mapping_text(layout), "layout.toml")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.txt"
        path.write_bytes(file_text([cells(deal, layout) for deal in many], layout).encode(layout.encoding))
        found = list(read_trades(str(path), ColumnOptions(mapping=mapping), lambda sent, _ts, _source: sent, 0))  # type: ignore[arg-type, return-value]
    refused = [made for _, made in found if isinstance(made, Refusal)]
    assert not refused
    assert [as_read(made) for _, made in found] == [expected(deal, layout) for deal in many]  # type: ignore[arg-type]
