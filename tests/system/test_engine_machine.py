"""The engine against the model on paper: after every step both must say the same, whatever is delivered in whatever order."""

import hashlib
from collections import deque
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from riskengine.config import Config
from riskengine.engine.self_audit import SelfAudit
from riskengine.positions.places import place_of
from riskengine.records.types import CASH_ONE, ONE, Key, Tick, Trade
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot, Table
from tests import world
from tests.model import Model, Spec, Worth
from tests.world import DESKS, INSTRUMENTS, NOON, PARENTS, REFERENCE, SECOND

SPECS = {
    row["instrument"]: Spec(
        row["kind"], row.get("base_currency", ""), row["quote_currency"], Fraction(row.get("multiplier", "1"))
    )
    for row in INSTRUMENTS
}
SYMBOLS = tuple(sorted(SPECS))
MARKED = tuple(symbol for symbol in SYMBOLS if symbol != "GHOST")
MIDS = {"USDJPY": 150.0, "ESZ6": 5000.0, "BTCEUR": 60000.0, "MAREL": 400.0, "ACME": 90.0}
OPENING_MIDS = {symbol: MIDS.get(symbol, 1.25) for symbol in SYMBOLS}

quantities = st.sampled_from(["1", "2", "3", "100", "250", "12500000"])
prices = st.sampled_from(["1", "1.08432", "1.1", "0.8512345678", "99.5", "60000"])
offsets = st.sampled_from([0, 0, 1, 2, 3, 8, 20]).map(lambda seconds: NOON + seconds * SECOND)
sources = st.sampled_from(["", "venue", "bank"])
waits = st.sampled_from([0, 1, 100_000, SECOND, 30 * SECOND, 61 * SECOND])
deals = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from(["a", "b", "c", "d", "e", "Ã¶"]),
        "version": st.sampled_from([1, 1, 1, 2, 3, 4]),
        "action": st.sampled_from(["new", "new", "new", "amend", "cancel"]),
        "ts": offsets,
        "instrument": st.sampled_from(SYMBOLS),
        "desk": st.sampled_from(DESKS),
        "dealer": st.sampled_from(["", "ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": quantities,
        "price": prices,
    },
    optional={
        "source": st.sampled_from(["desk-9", "desk-10"]),
        "leg": st.sampled_from([0, 1]),
        "source_seq": st.sampled_from([1, 2]),
        "legs": st.just(2),
        "fees": st.sampled_from(["1.25", "-0.5"]),
        "fees_currency": st.sampled_from(["USD", "JPY", "ISK", "BTC"]),
        "contra_amount": st.sampled_from(["110.01", "7"]),
        "value_date": st.sampled_from(["", "2026-03-06", "2026-06-04", "2026-03-07"]),
    },
)
bumps = st.sampled_from([0.98, 0.999, 1.0, 1.0, 1.0013, 1.04])
LIMITS = {symbol: {"fx": 0.005, "equity": 0.1, "crypto": 0.1, "future": 0.05}[spec.kind] for symbol, spec in SPECS.items()}
"""How far a quote may move a mark by default; every pair here is of two of the ten currencies."""


def price_of(units: int) -> Fraction:
    return Fraction(units, ONE)


def fingerprint(snapshot: Snapshot) -> str:
    """A hash over everything that a reader could see in a snapshot."""

    def table(of: Table) -> list[Any]:
        states = [of.state(owner) for owner in range(of.size)]
        rows = [[None if row is None else msgspec.structs.astuple(row) for row in state.rows] for state in states]
        counts = [(state.position_count, state.trade_count, state.last_trade_ts) for state in states]
        return [rows, counts, [page.tobytes() for page in of.numbers]]

    arrays = [array.tobytes() for array in (*snapshot.units, *snapshot.rates[:3]) if isinstance(array, np.ndarray)]
    seen = [
        table(snapshot.nodes),
        table(snapshot.dealers),
        snapshot.dealer_names,
        arrays,
        snapshot.units.marks,
        snapshot.rates.paths,
        snapshot.counts,
        dict(snapshot.exceptions),
        snapshot.seq,
        snapshot.as_of,
        snapshot.trade_seq,
        snapshot.watermark,
    ]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def agree(engine: float | None, model: Fraction | None, scale: Fraction, what: str) -> None:
    if engine is None or model is None:
        assert engine is None and model is None, f"{what}: {engine} against {model}"
    else:
        allowed = Fraction(1, 10**9) + scale / 10**12
        assert abs(Fraction(engine) - model) <= allowed, f"{what}: {engine} against {float(model)}"


