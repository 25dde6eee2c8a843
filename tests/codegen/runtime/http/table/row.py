"""What a table says: a fact, where it is from, and why we differ where we do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HTTP_PROTO = "google/api/http.proto"
PROTO_JSON = "ProtoJSON format"
GATEWAY = "grpc-gateway"
ENVOY = "Envoy grpc_json_transcoder"


@dataclass(frozen=True, slots=True)
class Match:
    """A path among templates."""

    source: str
    templates: tuple[str, ...]
    """All for GET, or with a verb before them."""
    path: str
    """A GET, or with another verb before it."""
    template: str | None
    """Which one has the path; None if none has."""
    captured: Mapping[str, str] = field(default_factory=dict)
    """Variables."""
    differs: str = ""
    """Why the source says something else."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer of 400."""

    reason: str
    field: str | None = None
    """The field that it names, if it names one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the service of `shelf.proto`, which echoes, and what comes back."""

    source: str
    request: str
    """HTTP verb and target."""
    body: bytes | None
    answer: Any
    """JSON of an answer of 200, or `Refused`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""
    """Why the source says something else."""
