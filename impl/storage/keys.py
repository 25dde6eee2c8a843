"""Names of the Redis keys, and the Lua scripts that touch them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files

from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT

from codegen.runtime.streams.partitions import PartitionKeys, partition_of


@dataclass(frozen=True, slots=True)
class ConversationKeys:
    """Keys of the conversations of one partition."""

    partition: int
    tag: str = field(init=False)
    """Hash tag that keeps a partition's keys on one server."""

    def __post_init__(self) -> None:
        """Keeps the tag: it is asked for several times for each event."""
        object.__setattr__(self, "tag", self.of_partition.tag)

    @property
    def of_partition(self) -> PartitionKeys:
        """Keys that any stream's partition has."""
        return PartitionKeys(CONVERSATION_EVENT.name, self.partition)

    @property
    def dedupe(self) -> tuple[str, str, str]:
        """Hashes of first results, by half-hours in turn."""
        return (f"{self.tag}:dedupe:0", f"{self.tag}:dedupe:1", f"{self.tag}:dedupe:2")

    def written(self, conversation_id: str) -> tuple[str, str, str, str, str]:
        """What a write to a conversation touches: head, members, tail, room and roster."""
        return (
            self.head(conversation_id),
            self.members(conversation_id),
            self.tail(conversation_id),
            self.room(conversation_id),
            self.roster(conversation_id),
        )

    def head(self, conversation_id: str) -> str:
        """Hash: `epoch`, `seq` and `id` of the last event, `persisted` is the highest seq in the database.

        `asked` is the epoch in which the database was last asked for the conversation.
        """
        return f"{self.tag}:head:{conversation_id}"

    def members(self, conversation_id: str) -> str:
        """Hash: user to `<standing> <joined> <left> <delivered> <read>`; 0 left means present.

        Older entries are `member 0`. Those of former members stay.
        """
        return f"{self.tag}:members:{conversation_id}"

    def room(self, conversation_id: str) -> str:
        """Hash: `name`, `description`, `join`, `history`, `created` in ms, and `count` of present members."""
        return f"{self.tag}:room:{conversation_id}"

    def roster(self, conversation_id: str) -> str:
        """Sorted set: present members of a room in the order in which they came. No two scores are equal."""
        return f"{self.tag}:roster:{conversation_id}"

    def instances(self, conversation_id: str) -> str:
        """Hash: instance where members of a room are connected to `<boot id>|<expiry, ms>`."""
        return f"{self.tag}:instances:{conversation_id}"

    def tail(self, conversation_id: str) -> str:
        """Sorted set: the newest envelopes by seq."""
        return f"{self.tag}:tail:{conversation_id}"


def keys_of(conversation_id: str, partitions: int) -> ConversationKeys:
    """Keys of the partition that a conversation falls on."""
    return ConversationKeys(partition_of(conversation_id, partitions))


def recent(user_id: int) -> str:
    """Sorted set: a user's conversations by id of the last event, as far as a double holds it."""
    return f"recent:{{{user_id}}}"


def rooms(user_id: int) -> str:
    """Set: the conversations of a user's rooms, perhaps of some that they left."""
    return f"rooms:{{{user_id}}}"


def created(user_id: int, client_request_id: str) -> str:
    """String: `<room id> <digest of the request>`, the room that a user's request created."""
    return f"created:{{{user_id}}}:{client_request_id}"


def session(user_id: int) -> str:
    """Hash: session id to `<instance>|<boot id>|<expiry, ms>`."""
    return f"session:{{{user_id}}}"


def script(*names: str) -> str:
    """Source of a script of this package, of one or several parts."""
    folder = files("impl.storage") / "scripts"
    return "\n".join((folder / f"{name}.lua").read_text() for name in names)
