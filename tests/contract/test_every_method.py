"""Every rpc succeeds, fails with its own error and refuses strangers on every wire it declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from idiom.v1 import options_pb2

from tests.contract.callers import call
from tests.contract.catalog import Wire, message_class, methods, policy, wires
from tests.contract.examples import EXAMPLES
from tests.contract.world import Example, Maker, World

UNARY = [
    wire for wire in wires() if wire.kind in {"grpc", "http", "frame"} and not wire.method.client_streaming
]
OTHERS = {
    "im.client.v1.SessionService.Session": "test_streams_and_sockets.py",
    "im.connect.v1.DeliveryService.Deliver": "test_streams_and_sockets.py",
    "im.task.v1.ConversationConsumer.Push": "test_streams_and_sockets.py",
    "im.task.v1.ConversationConsumer.Persist": "test_streams_and_sockets.py",
}


def _each(pick: Callable[[Example], Sequence[Maker]]) -> list[Any]:
    """Every wire with every example of its method."""
    return [
        pytest.param(wire, maker, id=f"{wire}: {maker.__name__.strip('_')}")
        for wire in UNARY
        for maker in pick(EXAMPLES[wire.method.full_name])
    ]


def test_every_method_has_an_example() -> None:
    assert {method.full_name for method in methods()} == set(EXAMPLES) | set(OTHERS)
    assert all(example.successes and example.failures for example in EXAMPLES.values())


def test_every_method_declares_who_may_call_it() -> None:
    silent = [
        method.full_name
        for method in methods()
        if policy(method).auth == options_pb2.AUTH_UNSPECIFIED
        and method.containing_service.GetOptions().Extensions[options_pb2.service].wire
        != options_pb2.WIRE_CONSUMER
    ]
    assert silent == []


@pytest.mark.parametrize(("wire", "maker"), _each(lambda example: example.successes))
async def test_a_valid_call_succeeds(world: World, wire: Wire, maker: Maker) -> None:
    request = await maker(world)
    outcome = await call(world.doors, wire, request.message, request.token)
    assert (outcome.code, outcome.reason) == ("OK", "")
    assert outcome.response is not None


@pytest.mark.parametrize(("wire", "maker"), _each(lambda example: example.failures))
async def test_a_call_against_the_rules_of_the_domain_is_refused_by_name(
    world: World, wire: Wire, maker: Maker
) -> None:
    request = await maker(world)
    async with request.during(world) if request.during else nullcontext():
        outcome = await call(world.doors, wire, request.message, request.token)
    assert outcome.reason in {request.reason, request.or_reason} - {""}
    assert outcome.code not in {"OK", "UNIMPLEMENTED", "INTERNAL", "UNKNOWN"}


@pytest.mark.parametrize(
    "wire", [w for w in UNARY if policy(w.method).auth != options_pb2.AUTH_NONE], ids=str
)
async def test_a_stranger_is_refused(world: World, wire: Wire) -> None:
    request = message_class(wire.method.input_type)()
    reasons = {"TOKEN_MISSING", "VALIDATION_FAILED"} if wire.kind == "frame" else {"TOKEN_MISSING"}
    outcome = await call(world.doors, wire, request, None)
    assert outcome.reason in reasons
    for token in ("nonsense", "a.b.c", world.alice.access_token[:-3] + "xyz"):
        outcome = await call(world.doors, wire, request, token)
        assert (outcome.code, outcome.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize(
    "wire", [w for w in UNARY if policy(w.method).auth == options_pb2.AUTH_SERVICE], ids=str
)
async def test_a_user_may_not_call_what_is_for_services(world: World, wire: Wire) -> None:
    request = await EXAMPLES[wire.method.full_name].successes[0](world)
    outcome = await call(world.doors, wire, request.message, world.alice.access_token)
    assert (outcome.code, outcome.reason) == ("PERMISSION_DENIED", "FORBIDDEN")
