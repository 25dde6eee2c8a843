"""Random requests over HTTP and over gRPC: the same call reaches the service, and comes back the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.identity import UserTokens
from codegen.runtime.method import Auth
from codegen.runtime.transcoding.route import Route
from gateway_routes import ROUTES
from tests.contract.both_doors import USERS, Doors, Outcome, doors, over_http
from tests.contract.messages import messages

R = TypeVar("R")
SETTINGS = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKEN = {"authorization": f"Bearer {USERS.issue('5', '7')[0]}"}
BY_ROUTE = pytest.mark.parametrize("route", ROUTES, ids=[f"{each.verb} {each.template}" for each in ROUTES])
PROTECTED = [route for route in ROUTES if route.method.policy.auth is not Auth.NONE]


class Running:
    """Everything, in a loop that runs only while somebody asks."""

    def __init__(self, runner: asyncio.Runner, entered: Doors) -> None:
        self._runner = runner
        self.doors = entered

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Waits for it."""
        return self._runner.run(work)

    def both(
        self, route: Route, request: Message, answer: Message, headers: dict[str, str]
    ) -> tuple[Outcome, Outcome]:
        """Outcomes over HTTP and over gRPC."""
        return (
            self.run(self.doors.http(route, request, answer, headers)),
            self.run(self.doors.grpc(route, request, answer, headers)),
        )


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        context = doors()
        yield Running(runner, runner.run(context.__aenter__()))
        runner.run(context.__aexit__(None, None, None))


def _request(route: Route) -> Descriptor:
    return cast("Descriptor", route.method.request.DESCRIPTOR)


def _response(route: Route) -> Descriptor:
    return cast("Descriptor", route.method.response.DESCRIPTOR)


def _empty(route: Route) -> Any:
    """A request that says no more than its path must."""
    request: Any = route.method.request()
    for variable in route.variables:
        if getattr(request, variable.field[0]) == "":
            setattr(request, variable.field[0], "x")
    return request


def _says_its_path(route: Route, request: Any) -> bool:
    """Whether no variable is empty text, which no path can say."""
    return all(getattr(request, variable.field[0]) != "" for variable in route.variables)


@BY_ROUTE
def test_a_valid_request_reaches_the_same_method_with_the_same_message(
    running: Running, route: Route
) -> None:
    codes: Counter[str] = Counter()

    @SETTINGS
    @given(request=messages(_request(route)), answer=messages(_response(route), ruled=False))
    def check(request: Any, answer: Any) -> None:
        over_http, over_grpc = running.both(route, request, answer, TOKEN)
        assert over_http == over_grpc
        codes[over_http.code] += 1
        if over_http.code == "OK":
            assert over_http.came is not None
            assert over_http.came.request == request.SerializeToString(deterministic=True)
            assert over_http.response == answer.SerializeToString(deterministic=True)

    check()
    assert codes["OK"] > codes.total() / 2, codes


@BY_ROUTE
def test_a_request_that_may_break_rules_is_refused_alike(running: Running, route: Route) -> None:
    @SETTINGS
    @given(request=messages(_request(route), ruled=False).filter(lambda each: _says_its_path(route, each)))
    def check(request: Any) -> None:
        over_http, over_grpc = running.both(route, request, route.method.response(), TOKEN)
        assert over_http == over_grpc
        assert over_http.code in ("OK", "INVALID_ARGUMENT")

    check()


_OTHER_KEY = UserTokens(b"x" * 32, 3600)
_EXPIRED = UserTokens(b"u" * 32, -100)
_BAD: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "no scheme": lambda: {"authorization": USERS.issue("5", "7")[0]},
    "nonsense": lambda: {"authorization": "Bearer nonsense"},
    "another key": lambda: {"authorization": f"Bearer {_OTHER_KEY.issue('5', '7')[0]}"},
    "expired": lambda: {"authorization": f"Bearer {_EXPIRED.issue('5', '7')[0]}"},
}


@pytest.mark.parametrize("kind", _BAD)
@pytest.mark.parametrize("route", PROTECTED, ids=[f"{each.verb} {each.template}" for each in PROTECTED])
def test_a_bad_token_is_refused_alike(running: Running, route: Route, kind: str) -> None:
    request, answer = _empty(route), route.method.response()
    over_http, over_grpc = running.both(route, request, answer, _BAD[kind]())
    assert over_http == over_grpc
    assert over_http.code == "UNAUTHENTICATED"
    assert over_http.came is None


