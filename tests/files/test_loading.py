"""Loading files into a store: idempotent, every line counted; a damaged file harms only itself."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.clock import ManualClock
from riskengine.errors import StoreUnavailable
from riskengine.files.loading import KINDS, Judge, LoadReport, LoadStore, Target, let_in, load
from riskengine.files.records import ColumnOptions
from riskengine.records.types import Refusal
from riskengine.store.dry_run import DryRun
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import INSTRUMENTS, NODES, TS
from tests.world import config

OUTCOMES = ("inserted", "updated", "duplicate", "conflict", "quarantined", "parked", "rounded", "refused")
NOTHING = dict.fromkeys(("lines", *OUTCOMES), 0)
TRADES = "trade_id,ts,instrument,desk,side,quantity,price\n"


class Loader:
    """A store and the messages of loading into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = open_store(f"sqlite:///{folder}/engine.db")
        self.refusals: list[str] = []
        self.complaints: list[str] = []
        self.advanced = 0
        self.judge: Judge = let_in
        self.accept_changes = False
        self.is_dry = False

    def file(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def load(self, kind: str, *paths: str) -> LoadReport:
        self.refusals, self.complaints = [], []
        report = LoadReport(self.refused, self.advance, self.complaints.append)
        store: LoadStore = DryRun(self.store) if self.is_dry else self.store
        target = Target(store, config(), ManualClock(TS), report, self.judge, self.accept_changes, self.is_dry)
        load(kind, paths, ColumnOptions(), target)
        return report

    def refused(self, path: str, refusal: Refusal) -> None:
        self.refusals.append(f"{Path(path).name}:{refusal.index}: {refusal.field}: {refusal.reason}")

    def advance(self, count: int) -> None:
        self.advanced += count


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Loader]:
    loader = Loader(tmp_path)
    yield loader
    loader.store.close()


@pytest.fixture
def loader(empty: Loader) -> Loader:
    empty.store.save_nodes(NODES)
    empty.store.save_instruments(INSTRUMENTS)
    return empty


def lines(*ids: str, **columns: str) -> str:
    usual = {"instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": "5", "price": "1.1"} | columns
    return "".join(f"{name},{TS}," + ",".join(usual.values()) + "\n" for name in ids)


def test_trades_load_once_however_often_they_are_loaded(loader: Loader) -> None:
    path = loader.file("t.csv", TRADES + lines("a", "b", "a"))
    assert loader.load("trades", path).counts == NOTHING | {"lines": 3, "inserted": 2, "duplicate": 1}
    assert loader.load("trades", path).counts == NOTHING | {"lines": 3, "duplicate": 3}


def test_a_line_that_says_something_else_of_a_stored_trade_is_named_and_kept_apart(loader: Loader) -> None:
    loader.load("trades", loader.file("t.csv", TRADES + lines("a", "b")))
    report = loader.load("trades", loader.file("u.csv", TRADES + lines("b") + lines("a", price="2")))
    assert (report.counts["conflict"], report.counts["refused"]) == (1, 0)
    assert [line.split(":")[:2] for line in loader.refusals] == [["u.csv", "3"]]
    assert loader.store.watermark() == 2


def test_a_bad_line_is_refused_with_its_place_and_the_others_are_loaded(loader: Loader) -> None:
    path = loader.file("t.csv", TRADES + lines("a") + lines("b", desk="X") + lines("c", quantity="1e400") + lines("d"))
    report = loader.load("trades", path)
    assert (report.counts["inserted"], report.counts["refused"], report.counts["lines"]) == (2, 2, 4)
    assert loader.refusals == ["t.csv:3: desk: unknown desk 'X'", "t.csv:4: quantity: is larger than 1e15: '1e400'"]
    assert loader.advanced == 4


