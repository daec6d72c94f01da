"""The client while the real engine is killed, shut down, restarted, and given other reference data."""

import threading
import time
from typing import Any

import pytest

from riskengine.client import DISCONNECTED, Client, NotFound, SnapshotGone
from riskengine.client.checksum import checksum_in_turns
from riskengine.client.feed import Feed
from riskengine.records.reference_input import NodeInput, check_node
from riskengine.store.open_store import open_store
from tests.client.states import next_state_where
from tests.dealing import Dealing
from tests.running import running


def assert_equal_at_its_seq(client: Client, ladder: Any, node: str) -> None:
    """The subscription's rows equal the engine's answer for the same snapshot."""
    for _ in range(50):
        state = next_state_where(ladder, lambda state: state.is_live)
        try:
            answer = client.ladder(node=node, seq=state.seq)
        except (NotFound, SnapshotGone):
            continue
        assert answer.by("instrument") == state.rows and answer.epoch == state.epoch
        return
    raise AssertionError("no snapshot was kept long enough")


@pytest.mark.parametrize("options", [{}, {"encoding": "msgpack", "compression": True, "max_hz": 10}], ids=["json", "msgpack"])
def test_a_ladder_equals_the_engine_s_after_a_kill_and_a_shutdown(house_url, tmp_path, options, monkeypatch):
    resyncs: list[str] = []
    verified: list[int] = []
    resync = Feed._resync

    def resynced(feed: Feed, held: list[Any], reason: str) -> None:
        resyncs.append(reason)
        resync(feed, held, reason)

    def summed(rows: Any) -> Any:
        verified.append(len(rows))
        return checksum_in_turns(rows)

    monkeypatch.setattr(Feed, "_resync", resynced)
    monkeypatch.setattr("riskengine.client.feed.checksum_in_turns", summed)
    log = tmp_path / "engine.log"
    with running("serve", "--port", "0", "--store", house_url, log=log) as server, Client(server.url, **options) as client:
        port = server.url.rpartition(":")[2]
        dealing = Dealing(server.url)
        try:
            ladder = client.subscribe("ladder", node="G10")
            first = next_state_where(ladder, lambda state: state.is_live and len(state.rows) == 3)
            assert_equal_at_its_seq(client, ladder, "G10")
            server.kill()
            lost = next_state_where(ladder, lambda state: state.status == DISCONNECTED)
            assert lost.rows.keys() == first.rows.keys() and lost.epoch == first.epoch
            with running("serve", "--port", port, "--store", house_url, log=log) as second:
                back = next_state_where(ladder, lambda state: state.is_live and state.epoch != first.epoch)
                assert back.epoch is not None and first.epoch is not None and back.epoch > first.epoch
                next_state_where(ladder, lambda state: len(verified) > 1)
                assert_equal_at_its_seq(client, ladder, "G10")
                assert second.stop() == 0
            with running("serve", "--port", port, "--store", house_url, log=log):
                next_state_where(ladder, lambda state: state.is_live and state.epoch not in (first.epoch, back.epoch))
                dealing.end()
                count = client.nodes("FX1").rows[0]["trade_count"]
                assert count == dealing.taken
                next_state_where(ladder, lambda state: sum(row["trade_count"] for row in state.rows.values()) == count)
                assert_equal_at_its_seq(client, ladder, "G10")
        finally:
            dealing.end()
    assert resyncs == []


def test_new_reference_data_arrives_on_the_stream_as_added_and_removed_rows(house_url, tmp_path):
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server, Client(server.url) as client:
        tree, status = client.subscribe("nodes"), client.subscribe("status")
        before = next_state_where(tree, lambda state: state.is_live)
        opened = open_store(house_url)
        opened.save_nodes([check_node(NodeInput(node="FX9", level="desk", parent="G10"))])
        opened.close()
        after = next_state_where(tree, lambda state: "FX9" in state.rows)
        assert after.epoch == before.epoch and after.rows["FX9"]["parent"] == "G10" and "FX9" in after.changed
        assert status.state().rows[""]["node_count"] == len(after.rows)


def test_posts_continue_after_a_restart_and_nothing_is_counted_twice(house_url, tmp_path):
    log = tmp_path / "engine.log"
    with running("serve", "--port", "0", "--store", house_url, log=log) as server, Client(server.url) as client:
        port = server.url.rpartition(":")[2]

        def sent(number: int) -> dict[str, Any]:
            return {
                "source": "patient",
                "trade_id": f"p{number}",
                "ts": time.time_ns() // 1_000,
                "instrument": "EURUSD",
                "desk": "FX1",
                "side": "buy",
                "quantity": 1,
                "price": "1.1",
            }

        trades = [sent(number) for number in range(20)]
        assert client.post_trades(trades[:10])["counts"]["applied"] == 10
        server.kill()
        answers: list[Any] = []
        posting = threading.Thread(target=lambda: answers.append(client.post_trades(trades)))
        posting.start()
        with running("serve", "--port", port, "--store", house_url, log=log):
            posting.join(30)
            [answer] = answers
            assert answer["counts"] | {"applied": 10, "duplicate": 10} == answer["counts"]
            assert client.ladder(node="FX1").by("instrument")["EURUSD"]["quantity"] == 20.0
