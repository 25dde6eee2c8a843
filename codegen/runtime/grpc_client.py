"""Calls to other services over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from google.protobuf.message import DecodeError, Message
from grpc import aio
from idiom.v1.reason_errors import DEADLINE_EXCEEDED, INTERNAL, NO_INSTANCE

from codegen.runtime.background import background
from codegen.runtime.coalescing.caller import Caller, LostCallError, NotCoalescedError
from codegen.runtime.context import Identity
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_failure import Verdict, error_of, lost, verdict_of
from codegen.runtime.grpc_link import GRACE, Link
from codegen.runtime.grpc_metadata import Metadata, sendable
from codegen.runtime.method import Discovery, Method, Service

if TYPE_CHECKING:
    from codegen.runtime.discovery import Instance
    from codegen.runtime.identity import ServiceTokens

R = TypeVar("R", bound=Message)

DEFAULT_TIMEOUT = 30.0
"""Seconds for a call that neither its caller nor its policy limits."""
REPEATS = 3
"""Times that a call which may have had its effect is made again, where its method allows that."""
UNREACHABLE_PATIENCE = 5.0
"""Seconds for which a call waits while instances are registered but none can be reached."""
UNREGISTERED_PATIENCE = 2.0
"""Seconds for which a call waits while no instance is registered."""
SHARE = 0.8
"""Part of a call's time that may be spent waiting for an instance."""
PAUSE = 0.05
"""Seconds between looks for an instance."""


@dataclass(slots=True)
class CallOptions:
    """What a caller may say about one call; not to be changed. As `Context`, it is not frozen."""

    identity: Identity | None = None
    """The user for whom the call is made; the service token vouches for it."""
    timeout: float | None = None
    """Seconds; None means the method's deadline."""
    instance: str = ""
    """Name of the instance to call; empty means any."""
    request_id: str = ""
    metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    """Keys that end in `-bin` have bytes."""
    response_metadata: dict[str, str | bytes] | None = None
    """Filled with what the service says beside its answer, before the answer is returned."""


DEFAULT_OPTIONS = CallOptions()


