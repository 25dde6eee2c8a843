"""How operations fail: statuses, reasons, headers, and `google.rpc.Status`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from codegen.plugin.ir import Binding, ErrorReason, Method, Schema
from codegen.plugin.openapi_scalars import ANY, Node
from codegen.plugin.openapi_text import markdown, sentences

STATUS: Final = "google.rpc.Status"
STREAM_ERROR: Final = "StreamError"

HTTP_OF_CODE: Final[Mapping[int, int]] = {
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
"""HTTP status of each `google.rpc.Code`, as its comments give them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One status and the reasons of the runtime that have it."""

    name: str
    """Of the response in `components`."""
    text: str
    code: int
    """`google.rpc.Code` of its example."""
    reasons: tuple[str, ...]
    headers: tuple[str, ...] = ()


_UNREADABLE: Final = ("MALFORMED_PATH", "MALFORMED_BODY", "INVALID_FIELD", "UNKNOWN_FIELD")
FAILURES: Final[Mapping[int, Failure]] = {
    400: Failure(
        "BadRequest",
        "The request cannot be read, or breaks a rule of the schema.",
        3,
        (*_UNREADABLE, "VALIDATION_FAILED", "FENCED"),
    ),
    401: Failure(
        "Unauthorized",
        "Who calls is not known.",
        16,
        ("TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"),
        ("WWW-Authenticate",),
    ),
    403: Failure("Forbidden", "The caller is known and may not do this.", 7, ("FORBIDDEN",)),
    404: Failure("NotFound", "There is no such thing, or nothing at such a path.", 5, ("NO_ROUTE",)),
    405: Failure(
        "MethodNotAllowed", "The path has other verbs only.", 12, ("METHOD_NOT_ALLOWED",), ("Allow",)
    ),
    406: Failure("NotAcceptable", "`Accept` names no format that is offered.", 3, ("NOT_ACCEPTABLE",)),
    409: Failure("Conflict", "It contradicts what there is already.", 10, ()),
    412: Failure("PreconditionFailed", "It is not as `If-Match` says.", 10, ("PRECONDITION_FAILED",)),
    413: Failure("ContentTooLarge", "The request is larger than the limit.", 8, ("TOO_LARGE",)),
    415: Failure(
        "UnsupportedMediaType", "The body is in a format that is not offered.", 3, ("UNSUPPORTED_MEDIA_TYPE",)
    ),
    426: Failure(
        "UpgradeRequired", "A WebSocket must be opened here.", 12, ("METHOD_NOT_ALLOWED",), ("Upgrade",)
    ),
    429: Failure("TooManyRequests", "Too much is asked now.", 8, ("OVERLOADED",), ("Retry-After",)),
    500: Failure("InternalError", "A defect of the server; its log has the request's id.", 13, ("INTERNAL",)),
    503: Failure(
        "Unavailable",
        "It cannot be done now.",
        14,
        ("NO_INSTANCE", "DEPENDENCY_UNAVAILABLE", "DRAINING"),
        ("Retry-After",),
    ),
    504: Failure("DeadlineExceeded", "It took longer than the deadline.", 4, ("DEADLINE_EXCEEDED",)),
}
"""What operations answer besides success; `default` is anything else."""

_ANY_OPERATION: Final = (400, 406, 429, 500, 503, 504)
_NAMED: Final = re.compile(r"\bErrors(?: of all methods)?:((?:[^.]|\.(?=\w))*)")
_NAME: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b")


class Errors:
    """The errors of a run."""

    def __init__(self, schema: Schema) -> None:
        enums = [enum for file in schema.files for enum in file.errors]
        self._reasons = {reason.name: reason for enum in enums for reason in enum.reasons}
        self._lines = [
            _line(enum.domain, reason, markdown(schema.comments(reason.desc)))
            for enum in enums
            for reason in enum.reasons
            if reason.desc.number
        ]

    def responses(self, method: Method, binding: Binding, text: str) -> Node:
        """The refusals of an operation.

        Its comment names reasons after `Errors:`, that of its service after `Errors of all methods:`.
        """
        named = self._named(text)
        responses: Node = {}
        for status in sorted({*_statuses(method, binding), *named} & FAILURES.keys()):
            failure = FAILURES[status]
            reference: Node = {"$ref": f"#/components/responses/{failure.name}"}
            if status in named:
                reasons = ", ".join(f"`{name}`" for name in named[status])
                reference["description"] = sentences(failure.text, f"Reasons of the service: {reasons}.")
            responses[str(status)] = reference
        return responses | {"default": {"$ref": "#/components/responses/Error"}}

    def _named(self, text: str) -> dict[int, list[str]]:
        named: dict[int, list[str]] = {}
        for name in _NAME.findall(" ".join(_NAMED.findall(text))):
            if (reason := self._reasons.get(name)) is not None:
                named.setdefault(HTTP_OF_CODE.get(reason.code, 500), []).append(name)
        return named

    def responses_by_name(self) -> Node:
        """`components.responses`."""
        known = {failure.name: _response(failure) for failure in FAILURES.values()}
        anything = Failure("Error", "The call was refused or failed.", 2, (), ("Retry-After",))
        return dict(sorted((known | {"Error": _response(anything)}).items()))

    def schemas(self) -> Node:
        """`components.schemas` of errors."""
        detail = "#/components/schemas/Status."
        kinds = [{"$ref": f"{detail}{name}"} for name in ("ErrorInfo", "BadRequest", "RetryInfo")]
        return {
            STATUS: {
                "description": "A refused or failed call.",
                "type": "object",
                "properties": {
                    "code": {
                        "type": "integer",
                        "format": "int32",
                        "description": "A value of `google.rpc.Code`.",
                    },
                    "message": {"type": "string", "description": "What went wrong, for people."},
                    "details": {
                        "type": "array",
                        "items": {"anyOf": [*kinds, ANY]},
                        "description": "The reason, the fields at fault, when to try again; perhaps more.",
                    },
                },
            },
            STREAM_ERROR: {
                "description": "The last item of a stream that failed after it had begun.",
                "type": "object",
                "properties": {"error": {"$ref": f"#/components/schemas/{STATUS}"}},
                "required": ["error"],
                "additionalProperties": False,
            },
            "Status.ErrorInfo": self._error_info(),
            "Status.BadRequest": _BAD_REQUEST,
            "Status.RetryInfo": _RETRY_INFO,
        }

    def _error_info(self) -> Node:
        own = [f"- `{name}` ({status})" for status, each in FAILURES.items() for name in each.reasons]
        text = "\n".join(["Why. Besides reasons of the runtime itself", "", *own, *self._of_services()])
        return _detail(
            "ErrorInfo",
            "The typed reason; every refusal has one.",
            {
                "reason": {"type": "string", "description": text},
                "domain": {"type": "string", "description": "Who defines the reason."},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        )

    def _of_services(self) -> list[str]:
        return ["", "there are those of the services:", "", *self._lines] if self._lines else []


def headers() -> Node:
    """`components.headers`."""
    described = {
        "Allow": "The verbs that the path has.",
        "ETag": "The version of what is answered; for `If-None-Match` and `If-Match`.",
        "Retry-After": "Seconds after which to try again.",
        "Upgrade": "`websocket`.",
        "WWW-Authenticate": "`Bearer`, and what is wrong with the token (RFC 6750).",
        "X-Request-Id": "Names the request; it is in the server's log.",
    }
    shapes: dict[str, Node] = {"Retry-After": {"type": "integer", "minimum": 0}}
    plain: Node = {"type": "string"}
    return {
        name: {"description": text, "schema": shapes.get(name, plain)} for name, text in described.items()
    }


def header(*names: str) -> Node:
    """Headers of a response, by reference."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}


