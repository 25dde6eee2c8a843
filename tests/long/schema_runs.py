"""Runs schemathesis against a server: every operation of a document, what it allows and what it does not."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema_rs
import orjson
import schemathesis
from protobuf import Registry
from schemathesis.checks import CheckContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext
from schemathesis.specs.openapi.checks import negative_data_rejection

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.transcoding.route import Route

SEED: Final = 20
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "refuses_what_is_not_documented",
    "reads_what_is_documented",
)
BODIES: Final = ("application/x-protobuf", "application/x-ndjson")
"""Forms of bodies that schemathesis cannot write."""
_UNREADABLE: Final = frozenset(
    {"INVALID_FIELD", "UNKNOWN_FIELD", "MALFORMED_BODY", "MALFORMED_PATH", "VALIDATION_FAILED"}
)
_OPAQUE: Final = frozenset({"if-match", "last-event-id"})
"""Headers whose values come from answers; nobody makes them up."""
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONG: Final = re.compile(r"(?<![0-9])[0-9]{19,20}(?![0-9])")
"""Numbers that may be beyond 64 bits: only `format` says that of them, and schemathesis does not know it."""


@dataclass(slots=True)
class Run:
    """What came of a run."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By operation, `GET /v1/users/me`, and status."""
    failures: list[str] = field(default_factory=list)
    """Every failed check, with how to repeat it and what was answered."""

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self.answers.total()

    def reached(self) -> set[str]:
        """The operations that succeeded at least once."""
        return {label for label, status in self.answers if status < 400}


class Spellings:
    """Tells other spellings of what a document allows, which ProtoJSON reads, from what it does not.

    Args:
        document: the document.
        routes: its routes.
        registry: types of them.
    """

    def __init__(self, document: Any, routes: Sequence[Route], registry: Registry) -> None:
        self._document = document
        self._codec = JsonCodec(registry)
        self._routes = {f"{_service(each)}_{each.method.name}": each for each in routes if each.body}

    def allows(self, operation_id: str, body: Any) -> bool:
        """Whether a body, written as the document has it, is one that it allows."""
        route = self._routes.get(re.sub(r"_[0-9]+$", "", operation_id))
        schema = self._schema(operation_id)
        if route is None or schema is None:
            return False
        try:
            # One item may stand for a stream of one.
            items = body if isinstance(body, list) else [body]
            streams = route.method.client_streaming and route.body == "*"
            written = (
                [self._written(route, each) for each in items] if streams else self._written(route, body)
            )
        except (Error, TypeError):
            return False
        return schema.is_valid(written)

    def _written(self, route: Route, body: Any) -> Any:
        request = route.method.request.DESCRIPTOR
        whole = route.body == "*"
        key = "" if whole else request.fields_by_name[route.body].json_name
        message = self._codec.type(request.full_name).parse(orjson.dumps(body if whole else {key: body}))
        written = orjson.loads(self._codec.to_json(message))
        return written if whole else written.get(key, {})

    def _schema(self, operation_id: str) -> jsonschema_rs.Draft202012Validator | None:
        for item in self._document["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict) and operation.get("operationId") == operation_id:
                    content = operation.get("requestBody", {}).get("content", {})
                    schema = content.get("application/json", {}).get("schema")
                    whole = {"$ref": "#/schema", "schema": schema, "components": self._document["components"]}
                    return None if schema is None else jsonschema_rs.Draft202012Validator(whole)
        return None


_spellings: list[Spellings] = []


@schemathesis.check
def reads_what_is_documented(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the document allows can be read: it may be refused for what it says, not for how."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    info, *more = response.json()["details"]
    fields = {each["field"] for detail in more for each in detail.get("fieldViolations", ())}
    if (
        info["reason"] in _UNREADABLE
        and not fields & _OPAQUE
        and not _LONG.search(repr((case.body, case.query, case.path_parameters)))
    ):
        raise AssertionError(response.text)


@schemathesis.check
def refuses_what_is_not_documented(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the document does not allow is refused, unless it is a spelling that ProtoJSON reads."""
    if response.status_code >= 400:
        return
    try:
        negative_data_rejection(context, response, case)
    except AcceptedNegativeData:
        name = case.operation.definition.raw.get("operationId", "")
        if not any(each.allows(name, case.body) for each in _spellings):
            raise


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Deadlines that let calls end, and streams that do."""
    if case.headers and _SECONDS.fullmatch(case.headers.get("X-Request-Timeout", "")):
        case.headers["X-Request-Timeout"] = "5"
    for holder in (case.query, case.body):
        if isinstance(holder, dict) and "linger" in holder:
            holder["linger"] = "false" if holder is case.query else False
        if isinstance(holder, dict) and "count" in holder:
            holder["count"] = 2


def run(document: Any, url: str, token: str, examples: int, spellings: Spellings) -> Run:
    """Calls every operation of a document.

    Args:
        document: OpenAPI. Statuses that an operation answers must be among its own: `default` does not count.
        url: of the server.
        token: sent with every request.
        examples: most random requests of each operation, both that the document allows and that it does not.
        spellings: of the same document.
    """
    config = SchemathesisConfig(seed=SEED)
    schema = schemathesis.openapi.from_dict(_strict(document), config=config)
    schema.config.update(base_url=url, headers={"Authorization": f"Bearer {token}"}, request_timeout=15)
    schema.config.generation.update(
        max_examples=examples, deterministic=True, no_shrink=True, database="none"
    )
    schema.config.phases.update(phases=["examples", "coverage", "fuzzing"])
    schema.config.checks.update(included_check_names=list(CHECKS))
    _spellings[:] = [spellings]
    done = Run()
    for event in from_schema(schema).execute():
        _note(done, event)
    return done


def _note(done: Run, event: events.EngineEvent) -> None:
    if isinstance(event, events.NonFatalError):
        done.failures.append(f"{event.label}: {event.value!r}")
    elif isinstance(event, events.FatalError):
        raise event.exception
    elif isinstance(event, events.ScenarioFinished):
        recorder = event.recorder
        for each in recorder.interactions.values():
            if each.response is not None:
                done.answers[recorder.label, each.response.status_code] += 1
        for name, checks in recorder.checks.items():
            answer = recorder.interactions[name].response
            body = answer.content[:500] if answer else b""
            done.failures += [
                f"{recorder.label}: {check.name}: {check.failure_info.failure}\n"
                f"{check.failure_info.code_sample}\n{body!r}"
                for check in checks
                if check.failure_info
            ]


def _strict(document: Any) -> Any:
    strict = copy.deepcopy(document)
    for item in strict["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation["responses"].pop("default", None)
                content = operation.get("requestBody", {}).get("content", {})
                for name in BODIES:
                    content.pop(name, None)
    return strict


def _service(route: Route) -> str:
    return route.method.service.rpartition(".")[2]