def agree_on_worth(row: dict[str, Any], worth: Worth, what: str) -> None:
    agree(row["total_pnl"], worth.total, worth.scale, f"{what} total")
    agree(row["realised_pnl"], worth.realised, worth.scale, f"{what} realised")
    agree(row["unrealised_pnl"], worth.unrealised, worth.scale, f"{what} unrealised")


def keys_of(trade: Trade) -> tuple[Key, Key]:
    return ("node", trade.desk, trade.instrument), ("dealer", trade.dealer, trade.instrument)


class EngineAgainstModel(RuleBasedStateMachine):
    @initialize(opened=st.booleans(), priced=st.booleans())
    def open_house(self, opened: bool, priced: bool) -> None:
        """`priced`: every instrument has a mark, so that a beat may revalue in part; GHOST never has one otherwise."""
        self.now = NOON + 30 * SECOND
        self.model = Model(PARENTS, SPECS, "USD", LIMITS)
        self.durable: list[Trade] = []
        self.sent: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.seen: deque[tuple[Snapshot, str]] = deque(maxlen=10)
        if opened:
            self.model.openings = [
                {
                    "desk": "FX1",
                    "dealer": "ann",
                    "instrument": "EURUSD",
                    "ts": NOON + SECOND,
                    "quantity": "-40",
                    "average_price": "1.05",
                    "realised": "3.5",
                    "fees": "0.25",
                },
                {
                    "desk": "FX1",
                    "dealer": "bob",
                    "instrument": "EURUSD",
                    "ts": NOON,
                    "quantity": "100",
                    "average_price": "1.2",
                    "realised": "0",
                    "fees": "0",
                },
            ]
        self.start()
        if priced:
            self.hear([{"instrument": symbol, "ts": self.now, "bid": mid, "ask": mid} for symbol, mid in OPENING_MIDS.items()])
            self.beat(0)

    def start(self) -> None:
        """Start an engine from what is durable."""
        self.house = world.House(settings=Config(), now=self.now)
        self.house.engine.open_with(world.opening(**row) for row in self.model.openings)
        self.house.engine.apply(self.durable, self.now)
        self.settled = False
        self.counted = {"duplicate": 0, "conflict": 0}
        self.publish()

    @property
    def snapshot(self) -> Snapshot:
        return self.house.engine.snapshot

    def deliver(self, row: dict[str, Any]) -> None:
        late = row.get("action") != "cancel" and self.model.is_late(row) and not self.model.is_effective(row)
        expected = self.model.take(row)
        trade = world.check_row(row, row["received_ts"])
        [outcome] = self.house.engine.apply([trade], self.now)
        note(f"{row} -> {outcome}")
        assert outcome.status == expected
        assert outcome.late == (late and expected == "applied")
        if expected in self.counted:
            self.counted[expected] += 1
        else:
            self.durable.append(trade)
            self.sent.append(row)
        self.settled = False

    # -- what may happen ---------------------------------------------------------------------------------------

    @rule(batch=st.lists(deals, min_size=1, max_size=3), wait=waits)
    def trades_come(self, batch: list[dict[str, Any]], wait: int) -> None:
        self.now += wait
        for sent in batch:
            kept = ("source", "trade_id", "leg", "version", "action", "legs")
            row = {key: sent[key] for key in kept if key in sent} if sent["action"] == "cancel" else sent
            self.deliver({"source": "test"} | row | {"received_ts": self.now})
        self.publish()

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), changes=st.dictionaries(st.sampled_from(["instrument", "desk", "dealer", "ts", "price"]), st.none()))
    def a_trade_is_amended(self, data: st.DataObject, changes: dict[str, None]) -> None:
        row = data.draw(st.sampled_from(self.sent))
        choices: dict[str, tuple[Any, ...]] = {
            "instrument": SYMBOLS,
            "desk": DESKS,
            "dealer": ("", "bob", "cat"),
            "price": ("1.2", "2"),
            "ts": (NOON, self.now),
        }
        if row.get("action") != "cancel":
            changed = {key: data.draw(st.sampled_from(choices[key])) for key in changes}
            self.deliver(row | changed | {"action": "amend", "version": row["version"] + 1, "received_ts": self.now})
        self.publish()

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), version=st.integers(1, 5))
    def a_trade_is_cancelled(self, data: st.DataObject, version: int) -> None:
        row = data.draw(st.sampled_from(self.sent))
        kept = {key: row[key] for key in ("source", "trade_id", "leg") if key in row}
        self.deliver(kept | {"action": "cancel", "version": version, "received_ts": self.now})
        self.publish()

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), at_once=st.booleans())
    def a_trade_comes_again(self, data: st.DataObject, at_once: bool) -> None:
        row = dict(data.draw(st.sampled_from(self.sent)))
        if row.get("action") != "cancel":
            row |= {"price": f"{row['price']}.0" if "." not in row["price"] else f"{row['price']}0", "booked_ts": self.now}
        self.deliver(row | {"received_ts": self.now})
        if at_once:
            self.publish()

    @rule(deal=deals.filter(lambda deal: deal["action"] != "cancel"), wait=st.sampled_from([61 * SECOND, 600 * SECOND]))
    def a_trade_comes_from_the_future(self, deal: dict[str, Any], wait: int) -> None:
        self.deliver({"source": "test"} | deal | {"ts": self.now + wait, "received_ts": self.now})
        self.publish()

    @rule(
        quotes=st.lists(
            st.tuples(st.sampled_from(MARKED), bumps, st.sampled_from(["both", "both", "crossed", "bid", "ask"]), waits, sources),
            min_size=1,
            max_size=6,
        ),
        beat=st.booleans(),
    )
    def ticks_come(self, quotes: list[tuple[str, float, str, int, str]], beat: bool) -> None:
        ticks: list[dict[str, Any]] = []
        for symbol, bump, kind, age, source in quotes:
            middle = MIDS.get(symbol, 1.25) * bump
            half = round(middle * 0.0001, 6) * (-1 if kind == "crossed" else 1)
            bid = None if kind == "ask" else round(middle - half, 6)
            ask = None if kind == "bid" else round(middle + half, 6)
            ticks.append({"instrument": symbol, "ts": self.now - age, "bid": bid, "ask": ask, "source": source})
        self.hear(ticks)
        if beat:
            self.beat(0)

    def hear(self, ticks: list[dict[str, Any]]) -> None:
        sent = [Tick(each["instrument"], each["ts"], each["bid"], each["ask"], None, each.get("source", "")) for each in ticks]
        assert self.house.quotes.offer(sent, self.now) == []
        self.waiting.extend(tick | {"came": self.now} for tick in ticks)

    @rule(symbol=st.sampled_from(["ACME", "ESZ6", "BTCEUR", "EURGBP"]), moves=st.lists(bumps, min_size=2, max_size=3))
    def one_price_moves_alone(self, symbol: str, moves: list[float]) -> None:
        """From the second move on, the beat revalues in part: nothing else has changed."""
        for bump in moves:
            mid = round(OPENING_MIDS[symbol] * bump, 6)
            self.hear([{"instrument": symbol, "ts": self.now, "bid": mid, "ask": mid}])
            self.beat(0)

    @rule(wait=waits)
    def beat(self, wait: int) -> None:
        self.now += wait
        self.price()
        self.publish()

    def price(self) -> None:
        """Put the waiting ticks in force."""
        self.model.ticks.extend(self.waiting)
        self.model.ticks.append({"beat": self.now})
        self.waiting.clear()
        self.model.priced_at = self.now
        self.house.engine.beat(self.house.quotes.take(self.now), self.now)

    @rule(wait=waits)
    def the_engine_starts_again(self, wait: int) -> None:
        self.now += wait
        self.price()
        table = self.house.engine.marks.marks
        marks = world.as_restored({s: m for s, m in zip(self.snapshot.reference.symbols, table, strict=True) if m is not None})
        self.model.ticks.append(None)
        self.start()
        self.house.quotes.restore(marks)
        self.house.engine.marks.restore(marks)
        self.beat(0)

    @rule(data=st.data(), fault=st.sampled_from(["", "quantity", "cash", "average", "identities", "trades", "aside"]))
    def a_key_is_repaired_from_the_store(self, data: st.DataObject, fault: str) -> None:
        """Whatever was wrong with it, the engine then agrees with the model."""
        engine = self.house.engine
        held = [p for rollup in (engine.ledger.organisation, engine.ledger.dealers) for _, _, p in rollup.positions()]
        if not held:
            return
        position = data.draw(st.sampled_from(held))
        [key] = [key for key in self.keys() if (place := place_of(engine.ledger, key)) is not None and place.position is position]
        if fault == "aside":
            engine.set_aside_key(key, "planted by a test", self.now)
            self.publish()
        elif fault == "trades":
            position.trades = list(position.trades)[1:]
        elif fault:
            setattr(position, fault, 7)
        asked = {trade.identity for trade in engine.trades_of([key])}
        stored = (*key[:2], key[2].partition("@")[0])  # the rows of a forward name its pair
        asked |= {trade.identity for trade in self.durable if stored in keys_of(trade)}
        engine.repair([key], [trade for trade in self.durable if trade.identity in asked], self.now)
        self.publish()

    def keys(self) -> list[Key]:
        dealers = self.house.engine.ledger.dealer_index
        owners = [("node", desk) for desk in DESKS] + [("dealer", dealer) for dealer in dealers]
        symbols = self.house.engine.reference.symbols
        return [(rollup, owner, symbol) for rollup, owner in owners for symbol in symbols]

    def publish(self) -> None:
        published = self.house.engine.publish(self.now)
        self.seen.append((published, fingerprint(published)))
        self.settled = True

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    @precondition(lambda self: self.settled)
    def the_engine_s_own_check_passes(self) -> None:
        self.house.engine.check()
        assert SelfAudit(self.house.engine).finish_pass() == []

    @invariant()
    @precondition(lambda self: self.settled)
    def positions_agree(self) -> None:
        marks = self.model.marks() if self.model.priced_at else {}
        for by, rows in (("desk", list(position_rows(self.snapshot))), ("dealer", self.rows_of_dealers())):
            positions = self.model.positions(by)
            owner = "node" if by == "desk" else "dealer"
            found = {(row[owner], row["instrument"]): row for row in rows}
            assert found.keys() == positions.keys()
            for key, held in positions.items():
                row, worth = found[key], self.model.worth(held, marks)
                assert row["average_price"] == held.average
                assert (row["trade_count"], row["last_trade_ts"] or 0) == (held.trades, held.last_trade_ts)
                agree_on_worth(row, worth, f"{key}")
                agree(row["fees"], worth.fees, worth.scale, f"{key} fees")

    def rows_of_dealers(self) -> list[dict[str, Any]]:
        return [row for name in self.snapshot.dealer_names for row in position_rows(self.snapshot, dealer=name)]

    @invariant()
    @precondition(lambda self: self.settled)
    def quantities_and_cash_agree_exactly(self) -> None:
        for table, names, by in (
            (self.snapshot.nodes, REFERENCE.hierarchy.names, "desk"),
            (self.snapshot.dealers, self.snapshot.dealer_names, "dealer"),
        ):
            positions = self.model.positions(by)
            for owner, name in enumerate(names):
                lies = self.model.below(name) if by == "desk" else name.__eq__
                expected: dict[str, list[Fraction]] = {}
                for (where, symbol), held in positions.items():
                    if lies(where):
                        sums = expected.setdefault(symbol, [Fraction(0), Fraction(0)])
                        sums[0] += held.quantity
                        sums[1] += held.cash
                exact = {
                    self.snapshot.reference.symbols[row.instrument]: [price_of(row.quantity), Fraction(row.cash, CASH_ONE)]
                    for row in table.state(owner).positions()
                }
                assert exact == expected

    @invariant()
    @precondition(lambda self: self.settled)
    def nodes_and_dealers_agree(self) -> None:
        marks = self.model.marks() if self.model.priced_at else {}
        for by, rows in (("desk", node_rows(self.snapshot)), ("dealer", dealer_rows(self.snapshot))):
            positions = self.model.positions(by)
            if by == "dealer":
                assert {row["dealer"] for row in rows} == {dealer for dealer, _ in positions}
            for row in rows:
                name = row["node"] if by == "desk" else row["dealer"]
                lies = self.model.below(name) if by == "desk" else name.__eq__
                held = [one for (owner, _), one in positions.items() if lies(owner)]
                worth, exposure = self.model.worth_of(held, marks), self.model.exposure(held, marks)
                agree_on_worth(row, worth, name)
                assert (row["unpriced_count"], row["stale_count"]) == (worth.unpriced, worth.stale), name
                assert (row["position_count"], row["trade_count"]) == (len(held), sum(one.trades for one in held)), name
                assert (row["last_trade_ts"] or 0) == max((one.last_trade_ts for one in held), default=0), name
                if row["net_exposure"] is not None:
                    scale = worth.scale + exposure.gross
                    agree(row["net_exposure"], exposure.net, scale, f"{name} net")
                    agree(row["gross_exposure"], exposure.gross, scale, f"{name} gross")
                agree(row["fees"], worth.fees, worth.scale, f"{name} fees")

    @invariant()
    @precondition(lambda self: self.settled)
    def a_row_on_one_side_has_an_average(self) -> None:
        for line in ladder_rows(self.snapshot):
            average = self.model.average_of(
                [held for (_, symbol), held in self.model.positions("desk").items() if symbol == line["instrument"]]
            )
            assert (line["average_price"] is None) == (average is None)
            assert average is None or abs(line["average_price"] - average) <= 1e-9 * abs(average) + 1e-9, line["instrument"]

    @invariant()
    @precondition(lambda self: self.settled)
    def a_ladder_adds_up_to_its_node(self) -> None:
        row, lines = node_rows(self.snapshot)[0], ladder_rows(self.snapshot)
        known = [line["realised_pnl"] for line in lines if line["realised_pnl"] is not None]
        size = sum(abs(line["net_cash"]) + abs(line["realised_pnl_local"]) for line in lines)
        if row["realised_pnl"] is not None:
            assert abs(row["realised_pnl"] - sum(known)) <= 1e-9 * (1 + size)

    @invariant()
    @precondition(lambda self: self.settled)
    def the_work_list_agrees(self) -> None:
        counts, exceptions = self.snapshot.counts, self.snapshot.exceptions
        assert (counts.duplicates, counts.conflicts) == (self.counted["duplicate"], self.counted["conflict"])
        quarantined = [row for row in self.model.versions if self.model.quarantined(row)]
        assert counts.parked == len(self.model.parked())
        assert counts.quarantined == len(quarantined)
        assert counts.unmatched == len(self.model.unmatched())
        listed = [item.trade.identity for item in exceptions.get("parked", ()) if item.trade]
        assert sorted(listed) == sorted(self.model.parked())
        assert len(exceptions.get("quarantined", ())) == len(quarantined)
        assert len(exceptions.get("unmatched", ())) == counts.unmatched

    @invariant()
    @precondition(lambda self: self.settled)
    def earlier_snapshots_are_unchanged(self) -> None:
        for snapshot, before in self.seen:
            assert fingerprint(snapshot) == before


TestEngineAgainstModel = EngineAgainstModel.TestCase
