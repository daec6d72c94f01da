"""Input files as checked records: bad lines refused by number, the recorded files read as their makers say."""

import csv
import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from riskengine.errors import InputError
from riskengine.files.records import (
    ColumnOptions,
    merge_by_time,
    parse_columns,
    read_closes,
    read_instruments,
    read_marks,
    read_nodes,
    read_openings,
    read_ticks,
    read_trades,
)
from riskengine.records.decode import TradeCheck
from riskengine.records.types import CASH_ONE, ONE, Close, Instrument, Kind, Node, Opening, Refusal, StoredMark, Tick, Trade

TS = 1_795_262_400_000_000
PLAIN = ColumnOptions()
EURUSD = Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")
BOOK = {"EURUSD": EURUSD}
CHECK = TradeCheck(BOOK, {"FX1"}, {"FX1", "ALL"})
TRADE_HEADER = "trade_id,ts,instrument,desk,side,quantity,price"
TICK_HEADER = "instrument,ts,bid,ask\n"


@pytest.fixture
def written(tmp_path):
    """Writes text to a file and gives its path."""

    def write(text: str, name: str = "file.csv") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def trades(path: str, options: ColumnOptions = PLAIN) -> list:
    return list(read_trades(path, options, CHECK, 7))


def ticks(path: str, options: ColumnOptions = PLAIN) -> list:
    return list(read_ticks(path, options))


# Trades


