"""What a schema says, resolved and checked: the one input of every back end.

`codegen.plugin.resolve` builds it from descriptors. Messages, fields and enums stay `protobuf` descriptors
(`DescMessage`, `DescField`, `DescEnum`): they are typed already. Everything that options add is here. A back
end may trust what it finds: whatever could be wrong was reported before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protobuf import (
    DescEnum,
    DescEnumValue,
    DescField,
    DescFile,
    DescMessage,
    DescMethod,
    DescOneof,
    DescService,
)
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from codegen.plugin.template import Template

Position = tuple[str, int, int]
"""File, line and column, from 1; line and column are 0 where nobody knows."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may call a method, and how; `idiom.v1.PolicyOptions`."""

    auth: str = "UNSPECIFIED"
    """Name of `idiom.v1.Auth` without prefix; likewise `retry` and `durability`."""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    rate: str = ""
    coalesce: bool = False
    affinity: str = ""
    deadline_ms: int = 0
    retry: str = "UNSPECIFIED"
    max_request_bytes: int = 0
    durability: str = "UNSPECIFIED"
    idempotency_key: str = ""
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a path template, bound to a field."""

    path: tuple[DescField, ...]
    """From the request down to the field."""
    start: int
    """Index of its first segment in the template."""
    end: int
    """Index after its last segment. Behind `**` it counts from the end: -1 is the end of the path."""

    @property
    def names(self) -> tuple[str, ...]:
        """Proto names along the path."""
        return tuple(step.name for step in self.path)


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """A leaf of the request that is bound by neither path nor body."""

    path: tuple[DescField, ...]
    """From the request down to the field; the last one may be repeated, never a map."""

    @property
    def name(self) -> str:
        """Proto names, dotted."""
        return ".".join(step.name for step in self.path)

    @property
    def json_name(self) -> str:
        """JSON names, dotted."""
        return ".".join(step.json_name for step in self.path)


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP rule of a method; `google.api.HttpRule`."""

    verb: str
    """Upper case; `*` means any verb."""
    template: Template
    variables: tuple[Variable, ...]
    body: str
    """`*`, the proto name of a request field, or empty."""
    body_field: DescField | None
    """The field that `body` names."""
    response_body: str
    response_field: DescField | None
    query: tuple[QueryParameter, ...]
    position: Callable[[], Position] = field(repr=False, compare=False)
    """Where the pattern stands: in the schema, or in a service configuration."""


@dataclass(frozen=True, slots=True)
class Http:
    """What `google.api.http` cannot say of a method; `idiom.v1.HttpOptions`."""

    etag: tuple[DescField, ...] = ()
    """From the response down to the field; empty without one. Likewise the other paths."""
    if_match: tuple[DescField, ...] = ()
    """From the request."""
    sse_id: tuple[DescField, ...] = ()
    """From the response."""
    sse_cursor: tuple[DescField, ...] = ()
    """From the request."""
    websocket: bool = False
    allow_shadowed: bool = False
    """Whether another route may take what this method's routes would match."""


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc."""

    desc: DescMethod
    attribute: str
    """Python name of the implementing method."""
    index: int
    """Place among the methods of its service."""
    policy: Policy
    bindings: tuple[Binding, ...]
    http: Http = Http()

    @property
    def name(self) -> str:
        """As in the schema."""
        return self.desc.name

    @property
    def full_name(self) -> str:
        """`package.Service.Method`."""
        return f"{self.desc.parent.type_name}.{self.desc.name}"

    @property
    def input(self) -> DescMessage:
        """Type of requests."""
        return self.desc.input

    @property
    def output(self) -> DescMessage:
        """Type of responses."""
        return self.desc.output

    @property
    def idempotent(self) -> bool:
        """Whether a second call has no further effect; `idempotency_level`."""
        levels = MethodOptions.IdempotencyLevel
        return self.desc.idempotency in (levels.NO_SIDE_EFFECTS, levels.IDEMPOTENT)

    @property
    def client_streaming(self) -> bool:
        """Whether the client sends a stream."""
        return self.desc.method_kind in {"client_streaming", "bidi_streaming"}

    @property
    def server_streaming(self) -> bool:
        """Whether the server sends a stream."""
        return self.desc.method_kind in {"server_streaming", "bidi_streaming"}


@dataclass(frozen=True, slots=True)
class Service:
    """One service."""

    desc: DescService
    wire: str
    """Name of `idiom.v1.Wire` without prefix: RPC, CONSUMER or SOCKET. A service without option is RPC."""
    discovery: str
    """Name of `idiom.v1.Discovery` without prefix."""
    target: str
    methods: tuple[Method, ...]

    @property
    def name(self) -> str:
        """As in the schema."""
        return self.desc.name

    @property
    def full_name(self) -> str:
        """`package.Service`."""
        return self.desc.type_name


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One binding of a method, as a gateway serves it."""

    method: Method
    binding: Binding

    def __str__(self) -> str:
        """`GET /v1/orders of shop.v1.Orders.List`."""
        return f"{self.binding.verb} {self.binding.template.source} of {self.method.full_name}"


