"""A commit whose answer never came, seen from outside: the engine finds out by itself what is stored, and applies it once."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.posting import deal, post, trade_count
from tests.running import Server, command, running
from tests.store.cutting_proxy import CuttingProxy
from tests.store_book import new_store
from tests.waiting import wait_until

ROUNDS = 4
RESOLVED_WITHIN_S = 2.0


@pytest.fixture
def cut(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Server, CuttingProxy]]:
    """An engine whose way to its store can be cut at a commit."""
    new_store(postgres_url).close()
    proxy = CuttingProxy(postgres_url)
    with running("serve", "--port", "0", "--store", proxy.url, log=tmp_path / "log") as server:
        yield server, proxy
    proxy.close()


@pytest.mark.parametrize(("moment", "stored", "status"), [("before", 0, "applied"), ("after", 3, "duplicate")])
def test_whether_a_commit_went_through_is_found_out_and_a_repeat_changes_nothing(
    cut: tuple[Server, CuttingProxy], postgres_url: str, moment: str, stored: int, status: str
) -> None:
    server, proxy = cut
    expected = 0
    for number in range(ROUNDS):
        batch = deal(f"round{number}", 3)
        proxy.only_of = batch[0]["trade_id"].encode()
        proxy.cut_at_commit = moment  # type: ignore[assignment]
        answered, headers, _ = post(server, batch)
        assert answered == 503 and headers["Retry-After"]
        assert proxy.cut_at_commit == "never", "the cut took place"
        wait_until(lambda: server.get("/v1/status")["state"] == "live")
        began = time.monotonic()
        while trade_count(server) != expected + stored:
            assert time.monotonic() - began < RESOLVED_WITHIN_S
        _, _, answer = post(server, batch)
        assert {result["status"] for result in answer["results"]} == {status}
        expected += 3
        assert trade_count(server) == expected
    rebuilt = json.loads(command("rebuild", "--store", postgres_url, "--json").stdout)
    assert rebuilt["digest"] == server.get("/v1/digest")["digest"]
    assert rebuilt["counts"]["applied"] == 3 * ROUNDS
