"""Entity tags: 304 for what a client has, 412 for what is not as it last saw it (RFC 9110, section 13)."""

from __future__ import annotations

import pytest

from codegen.runtime.transcoding.etag import header_of, is_current
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.rooms import PAINTING, Rooms, rooms


@pytest.fixture
def gallery() -> Rooms:
    return rooms()


async def test_an_answer_has_its_version(gallery: Rooms) -> None:
    gallery.hang(etag="v1")
    response = await gallery.client.send("GET", PAINTING)
    assert response.headers["etag"] == '"v1"'
    gallery.hang(etag="")
    assert "etag" not in (await gallery.client.send("GET", PAINTING)).headers


@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("a-b_c.d~e", '"a-b_c.d~e"'),
        ('W/"x"', '"W/%22x%22"'),
        ("a;b%", '"a%3Bb%25"'),
        ("ä\r\n\0 ", '"%C3%A4%0D%0A%00%20"'),
    ],
)
async def test_any_version_is_a_well_formed_tag_that_comes_back(
    gallery: Rooms, version: str, tag: str
) -> None:
    gallery.hang(etag=version)
    response = await gallery.client.send("GET", PAINTING)
    assert response.headers["etag"] == tag
    again = await gallery.client.send("GET", PAINTING, headers={"if-none-match": tag})
    assert again.status == 304
    changed = await gallery.client.send("PATCH", PAINTING, b'{"title":"a"}', {"if-match": tag})
    assert changed.status == 200
    assert gallery.gallery.asked[-1].painting.etag == version


@pytest.mark.parametrize(
    "given", ['"v1"', 'W/"v1"', '"a", "v1"', '"a",W/"v1",', "*", " * ", '"v1;gzip"', ',, "v1"']
)
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_what_a_client_has_is_not_sent_again(gallery: Rooms, given: str, verb: str) -> None:
    gallery.hang()
    response = await gallery.client.send(verb, PAINTING, headers={"if-none-match": given})
    assert (response.status, response.content) == (304, b"")
    assert response.headers["etag"] == '"v1"'
    assert response.headers["vary"] == "accept, accept-encoding, authorization"
    assert not {"content-type", "content-length", "content-encoding"} & response.headers.keys()


@pytest.mark.parametrize(
    "given", ['"v2"', 'W/"v2"', "v1", '"v1', "", '""', '"V1"', '"v1" "v1"', '"%ff"', "**", "\xff"]
)
async def test_anything_else_is_sent(gallery: Rooms, given: str) -> None:
    gallery.hang()
    response = await gallery.client.send("GET", PAINTING, headers={"if-none-match": given})
    assert (response.status, response.json()["etag"]) == (200, "v1")


async def test_a_repeated_header_is_one_list(gallery: Rooms) -> None:
    gallery.hang()
    twice = [("if-none-match", '"a"'), ("if-none-match", '"v1"')]
    assert (await gallery.client.send("GET", PAINTING, headers=twice)).status == 304


async def test_representations_have_tags_of_their_own(gallery: Rooms) -> None:
    gallery.hang(title="a" * 5000)
    for headers, tag in (
        ({"accept-encoding": "gzip"}, '"v1;gzip"'),
        ({"accept-encoding": "br"}, '"v1;br"'),
        ({"accept": "application/x-protobuf"}, '"v1;pb"'),
        ({"accept": "application/x-protobuf", "accept-encoding": "br"}, '"v1;pb-br"'),
    ):
        response = await gallery.client.send("GET", PAINTING, headers=headers)
        assert response.headers["etag"] == tag
        known = await gallery.client.send("GET", PAINTING, headers={**headers, "if-none-match": tag})
        assert (known.status, known.headers["etag"]) == (304, tag)


@pytest.mark.parametrize(
    ("accept", "has", "status"),
    [
        *(("application/json", '"v1;pb"', 200), ("application/json", '"v1;pb-gzip"', 200)),
        *(("application/x-protobuf", '"v1"', 200), ("application/x-protobuf", 'W/"v1;br"', 200)),
        *(("application/x-protobuf", '"v1", "v1;pb"', 304), ("application/x-protobuf", '"v1;pb-br"', 304)),
        *(("application/json", '"v1;pb", "v1;br"', 304), ("application/x-protobuf", "*", 304)),
    ],
)
async def test_who_has_the_other_form_has_not_this_one(
    gallery: Rooms, accept: str, has: str, status: int
) -> None:
    gallery.hang()
    headers = {"accept": accept, "if-none-match": has}
    assert (await gallery.client.send("GET", PAINTING, headers=headers)).status == status


