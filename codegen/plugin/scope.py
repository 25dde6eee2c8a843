"""What every part of resolving needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protobuf import (
    DescField,
    DescFieldValueEnum,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Registry,
    ScalarType,
)

from codegen.plugin.ir import Described
from codegen.plugin.mistakes import Mistakes
from codegen.plugin.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Scope:
    """One run."""

    registry: Registry
    vocabulary: Vocabulary
    mistakes: Mistakes

    def mistake(self, desc: Described, sentence: str, *option: int) -> None:
        """Notes a mistake at a descriptor, or at the part of its options with these field numbers."""
        self.mistakes.add(desc, sentence, option=option)


def field_named(message: DescMessage, name: str) -> DescField | None:
    """The field of that proto name."""
    return next((field for field in message.fields if field.name == name), None)


def scalar_of(field: DescField) -> ScalarType | None:
    """Type of a singular scalar field; None for any other."""
    return field.value.scalar if isinstance(field.value, DescFieldValueScalar) else None


def message_of(field: DescField) -> DescMessage | None:
    """Type of a singular message field; None for any other."""
    return field.value.message if isinstance(field.value, DescFieldValueMessage) else None


def is_enum(field: DescField) -> bool:
    """Whether the field is a singular enum."""
    return isinstance(field.value, DescFieldValueEnum)


def choices(names: Sequence[str]) -> str:
    """`a`, `b` or `c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