def test_more_than_a_batch_loads_with_the_right_line_numbers(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.files.loading.BATCH", 10)
    path = loader.file("t.csv", TRADES + lines(*map(str, range(25))) + lines("x", side="?") + lines("y"))
    report = loader.load("trades", path)
    assert report.counts["inserted"] == 26
    assert loader.refusals == ["t.csv:27: side: must be buy or sell: '?'"]


def test_of_a_half_written_file_the_good_lines_stay_and_the_next_file_is_loaded(loader: Loader) -> None:
    packed = gzip.compress((TRADES + lines(*(f"{n:05}" for n in range(5_000)))).encode(), 1)
    cut = loader.file("cut.csv.gz", packed[: len(packed) // 2])
    good = loader.file("good.csv", TRADES + lines("good"))
    missing = str(loader.folder / "missing.csv")
    report = loader.load("trades", missing, cut, good)
    assert [Path(text.split(":")[0]).name for text in loader.complaints] == ["missing.csv", "cut.csv.gz"]
    assert "the file is incomplete" in loader.complaints[1] and "after line" in loader.complaints[1]
    assert report.failures == loader.complaints
    rows = [row.trade_id for row in loader.store.trades_after(0)]
    assert rows[-1] == "good" and len(rows) > 1_000
    assert report.counts["inserted"] == len(rows) and report.counts["refused"] == 0
    assert rows[:-1] == [f"{n:05}" for n in range(len(rows) - 1)]
    assert loader.complaints[1].endswith(f"; of the {len(rows) - 1:,} lines before that the good ones are taken, as counted")


def test_a_damaged_file_of_nodes_loads_none_of_them(empty: Loader) -> None:
    packed = gzip.compress(("node,parent\n" + "ALL,\n" + "".join(f"N{n},ALL\n" for n in range(20_000))).encode(), 0)
    report = empty.load("nodes", empty.file("nodes.csv.gz", packed[:60_000]))
    [failure] = report.failures
    assert "the file is incomplete" in failure and empty.store.nodes() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("node,parent\nA,\nB,\n", "exactly one node must have no parent"),
        ("node,parent\nA,\nB,X\n", "its parent 'X' does not exist"),
        ("node,parent\nA,\nB,C\nC,B\n", "nodes in a cycle"),
        ("node,parent\nA,\nB,A\nB,A\nC,A\nB,C\n", "node 'B' appears twice"),
    ],
)
def test_nodes_that_form_no_tree_are_refused_whole_and_the_file_is_named(empty: Loader, text: str, reason: str) -> None:
    path = empty.file("nodes.csv", text)
    empty.load("nodes", path)
    [complaint] = empty.complaints
    assert complaint.startswith(f"{path}: ") and reason in complaint
    assert empty.store.nodes() == []


def test_nodes_are_judged_together_with_those_that_are_stored(loader: Loader) -> None:
    added = loader.load("nodes", loader.file("more.csv", "node,parent\nFX3,Total\nFX2,FX3\n"))
    assert (added.counts["inserted"], added.counts["updated"]) == (1, 1)
    assert {node.node: node.parent for node in loader.store.nodes()}["FX2"] == "FX3"
    loader.load("nodes", loader.file("root.csv", "node,parent\nOther,\n"))
    assert "exactly one node" in loader.complaints[0]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("trades", TRADES + lines("a")),
        ("positions", f"desk,instrument,ts,quantity,average_price\nFX1,EURUSD,{TS},5,1.1\n"),
        ("carry", f"carry_id,desk,instrument,ts,amount,type\nK1,FX1,EURUSD,{TS},-2.5,funding\n"),
    ],
)
def test_a_desk_that_has_something_gets_no_nodes_below_it(loader: Loader, kind: str, text: str) -> None:
    """Its trades would lose their place: the next start would leave them out."""
    assert loader.load(kind, loader.file("held.csv", text)).counts["inserted"] == 1
    before = loader.store.nodes()
    loader.load("nodes", loader.file("more.csv", "node,parent\nDesk,FX1\n"))
    assert "node 'FX1' has trades or balances: nodes cannot be put below it; none of its nodes is taken" in loader.complaints[0]
    assert loader.store.nodes() == before
    assert loader.load("nodes", loader.file("other.csv", "node,parent\nDesk,FX2\n")).counts["inserted"] == 1


