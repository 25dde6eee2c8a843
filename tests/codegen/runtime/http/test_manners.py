"""What HTTP itself asks for: statuses, headers, formats, sizes, deadlines and identity."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from idiom.v1 import reason_errors as reasons
from starlette.requests import Request
from starlette.responses import Response as Answer

from codegen.runtime.errors import HTTP_STATUS, Error, FieldViolation, to_status
from codegen.runtime.identity import UserTokens
from codegen.runtime.transcoding.http_error import body_of
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.shelf import Shelf


@pytest.mark.parametrize("code", [code for code in sorted(HTTP_STATUS) if code])
async def test_a_code_has_its_status(client: Client, code: int) -> None:
    response = await client.send("GET", f"/v1/fail/{code}")
    assert response.status == HTTP_STATUS[code]
    body = response.json()
    assert (body["code"], body["message"]) == (code, "as asked")
    assert body["details"][0]["metadata"] == {"k": "v"}
    assert response.headers.get("retry-after") == ("2" if code == code_pb2.UNAVAILABLE else None)


def test_an_error_is_a_status_in_json() -> None:
    error = Error(reasons.VALIDATION_FAILED, 'ünd "so"', [FieldViolation("a.b", "no")], 1.5, {"k": "v"})
    parsed = json_format.Parse(body_of(error), status_pb2.Status())
    assert parsed == to_status(error)


@pytest.mark.parametrize(
    ("headers", "status", "reason", "challenge"),
    [
        ({}, 401, "TOKEN_MISSING", "Bearer"),
        ({"authorization": "Bearer x"}, 401, "TOKEN_INVALID", 'Bearer error="invalid_token"'),
        ({"authorization": "Basic x"}, 401, "TOKEN_INVALID", 'Bearer error="invalid_token"'),
        ({"authorization": ""}, 401, "TOKEN_INVALID", 'Bearer error="invalid_token"'),
        ({"idiom-subject": "1"}, 401, "TOKEN_MISSING", "Bearer"),
    ],
)
async def test_who_is_unknown_is_refused_before_the_body_is_read(
    client: Client, headers: dict[str, str], status: int, reason: str, challenge: str
) -> None:
    response = await client.post("/v1/users", b"{", headers)
    assert (response.status, response.reason) == (status, reason)
    assert response.headers["www-authenticate"] == challenge


async def test_a_token_makes_an_identity(client: Client, tokens: UserTokens, shelf: Shelf) -> None:
    token, _ = tokens.issue("5", "7", ["read"])
    headers = {"authorization": f"Bearer {token}", "idiom-subject": "6", "idiom-scopes": "write"}
    assert (await client.post("/v1/users", {}, headers)).status == 200
    identity = shelf.calls[-1][1].identity
    assert identity is not None
    assert (identity.subject, identity.login, identity.scopes) == ("5", "7", frozenset({"read"}))
    scoped = await client.send("GET", "/v1/scoped", headers=headers)
    assert (scoped.status, scoped.reason) == (403, "FORBIDDEN")
    service = await client.send("GET", "/v1/services", headers=headers)
    assert (service.status, service.reason) == (403, "FORBIDDEN")


async def test_two_authorization_headers_are_no_authorization(client: Client, tokens: UserTokens) -> None:
    token, _ = tokens.issue("5", "7")
    twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    response = await client.send("GET", "/v1/scoped", headers=twice)
    assert (response.status, response.reason) == (401, "TOKEN_INVALID")


async def test_a_method_without_a_policy_is_for_nobody(client: Client, tokens: UserTokens) -> None:
    token, _ = tokens.issue("5", "7")
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        response = await client.send("GET", "/v1/forgotten", headers=headers)
        assert (response.status, response.reason) == (403, "FORBIDDEN")


async def test_an_open_method_does_not_mind_a_bad_token(client: Client) -> None:
    response = await client.send("GET", "/v1/query", headers={"authorization": "Bearer x"})
    assert response.status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        'application/json; charset="utf-8"; x=y',
        "application/json;",
    ],
)
async def test_json_may_be_called_json(client: Client, content_type: str) -> None:
    response = await client.send("POST", "/v1/everything", b"{}", {"content-type": content_type})
    assert response.status == 200


async def test_a_body_without_a_type_is_json(client: Client) -> None:
    assert (await client.send("POST", "/v1/everything", b'{"text":"a"}')).json() == {"text": "a"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
        {"content-type": "\xff"},
        {"content-type": "application/json", "content-encoding": "zstd"},
    ],
)
async def test_another_format_is_refused(client: Client, headers: dict[str, str]) -> None:
    response = await client.send("POST", "/v1/everything", b"{}", headers)
    assert (response.status, response.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/x-protobuf", "application/x-protobuf"),
        ("Application/X-Protobuf", "application/x-protobuf"),
        ("application/json;q=0.5, application/x-protobuf", "application/x-protobuf"),
        ("application/json, application/x-protobuf;q=0.5", "application/json"),
        ("application/json, application/x-protobuf", "application/json"),
        ("application/x-protobuf, */*", "application/x-protobuf"),
        ("application/json;q=0, */*", "application/x-protobuf"),
    ],
)
async def test_the_response_is_what_is_preferred(client: Client, accept: str, content_type: str) -> None:
    response = await client.send("GET", "/v1/query?text=a", headers={"accept": accept})
    assert response.headers["content-type"] == content_type
    assert response.content == (b'{"text":"a"}' if content_type == "application/json" else b"\x0a\x01a")


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "image/*", "application/json;q=x", "application/xml"]
)
async def test_a_response_nobody_accepts_is_refused(client: Client, accept: str) -> None:
    response = await client.send("GET", "/v1/query", headers={"accept": accept})
    assert (response.status, response.reason) == (406, "NOT_ACCEPTABLE")


async def test_a_request_keeps_its_name(client: Client, shelf: Shelf) -> None:
    for given in ("abc-1", "x" * 128):
        response = await client.send("GET", "/v1/query", headers={"x-request-id": given})
        assert response.headers["x-request-id"] == given == shelf.calls[-1][1].request_id
    for given in ("", "x" * 129, "a b", "ü", "<script>"):
        response = await client.send("GET", "/v1/query", headers={"x-request-id": given})
        assert response.headers.get("x-request-id") != given
    refused = await client.send("GET", "/v1/query?nope=1", headers={"x-request-id": "abc-2"})
    assert refused.headers["x-request-id"] == "abc-2"


async def test_trace_headers_go_on_and_others_do_not(client: Client, shelf: Shelf) -> None:
    headers = {"traceparent": "00-1-2-01", "cookie": "a=b", "authorization": "x", "idiom-subject": "1"}
    await client.send("GET", "/v1/query", headers=headers)
    assert dict(shelf.calls[-1][1].metadata) == {"traceparent": "00-1-2-01"}


async def test_a_header_that_is_too_long_to_go_on_does_not_spoil_its_call(
    client: Client, shelf: Shelf
) -> None:
    headers = {"traceparent": "00-1-2-01", "tracestate": "a=" + "x" * 20_000}
    assert (await client.send("GET", "/v1/query", headers=headers)).status == 200
    assert dict(shelf.calls[-1][1].metadata) == {"traceparent": "00-1-2-01"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"grpc-timeout": "500m"}, 0.5),
        ({"grpc-timeout": "2S"}, 2.0),
        ({"grpc-timeout": "99999999H"}, 30.0),
        ({"x-request-timeout": "0.25"}, 0.25),
        ({"x-request-timeout": "3", "grpc-timeout": "1S"}, 1.0),
    ],
)
async def test_the_caller_may_shorten_the_deadline(
    client: Client, shelf: Shelf, headers: dict[str, str], seconds: float
) -> None:
    assert (await client.send("GET", "/v1/query", headers=headers)).status == 200
    timeout = shelf.calls[-1][1].timeout
    assert timeout is not None
    assert seconds - 0.2 < timeout <= seconds


@pytest.mark.parametrize(
    "headers",
    [
        {"grpc-timeout": "5"},
        {"grpc-timeout": "999999999S"},
        {"grpc-timeout": "1h"},
        {"grpc-timeout": ""},
        {"x-request-timeout": "-1"},
        {"x-request-timeout": "1e3"},
        {"x-request-timeout": "nan"},
        {"x-request-timeout": "\xb2"},
    ],
)
async def test_a_broken_timeout_is_refused_by_name(client: Client, headers: dict[str, str]) -> None:
    response = await client.send("GET", "/v1/query", headers=headers)
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", [*headers])


@pytest.mark.parametrize("headers", [{"grpc-timeout": "50m"}, {"grpc-timeout": "0S"}])
async def test_what_takes_too_long_ends(client: Client, headers: dict[str, str]) -> None:
    response = await client.post("/v1/sleep", {}, headers)
    assert (response.status, response.reason) == (504, "DEADLINE_EXCEEDED")


async def test_a_body_that_never_ends_meets_the_deadline(app: FastAPI) -> None:
    async def receive() -> dict[str, Any]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/everything",
        "raw_path": b"/v1/everything",
        "query_string": b"",
        "headers": [(b"content-length", b"5"), (b"grpc-timeout", b"50m")],
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 504


async def _passed(request: Request, call_next: Callable[[Request], Awaitable[Answer]]) -> Answer:
    return await call_next(request)


@pytest.mark.parametrize("middleware", [False, True])
@pytest.mark.parametrize("client_goes_while", ["reading", "running"])
async def test_a_client_that_goes_takes_its_call_with_it(
    app: FastAPI, shelf: Shelf, client_goes_while: str, middleware: bool
) -> None:
    if middleware:
        app.middleware("http")(_passed)  # Starlette's own form, which insists on an answer
    body = {"type": "http.request", "body": b"{}", "more_body": False}
    events = [body] if client_goes_while == "running" else []

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop()
        if client_goes_while == "running":
            await shelf.asleep.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/sleep",
        "raw_path": b"/v1/sleep",
        "query_string": b"",
        "headers": [(b"content-length", b"2")],
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    assert shelf.woken.is_set() is (client_goes_while == "running")
    assert sent[0]["status"] == 499  # said to middleware and logs


async def test_a_cancelled_request_stays_cancelled(client: Client, shelf: Shelf) -> None:
    task = asyncio.create_task(client.post("/v1/sleep", {}))
    await shelf.asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shelf.woken.is_set()


async def test_a_large_body_is_refused_while_it_is_read(client: Client) -> None:
    by_length = await client.post("/v1/everything", b"x" * 600_001)
    unread = await client.send("POST", "/v1/everything", (b"x" * 50_000 for _ in range(100)))
    small = await client.post("/v1/small", {"text": "x" * 1001})
    binary = {"content-type": "application/x-protobuf"}
    binary_small = await client.send("POST", "/v1/small", b"x" * 1001, binary)
    for response in (by_length, unread, small, binary_small):
        assert (response.status, response.reason) == (413, "TOO_LARGE")


async def test_a_body_in_parts_is_read(client: Client) -> None:
    response = await client.send("POST", "/v1/everything", [b'{"te', b"", b'xt": "a"}'])
    assert response.json() == {"text": "a"}


async def test_a_limit_counts_binary_bytes(client: Client) -> None:
    response = await client.post("/v1/small", b'{"text": "' + b"\\u0001" * 900 + b'"}')
    assert response.status == 200


async def test_a_defect_is_logged_and_told_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = await client.send("GET", "/v1/crash", headers={"x-request-id": "abc-3"})
    assert (response.status, response.reason) == (500, "INTERNAL")
    assert b"secret" not in response.content
    assert b"ZeroDivision" not in response.content
    assert "abc-3" in caplog.text
    assert "a secret" in caplog.text


async def test_rules_are_told_by_field(client: Client) -> None:
    value = {
        "text": "too long",
        "items": [{"text": "a"}, {}],
        "named": {'k"': {}},
        "numbered": {"5": {}},
    }
    response = await client.post("/v1/ruled", value)
    assert (response.status, response.reason) == (400, "VALIDATION_FAILED")
    assert response.fields == ["text", "items[1].text", 'named["k\\""].text', "numbered[5].text"]


async def test_nothing_is_an_empty_object(client: Client) -> None:
    response = await client.send("POST", "/v1/nothing")
    assert (response.status, response.content) == (200, b"{}")
    assert response.headers["content-length"] == "2"
    assert response.headers["x-content-type-options"] == "nosniff"
