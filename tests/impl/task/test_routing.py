from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from im.connect.v1.delivery_service_pb2 import DeliverRequest
from im.logic.v1.message_pb2 import Message
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.envelope import private_id
from impl.storage.sessions import SessionAddress
from impl.task.audience import notices
from impl.task.routing import (
    MAX_BYTES,
    MAX_ITEMS,
    Destination,
    Parcels,
    Rooms,
    SessionMap,
    Source,
    newcomers,
    requests,
    route,
    united,
    unregistered,
)
from tests.impl.task.events import created, event, joined, left, marked, said

SOURCE = Source("push", 3, 9)
A, B = Destination("a", "x", SOURCE), Destination("b", "y", SOURCE)
LIVES = [("a", "old"), ("a", "new"), ("b", "y")]
ROOMS = ["room.7", "room.8"]
USERS = range(1, 6)


def address(user: int, session: str, to: Destination) -> SessionAddress:
    return SessionAddress(user, session, to.instance, to.boot_id)


def routed(events: Sequence[ConversationEvent], sessions: SessionMap, rooms: Rooms | None = None) -> Parcels:
    return route([(SOURCE, notice) for one in events for notice in notices(one)], sessions, rooms or {})


def test_every_session_gets_its_events_in_order_and_one_parcel_per_gateway() -> None:
    sessions = {
        1: [address(1, "s1", A)],
        2: [address(2, "s2", A), address(2, "s3", B)],
        3: [address(3, "s4", B)],
    }
    parcels = routed([event(1), event(2, to=3), event(3, seq=2)], sessions)
    assert set(parcels) == {A, B}
    told = {to: [(i.message.id, list(i.session_ids)) for i in parcel.items] for to, parcel in parcels.items()}
    assert told[A] == [(1, ["s1", "s2"]), (2, ["s1"]), (3, ["s1", "s2"])]
    assert told[B] == [(1, ["s3"]), (2, ["s4"]), (3, ["s3"])]
    assert parcels[B].addresses == {"s3": address(2, "s3", B), "s4": address(3, "s4", B)}


def test_the_session_that_sent_is_skipped_and_the_senders_other_sessions_are_not() -> None:
    parcels = routed([event(1, origin="s1")], {1: [address(1, "s1", A), address(1, "s2", A)]})
    assert [(list(item.session_ids), item.origin_session) for item in parcels[A].items] == [(["s2"], "s1")]


def test_a_room_is_told_once_to_each_gateway_whoever_is_there() -> None:
    parcels = routed([said(1, origin="s1")], {}, {"room.77": [("a", "x"), ("b", "y")]})
    assert set(parcels) == {A, B}
    (item,) = parcels[A].items
    assert (item.message.id, item.to_room, list(item.session_ids)) == (1, True, [])
    assert item.origin_session == "s1"
    assert parcels[A].rooms == {"room.77"}


def test_one_life_of_a_gateway_is_not_another() -> None:
    sessions = {1: [SessionAddress(1, "s1", "a", "old")], 2: [SessionAddress(2, "s2", "a", "new")]}
    assert {to.boot_id for to in routed([event(1)], sessions)} == {"old", "new"}


def test_without_sessions_and_rooms_there_is_nothing_to_send() -> None:
    assert routed([event(1), said(2), marked(2, "dm.1.2", read=1)], {}) == {}


def test_gateways_are_registered_for_who_came_unless_another_life_of_theirs_is() -> None:
    sessions = {2: [address(2, "s2", A), address(2, "s3", B)], 3: [SessionAddress(3, "s4", "b", "z")]}
    new = newcomers([joined(1, 2), joined(2, 3), said(3), joined(4, 2, room="room.78")], sessions)
    assert new == {"room.77": [("a", "x"), ("b", "y"), ("b", "z")], "room.78": [("a", "x"), ("b", "y")]}
    known = {"room.77": [("b", "y"), ("c", "c")]}
    assert unregistered(new, known) == {("a", "x"): ["room.77", "room.78"], ("b", "y"): ["room.78"]}
    assert united(new, known) == {
        "room.77": [("b", "y"), ("c", "c"), ("a", "x"), ("b", "z")],
        "room.78": [("a", "x"), ("b", "y")],
    }


