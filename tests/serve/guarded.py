"""An engine with tokens: two desks that must not see each other, a token of every role, and every request."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from riskengine.clock import ManualClock
from riskengine.config import AccessConfig, Config, ServerConfig
from riskengine.engine.closing import ClosingDay, make_close
from riskengine.positions.day_window import DayWindow
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.limits import LIMIT, Limit
from riskengine.records.reference import Reference
from riskengine.serve.access.tokens import StoredToken, editing, hash_of, new_token
from riskengine.serve.app import create_app
from riskengine.snapshot.snapshot import Snapshot
from tests.rolling import TRADING_DAY
from tests.scenarios_data import stored, walks
from tests.serve.stand_in import MIDS, PORT, Answer, StandIn, ask, post
from tests.world import INSTRUMENTS, NOON, reference, row

ASKED = {"counterparty": "ZETABANK", "account": "zeta-account", "comment": "for zeta"}
PARENTS = {"ALL": "", "OURBOOK": "ALL", "OURDESK": "OURBOOK", "ZETABOOK": "ALL", "ZETADESK": "ZETABOOK"}
HOUSE = reference(PARENTS, INSTRUMENTS)

OURS: dict[str, Any] = {"role": "dealer", "nodes": ["OURDESK"], "dealers": ["ann"]}
GRANTED: Mapping[str, Mapping[str, Any]] = {
    "dealer": OURS,
    "viewer": OURS | {"role": "viewer"},
    "only dealer": {"role": "viewer", "dealers": ["ann"]},
    "only node": {"role": "viewer", "nodes": ["OURBOOK"]},
    "booker": OURS | {"book": True},
    "feed": {"role": "feed"},
    "boss": {"role": "ops"},
}
"""Tokens by name."""


def deals() -> list[dict[str, Any]]:
    """Trades of both desks; the other desk's have numbers and names of their own."""
    ours = [
        row("our-1", desk="OURDESK", dealer="ann", quantity="100", price="1.1"),
        row("our-2", desk="OURDESK", dealer="ann", instrument="GHOST", quantity="7", price="3", ts=NOON + 1),
        row("our-2", desk="OURDESK", dealer="ann", instrument="GHOST", quantity="8", price="3", ts=NOON + 1),  # a conflict
        row("our-3", desk="OURDESK", dealer="ann", quantity="60", price="1.05", ts=NOON - 3_600_000_000),  # late
    ]
    ours.append(row("our-4", desk="OURDESK", dealer="ann", instrument="ESZ6", quantity="3", price="5000", ts=NOON + 5))
    other = {"desk": "ZETADESK", "dealer": "zoltan"}
    theirs = [
        row("zeta-1", desk="ZETADESK", dealer="zoltan", quantity="777123.5", price="1.173911", source="zetasource", **ASKED),
        row("zeta-2", **other, instrument="ACME", side="sell", quantity="31337", price="41.87653", ts=NOON + 2),
        row("zeta-2", **other, instrument="ACME", side="sell", quantity="31339", price="41.8", ts=NOON + 2),
        row("zeta-3", **other, quantity="98765.4", price="1.1414", ts=NOON - 3_600_000_000),
        row("zeta-4", **other, instrument="MAREL", quantity="54321", price="511.25", ts=NOON + 3),
        row("zeta-5", **other, quantity="11.25", price="1.2", legs=2, ts=NOON + 4),
        row("zeta-6", action="cancel"),
        row("zeta-8", **other, quantity="13579.5", price="1.31313", trade_date="2031-01-02"),
        row("zeta-7", **other, instrument="ESZ6", quantity="24680", price="5012.25", ts=NOON + 5),
        # What was ours at first and is theirs now, and the other way round.
        row("moved-1", desk="OURDESK", dealer="ann", quantity="12", price="1.2", ts=NOON + 5),
        row("moved-1", desk="ZETADESK", dealer="zoltan", quantity="45454.5", price="1.26262", ts=NOON + 5),
        row("moved-2", **other, quantity="56565.5", price="1.28282", ts=NOON + 6),
        row("moved-2", desk="OURDESK", dealer="ann", quantity="13", price="1.2", ts=NOON + 6),
        row("moved-3", desk="OURDESK", dealer="ann", quantity="14", price="1.2", ts=NOON + 7),
        row("moved-3", **other, version=2, action="amend", quantity="67676.5", price="1.29292", ts=NOON + 7),
        row("moved-4", **other, quantity="78787.5", price="1.30303", ts=NOON + 8),
        row("moved-4", desk="OURDESK", dealer="ann", version=2, action="amend", quantity="15", price="1.2", ts=NOON + 8),
    ]
    return ours + theirs