def test_every_kind_of_reference_data_has_its_way_in(empty: Loader) -> None:
    files = {
        "nodes": "node,parent\nALL,\nFX1,ALL\n",
        "instruments": "instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\n",
        "calendars": "calendar,kind,date\nEUR,holiday,2026-07-14\nEUR,holiday,\n",
        "positions": f"desk,instrument,ts,quantity,average_price\nFX1,EURUSD,{TS},5,1.1\nALL,EURUSD,{TS},5,1.1\n",
        "closes": "date,instrument,price\n2026-01-05,EURUSD,1.1\n2026-01-05,XYZ,1\n",
        "marks": f"instrument,ts,price\nEURUSD,{TS},1.2\nEURUSD,{TS - 1},1.3\n",
        "vols": f"pair,expiry,ts,atm\nEURUSD,2099-03-01,{TS},0.08\nEURUSD,2099-03-01,{TS},8.25\n",
        "rates": f"currency,date,ts,rate\nEUR,2099-03-01,{TS},0.02\nXYZ,2099-03-01,{TS},0.02\n",
        "cash": f"cash_id,node,currency,ts,amount\nC1,ALL,EUR,{TS},100\nC2,ALL,XYZ,{TS},1\nC1,ALL,EUR,{TS},100.0\n",
        "carry": f"carry_id,desk,instrument,ts,amount,type\nK1,FX1,EURUSD,{TS},-2.5,funding\nK1,FX1,EURUSD,{TS},-3,funding\n",
        "actions": "action_id,kind,version\na,cancel,2\na,cancel,\n",
        "scenarios": "scenario,factor,instrument,relative\ns,spot,EURUSD,-0.1\ns,spot,NOBODY,-0.1\n",
        "limits": "limit_id,measure,node,limit,side\nL1,vega,ALL,5,\nL2,vegas,ALL,5,\nL1,vega,ALL,6,\nL1,vega,ALL,5.0,absolute\n",
        "margin": "rule_id,kind,node\nM1,reg_t,FX1\nM2,reg_t,FX9\n",
        "trades": TRADES + lines("a"),
    }
    assert tuple(files) == KINDS
    counts = {kind: empty.load(kind, empty.file(f"{kind}.csv", text)).counts for kind, text in files.items()}
    assert {kind: count["inserted"] for kind, count in counts.items()} == {
        "nodes": 2,
        "instruments": 1,
        "calendars": 1,
        "positions": 1,
        "closes": 1,
        "marks": 1,
        "vols": 1,
        "rates": 1,
        "cash": 1,
        "carry": 1,
        "actions": 1,
        "scenarios": 1,
        "limits": 1,
        "margin": 1,
        "trades": 1,
    }
    assert counts["positions"]["refused"] == counts["closes"]["refused"] == counts["calendars"]["refused"] == 1
    assert counts["marks"]["superseded"] == counts["vols"]["refused"] == counts["rates"]["refused"] == 1
    assert (counts["cash"]["duplicate"], counts["cash"]["refused"], counts["carry"]["conflict"]) == (1, 1, 1)
    assert (counts["limits"]["duplicate"], counts["limits"]["refused"], counts["limits"]["conflict"]) == (1, 1, 1)
    assert counts["margin"]["refused"] == 1


