"""Rules of the schema (`buf.validate`), applied to a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import protovalidate
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error, FieldViolation

if TYPE_CHECKING:
    from protovalidate import FieldPathElementPb, Violation

MAX_VIOLATIONS = 50
"""Most violations that one refusal lists."""


def validate(message: Any) -> None:
    """Checks a google or protobuf-py message against the rules of its schema.

    Raises:
        Error: VALIDATION_FAILED; its violations name fields in dotted proto names.
    """
    violations = protovalidate.collect_violations(message)
    if violations:
        raise refusal([_violation(violation) for violation in violations[:MAX_VIOLATIONS]])


def refusal(violations: list[FieldViolation]) -> Error:
    """The error that says these violations; there is at least one."""
    first = violations[0]
    told = f"{first.field}: {first.description}" if first.field else first.description
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return Error(reasons.VALIDATION_FAILED, f"{told}{more}", violations)


def _violation(violation: Violation) -> FieldViolation:
    proto = violation.proto
    elements = proto.field.elements if proto.field else ()
    return FieldViolation(_dotted(elements), proto.message or proto.rule_id)


def _dotted(elements: list[FieldPathElementPb] | tuple[()]) -> str:
    parts = []
    for element in elements:
        parts.append(f".{element.field_name}")
        if element.subscript is not None:
            parts.append(_subscript(element.subscript.value))
    return "".join(parts)[1:]


def _subscript(value: Any) -> str:
    """`[2]`, `["key"]`, `[true]`."""
    return f"[{orjson.dumps(value).decode()}]"
