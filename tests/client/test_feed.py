"""The client's copy of its subscriptions, message by message, without a socket."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.client.checksum import checksum
from riskengine.client.errors import EngineUnreachable, SubscriptionRefused
from riskengine.client.feed import DISCONNECTED, LIVE, LOADING, MAX_RESYNCS, STALE, Feed, ViewCopy
from riskengine.client.messages import decode, encode
from riskengine.errors import InputError
from tests.stream_client import Desk, dealt_desk
from tests.world import trade

HELLO = {
    "type": "hello",
    "protocol": 1,
    "epoch": 3,
    "seq": 10,
    "reporting_currency": "USD",
    "heartbeat_ms": 1000,
    "max_hz": 5.0,
}


def send(feed: Feed, **message: Any) -> list[dict[str, Any]]:
    """Give one message to the feed; return the requests that it wants to send."""
    decoded = decode(msgspec.json.encode(message).decode())
    assert decoded is not None
    feed.hear(decoded)
    for _ in feed.verify():
        pass
    return feed.take_requests()


def rows(feed: Feed, copy: ViewCopy, seq: int, *listed: dict[str, Any], epoch: int = 3) -> list[dict[str, Any]]:
    return send(
        feed, type="snapshot", id=copy.id, epoch=epoch, seq=seq, as_of=seq * 1_000_000, key=["instrument"], rows=list(listed)
    )


def update(feed, prev_seq, seq, epoch=3, checksums=None, **views):
    more = {} if checksums is None else {"checksums": checksums}
    return send(
        feed,
        type="update",
        epoch=epoch,
        seq=seq,
        prev_seq=prev_seq,
        as_of=seq * 1_000_000,
        conflated=seq - prev_seq - 1,
        views={name: {"rows": [], "removed": []} | change for name, change in views.items()},
        **more,
    )


def make_feed():
    """A feed with one ladder of one row, at seq 11."""
    feed = Feed()
    copy = feed.subscribe("ladder", "FX1", None)
    send(feed, **HELLO)
    rows(feed, copy, 11, {"instrument": "EURUSD", "quantity": 1.0, "stale": False})
    return feed, copy


# -- what a state says ---------------------------------------------------------------------------------------------


def test_a_state_is_connecting_before_the_hello_and_loading_until_its_rows_arrive():
    feed = Feed(max_hz=10)
    copy = feed.subscribe("ladder", None, "ann")
    assert (feed.state(copy).status, feed.state(copy).rows) == ("connecting", {})
    assert feed.take_requests() == []
    assert send(feed, **HELLO) == [
        {"op": "configure", "max_hz": 10},
        {"op": "subscribe", "id": copy.id, "view": "ladder", "dealer": "ann"},
    ]
    assert feed.state(copy).status == LOADING


def test_a_state_lists_what_changed_since_the_last_one_and_never_changes_itself():
    feed, copy = make_feed()
    first = feed.state(copy)
    assert (first.status, first.changed, first.seq, first.epoch) == (LIVE, {"EURUSD"}, 11, 3)
    update(feed, 11, 14, **{copy.id: {"rows": [{"instrument": "EURUSD", "quantity": 2.0}, {"instrument": "GBPUSD"}]}})
    second = feed.state(copy)
    assert second.rows["EURUSD"] == {"instrument": "EURUSD", "quantity": 2.0, "stale": False}
    assert (second.changed, second.removed, second.conflated) == ({"EURUSD", "GBPUSD"}, frozenset(), 2)
    update(feed, 14, 15, **{copy.id: {"removed": [["EURUSD"]]}})
    third = feed.state(copy)
    assert (third.changed, third.removed, third.conflated) == (frozenset(), {"EURUSD"}, 0)
    assert first.rows["EURUSD"]["quantity"] == 1.0 and set(second.rows) == {"EURUSD", "GBPUSD"}


def test_rows_of_a_view_without_a_key_and_of_one_with_several_key_fields():
    feed = Feed()
    single, several = feed.subscribe("status", None, None), feed.subscribe("nodes", None, None)
    send(feed, **HELLO)
    send(feed, type="snapshot", id=single.id, epoch=3, seq=11, as_of=1, key=[], rows=[{"state": "live", "n": 1}])
    send(feed, type="snapshot", id=several.id, epoch=3, seq=11, as_of=1, key=["a", "b"], rows=[{"a": 1, "b": 2, "c": 3}])
    assert set(feed.state(several).rows) == {(1, 2)}
    update(feed, 11, 12, **{single.id: {"rows": [{"n": 2}]}, several.id: {"removed": [[1, 2]]}})
    assert feed.state(single).rows == {"": {"state": "live", "n": 2}}
    assert feed.state(several).removed == {(1, 2)}


def test_rows_stay_when_the_connection_is_lost_and_the_next_snapshot_lists_only_what_differs():
    feed, copy = make_feed()
    feed.state(copy)
    feed.note_lost(DISCONNECTED, "gone")
    lost = feed.state(copy)
    assert (lost.status, lost.reason, set(lost.rows), lost.changed) == (DISCONNECTED, "gone", {"EURUSD"}, frozenset())
    assert send(feed, **HELLO | {"epoch": 4, "seq": 2}) == [copy.request()]
    assert feed.state(copy).status == LOADING
    rows(feed, copy, 3, {"instrument": "EURUSD", "quantity": 1.0, "stale": False}, {"instrument": "USDJPY"}, epoch=4)
    back = feed.state(copy)
    assert (back.status, back.epoch, back.seq, back.changed) == (LIVE, 4, 3, {"USDJPY"})


def test_silence_and_an_engine_that_publishes_nothing_are_stale_until_a_message_arrives():
    feed, copy = make_feed()
    feed.note_silence(3.2)
    assert (feed.state(copy).status, feed.state(copy).reason) == (STALE, "no message for 3 s")
    update(feed, 11, 12)
    assert feed.state(copy).status == LIVE
    send(feed, type="heartbeat", epoch=3, seq=12, ts=16_000_000, publish_age_ms=900)
    assert feed.state(copy).status == LIVE
    send(feed, type="heartbeat", epoch=3, seq=12, ts=19_000_000, publish_age_ms=7_100)
    assert feed.state(copy).reason == "the engine has published nothing for 7 s"
    send(feed, type="heartbeat", epoch=3, seq=13, ts=19_100_000, publish_age_ms=3)
    assert feed.state(copy).status == LIVE


# -- when the copy may be wrong ------------------------------------------------------------------------------------


def test_a_gap_requests_all_rows_again_and_ignores_updates_until_they_arrive():
    feed, copy = make_feed()
    other = feed.subscribe("nodes", None, None)
    assert feed.take_requests() == [other.request()]
    assert update(feed, 12, 13, **{copy.id: {"rows": [{"instrument": "GBPUSD"}]}}) == [{"op": "resync", "id": copy.id}]
    state = feed.state(copy)
    assert (state.status, set(state.rows)) == (LOADING, {"EURUSD"}) and "follows seq 12, not 11" in state.reason
    assert update(feed, 13, 14, **{copy.id: {"rows": [{"instrument": "GBPUSD"}]}}) == []
    rows(feed, copy, 14, {"instrument": "GBPUSD", "quantity": 5.0})
    assert feed.state(copy).rows == {"GBPUSD": {"instrument": "GBPUSD", "quantity": 5.0}}
    assert feed.state(copy).status == LIVE and not feed.all_fresh  # the other subscription still waits for its rows


def test_only_a_checksum_that_differs_requests_its_subscription_again():
    feed, copy = make_feed()
    right = checksum(copy.rows.values())
    assert update(feed, 11, 12, checksums={copy.id: right, "unknown": 1}) == []
    assert update(feed, 12, 13, checksums={copy.id: right ^ 1}) == [{"op": "resync", "id": copy.id}]
    assert "differ from the engine's at seq 13" in feed.state(copy).reason
    assert update(feed, 13, 14, checksums={copy.id: right ^ 1}) == []  # rows on their way are not checked


def test_the_client_must_reconnect_if_fresh_rows_do_not_help():
    feed, copy = make_feed()
    for number in range(MAX_RESYNCS):
        update(feed, 11 + number, 12 + number, checksums={copy.id: 1})
        rows(feed, copy, 12 + number, {"instrument": "EURUSD"})
    with pytest.raises(InputError, match="fresh rows did not help"):
        update(feed, 11 + MAX_RESYNCS, 12 + MAX_RESYNCS, checksums={copy.id: 1})


@pytest.mark.parametrize(
    "message",
    [
        {"type": "snapshot", "id": "1", "epoch": 3, "seq": 10, "as_of": 1, "key": ["instrument"], "rows": []},
        {"type": "snapshot", "id": "1", "epoch": 3, "seq": 12, "as_of": 1, "key": ["instrument"], "rows": [{"quantity": 1}]},
        {"type": "snapshot", "id": "1", "epoch": 3, "seq": 12, "as_of": 1, "key": ["instrument"], "rows": [{"instrument": []}]},
        {"type": "update", "epoch": 4, "seq": 12, "prev_seq": 11, "as_of": 1, "views": {}},
        {"type": "update", "epoch": 3, "seq": 11, "prev_seq": 11, "as_of": 1, "views": {}},
    ],
)
def test_a_message_that_breaks_the_protocol_ends_the_connection(message):
    feed, _ = make_feed()
    with pytest.raises(InputError):
        send(feed, **message)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "{",
        '{"type":"update"}',
        '{"type":"snapshot","id":"a","epoch":1,"seq":"x","as_of":1,"key":[],"rows":[]}',
        b"",
        b"\xc1",
        b"\x81\xa4type\xa6update",
        "[" * 100_000,
    ],
)
def test_every_undecodable_frame_raises_the_same_error(frame):
    with pytest.raises(InputError, match="not of this protocol"):
        decode(frame)


def test_unknown_messages_and_fields_are_skipped():
    feed, copy = make_feed()
    assert decode('{"type":"weather","rows":7}') is None
    assert decode(encode({"type": "weather", "rows": 7}, "msgpack")) is None
    assert decode('{"type":"pong","id":1}') is None
    rows_of = {"instrument": "EURUSD", "new_field": 1}
    send(feed, type="snapshot", id=copy.id, epoch=3, seq=12, as_of=1, key=["instrument"], rows=[rows_of], more="x")
    assert feed.state(copy).rows["EURUSD"] == rows_of


def test_another_protocol_and_a_refused_subscription_raise_errors_for_the_reader():
    with pytest.raises(EngineUnreachable, match="protocol 2"):
        send(Feed(), **HELLO | {"protocol": 2})
    feed, copy = make_feed()
    wrong = feed.subscribe("ladder", "NOWHERE", None)
    feed.take_requests()
    send(feed, type="error", id=wrong.id, title="unknown name", detail="unknown node 'NOWHERE'")
    with pytest.raises(SubscriptionRefused, match="unknown name: unknown node 'NOWHERE'"):
        feed.state(wrong)
    assert feed.state(copy).status == LIVE
    feed.note_lost(DISCONNECTED, "gone")
    assert send(feed, **HELLO) == [copy.request()]  # a refused subscription is not requested again


def test_the_feed_keeps_the_server_s_reason_for_ending_the_session():
    feed, _ = make_feed()
    send(feed, type="error", id=None, title="token expired", detail="sign in again")
    send(feed, type="bye", reconnect_after_ms=700)
    assert (feed.close_reason, feed.reconnect_after_s) == ("token expired: sign in again", 0.7)


def test_an_ended_subscription_is_unsubscribed_once():
    feed, copy = make_feed()
    feed.unsubscribe(copy)
    feed.unsubscribe(copy)
    assert feed.take_requests() == [{"op": "unsubscribe", "id": copy.id}]
    assert update(feed, 11, 12, **{copy.id: {"rows": [{"instrument": "EURUSD", "quantity": 9.0}]}}) == []


# -- any sequence --------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["EURUSD", "GBPUSD", "USDJPY", "ACME"])
FIELDS = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3) | st.sampled_from(["x", True]), max_size=3)
STEPS = st.lists(
    st.tuples(st.just("snapshot"), st.dictionaries(KEYS, FIELDS, max_size=4))
    | st.tuples(st.just("update"), st.dictionaries(KEYS, FIELDS, max_size=3), st.lists(KEYS, max_size=2))
    | st.tuples(st.just("lost"))
    | st.tuples(st.just("wrong"), st.sampled_from(["gap", "checksum"])),
    max_size=30,
)


@given(STEPS)
def test_after_any_sequence_of_snapshots_updates_losses_and_faults_the_rows_equal_the_model(steps):
    feed = Feed()
    copy = feed.subscribe("ladder", None, None)
    model: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    seq, epoch = 10, 3
    send(feed, **HELLO)

    def snapshot() -> None:
        rows(feed, copy, seq, *({"instrument": key} | fields for key, fields in model.items()), epoch=epoch)

    snapshot()
    for step in steps:
        if step[0] == "snapshot":
            model = dict(step[1])
            seq += 1
            snapshot()
        elif step[0] == "update":
            patch, removed = step[1], [key for key in step[2] if key not in step[1]]
            for key, fields in patch.items():
                model[key] = model.get(key, {}) | fields
            for key in removed:
                model.pop(key, None)
            change = {"rows": [{"instrument": k} | f for k, f in patch.items()], "removed": [[k] for k in removed]}
            right = {copy.id: checksum({"instrument": key} | fields for key, fields in model.items())}
            assert update(feed, seq, seq + 2, epoch=epoch, checksums=right, **{copy.id: change}) == []
            seq += 2
        elif step[0] == "lost":
            feed.note_lost(DISCONNECTED, "gone")
            epoch, seq = epoch + 1, 1
            send(feed, **HELLO | {"epoch": epoch, "seq": seq})
            snapshot()
        else:
            asked = update(feed, seq + (step[1] == "gap"), seq + 2, epoch=epoch, checksums={copy.id: _wrong_checksum(copy)})
            assert asked == [{"op": "resync", "id": copy.id}]
            seq += 2
            snapshot()
            # The engine's next checksum agrees: faults far apart do not add up.
            update(feed, seq, seq + 1, epoch=epoch, checksums={copy.id: checksum(copy.rows.values())})
            seq += 1
        state = feed.state(copy)
        assert state.status == LIVE and (state.epoch, state.seq) == (epoch, seq)
        assert state.rows == {key: {"instrument": key} | fields for key, fields in model.items()}
        # The changes of a state, applied to the rows seen before, give its rows.
        seen = {key: row for key, row in seen.items() if key not in state.removed}
        seen |= {key: state.rows[key] for key in state.changed}
        assert seen == state.rows


def _wrong_checksum(copy: ViewCopy) -> int:
    return checksum(copy.rows.values()) ^ 1


# -- with the engine's own side of the protocol --------------------------------------------------------------------


def test_the_feed_follows_the_engine_s_own_messages():
    desk: Desk = dealt_desk()
    feed: Any = Feed()
    client: Any = desk.client()
    ladder, tree = feed.subscribe("ladder", "G10", None), feed.subscribe("nodes", None, None)
    kinds = feed.subscribe("exposure", "G10", None, "kind")
    feed.hear(decode(msgspec.json.encode(client.log[0]).decode()))

    def exchange() -> None:
        while requests := feed.take_requests():
            for request in requests:
                for frame in client.subscriptions.handle(msgspec.json.encode(request).decode()):
                    feed.hear(decode(frame.decode()))
                    list(feed.verify())

    exchange()
    for number in range(5):
        desk.deal(trade(f"n{number}", instrument="EURGBP", price="0.85"))
        desk.marks(EURUSD=1.125 + number / 4)
        feed.hear(decode(client.subscriptions.update().decode()))
        exchange()
    assert feed.state(ladder).status == feed.state(tree).status == LIVE
    followed: tuple[tuple[Any, str, dict[str, str]], ...] = (
        (ladder, "ladder", {"node": "G10"}),
        (tree, "nodes", {}),
        (kinds, "exposure", {"node": "G10", "by": "kind"}),
    )
    for copy, view, parameters in followed:
        [fresh] = desk.client().subscribe("x", view, **parameters)
        assert feed.state(copy).rows == {row[fresh["key"][0]]: row for row in fresh["rows"]}
        assert feed.state(copy).summary == fresh.get("summary", {})
    assert feed.state(kinds).summary["shorthand"] > 0
