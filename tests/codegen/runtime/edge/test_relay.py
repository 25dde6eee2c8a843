"""What an edge itself refuses: the channel behind it never hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from codegen.runtime.context import Context, Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_call import parsed
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.relay import Relay
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import USER_KEY

LIMIT = 2000


class Heard:
    """A channel that notes what it is given."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.options: list[CallOptions] = []

    async def unary_bytes(self, _method: Method, request: bytes, options: CallOptions) -> bytes:
        self.requests.append(request)
        self.options.append(options)
        return b""

    async def stream_bytes(
        self, _method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncIterator[bytes]:
        self.options.append(options)
        async for each in requests:
            self.requests.append(each)
        yield b""


@pytest.fixture
def emptied() -> None:
    """There is nothing to empty."""


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def relay(heard: Heard) -> Relay:
    pipeline = Pipeline(Authenticator(UserTokens(USER_KEY, 3600), None), max_request_bytes=LIMIT)
    channel: Any = heard
    return Relay(pipeline, channel, HttpSettings())


def method(name: str) -> Method:
    found: Method = next(each for each in generated().rpc.GALLERY_SERVICE.methods if each.name == name)
    return found


def admitted(relay: Relay, name: str, timeout: float | None = None) -> Context:
    token, _ = UserTokens(USER_KEY, 3600).issue("5", "7")
    return relay.admit(method(name), {"authorization": f"Bearer {token}"}, Wire.GRPC, timeout)


async def call(relay: Relay, name: str, request: Any) -> None:
    """By both ways of calling once: they refuse the same."""
    data = request.SerializeToString()
    try:
        await relay.unary(method(name), request, data, admitted(relay, name))
    except Error as error:
        with pytest.raises(Error, match=error.reason.name):
            await relay.once(method(name), request, data, admitted(relay, name))
        raise
    await relay.once(method(name), request, data, admitted(relay, name))


async def stream(relay: Relay, name: str, requests: Iterable[Any]) -> None:
    async def sent() -> AsyncIterator[bytes]:
        for each in requests:
            yield each.SerializeToString()

    def read(data: bytes) -> tuple[Any, bytes]:
        return parsed(method(name), data), data

    async for _ in relay.stream(method(name), sent(), read, admitted(relay, name)):
        pass


async def test_what_breaks_a_rule_goes_no_further(relay: Relay, heard: Heard) -> None:
    with pytest.raises(Error, match="page_size"):
        await call(relay, "ListTitles", generated().pb.ListTitlesRequest(page_size=101))
    good, broken = generated().pb.Event(text="good"), generated().pb.Event(text="x" * 1001)
    for name in ("Record", "Talk"):
        with pytest.raises(Error, match="VALIDATION_FAILED"):
            await stream(relay, name, [broken])
    assert heard.requests == []
    with pytest.raises(Error, match="VALIDATION_FAILED"):
        await stream(relay, "Record", [good, broken, good])
    assert heard.requests == [good.SerializeToString()]


async def test_what_is_too_large_goes_no_further(relay: Relay, heard: Heard) -> None:
    fits = generated().pb.ListTitlesRequest(parent="x" * (LIMIT - 3))
    await call(relay, "ListTitles", fits)
    assert [len(heard.requests.pop()) for _ in "12"] == [LIMIT] * 2
    with pytest.raises(Error, match="TOO_LARGE"):
        await call(relay, "ListTitles", generated().pb.ListTitlesRequest(parent="x" * (LIMIT - 2)))
    large = generated().pb.PutImageRequest(name="x" * LIMIT)
    with pytest.raises(Error, match="TOO_LARGE"):
        await stream(relay, "Upload", [large])
    assert heard.requests == []


async def test_only_the_callers_own_timeout_ends_a_stream(relay: Relay) -> None:
    assert admitted(relay, "Watch").remaining is None
    assert 4 < (admitted(relay, "Watch", 5.0).remaining or 0) <= 5
    assert (admitted(relay, "Watch", 1000.0).remaining or 0) > 900
    assert 0 < (admitted(relay, "ListTitles").remaining or 0) <= 30
    assert 0 < (admitted(relay, "ListTitles", 1000.0).remaining or 0) <= 30


async def test_the_channel_is_told_who_calls_until_when(relay: Relay, heard: Heard) -> None:
    token, _ = UserTokens(USER_KEY, 3600).issue("5", "7")
    metadata = {"authorization": f"Bearer {token}", "x-request-id": "r1", "idiom-subject": "1"}
    context = relay.admit(method("CreatePainting"), metadata, Wire.HTTP, 2.0)
    request = generated().pb.CreatePaintingRequest(painting={})
    await relay.unary(method("CreatePainting"), request, request.SerializeToString(), context)
    (options,) = heard.options
    assert options.identity is not None
    assert (options.identity.subject, options.identity.login, options.request_id) == ("5", "7", "r1")
    assert 1 < (options.timeout or 0) <= 2
    assert not options.metadata
