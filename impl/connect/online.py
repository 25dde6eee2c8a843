"""The sessions of this process, by id and by user."""

from __future__ import annotations

from collections.abc import Iterable, KeysView
from typing import TYPE_CHECKING

from impl.connect.rooms import RoomIndex

if TYPE_CHECKING:
    from impl.connect.peer import Peer


class Online:
    """Peers that said hello.

    Args:
        index: learns who has come and gone.
    """

    def __init__(self, index: RoomIndex) -> None:
        self._index = index
        self._peers: dict[str, Peer] = {}
        self._users: dict[int, tuple[Peer, ...]] = {}

    @property
    def users(self) -> KeysView[int]:
        """Users with sessions here."""
        return self._users.keys()

    def get(self, session_id: str) -> Peer | None:
        """The peer of a session."""
        return self._peers.get(session_id)

    def of(self, user_id: int) -> tuple[Peer, ...]:
        """A user's peers."""
        return self._users.get(user_id, ())

    def members(self, conversation_id: str, seq: int) -> Iterable[Peer]:
        """Peers of members of a room who receive the event of this number."""
        users = self._index.audience(conversation_id, seq)
        return (peer for user in users for peer in self.of(user))

    def add(self, user_id: int, session_id: str, peer: Peer) -> None:
        """A session begins."""
        self._peers[session_id] = peer
        self._users[user_id] = (*self.of(user_id), peer)
        self._index.online(user_id)

    def remove(self, user_id: int, session_id: str, peer: Peer) -> None:
        """A session has ended."""
        self._peers.pop(session_id, None)
        others = tuple(other for other in self.of(user_id) if other is not peer)
        if others:
            self._users[user_id] = others
        else:
            self._users.pop(user_id, None)
            self._index.offline(user_id)
