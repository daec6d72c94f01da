"""The drills' own arithmetic must be able to find what it is there to find: what is lost, doubled, or otherwise wrong."""

from decimal import Decimal
from typing import Any

import pytest

from replay.dealing import UNKNOWN, Dealer, Journal, Message, economics, plain, version_of
from replay.independent_sum import Holding, differences, expected_positions
from replay.store_tables import READ

DEAL: Message = {
    "source": "a",
    "trade_id": "1",
    "leg": 0,
    "version": 1,
    "action": "new",
    "ts": 5,
    "source_seq": 0,
    "instrument": "ESZ6",
    "desk": "F1",
    "dealer": "ann",
    "side": "buy",
    "quantity": "3",
    "price": "2.5",
}


def row(message: Message, **stored: Any) -> dict[str, Any]:
    """What a store keeps of a message."""
    return dict.fromkeys(READ) | message | stored


def journal(*sent: tuple[Message, str]) -> Journal:
    found = Journal()
    for message, answer in sent:
        found.note_sent([message])
        if answer:
            found.note_answers([message], [answer])
    return found


def test_quantity_cash_and_count_of_both_roll_ups_are_summed_exactly():
    other = DEAL | {"trade_id": "2", "side": "sell", "quantity": "1", "contra_amount": "7.25"}
    found = expected_positions(journal((DEAL, "applied"), (other, "applied")), [row(DEAL), row(other)])
    holding = Holding(Decimal(2), Decimal(-375) + Decimal("7.25"), 2)
    assert found.positions == {("node", "F1", "ESZ6"): holding, ("dealer", "ann", "ESZ6"): holding}
    assert found.finding.is_clean and not found.durable_unanswered


def test_the_highest_version_counts_once_a_cancel_for_nothing_and_a_quarantined_one_not_at_all():
    amend = DEAL | {"version": 2, "action": "amend", "desk": "F2"}
    unknown = DEAL | {"version": 3, "action": "amend", "instrument": UNKNOWN}
    cancel = {key: DEAL[key] for key in ("source", "trade_id", "leg")} | {"version": 4, "action": "cancel"}
    seen = journal((DEAL, "superseded"), (amend, "applied"), (unknown, "booked"), (cancel, "applied"))
    versions = [row(DEAL), row(amend), row(unknown)]
    assert set(expected_positions(seen, versions[:1]).positions) == {("node", "F1", "ESZ6"), ("dealer", "ann", "ESZ6")}
    assert set(expected_positions(seen, versions).positions) == {("node", "F2", "ESZ6"), ("dealer", "ann", "ESZ6")}
    assert expected_positions(seen, [*versions, row(cancel)]).positions == {}


def test_an_acknowledged_trade_that_is_not_stored_is_lost_and_an_unanswered_one_is_not():
    assert len(expected_positions(journal((DEAL, "applied")), []).finding.lost) == 1
    assert len(expected_positions(journal((DEAL, "applied")), [row(DEAL, price="2.51")]).finding.lost) == 1
    assert expected_positions(journal((DEAL, "")), []).finding.is_clean
    found = expected_positions(journal((DEAL, "")), [row(DEAL, price="2.50")])
    assert found.finding.is_clean and found.durable_unanswered == 1 and len(found.positions) == 2


def test_a_row_twice_is_doubled_and_one_that_nobody_sent_is_wrong():
    assert len(expected_positions(journal((DEAL, "applied")), [row(DEAL), row(DEAL)]).finding.doubled) == 1
    assert len(expected_positions(journal(), [row(DEAL)]).finding.other) == 1


def test_of_two_that_conflict_the_stored_one_counts_and_the_answers_must_say_so():
    rival = DEAL | {"price": "9"}
    good = expected_positions(journal((DEAL, "applied"), (rival, "conflict")), [row(DEAL)])
    assert good.finding.is_clean
    wrong = expected_positions(journal((DEAL, "applied"), (rival, "conflict")), [row(rival)])
    assert len(wrong.finding.lost) == 1 and len(wrong.finding.other) == 1


def test_differences_tell_too_few_trades_from_too_many_and_from_a_wrong_amount():
    key, due = ("node", "F1", "ESZ6"), Holding(Decimal(3), Decimal(-375), 1)
    assert differences({key: due}, {key: due}).is_clean
    assert len(differences({}, {key: due}).lost) == 1
    assert len(differences({key: Holding(Decimal(6), Decimal(-750), 2)}, {key: due}).doubled) == 1
    assert len(differences({key: due._replace(cash=Decimal("-375.01"))}, {key: due}).other) == 1


@pytest.mark.parametrize("books", [True, False])
def test_a_dealer_makes_everything_that_happens_to_trades(books):
    found = Journal()
    dealer = Dealer("d", 1, found, books=books)
    for _ in range(400):
        found.note_sent(dealer.batch(5))
    versions = [each for each in found.versions.values() if each]
    actions = {sent.message["action"] for each in versions for sent in each}
    assert actions == {"new", "amend", "cancel"}
    assert any(len(each) > 1 for each in versions), "conflicts"
    assert any(sent.times > 1 for each in versions for sent in each), "repeats"
    assert any(sent.message.get("legs") == 2 for each in versions for sent in each)
    assert any(sent.message.get("instrument") == UNKNOWN for each in versions for sent in each) == books


def test_a_version_is_named_and_compared_by_what_was_sent():
    assert version_of(DEAL) == ("a", "1", 0, 1)
    assert economics(DEAL | {"booked_ts": 7}) == economics(DEAL)
    assert economics({"action": "cancel", "ts": 5}) == {"action": "cancel"}
    texts = {"12e-2": "0.12", "123456e-2": "1234.56", "5e-10": "0.0000000005", "7": "7", "1.5": "1.5"}
    assert {text: plain(text) for text in texts} == texts