def test_requests_are_bounded_in_items_and_bytes_and_keep_the_order() -> None:
    small = [DeliverRequest.Item(message=Message(id=number)) for number in range(1, 2 * MAX_ITEMS + 2)]
    parts = list(requests(A, small))
    assert [len(part.items) for part in parts] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [item for part in parts for item in part.items] == small
    large = [DeliverRequest.Item(message=Message(text="x" * (MAX_BYTES // 2))) for _ in range(3)]
    assert [len(part.items) for part in requests(A, large)] == [1, 1, 1]
    assert {(part.group, part.partition, part.token, part.boot_id) for part in parts} == {("push", 3, 9, "x")}
    assert list(requests(A, [])) == []


@dataclass(frozen=True)
class Happening:
    """An event, and by the rules written down here who shall hear what of it."""

    event: ConversationEvent
    users: frozenset[int]
    room: str = ""
    deaf: str = ""
    """The session that must not hear it."""


user = st.sampled_from(USERS)
room = st.sampled_from(ROOMS)
session_name = st.sampled_from(["", *(f"s{number}" for number in range(12))])


@st.composite
def happenings(draw: st.DrawFn) -> Happening:
    number, one, other, where = draw(st.integers(1, 999)), draw(user), draw(user), draw(room)
    origin = draw(session_name)
    pair = private_id(one, other)
    kinds = {
        "private": lambda: Happening(
            event(number, sender=one, to=other, origin=origin), frozenset({one, other}), deaf=origin
        ),
        "said": lambda: Happening(
            said(number, sender=one, origin=origin, room=where), frozenset(), where, origin
        ),
        "created": lambda: Happening(created(number, one, other, room=where), frozenset({one, other}), where),
        "joined": lambda: Happening(joined(number, one, by=other, room=where), frozenset({one}), where),
        "left": lambda: Happening(left(number, one, by=other, room=where), frozenset({one}), where),
        "received": lambda: Happening(marked(one, pair, delivered=number), frozenset({other}) - {one}),
        "read": lambda: Happening(marked(one, pair, read=number), frozenset({one, other})),
        "read in a room": lambda: Happening(marked(one, where, read=number), frozenset({one})),
        "received in a room": lambda: Happening(marked(one, where, delivered=number), frozenset()),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


addresses = st.lists(st.tuples(user, st.sampled_from(LIVES)), max_size=12).map(
    lambda found: [SessionAddress(who, f"s{n}", *life) for n, (who, life) in enumerate(found)]
)
sources = st.sampled_from([Source("push", 0, 5), Source("push", 1, 4)])
known_rooms = st.dictionaries(room, st.lists(st.sampled_from(LIVES), unique=True))


def told_of(item: DeliverRequest.Item) -> tuple[int, frozenset[str], bool]:
    number = item.message.id if item.HasField("message") else item.progress.seq
    return number, frozenset(item.session_ids), item.to_room


def number_of(event: ConversationEvent) -> int:
    return event.id or event.mark.delivered_seq or event.mark.read_seq


@given(st.lists(st.tuples(sources, happenings()), max_size=8), addresses, known_rooms)
def test_everybody_hears_what_the_rules_say_in_order_and_nothing_else(
    happened: list[tuple[Source, Happening]], present: list[SessionAddress], rooms: Rooms
) -> None:
    sessions = {who: [one for one in present if one.user_id == who] for who in USERS}
    told = [(source, notice) for source, what in happened for notice in notices(what.event)]
    parcels = route(told, sessions, rooms)

    expected: dict[Destination, list[tuple[int, frozenset[str], bool]]] = {}
    for source, what in happened:
        for life in LIVES:
            names = frozenset(
                one.session_id
                for one in present
                if one.user_id in what.users
                and (one.instance, one.boot_id) == life
                and (one.session_id != what.deaf)
            )
            if names or life in rooms.get(what.room, ()):
                heard = (number_of(what.event), names, bool(what.room))
                expected.setdefault(Destination(*life, source), []).append(heard)
    assert {to: [told_of(item) for item in parcel.items] for to, parcel in parcels.items()} == expected
    for to, parcel in parcels.items():
        named = [name for item in parcel.items for name in item.session_ids]
        assert parcel.addresses == {one.session_id: one for one in present if one.session_id in named}
        assert parcel.rooms == {
            what.room for source, what in happened if what.room and source == to.source
        } & {item.message.conversation_id for item in parcel.items}
        assert all(len(set(item.session_ids)) == len(item.session_ids) for item in parcel.items)


@given(st.lists(happenings(), max_size=6), addresses, known_rooms)
def test_who_came_hears_all_that_follows(
    happened: list[Happening], present: list[SessionAddress], rooms: Rooms
) -> None:
    sessions = {who: [one for one in present if one.user_id == who] for who in USERS}
    events = [what.event for what in happened]
    parcels = routed(events, sessions, united(newcomers(events, sessions), rooms))
    for position, came in enumerate(happened):
        if came.event.room.WhichOneof("change") not in {"created", "joined"}:
            continue
        follow = [what.event.id for what in happened[position:] if what.room == came.room]
        for one in present:
            if one.user_id in came.users:
                parcel = parcels[Destination(one.instance, one.boot_id, SOURCE)]
                heard = [i.message.id for i in parcel.items if i.message.conversation_id == came.room]
                assert heard[-len(follow) :] == follow