class Channel(Protocol):
    """How generated clients call. All failures are raised as Error."""

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        ...

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        ...

    def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncIterator[R]:
        """Many requests, many responses."""
        ...

    def stream_bytes(
        self, method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncIterator[bytes]:
        """Requests and responses of a method that streams either way, serialized."""
        ...


class Directory(Protocol):
    """The instances of one target, as Upstreams sees them: watched or fixed."""

    def all(self) -> tuple[Instance, ...]:
        """All live instances."""
        ...

    def get(self, name: str) -> Instance | None:
        """The live instance of that name."""
        ...

    async def changed(self) -> None:
        """Waits until the next change."""
        ...


class Upstreams:
    """Channel to the live instances of other services.

    A call goes to connected instances in turn. If it surely had no effect it is made again on another one; if
    it may have had its effect, only where the method's policy says SAFE. While no instance can be reached it
    waits a little within its deadline; a call to a named instance never waits.
    """

    def __init__(
        self, services: Sequence[Service], instances: Mapping[str, Directory], tokens: ServiceTokens | None
    ) -> None:
        """Take services, the watched instances of each of their targets, and who signs for this service."""
        self._targets = {service.name: service.target for service in services}
        self._directed = {s.name for s in services if s.discovery is Discovery.BY_INSTANCE}
        self._instances = {target: instances[target] for target in self._targets.values()}
        self._tokens = tokens
        self._links: dict[tuple[str, str], Link] = {}
        self._callers: dict[Link, Caller] = {}
        self._turn = 0
        self._followers: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start following the instances; opens no connection."""
        self._closed = False
        self._followers = [
            background(self._follow(target), f"upstreams {target}") for target in self._instances
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections; calls that are still under way fail."""
        self._closed = True
        tasks = [*self._followers, *self._closing]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for caller in self._callers.values():
            await caller.close()
        self._callers.clear()
        for link in self._links.values():
            await link.close()
        self._links.clear()

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        return parsed(response, await self.unary_bytes(method, request.SerializeToString(), options))

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        search = Search(options.timeout or method.policy.deadline or DEFAULT_TIMEOUT)
        while True:
            link = await self._found(method, options, search)
            try:
                return await self._attempt(link, method, request, options, search)
            except aio.AioRpcError as failure:
                if not search.goes_on(link, verdict_of(failure, method.policy.retry)):
                    raise error_of(failure) from failure
            except LostCallError as call:
                again = Verdict.ELSEWHERE if call.unsent else verdict_of(call.failure, method.policy.retry)
                if not search.goes_on(link, again):
                    raise error_of(call.failure) from call.failure

    async def _attempt(
        self, link: Link, method: Method, request: bytes, options: CallOptions, search: Search
    ) -> bytes:
        if method.policy.coalesce:
            with contextlib.suppress(NotCoalescedError):
                return await self._in_a_frame(link, method, request, options, search.left)
        metadata, told = self._metadata(options), options.response_metadata
        return await link.unary(method.path, request, metadata, search.left, told)

    async def _in_a_frame(
        self, link: Link, method: Method, request: bytes, options: CallOptions, left: float
    ) -> bytes:
        own = dict(sendable(_own(options)))
        try:
            with Deadline(left):
                caller = self._caller(link)
                return await caller.unary(method.path, request, own, left, options.response_metadata)
        except TimeoutError:
            raise Error(DEADLINE_EXCEEDED, "the deadline has passed") from None

    def _caller(self, link: Link) -> Caller:
        if (known := self._callers.get(link)) is not None:
            return known
        return self._callers.setdefault(link, Caller(link, self._credentials))

    def _credentials(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens.current()}"} if self._tokens else {}

    async def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncGenerator[R, None]:
        """Many requests, many responses, all with one instance."""
        stream = self.stream_bytes(method, serialized(requests), options)
        async with contextlib.aclosing(stream) as answers:
            async for data in answers:
                yield parsed(response, data)

    async def stream_bytes(
        self, method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncGenerator[bytes, None]:
        """Requests and responses of a method that streams either way, serialized; all with one instance."""
        search = Search(options.timeout or DEFAULT_TIMEOUT)
        link = await self._found(method, options, search)
        metadata, told = self._metadata(options), options.response_metadata
        stream = link.stream(method.path, requests, metadata, options.timeout, told)
        try:
            async with contextlib.aclosing(stream) as answers:
                async for data in answers:
                    yield data
        except aio.AioRpcError as failure:
            raise error_of(failure) from failure

    async def _found(self, method: Method, options: CallOptions, search: Search) -> Link:
        if method.service in self._directed and not options.instance:
            raise Error(INTERNAL, f"a call of {method.full_name} must name its instance")
        while True:
            if self._closed:
                raise error_of(lost())
            candidates = self._candidates(method, options.instance)
            for link in candidates:
                if link.address not in search.refused:
                    return link
            if options.instance or search.over(bool(candidates)):
                target = options.instance or self._targets[method.service]
                raise Error(NO_INSTANCE, f"no instance of {target} can be reached now")
            await asyncio.sleep(PAUSE)
            search.refused.clear()

    def _candidates(self, method: Method, name: str) -> list[Link]:
        """Links in the order in which they shall be tried: connected ones first, in turn."""
        target = self._targets[method.service]
        instances = self._instances[target]
        if name:
            named = instances.get(name)
            return [self._link(target, named)] if named else []
        links = [self._link(target, instance) for instance in instances.all()]
        self._turn += 1
        start = self._turn % max(1, len(links))
        return sorted(links[start:] + links[:start], key=lambda link: link.rank)

    def _link(self, target: str, instance: Instance) -> Link:
        key = (target, instance.address)
        if (link := self._links.get(key)) is None:
            link = self._links[key] = Link(instance.address)
        return link

    async def _follow(self, target: str) -> None:
        instances = self._instances[target]
        while True:
            live = {(target, instance.address) for instance in instances.all()}
            for key in [key for key in self._links if key[0] == target and key not in live]:
                self._retire(self._links.pop(key))
            await instances.changed()

    def _retire(self, link: Link) -> None:
        closing = asyncio.create_task(self._close(link), name=f"close {link.address}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, link: Link) -> None:
        try:
            await asyncio.gather(
                link.close(GRACE), *(known.close(GRACE) for known in [self._callers.get(link)] if known)
            )
        finally:
            self._callers.pop(link, None)
            await link.close()  # if the wait was cut short

    def _metadata(self, options: CallOptions) -> Metadata:
        return sendable({**_own(options), **self._credentials()})


def _own(options: CallOptions) -> dict[str, str | bytes]:
    """Metadata of one call, without credentials."""
    metadata: dict[str, str | bytes] = {key.lower(): value for key, value in options.metadata.items()}
    if options.request_id:
        metadata["x-request-id"] = options.request_id
    return {**metadata, **vouched(options.identity)}


class Search:
    """The attempts of one call to find an instance that answers."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._repeats = 0
        self.refused: set[str] = set()
        """Addresses that were tried in vain in this round."""

    @property
    def left(self) -> float:
        """Seconds until the call's deadline; a little at least, so that gRPC reports the deadline."""
        return max(0.001, self._began + self._seconds - time.monotonic())

    def over(self, registered: bool) -> bool:
        """Whether the call has waited long enough for an instance."""
        patience = UNREACHABLE_PATIENCE if registered else UNREGISTERED_PATIENCE
        return time.monotonic() - self._began >= min(patience, SHARE * self._seconds)

    def goes_on(self, link: Link, verdict: Verdict) -> bool:
        """Note a failed attempt; whether there may be another one."""
        self._repeats += verdict is Verdict.AGAIN
        self.refused.add(link.address)
        return verdict is not Verdict.FINAL and self._repeats <= REPEATS


def vouched(identity: Identity | None) -> dict[str, str]:
    """Metadata by which a service vouches for a user."""
    if identity is None or not identity.subject:
        return {}
    return {
        "idiom-subject": identity.subject,
        "idiom-login": identity.login,
        "idiom-session": identity.session,
        "idiom-scopes": " ".join(sorted(identity.scopes)),
    }


def parsed(response: type[R], data: bytes) -> R:
    """The response that the bytes hold.

    Raises:
        Error: INTERNAL: they hold none.
    """
    try:
        return response.FromString(data)
    except DecodeError:
        name = response.DESCRIPTOR.full_name
        raise Error(INTERNAL, f"the response is not a serialized {name}") from None


async def serialized(requests: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    """Requests as gRPC sends them."""
    async for request in requests:
        yield request.SerializeToString()
