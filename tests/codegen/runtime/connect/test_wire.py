"""Bytes of requests and answers, as the protocols' specifications have them."""

from __future__ import annotations

import base64
import gzip
import json

import httpx
import pytest
from connectrpc.compression.brotli import BrotliCompression
from google.rpc import status_pb2

from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES, Served
from tests.codegen.runtime.connect.wire import end_of, envelope, envelopes, get, post, reason_of, trailers_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEB = "application/grpc-web+json"
STREAM = "application/connect+json"


async def test_an_answer_is_the_bare_message(gallery: Served) -> None:
    answer = await post(gallery, "ListTitles", b'{"parent": "rooms/1"}', x_request_id="mine")
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_error_is_json_with_the_status_of_its_code(gallery: Served) -> None:
    answer = await post(gallery, "GetPainting", b'{"name": "rooms/1/paintings/1"}')
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert (error["code"], error["message"]) == ("not_found", "there is no rooms/1/paintings/1")
    detail = error["details"][0]
    assert detail["type"] == "google.rpc.ErrorInfo"
    assert "=" not in detail["value"]
    assert detail["debug"] == {"reason": "NO_PAINTING", "domain": "gallery"}
    assert len(answer.headers["x-request-id"]) > 5


async def test_an_error_ends_a_stream_in_its_last_envelope(gallery: Served) -> None:
    answer = await post(gallery, "Watch", envelope(b'{"count": 1, "fail": 5}'), STREAM)
    assert answer.headers["content-type"] == STREAM
    first = next(envelopes(answer.content))
    assert (first[0], json.loads(first[1])) == (0, {"id": "1", "text": "event 1"})
    assert end_of(answer)["error"]["code"] == "not_found"


async def test_a_good_stream_ends_with_an_empty_object(gallery: Served) -> None:
    assert end_of(await post(gallery, "Watch", envelope(b'{"count": 1}'), STREAM)) == {}


async def test_grpc_web_says_its_status_in_trailers(gallery: Served) -> None:
    good = await post(gallery, "ListTitles", envelope(b"{}"), WEB)
    assert good.headers["content-type"] == WEB
    assert trailers_of(good) == {"grpc-status": "0"}
    bad = trailers_of(await post(gallery, "Fail", envelope(b'{"code": 5, "message": "a b%"}'), WEB))
    assert (bad["grpc-status"], bad["grpc-message"]) == ("5", "a%20b%25")
    packed = bad["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=="))
    assert (status.code, status.message, len(status.details)) == (5, "a b%", 1)


async def test_plain_grpc_web_is_binary(gallery: Served) -> None:
    pb = generated().pb
    asked = envelope(pb.ListTitlesRequest(parent="rooms/1").SerializeToString())
    answer = await post(gallery, "ListTitles", asked, "application/grpc-web")
    assert trailers_of(answer)["grpc-status"] == "0"
    assert next(envelopes(answer.content)) == (0, b"")


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("ListTitles", "text/plain"),
        ("ListTitles", "application/x-protobuf"),
        ("ListTitles", "application/xml"),
        ("ListTitles", "application/connect+json"),
        ("ListTitles", "application/grpc"),
        ("ListTitles", "application/grpc+proto"),
        ("ListTitles", "application/grpc-web-text"),
        ("ListTitles", "application/grpc-web+xml"),
        ("ListTitles", "application/json; charset=latin-1"),
        ("ListTitles", "\xff"),
        ("ListTitles", ""),
        ("Watch", "application/json"),
        ("Watch", "application/proto"),
        ("Watch", "application/grpc+proto"),
        ("Record", "application/connect+xml"),
    ],
)
async def test_a_foreign_content_type_is_415_and_told_what_is_spoken(
    gallery: Served, method: str, kind: str
) -> None:
    answer = await post(gallery, method, b"{}", kind.encode("latin-1"))  # type: ignore[arg-type] # raw bytes
    assert answer.status_code == 415
    assert answer.json()["code"] == "invalid_argument"
    assert "application/grpc-web+proto" in answer.headers["accept-post"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_a_content_type_may_say_utf_8(gallery: Served, kind: str) -> None:
    assert (await post(gallery, "ListTitles", b"{}", kind)).status_code == 200


@pytest.mark.parametrize(
    ("method", "verb", "allowed"),
    [
        ("ListTitles", "PUT", "GET, POST"),
        ("ListTitles", "OPTIONS", "GET, POST"),
        ("Fail", "GET", "POST"),
        ("Watch", "GET", "POST"),
    ],
)
async def test_another_verb_is_405_and_told_the_right_ones(
    gallery: Served, method: str, verb: str, allowed: str
) -> None:
    async with httpx.AsyncClient(base_url=gallery.url) as client:
        answer = await client.request(verb, f"/gallery.v1.GalleryService/{method}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["code"] == "unimplemented"


async def test_a_method_that_the_service_lacks_is_not_found(gallery: Served) -> None:
    for method in ("Nothing", "", "ListTitles/", "listTitles"):
        answer = await post(gallery, method, b"{}")
        assert (answer.status_code, answer.json()["code"], reason_of(answer.json())) == (
            404,
            "unimplemented",
            "UNIMPLEMENTED",
        )


async def test_other_paths_are_the_apps(gallery: Served) -> None:
    async with httpx.AsyncClient(base_url=gallery.url) as client:
        assert (await client.post("/gallery.v1.Nothing/ListTitles")).json() == {"detail": "Not Found"}
        assert (await client.get("/v1/rooms/1/titles")).json() == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "MALFORMED_BODY"),
        (b"{", "MALFORMED_BODY"),
        (b"[]", "MALFORMED_BODY"),
        (b'{"parent": 1}', "INVALID_FIELD"),
        (b'{"parent": "a", "parent": "b"}', "INVALID_FIELD"),
        (b'{"nothing": 1}', "UNKNOWN_FIELD"),
        (b'{"pageSize": 101}', "VALIDATION_FAILED"),
        (b'{"pageSize": 1e99}', "INVALID_FIELD"),
        (b'{"parent": "\xff"}', "MALFORMED_BODY"),
    ],
)
async def test_a_bad_body_is_refused_as_by_rest_whatever_the_protocol(
    gallery: Served, body: bytes, reason: str
) -> None:
    answer = await post(gallery, "ListTitles", body)
    assert (answer.status_code, reason_of(answer.json())) == (400, reason)
    web = trailers_of(await post(gallery, "ListTitles", envelope(body), WEB))
    assert web["grpc-status"] == "3"
    watched = end_of(await post(gallery, "Watch", envelope(body), STREAM))["error"]
    assert watched["code"] == "invalid_argument"


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x08", b"\x0a\x01\xff"])
async def test_bytes_that_are_no_message_are_refused(gallery: Served, body: bytes) -> None:
    answer = await post(gallery, "ListTitles", body, "application/proto")
    assert (answer.status_code, reason_of(answer.json())) == (400, "MALFORMED_BODY")