@dataclass(frozen=True, slots=True)
class Stream:
    """A message that is the payload of a stream; `idiom.v1.StreamOptions`."""

    message: DescMessage
    name: str
    order_by: DescField
    partitions: int
    sequence: DescField | None
    epoch: DescField | None
    retain: int
    max_lag: int
    min_reader_version: DescField | None
    groups: tuple[str, ...]
    """Of every consumer in the run, in order of files and methods."""


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group; `idiom.v1.ConsumerOptions`."""

    method: Method
    name: str
    batch: int
    max_attempts: int
    backoff_ms: int
    max_backoff_ms: int
    park_ms: int
    park_entries: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """One service of wire CONSUMER."""

    service: Service
    stream: Stream
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class FrameCall:
    """A member of the client frame's oneof that calls an rpc; `idiom.v1.FrameOptions`."""

    frame: DescField
    """The member."""
    request: DescField
    """Its field with the request."""
    service: Service
    method: Method
    reply: DescField
    """Member of the server frame's oneof; the response is in its field `response`."""


@dataclass(frozen=True, slots=True)
class Socket:
    """One method of a service of wire SOCKET; `idiom.v1.WebSocketOptions`."""

    service: Service
    method: Method
    path: str
    subprotocol: str
    oneof: DescOneof
    """Tells client frames apart."""
    reply_oneof: DescOneof
    """Tells server frames apart."""
    calls: tuple[FrameCall, ...]
    hello_timeout_ms: int
    heartbeat_ms: int
    max_frame_bytes: int
    send_queue_bytes: int
    max_calls: int


@dataclass(frozen=True, slots=True)
class ErrorReason:
    """One value of an enum with an error domain."""

    desc: DescEnumValue
    name: str
    """Without the enum's prefix."""
    code: int
    """`google.rpc.Code`."""


@dataclass(frozen=True, slots=True)
class ErrorEnum:
    """An enum with an error domain; `idiom.v1.ErrorDomainOptions`."""

    desc: DescEnum
    domain: str
    reasons: tuple[ErrorReason, ...]


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One value of an enum of close codes; `idiom.v1.CloseOptions`."""

    desc: DescEnumValue
    name: str
    """Without the enum's prefix."""
    code: int
    reconnect: str
    """Name of `idiom.v1.Reconnect` without prefix."""


@dataclass(frozen=True, slots=True)
class CloseEnum:
    """An enum whose values are close codes."""

    desc: DescEnum
    codes: tuple[CloseCode, ...]


@dataclass(slots=True)
class File:
    """One file of the schema."""

    desc: DescFile
    services: tuple[Service, ...] = ()
    streams: tuple[Stream, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    sockets: tuple[Socket, ...] = ()
    errors: tuple[ErrorEnum, ...] = ()
    closes: tuple[CloseEnum, ...] = ()

    @property
    def path(self) -> str:
        """As imported: `shop/v1/order.proto`."""
        return self.desc.name

    @property
    def package(self) -> str:
        """Proto package."""
        return self.desc.proto.package


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything of one run."""

    files: tuple[File, ...]
    """The files for which output is wanted, sorted by path."""
    dependencies: tuple[DescFile, ...]
    """Every file of the request, dependencies before dependents; for descriptor sets."""
    services: Mapping[str, Service]
    """Every service of the request by full name, those of unwanted files too."""
    shadowed: tuple[tuple[Route, Route], ...]
    """Routes that are left out, by leave of their methods: each with the one that has the same paths."""
    comments: Callable[[Described], tuple[str, ...]] = field(repr=False)
    """Lines of the comment on a descriptor, leading before trailing; empty without one."""


Described = DescEnum | DescEnumValue | DescField | DescMessage | DescMethod | DescOneof | DescService