def _text_of(route: Route) -> str:
    """A field of text; empty if there is none."""
    return next((each.name for each in _request(route).fields if each.type == each.TYPE_STRING), "")


LARGE = [
    route for route in ROUTES if route.body and route.method.policy.max_request_bytes and _text_of(route)
]


@pytest.mark.parametrize("route", LARGE, ids=[f"{each.verb} {each.template}" for each in LARGE])
def test_a_request_beyond_its_limit_is_refused_alike(running: Running, route: Route) -> None:
    request = _empty(route)
    setattr(request, _text_of(route), "x" * (route.method.policy.max_request_bytes + 1))
    over_http, over_grpc = running.both(route, request, route.method.response(), TOKEN)
    assert over_http == over_grpc
    assert over_http.reason == "TOO_LARGE"
    assert over_http.came is None


WRONG = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.floats(allow_nan=False), st.integers(), st.text("abü ", max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
WITH_BODY = [route for route in ROUTES if route.body == "*"]


@pytest.mark.parametrize("route", WITH_BODY, ids=[f"{each.verb} {each.template}" for each in WITH_BODY])
def test_json_of_other_types_is_refused_or_means_what_protojson_says(running: Running, route: Route) -> None:
    """What gRPC cannot say; its other side is the mapping's own implementation."""

    @SETTINGS
    @given(request=messages(_request(route)), data=st.data())
    def check(request: Any, data: st.DataObject) -> None:
        verb, target, body = over_http(route, request)
        given = json.loads(body)
        names = [each.json_name for each in _request(route).fields]
        given[data.draw(st.sampled_from([*names, "nope"]))] = data.draw(WRONG)
        text = json.dumps(given).encode()
        outcome = running.run(running.doors.raw(route, verb, target, text, route.method.response(), TOKEN))
        meant = _meant(route, request, given)
        if meant is None:
            assert (outcome.code, outcome.came) == ("INVALID_ARGUMENT", None)
            return
        over_grpc = running.run(running.doors.grpc(route, meant, route.method.response(), TOKEN))
        assert outcome == over_grpc

    check()


WITHOUT_BODY = [route for route in ROUTES if not route.body]


@pytest.mark.parametrize("route", WITHOUT_BODY, ids=[f"{each.verb} {each.template}" for each in WITHOUT_BODY])
def test_a_parameter_that_is_none_is_refused(running: Running, route: Route) -> None:
    """gRPC has no wrong parameters."""
    bound = {variable.field[0] for variable in route.variables}
    numbers = [each.name for each in _request(route).fields if each.type == each.TYPE_INT32]
    verb, target, _ = over_http(route, _empty(route))
    wrong = [
        "nope=1",
        *(f"{name}={text}" for name in {*numbers} - bound for text in ("x", "5.5", "2147483648")),
    ]
    for parameter in wrong:
        joined = f"{target}{'&' if '?' in target else '?'}{parameter}"
        outcome = running.run(running.doors.raw(route, verb, joined, b"", route.method.response(), TOKEN))
        assert (outcome.code, outcome.fields) == ("INVALID_ARGUMENT", (parameter.partition("=")[0],))
        assert outcome.came is None


def _meant(route: Route, request: Any, given: dict[str, Any]) -> Any:
    """The message that JSON and path say by google.protobuf.json_format; None if they say none.

    It takes `false`, `0.0` and integers of any size for enums; ProtoJSON has names and int32.
    """
    enums = (given.get(each.json_name) for each in _request(route).fields if each.enum_type is not None)
    if any(
        isinstance(each, bool | float) or (isinstance(each, int) and abs(each) >= 1 << 31) for each in enums
    ):
        return None
    try:
        meant: Any = json_format.ParseDict(given, route.method.request())
    except json_format.ParseError:
        return None
    for variable in route.variables:
        (name,) = variable.field
        if getattr(meant, name) != getattr(request, name) and given.get(_camel(name)) is not None:
            return None
        setattr(meant, name, getattr(request, name))
    return meant


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)
