"""Whatever comes: an answer in time, and never a defect."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idiom.v1 import reason_errors as reasons

from codegen.runtime.connect import mount_connect
from codegen.runtime.errors import Error
from codegen.runtime.identity import UserTokens
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import USER_KEY
from tests.codegen.runtime.connect.conftest import SETTINGS, pipeline
from tests.codegen.runtime.connect.wire import END, TRAILERS, envelope, envelopes
from tests.codegen.runtime.http.request import Client, Response

SECONDS = 5.0
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TYPES = (
    *("application/json", "application/proto", "application/connect+json", "application/connect+proto"),
    *("application/grpc-web", "application/grpc-web+json", "application/grpc-web+proto"),
    *("application/grpc", "application/grpc-web-text", "text/plain"),
)
METHODS = ("GetPainting", "ListTitles", "Mirror", "Fail", "Watch", "Record", "Talk", "Nothing")
HEADERS = (
    *("accept-encoding", "authorization", "connect-accept-encoding", "connect-content-encoding"),
    *("connect-protocol-version", "connect-timeout-ms", "content-encoding", "grpc-accept-encoding"),
    *("grpc-encoding", "grpc-timeout", "traceparent", "x-proof-bin", "x-request-id", "x-tone"),
)
TOKEN = f"Bearer {UserTokens(USER_KEY, 3600).issue('5', '7')[0]}"
VALUES = st.one_of(
    st.sampled_from(["", "1", "0", "gzip", "br", "identity", "100", "1S", "9999999999", "AAEC", TOKEN]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=12),
)
JSON = st.sampled_from(
    [b"{}", b'{"count":1}', b'{"text":"a"}', b'{"name":"x"}', b'{"code":5}', b"[", b"null"]
)
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON,
    st.lists(st.builds(envelope, st.one_of(JSON, st.binary(max_size=20)), st.integers(0, 255))).map(b"".join),
    st.lists(st.builds(envelope, JSON)).map(b"".join),
)


class Echo:
    """A channel to a service that answers with what it is asked, or not at all."""

    async def unary_bytes(self, _method: Any, request: bytes, _options: Any) -> bytes:
        if len(request) % 7 == 3:
            raise Error(reasons.OVERLOADED, "ä" * len(request))
        return b""

    async def stream_bytes(self, method: Any, requests: Any, _options: Any) -> Any:
        async for _ in requests:
            if method.server_streaming:
                yield b""
        if not method.server_streaming:
            yield b""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def client() -> Client:
    app = FastAPI()
    channel: Any = Echo()
    mount_connect(
        app,
        [generated().rpc.GALLERY_SERVICE],
        registry=generated().descriptors.registry(),
        pipeline=pipeline(),
        channel=channel,
        settings=SETTINGS,
    )
    return Client(app)


@pytest.fixture
def gallery() -> Any:
    """No server is needed here."""
    return None


@pytest.fixture(autouse=True)
def emptied() -> None:
    """Nor is there anything to empty."""


@MANY
@given(
    method=st.sampled_from(METHODS),
    kind=st.one_of(st.sampled_from(TYPES), VALUES),
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), VALUES), max_size=5),
    body=BODIES,
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_a_post_gets_an_answer_of_its_protocol(  # noqa: PLR0913, PLR0917 - what hypothesis draws
    runner: asyncio.Runner, client: Client, method: str, kind: str, headers: Any, body: bytes, cuts: list[int]
) -> None:
    parts = _parts(body, cuts)
    sending = client.send(
        "POST", f"/gallery.v1.GalleryService/{method}", parts, [("content-type", kind), *headers]
    )
    _check(runner.run(asyncio.wait_for(sending, SECONDS)))


@MANY
@given(
    method=st.sampled_from(METHODS),
    query=st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="# \r\n\0?"), max_size=40),
        st.builds(
            "encoding={}&base64={}&compression={}&message={}".format,
            st.sampled_from(["json", "proto", "xml", ""]),
            st.sampled_from(["0", "1", ""]),
            st.sampled_from(["", "identity", "gzip", "br", "zstd"]),
            st.text('{}[]%7BAz-_=+09"', max_size=20),
        ),
    ),
)
def test_a_get_gets_an_answer(runner: asyncio.Runner, client: Client, method: str, query: str) -> None:
    sending = client.send("GET", f"/gallery.v1.GalleryService/{method}?{query}")
    _check(runner.run(asyncio.wait_for(sending, SECONDS)))


def _parts(body: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, *cuts, len(body)} & set(range(len(body) + 1)))
    return [body[start:end] for start, end in itertools.pairwise(at)] or [b""]


def _check(response: Response) -> None:
    assert response.headers["x-request-id"]
    kind = response.headers["content-type"]
    if response.status != 200:
        assert response.status in (400, 401, 404, 405, 415, 429, 501, 504)
        assert kind == "application/json"
        error = response.json()
        assert set(error) == {"code", "message", "details"}
        assert error["code"] not in ("internal", "unknown")
    elif kind.startswith(("application/connect+", "application/grpc-web")):
        *_, (flags, data) = envelopes(response.content)
        compressed = flags & 1
        assert flags & ~1 == (END if "connect" in kind else TRAILERS)
        if not compressed and "connect" in kind:
            assert orjson.loads(data).get("error", {}).get("code") not in ("internal", "unknown")
        elif not compressed:
            assert b"grpc-status: 13" not in data
            assert b"grpc-status: 2\r\n" not in data
