"""Content codings, out by what clients like and in within bounds."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from typing import Any

import brotli  # type: ignore[import-untyped] # it has no types
import orjson
import pytest

from codegen.runtime.transcoding.compression import PART, chosen, compressible, decoder, encoder
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.request import Client, Response
from tests.codegen.runtime.http.rooms import PAINTING, Rooms, rooms

TITLE = "water lilies " * 200
LIMIT = 600_000
"""Most bytes of JSON that the app reads, compressed or not."""


@pytest.fixture
def gallery() -> Rooms:
    return rooms()


@pytest.fixture
def client(gallery: Rooms) -> Client:
    return gallery.client


def _plain(response: Response) -> bytes:
    coding = response.headers.get("content-encoding")
    plain: bytes = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}[coding](response.content)
    return plain


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP;Q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("identity", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0", None),
        ("identity;q=0, *", "br"),
        ("zstd, deflate", None),
        ("gzip;q=x", None),
        ("gzip;q=2", None),
        (";;,,=", None),
        ("\xff", None),
    ],
)
async def test_an_answer_is_coded_as_its_client_likes_best(
    gallery: Rooms, accept: str | None, coding: str | None
) -> None:
    gallery.hang(title=TITLE)
    headers = {} if accept is None else {"accept-encoding": accept}
    response = await gallery.client.send("GET", PAINTING, headers=headers)
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "accept, accept-encoding, authorization"
    assert response.headers["content-length"] == str(len(response.content))
    assert orjson.loads(_plain(response))["title"] == TITLE


async def test_small_answers_and_refusals_are_not_compressed(gallery: Rooms) -> None:
    gallery.hang(title="a")
    for target in (PAINTING, "/v1/rooms/a/paintings/2"):
        response = await gallery.client.send("GET", target, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in response.headers
        assert response.json()


@pytest.mark.parametrize(("size", "coding"), [(0, None), (5, "gzip")])
async def test_from_which_size_on_can_be_set(size: int, coding: str | None) -> None:
    gallery = rooms(HttpSettings(compressed_from=size))
    gallery.hang(title=TITLE)
    response = await gallery.client.send("GET", PAINTING, headers={"accept-encoding": "gzip"})
    assert response.headers.get("content-encoding") == coding


async def test_a_large_answer_is_compressed_too(gallery: Rooms) -> None:
    gallery.hang(title=TITLE * 100)
    response = await gallery.client.send("GET", PAINTING, headers={"accept-encoding": "br"})
    assert orjson.loads(_plain(response))["title"] == TITLE * 100


@pytest.mark.parametrize(
    ("content_type", "worth"),
    [
        *(("image/png", False), ("application/zip", False), ("application/octet-stream", False)),
        *(("video/mp4", False), ("application/jsonx", False), ("", False)),
        *(("image/svg+xml", True), ("text/plain; charset=utf-8", True), ("Application/JSON", True)),
        *(("application/x-ndjson", True), ("text/event-stream", True), ("application/a+json;b=c", True)),
    ],
)
async def test_pictures_stay_as_they_are(gallery: Rooms, content_type: str, worth: bool) -> None:
    assert compressible(content_type) is worth
    gallery.gallery.images["rooms/a/paintings/1"] = (content_type, b"a" * 5000)
    response = await gallery.client.send("GET", f"{PAINTING}/image", headers={"accept-encoding": "gzip"})
    assert ("content-encoding" in response.headers) is worth
    assert _plain(response) == b"a" * 5000


def _deflated(data: bytes, level: int = 9) -> bytes:
    return zlib.compress(data, level)


BOMBS: dict[str, Any] = {
    "gzip": gzip.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "deflate": _deflated,
}
CODERS: dict[str, Any] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "identity, gzip": gzip.compress,
    "br": brotli.compress,
    "deflate": _deflated,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_a_compressed_body_is_read_in_any_parts(gallery: Rooms, coding: str, cut: int) -> None:
    plain = orjson.dumps({"code": 5, "message": TITLE})
    data = CODERS[coding](plain)
    parts = [data[start : start + cut] for start in range(0, len(data), cut)]
    response = await gallery.client.send("POST", "/v1/fail", parts, {"content-encoding": coding})
    assert (response.status, response.json()["message"]) == (404, TITLE)


async def test_gzip_may_have_several_members(client: Client) -> None:
    data = gzip.compress(b'{"code":') + gzip.compress(b"5}")
    response = await client.send("POST", "/v1/fail", data, {"content-encoding": "gzip"})
    assert response.status == 404


@pytest.mark.parametrize("coding", ["zstd", "compress", "gzip, gzip", "br, gzip", "gzip;q=1", "\xff"])
async def test_an_unknown_coding_is_refused_and_known_ones_are_named(client: Client, coding: str) -> None:
    response = await client.send("POST", "/v1/fail", b"{}", {"content-encoding": coding})
    assert (response.status, response.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert response.headers["accept-encoding"] == "gzip, br, deflate"


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate"])
async def test_damaged_bodies_are_malformed(client: Client, coding: str) -> None:
    whole = CODERS[coding](orjson.dumps({"message": TITLE}))
    for damaged in (b"x", b"{}", whole[:-1], whole[:-5], whole[: len(whole) // 2], whole + b"x"):
        response = await client.send("POST", "/v1/fail", damaged, {"content-encoding": coding})
        assert (response.status, response.reason) == (400, "MALFORMED_BODY"), damaged


async def test_no_body_needs_no_coding(client: Client) -> None:
    for parts in (b"", [], [b"", b""]):
        response = await client.send("POST", "/v1/fail", parts, {"content-encoding": "gzip"})
        assert response.status == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate"])
async def test_a_bomb_is_refused_with_little_memory_and_time(client: Client, coding: str) -> None:
    bomb = BOMBS[coding](bytes(100 << 20))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    began = time.process_time()
    response = await client.send("POST", "/v1/fail", bomb, {"content-encoding": coding})
    spent = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (response.status, response.reason) == (413, "TOO_LARGE")
    assert peak < LIMIT + 16 * PART
    assert spent < 0.5


async def test_many_empty_members_are_bounded_by_their_own_bytes(client: Client) -> None:
    data = gzip.compress(b"") * 40_000
    response = await client.send("POST", "/v1/fail", [data], {"content-encoding": "gzip"})
    assert (response.status, response.reason) == (413, "TOO_LARGE")


def test_many_members_take_time_in_proportion_to_their_bytes() -> None:
    def spent(members: int) -> float:
        data, reader = gzip.compress(b"") * members, decoder("gzip")
        assert reader is not None
        began = time.process_time()
        assert not b"".join(reader.decode(data))
        reader.finish()
        return time.process_time() - began

    few = min(spent(5_000) for _ in range(3))
    assert spent(50_000) < 30 * few


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_stream_is_readable_after_each_part(coding: str) -> None:
    coder, reader = encoder(coding), decoder(coding)
    assert reader is not None
    for number in range(5):
        assert b"".join(reader.decode(coder.encode(b"item %d" % number))) == b"item %d" % number
    assert b"".join(reader.decode(coder.finish())) == b""
    reader.finish()


def test_identity_counts_as_it_is_weighed() -> None:
    assert chosen("gzip;q=0.5, identity;q=0.4") == "gzip"
    assert chosen("gzip;q=0.4, identity;q=0.5") is None
