"""The sender in steps, with its own clock and clients that only record what they are sent."""

import pytest

from riskengine.serve.stream.pacing import PushPause, Rhythm
from riskengine.serve.stream.sender import CHECKSUM_INTERVAL_S, SENDS_PER_TURN
from tests.serve.room import EQ1, FX1, NODES, Room


@pytest.fixture
def room() -> Room:
    return Room()


# Trades


def test_a_trade_goes_out_at_once_to_those_who_watch_it_and_to_nobody_else(room):
    fx, equities = room.client(FX1), room.client(EQ1)
    room.work()
    seq = room.deal(desk="FX1")
    room.work()
    assert [update["seq"] for update in fx.updates] == [seq]
    assert equities.updates == []


def test_a_second_trade_waits_for_the_pause_and_both_are_then_one_update(room):
    client = room.client(FX1)
    first = room.deal(desk="FX1")
    room.work()
    room.time += 0.005
    room.deal(desk="FX1")
    second = room.deal(desk="FX1")
    room.work()
    assert [update["seq"] for update in client.updates] == [first]
    room.time += 0.016
    room.work()
    assert [(update["prev_seq"], update["seq"]) for update in client.updates[1:]] == [(first, second)]


def test_a_fresh_trade_overtakes_a_broadcast_of_prices(room):
    for _ in range(3 * SENDS_PER_TURN):
        room.client(EQ1)
    probe = room.client(FX1)
    room.beat()
    room.book.clear()
    room.time += 0.1
    room.move_prices()
    assert room.sender.run_turn(), "a broadcast takes several turns"
    seq = room.deal(desk="FX1")
    before = len(room.book)
    room.sender.run_turn()
    assert room.book[before][0] is probe
    assert probe.updates[-1]["seq"] == seq


def test_a_trade_that_came_during_a_broadcast_is_not_taken_for_sent(room):
    """The broadcast is of an older snapshot; a client that gets it still waits for the trade."""
    others = [room.client(EQ1) for _ in range(2 * SENDS_PER_TURN)]
    client = room.client(FX1)
    room.deal(desk="FX1")
    room.work()
    room.time += 0.015
    room.move_prices()
    room.sender.run_turn()
    seq = room.deal(desk="FX1")
    room.work()
    assert client.updates[-1]["seq"] < seq
    room.time += 0.02
    room.work()
    assert client.updates[-1]["seq"] == seq
    assert all(other.updates for other in others)


def test_a_ping_does_not_make_a_waiting_trade_forgotten(room):
    client = room.client(FX1)
    room.deal(desk="FX1")
    room.work()
    seq = room.deal(desk="FX1")
    room.work()
    room.ask(client, op="ping", id=1)
    room.time += 0.03
    room.work()
    assert client.updates[-1]["seq"] == seq


def test_where_pushes_take_too_much_of_the_time_they_are_left_to_the_beats(room):
    many = [room.client(NODES, max_hz=5.0) for _ in range(50)]
    few = room.client(FX1)
    room.work()
    room.sender._push_pause.pause_s = 1.0
    room.deal(desk="EQ1", instrument="ACME", price="10")
    room.work()
    sent = len(many[0].updates)
    for _ in range(5):
        room.time += 0.02
        room.deal(desk="FX1")
        room.work()
    assert len(many[0].updates) == sent
    assert len(few.updates) == 5
    room.beat()
    assert len(many[0].updates) == sent + 1


def test_a_client_that_was_behind_gets_the_trade_as_soon_as_it_has_read(room):
    client = room.client(FX1)
    room.work()
    client.is_behind = True
    seq = room.deal(desk="FX1")
    room.work()
    assert client.updates == []
    room.time += 0.001
    client.catch_up()
    room.work()
    assert [update["seq"] for update in client.updates] == [seq]
    client.catch_up()
    room.work()
    assert len(client.updates) == 1


# Prices


@pytest.mark.parametrize(("max_hz", "expected"), [(10.0, 20), (5.0, 10), (2.0, 4), (1.0, 2), (3.0, 5)])
def test_prices_come_as_often_as_was_asked_for(room, max_hz, expected):
    client = room.client(FX1, max_hz=max_hz)
    for _ in range(20):
        room.beat()
    assert expected <= len(client.updates) <= expected + 1


def test_the_last_price_before_a_quiet_market_is_not_kept_for_the_next_news(room):
    """It came too early for the client, and nothing is published after it: it goes out when the client's time has come."""
    client = room.client(FX1, max_hz=2.0)
    for _ in range(6):
        room.beat()
    while client.updates[-1]["seq"] == room.engine.history.newest.seq:
        room.beat()
    sent = len(client.updates)
    for _ in range(12):
        room.time += 0.05
        room.work()
    assert [update["seq"] for update in client.updates[sent:]] == [room.engine.history.newest.seq]
    assert not room.sender.run_turn()


def test_different_screens_have_their_turns_at_different_beats(room):
    clients = [room.client(view, max_hz=2.0) for view in (FX1, EQ1, NODES, {"view": "ladder"}, {"view": "dealers"})]
    for _ in range(5):
        room.beat()  # the first beat serves all clients that have joined since the last
    room.book.clear()
    served = []
    for _ in range(5):
        before = len(room.book)
        room.beat()
        served.append(len(room.book) - before)
    assert served == [1, 1, 1, 1, 1]
    assert all(client.updates for client in clients)