def _statuses(method: Method, binding: Binding) -> Iterable[int]:
    yield from _ANY_OPERATION
    policy = method.policy
    if policy.auth not in {"NONE", "UNSPECIFIED"}:
        yield 401
    if policy.auth != "NONE":
        yield 403
    if any(each.variables for each in method.bindings):
        yield 404
    if method.http.if_match:
        yield 412
    if method.http.websocket:
        yield 426
    if binding.body:
        yield 415
    if binding.body or policy.max_request_bytes:
        yield 413


def _line(domain: str, reason: ErrorReason, text: str) -> str:
    words = " ".join(text.split())
    return f"- `{reason.name}` ({domain}, {HTTP_OF_CODE.get(reason.code, 500)}): {words}".rstrip(": ")


def _response(failure: Failure) -> Node:
    schema = {"$ref": f"#/components/schemas/{STATUS}"}
    content: Node = {"application/json": {"schema": schema, "example": _example(failure)}}
    return {
        "description": failure.text,
        "headers": header("X-Request-Id", *failure.headers),
        "content": content,
    }


def _example(failure: Failure) -> Any:
    example: dict[str, Any] = {"code": failure.code, "message": failure.text}
    if failure.reasons:
        info = {"reason": failure.reasons[-1], "domain": "idiom"}
        example["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
    return example


def _detail(name: str, text: str, properties: Node) -> Node:
    return {
        "description": text,
        "type": "object",
        "properties": {"@type": {"const": f"type.googleapis.com/google.rpc.{name}"}, **properties},
        "required": ["@type"],
    }


_VIOLATION: Final = {
    "type": "object",
    "properties": {
        "field": {"type": "string", "description": "Path of the field: `items[2].text`."},
        "description": {"type": "string", "description": "What is wrong with it."},
    },
}
_BAD_REQUEST: Final = _detail(
    "BadRequest", "The fields at fault.", {"fieldViolations": {"type": "array", "items": _VIOLATION}}
)
_RETRY_INFO: Final = _detail(
    "RetryInfo",
    "When to try again.",
    {"retryDelay": {"type": "string", "pattern": r"^[0-9]+(?:\.[0-9]{1,9})?s$", "examples": ["1.5s"]}},
)
