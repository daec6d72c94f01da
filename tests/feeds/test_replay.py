"""Recorded messages in event-time order, at their pace, into an engine here or a running one."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.engine.engine import Engine
from riskengine.errors import EngineUnreachable, InputError
from riskengine.feeds import replay
from riskengine.feeds.replay import FRAME_TRADES, Pace, Played, Recording, replay_here, replay_to, steps, tick_stream
from riskengine.files.records import ColumnOptions
from riskengine.records.reference import trade_check
from riskengine.records.types import Refusal, Tick
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import node_rows
from riskengine.store.open_store import open_store
from tests.running import Server, running
from tests.world import NOON, REFERENCE, SECOND, config, instruments, nodes

TICKS = "instrument,ts,bid,ask\n"
TRADES = "trade_id,ts,source_seq,instrument,desk,side,quantity,price\n"


class Notes(list[str]):
    """Collects the refusals of lines that were left out."""

    def __call__(self, path: str, refusal: Refusal) -> None:
        self.append(f"{Path(path).name}:{refusal.index}: {refusal.field}: {refusal.reason}")


def play(ticks: list[Path], trades: Path | None, notes: Notes | None = None) -> Engine:
    return play_counted(ticks, trades, notes)[0]


def source_of(ticks: list[Path], trades: Path | None, shift_to: int | None = None) -> Recording:
    return Recording([str(path) for path in ticks], None if trades is None else str(trades), shift_to=shift_to)


def play_counted(
    ticks: list[Path], trades: Path | None, notes: Notes | None = None, shift_to: int | None = None
) -> tuple[Engine, Played]:
    engine, source = Engine(REFERENCE), source_of(ticks, trades, shift_to)
    check, now = trade_check(REFERENCE), SystemClock().now()
    return engine, replay_here(engine, source, config(), check, now, notes if notes is not None else Notes())


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text(header + "".join(row + "\n" for row in rows))
    return path


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    rows = [f"EURUSD,{NOON + n * SECOND},{1.1 + n / 1000:.3f},{1.102 + n / 1000:.3f}" for n in range(50)]
    return write(tmp_path / "ticks.csv", TICKS, rows)


def trade_rows(count: int) -> list[str]:
    chance = random.Random(4)
    return [
        f"t{n:05},{NOON + n * 10_000},{n},EURUSD,{chance.choice(('FX1', 'FX2'))},{chance.choice(('buy', 'sell'))},"
        f"{chance.randrange(1, 900)},1.{chance.randrange(1000, 2000)}"
        for n in range(count)
    ]


# -- pace ----------------------------------------------------------------------------------------------------------


class Sleeps:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        monkeypatch.setattr("riskengine.feeds.replay.time.monotonic", lambda: self.now)
        monkeypatch.setattr("riskengine.feeds.replay.time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds < 1_000
        self.slept.append(seconds)
        self.now += seconds


def at(*moments: float) -> Iterator[Tick]:
    return iter([Tick("EURUSD", NOON + int(moment * SECOND) if moment >= 0 else 0, 1.0, 1.0) for moment in moments])


def test_at_full_speed_steps_are_full_and_nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = Sleeps(monkeypatch)
    monkeypatch.setattr(replay, "BATCH", 3)
    assert [len(step) for step in steps(at(*range(8)), Pace(None))] == [3, 3, 2]
    assert sleeps.slept == []


def test_event_time_passes_at_the_speed_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = Sleeps(monkeypatch)
    released = [(len(step), sleeps.now) for step in steps(at(0, 1, 2, 6, 60, 61, 120), Pace(60.0))]
    assert released == [(3, 0.0), (1, pytest.approx(4 / 60)), (2, pytest.approx(59 / 60)), (1, pytest.approx(118 / 60))]


def test_messages_without_a_time_or_out_of_order_do_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel may have no time of its own (0): from there to today is half a century of sleep."""
    sleeps = Sleeps(monkeypatch)
    assert sum(len(step) for step in steps(at(-1, -1, 0, 10, -1, 5, 20, -1), Pace(10.0))) == 8
    assert sleeps.now == pytest.approx(2.0)