def test_the_same_screens_are_sent_the_very_same_bytes(room):
    clients = [room.client(NODES, FX1, max_hz=2.0) for _ in range(5)]
    for step in range(12):
        room.beat()
        if step % 3 == 0:
            room.deal(desk="FX1")
            room.work()
    for frames in zip(*([frame for frame in client.frames if b'"update"' in frame] for client in clients), strict=True):
        assert len({id(frame) for frame in frames}) == 1


def test_a_view_that_stands_still_is_sent_nothing_and_not_worked_out(room, monkeypatch):
    client = room.client(EQ1)
    room.beat()
    room.client(FX1)
    before = len(client.updates)
    monkeypatch.setattr("riskengine.views.sources.ladder_rows", lambda *a, **k: pytest.fail("worked out rows"))
    for _ in range(5):
        room.time += 0.02
        room.deal(desk="FX2", instrument="GBPUSD", price="1.3")
        room.work()
    assert len(client.updates) == before


def test_what_is_no_price_and_no_trade_comes_as_often_as_prices_would(room):
    client = room.client({"view": "status"})
    room.time += 0.5
    seq = room.deal(desk="FX1")
    room.work()
    assert client.updates[-1]["seq"] == seq


# Clients that do not read


def test_a_client_that_has_not_taken_the_last_is_passed_over_and_finds_newer_news(room):
    client = room.client(FX1)
    client.is_behind = True
    first = room.deal(desk="FX1")
    room.work()
    room.beat()
    assert client.updates == []
    client.is_behind = False
    room.time += 0.2
    room.work()
    [update] = client.updates
    assert update["seq"] > first
    assert update["conflated"] == update["seq"] - update["prev_seq"] - 1 > 0


def test_a_client_that_is_gone_is_sent_nothing_more_and_its_views_are_forgotten(room):
    client = room.client(FX1)
    room.deal(desk="FX1")
    connection = client.connection
    connection.subscriptions.close()
    room.sender.remove(connection)
    room.work()
    room.beat()
    assert client.updates == []
    assert room.sender._up_to_date == {}
    assert room.board._views == {}


# Checksums


def test_checksums_come_every_few_seconds_with_prices(room):
    client = room.client(FX1, max_hz=5.0)
    for _ in range(int(CHECKSUM_INTERVAL_S * 3 * 10)):
        room.beat()
    assert 3 <= sum("checksums" in update for update in client.updates) <= 4


# Rhythm


def test_beats_are_counted_through_pauses_and_jitter():
    beats = Rhythm(0.1)
    moments = [10.0, 10.104, 10.197, 10.5, 10.603, 11.1]
    assert [beats.number(moment) for moment in moments] == [0, 1, 2, 5, 6, 11]


def test_beats_never_count_back():
    beats, last = Rhythm(0.1), 0
    for step in range(1_000):
        number = beats.number(5.0 + step * 0.013)
        assert number >= last
        last = number


def test_the_pause_grows_while_pushes_take_too_much_and_shrinks_when_they_do_not():
    pace, now = PushPause(0.02), 100.0
    pace.add_busy(0.0, now)
    for _ in range(4):
        now += 0.25
        pace.add_busy(0.2, now)
    assert pace.pause_s == pytest.approx(0.02 * 16)
    for _ in range(2):
        now += 0.25
        pace.add_busy(0.001, now)
    assert pace.pause_s == pytest.approx(0.02 * 4)
    pace.add_busy(0.0, now + 10.0)
    assert pace.pause_s == 0.02


# Metrics


def test_what_was_sent_is_counted_with_what_it_skipped(room):
    client = room.client(FX1, max_hz=2.0)
    value = room.engine.metrics.registry.get_sample_value
    for _ in range(10):
        room.beat()
    updates = [frame for frame in client.frames if b'"update"' in frame]
    assert value("riskengine_sent_messages_total") == len(updates)
    assert value("riskengine_sent_bytes_total") == sum(map(len, updates))
    assert value("riskengine_conflated_snapshots_total") == sum(update["conflated"] for update in client.updates) > 0
    assert 0 < value("riskengine_publish_to_send_seconds_count") <= len(updates)


# Large views


def test_what_takes_long_to_work_out_is_told_less_often(room):
    heavy, light = room.client(NODES), room.client(FX1)
    room.work()
    heavy.connection.subscriptions.standing.layout.cost_s = 0.05
    counts = []
    for _ in range(10):
        heavy.connection.subscriptions.standing.layout.cost_s = 0.05
        room.beat()
        counts.append((len(heavy.updates), len(light.updates)))
    assert counts[-1][1] == 10
    assert 2 <= counts[-1][0] <= 3


# Requests


def test_only_requests_for_rows_move_the_board(room):
    client = room.client(FX1)
    connection = client.connection
    connection.subscriptions.refresh = room.sender.catch_up
    room.deal(desk="EQ1", instrument="ACME", price="10")
    stands = room.board.snapshot.seq
    for message in ("{no sense", '{"op":"ping"}', '{"op":"configure","max_hz":5}', '{"op":"subscribe","id":"x","view":"none"}'):
        connection.subscriptions.handle(message)
        assert room.board.snapshot.seq == stands, message
    connection.subscriptions.handle('{"op":"resync"}')
    assert room.board.snapshot.seq == room.engine.history.newest.seq
