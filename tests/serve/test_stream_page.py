"""The page for client authors is true: its exchange is replayed, its numbers are recomputed."""

import asyncio
import json
import re
import zlib
from pathlib import Path
from typing import Any

import riskengine.views.subscription
from riskengine.client.checksum import row_checksum
from riskengine.client.feed import GIVE_UP_HEARTBEATS, SILENT_HEARTBEATS, Feed
from riskengine.client.messages import decode
from riskengine.config import AccessConfig, ServerConfig
from riskengine.serve.stream import heads, ingest, outlet, sender, stream
from riskengine.serve.stream import uvicorn_server as server
from riskengine.serve.stream.frames import MAX_DEFLATE_BYTES, MIN_DEFLATE_BYTES
from riskengine.views.subscription import MAX_HZ, MAX_ID_CHARACTERS, MAX_MESSAGE_BYTES, MAX_SUBSCRIPTIONS, MIN_HZ, VIEWS
from tests.serve.page_exchange import PAGE, both, page_exchanges, read, written

TEXT = PAGE.read_text(encoding="utf-8")
WORDS = " ".join(TEXT.split())
"""The page with its line ends as spaces."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)\n```", TEXT, re.DOTALL)


def test_the_exchanges_of_the_page_are_what_the_server_says():
    for shown, now in zip(page_exchanges(), asyncio.run(both()), strict=True):
        assert read(shown) == now, f"the exchange is another one now (python -m tests.serve.page_exchange):\n{written(now)}"


def test_a_row_s_checksum_is_as_the_page_says_to_the_byte():
    small, row = (json.loads(text) for text in blocks("row"))
    [content] = blocks("bytes")
    assert zlib.crc32(bytes.fromhex(content)) == row_checksum(small)
    assert f"whose CRC-32 is {row_checksum(small)}:" in WORDS
    assert f"has the CRC-32 {row_checksum(row)}: just" in WORDS


def test_a_client_that_follows_the_page_s_exchange_gets_its_row_and_its_checksum():
    feed: Any = Feed()
    ladder = feed.subscribe("ladder", "FX1", None)
    lines = read(page_exchanges()[0])
    checked = 0
    for who, message in lines:
        if who != "<":
            continue
        text = json.dumps(message).replace('"a":', f'"{ladder.id}":').replace('"id": "a"', f'"id": "{ladder.id}"')
        heard = decode(text)
        if heard is None:
            continue
        feed.hear(heard)
        list(feed.verify())
        checked += bool(message.get("checksums"))
        assert all(request["op"] == "subscribe" for request in feed.take_requests()), "nothing is to be asked for anew"
    [row] = feed.state(ladder).rows.values()
    assert row == json.loads(blocks("row")[1])
    assert checked == 1


def test_limits_and_times_on_the_page_are_those_in_the_code():
    config = ServerConfig()
    for sentence in (
        f"text of 1 to {MAX_ID_CHARACTERS} characters",
        f"{MIN_HZ:g} to {MAX_HZ:g}, for the connection",
        f"at most every {config.trade_push_ms} ms",
        f"{MAX_SUBSCRIPTIONS} subscriptions a connection; {MAX_MESSAGE_BYTES:,} bytes a request;",
        f"{stream.BURST_MESSAGES:.0f} requests at once and {stream.MESSAGES_PER_S:.0f} a second after that",
        f"{heads.REQUEST_HEAD_S:.0f} s for the handshake's lines",
        f"drops a client that reads nothing for {sender.STALL_TIMEOUT_S:.0f} s",
        f"{stream.MAX_MISTAKES} mistakes in a row",
        f"About every {sender.CHECKSUM_INTERVAL_S:.0f} s an update carries",
        f"every {outlet.PING_INTERVAL_S:.0f} s, and behind every few KiB ({outlet.MIN_WINDOW_BYTES // 1024} to "
        f"{outlet.MAX_WINDOW_BYTES // 1024}, as fast as you read)",
        f"A client that has not answered in {outlet.PING_TIMEOUT_S:.0f} s "
        f"(1 s more for each {outlet.SLOWEST_BYTES_PER_S / 1024:.0f} KiB",
        f"at most {outlet.MAX_EXTRA_S} s more unless it goes on reading",
        f"too many connections with one token ({AccessConfig().max_connections} unless configured)",
        f"messages of {MIN_DEFLATE_BYTES} bytes to {MAX_DEFLATE_BYTES // 1024} KiB are deflated",
        f"at most {ingest.MAX_FRAMES_IN_FLIGHT} are on their way",
        f"Nothing at all for {SILENT_HEARTBEATS} x `heartbeat_ms`",
        f"Nothing for {GIVE_UP_HEARTBEATS} x: close",
        f"close code {server.TRY_AGAIN_LATER}",
    ):
        assert sentence in WORDS, sentence
    assert config.max_body_bytes == 1_048_576 and "1 MiB (`max_body_bytes`)" in WORDS
    assert ingest.REPORTED_REFUSALS == 5 and ingest.REPORT_AFTER_S == 1.0


def test_views_requests_and_titles_of_errors_on_the_page_are_those_in_the_code():
    source = Path(riskengine.views.subscription.__file__).read_text(encoding="utf-8")
    titles = set(re.findall(r'Refused\(\s*"([a-z ]+)"', source))
    listed = re.search(r"Titles: (.*?)\. Show", WORDS)
    assert listed is not None and set(re.findall(r"`([^`]+)`", listed.group(1))) == titles
    assert set(re.findall(r'"op":"(\w+)"', TEXT)) == set(re.findall(r'operation == "(\w+)"', source))
    assert set(re.findall(r"^\| `(\w+)` \| [^|]*\| `\[", TEXT, re.MULTILINE)) == set(VIEWS)
