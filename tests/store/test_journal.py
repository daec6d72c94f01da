from riskengine.records.journal import Instant
from riskengine.store.protocol import Store


def instant(seq: int, ts: int, whole_seq: int, epoch: int = 1) -> Instant:
    return Instant(epoch, seq, ts, whole_seq, watermark=seq * 10, revision=2, content=bytes([seq]))


CHAIN = [instant(3, 100, 3), instant(5, 200, 3), instant(9, 300, 9), instant(11, 400, 9)]


def test_an_instant_comes_with_those_it_stands_on(store: Store) -> None:
    assert store.journal_span() is None
    assert store.instants_at(1_000) == []
    store.save_instants(CHAIN, 0)
    store.save_instants(CHAIN[-1:], 0)
    assert store.journal_span() == (100, 400)
    assert store.instant_times(101, 300) == [200, 300]
    assert store.instants_at(99) == []
    assert store.instants_at(100) == CHAIN[:1]
    assert store.instants_at(299) == CHAIN[:2]
    assert store.instants_at(300) == CHAIN[2:3]
    assert store.instants_at(2**53) == CHAIN[2:]


def test_another_epoch_stands_on_its_own(store: Store) -> None:
    store.save_instants(CHAIN, 0)
    again = instant(2, 500, 2, epoch=2)
    store.save_instants([again], 0)
    assert store.instants_at(499) == CHAIN[2:]
    assert store.instants_at(500) == [again]


def test_old_instants_are_removed(store: Store) -> None:
    store.save_instants(CHAIN, 0)
    store.save_instants([instant(12, 500, 9)], 300)
    assert store.journal_span() == (300, 500)
    assert store.instants_at(299) == []
