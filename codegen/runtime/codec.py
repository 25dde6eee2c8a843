"""ProtoJSON to messages and back, by descriptors; strict.

Refused beyond what the ProtoJSON mapping demands: an object with the same key twice, and two members of one oneof.
Every refusal is an Error that names the field.
"""

from __future__ import annotations

from typing import Any

from protobuf import DescMessage, Message, Registry


class JsonCodec:
    """Types of one schema by name.

    Args:
        registry: all types; `google.protobuf.Any` and extensions are resolved in it too.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._types: dict[str, MessageJson] = {}

    def type(self, full_name: str) -> MessageJson:
        """The codec of one message type.

        Raises:
            LookupError: the registry has no such message.
        """
        if (known := self._types.get(full_name)) is not None:
            return known
        description = self._registry.message(full_name)
        if description is None:
            raise LookupError(f"no message {full_name} in the registry")
        made = self._types[full_name] = MessageJson(description, self._registry)
        return made


class MessageJson:
    """The codec of one message type."""

    def __init__(self, description: DescMessage, registry: Registry) -> None:
        self.description = description
        self._type = description.type
        self._registry = registry

    def parse(self, data: bytes | str) -> Message[Any]:
        """The message that the JSON text says.

        Raises:
            Error: MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        raise NotImplementedError

    def parse_binary(self, data: bytes) -> Message[Any]:
        """The message that the bytes hold.

        Raises:
            Error: MALFORMED_BODY.
        """
        raise NotImplementedError

    def to_json(self, data: bytes | Message[Any]) -> bytes:
        """JSON of a message, or of its binary form."""
        message = self._type.from_binary(data) if isinstance(data, bytes) else data
        return message.to_json(registry=self._registry).encode()
