"""What callers get wrong, and servers that ask for too much patience: told at once, with no secret in it."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import Any

import pytest
from google.rpc import code_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import HttpOptions
from codegen.runtime.client.http import HttpClient
from codegen.runtime.client.http_sync import HttpSyncClient
from codegen.runtime.client.retries import RetryBudget
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error
from tests.codegen.gallery.generated import generated
from tests.codegen.runtime.client.both import KINDS, client_of, pb, refused
from tests.codegen.runtime.client.scripted import answer, scripted

GET = pb("GetPaintingRequest", name="rooms/1/paintings/1")
WATCH = pb("WatchRequest", room="rooms/1")
EVENT = pb("Event", id=1)
CREATE = pb("CreatePaintingRequest", parent="rooms/1")

kinds = pytest.mark.parametrize("kind", KINDS)


async def failed(call: Any) -> Error:
    with pytest.raises(Error) as error:
        await asyncio.wait_for(call, 20)
    return error.value


@kinds
@pytest.mark.parametrize("later", ["86400", "1e300"])
async def test_a_stream_does_not_wait_as_long_as_any_server_asks(kind: str, later: str) -> None:
    busy = answer(429, {"code": code_pb2.RESOURCE_EXHAUSTED}, retry_after=later)
    async with scripted(busy) as server, client_of(kind, server.url) as both:
        error = await asyncio.wait_for(refused(both.many("watch", WATCH)), 10)
        assert error.retry_after == float(later)
        assert len(server.requests) == 1


@kinds
@pytest.mark.parametrize("seconds", [0, -1])
async def test_without_time_left_nothing_is_sent(kind: str, seconds: float) -> None:
    options = HttpOptions(timeout=seconds)
    async with scripted(answer(200, {})) as server, client_of(kind, server.url) as both:
        calls = [
            both.one("get_painting", GET, options),
            both.many("watch", WATCH, options),
            both.one("upload", [pb("PutImageRequest", name=GET.name)], options),
            both.many("talk", [EVENT], options),
        ]
        for call in calls:
            assert (await failed(call)).reason is reasons.DEADLINE_EXCEEDED
        assert not server.requests


@kinds
@pytest.mark.parametrize("seconds", [1e300, float("inf")])
async def test_more_time_than_anybody_has_is_no_limit(kind: str, seconds: float) -> None:
    options = HttpOptions(timeout=seconds)
    async with scripted(answer(200, {"title": "Lilies"})) as server, client_of(kind, server.url) as both:
        assert (await both.one("get_painting", GET, options)).title == "Lilies"
        assert "x-request-timeout" not in server.headers()


def test_a_timeout_is_a_number() -> None:
    with pytest.raises(ValueError, match="no number"):
        HttpOptions(timeout=float("nan"))


@kinds
async def test_a_path_that_is_too_long_for_a_url_is_a_typed_error(kind: str) -> None:
    request = pb("GetPaintingRequest", name="rooms/1/paintings/" + "x" * 70_000)
    async with scripted(answer(200, {})) as server, client_of(kind, server.url) as both:
        assert (await failed(both.one("get_painting", request))).reason is reasons.TOO_LARGE
        assert not server.requests


@kinds
@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
async def test_where_a_request_ends_is_not_for_callers_to_say(kind: str, name: str) -> None:
    options = HttpOptions(headers={name: "5"})
    async with scripted(answer(200, {})) as server, client_of(kind, server.url) as both:
        error = await failed(both.one("upload", [pb("PutImageRequest", name=GET.name)], options))
        assert error.reason is reasons.INVALID_FIELD
        assert not server.requests


@kinds
@pytest.mark.parametrize("token", ["sesame\n", "sesame\r\nx-evil: yes", "sésame"])
async def test_a_token_that_is_no_header_is_refused_without_being_repeated(kind: str, token: str) -> None:
    async with scripted(answer(200, {})) as server, client_of(kind, server.url, token) as both:
        for call in (both.many("talk", [EVENT]), both.one("create_painting", CREATE)):
            error = await failed(call)
            assert error.reason is reasons.INVALID_FIELD
            assert "same" not in "".join(traceback.format_exception(error))
        assert not server.requests


@pytest.mark.parametrize(
    "url",
    ["http://me:sesame@host", "http://me:sesame@[::1", "http://me:ses/ame@h", "http://h/?", "http://h#"],
)
def test_a_url_that_will_not_do_is_refused_and_its_password_is_not_told(url: str) -> None:
    registry = generated().descriptors.registry()
    for kind in (HttpClient, HttpSyncClient):
        with pytest.raises(ValueError, match=r"is no URL|is not an address") as error:
            kind(url, registry)
        told = "".join(traceback.format_exception_only(error.value))
        assert "ses" not in told


def test_settings_do_not_show_the_password_of_their_proxy() -> None:
    assert "sesame" not in repr(HttpClientSettings(proxy="http://me:sesame@proxy"))


@pytest.mark.parametrize("method", ["unary", "server_stream", "client_stream", "bidi"])
async def test_a_token_that_does_not_come_ends_a_call_in_time(method: str) -> None:
    asked = asyncio.Event()

    async def never() -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    route = next(each for each in generated().routes if each.method.name == "Talk")
    request = [EVENT] if method in {"client_stream", "bidi"} else EVENT
    async with HttpClient("http://127.0.0.1:9", generated().descriptors.registry(), never) as channel:
        answer = getattr(channel, method)(route, request, pb("Event").__class__, HttpOptions(timeout=0.2))
        assert (
            await failed(anext(answer, None) if method in {"server_stream", "bidi"} else answer)
        ).reason is (reasons.DEADLINE_EXCEEDED)
    assert asked.is_set()


async def test_a_timeout_of_the_callers_own_requests_is_raised_as_it_is() -> None:
    async def slow() -> Any:
        raise TimeoutError("mine")
        yield

    async with client_of("asyncio", "http://127.0.0.1:9") as both:
        with pytest.raises(TimeoutError, match="mine"):
            await both.one("upload", slow())


def test_threads_together_repeat_no_more_than_their_budget_allows() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert _spent_by_threads(RetryBudget(most=5000.0, share=0.0)) == 5000
    finally:
        sys.setswitchinterval(before)


def _spent_by_threads(budget: RetryBudget) -> int:
    spent: list[int] = []

    def run() -> None:
        count = 0
        for _ in range(5000):
            budget.earn()
            count += budget.spend()
        spent.append(count)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(spent)