def test_cash_is_refused_by_name_and_told_what_keeps_it_out(loader: Loader) -> None:
    balance = f"desk,instrument,ts,quantity,average_price\nFX1,EURUSD,{TS},5,1.1\n"
    loader.load("positions", loader.file("p.csv", balance))
    rows = [
        f"K1,FX1,EURUSD,USD,{TS - 1},1,funding",
        f"K2,Total,EURUSD,USD,{TS},1,funding",
        f"K3,FX1,XYZ,USD,{TS},1,funding",
        f"K4,FX1,EURUSD,USD,{TS},1,rent",
        f"K5,FX1,EURUSD,USD,{TS},0.12345678901,funding",
    ]
    report = loader.load("carry", loader.file("k.csv", "carry_id,desk,instrument,currency,ts,amount,type\n" + "\n".join(rows)))
    assert loader.refusals == [
        "k.csv:3: desk: 'Total' has nodes below it; carry attaches to leaf nodes",
        "k.csv:4: instrument: unknown instrument 'XYZ'",
        "k.csv:5: type: must be one of swap_points, funding, interest, borrow, withholding, dividend: 'rent'",
        "k.csv:6: amount: has more than 10 decimals: '0.12345678901'",
        "k.csv:2: : quarantined: ts is before the opening balance of its position",
    ]
    assert (report.counts["quarantined"], report.counts["refused"], report.counts["inserted"]) == (1, 4, 0)


def test_versions_of_cash_replace_each_other_and_a_lower_one_is_superseded(loader: Loader) -> None:
    header = "cash_id,version,node,currency,ts,amount\n"
    first = loader.load("cash", loader.file("a.csv", f"{header}C1,2,FX1,USD,{TS},0\nC1,1,FX1,USD,{TS},5\n"))
    assert (first.counts["inserted"], first.counts["superseded"]) == (1, 1)
    again = loader.load("cash", loader.file("b.csv", f"{header}C1,2,FX1,USD,{TS},0\nC1,1,FX1,USD,{TS},6\n"))
    assert (again.counts["duplicate"], again.counts["conflict"]) == (1, 1)
    assert loader.refusals == [
        "b.csv:3: : conflict: another record with the same id and version was stored first; that one counts"
    ]


def test_versions_of_actions_are_counted_as_those_of_trades_are(empty: Loader) -> None:
    empty.load("instruments", empty.file("i.csv", "instrument,kind,quote_currency\nACME,equity,USD\n"))
    header = "action_id,version,instrument,kind,ex_date,ratio,amount\n"
    split, twice, lower = (f"s,{version},ACME,split,2026-01-05,{ratio}:1,\n" for version, ratio in ((2, 4), (2, 4), (1, 3)))
    path = empty.file("a.csv", f"{header}{split}{twice}{lower}s,2,ACME,split,2026-01-05,5:1,\nd,1,ACME,dividend,2026-01-05,,-1\n")
    report = empty.load("actions", path)
    expected = {"inserted": 1, "duplicate": 1, "superseded": 1, "conflict": 1, "refused": 1}
    assert {outcome: report.counts[outcome] for outcome in expected} == expected
    assert not report.is_clean
    assert "a.csv:5: : conflict: another action with the same action_id and version was stored first" in empty.refusals[1]
    assert "a.csv:6: amount: must not be negative" in empty.refusals[0]
    assert [(each.action_id, each.version) for each in empty.store.action_rows().actions] == [("s", 1), ("s", 2)]


def test_a_balance_that_changes_and_one_without_a_place_are_refused_with_their_line(loader: Loader) -> None:
    header = "desk,instrument,ts,quantity,average_price\n"
    balance = loader.file("p.csv", f"{header}FX1,EURUSD,{TS},5,1.1\n")
    assert loader.load("positions", balance).counts["inserted"] == 1
    assert loader.load("positions", balance).counts["duplicate"] == 1
    changed = loader.file("q.csv", f"{header}Total,EURUSD,{TS},5,1.1\nFX1,EURUSD,{TS},6,1.1\n")
    assert loader.load("positions", changed).counts["refused"] == 2
    assert loader.refusals[0] == "q.csv:2: desk: unknown desk 'Total', or not a leaf node"
    assert loader.refusals[1].startswith("q.csv:3: ")


def test_a_store_that_fails_stops_the_load(loader: Loader) -> None:
    path = loader.file("t.csv", TRADES + lines("a"))
    loader.store.close()
    with pytest.raises(StoreUnavailable):
        loader.load("trades", path)


