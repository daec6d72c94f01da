"""Sources of trades: they make the true trades, and send each until it is acknowledged.

The network between them and the engine loses, doubles, delays and damages what they send.
"""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.fibers import MICROS
from tests.simulation.house import DEALERS, LATER_DESK, TERMS
from tests.simulation.machine import Answer

if TYPE_CHECKING:
    from tests.simulation.world import World

RETRY_US = 3 * MICROS
MAX_DELAY_US = 90 * MICROS
AHEAD_US = 8 * MICROS
"""How long before the boundary trades of the next day come already: some systems date a trade by when it takes effect."""
STANDS = frozenset({"applied", "superseded", "parked", "quarantined"})
"""Outcomes that say that this very record is the one that is stored."""

Key = tuple[str, str, int, int]


class Record:
    """One version of a true trade, as its sender writes it."""

    __slots__ = ("channel", "is_abandoned", "is_sent", "key", "outcome", "payload", "refused")

    def __init__(self, payload: dict[str, Any], channel: str = "post") -> None:
        self.payload = payload
        self.key: Key = (payload["source"], payload["trade_id"], payload.get("leg", 0), payload.get("version", 1))
        self.channel = channel
        self.is_abandoned = False
        """Its sender sends it once, whatever comes of that, and never asks again."""
        self.is_sent = False
        self.outcome: str | None = None
        """The acknowledged outcome; None until then."""
        self.refused = False

    @property
    def is_promised(self) -> bool:
        """Whether it must be in the store, sooner or later."""
        return not self.refused and not (self.is_abandoned and self.outcome is None)


