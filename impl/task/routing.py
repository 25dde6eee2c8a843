"""Which requests bring notices to the gateways of their audience; without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from im.connect.v1.delivery_service_pb2 import DeliverRequest
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.sessions import SessionAddress
from impl.task.audience import Notice, arrivals

MAX_ITEMS = 1000
"""Items of one request; the schema allows 4096."""
MAX_BYTES = 1 << 20
"""Bytes of one request, about; a single item may be larger."""

Life = tuple[str, str]
"""Instance and boot id: one life of one connection gateway."""
SessionMap = Mapping[int, Sequence[SessionAddress]]
"""Sessions by user."""
Rooms = Mapping[str, Sequence[Life]]
"""Gateways that have members of a room, by room."""


@dataclass(frozen=True, slots=True)
class Source:
    """The owner of one partition, as gateways know it."""

    group: str
    partition: int
    token: int


@dataclass(frozen=True, slots=True)
class Destination:
    """One life of one connection gateway, as addressed by the owner of one partition."""

    instance: str
    boot_id: str
    source: Source


@dataclass(slots=True)
class Parcel:
    """What goes to one destination, in order."""

    items: list[DeliverRequest.Item] = field(default_factory=list)
    addresses: dict[str, SessionAddress] = field(default_factory=dict)
    """By session id: what to forget if a session is not there."""
    rooms: set[str] = field(default_factory=set)
    """What to forget if the gateway is not there."""


Parcels = Mapping[Destination, Parcel]


def newcomers(events: Iterable[ConversationEvent], sessions: SessionMap) -> dict[str, list[Life]]:
    """By room, the gateways with sessions of those who came."""
    found: dict[str, dict[Life, None]] = {}
    for event in events:
        for user in arrivals(event):
            for address in sessions.get(user, ()):
                life = (address.instance, address.boot_id)
                found.setdefault(event.conversation_id, {})[life] = None
    return {room: list(lives) for room, lives in found.items()}


def unregistered(new: Rooms, known: Rooms) -> dict[Life, list[str]]:
    """The rooms to register gateways for.

    A gateway that is known by another life is left alone: which of the two it lives, it knows itself.
    """
    missing: dict[Life, list[str]] = {}
    for room, lives in new.items():
        names = {instance for instance, _ in known.get(room, ())}
        for life in lives:
            if life[0] not in names:
                missing.setdefault(life, []).append(room)
    return missing


def united(new: Rooms, known: Rooms) -> Rooms:
    """The gateways of all rooms, each once."""
    return {
        room: list(dict.fromkeys((*known.get(room, ()), *new.get(room, ())))) for room in {**known, **new}
    }


def route(told: Iterable[tuple[Source, Notice]], sessions: SessionMap, rooms: Rooms) -> Parcels:
    """One item of each notice for each gateway of its audience, in the order of the notices.

    Args:
        told: what to tell.
        sessions: of the users who are addressed one by one; the session that caused it is left out.
        rooms: where their members are.
    """
    parcels: dict[Destination, Parcel] = {}
    for source, notice in told:
        there: dict[Life, list[SessionAddress]] = {life: [] for life in rooms.get(notice.room, ())}
        for address in _addressed(notice, sessions):
            there.setdefault((address.instance, address.boot_id), []).append(address)
        for life, addresses in there.items():
            _put(parcels.setdefault(Destination(*life, source), Parcel()), notice, addresses)
    return parcels


def requests(to: Destination, items: Sequence[DeliverRequest.Item]) -> Iterator[DeliverRequest]:
    """The items as requests of bounded size, in order."""
    taken: list[DeliverRequest.Item] = []
    size = 0
    for item in items:
        if taken and (len(taken) >= MAX_ITEMS or size + item.ByteSize() > MAX_BYTES):
            yield _request(to, taken)
            taken, size = [], 0
        taken.append(item)
        size += item.ByteSize()
    if taken:
        yield _request(to, taken)


def _addressed(notice: Notice, sessions: SessionMap) -> Iterator[SessionAddress]:
    for user in notice.users:
        for address in sessions.get(user, ()):
            if address.session_id != notice.item.origin_session:
                yield address


def _put(parcel: Parcel, notice: Notice, addresses: Sequence[SessionAddress]) -> None:
    item = DeliverRequest.Item(session_ids=[address.session_id for address in addresses])
    item.MergeFrom(notice.item)
    parcel.items.append(item)
    parcel.addresses |= {address.session_id: address for address in addresses}
    if notice.room:
        parcel.rooms.add(notice.room)


def _request(to: Destination, items: Sequence[DeliverRequest.Item]) -> DeliverRequest:
    return DeliverRequest(
        group=to.source.group,
        partition=to.source.partition,
        token=to.source.token,
        boot_id=to.boot_id,
        items=items,
    )
