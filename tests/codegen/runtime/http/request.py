"""Requests to an app byte by byte, as a server hands them over: HTTP clients would tidy paths up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body."""
        return orjson.loads(self.content)

    @property
    def reason(self) -> str:
        """Reason of a refusal, whose body is a `google.rpc.Status`."""
        status = self.json()
        assert self.headers["content-type"] == "application/json"
        assert set(status) <= {"code", "message", "details"}
        assert status["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        name: str = status["details"][0]["reason"]
        return name

    @property
    def fields(self) -> list[str]:
        """Fields that a refusal names."""
        violations = (each for detail in self.json()["details"] for each in detail.get("fieldViolations", ()))
        return [each.get("field", "") for each in violations]


class Client:
    """Calls an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def send(
        self,
        verb: str,
        target: str,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Response:
        """Sends a request; target and headers go out as latin-1. Content in parts has no length."""
        parts = [content] if isinstance(content, bytes) else list(content or ())
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        if isinstance(content, bytes):
            given.append(("content-length", str(len(content))))
        elif content is not None:
            given.append(("transfer-encoding", "chunked"))
        return await self._exchange(_scope(verb, target, given), parts)

    async def post(self, target: str, value: Any, headers: Mapping[str, str] | None = None) -> Response:
        """Sends JSON."""
        content = value if isinstance(value, bytes) else orjson.dumps(value)
        return await self.send(
            "POST", target, content, {"content-type": "application/json", **(headers or {})}
        )

    async def _exchange(self, scope: dict[str, Any], parts: list[bytes]) -> Response:
        sent: list[Message] = []
        events = iter(
            [{"type": "http.request", "body": part, "more_body": True} for part in parts]
            + [{"type": "http.request", "body": b"", "more_body": False}]
        )

        async def receive() -> Message:
            event = next(events, None)
            return event if event is not None else await asyncio.Event().wait()  # type: ignore[return-value]

        async def send(event: Message) -> None:
            sent.append(event)

        await self._app(scope, receive, send)
        return _response(sent)


def _scope(verb: str, target: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": verb,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


def _response(sent: list[Message]) -> Response:
    start = sent[0]
    return Response(
        start["status"],
        {name.decode(): value.decode("latin-1") for name, value in start["headers"]},
        b"".join(event.get("body", b"") for event in sent[1:]),
    )
