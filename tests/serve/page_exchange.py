"""The worked exchange of `riskengine/manual/stream.md`: replayed against the real server, written as the page has it.

`python -m tests.serve.page_exchange` puts it into the page as it is now, with the row that it comes to.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

import riskengine
from riskengine.client.checksum import row_checksum
from tests.serve.wired import Talk, Wired, talk, wired
from tests.world import NOON, trade

PAGE = Path(riskengine.__file__).parent / "manual" / "stream.md"
WIDTH = 118

Line = tuple[str, Any]
"""`>` the client's messages, `<` the server's, `.` what happens."""


async def stream_exchange(engine: Wired) -> list[Line]:
    """From the hello to the bye."""
    lines: list[Line] = []
    engine.deal(trade("t1"))
    async with talk(engine) as client:

        async def hear(kind: str) -> None:
            lines.append(("<", await client.hear(kind)))

        async def say(**message: Any) -> None:
            lines.append((">", message))
            await client.say(**message)

        await hear("hello")
        await say(op="subscribe", id="a", view="ladder", node="FX1")
        await hear("snapshot")
        await say(op="subscribe", id="b", view="ladder", node="EM1")
        await hear("snapshot")
        lines.append((".", "ann buys 50 more on FX1: what a trade changes comes at once"))
        engine.deal(trade("t2", quantity="50", price="1.12", ts=NOON + 1_000_000))
        await hear("update")
        await say(op="configure", max_hz=10)
        await asyncio.sleep(0.35)  # the next beat is this connection's
        lines.append((".", "EURUSD trades at 1.2: prices come with a beat, and now and then checksums with them"))
        engine.marks(EURUSD=1.2)
        await hear("update")
        await say(op="ping", id=1)
        await hear("pong")
        await say(op="subscribe", id="c", view="ladder", node="NOWHERE")
        await hear("error")
        await say(op="resync", id="b")
        await hear("snapshot")
        await say(op="unsubscribe", id="b")
        lines.append(("<", await heartbeat(client)))
        lines.append((".", "the engine is shut down: the connection is closed with code 1012 after this"))
        engine.server.should_exit = True
        await hear("bye")
        lines[-1][1]["reconnect_after_ms"] = 1_250  # one of many
        assert await client.closed() == 1012
    return lines


async def heartbeat(client: Talk) -> Any:
    async with asyncio.timeout(5):
        while (message := json.loads(await client.connection.recv()))["type"] != "heartbeat":
            pass
    return message


async def ingest_exchange(engine: Wired) -> list[Line]:
    """A publisher that numbers its trades, with a bad tick and an invalid frame."""
    lines: list[Line] = []
    async with talk(engine, "/v1/ingest") as client:

        async def say(**frame: Any) -> None:
            lines.append((">", frame))
            await client.say(**frame)

        async def hear(kind: str) -> None:
            lines.append(("<", await client.hear(kind)))

        await say(
            ticks=[
                {"instrument": "EURUSD", "ts": NOON, "bid": 1.1999, "ask": 1.2001, "source": "venue"},
                {"instrument": "XXXYYY", "ts": NOON, "mid": 7.0, "source": "venue"},
            ]
        )
        await say(
            trades=[
                {
                    "source": "booking",
                    "source_seq": 41,
                    "trade_id": "B-41",
                    "ts": NOON,
                    "instrument": "EURUSD",
                    "desk": "FX1",
                    "dealer": "ann",
                    "side": "sell",
                    "quantity": "25",
                    "price": "1.2",
                }
            ]
        )
        await hear("trades")
        await say(heartbeat={"source": "booking", "last_seq": 41})
        await hear("refused")
        await say(tick={"instrument": "EURUSD"})
        await hear("error")
    return lines


async def both() -> tuple[list[Line], list[Line]]:
    async with wired() as engine:
        publishing = await ingest_exchange(engine)
    async with wired() as engine:
        try:
            return await stream_exchange(engine), publishing
        except ConnectionClosed as closed:
            raise AssertionError("the server ended the connection") from closed


def written(lines: Sequence[Line]) -> str:
    """As the page writes it: long messages continue, indented, on the next lines."""
    out = []
    for who, what in lines:
        text = what if who == "." else json.dumps(what, separators=(",", ":"))
        parts = re.findall(rf".{{1,{WIDTH}}}(?:(?<=,)(?!$)|$)", text) if len(text) > WIDTH else [text]
        assert "".join(parts) == text
        out += [f"{who} {parts[0]}", *(f"  {part}" for part in parts[1:])]
    return "\n".join(out)


def read(text: str) -> list[Line]:
    """The lines of an exchange on the page."""
    whole = re.sub(r"\n {2}", "", text.strip("\n"))
    return [(line[0], line[2:] if line[0] == "." else json.loads(line[2:])) for line in whole.splitlines()]


def page_exchanges() -> list[str]:
    """The two exchanges of the page, as they are there."""
    return re.findall(r"```exchange\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def last_row(lines: Sequence[Line]) -> dict[str, Any]:
    """The first row of the first subscription, after the exchange's updates."""
    row: dict[str, Any] = {}
    for who, message in lines:
        if who == "<" and message["type"] == "snapshot" and message["id"] == "a":
            row = message["rows"][0]
        elif who == "<" and message["type"] == "update":
            row = row | message["views"].get("a", {"rows": [{}]})["rows"][0]
    return row


def rewritten(page: str, exchanges: Sequence[Sequence[Line]]) -> str:
    """The page, with these exchanges in place of its own."""
    row = last_row(exchanges[0])
    shown = iter(written(lines) for lines in exchanges)
    page = re.sub(r"(```exchange\n).*?(\n```)", lambda found: found[1] + next(shown) + found[2], page, flags=re.DOTALL)
    text = written([("<", row)])[2:].replace("\n  ", "\n")
    before, small, between, _, after = re.split(r"```row\n(.*?)\n```", page, flags=re.DOTALL)
    page = f"{before}```row\n{small}\n```{between}```row\n{text}\n```{after}"
    return re.sub(r"(has\s+the\s+CRC-32\s+)\d+(:\s+just)", rf"\g<1>{row_checksum(row)}\2", page)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), asyncio.run(both())), encoding="utf-8")