def test_a_trade_is_exact_to_its_last_digit_and_has_the_source_file(written):
    ((number, trade),) = trades(written(f"{TRADE_HEADER}\nT1,{TS},EURUSD,FX1,buy,0.30,1.0000000001\n"))
    assert number == 2
    assert isinstance(trade, Trade)
    assert (trade.source, trade.received_ts, trade.leg, trade.version) == ("file", 7, 0, 1)
    assert (trade.quantity, trade.price) == (3 * ONE // 10, ONE + 1)
    assert trade.cash == -3 * CASH_ONE // 10 - 3 * CASH_ONE // 10**11


def test_the_same_trades_from_csv_and_ndjson_are_equal(written):
    row = {
        "trade_id": "T1",
        "ts": TS,
        "instrument": "EURUSD",
        "desk": "FX1",
        "side": "sell",
        "quantity": "2.50",
        "price": "1.1",
        "leg": 1,
        "version": 2,
        "action": "amend",
        "fees": "0.25",
        "value_date": "2026-11-24",
        "booked_ts": TS + 1,
        "contra_amount": "2.7501",
        "legs": 2,
        "dealer": "Ann",
        "source": "desk",
    }
    table = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    line = json.dumps(row).replace('"2.50"', "2.50").replace('"1.1"', "1.1")
    assert trades(written(table))[0][1] == trades(written(line))[0][1]
    assert isinstance(trades(written(line))[0][1], Trade)


def test_each_bad_trade_is_refused_with_line_and_field_and_the_others_are_read(written):
    lines = [
        TRADE_HEADER,
        f"T1,{TS},EURUSD,FX1,buy,1,1.1",
        f"T2,{TS},EURUSD,FX1,buy,-1,1.1",
        f"T3,{TS}000,EURUSD,FX1,buy,1,1.1",
        f"T4,{TS},XXX,FX1,buy,1,1.1",
        f"T5,{TS},EURUSD,FX1,buy,1",
        f"T6,{TS},EURUSD,FX1,buy,1e400,1.1",
        f"T7,{TS},EURUSD,FX1,buy,1,abc",
        f",{TS},EURUSD,FX1,buy,1,1.1",
        f"{'x' * 10_240},{TS},EURUSD,FX1,buy,1,1.1",
        f"T9,{TS},EURUSD,FX1,buy,1,1.1",
    ]
    found = trades(written("\r\n".join(lines)))
    assert [number for number, _ in found] == list(range(2, 12))
    assert [(item.index, item.field) for _, item in found if isinstance(item, Refusal)] == [
        (3, "quantity"),
        (4, "ts"),
        (5, "instrument"),
        (6, ""),
        (7, "quantity"),
        (8, "price"),
        (9, "trade_id"),
        (10, "trade_id"),
    ]
    assert [item.trade_id for _, item in found if isinstance(item, Trade)] == ["T1", "T9"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "1,1"}, "invalid decimal string: '1,1'"),
        ({"quantity": "-5"}, "must be above 0: '-5'"),
        ({"side": "BOT"}, "must be buy or sell: 'BOT'"),
        ({"instrument": ""}, "is missing"),
    ],
)
def test_a_refused_field_is_told_with_its_value_once(written, change, reason):
    row = {"trade_id": "a", "ts": str(TS), "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
    row |= {"quantity": "5", "price": "1.1"} | change
    [(_, refusal)] = trades(written(",".join(row) + "\n" + ",".join(f'"{value}"' for value in row.values()) + "\n"))
    assert refusal == Refusal(2, next(iter(change)), reason)


def test_a_refused_tick_is_told_with_its_value(written):
    for text in (f"instrument,ts,bid\nEURUSD,{TS},much\n", json.dumps({"instrument": "EURUSD", "ts": TS, "bid": "much"})):
        [(_, refusal)] = ticks(written(text))
        assert refusal.field == "bid" and refusal.reason.endswith(": 'much'")


def test_a_file_of_cancels_needs_no_more_than_identity_and_version(written):
    ((_, cancel),) = trades(written("trade_id,version,action\nT1,2,cancel\n"))
    assert (cancel.trade_id, cancel.version, cancel.action) == ("T1", 2, "cancel")


def test_a_file_that_cannot_hold_trades_is_an_error(written):
    with pytest.raises(InputError, match=r"lacks ts, desk \(a file of cancels needs action instead\); the header is "):
        trades(written("trade_id,instrument,side,quantity,price\n"))


def test_the_time_options_read_both_times_of_a_trade(written):
    path = written(f"{TRADE_HEADER},booked_ts\nT1,2016-01-04 18:00:40.420,EURUSD,FX1,buy,1,1.1,2016-01-04 18:00:41\n")
    ((_, trade),) = trades(path, ColumnOptions(tz="America/New_York"))
    assert (trade.ts, trade.booked_ts) == (1451948440420000, 1451948441000000)
    ((_, refusal),) = trades(path)
    assert refusal == Refusal(2, "ts", "has no offset from UTC: '2016-01-04 18:00:40.420'; --tz names its zone")


def test_the_time_of_arrival_may_be_asked_for_each(written):
    path = written(f"{TRADE_HEADER}\nT1,{TS},EURUSD,FX1,buy,1,1.1\nT2,{TS},EURUSD,FX1,buy,1,1.1\n")
    clock = iter([11, 12])
    found = [trade for _, trade in read_trades(path, PLAIN, CHECK, lambda: next(clock), "day")]
    assert [(trade.received_ts, trade.source) for trade in found if isinstance(trade, Trade)] == [
        (11, "day"),
        (12, "day"),
    ]


# Reference data and balances


def test_reference_files_become_records(written):
    nodes = written("node,level,parent\nALL,total,\nFX1,desk,ALL\n,desk,ALL\n")
    assert [record for _, record in read_nodes(nodes, PLAIN)] == [
        Node("ALL", "total"),
        Node("FX1", "desk", "ALL"),
        Refusal(4, "node", "is missing"),
    ]
    instruments = written("instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\nX,bond,,USD\n")
    found = [record for _, record in read_instruments(instruments, PLAIN)]
    assert found[0] == EURUSD
    assert isinstance(found[1], Refusal) and (found[1].index, found[1].field) == (3, "kind")


def test_balances_become_records_and_their_times_obey_the_options(written):
    options = ColumnOptions(time_format="%d.%m.%Y", tz="UTC", alias={"EUR/USD": "EURUSD"})
    day = 1_451_865_600_000_000
    openings = written("desk,instrument,ts,quantity,average_price\nFX1,EUR/USD,04.01.2016,-2,1.1\nFX1,X,04.01.2016,0,\n")
    assert [record for _, record in read_openings(openings, options, BOOK)] == [
        Opening(desk="FX1", instrument="EURUSD", ts=day, quantity=-2 * ONE, average_price=11 * ONE // 10),
        Refusal(3, "instrument", "unknown instrument 'X'"),
    ]
    closes = written("date,instrument,price\n04.01.2016,EUR/USD,1.1\n2016-01-04,EUR/USD,1.1\n")
    assert [record for _, record in read_closes(closes, options, BOOK)] == [
        Close("2016-01-04", "EURUSD", 1.1),
        Refusal(3, "date", "does not fit '%d.%m.%Y': '2016-01-04'"),
    ]
    marks = written("instrument,ts,price\nEUR/USD,04.01.2016,1.1\nEUR/USD,04.01.2016,NaN\n")
    assert [record for _, record in read_marks(marks, options, BOOK)] == [
        StoredMark("EURUSD", day, 1.1, "file"),
        Refusal(3, "price", "is not a finite number: 'NaN'"),
    ]


# Ticks


@pytest.mark.parametrize(
    ("line", "tick"),
    [
        (f"EURUSD,{TS},1.1,1.2", Tick("EURUSD", TS, 1.1, 1.2)),
        (f" EURUSD , {TS} , 1.1 , 1.2 ", Tick("EURUSD", TS, 1.1, 1.2)),
        (f"EURUSD,{TS},0,1.2", Tick("EURUSD", TS, 0.0, 1.2)),
        (f"EURUSD,{TS},1.1,0.0000", Tick("EURUSD", TS, 1.1, 0.0)),
        (f"EURUSD,{TS},1.1,", Tick("EURUSD", TS, 1.1, None)),
        (f"CLZ6,{TS},-37.63,-37.6", Tick("CLZ6", TS, -37.63, -37.6)),
        ("EURUSD,2026-11-21T12:00:00Z,1.1,1.2", Tick("EURUSD", TS, 1.1, 1.2)),
    ],
)
def test_a_tick_has_the_sides_that_are_quoted(written, line, tick):
    assert ticks(written(TICK_HEADER + line)) == [(2, tick)]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (f"EURUSD,{TS},,", "bid"),
        (f",{TS},1.1,1.2", "instrument"),
        (f"E\x07,{TS},1.1,1.2", "instrument"),
        (f"{'E' * 10_240},{TS},1.1,1.2", "instrument"),
        ("EURUSD,,1.1,1.2", "ts"),
        (f"EURUSD,{TS}000,1.1,1.2", "ts"),
        (f"EURUSD,{TS},NaN,1.2", "bid"),
        (f"EURUSD,{TS},1.1,1e400", "ask"),
        (f"EURUSD,{TS},1.1.1,1.2", "bid"),
        (f"EURUSD,{TS},1.1,1.0000000000001", "ask"),
        (f"EURUSD,{TS},1.1", ""),
    ],
)
def test_a_bad_tick_is_refused_with_line_and_field(written, line, field):
    good = f"EURUSD,{TS},1.1,1.2\n"
    found = ticks(written(TICK_HEADER + good + line + "\n" + good))
    assert [isinstance(item, Tick) for _, item in found] == [True, False, True]
    assert (found[1][1].index, found[1][1].field) == (3, field)


