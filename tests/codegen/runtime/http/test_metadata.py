"""Headers as metadata and metadata as headers: what crosses the border, and what cannot."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from codegen.runtime.transcoding.metadata import MAX_FORWARDED, TRACE, headers_of_metadata
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.rooms import rooms

SETTINGS = HttpSettings(
    forwarded_headers=frozenset({"x-tenant", "x-blob-bin", "accept-language"}),
    exposed_metadata=frozenset({"x-cost", "x-blob-bin", "location"}),
)


@pytest.fixture
def client() -> Client:
    return rooms(SETTINGS).client


async def _heard(client: Client, headers: Any) -> dict[str, bytes]:
    response = await client.post("/v1/metadata", {}, headers)
    assert response.status == 200, response.content
    return {key: base64.b64decode(value) for key, value in response.json()["heard"].items()}


async def _said(client: Client, answer: dict[str, bytes]) -> dict[str, str]:
    encoded = {key: base64.b64encode(value).decode() for key, value in answer.items()}
    response = await client.post("/v1/metadata", {"answer": encoded})
    assert response.status == 200, response.content
    return dict(response.headers)


async def test_listed_headers_go_on_and_others_do_not(client: Client) -> None:
    sent = {"x-tenant": "a b", "x-other": "c", "cookie": "d=e", "authorization": "f", "idiom-subject": "1"}
    heard = await _heard(client, {**sent, "traceparent": "00-1-2-01", "tracestate": "a=b"})
    assert heard["x-tenant"] == b"a b"
    assert {name: heard[name] for name in TRACE} == {"traceparent": b"00-1-2-01", "tracestate": b"a=b"}
    assert heard.keys().isdisjoint({"x-other", "cookie", "authorization", "idiom-subject"})


async def test_an_answer_says_that_it_depends_on_them(client: Client) -> None:
    vary = (await client.post("/v1/metadata", {})).headers["vary"]
    assert vary == "accept, accept-encoding, authorization, accept-language, x-blob-bin, x-tenant"


async def test_a_repeated_header_is_one_value(client: Client) -> None:
    headers = [("x-tenant", "a"), ("X-Tenant", "b")]
    response = await client.send("POST", "/v1/metadata", b"{}", headers)
    assert base64.b64decode(response.json()["heard"]["x-tenant"]) == b"a,b"


@pytest.mark.parametrize(
    ("text", "value"),
    [("AAH/", b"\0\x01\xff"), ("AAE=", b"\0\x01"), ("AAE", b"\0\x01"), (" AA ", b"\0"), ("", b"")],
)
async def test_binary_headers_are_base64_with_or_without_padding(
    client: Client, text: str, value: bytes
) -> None:
    assert (await _heard(client, {"x-blob-bin": text}))["x-blob-bin"] == value


@pytest.mark.parametrize("text", ["A", "AA,AA", "AA=A", "A A=", "AAE==", "_-8=", "\xe4", "====", "A==="])
async def test_broken_base64_is_refused_by_name(client: Client, text: str) -> None:
    response = await client.post("/v1/metadata", {}, {"x-blob-bin": text})
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", ["x-blob-bin"])


@pytest.mark.parametrize("text", ["\xe4", "a\tb", "a\x7f", "x" * (MAX_FORWARDED + 1)])
async def test_a_listed_header_that_metadata_cannot_carry_is_refused_by_name(
    client: Client, text: str
) -> None:
    response = await client.post("/v1/metadata", {}, {"x-tenant": text})
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", ["x-tenant"])


async def test_listed_headers_are_bounded_together(client: Client) -> None:
    half = "x" * (MAX_FORWARDED // 2)
    response = await client.post("/v1/metadata", {}, {"x-tenant": half, "accept-language": half})
    assert (response.status, response.reason) == (400, "INVALID_FIELD")


async def test_what_connection_names_means_this_connection_only(client: Client) -> None:
    heard = await _heard(client, {"x-tenant": "a", "connection": "keep-alive, X-Tenant"})
    assert "x-tenant" not in heard


@pytest.mark.parametrize(
    "name",
    [
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection"),
        *("proxy-authorization", "proxy-authenticate", "authorization", "cookie", "set-cookie", "host"),
        *("content-type", "content-length", "content-encoding", "x-request-id", "sec-websocket-key"),
        *(
            "grpc-timeout",
            "grpc-status-details-bin",
            "idiom-subject",
            "idiom-x",
            ":path",
            "X-Tenant",
            "",
            "a b",
        ),
    ],
)
def test_what_is_not_for_services_cannot_be_listed(name: str) -> None:
    with pytest.raises(ValueError, match=r"services|metadata"):
        HttpSettings(forwarded_headers=frozenset({name}))
    with pytest.raises(ValueError, match=r"services|metadata"):
        HttpSettings(exposed_metadata=frozenset({name}))


async def test_exposed_metadata_become_headers_and_others_do_not(client: Client) -> None:
    headers = await _said(client, {"x-cost": b"5", "x-blob-bin": b"\0\x01", "x-secret": b"s"})
    assert (headers["x-cost"], headers["x-blob-bin"]) == ("5", "AAE")
    assert "x-secret" not in headers


def test_a_service_cannot_make_headers_of_a_value() -> None:
    exposed = frozenset({"x-cost", "x-blob-bin"})
    for value in ("a\r\nset-cookie: b=c", "a\nb", "a\0", "\x7f", "ä", "\u2028"):
        assert headers_of_metadata({"x-cost": value}, exposed) == []
    assert headers_of_metadata({"x-cost": b"a", "x-blob-bin": "a"}, exposed) == []
    assert headers_of_metadata({"x-blob-bin": b"\r\n"}, exposed) == [(b"x-blob-bin", b"DQo")]