# -- here --------------------------------------------------------------------------------------------------------


def test_messages_are_played_in_event_time_order_and_all_are_in_the_last_snapshot(ticks: Path, tmp_path: Path) -> None:
    engine = play([ticks], write(tmp_path / "t.csv", TRADES, trade_rows(3_000)))
    snapshot = engine.snapshot
    assert snapshot.counts.applied == 3_000 and snapshot.counts.late == 0
    assert snapshot.as_of == NOON + 49 * SECOND
    assert snapshot.units.marks[REFERENCE.instrument_index["EURUSD"]].ts == NOON + 49 * SECOND  # type: ignore[union-attr]
    engine.check()


def test_any_order_with_repeats_gives_the_same_digest(ticks: Path, tmp_path: Path) -> None:
    rows = trade_rows(500)
    expected = play([ticks], write(tmp_path / "t.csv", TRADES, rows)).snapshot
    for seed in range(3):
        chance = random.Random(seed)
        shuffled = rows + chance.sample(rows, 50)
        chance.shuffle(shuffled)
        found = play([ticks], write(tmp_path / "s.csv", TRADES, shuffled)).snapshot
        assert digest(found) == digest(expected)
        assert node_rows(found) == node_rows(expected)


def test_what_is_left_out_is_told_with_its_line(tmp_path: Path) -> None:
    notes = Notes()
    rows = [f"XYZ,{NOON},1,1", f"EURUSD,{NOON},1,x", f"EURUSD,{NOON + 1},-1,-1", f"EURUSD,{NOON + 2},1,1"]
    engine = play([write(tmp_path / "ticks.csv", TICKS, rows)], None, notes)
    assert engine.snapshot.units.priced.sum() == 1
    assert [note.split(": ")[0] for note in notes] == ["ticks.csv:2", "ticks.csv:3", "ticks:0"]
    assert notes[2].endswith(f"(EURUSD at {NOON + 1})")


def test_an_empty_engine_is_left_by_no_messages() -> None:
    assert play([], None).snapshot.seq == 1


def test_a_recording_without_a_column_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ticks\.csv"):
        play([write(tmp_path / "ticks.csv", "a,b\n", ["1,2"])], None)


def test_unknown_instruments_are_left_to_the_engine_where_none_are_given(ticks: Path) -> None:
    assert len(list(tick_stream(str(ticks), ColumnOptions(), Notes()))) == 50
    assert list(tick_stream(str(ticks), ColumnOptions(), Notes(), {"GBPUSD"})) == []


def test_what_became_of_ticks_and_trades_is_counted(tmp_path: Path) -> None:
    rows = [
        f"EURUSD,{NOON + 2},1,1",
        f"EURUSD,{NOON + 3},1.1,1.1",
        f"EURUSD,{NOON + 1},1,1",
        f"EUR/USD,{NOON},1,1",
        "EURUSD,x,1,1",
    ]
    trades = write(tmp_path / "t.csv", TRADES, [*trade_rows(3), *trade_rows(1)])
    _, played = play_counted([write(tmp_path / "ticks.csv", TICKS, rows)], trades)
    assert played.ticks == {"read": 4, "taken": 3, "in_force": 2, "old": 1, "coalesced": 0, "refused": 1, "unknown": 1}
    assert played.trades == {"read": 4, "applied": 3, "duplicate": 1}
    assert (played.lines_refused, played.refused, played.took_effect) == (1, 2, True)
    assert list(played.reasons) == ["unknown instrument 'EUR/USD'"]


def test_a_recording_can_be_moved_so_that_its_first_tick_is_now(ticks: Path, tmp_path: Path) -> None:
    now = SystemClock().now()
    rows = [f"a,{NOON - SECOND},0,EURUSD,FX1,buy,1,1", f"b,{NOON + 100 * SECOND},0,EURUSD,FX1,buy,1,1"]
    engine, played = play_counted([ticks], write(tmp_path / "t.csv", TRADES, rows), None, now)
    assert played.ticks["in_force"] == 50 and played.trades == {"read": 2, "applied": 2}
    assert engine.snapshot.units.marks[REFERENCE.instrument_index["EURUSD"]].ts == now + 49 * SECOND  # type: ignore[union-attr]
    assert engine.snapshot.as_of == now + 100 * SECOND
    engine, played = play_counted([], tmp_path / "t.csv", None, now)
    assert engine.snapshot.as_of == now + 101 * SECOND, "without ticks the first trade is now"


