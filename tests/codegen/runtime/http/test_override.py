"""`X-HTTP-Method-Override`, where it is switched on."""

from __future__ import annotations

import pytest

from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.rooms import PAINTING, Rooms, rooms

NAME = "x-http-method-override"


@pytest.fixture
def gallery() -> Rooms:
    made = rooms(HttpSettings(method_override=True))
    made.hang()
    return made


async def test_it_is_off_unless_switched_on() -> None:
    gallery = rooms()
    gallery.hang()
    response = await gallery.client.send("POST", PAINTING, headers={NAME: "DELETE"})
    assert (response.status, response.reason) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("verb", ["DELETE", "delete", " DELETE "])
async def test_a_post_stands_for_the_verb_it_names(gallery: Rooms, verb: str) -> None:
    assert (await gallery.client.send("POST", PAINTING, headers={NAME: verb})).status == 200
    assert gallery.gallery.paintings == {}


async def test_a_body_goes_with_it(gallery: Rooms) -> None:
    response = await gallery.client.send("POST", PAINTING, b'{"title":"b"}', {NAME: "PATCH"})
    assert (response.status, response.json()["title"]) == (200, "b")


async def test_reading_by_post_has_a_body(gallery: Rooms) -> None:
    response = await gallery.client.send("POST", PAINTING, headers={NAME: "GET", "if-none-match": '"v1"'})
    assert (response.status, response.json()["etag"]) == (200, "v1")


@pytest.mark.parametrize("verb", ["", "HEAD", "OPTIONS", "PUT", "X", "*", "\xff", "DELETE,GET"])
async def test_a_verb_that_nothing_serves_is_refused(gallery: Rooms, verb: str) -> None:
    response = await gallery.client.send("POST", PAINTING, headers={NAME: verb})
    assert (response.status, response.reason) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"


async def test_two_of_them_name_nothing(gallery: Rooms) -> None:
    response = await gallery.client.send("POST", PAINTING, headers=[(NAME, "DELETE"), (NAME, "DELETE")])
    assert response.status == 405


async def test_only_a_post_stands_for_another_verb(gallery: Rooms) -> None:
    assert (await gallery.client.send("GET", PAINTING, headers={NAME: "DELETE"})).status == 200
    assert gallery.gallery.paintings