async def test_a_change_is_made_to_the_version_that_was_seen(gallery: Rooms) -> None:
    gallery.hang()
    body = b'{"title":"b"}'
    refused = await gallery.client.send("PATCH", PAINTING, body, {"if-match": '"v0"'})
    assert (refused.status, refused.reason) == (412, "PRECONDITION_FAILED")
    assert refused.json()["code"] == 10
    changed = await gallery.client.send("PATCH", PAINTING, body, {"if-match": '"v1;gzip"'})
    assert changed.status == 200
    assert changed.headers["etag"] == f'"{changed.json()["etag"]}"'
    assert changed.json()["etag"] != "v1"
    deleted = await gallery.client.send("DELETE", PAINTING, headers={"if-match": '"v1"'})
    assert (deleted.status, deleted.reason) == (412, "PRECONDITION_FAILED")
    assert (
        await gallery.client.send("DELETE", PAINTING, headers={"if-match": changed.headers["etag"]})
    ).status == 200


@pytest.mark.parametrize("given", ['W/"v1"', '""', '"%ff"', "", ","])
async def test_a_tag_that_cannot_be_strongly_equal_is_refused_without_a_call(
    gallery: Rooms, given: str
) -> None:
    gallery.hang()
    for verb, body in (("PATCH", b"{}"), ("DELETE", None)):
        response = await gallery.client.send(verb, PAINTING, body, {"if-match": given})
        assert (response.status, response.reason) == (412, "PRECONDITION_FAILED")
    assert gallery.gallery.asked == []


@pytest.mark.parametrize("given", ['"v1", "v2"', "v1", '"v1', '"v1" "v1"', "*, *", "\xff"])
async def test_what_cannot_be_one_version_is_refused_by_name(gallery: Rooms, given: str) -> None:
    gallery.hang()
    response = await gallery.client.send("DELETE", PAINTING, headers={"if-match": given})
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", ["if-match"])


@pytest.mark.parametrize("given", ['"v1", "v1;gzip"', 'W/"v2", "v1"'])
async def test_one_version_may_be_said_in_several_ways(gallery: Rooms, given: str) -> None:
    gallery.hang()
    assert (await gallery.client.send("DELETE", PAINTING, headers={"if-match": given})).status == 200


async def test_a_star_asks_for_no_version(gallery: Rooms) -> None:
    gallery.hang()
    assert (await gallery.client.send("DELETE", PAINTING, headers={"if-match": "*"})).status == 200
    assert (await gallery.client.send("DELETE", PAINTING, headers={"if-match": "*"})).status == 404


async def test_a_body_may_repeat_the_version_but_not_contradict_it(gallery: Rooms) -> None:
    gallery.hang()
    other = await gallery.client.send("PATCH", PAINTING, b'{"etag":"v2"}', {"if-match": '"v1"'})
    assert (other.status, other.reason, other.fields) == (400, "INVALID_FIELD", ["painting.etag"])
    same = await gallery.client.send("PATCH", PAINTING, b'{"etag":"v1"}', {"if-match": '"v1"'})
    assert same.status == 200


async def test_a_body_may_be_absent_beside_a_version(gallery: Rooms) -> None:
    gallery.hang()
    response = await gallery.client.send("PATCH", PAINTING, None, {"if-match": '"v0"'})
    assert response.status == 412


async def test_reading_may_be_bound_to_a_version(gallery: Rooms) -> None:
    gallery.hang()
    for given, status in (
        ('"v1"', 200),
        ("*", 200),
        ('"v2", "v1"', 200),
        ('"v2"', 412),
        ('W/"v1"', 412),
        ("x", 400),
    ):
        response = await gallery.client.send("GET", PAINTING, headers={"if-match": given})
        assert response.status == status, given
    both = await gallery.client.send("GET", PAINTING, headers={"if-match": '"v2"', "if-none-match": '"v1"'})
    assert both.status == 412


async def test_other_methods_do_not_mind(gallery: Rooms) -> None:
    client: Client = gallery.client
    response = await client.post("/v1/metadata", {}, {"if-match": '"x"', "if-none-match": "*"})
    assert response.status == 200
    assert "etag" not in response.headers


def test_long_lists_take_no_time() -> None:
    assert not is_current('"' + "a" * 60_000, "v1")
    assert not is_current(", " * 30_000 + "x", "v1")
    assert is_current('"a",' * 15_000 + '"v1"', "v1")
    assert header_of("a", "") == b'"a"'
