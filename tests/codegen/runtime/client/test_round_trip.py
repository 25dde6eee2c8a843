"""Whatever a client can write, the server reads as the same request: every binding, random requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.transcoding.route import Route
from tests.codegen.gallery.generated import generated
from tests.codegen.runtime.client.messages import HTTP_BODY, items, requests
from tests.codegen.runtime.client.round_trip import RoundTrip
from tests.codegen.runtime.http.schema import schema

SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def _routes(schema_name: str) -> list[Route]:
    everything = schema().routes if schema_name == "shelf" else generated().routes
    return [route for route in everything if not route.method.http.websocket]


SHELF = _routes("shelf")
GALLERY = _routes("gallery")
SHELF_TRIP = RoundTrip(SHELF, schema().registry)
GALLERY_TRIP = RoundTrip(GALLERY, generated().descriptors.registry())


def _name(route: Route) -> str:
    return f"{route.method.name} {route.verb} {route.template}"


@pytest.mark.parametrize("route", [each for each in SHELF if not each.method.client_streaming], ids=_name)
@SETTINGS
@given(data=st.data())
def test_requests_of_the_shelf_come_out_as_they_went_in(route: Route, data: st.DataObject) -> None:
    request = _masked(route, data.draw(requests(route)))
    read = SHELF_TRIP.one(route, request)
    assert _plain(route, read) == _plain(route, request)


@pytest.mark.parametrize("route", [each for each in GALLERY if not each.method.client_streaming], ids=_name)
@SETTINGS
@given(data=st.data())
def test_requests_of_the_gallery_come_out_as_they_went_in(route: Route, data: st.DataObject) -> None:
    request = _masked(route, data.draw(requests(route)))
    read = GALLERY_TRIP.one(route, request)
    assert _plain(route, read) == _plain(route, request)


@pytest.mark.parametrize("route", [each for each in GALLERY if each.method.client_streaming], ids=_name)
@SETTINGS
@given(data=st.data())
def test_streams_of_requests_come_out_as_they_went_in(route: Route, data: st.DataObject) -> None:
    sent: list[Any] = [data.draw(requests(route)), *data.draw(st.lists(items(route), max_size=3))]
    read = GALLERY_TRIP.many(route, sent)
    assert [_plain(route, each) for each in read] == [_plain(route, each) for each in sent]


def _masked(route: Route, request: Any) -> Any:
    """With a mask if it is a change: one that is not there is filled by the server."""
    if route.verb == "PATCH" and "update_mask" in request.DESCRIPTOR.fields_by_name:
        request.update_mask.paths.append("text")
    return request


def _plain(route: Route, message: Any) -> Any:
    """Without what raw content cannot say: whether it is there, if it is empty, and each part's own type."""
    field = message.DESCRIPTOR.fields_by_name.get(route.body)
    if field is not None and field.message_type is not None and field.message_type.full_name == HTTP_BODY:
        content = getattr(message, field.name)
        content.SetInParent()
        if route.method.client_streaming:
            content.content_type = ""
    return message
