"""How fast the dispatcher is, next to the same routes written by hand.

With FastAPI and pydantic they do the same: read a token, read and check a JSON body or a path and a query,
call an upstream in process, write JSON. With a bare Starlette route and orjson they check nothing, neither
who calls nor what they send. Requests come as a server hands them over, without a network.

    python -m tests.codegen.runtime.http.measure
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import jwt
import orjson
import uvloop
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.telemetry import TelemetryConfig
from im.descriptors import registry
from im.logic.v1 import message_service_pb2 as messages
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from gateway_routes import ROUTES

KEY = b"k" * 32
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""As in the gateway."""
ROUNDS = 7
TEXT = "hello there, how are you today?"


async def answer(method: str, request: Any) -> Any:
    """The upstream."""
    if method == "ListMessages":
        return messages.ListMessagesResponse(messages=[_message(request.conversation_id)] * 3)
    return messages.SendMessageResponse(message=_message("dm.1.2"), state="ACCEPTED")  # type: ignore[arg-type]


def _message(conversation: str) -> Any:
    made = messages.SendMessageResponse().message
    made.id, made.conversation_id, made.epoch, made.seq = 1 << 50, conversation, 1, 7
    made.sender_id, made.client_message_id, made.text = 1 << 49, "a1b2c3", TEXT
    made.created_at.seconds = 1_700_000_000
    return made


class Upstream:
    """The upstream, as a channel."""

    async def unary_bytes(self, method: Method, request: bytes, _options: CallOptions) -> bytes:
        """One call."""
        answered: Any = await answer(method.name, method.request.FromString(request))
        data: bytes = answered.SerializeToString()
        return data


def generated() -> FastAPI:
    """Our app."""
    app = FastAPI(redirect_slashes=False, telemetry=NO_TELEMETRY)
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), None))
    channel: Any = Upstream()
    mount(app, Dispatch(ROUTES, registry=registry(), pipeline=pipeline, channel=channel), {})
    return app


class Send(BaseModel):
    """A request."""

    clientMessageId: Annotated[str, Field(min_length=1, max_length=128)]  # noqa: N815 - as in JSON
    toUserId: Annotated[int, Field(gt=0)]  # noqa: N815
    text: Annotated[str, Field(min_length=1, max_length=16384)]
    resend: bool = False


class Message(BaseModel):
    """A message."""

    id: str
    conversationId: str  # noqa: N815
    epoch: str
    seq: str
    senderId: str  # noqa: N815
    clientMessageId: str  # noqa: N815
    text: str
    createdAt: str  # noqa: N815


class Sent(BaseModel):
    """A response."""

    message: Message
    state: str


class Page(BaseModel):
    """A response."""

    messages: list[Message]


async def user(authorization: Annotated[str | None, Header()] = None) -> str:
    """Id of the user whose token it is."""
    try:
        claims = jwt.decode((authorization or "")[7:], KEY, ["HS256"], audience="user")
    except jwt.PyJWTError:
        raise HTTPException(401) from None
    subject: str = claims["sub"]
    return subject


def by_hand() -> FastAPI:
    """The same with FastAPI and pydantic."""
    app = FastAPI(redirect_slashes=False, telemetry=NO_TELEMETRY)

    @app.post("/v1/messages")
    async def send(body: Send, _user: Annotated[str, Depends(user)]) -> Sent:
        request = messages.SendMessageRequest(
            client_message_id=body.clientMessageId, to_user_id=body.toUserId, text=body.text
        )
        answered = await answer("SendMessage", request)
        return Sent(message=_model(answered.message), state="ACCEPTED")

    @app.get("/v1/conversations/{conversation_id}/messages")
    async def page(
        conversation_id: str, _user: Annotated[str, Depends(user)], after_seq: int = 0, page_size: int = 50
    ) -> Page:
        request = messages.ListMessagesRequest(
            conversation_id=conversation_id, after_seq=after_seq, page_size=page_size
        )
        answered = await answer("ListMessages", request)
        return Page(messages=[_model(each) for each in answered.messages])

    return app


def _model(message: Any) -> Message:
    return Message(
        id=str(message.id),
        conversationId=message.conversation_id,
        epoch=str(message.epoch),
        seq=str(message.seq),
        senderId=str(message.sender_id),
        clientMessageId=message.client_message_id,
        text=message.text,
        createdAt=message.created_at.ToJsonString(),
    )


def bare() -> Starlette:
    """The same with Starlette and orjson, and without any check."""

    async def send(request: Request) -> Response:
        body = orjson.loads(await request.body())
        asked = messages.SendMessageRequest(
            client_message_id=body["clientMessageId"], to_user_id=int(body["toUserId"]), text=body["text"]
        )
        answered = await answer("SendMessage", asked)
        told = {"message": _plain(answered.message), "state": "ACCEPTED"}
        return Response(orjson.dumps(told), media_type="application/json")

    async def page(request: Request) -> Response:
        asked = messages.ListMessagesRequest(
            conversation_id=request.path_params["conversation_id"],
            after_seq=int(request.query_params.get("after_seq", 0)),
            page_size=int(request.query_params.get("page_size", 50)),
        )
        answered = await answer("ListMessages", asked)
        told = {"messages": [_plain(each) for each in answered.messages]}
        return Response(orjson.dumps(told), media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/messages", send, methods=["POST"]),
            Route("/v1/conversations/{conversation_id}/messages", page),
        ]
    )


def _plain(message: Any) -> dict[str, str]:
    return {
        "id": str(message.id),
        "conversationId": message.conversation_id,
        "epoch": str(message.epoch),
        "seq": str(message.seq),
        "senderId": str(message.sender_id),
        "clientMessageId": message.client_message_id,
        "text": message.text,
        "createdAt": message.created_at.ToJsonString(),
    }


async def rate(app: ASGIApp, verb: str, target: str, body: bytes, seconds: float = 0.5) -> float:
    """Requests per second of processor time, one after the other; others on the machine do not count."""
    token, _ = UserTokens(KEY, 3600).issue("5", "7")
    path, _, query = target.partition("?")
    headers = [
        (b"host", b"localhost"),
        (b"user-agent", b"measure"),
        (b"accept", b"*/*"),
        (b"authorization", f"Bearer {token}".encode()),
    ]
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": verb,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        assert event.get("status", 200) == 200, event

    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for _ in range(100):
            await app(dict(scope), receive, send)
            await asyncio.sleep(0)  # a server returns to its event loop, too
        count += 100
    return count / (time.process_time() - start)


async def rates(apps: Sequence[ASGIApp], verb: str, target: str, body: bytes) -> list[float]:
    """The best of several rounds for each app, in turn: what else runs on the machine disturbs all alike."""
    rounds = [[await rate(app, verb, target, body) for app in apps] for _ in range(ROUNDS)]
    return [max(each) for each in zip(*rounds, strict=True)]


async def main() -> None:
    """Prints a table."""
    body = orjson.dumps({"clientMessageId": "a1b2c3", "toUserId": "12345", "text": TEXT})
    cases = (
        ("POST", "/v1/messages", body),
        ("GET", "/v1/conversations/dm.1.2/messages?after_seq=5&page_size=3", b""),
    )
    for verb, target, content in cases:
        ours, pydantic, starlette = await rates((generated(), by_hand(), bare()), verb, target, content)
        line = (
            f"{verb} {target}: dispatcher {ours:,.0f}/s; by hand with FastAPI {pydantic:,.0f}/s, "
            f"{ours / pydantic:.2f}x; bare Starlette {starlette:,.0f}/s, {ours / starlette:.2f}x"
        )
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    uvloop.run(main())
