"""The call pipeline, as every wire runs it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from idiom.v1.reason_errors import FENCED

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.errors import Error
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.method import Auth, Method, Policy
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.validation import MAX_VIOLATIONS, validate
from tests.codegen.runtime.http.schema import Schema

USER = Identity(subject="1", scopes=frozenset({"read"}))
SERVICE = Identity(service="logic")
VOUCHED = Identity(subject="1", service="gateway")


@pytest.fixture
def pipeline(tokens: UserTokens) -> Pipeline:
    return Pipeline(Authenticator(tokens, ServiceTokens(b"s" * 32, "x")), default_deadline=2.0)


@pytest.fixture
def method(schema: Schema) -> Method:
    return schema.methods["Rules"]


@pytest.mark.parametrize(
    ("policy", "identity", "reason"),
    [
        (Policy(Auth.NONE), None, None),
        (Policy(Auth.NONE), USER, None),
        (Policy(Auth.USER), USER, None),
        (Policy(Auth.USER), VOUCHED, None),
        (Policy(Auth.USER), None, "TOKEN_MISSING"),
        (Policy(Auth.USER), SERVICE, "FORBIDDEN"),
        (Policy(Auth.SERVICE), SERVICE, None),
        (Policy(Auth.SERVICE), VOUCHED, None),
        (Policy(Auth.SERVICE), USER, "FORBIDDEN"),
        (Policy(Auth.SERVICE), None, "TOKEN_MISSING"),
        (Policy(Auth.UNSPECIFIED), None, "FORBIDDEN"),
        (Policy(Auth.UNSPECIFIED), USER, "FORBIDDEN"),
        (Policy(Auth.UNSPECIFIED), SERVICE, "FORBIDDEN"),
        (Policy(Auth.USER, scopes=("read",)), USER, None),
        (Policy(Auth.USER, scopes=("read", "write")), USER, "FORBIDDEN"),
    ],
)
def test_a_policy_decides_who_may_call(
    pipeline: Pipeline, method: Method, policy: Policy, identity: Identity | None, reason: str | None
) -> None:
    asked = replace(method, policy=policy)
    if reason is None:
        context = pipeline.admit(asked, {}, wire=Wire.GRPC, identity=identity)
        assert context.identity == identity
        return
    with pytest.raises(Error) as refusal:
        pipeline.admit(asked, {}, wire=Wire.GRPC, identity=identity)
    assert refusal.value.reason.name == reason


def test_methods_without_a_policy_are_open_where_that_is_said_and_nowhere_else(method: Method) -> None:
    open_to_all = Pipeline(None, without_policy=Auth.NONE)
    assert open_to_all.admit(replace(method, policy=Policy()), {}, wire=Wire.HTTP).identity is None
    with pytest.raises(Error, match="TOKEN_MISSING"):
        open_to_all.admit(replace(method, policy=Policy(Auth.USER)), {}, wire=Wire.HTTP)
    with pytest.raises(Error, match="FORBIDDEN"):
        Pipeline(None).admit(replace(method, policy=Policy()), {}, wire=Wire.HTTP)


def test_the_shorter_deadline_counts(pipeline: Pipeline, method: Method) -> None:
    cases = [(None, 0.0, 2.0), (None, 1.0, 1.0), (0.5, 1.0, 0.5), (5.0, 1.0, 1.0), (5.0, 0.0, 2.0)]
    for timeout, policy, seconds in cases:
        asked = replace(method, policy=Policy(Auth.NONE, deadline=policy))
        context = pipeline.admit(asked, {}, wire=Wire.GRPC, timeout=timeout)
        assert context.deadline == pytest.approx(time.monotonic() + seconds, abs=0.2)


def test_a_request_larger_than_its_limit_is_refused(pipeline: Pipeline, method: Method) -> None:
    asked = replace(method, policy=Policy(Auth.NONE, max_request_bytes=10))
    pipeline.admit(asked, {}, wire=Wire.GRPC, size=10)
    with pytest.raises(Error, match="TOO_LARGE"):
        pipeline.admit(asked, {}, wire=Wire.GRPC, size=11)


def _context(seconds: float = 1.0) -> Context:
    return Context(Wire.GRPC, deadline=time.monotonic() + seconds, request_id="abc-4")


async def _answer(request: Any, _context: Context) -> str:
    return f"to {request.text}"


async def test_a_valid_call_is_answered(pipeline: Pipeline, method: Method) -> None:
    request = method.request(text="a")
    assert await pipeline.call(method, request, _context(), _answer) == "to a"


async def test_an_invalid_call_is_not_made(pipeline: Pipeline, method: Method) -> None:
    with pytest.raises(Error) as refusal:
        await pipeline.call(method, method.request(text="too long"), _context(), _answer)
    assert refusal.value.reason.name == "VALIDATION_FAILED"
    assert [violation.field for violation in refusal.value.violations] == ["text"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Error(FENCED, "older"), "FENCED"),
        (TimeoutError(), "DEADLINE_EXCEEDED"),
        (ValueError("a secret"), "INTERNAL"),
        (ExceptionGroup("a secret", [ValueError()]), "INTERNAL"),
    ],
)
async def test_failures_are_translated(
    pipeline: Pipeline, method: Method, failure: Exception, reason: str
) -> None:
    async def fail(_request: Any, _context: Context) -> None:
        raise failure

    with pytest.raises(Error) as refusal:
        await pipeline.call(method, method.request(), _context(), fail)
    assert refusal.value.reason.name == reason
    assert "secret" not in str(refusal.value)


async def test_a_call_ends_at_its_deadline_and_when_cancelled(pipeline: Pipeline, method: Method) -> None:
    async def sleep(_request: Any, _context: Context) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await pipeline.call(method, method.request(), _context(0.02), sleep)
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await pipeline.call(method, method.request(), _context(-1), sleep)
    task = asyncio.create_task(pipeline.call(method, method.request(), _context(), sleep))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_violations_are_named_and_bounded(schema: Schema) -> None:
    ruled: Any = schema.methods["Rules"].request
    request = ruled(items=[{} for _ in range(100)])
    with pytest.raises(Error) as refusal:
        validate(request)
    violations = refusal.value.violations
    assert len(violations) == MAX_VIOLATIONS
    assert violations[2].field == "items[2].text"
    description = schema.registry.message("tests.http.v1.Ruled")
    assert description is not None
    with pytest.raises(Error) as same:
        validate(description.type.from_binary(request.SerializeToString()))
    assert same.value.violations == violations
