"""Tables that generated code declares for HTTP: one `Route` per binding of `google.api.http`."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.runtime.method import Method


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a path template."""

    field: tuple[str, ...]
    """Path of the request field it fills, in proto names."""
    start: int
    """First segment of the template that it captures."""
    end: int
    """Segment behind the last captured one; -1 when its last segment is `**`, at the end of the template."""


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP binding of a method."""

    method: Method
    verb: str
    """HTTP method in capitals; `*` means any."""
    template: str
    """The path template as written in the schema."""
    segments: tuple[str, ...]
    """Literals (percent-decoded), `*` and `**`, variables replaced by what they match."""
    custom_verb: str = ""
    """`lookup` of `/v1/users:lookup`; empty if there is none."""
    variables: tuple[Variable, ...] = ()
    body: str = ""
    """`*`, or the proto name of the request field that the body fills, or empty: no body."""
    response_body: str = ""
    """Proto name of the response field that is sent, or empty: the whole response."""
