"""Forwards, swaps and options against the model on paper, from day to day: values, merges, cuts, exercise."""

import datetime as dt
from fractions import Fraction
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from riskengine.engine.exercise import ExerciseDecision
from riskengine.engine.self_audit import SelfAudit
from riskengine.records.option_inputs import CutSpot, OptionInput, PushedGreeks, RateRow
from riskengine.records.types import CASH_ONE, ONE, Trade
from riskengine.snapshot.rows import dealer_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot
from tests import world
from tests.model import Spec, Worth
from tests.model_dated import DatedModel, OptionTerms, Pushed, business_day, day_of, noon_of
from tests.optioned import option
from tests.world import NOON, PARENTS, SECOND

TODAY = dt.date(2026, 3, 4)
HOUR = 3_600 * SECOND
PAIRS = {"EURUSD": 1.1, "GBPUSD": 1.25, "EURGBP": 0.86, "USDCAD": 1.36}
RATES = {"USD": 0.04, "EUR": 0.02, "GBP": 0.05}
"""None of the Canadian dollar: forwards against it have no price before their date is spot."""
POINTS = {"EURUSD": {dt.date(2026, 4, 1): 0.0025, dt.date(2026, 7, 1): 0.0095}}
OPTIONS = {
    "CALL": OptionTerms("EURUSD", 1, Fraction("1.1"), noon_of(dt.date(2026, 3, 5)) + 3 * HOUR),
    "PUT": OptionTerms("EURUSD", -1, Fraction("1.1012345678"), noon_of(dt.date(2026, 3, 6)) + 3 * HOUR, is_cash=True),
    "PUSHED": OptionTerms("EURUSD", 1, Fraction("1.095"), noon_of(dt.date(2026, 3, 9)) + 2 * HOUR),
}
"""They expire at 10:00 in New York, an hour earlier by UTC once its clocks have changed."""
ROWS = (
    *(each for each in world.INSTRUMENTS if each["instrument"] in PAIRS),
    option("CALL", "EUR", "USD", "1.1", expiry="2026-03-05"),
    option("PUT", "EUR", "USD", "1.1012345678", expiry="2026-03-06", option_type="put", settlement="cash"),
    option("PUSHED", "EUR", "USD", "1.095", expiry="2026-03-09", greeks="pushed"),
)
WHERE = world.reference(rows=ROWS)
SPECS = {each["instrument"]: Spec(each["kind"], each["base_currency"], each["quote_currency"]) for each in ROWS}
INPUTS = (
    *(RateRow(code, "rate", "2027-12-31", NOON, rate) for code, rate in RATES.items()),
    *(RateRow(pair, "points", date.isoformat(), NOON, value) for pair, rows in POINTS.items() for date, value in rows.items()),
)

desks = st.sampled_from(["FX1", "FX1", "FX2"])
dealers = st.sampled_from(["ann", "bob"])
sides = st.sampled_from(["buy", "sell"])
quantities = st.sampled_from(["1", "2", "3.5", "1000000"])
prices = st.sampled_from(["1.1", "1.1023", "1.0999999999", "0.86"])
bumps = st.sampled_from([0.995, 1.0, 1.0011, 1.004])
value_dates = st.sampled_from(
    [
        "",
        "2026-03-04",
        "2026-03-05",
        "2026-03-06",
        "2026-03-09",
        "2026-03-10",
        "2026-03-11",
        "2026-04-15",
        "2026-07-15",
        "2026-03-07",
    ]
)
deals = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(["EURUSD", "EURUSD", "EURGBP", "USDCAD"]),
        "desk": desks,
        "dealer": dealers,
        "side": sides,
        "quantity": quantities,
        "price": prices,
        "value_date": value_dates,
    },
    optional={"fees": st.just("1.25")},
)
option_deals = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(sorted(OPTIONS)),
        "desk": st.sampled_from(["EM1", "FX2"]),
        "dealer": dealers,
        "side": sides,
        "quantity": quantities,
        "price": st.sampled_from(["0.01", "0.0123456789"]),
    }
)
ages = st.sampled_from([0, 0, 1, 24 * 3_600, 48 * 3_600])
"""Seconds ago at which a trade was dealt: some are reported a day or two late."""