# -- what the engine keeps out, and what a change would move -----------------------------------------------------------


def test_a_trade_that_the_engine_keeps_out_is_counted_and_named_with_the_reason(loader: Loader) -> None:
    loader.judge = lambda trade: "ts is before the opening balance" if trade.trade_id == "b" else ""
    report = loader.load("trades", loader.file("t.csv", TRADES + lines("a", "b")))
    assert (report.counts["inserted"], report.counts["quarantined"], report.counts["refused"]) == (1, 1, 0)
    assert loader.refusals == ["t.csv:3: : quarantined: ts is before the opening balance"]
    assert report.is_clean and loader.store.watermark() == 2


def test_a_cancel_is_parked_unless_its_trade_comes_in_the_same_file(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.files.loading.BATCH", 2)
    header = "trade_id,version,action,ts,instrument,desk,side,quantity,price\n"
    text = header + f"x,2,cancel,,,,,,\ny,2,cancel,,,,,,\nz,,new,{TS},EURUSD,FX1,buy,5,1.1\nx,1,new,{TS},EURUSD,FX1,buy,5,1.1\n"
    report = loader.load("trades", loader.file("t.csv", text))
    assert (report.counts["inserted"], report.counts["parked"]) == (3, 1)
    assert loader.refusals == ["t.csv:3: : parked: a cancel whose trade has not come"]


def test_an_amend_without_a_version_is_refused(loader: Loader) -> None:
    header = "trade_id,action,ts,instrument,desk,side,quantity,price\n"
    report = loader.load("trades", loader.file("t.csv", f"{header}a,amend,{TS},EURUSD,FX1,buy,5,1.1\n"))
    assert report.counts["refused"] == 1 and loader.refusals == ["t.csv:2: version: is missing: an amend names its version"]


def test_rounded_fees_are_counted_beside_the_outcomes(loader: Loader) -> None:
    header = "trade_id,ts,instrument,desk,side,quantity,price,fees\n"
    text = f"{header}a,{TS},EURUSD,FX1,buy,5,1.1,0.2808559209946952\nb,{TS},EURUSD,FX1,buy,5,1.1,0.28\n"
    report = loader.load("trades", loader.file("t.csv", text))
    assert (report.counts["inserted"], report.counts["rounded"], report.counts["refused"]) == (2, 1, 0)
    assert [row.fees for row in loader.store.trades_after(0)] == ["0.280855921", "0.28"]


FUTURES = "instrument,kind,quote_currency,multiplier,expiry,underlying,sector\n"


def test_a_change_that_moves_the_worth_of_trades_is_refused_with_old_and_new_value(loader: Loader) -> None:
    loader.load("trades", loader.file("t.csv", TRADES + lines("a", instrument="ESZ6")))
    path = loader.file("i.csv", FUTURES + "ESZ6,future,USD,500,2026-12-18,SPX,\n")
    report = loader.load("instruments", path)
    assert report.counts["refused"] == 1 and not report.changes
    assert "ESZ6 has trades or balances" in loader.refusals[0] and "multiplier 50 -> 500; --accept-changes" in loader.refusals[0]
    loader.accept_changes = True
    report = loader.load("instruments", path)
    assert [change[1:] for change in report.changes] == [("ESZ6", "multiplier", "50", "500")]
    assert report.counts["updated"] == 1


def test_other_changes_and_those_of_instruments_without_trades_are_told(loader: Loader) -> None:
    report = loader.load("instruments", loader.file("i.csv", FUTURES + "ESZ6,future,USD,20,2026-12-18,SPX,index\n"))
    assert [change[2:] for change in report.changes] == [("multiplier", "50", "20"), ("sector", "empty", "index")]
    report = loader.load("nodes", loader.file("n.csv", "node,level,parent\nFX1,book,Total\n"))
    assert [change[1:] for change in report.changes] == [("FX1", "level", "desk", "book")]


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "for good"])
def test_a_close_with_another_price_is_a_new_version_and_told(loader: Loader, dry: bool) -> None:
    loader.load("closes", loader.file("c.csv", "date,instrument,price\n2026-01-05,EURUSD,1.1\n2026-01-06,EURUSD,1.2\n"))
    loader.is_dry = dry
    again = "date,instrument,price\n2026-01-05,EURUSD,1.25\n2026-01-06,EURUSD,1.2\n2026-01-07,EURUSD,1.3\n"
    report = loader.load("closes", loader.file("again.csv", again))
    assert [report.counts[outcome] for outcome in ("updated", "duplicate", "inserted", "refused")] == [1, 1, 1, 0]
    assert [change[1:] for change in report.changes] == [("EURUSD 2026-01-05", "price", "1.1", "1.25")]


