"""Answers that are kept by their entity tags."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import Answer, HttpOptions
from codegen.runtime.client.kept import Kept, KeptSync
from tests.codegen.gallery.served import Served, served
from tests.codegen.runtime.client.both import KINDS, Both, client_of, pb, refused
from tests.codegen.runtime.client.scripted import answer, scripted

REQUEST = pb("GetPaintingRequest", name="rooms/1/paintings/1")


@pytest.fixture
async def gallery() -> AsyncIterator[Served]:
    async with served() as running:
        running.gallery._hung(pb("Painting", name=REQUEST.name, title="Lilies"))
        yield running


async def ask(both: Both, kept: Any, request: Any, answer: Answer | None = None) -> Any:
    options = HttpOptions(answer=answer)
    if both.asynchronous:
        return await kept(request, options)
    return await asyncio.to_thread(kept, request, options)


def kept_of(both: Both, most: int = 128) -> Any:
    return (Kept if both.asynchronous else KeptSync)(both.client.get_painting, most)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_has_not_changed_comes_from_what_is_kept_and_what_has_comes_anew(
    kind: str, gallery: Served
) -> None:
    async with client_of(kind, gallery.url) as both:
        kept, told = kept_of(both), Answer()
        first = await ask(both, kept, REQUEST, told)
        assert (first.title, told.status) == ("Lilies", 200)
        first.title = "scribbled over"
        assert (await ask(both, kept, REQUEST, told)).title == "Lilies"
        assert told.status == 304
        gallery.gallery._hung(pb("Painting", name=REQUEST.name, title="Frogs"))
        assert (await ask(both, kept, REQUEST, told)).title == "Frogs"
        assert told.status == 200
        gallery.gallery.paintings.clear()
        assert (await refused(ask(both, kept, REQUEST))).reason.name == "NO_PAINTING"


@pytest.mark.parametrize("kind", KINDS)
async def test_only_so_many_answers_are_kept_and_none_without_a_tag(kind: str) -> None:
    others = [pb("GetPaintingRequest", name=f"rooms/1/paintings/{number}") for number in (2, 3)]
    tagged = answer(200, {"title": "x"}, etag='"a"')
    async with (
        scripted(tagged, tagged, tagged, answer(200, {})) as server,
        client_of(kind, server.url) as both,
    ):
        kept = kept_of(both, most=2)
        for request in (REQUEST, *others, REQUEST, REQUEST, others[1]):
            await ask(both, kept, request)
        tags = [server.headers(index).get("if-none-match") for index in range(6)]
    assert tags == [None, None, None, None, None, '"a"']


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_says_so_of_what_nobody_asked_for_is_not_believed(kind: str) -> None:
    async with scripted(answer(304, b"")) as server, client_of(kind, server.url) as both:
        error = await refused(ask(both, kept_of(both), REQUEST))
    assert (error.reason.name, error.status) == ("NOT_MODIFIED", 304)
    assert error.reason is not reasons.INTERNAL