def agree(engine: float | None, model: Fraction | None, scale: Fraction, what: str) -> None:
    if engine is None or model is None:
        assert engine is None and model is None, f"{what}: {engine} against {model}"
    else:
        assert abs(Fraction(engine) - model) <= Fraction(1, 10**9) + scale / 10**12, f"{what}: {engine} against {float(model)}"


def agree_on_worth(row: dict[str, Any], worth: Worth, what: str) -> None:
    agree(row["total_pnl"], worth.total, worth.scale, f"{what} total")
    agree(row["realised_pnl"], worth.realised, worth.scale, f"{what} realised")
    agree(row["unrealised_pnl"], worth.unrealised, worth.scale, f"{what} unrealised")


class DatedAgainstModel(RuleBasedStateMachine):
    @initialize()
    def open_house(self) -> None:
        self.now = NOON
        self.model = DatedModel(PARENTS, SPECS, OPTIONS, RATES, POINTS, TODAY)
        self.durable: list[Trade] = []
        self.sent: list[dict[str, Any]] = []
        self.inputs: list[OptionInput] = list(INPUTS)
        self.count = 0
        self.start()
        self.price(PAIRS)

    def start(self) -> None:
        """An engine that takes everything at once, as a start does."""
        self.house = world.House(WHERE, world.config(), now=self.now)
        self.house.engine.beat({}, self.now, self.inputs)
        self.house.engine.apply(self.durable, self.now)
        self.house.engine.publish(self.now)

    @property
    def snapshot(self) -> Snapshot:
        return self.house.engine.snapshot

    def price(self, mids: dict[str, float], inputs: tuple[OptionInput, ...] = ()) -> None:
        """Quotes of now, in force with a beat of now."""
        ticks = [world.quote(symbol, mid, mid, self.now) for symbol, mid in mids.items()]
        assert self.house.quotes.offer(ticks, self.now) == []
        for symbol, mid in mids.items():
            self.model.ticks.append({"instrument": symbol, "ts": self.now, "bid": mid, "ask": mid, "came": self.now})
        self.model.ticks.append({"beat": self.now})
        self.model.priced_at = self.now
        self.model.forget()
        self.inputs += inputs
        self.house.engine.beat(self.house.quotes.take(self.now), self.now, inputs)
        self.inputs += self.house.engine.options.take_cut_spots()
        self.house.engine.publish(self.now)

    def deliver(self, *rows: dict[str, Any]) -> None:
        """Deliver rows in one batch."""
        rows = tuple({"source": "test"} | row | {"received_ts": self.now} for row in rows)
        trades = [world.check_row(row, self.now, WHERE) for row in rows]
        expected = [self.model.take(row) for row in rows]
        outcomes = self.house.engine.apply(trades, self.now)
        note(f"{rows} -> {outcomes}")
        assert [outcome.status for outcome in outcomes] == expected
        for row, trade, status in zip(rows, trades, expected, strict=True):
            if status != "conflict":
                self.durable.append(trade)
                self.sent.append(row)
        self.house.engine.publish(self.now)

    def named(self, row: dict[str, Any], age: int = 0) -> dict[str, Any]:
        self.count += 1
        ts = self.now - age * SECOND
        while day_of(ts).isoweekday() > 5:
            ts -= 24 * HOUR
        return {"trade_id": f"t{self.count}", "version": 1, "action": "new", "ts": ts} | row

    # -- what may happen ---------------------------------------------------------------------------------------

    @rule(deal=deals, age=ages)
    def a_trade_comes(self, deal: dict[str, Any], age: int) -> None:
        self.deliver(self.named(deal, age))

    @rule(deal=deals, other_date=value_dates, other_price=prices, at_once=st.booleans())
    def a_swap_comes(self, deal: dict[str, Any], other_date: str, other_price: str, at_once: bool) -> None:
        """Two legs of one trade_id: the same quantity there and back on two dates."""
        near = self.named(deal) | {"leg": 0, "legs": 2}
        back = {"leg": 1, "side": "sell" if deal["side"] == "buy" else "buy", "value_date": other_date, "price": other_price}
        if at_once:
            self.deliver(near, near | back)
        else:
            self.deliver(near)
            self.deliver(near | back)

    @rule(deal=option_deals, age=ages)
    def an_option_is_dealt(self, deal: dict[str, Any], age: int) -> None:
        self.deliver(self.named(deal, age))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_trade_is_amended(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.sent))
        if row.get("action") != "cancel":
            changes = {"quantity": data.draw(quantities), "desk": data.draw(desks), "dealer": data.draw(dealers)}
            if "value_date" in row:
                changes["value_date"] = data.draw(value_dates)
            self.deliver(row | changes | {"action": "amend", "version": row["version"] + 1})

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_trade_is_cancelled(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.sent))
        kept = {key: row[key] for key in ("source", "trade_id", "leg") if key in row}
        self.deliver(kept | {"action": "cancel", "version": row["version"] + 1})

    @rule(moves=st.dictionaries(st.sampled_from(sorted(PAIRS)), bumps, min_size=1))
    def prices_move(self, moves: dict[str, float]) -> None:
        self.now += SECOND
        self.price({pair: round(PAIRS[pair] * bump, 6) for pair, bump in moves.items()})

    @rule(symbol=st.sampled_from(["CALL", "PUT"]), mid=st.sampled_from([0.004, 0.01, 0.0125]))
    def an_option_is_quoted(self, symbol: str, mid: float) -> None:
        if self.now < OPTIONS[symbol].cut:
            self.now += SECOND
            self.price({symbol: mid})

    @rule(bump=bumps, value=st.sampled_from([0.005, 0.02]), delta=st.sampled_from([0.3, 0.9]), gamma=st.sampled_from([0.0, 12.0]))
    def greeks_are_pushed(self, bump: float, value: float, delta: float, gamma: float) -> None:
        if self.now < OPTIONS["PUSHED"].cut:
            self.now += SECOND
            spot = round(PAIRS["EURUSD"] * bump, 6)
            self.model.pushed["PUSHED"] = Pushed(spot, value, delta, gamma)
            self.price({}, (PushedGreeks("PUSHED", self.now, spot, 0.1, value, delta, gamma, 0.0, 0.0),))

    @rule(bump=bumps, after=bumps)
    def a_day_passes(self, bump: float, after: float) -> None:
        """To noon of the next trading day, by every cut in between with a price of before it and one of after it."""
        day = business_day(self.model.day + dt.timedelta(days=1))
        for symbol, terms in OPTIONS.items():
            if self.now < terms.cut <= noon_of(day):
                self.now = terms.cut - 60 * SECOND
                self.price({"EURUSD": round(PAIRS["EURUSD"] * bump, 6)})
                self.now = terms.cut
                self.model.at_cut[symbol] = self.model.marks()["EURUSD"].price
                self.price({})
                self.now += 60 * SECOND
                self.price({"EURUSD": round(PAIRS["EURUSD"] * after, 6)})
        self.now, self.model.day = noon_of(day), day
        self.price({})

    @rule(symbol=st.sampled_from(sorted(OPTIONS)), accepts=st.booleans())
    def a_person_decides_about_an_expired_option(self, symbol: str, accepts: bool) -> None:
        if symbol not in self.model.at_cut:
            return
        trades = self.house.engine.exercise_trades(symbol, ExerciseDecision(accepts, "olga", self.now))
        rows = self.model.book(symbol, accepts=accepts)
        assert sorted((each.trade_id, each.leg, each.instrument, each.side) for each in trades) == sorted(
            (row["trade_id"], row["leg"], row["instrument"], row["side"]) for row in rows
        )
        assert {self.model.take(row | {"received_ts": self.now}) for row in rows} <= {"applied"}
        assert {outcome.status for outcome in self.house.engine.apply(trades, self.now)} <= {"applied"}
        self.durable += trades
        self.house.engine.publish(self.now)

    @rule()
    def the_engine_starts_again(self) -> None:
        table, symbols = self.house.engine.marks.marks, self.snapshot.reference.symbols
        quoted = {symbol: mark for symbol, mark in zip(symbols, table, strict=True) if mark is not None and mark.kind == "quote"}
        marks = world.as_restored(quoted)
        self.start()
        self.house.quotes.restore(marks)
        self.house.engine.marks.restore(marks)
        self.price({})

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def the_engine_s_own_check_passes(self) -> None:
        self.house.engine.check()
        assert SelfAudit(self.house.engine).finish_pass() == []

    @invariant()
    def positions_agree(self) -> None:
        marks = self.model.marks()
        for by, rows in (("desk", list(position_rows(self.snapshot))), ("dealer", self.rows_of_dealers())):
            owner = "node" if by == "desk" else "dealer"
            found = {
                (row[owner], row["instrument"]): row for row in rows if row["trade_count"] or row["quantity"] or row["net_cash"]
            }
            positions = {key: held for key, held in self.model.positions(by).items() if held.trades or held.quantity or held.cash}
            assert found.keys() == positions.keys()
            for key, held in positions.items():
                row, worth = found[key], self.model.worth(held, marks)
                assert (row["average_price"], row["trade_count"]) == (held.average, held.trades), key
                agree_on_worth(row, worth, f"{key}")

    def rows_of_dealers(self) -> list[dict[str, Any]]:
        return [row for name in self.snapshot.dealer_names for row in position_rows(self.snapshot, dealer=name)]

    @invariant()
    def quantities_and_cash_agree_exactly(self) -> None:
        symbols = self.snapshot.reference.symbols
        for name in WHERE.hierarchy.names:
            lies, expected = self.model.below(name), dict[str, tuple[Fraction, Fraction]]()
            for (desk, symbol), held in self.model.positions("desk").items():
                if lies(desk):
                    quantity, cash = expected.get(symbol, (Fraction(0), Fraction(0)))
                    expected[symbol] = quantity + held.quantity, cash + held.cash
            rows = self.snapshot.nodes.state(WHERE.hierarchy.index[name]).positions()
            exact = {symbols[row.instrument]: (Fraction(row.quantity, ONE), Fraction(row.cash, CASH_ONE)) for row in rows}
            nothing = (Fraction(0), Fraction(0))
            assert {key: sums for key, sums in exact.items() if sums != nothing} == {
                key: sums for key, sums in expected.items() if sums != nothing
            }

    @invariant()
    def nodes_and_dealers_agree(self) -> None:
        marks = self.model.marks()
        for by, rows in (("desk", node_rows(self.snapshot)), ("dealer", dealer_rows(self.snapshot))):
            positions = self.model.positions(by)
            for row in rows:
                name = row["node"] if by == "desk" else row["dealer"]
                lies = self.model.below(name) if by == "desk" else name.__eq__
                held = [one for (owner, _), one in positions.items() if lies(owner)]
                if not held:
                    continue
                worth = self.model.worth_of(held, marks)
                agree(row["total_pnl"], worth.total, worth.scale, f"{name} total")
                agree(row["fees"], worth.fees, worth.scale, f"{name} fees")
                assert row["trade_count"] == sum(one.trades for one in held)
                if row["net_exposure"] is not None and not any(one.symbol in OPTIONS and one.quantity for one in held):
                    exposure = self.model.exposure(held, marks)
                    scale = worth.scale + exposure.gross
                    agree(row["net_exposure"], exposure.net, scale, f"{name} net")
                    agree(row["gross_exposure"], exposure.gross, scale, f"{name} gross")

    @invariant()
    def kept_out_and_missing_legs_agree(self) -> None:
        counts = self.snapshot.counts
        assert counts.quarantined == sum(map(self.model.quarantined, self.model.versions))
        assert counts.unmatched == len(self.model.unmatched())

    @invariant()
    def the_spots_of_the_cuts_are_those_that_were_in_force(self) -> None:
        known = {each.instrument: each.price for each in self.inputs if isinstance(each, CutSpot)}
        assert known == self.model.at_cut


TestDatedAgainstModel = DatedAgainstModel.TestCase
TestDatedAgainstModel.settings = settings(max_examples=(settings().max_examples + 1) // 2)
