"""What a terminal shows of a view, line by line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.cli.watch_lines import ALARM, FAINT, LADDER, PLAIN, TREE, cut, ladder_rows, screen, status_line, table, tree_rows
from riskengine.client import LIVE, LOADING, State
from tests.world import NOON


def state(status: str = LIVE, reason: str = "", **more: Any) -> State:
    plain: dict[str, Any] = {
        "epoch": 2,
        "seq": 40,
        "as_of": NOON,
        "rows": {"EURUSD": {}},
        "changed": frozenset(),
        "removed": frozenset(),
        "conflated": 0,
        "reporting_currency": "USD",
    }
    return State(status, reason, **plain | more)


def holding(instrument: str, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "instrument": instrument,
        "quantity": 1500.0,
        "average_price": 1.106666666666667,
        "mark": 1.2,
        "day_pnl": 12.0,
        "total_pnl": 1234.5,
        "realised_pnl": 0.0,
        "unrealised_pnl": 1234.5,
        "delta_cash": 180.0,
        "stale": False,
        "quarantined": False,
    }
    return plain | more


def node(name: str, parent: str | None, **more: Any) -> dict[str, Any]:
    return {"node": name, "parent": parent, "total_pnl": 1.0, "unpriced_count": 0, "stale_count": 0, "trade_count": 3} | more


def test_a_ladder_is_a_table_by_instrument_with_what_must_be_known_beside_it():
    rows = ladder_rows(
        [
            holding("GHOST", mark=None, total_pnl=None),
            holding("EURUSD", stale=True),
            holding("ACME", quarantined=True),
        ]
    )
    heading, *lines = table(LADDER, rows, 200)
    assert " ".join(heading.split()) == "instrument quantity average mark day P&L total P&L realised unrealised exposure note"
    assert [line.split()[0] for line in lines] == ["ACME", "EURUSD", "GHOST"]
    assert [line[heading.index("note") :] for line in lines] == ["set aside", "old price", "no price"]
    assert "1,500" in lines[1] and "1.106666667" in lines[1] and "1,234.50" in lines[1]


def test_where_there_is_no_room_the_least_needed_columns_go_first():
    rows = [holding("EURUSD", stale=True)]
    headings = {width: " ".join(table(LADDER, rows, width)[0].split()) for width in (200, 75, 50, 35, 20)}
    assert headings == {
        200: "instrument quantity average mark day P&L total P&L realised unrealised exposure note",
        75: "instrument quantity average mark day P&L total P&L note",
        50: "instrument quantity mark total P&L note",
        35: "instrument quantity total P&L",
        20: "instrument total P…",
    }


def test_a_tree_is_indented_and_begins_anew_where_a_parent_is_not_shown():
    rows = tree_rows(
        [
            node("ALL", None),
            node("FX", "ALL"),
            node("CASH", "ALL"),
            node("FX1", "FX", unpriced_count=2, stale_count=1),
            node("LOST", "HIDDEN"),
            node("BELOW", "LOST"),
        ]
    )
    assert [(row["node"], row["depth"]) for row in rows] == [
        ("ALL", 0),
        ("FX", 1),
        ("FX1", 2),
        ("CASH", 1),
        ("LOST", 0),
        ("BELOW", 1),
    ]
    assert "    FX1" in table(TREE, rows, 200)[3] and "2 unpriced, 1 old" in table(TREE, rows, 200)[3]


def test_the_first_line_says_plainly_what_is_not_live_and_of_when_the_figures_are():
    assert status_line("FX1", state()).text == "FX1  live  as of 12:00:00 UTC  seq 40  epoch 2  USD"
    lost = status_line("FX1", state("disconnected", "the connection was lost"))
    assert lost.text == "FX1  DISCONNECTED  figures as of 12:00:00 UTC: the connection was lost" and lost.look == ALARM
    assert status_line("FX1", state(LOADING, "not live", rows={}), "loading 73 %").text == "FX1  LOADING: loading 73 %"


def test_rows_that_are_not_live_look_faint_and_warnings_stand_above_them():
    rows = [holding("EURUSD")]
    lines = screen("FX1", LADDER, rows, state("stale", "nothing has come"), ["store away"], "", 80, 24)
    assert [line.look for line in lines] == [ALARM, ALARM, "heading", FAINT]
    assert lines[1].text == "warning: store away"
    assert screen("FX1", LADDER, rows, state(), [], "", 80, 24)[-1].look == PLAIN


def test_what_a_name_could_do_to_a_terminal_it_does_not():
    assert cut("a\x1b[2Jb\nc", 80) == "a\\x1b[2Jb\\nc"
    assert cut("long name", 5) == "long…"


@given(
    st.lists(st.text(max_size=30), max_size=30, unique=True),
    st.lists(st.text(max_size=90), max_size=4),
    st.integers(1, 200),
    st.integers(1, 50),
    st.sampled_from([LIVE, "stale"]),
    st.text(max_size=100),
)
def test_no_screen_is_wider_or_higher_than_its_terminal(names, warnings, width, height, status, reason):
    shown = screen(reason, LADDER, ladder_rows(map(holding, names)), state(status, reason), warnings, "", width, height)
    assert len(shown) <= height and all(len(line.text) <= width for line in shown)
    assert shown[0].look == ("heading" if status == LIVE else ALARM)


@pytest.mark.parametrize("count", [0, 1, 10])
def test_what_does_not_fit_is_counted(count):
    shown = screen("x", LADDER, [holding(f"I{n}") for n in range(count)], state(), [], "", 100, 8)
    assert (shown[-1].text == "... 5 more") == (count == 10)
    assert len(shown) == min(count + 2, 8)