class GuardedHouse(StandIn):
    """Has found breaks on both sides, and wakes its listeners."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.listeners: list[Callable[[], None]] = []

    def publish(self) -> Snapshot:
        snapshot = super().publish()
        for wake in self.listeners:
            wake()
        return snapshot

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(wake)
        return lambda: self.listeners.remove(wake)

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        self._require_live()
        keys = (("OURDESK", None), (None, "ann"), ("ZETADESK", None), (None, "zoltan"), ("ALL", None), (None, None))
        rows: list[dict[str, Any]] = [
            {
                "break_id": number,
                "kind": "cash",
                "node": node,
                "dealer": dealer,
                "status": "open",
                "here": {"net_cash": "5.5" if "ann" in (dealer, "ann" * (node == "OURDESK")) else "8675309.75"},
            }
            for number, (node, dealer) in enumerate(keys, start=1)
        ]
        return rows, {"clean": False, "breaks": [{"node": "ZETADESK", "difference": "8675309.75"}]}

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        rows, _ = await self.breaks(status=None)
        return next((row | {"comment": comment, "actor": actor} for row in rows if row["break_id"] == break_id), None)


class Guarded:
    """The application of one engine with tokens; `tokens` are the texts by name."""

    def __init__(
        self, folder: Path, granted: Mapping[str, Mapping[str, Any]] = GRANTED, house: Reference = HOUSE, **server: Any
    ) -> None:
        self.file = folder / "tokens.toml"
        self.tokens: dict[str, str] = {}
        for name, more in granted.items():
            self.create(name, **more)
        config = Config(access=AccessConfig(tokens_file=str(self.file), max_connections=3), server=ServerConfig(**server))
        self.clock = ManualClock(NOON)
        self.gateway = GuardedHouse(house, config, self.clock)
        self.app = create_app(self.gateway)

    def create(self, name: str, **more: Any) -> str:
        """A token in the file, as `riskengine token create` puts it there."""
        text = self.tokens[name] = new_token()
        with editing(self.file) as tokens:
            tokens[name] = StoredToken(name, sha256=hash_of(text), **{key: _listed(value) for key, value in more.items()})
        return text

    def revoke(self, name: str) -> None:
        with editing(self.file) as tokens:
            del tokens[name]

    def with_trades(self) -> "Guarded":
        """The same, with a day of both desks."""
        feed = bearer(self.tokens["feed"])
        assert post(self.app, "/v1/trades", deals(), headers=feed).status == 200
        ticks = [{"instrument": name, "ts": NOON, "mid": mid, "source": "market"} for name, mid in MIDS.items()]
        assert post(self.app, "/v1/ticks", ticks, headers=feed).status == 200
        for key in (("node", "ZETADESK", "ESZ6"), ("dealer", "zoltan", "ESZ6"), ("node", "OURDESK", "ESZ6")):
            ours = "OURDESK" in key
            self.gateway.engine.set_aside_key(key, "its trades do not add up" + ("" if ours else ": 8675309.75"), NOON)
        for name, desk, dealer in (("our", "OURDESK", "ann"), ("zeta", "ZETADESK", "zoltan")):
            for measure in ("gross_exposure", "quantity", "trade_amount"):
                self.gateway.rules[LIMIT] += [
                    _limit(f"{name}-limit" if measure == "gross_exposure" else f"{name}-{measure}", measure, node=desk),
                    _limit(f"{name}-dealer-{measure}", measure, dealer=dealer),
                ]
        self.gateway.judge.set_limits(self.gateway.rules[LIMIT])
        self.gateway.publish()
        self.gateway.struck["2026-03-04"] = _closed(self.gateway)
        self.gateway.workbench.take_closes(stored(walks(MIDS, 260)))
        self.gateway.warnings["breaks"] = "positions of ZETADESK differ: 8675309"
        return self

    def ask(self, name: str, path: str, query: Mapping[str, object] | str = "", **more: Any) -> Answer:
        headers = bearer(self.tokens[name]) | more.pop("headers", {})
        return ask(self.app, path, query, headers=headers, **more)

    def post(self, name: str, path: str, body: Any, **more: Any) -> Answer:
        return post(self.app, path, body, headers=bearer(self.tokens[name]) | more.pop("headers", {}), **more)


def _limit(limit_id: str, measure: str, **scope: Any) -> Limit:
    """A limit that is breached where it bounds a number."""
    instrument = "" if measure == "gross_exposure" else "EURUSD"
    owner = limit_id.partition("-")[0]
    return Limit(limit_id=limit_id, version=1, measure=measure, instrument=instrument, limit=0.5, owner=owner, **scope)


def _closed(gateway: StandIn) -> StruckClose:
    """A close of both desks as they are."""
    window, following = (DayWindow.after(dt.date(2026, 3, day), TRADING_DAY) for day in (3, 4))
    rows = gateway.engine.close_rows(window, following)
    prices = {name: ClosePrice(mid, NOON) for name, mid in MIDS.items()}
    return make_close(rows, prices, ClosingDay(window.current, window.end_ts, NOON), gateway.config)


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


ORIGIN = f"http://127.0.0.1:{PORT}"
FORGED_ORIGINS = [
    "null",
    "https://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    f"https://127.0.0.1:{PORT}",
    f"http://127.0.0.1:{PORT}.evil",
    f"http://evil@127.0.0.1:{PORT}",
    f"http://[::1]:{PORT}",
]
"""What a browser on another site, or another user's server on this machine, would send."""
FORM = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}


def cookie_of(answer: Answer) -> dict[str, str]:
    """The cookie that a browser sends after this answer."""
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}