# -- into a running engine -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("replay")
    url = f"sqlite:///{folder}/engine.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with running("serve", "--port", "0", "--store", url, log=folder / "log") as server:
        yield server


def into(server: Server, ticks: list[Path], trades: Path | None, notes: Notes | None = None) -> Played:
    return replay_to(server.url, source_of(ticks, trades), notes if notes is not None else Notes())


def test_a_running_engine_ends_where_one_here_does(served: Server, ticks: Path, tmp_path: Path) -> None:
    trades = write(tmp_path / "t.csv", TRADES, trade_rows(3 * FRAME_TRADES))
    played = into(served, [ticks], trades)
    assert played.trades == {"read": 1_500, "applied": 1_500}
    assert (played.ticks["read"], played.ticks["taken"], played.ticks["in_force"]) == (50, 50, 50)
    expected = play([ticks], trades).snapshot
    assert served.get("/v1/digest")["digest"] == digest(expected)
    marks = {row["instrument"]: row["price"] for row in served.get("/v1/marks")["rows"]}
    assert marks["EURUSD"] == expected.units.price[REFERENCE.instrument_index["EURUSD"]]
    again = into(served, [ticks], trades)
    assert again.trades == {"read": 1_500, "duplicate": 1_500}
    assert (again.ticks["old"], again.ticks["in_force"]) == (49, 1), "the newest is as new as the mark"


def test_ndjson_with_numbers_of_every_kind_reaches_the_engine(served: Server, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"ts": NOON, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 2, "price": 1.5}
    rows: list[dict[str, Any]] = [
        {"trade_id": "n1"},
        {"trade_id": "n2", "source_seq": 10**30},
        {"trade_id": "n3", "price": None},
        {"trade_id": ["n4"]},
    ]
    path = tmp_path / "t.ndjson"
    path.write_text("".join(json.dumps(plain | row) + "\n" for row in rows))
    played = into(served, [], path)
    assert played.trades == {"read": 4, "applied": 1, "rejected": 3}
    assert any(reason.startswith("trade 'n2' rejected: source_seq") for reason in played.reasons)


def test_a_cancel_without_a_time_comes_first_and_is_parked(served: Server, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "trade_id,action,version,ts\n", ["c1,cancel,2,"])
    played = into(served, [], path)
    assert played.trades == {"read": 1, "parked": 1} and not played.took_effect


def test_a_trade_whose_time_cannot_be_read_is_told_and_not_sent(served: Server, tmp_path: Path) -> None:
    notes = Notes()
    path = write(tmp_path / "t.csv", TRADES, ["x1,yesterday,1,EURUSD,FX1,buy,1,1"])
    played = into(served, [], path, notes)
    assert (played.trades, played.lines_refused) == ({"read": 0}, 1)
    assert [note.split(": ")[:2] for note in notes] == [["t.csv:2", "ts"]]


def test_ticks_that_the_engine_refuses_are_counted_as_they_are_reported(served: Server, tmp_path: Path) -> None:
    path = write(tmp_path / "ticks.csv", TICKS, [f"XYZ,{NOON},1,1", f"EURGBP,{NOON},0.8,0.8"])
    played = into(served, [path], None)
    assert (played.ticks["read"], played.ticks["taken"], played.ticks["refused"], played.ticks["unknown"]) == (2, 1, 1, 1)
    assert list(played.reasons) == ["tick refused: instrument: unknown instrument 'XYZ'"]


def test_nothing_listens_there(ticks: Path) -> None:
    with pytest.raises(EngineUnreachable, match=r"http://127\.0\.0\.1:1"):
        replay_to("http://127.0.0.1:1", source_of([ticks], None), Notes())