def test_a_balance_holds_its_instrument_too(loader: Loader) -> None:
    loader.load("positions", loader.file("p.csv", f"desk,instrument,ts,quantity,average_price\nFX1,ESZ6,{TS},5,1.1\n"))
    report = loader.load("instruments", loader.file("i.csv", FUTURES + "ESZ6,future,EUR,50,2026-12-18,SPX,\n"))
    assert report.counts["refused"] == 1 and "quote_currency USD -> EUR" in loader.refusals[0]


# -- a dry run ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_as_the_load_does_and_stores_nothing(loader: Loader) -> None:
    files = {
        "nodes": "node,level,parent\nFX3,desk,Total\nFX1,desk,Total\n",
        "instruments": "instrument,kind,base_currency,quote_currency\nGBPUSD,fx,GBP,USD\nEURUSD,fx,EUR,USD\nGBPUSD,fx,GBP,USD\n",
        "positions": f"desk,instrument,ts,quantity,average_price\nFX2,EURUSD,{TS},5,1.1\nFX2,EURUSD,{TS},6,1.1\n",
        "closes": "date,instrument,price\n2026-01-05,EURUSD,1.1\n2026-01-05,EURUSD,1.1\n",
        "marks": f"instrument,ts,price\nEURUSD,{TS},1.2\nEURUSD,{TS - 1},1.3\n",
        "trades": TRADES + lines("a", "b", "a") + lines("b", price="2"),
    }
    loader.load("trades", loader.file("first.csv", TRADES + lines("a")))
    for kind, text in files.items():
        path = loader.file(f"{kind}.csv", text)
        before = loader.store.counts()
        loader.is_dry = True
        dry = loader.load(kind, path)
        assert loader.store.counts() == before and loader.store.conflicts() == []
        loader.is_dry = False
        assert loader.load(kind, path).counts == dry.counts, kind
    assert loader.load("trades", loader.file("again.csv", files["trades"])).counts["duplicate"] == 3


def test_a_failure_of_several_files_is_told_once_with_the_others_counted(loader: Loader) -> None:
    workbook = b"PK\x03\x04...."
    files = [loader.file(f"{number}.csv", workbook) for number in range(3)]
    report = loader.load("trades", *files, loader.file("empty.csv", b""))
    report.tell_repeated_failures()
    first, empty, more = loader.complaints
    assert first.startswith(f"{files[0]}: is a zip archive or a spreadsheet") and empty.endswith("empty.csv: is empty")
    assert more.startswith(f"2 more files ({files[1]}, {files[2]}): is a zip archive or a spreadsheet")
    assert len(report.failures) == 4


def test_files_of_overlapping_days_load_each_trade_once_and_count_the_others(loader: Loader) -> None:
    monday = loader.file("monday.csv", TRADES + lines("a", "b", "c"))
    tuesday = loader.file("tuesday.csv", TRADES + lines("b", "c", "d"))
    counts = loader.load("trades", monday, tuesday).counts
    assert (counts["lines"], counts["inserted"], counts["duplicate"]) == (6, 4, 2)