async def test_empty_bytes_are_an_empty_message(gallery: Served) -> None:
    assert (await post(gallery, "ListTitles", b"", "application/proto")).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"\x00\x00\x00\x00",
        envelope(b"{}")[:-1],
        envelope(b"{}") + b"\x00",
        envelope(b"{}", flags=4),
        envelope(b"{}", flags=2),
        envelope(b"{}", flags=1),
    ],
)
async def test_broken_envelopes_are_the_callers_fault(gallery: Served, content: bytes) -> None:
    error = end_of(await post(gallery, "Record", content, STREAM))["error"]
    assert (error["code"], reason_of(error)) == ("invalid_argument", "MALFORMED_BODY")
    assert trailers_of(await post(gallery, "ListTitles", content, WEB))["grpc-status"] in ("3", "12")


@pytest.mark.parametrize("content", [b"", envelope(b"{}") * 2])
async def test_one_request_is_neither_none_nor_two(gallery: Served, content: bytes) -> None:
    assert trailers_of(await post(gallery, "ListTitles", content, WEB))["grpc-status"] == "12"
    assert end_of(await post(gallery, "Watch", content, STREAM))["error"]["code"] == "unimplemented"


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "1e3", "12345678901", "1_0", "٣"])
async def test_a_timeout_that_is_none_is_refused(gallery: Served, value: str) -> None:
    given = {"connect-timeout-ms".replace("-", "_"): value.encode()}
    answer = await post(gallery, "ListTitles", b"{}", **given)  # type: ignore[arg-type] # raw bytes
    assert (answer.status_code, reason_of(answer.json())) == (400, "INVALID_FIELD")
    web = await post(gallery, "ListTitles", envelope(b"{}"), WEB, grpc_timeout=value.encode())  # type: ignore[arg-type]
    assert trailers_of(web)["grpc-status"] == "3"


async def test_no_time_at_all_is_a_passed_deadline(gallery: Served) -> None:
    answer = await post(gallery, "ListTitles", b"{}", connect_timeout_ms="0")
    assert (answer.status_code, reason_of(answer.json())) == (504, "DEADLINE_EXCEEDED")
    web = await post(gallery, "ListTitles", envelope(b"{}"), WEB, grpc_timeout="0n")
    assert trailers_of(web)["grpc-status"] == "4"


async def test_another_version_of_the_protocol_is_refused(gallery: Served) -> None:
    good = await post(gallery, "ListTitles", b"{}", connect_protocol_version="1")
    bad = await post(gallery, "ListTitles", b"{}", connect_protocol_version="2")
    assert (good.status_code, bad.status_code, reason_of(bad.json())) == (200, 400, "INVALID_FIELD")


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("br", BrotliCompression().compress)])
async def test_bodies_and_answers_may_be_compressed(gallery: Served, name: str, pack: object) -> None:
    packed = pack(b'{"name": "x"}')  # type: ignore[operator]
    answer = await post(gallery, "GetPainting", packed, content_encoding=name)
    assert (answer.status_code, answer.json()["message"]) == (404, "there is no x")
    large = {"contentType": "text/plain", "data": base64.b64encode(bytes(2000)).decode()}
    answer = await post(gallery, "Mirror", json.dumps(large).encode(), accept_encoding=name)
    assert (answer.headers["content-encoding"], answer.json()) == (name, large)
    assert answer.headers["vary"] == "accept-encoding"
    small = await post(gallery, "ListTitles", b"{}", accept_encoding=name)
    assert "content-encoding" not in small.headers
    asked = envelope(pack(b'{"count": 1}'), flags=1)  # type: ignore[operator]
    streamed = await post(gallery, "Watch", asked, STREAM, connect_content_encoding=name)
    assert end_of(streamed) == {}