def test_ticks_of_ndjson_are_those_of_csv(written):
    table = ticks(written(f"instrument,ts,bid,ask,source\nEURUSD,{TS},1.08196,1.082,A\nEURUSD,{TS},0,1.082,\n"))
    lines = f'{{"instrument":"EURUSD","ts":{TS},"bid":1.08196,"ask":"1.082","source":"A"}}\n'
    lines += f'{{"instrument":"EURUSD","ts":"{TS}","bid":0,"ask":1.082}}\n'
    assert [tick for _, tick in ticks(written(lines))] == [tick for _, tick in table]
    assert ticks(written(f"instrument,ts,mid\nEURUSD,{TS},1.1\n")) == [(2, Tick("EURUSD", TS, mid=1.1))]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"instrument": 5}, "instrument"),
        ({"instrument": ["E"]}, "instrument"),
        ({"instrument": None}, "instrument"),
        ({"ts": True}, "ts"),
        ({"ts": [TS]}, "ts"),
        ({"ts": 1.5}, "ts"),
        ({"ts": None}, "ts"),
        ({"bid": True}, "bid"),
        ({"bid": {}}, "bid"),
        ({"bid": 10**400}, "bid"),
        ({"bid": "\u0661"}, "bid"),
    ],
)
def test_a_wrong_type_in_ndjson_is_refused_by_field(written, changes, field):
    ((_, refusal),) = ticks(written(json.dumps({"instrument": "EURUSD", "ts": TS, "bid": 1.1, **changes})))
    assert isinstance(refusal, Refusal) and refusal.field == field
    assert len(refusal.reason) < 150


def test_a_file_without_prices_is_an_error(written):
    with pytest.raises(InputError, match="lacks bid or ask or mid"):
        ticks(written(f"instrument,ts\nEURUSD,{TS}\n"))


def test_names_are_mapped_by_alias_and_a_file_without_names_gets_one(written):
    path = written(f"Pair,When,Bid,Ask\nEUR/USD,{TS},1.1,1.2\nX,{TS},1.1,1.2\n")
    columns = parse_columns("instrument=Pair,ts=When")
    found = ticks(path, ColumnOptions(columns, alias={"EUR/USD": "EURUSD"}))
    assert [tick.instrument for _, tick in found] == ["EURUSD", "X"]
    path = written(f"{TS},1.1,1.2\n")
    assert ticks(path, ColumnOptions(parse_columns("ts=1,bid=2,ask=3"), instrument="EURUSD")) == [
        (1, Tick("EURUSD", TS, 1.1, 1.2))
    ]


# Recorded files

TRUEFX = ColumnOptions(parse_columns("instrument=Symbol,ts=Date"), tz="UTC")
HEADERLESS = parse_columns("ts=1,bid=2,ask=3")