class Source:
    """One booking system. It numbers its trades, and goes on sending what nobody has acknowledged."""

    def __init__(self, world: "World", name: str, random: Random) -> None:
        self.world = world
        self.name = name
        self.random = random
        self.made = 0
        self.seq = 0
        self.unacknowledged: dict[int, Record] = {}
        self.is_calm = False

    # -- what is dealt -----------------------------------------------------------------------------------------

    def deal(self) -> None:
        """Make one true trade, perhaps with later versions, and begin to send it."""
        random, knobs = self.random, self.world.knobs
        if random.random() < 0.15:
            self._change_an_old_one()
        self.made += 1
        first = self._new(f"{self.name}{self.made}")
        versions = [first]
        if random.random() < knobs.amended:
            versions.append(self._amended(versions[-1]))
        if random.random() < knobs.cancelled:
            versions.append(self._cancel(versions[-1]))
            if random.random() < 0.2:
                versions.append(self._amended(first, versions[-1]["version"] + 1))
        records = [Record(payload) for payload in versions]
        if random.random() < knobs.conflicting:
            other = dict(random.choice(versions))
            if other.get("action") != "cancel":
                other["quantity"] = self._quantity(other["instrument"])
                records.append(Record(other))
        if len(records) > 1 and random.random() < knobs.early:
            random.shuffle(records)
        direct = random.random() < knobs.others
        abandoned = not direct and random.random() < knobs.abandoned
        delay = 0
        for record in records:
            record.channel = "sql" if direct else "post"
            record.is_abandoned = abandoned
            self.world.enter(record)
            self.send_later(record, delay)
            delay += random.choice((0, 0, 200_000, 3_000_000))

    def _change_an_old_one(self) -> None:
        """Send a new version of a trade of any day so far, or the same once more."""
        world, random = self.world, self.random
        mine = [key for key in world.records if key[0] == self.name]
        if not mine:
            return
        key = random.choice(mine)
        newest = max(version for *identity, version in mine if identity == [*key[:3]])
        before = world.records[(*key[:3], newest)][-1]
        if before.channel != "post" or before.is_abandoned or before.payload.get("action") == "cancel":
            return
        how = random.random()
        if how < 0.4:
            record = before
            record.outcome = None
        else:
            record = Record(self._amended(before.payload) if how < 0.8 else self._cancel(before.payload))
            world.enter(record)
        world.count("old_trades_changed")
        self.send_later(record, 0)

    def _new(self, trade_id: str) -> dict[str, Any]:
        random, world = self.random, self.world
        symbol = random.choice(tuple(TERMS))
        terms = TERMS[symbol]
        desk = random.choice(terms.desks)
        if terms.kind == "fx" and LATER_DESK in world.desks and random.random() < 0.2:
            desk = LATER_DESK
        self.seq += 1
        ts = world.wall_us() - random.choice((0, 1_000, 300_000, 4_000_000, 20_000_000))
        if random.random() < world.knobs.future:
            ts = world.wall_us() + random.randrange(61, 4_000) * MICROS
        boundary = world.boundary(world.date)
        if 0 < boundary - world.wall_us() < AHEAD_US and random.random() < world.knobs.ahead:
            ts = boundary + random.randrange(20 * MICROS)
        payload: dict[str, Any] = {
            "source": self.name,
            "trade_id": trade_id,
            "ts": ts,
            "source_seq": self.seq,
            "instrument": symbol,
            "desk": desk,
            "dealer": random.choice(DEALERS),
            "side": random.choice(("buy", "sell")),
            "quantity": self._quantity(symbol),
            "price": self._price(symbol),
        }
        if random.random() < world.knobs.squared and (held := world.holding(desk, symbol)):
            payload |= {"side": "sell" if held > 0 else "buy", "quantity": plain(abs(held))}
        if random.random() < 0.2:
            payload["fees"] = f"{random.randrange(1, 500) / 100:.2f}"
        if terms.kind == "fx" and random.random() < world.knobs.forwards:
            payload["value_date"] = far_date(world.today(), random)
        elif random.random() < 0.03:
            payload["trade_date"] = world.next_day().isoformat()
        return payload

    def _quantity(self, symbol: str) -> str:
        """Often one of a few sizes, so that positions close exactly and flip."""
        if TERMS[symbol].kind != "fx":
            return str(self.random.choice((1, 2, 3, 5, 100)))
        return self.random.choice(("1000000", "2000000", "1000000.5", "3000000.25", "500000"))

    def _price(self, symbol: str) -> str:
        terms = TERMS[symbol]
        units = self.world.prices.units[symbol] + self.random.randrange(-20, 21)
        return f"{units / 10**terms.decimals:.{terms.decimals}f}"

    def _amended(self, before: dict[str, Any], version: int | None = None) -> dict[str, Any]:
        random = self.random
        payload = dict(before) | {"action": "amend", "version": version or before.get("version", 1) + 1}
        terms = TERMS[payload["instrument"]]
        change = random.choice(("price", "quantity", "side", "desk", "dealer", "ts"))
        if change == "price":
            payload["price"] = self._price(payload["instrument"])
        elif change == "quantity":
            payload["quantity"] = self._quantity(payload["instrument"])
        elif change == "side":
            payload["side"] = "sell" if payload["side"] == "buy" else "buy"
        elif change == "desk":
            payload["desk"] = random.choice(terms.desks)
        elif change == "dealer":
            payload["dealer"] = random.choice(DEALERS)
        else:
            payload["ts"] -= random.choice((1_000_000, 30_000_000))
        return payload

    def _cancel(self, before: dict[str, Any]) -> dict[str, Any]:
        return {
            "source": before["source"],
            "trade_id": before["trade_id"],
            "version": before.get("version", 1) + 1,
            "action": "cancel",
        }

    # -- how it is sent ----------------------------------------------------------------------------------------

    def send_later(self, record: Record, delay: int) -> None:
        if not record.is_abandoned:
            self.unacknowledged[id(record)] = record
        self.world.scheduler.after(delay, partial(self._send, record))

    def send_again(self, record: Record) -> None:
        """The store has lost what was acknowledged: from the beginning."""
        record.outcome = None
        record.refused = record.is_sent = False
        self.send_later(record, self.random.randrange(2 * MICROS))

    def _send(self, record: Record) -> None:
        """One attempt: what the network does with it is drawn; another follows until there is an answer."""
        world, random, knobs = self.world, self.random, self.world.knobs
        if record.outcome is not None or world.is_over or (record.is_abandoned and record.is_sent):
            return
        calm = self.is_calm
        world.scheduler.after(RETRY_US + random.randrange(MICROS), partial(self._send, record))
        if world.scheduler.now < world.quiet_until:
            return
        again, record.is_sent = record.is_sent, True
        if record.channel == "sql":
            self._insert(record)
            return
        batch = [record]
        if random.random() < 0.3:
            rest = [
                each for each in self.unacknowledged.values() if each is not record and each.is_sent and each.channel == "post"
            ]
            batch += random.sample(rest, min(len(rest), world.knobs.messages_up_to))
        copies = 1
        if not calm and random.random() < knobs.lost:
            world.note("message_lost")
            return
        if not calm and random.random() < knobs.duplicated:
            world.note("message_duplicated")
            copies = random.choice((2, 2, 5))
        for copy in range(copies):
            delay = random.randrange(2_000)
            if is_late := not calm and random.random() < knobs.reordered:
                delay = int(10 ** random.uniform(4.0, 7.95))
                world.note("message_reordered_60s" if delay > 60 * MICROS else "message_reordered")
            world.count("messages")
            world.count("duplicated_or_reordered", int(is_late or again or copy > 0))
            world.scheduler.after(delay, partial(self._arrive, batch, self._body(batch, calm)))

    def _body(self, batch: list[Record], calm: bool) -> bytes:
        """What arrives: the trades, or half of them, or other bytes."""
        random, knobs = self.random, self.world.knobs
        body = json.dumps([record.payload for record in batch]).encode()
        if not calm and random.random() < knobs.half:
            self.world.note("message_half")
            return body[: random.randrange(len(body))]
        if not calm and random.random() < knobs.corrupted:
            self.world.note("message_corrupted")
            at = random.randrange(len(body) - 4)
            return body[:at] + bytes((255, *(random.choice((0, 255, 34, 123)) for _ in range(3)))) + body[at + 4 :]
        return body

    def _arrive(self, batch: list[Record], body: bytes) -> None:
        machine = self.world.asked_machine(self.random)
        whole = body.startswith(b"[") and body == json.dumps([record.payload for record in batch]).encode()
        if machine is not None and not self.world.is_over:
            machine.ask("POST", "/v1/trades", body, partial(self._answered, machine, batch if whole else []))

    def _answered(self, machine: Any, batch: list[Record], answer: Answer) -> None:
        world = self.world
        world.add(
            f"trades {answer.status} {[each['status'] for each in answer.values['results']] if answer.status == 200 else ''}"
        )
        if answer.status != 200 or not batch:
            if answer.status not in (200, 400, 503):
                world.fail("answer", f"POST /v1/trades answered {answer.status}: {answer.values}")
            return
        if not self.is_calm and self.random.random() < world.knobs.answer_lost:
            world.note("answer_lost")
            return
        for record, result in zip(batch, answer.values["results"], strict=True):
            world.acknowledged(machine, record, result, answer.values["seq"])
            if result["status"] == "rejected":
                record.refused = True
                if record.payload.get("desk") != LATER_DESK:
                    world.fail("answer", f"{record.payload} is rejected: {result['reason']}")
            record.outcome = record.outcome or result["status"]
            self.unacknowledged.pop(id(record), None)

    def _insert(self, record: Record) -> None:
        """Another program writes the row itself."""
        if self.world.others.insert_row(record.payload):
            record.outcome = "stored"
            self.unacknowledged.pop(id(record), None)


def plain(quantity: Fraction) -> str:
    """A quantity as a decimal text. It has no more decimals than the sizes that it is a sum of."""
    text = f"{Decimal(quantity.numerator) / Decimal(quantity.denominator):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def far_date(today: dt.date, random: Random) -> str:
    """A value date months away, on which every market pays: the second Tuesday of a month that has no holiday there."""
    month = today.month + random.choice((4, 6))
    year, month = today.year + (month - 1) // 12, (month - 1) % 12 + 1
    if month == 11:
        month = 10
    first = dt.date(year, month, 1)
    return (first + dt.timedelta(days=(1 - first.weekday()) % 7 + 7)).isoformat()


Then = Callable[[Answer], None]
