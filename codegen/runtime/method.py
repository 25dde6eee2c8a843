"""Tables that generated code declares: services, methods, policies, streams, groups, sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from google.protobuf.message import Message

E = TypeVar("E", bound=Message)


class Auth(Enum):
    """Who may call a method; `idiom.v1.Auth`."""

    UNSPECIFIED = 0
    NONE = 1
    USER = 2
    SERVICE = 3


class Discovery(Enum):
    """How a client picks an instance; `idiom.v1.Discovery`."""

    UNSPECIFIED = 0
    ROUND_ROBIN = 1
    BY_INSTANCE = 2


class Retry(Enum):
    """Whether a client may repeat a call; `idiom.v1.Retry`."""

    UNSPECIFIED = 0
    NEVER = 1
    UNSENT = 2
    SAFE = 3


class Reconnect(Enum):
    """What a client does after a close code; `idiom.v1.Reconnect`."""

    UNSPECIFIED = 0
    BACKOFF = 1
    NOW = 2
    AUTHENTICATE = 3
    NEVER = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may call a method, and how; `idiom.v1.PolicyOptions`."""

    auth: Auth = Auth.UNSPECIFIED
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    rate: str = ""
    coalesce: bool = False
    affinity: str = ""
    deadline: float = 0.0
    """Seconds; 0 means the pipeline's default."""
    retry: Retry = Retry.UNSPECIFIED
    max_request_bytes: int = 0
    """0 means the server's limit."""
    idempotency_key: str = ""
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Http:
    """What `google.api.http` cannot say of a method; `idiom.v1.HttpOptions`.

    Fields are dotted proto names, empty where the schema names none.
    """

    etag: str = ""
    """Response field whose value is the ETag."""
    if_match: str = ""
    """Request field that If-Match fills."""
    sse_id: str = ""
    """Response field that is the id of a Server-Sent Event."""
    sse_cursor: str = ""
    """Request field that Last-Event-ID fills."""
    websocket: bool = False
    """Whether a method that streams both ways is served as a WebSocket."""


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc."""

    service: str
    """Full name of the service: `shop.v1.OrderService`."""
    name: str
    """As in the schema: `PlaceOrder`."""
    attribute: str
    """Name of the implementing Python method: `place_order`."""
    request: type[Message]
    response: type[Message]
    client_streaming: bool = False
    server_streaming: bool = False
    idempotent: bool = False
    """Whether a second call has no further effect; `idempotency_level`."""
    policy: Policy = Policy()
    http: Http = Http()

    @property
    def full_name(self) -> str:
        """`shop.v1.OrderService.PlaceOrder`."""
        return f"{self.service}.{self.name}"

    @property
    def path(self) -> str:
        """`/shop.v1.OrderService/PlaceOrder`."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Service:
    """One service of wire WIRE_RPC."""

    name: str
    """Full name."""
    target: str
    """Name under which instances that serve it register themselves."""
    discovery: Discovery
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Stream(Generic[E]):
    """One stream; `idiom.v1.StreamOptions`."""

    name: str
    message: type[E]
    order_by: str
    """Python name of the field that orders and partitions entries."""
    partitions: int
    """Number of partitions at the first start of a deployment."""
    sequence: str = ""
    """Field stamped with the number within the order key, and its field number."""
    sequence_number: int = 0
    epoch: str = ""
    """Field stamped with the epoch, and its field number."""
    epoch_number: int = 0
    retain: int = 0
    """Entries kept behind the last acknowledgement of all groups."""
    max_lag: int = 0
    groups: tuple[str, ...] = ()
    """Names of all consumer groups that the schema binds to the stream."""


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group; `idiom.v1.ConsumerOptions`."""

    name: str
    attribute: str
    """Name of the implementing Python method."""
    batch: int = 256
    max_attempts: int = 0
    backoff: float = 0.1
    """Seconds."""
    max_backoff: float = 5.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Consumer(Generic[E]):
    """One service of wire WIRE_CONSUMER."""

    name: str
    """Full name of the service."""
    stream: Stream[E]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class FrameCall:
    """A frame that calls an rpc."""

    frame: str
    """Member of the client frame's oneof."""
    request: str
    """Field of that member with the request message."""
    method: Method
    reply: str
    """Member of the server frame's oneof that carries the response in its field `response`."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One close code; `idiom.v1.CloseOptions`."""

    name: str
    """Value name without the enum's prefix; sent as the close reason."""
    code: int
    reconnect: Reconnect


@dataclass(frozen=True, slots=True)
class Socket:
    """One WebSocket endpoint; `idiom.v1.WebSocketOptions`."""

    method: Method
    path: str
    subprotocol: str
    """Prefix of `<prefix>.json` and `<prefix>.proto`."""
    oneof: str
    """Name of the oneof in the client frame that tells frames apart."""
    calls: tuple[FrameCall, ...]
    hello_timeout: float = 10.0
    """Seconds."""
    heartbeat: float = 20.0
    """Seconds."""
    max_frame_bytes: int = 131072
    send_queue_bytes: int = 1048576
    max_calls: int = 64


def services_by_name(services: Sequence[Service]) -> dict[str, Service]:
    """Services by their full names."""
    return {service.name: service for service in services}