@pytest.mark.parametrize("name", ["deflate", "zstd", "gzip, gzip", "\xff"])
async def test_a_foreign_compression_is_refused(gallery: Served, name: str) -> None:
    answer = await post(gallery, "ListTitles", b"{}", content_encoding=name.encode("latin-1"))  # type: ignore[arg-type]
    assert (answer.status_code, reason_of(answer.json())) == (501, "UNIMPLEMENTED")


@pytest.mark.parametrize("name", ["gzip", "br"])
async def test_what_does_not_unpack_is_malformed(gallery: Served, name: str) -> None:
    answer = await post(gallery, "ListTitles", b"no such thing", content_encoding=name)
    assert (answer.status_code, reason_of(answer.json())) == (400, "MALFORMED_BODY")


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("br", BrotliCompression().compress)])
async def test_a_bomb_is_refused_before_it_unfolds(gallery: Served, name: str, pack: object) -> None:
    bomb = pack(b" " * (64 << 20))  # type: ignore[operator]
    assert len(bomb) < MAX_REQUEST_BYTES
    answer = await post(gallery, "ListTitles", bomb, content_encoding=name)
    assert (answer.status_code, reason_of(answer.json())) == (429, "TOO_LARGE")
    streamed = await post(gallery, "Watch", envelope(bomb, 1), STREAM, connect_content_encoding=name)
    assert reason_of(end_of(streamed)["error"]) == "TOO_LARGE"


@pytest.mark.parametrize("codec", ["json", "proto"])
async def test_a_large_body_is_refused(gallery: Served, codec: str) -> None:
    pb = generated().pb
    text = "x" * (MAX_REQUEST_BYTES + 1)
    content = (
        json.dumps({"parent": text}).encode()
        if codec == "json"
        else pb.ListTitlesRequest(parent=text).SerializeToString()
    )
    answer = await post(gallery, "ListTitles", content, f"application/{codec}")
    assert (answer.status_code, reason_of(answer.json())) == (429, "TOO_LARGE")
    streamed = await post(gallery, "Record", envelope(content), f"application/connect+{codec}")
    assert end_of(streamed)["error"]["code"] in ("resource_exhausted", "invalid_argument")


async def test_an_envelope_that_promises_too_much_is_refused_before_it_comes(gallery: Served) -> None:
    error = end_of(await post(gallery, "Record", b"\x00\xff\xff\xff\xff", STREAM))["error"]
    assert reason_of(error) == "TOO_LARGE"


async def test_a_stranger_is_refused_with_a_challenge(gallery: Served) -> None:
    missing = await post(gallery, "CreatePainting", b"not even read")
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
    forged = await post(gallery, "CreatePainting", b"{}", authorization="Bearer x.y.z")
    assert forged.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    vouched = await post(gallery, "CreatePainting", b"{}", idiom_subject="1", idiom_login="1")
    assert vouched.status_code == 401


async def test_a_refusal_that_says_when_to_come_again_says_it_to_http_too(gallery: Served) -> None:
    answer = await post(gallery, "Fail", b'{"code": 8, "retryAfterMs": "1500"}')
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


async def test_a_query_may_carry_a_request(gallery: Served) -> None:
    packed = base64.urlsafe_b64encode(generated().pb.ListTitlesRequest(parent="r").SerializeToString())
    for query in (
        "connect=v1&encoding=json&message=%7B%22parent%22%3A%22r%22%7D",
        f"encoding=proto&base64=1&message={packed.decode().rstrip('=')}",
    ):
        assert (await get(gallery, "ListTitles", query)).status_code == 200
        assert gallery.gallery.asked.pop().parent == "r"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 415),
        ("encoding=xml&message=x", 415),
        ("encoding=json", 400),
        ("encoding=json&message=", 400),
        ("encoding=json&message=%7B", 400),
        ("encoding=json&message=%FF", 400),
        ("encoding=proto&base64=1&message=***", 400),
        ("encoding=proto&base64=1&message=%C3%A4", 400),
        ("encoding=json&compression=zstd&message=%7B%7D", 501),
        ("encoding=json&compression=gzip&message=%7B%7D", 400),
    ],
)
async def test_a_query_that_carries_none_is_refused(gallery: Served, query: str, status: int) -> None:
    answer = await get(gallery, "ListTitles", query)
    assert answer.status_code == status, answer.text
    assert answer.json()["details"]
