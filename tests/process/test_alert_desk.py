"""Alerts of a process: one message for what comes close together, held back in quiet hours, tried again until it is delivered."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from riskengine.alerts import Warnings
from riskengine.clock import ManualClock
from riskengine.config import AlertsConfig, Config, EngineConfig, MarksConfig, StoreConfig
from riskengine.observe import Metrics
from riskengine.process import alert_desk
from riskengine.process.alert_channels import NotDelivered
from riskengine.process.alert_desk import AlertDesk, AlertParts
from riskengine.process.alert_messages import AlertMessage
from riskengine.process.process import EngineProcess
from riskengine.records.breaches import Breach
from riskengine.records.reference import trade_check
from riskengine.store.open_store import open_store
from tests.limiting import limit
from tests.live_process import run_live
from tests.receivers import mail_server, webhook
from tests.waiting import until
from tests.world import NOON, SECOND, check_row, instruments, nodes, quote, row

HOUR = 3_600


def breach(limit_id: str = "LOSS", severity: str = "hard", since: int = NOON) -> Breach:
    return Breach(
        breach_id=f"{limit_id}-1",
        limit_id=limit_id,
        version=1,
        node="EQ1",
        dealer="",
        severity=severity,
        limit=-500.0,
        first_seen_ts=since,
        last_seen_ts=since,
        worst=-700.0,
        worst_ts=since,
    )


class Taken:
    """A channel that keeps what it is sent, and refuses the first `refusals`."""

    name = "webhook"

    def __init__(self) -> None:
        self.messages: list[AlertMessage] = []
        self.refusals = 0

    def send(self, message: AlertMessage) -> str:
        if self.refusals:
            self.refusals -= 1
            raise NotDelivered("it is away")
        self.messages.append(message)
        return ""


class Office:
    """A desk whose clock and conditions a test sets; `pass_s` looks at them second by second."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(NOON)
        self.warnings = Warnings(self.clock)
        self.metrics = Metrics()
        self.channel = Taken()
        self.breaches: list[Breach] = []
        self.red: dict[str, str] = {}
        self.monotonic = 0.0
        config = AlertsConfig(**({"quiet_zone": "UTC"} | settings))
        parts = AlertParts(
            config,
            [self.channel],
            self.clock,
            self.warnings,
            self.metrics,
            7,
            lambda: [(each, "total_pnl") for each in self.breaches],
            lambda: self.red,
        )
        self.desk = AlertDesk(parts)

    def pass_s(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(SECOND)
            self.monotonic += 1.0
            self.desk.look(self.monotonic)

    async def sent(self, count: int) -> list[AlertMessage]:
        await until(lambda: len(self.channel.messages) >= count)
        return self.channel.messages


def office(test: Callable[[Office], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run a test with a desk whose outboxes send, and whose looks the test makes."""

    async def life() -> None:
        found = Office(**settings)
        for outbox in found.desk._outboxes:
            outbox.start()
        await test(found)
        for outbox in found.desk._outboxes:
            await outbox.stop(0.0)

    asyncio.run(life())


def test_what_comes_close_together_is_one_message() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach()]
        house.pass_s(1)
        [first] = await house.sent(1)
        assert first.subject == "[riskengine] hard breach of LOSS by EQ1"
        house.breaches.append(breach("SIZE", "soft"))
        house.warnings["roll"] = "the roll waits"
        house.red = {"prices": "the newest price is 90 s old"}
        house.pass_s(30)
        _, second = await house.sent(2)
        assert second.total == 3
        assert {event.condition.key for event in second.events} == {"breach:SIZE:EQ1", "warning:roll", "light:prices"}
        house.pass_s(300)
        assert len(house.channel.messages) == 2, "told once"

    office(test)


def test_the_end_is_told_too_and_a_breach_of_the_desk_is_not_told_as_the_warning_about_breaches() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach()]
        house.warnings["limits_breached"] = "1 limits are breached"
        house.pass_s(20)
        house.breaches = []
        house.pass_s(80)
        messages = await house.sent(2)
        assert [message.subject for message in messages] == [
            "[riskengine] hard breach of LOSS by EQ1",
            "[riskengine] over: hard breach of LOSS by EQ1",
        ]

    office(test)


def test_only_what_is_asked_for_is_told() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach("SOFT", "soft")]
        house.warnings["limits_breached"] = "1 limits are breached"
        house.red = {"prices": "old"}
        house.pass_s(30)
        assert house.channel.messages == []
        house.breaches = [breach()]
        house.pass_s(1)
        [found] = await house.sent(1)
        assert [event.condition.key for event in found.events] == ["breach:LOSS:EQ1"]

    office(test, about=("breaches",), breaches="hard")


def test_quiet_hours_hold_back_and_sum_up_but_for_hard_breaches() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach("SIZE", "soft")]
        house.red = {"prices": "old"}
        house.pass_s(60)
        house.red = {}
        house.pass_s(120)
        assert house.channel.messages == []
        house.breaches.append(breach())
        house.pass_s(1)
        [hard] = await house.sent(1)
        assert hard.subject == "[riskengine] hard breach of LOSS by EQ1"
        house.clock.advance(HOUR * SECOND)
        house.pass_s(1)
        _, summed = await house.sent(2)
        assert (summed.subject, summed.held) == ("[riskengine] 3 events of the quiet hours", True)
        assert summed.text.startswith("Held back in the quiet hours:\n2026-03-04")
        assert [(event.what, event.condition.key) for event in summed.events] == [
            ("began", "breach:SIZE:EQ1"),
            ("began", "light:prices"),
            ("ended", "light:prices"),
        ]

    office(test, quiet_begin="11:00", quiet_end="13:00")


def test_hard_breaches_wait_for_the_end_of_the_quiet_hours_where_that_is_asked_for() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach()]
        house.pass_s(60)
        assert house.channel.messages == []
        house.clock.advance(HOUR * SECOND)
        house.pass_s(1)
        [summed] = await house.sent(1)
        assert summed.held

    office(test, quiet_begin="11:00", quiet_end="13:00", hard_in_quiet=False)


def test_a_message_that_is_not_taken_is_tried_again_and_a_warning_stands_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_desk, "FIRST_RETRY_S", 0.01)

    async def test(house: Office) -> None:
        house.channel.refusals = 3
        house.breaches = [breach()]
        house.pass_s(1)
        await until(lambda: "alerts_failed" in house.warnings)
        assert "not delivered (it is away): 1 wait" in house.warnings["alerts_failed"]
        [found] = await house.sent(1)
        assert found.number == "7-1"
        await until(lambda: "alerts_failed" not in house.warnings)
        counted = {outcome: house.metrics.alerts["webhook", outcome]._value.get() for outcome in ("sent", "failed", "dropped")}
        assert counted == {"sent": 1, "failed": 3, "dropped": 0}

    office(test)


def test_of_too_many_messages_the_oldest_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_desk, "MOST_WAITING", 3)

    async def test(house: Office) -> None:
        house.channel.refusals = 1
        for number in range(6):
            house.breaches = [breach(f"L{number}")]
            house.pass_s(1)
            house.pass_s(10)
        await until(lambda: house.metrics.alerts["webhook", "failed"]._value.get() == 1)
        assert house.metrics.alerts["webhook", "dropped"]._value.get() == 3

    office(test)


def test_a_storm_is_counted_and_the_first_are_named() -> None:
    async def test(house: Office) -> None:
        house.breaches = [breach(f"L{number:04}") for number in range(2_000)]
        house.pass_s(1)
        [found] = await house.sent(1)
        assert found.total == 2_000
        assert found.subject == "[riskengine] hard breach of L0000 by EQ1 and 1,999 more"
        assert found.text.count("\n") == 51
        assert found.text.endswith("and 1,950 more\n")

    office(test)


def test_an_engine_that_fails_says_so_before_it_ends_whatever_the_hour() -> None:
    async def life() -> None:
        found = Office(quiet_begin="00:00", quiet_end="23:59", hard_in_quiet=False)
        found.desk.start()
        await found.desk.stop("OSError(28, 'No space left on device')")
        [message] = found.channel.messages
        assert message.subject == "[riskengine] the engine has failed"
        assert "it ends: OSError(28, 'No space left on device')" in message.text

    asyncio.run(life())


def test_without_channels_nothing_is_looked_at() -> None:
    async def life() -> None:
        found = Office()
        parts = found.desk._parts._replace(channels=[], breaches=lambda: pytest.fail("nobody is told"))
        desk = AlertDesk(parts)
        desk.start()
        await asyncio.sleep(0.01)
        await desk.stop()

    asyncio.run(life())


# -- live ----------------------------------------------------------------------------------------------------------


def test_a_live_engine_tells_a_breach_by_webhook_and_by_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_desk, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(alert_desk, "FIRST_RETRY_S", 0.05)
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        process.offer_ticks([quote("ACME", 100.0, 100.0, now)])
        check = trade_check(process.history.newest.reference)
        sent = row("t1", instrument="ACME", desk="EQ1", quantity="100", price="110", ts=now - SECOND)
        await process.submit([check_row(sent, now)], check)
        await process.save_risk_rules("limit", [limit("LOSS", measure="total_pnl", node="EQ1", limit=-500.0)], "ann")
        await until(lambda: hook.posts and mails.mails)
        assert "hard breach of LOSS by EQ1" in hook.taken[0]["text"]
        assert mails.mails[0]["Subject"] == "[desk-a] hard breach of LOSS by EQ1"
        assert process.metrics.alerts["webhook", "failed"]._value.get() == 2
        await until(lambda: "alerts_failed" not in process.warnings)

    with webhook() as hook, mail_server() as mails:
        hook.answers = [503, 503]
        file = tmp_path / "hook"
        file.write_text(hook.url)
        alerts = AlertsConfig(
            name="desk-a",
            about=("breaches",),
            webhook_url_file=str(file),
            smtp_host="127.0.0.1",
            smtp_port=mails.port,
            smtp_security="none",
            mail_from="risk@example.com",
            mail_to=("ann@example.com",),
        )
        config = Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), marks=MarksConfig(max_move=10.0), alerts=alerts)
        run_live(config, test)
