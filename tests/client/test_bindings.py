"""Every HTTP binding of the schema: what a client writes, the gateway's rules read as the same request."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from im.descriptors import registry

from codegen.runtime.transcoding.route import Route
from gateway_routes import ROUTES
from tests.codegen.runtime.client.messages import requests
from tests.codegen.runtime.client.round_trip import RoundTrip

SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
TRIP = RoundTrip(ROUTES, registry())


def _name(route: Route) -> str:
    return f"{route.method.name} {route.verb} {route.template}"


@pytest.mark.parametrize("route", ROUTES, ids=_name)
@SETTINGS
@given(data=st.data())
def test_requests_come_out_as_they_went_in(route: Route, data: st.DataObject) -> None:
    request = data.draw(requests(route))
    assert TRIP.one(route, request) == request