@pytest.mark.parametrize(("pair", "count"), [("EURUSD", 115_217), ("GBPUSD", 92_480), ("USDCHF", 72_179), ("USDJPY", 120_438)])
def test_truefx_ticks_are_those_in_the_file(shared_data, pair, count):
    path = shared_data / "truefx-plotly" / f"{pair}_ticks.csv.gz"
    started = time.process_time()
    found = ticks(str(path), TRUEFX)
    assert time.process_time() - started < 3.0  # a wide margin: 0.5 s on an idle machine
    assert [number for number, _ in found] == list(range(2, count + 2))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    for row, (_, tick) in islice(zip(rows, found, strict=True), 0, None, 97):
        assert isinstance(tick, Tick)
        moment = datetime.fromisoformat(row["Date"] + "+00:00")
        assert tick.ts == (moment - epoch) // timedelta(microseconds=1)
        assert (tick.instrument, tick.bid, tick.ask) == (pair, float(Decimal(row["Bid"])), float(Decimal(row["Ask"])))


def test_dukascopy_ticks_are_new_york_time_without_header(shared_data):
    path = str(shared_data / "dukascopy-squideyes" / "DC_EURUSD_20200107_EST.csv.gz")
    found = ticks(path, ColumnOptions(HEADERLESS, "America/New_York", "%m/%d/%Y %H:%M:%S.%f", "EURUSD"))
    assert len(found) == 84_691
    assert found[0] == (1, Tick("EURUSD", 1_578_348_000_066_000, 1.1196, 1.1198))
    assert all(isinstance(tick, Tick) for _, tick in found)


def test_lean_ticks_count_milliseconds_from_midnight(shared_data):
    path = str(shared_data / "lean-fx-ticks" / "fxcm_eurusd_20140508_tick_quote.csv.gz")
    found = ticks(path, ColumnOptions(HEADERLESS, "Etc/GMT+5", "ms@2014-05-08", "EURUSD"))
    assert len(found) == 167_466
    assert found[0] == (1, Tick("EURUSD", 1_399_525_217_007_000, 1.39147, 1.39148))
    crossed = sum(tick.bid > tick.ask for _, tick in found)
    assert crossed == 18_285  # as the description of the recording says


def test_recorded_ticks_of_several_files_play_in_time_order(shared_data):
    def stream(pair: str) -> Iterator[Tick]:
        for _, tick in read_ticks(str(shared_data / "truefx-plotly" / f"{pair}_ticks.csv.gz"), TRUEFX):
            assert isinstance(tick, Tick)
            yield tick

    merged = list(islice(merge_by_time([stream("EURUSD"), stream("USDCHF")]), 20_000))
    assert {tick.instrument for tick in merged} == {"EURUSD", "USDCHF"}
    assert all(first.ts <= second.ts for first, second in pairwise(merged))


# Merging


def at(ts: int, name: str = "A") -> Tick:
    return Tick(name, ts, 1.0)


def test_streams_merge_by_time_and_the_first_stream_goes_first():
    merged = merge_by_time([[at(1, "A"), at(3, "A")], [at(1, "B"), at(2, "B"), at(3, "B")]])
    assert [(tick.ts, tick.instrument) for tick in merged] == [(1, "A"), (1, "B"), (2, "B"), (3, "A"), (3, "B")]


def test_a_message_out_of_order_follows_its_predecessor_and_is_not_lost():
    merged = list(merge_by_time([[at(5), at(2), at(6)], [at(4, "B"), at(5, "B"), at(7, "B")]]))
    assert [(tick.ts, tick.instrument) for tick in merged] == [(4, "B"), (5, "A"), (2, "A"), (5, "B"), (6, "A"), (7, "B")]


def test_a_stream_that_is_not_in_order_at_all_is_an_error_where_that_is_asked():
    assert [tick.ts for tick in merge_by_time([[at(9), at(8), at(1)]])] == [9, 8, 1]
    cancel = Trade(source="s", trade_id="T", action="cancel")
    assert len(list(merge_by_time([[at(9), cancel, at(8)]], max_step_back=1))) == 3
    with pytest.raises(InputError, match="stream 2 is not in time order: 1 follows 9"):
        list(merge_by_time([[], [at(9), at(8), at(1)]], max_step_back=7))


def test_merging_holds_one_message_of_each_stream():
    def endless() -> Iterator[Tick]:
        yield from map(at, range(10**12))

    assert [tick.ts for tick in islice(merge_by_time([endless(), endless()]), 4)] == [0, 0, 1, 1]


def test_names_of_ticks_are_read_like_those_of_every_csv(written):
    assert [tick.instrument for _, tick in ticks(written(f"{TICK_HEADER}'=C,{TS},1,2\n"))] == ["=C"]
    as_json = written(f'{{"instrument": "\'=C", "ts": {TS}, "mid": 1}}\n', "ticks.ndjson")
    assert [tick.instrument for _, tick in ticks(as_json)] == ["'=C"]
