from __future__ import annotations

from im.connect.v1.delivery_service_pb2 import DeliverRequest
from im.logic.v1.message_pb2 import Message
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.sessions import SessionAddress
from impl.task.routing import MAX_BYTES, MAX_ITEMS, Destination, recency, recipients, requests, route
from tests.impl.task.world import batch_of, event

A, B = Destination("a", "x", 3, 9), Destination("b", "y", 3, 9)
HERE = Destination("a", "x", 0, 1)


def address(user: int, session: str, to: Destination) -> SessionAddress:
    return SessionAddress(user, session, to.instance, to.boot_id)


def test_both_users_of_a_private_conversation_are_recipients() -> None:
    assert recipients(event(1, sender=7, to=3)) == (3, 7)
    assert recipients(event(1, sender=7, to=7)) == (7,)


def test_nobody_hears_of_an_event_of_an_unknown_kind_or_place() -> None:
    assert recipients(ConversationEvent(conversation_id="dm.1.2")) == ()
    strange = event(1)
    strange.conversation_id = "somewhere"
    assert recipients(strange) == ()


def test_recency_keeps_the_latest_event_of_each_conversation_of_each_user() -> None:
    events = [event(5), event(9, seq=2), event(7, to=3), event(8, seq=1)]
    assert sorted(recency(events)) == [(1, "dm.1.2", 9), (1, "dm.1.3", 7), (2, "dm.1.2", 9), (3, "dm.1.3", 7)]


def test_every_session_gets_its_events_in_order_and_one_parcel_per_gateway() -> None:
    sessions = {
        1: [address(1, "s1", A)],
        2: [address(2, "s2", A), address(2, "s3", B)],
        3: [address(3, "s4", B)],
    }
    parcels = route(batch_of(event(1), event(2, to=3), event(3, seq=2), partition=3, token=9), sessions)
    assert set(parcels) == {A, B}
    told = {to: [(i.message.id, list(i.session_ids)) for i in parcel.items] for to, parcel in parcels.items()}
    assert told[A] == [(1, ["s1", "s2"]), (2, ["s1"]), (3, ["s1", "s2"])]
    assert told[B] == [(1, ["s3"]), (2, ["s4"]), (3, ["s3"])]
    assert parcels[B].addresses == {"s3": address(2, "s3", B), "s4": address(3, "s4", B)}


def test_the_session_that_sent_is_skipped_and_the_senders_other_sessions_are_not() -> None:
    sessions = {1: [address(1, "s1", HERE), address(1, "s2", HERE)]}
    parcels = route(batch_of(event(1, origin="s1")), sessions)
    assert [list(item.session_ids) for item in parcels[HERE].items] == [["s2"]]


def test_one_life_of_a_gateway_is_not_another() -> None:
    sessions = {1: [SessionAddress(1, "s1", "a", "old")], 2: [SessionAddress(2, "s2", "a", "new")]}
    assert {to.boot_id for to in route(batch_of(event(1)), sessions)} == {"old", "new"}


def test_without_sessions_there_is_nothing_to_send() -> None:
    assert route(batch_of(event(1)), {}) == {}


def test_requests_are_bounded_in_items_and_bytes_and_keep_the_order() -> None:
    small = [DeliverRequest.Item(message=Message(id=number)) for number in range(1, 2 * MAX_ITEMS + 2)]
    parts = list(requests(A, small))
    assert [len(part.items) for part in parts] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [item for part in parts for item in part.items] == small
    large = [DeliverRequest.Item(message=Message(text="x" * (MAX_BYTES // 2))) for _ in range(3)]
    assert [len(part.items) for part in requests(A, large)] == [1, 1, 1]
    assert {(part.partition, part.token, part.boot_id) for part in parts} == {(3, 9, "x")}
    assert list(requests(A, [])) == []
