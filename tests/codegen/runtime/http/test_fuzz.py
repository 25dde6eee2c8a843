"""Random requests: always an answer or a typed refusal."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.conftest import KEY
from tests.codegen.runtime.http.request import Client, Response
from tests.codegen.runtime.http.schema import Schema, schema
from tests.codegen.runtime.http.shelf import Shelf

SETTINGS = settings(
    max_examples=300,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CHARACTERS = st.characters(min_codepoint=1, max_codepoint=255)
RAW = st.text(CHARACTERS, max_size=30)
ESCAPED = st.binary(max_size=8).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw))
PIECE = st.one_of(RAW, ESCAPED, st.sampled_from(["%", "%F", ":", "//", "..", "a", "5", "true", "RED", "%2F"]))
SEGMENT = st.lists(PIECE, max_size=3).map("".join).map(lambda text: text.replace("?", ""))
NAMES = [field.name for field in schema().registry.message("tests.http.v1.Everything").fields]  # type: ignore[union-attr]
NAME = st.one_of(st.sampled_from([*NAMES, "inner.name", "inner.inner.number", "middle.tags"]), SEGMENT)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.just("RED"),
        st.just("1"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(NAMES), st.just("@type"), st.text(max_size=4)), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
HEADERS = ["accept", "content-type", "authorization", "grpc-timeout", "x-request-timeout", "x-request-id"]
HEADERS += [
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "traceparent",
    "idiom-subject",
    "cookie",
]


def _send(client: Client, verb: str, *request: Any) -> Response:
    async def bounded() -> Response:
        async with asyncio.timeout(5):
            return await client.send(verb, *request)

    response = asyncio.run(bounded())
    assert 200 <= response.status < 500, response.content
    if response.status == 400 and verb != "HEAD":
        assert response.reason
    return response


def _app(schema: Schema, shelf: Shelf, settings: HttpSettings) -> FastAPI:
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), None), max_request_bytes=1_000_000)
    made = FastAPI(redirect_slashes=False)
    routes, registry = schema.routes, schema.registry
    mount(made, Dispatch(routes, registry=registry, pipeline=pipeline, channel=shelf, settings=settings), {})
    return made


@pytest.fixture
def lenient_app(schema: Schema, shelf: Shelf) -> FastAPI:
    """Passes over what it does not know."""
    return _app(schema, shelf, HttpSettings(ignore_unknown_fields=True, ignore_unknown_parameters=True))


@pytest.fixture
def large_app(schema: Schema, shelf: Shelf) -> FastAPI:
    """Reads all of what hostile callers send."""
    return _app(schema, shelf, HttpSettings())


@pytest.fixture(autouse=True)
def no_defects(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@SETTINGS
@given(
    verb=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]),
    head=st.sampled_from(
        ["/v1/texts/", "/v1/files/", "/v1/one/shelves/", "/v1/typed/int32/", "/v1/any/", "/"]
    ),
    segments=st.lists(SEGMENT, max_size=4),
)
def test_any_path(app: FastAPI, verb: str, head: str, segments: list[str]) -> None:
    _send(Client(app), verb, head + "/".join(segments))


@SETTINGS
@given(pairs=st.lists(st.tuples(NAME, SEGMENT), max_size=5), separator=st.sampled_from(["&", ";", "&&"]))
def test_any_query(app: FastAPI, pairs: list[tuple[str, str]], separator: str) -> None:
    _send(Client(app), "GET", "/v1/query?" + separator.join(f"{name}={value}" for name, value in pairs))


TARGETS = [
    *("POST /v1/everything", "POST /v1/body/inner/a", "POST /v1/body/numbers", "POST /v1/body/named"),
    *("POST /v1/response/named", "POST /v1/response/value", "PUT /v1/inner/a/b", "PATCH /v1/inner/a"),
    *("PATCH /v1/change", "PATCH /v1/change/a", "PATCH /v1/change:whole", "POST /v1/attach/content"),
]


@SETTINGS
@given(target=st.sampled_from(TARGETS), value=JSON, lenient=st.booleans())
def test_any_json(app: FastAPI, lenient_app: FastAPI, target: str, value: Any, lenient: bool) -> None:
    try:
        body = orjson.dumps(value)
    except (TypeError, ValueError):
        return
    _send(Client(lenient_app if lenient else app), *target.split(" "), body)


@SETTINGS
@given(target=st.sampled_from(TARGETS), body=st.binary(max_size=200), binary=st.booleans())
def test_any_bytes(app: FastAPI, target: str, body: bytes, binary: bool) -> None:
    headers = {"content-type": "application/x-protobuf"} if binary else {}
    _send(Client(app), *target.split(" "), body, headers)


@SETTINGS
@given(
    target=st.sampled_from(["/v1/raw", "/v1/raw/typed/a%0Ab", "/v1/attach/a", "/v1/attach/a/echo"]),
    body=st.binary(max_size=200),
    content_type=RAW,
)
def test_any_content(app: FastAPI, target: str, body: bytes, content_type: str) -> None:
    _send(Client(app), "POST", target, body, {"content-type": content_type})


@SETTINGS
@given(body=st.binary(min_size=1, max_size=60))
def test_any_damage_to_json(app: FastAPI, body: bytes) -> None:
    whole = b'{"text":"a","inner":{"name":"b"},"numbers":[1,2],"left":"c","time":"2024-01-01T00:00:00Z"}'
    place = body[0] % len(whole)
    _send(Client(app), "POST", "/v1/everything", whole[:place] + body[1:] + whole[place + len(body) % 3 :])


@SETTINGS
@given(headers=st.lists(st.tuples(st.sampled_from(HEADERS), RAW), max_size=6), body=st.binary(max_size=20))
def test_any_headers(app: FastAPI, headers: list[tuple[str, str]], body: bytes) -> None:
    for target in ("/v1/users", "/v1/everything"):
        response = asyncio.run(Client(app).send("POST", target, [body], headers))
        assert response.status in {200, 400, 401, 406, 413, 415, 504}


MAX_BYTES = 64 << 20
"""Most memory for a hostile body of up to half a megabyte, a hundred times as much."""
COMB = b'{"inner":' * 90 + b'{"tags":[' + b'"",' * 50_000 + b'""]}' + b"}" * 90
BUSH = b'{"everything":' + b'{"inner":' * 90 + b'{"nope":0}' + b"}" * 91
ANY = b'{"@type":"x/google.protobuf.Any","value":'
SELF = b'{"@type":"x/tests.http.v1.Everything","any":'
ANYS = (40, 48, 49, 50, 51, 98, 99, 100, 101, 200, 500)
HOSTILE = [
    ("POST /v1/everything", b'{"inner":' * 50_000),
    ("POST /v1/everything", b'{"value":' + b"[" * 200_000),
    ("POST /v1/everything", b'{"value":' + b"[" * 900 + b"]" * 900 + b"}"),
    ("POST /v1/everything", b'{"' + b"a" * 500_000 + b'":1}'),
    ("POST /v1/everything", b'{"counts":{' + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}}"),
    ("POST /v1/everything", b'{"counts":{' + b",".join(b'"a":1' for _ in range(20_000)) + b"}}"),
    ("POST /v1/everything", b'{"int64Value":' + b"9" * 500_000 + b"}"),
    ("POST /v1/everything", b'{"int64Value":"' + b"9" * 500_000 + b'"}'),
    ("POST /v1/everything", b'{"doubleValue":"1e' + b"9" * 500_000 + b'"}'),
    ("POST /v1/everything", b'{"int32Value":"1e' + b"9" * 9 + b'"}'),
    ("POST /v1/everything", b'{"duration":"' + b"9" * 500_000 + b's"}'),
    ("POST /v1/everything", b'{"time":"' + b"9" * 500_000 + b'Z"}'),
    ("POST /v1/everything", b'{"mask":"' + b"a." * 200_000 + b'"}'),
    ("POST /v1/everything", b'{"mask":"' + b"a," * 200_000 + b'a!"}'),
    ("POST /v1/everything", b'{"text":"' + b":" * 200_000 + b'","text":"a"}'),
    ("POST /v1/everything", b'{"numbers":[' + b"1," * 20_000 + b'"x"]}'),
    *(("POST /v1/everything", b'{"any":' + ANY * deep + b"{}" + b"}" * (deep + 1)) for deep in ANYS),
    *(("POST /v1/everything", b'{"any":' + SELF * deep + b"{}" + b"}" * (deep + 1)) for deep in ANYS),
    *(("POST /v1/everything", b'{"inner":' * deep + b"{}" + b"}" * deep) for deep in ANYS),
    *(("POST /v1/everything", b'{"value":' + b"[" * deep + b"]" * deep + b"}") for deep in ANYS),
    *(("POST /v1/everything", b'{"struct":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}") for deep in ANYS),
    ("POST /v1/everything", b'{"floats":[' + b"3.4028235e38," * 5_000 + b"1]}"),
    ("PATCH /v1/change", COMB),
    ("PATCH /v1/change", BUSH[14:-1]),
    ("PATCH /v1/change:whole", BUSH),
    ("PATCH /v1/change", b"{" + b",".join(b'"k%d":{}' % n for n in range(10_000)) + b"}"),
    ("GET /v1/query?" + "&".join(["inner." * 31 + "name=a"] * 300), None),
    ("GET /v1/query?" + "&".join(f"nope{n}=a" for n in range(4000)), None),
    ("GET /v1/query?" + "numbers=1&" * 4000, None),
    ("GET /v1/query?text=" + "%41" * 20_000, None),
    ("GET /v1/files/" + "/" * 60_000 + ":stat", None),
    ("GET /v1/files/" + "a:" * 30_000, None),
]  # fmt: skip


@pytest.mark.parametrize(("request_line", "body"), HOSTILE, ids=lambda part: str(part)[:40])
def test_hostile_requests_end_soon_and_take_little(
    large_app: FastAPI, lenient_app: FastAPI, request_line: str, body: bytes | None
) -> None:
    verb, target = request_line.split(" ")
    for each in (large_app, lenient_app):
        tracemalloc.start()
        assert _send(Client(each), verb, target, body).status in (200, 400, 404)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < MAX_BYTES
