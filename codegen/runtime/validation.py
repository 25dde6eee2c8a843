"""Rules of the schema (`buf.validate`), applied to a message."""

from __future__ import annotations

from typing import Any


def validate(message: Any) -> None:
    """Checks a google or protobuf-py message against the rules of its schema.

    Raises:
        Error: VALIDATION_FAILED; its violations name fields in dotted proto names.
    """
    raise NotImplementedError
