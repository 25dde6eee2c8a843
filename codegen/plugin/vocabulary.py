"""Reads the options of idiom/v1/options.proto and google/api/annotations.proto.

Options are extensions found in the run's own descriptors, so that nothing has to be generated before the
first run. Dynamic messages are untyped; they end here, in dataclasses with the options' field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Final, TypeVar

from protobuf import (
    DescEnum,
    DescEnumValue,
    DescField,
    DescMessage,
    DescMethod,
    DescService,
    Message,
    Registry,
)

from codegen.plugin.ir import Position

SERVICE: Final = 78100
POLICY: Final = 78110
CONSUMER: Final = 78111
WEBSOCKET: Final = 78112
HTTP: Final = 78113
STREAM: Final = 78120
FRAME: Final = 78130
ERROR_DOMAIN: Final = 78140
ERROR: Final = 78150
CLOSE: Final = 78151
GOOGLE_HTTP: Final = 72295728
"""Extension numbers, for positions of mistakes."""

_REQUIRED: Final = 2  # of google.api.FieldBehavior

CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of `google.rpc.Code` by number."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """`idiom.v1.service`; enum values are names without prefix, here and below."""

    wire: str = "UNSPECIFIED"
    discovery: str = "UNSPECIFIED"
    target: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """`idiom.v1.consumer`."""

    group: str = ""
    batch: int = 0
    max_attempts: int = 0
    backoff_ms: int = 0
    max_backoff_ms: int = 0
    park_ms: int = 0
    park_entries: int = 0


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """`idiom.v1.websocket`."""

    path: str = ""
    subprotocol: str = ""
    hello_timeout_ms: int = 0
    heartbeat_ms: int = 0
    max_frame_bytes: int = 0
    send_queue_bytes: int = 0
    max_calls: int = 0


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`idiom.v1.http`."""

    etag: str = ""
    sse_id: str = ""
    allow_shadowed: bool = False
    if_match: str = ""
    sse_cursor: str = ""
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """`idiom.v1.stream`."""

    name: str = ""
    order_by: str = ""
    partitions: int = 0
    sequence: str = ""
    epoch: str = ""
    retain: int = 0
    max_lag: int = 0
    min_reader_version: str = ""


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """`idiom.v1.frame`."""

    calls: str = ""
    reply: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class ErrorDomainOptions:
    """`idiom.v1.error_domain`."""

    domain: str = ""


@dataclass(frozen=True, slots=True)
class ErrorOptions:
    """`idiom.v1.error`."""

    code: str = "OK"


@dataclass(frozen=True, slots=True)
class CloseOptions:
    """`idiom.v1.close`."""

    code: int = 0
    reconnect: str = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """`google.api.http`."""

    verb: str
    """Upper case; a custom kind as written; empty if the rule has no pattern."""
    template: str
    pattern: int
    """Field number of the pattern."""
    body: str
    response_body: str
    additional: tuple[HttpRule, ...]
    marks: Mapping[int, Position] = field(default_factory=dict)
    """Where its fields stand by number, and the rule itself as 0, if it is not an option of the method."""


OptionOwner = DescEnum | DescEnumValue | DescField | DescMessage | DescMethod | DescService
Options = TypeVar("Options")


class Vocabulary:
    """The options known to a run."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._configured: Mapping[str, HttpRule] = {}

    def configure(self, rules: Mapping[str, HttpRule]) -> None:
        """Takes rules that go before those of the schema, by full name of the method."""
        self._configured = rules

    def read(self, desc: OptionOwner, name: str, options: type[Options]) -> Options | None:
        """The option of that full name on a descriptor, or None."""
        message = self._message(desc, name)
        if message is None:
            return None
        names = [field.name for field in fields(options)]  # type: ignore[arg-type]
        return options(**{name: _plain(getattr(message, name)) for name in names if hasattr(message, name)})

    def http_rule(self, method: DescMethod) -> HttpRule | None:
        """What a service configuration says of the method, else its `google.api.http`, or None."""
        configured = self._configured.get(f"{method.parent.type_name}.{method.name}")
        if configured is not None:
            return configured
        message = self._message(method, "google.api.http")
        return None if message is None else _http_rule(message)

    def required(self, field: DescField) -> bool:
        """Whether `google.api.field_behavior` has REQUIRED, or `buf.validate.field` says so."""
        behaviors = self._message(field, "google.api.field_behavior") or ()
        rules = self._message(field, "buf.validate.field")
        return _REQUIRED in map(int, behaviors) or bool(rules is not None and rules.required)

    def _message(self, desc: OptionOwner, name: str) -> Any:
        extension = self._registry.extension(name)
        options: Message | None = desc.proto.options
        if extension is None or options is None or extension.type not in options:
            return None
        return options[extension.type]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return value.name if isinstance(value, IntEnum) else value


def _http_rule(message: Any) -> HttpRule:
    pattern = message.pattern
    verb, template, number = "", "", 0
    if pattern is not None:
        number = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 6, "custom": 8}[pattern.field]
        custom = pattern.field == "custom"
        verb = pattern.value.kind if custom else pattern.field.upper()
        template = pattern.value.path if custom else pattern.value
    return HttpRule(
        verb=verb,
        template=template,
        pattern=number,
        body=message.body,
        response_body=message.response_body,
        additional=tuple(_http_rule(rule) for rule in message.additional_bindings),
    )
