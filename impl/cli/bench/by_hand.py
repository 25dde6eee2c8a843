"""The rivals of the dispatcher: the same routes by hand, with FastAPI and pydantic, and with Starlette alone.

All call the same upstream in process, which takes and gives google messages, as stubs of gRPC do.
"""

from __future__ import annotations

from typing import Annotated, Any

import jwt
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.telemetry import TelemetryConfig
from google.protobuf.message import Message
from im.logic.v1 import message_service_pb2
from im.logic.v1.message_pb2 import Message as Sent
from im.logic.v1.rung_pb2 import ACCEPTED
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

QUIET: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""Off on all sides."""
KEY = b"k" * 32
"""Signs the tokens of this benchmark."""
TEXT = "hello there, how are you today?"
PAGE = 3


async def answer(request: Message) -> Message:
    """The upstream: a message sent, or a page of three."""
    if isinstance(request, message_service_pb2.ListMessagesRequest):
        messages = [_sent(request.conversation_id, "a1b2c3", TEXT)] * PAGE
        return message_service_pb2.ListMessagesResponse(messages=messages)
    assert isinstance(request, message_service_pb2.SendMessageRequest)  # noqa: S101 - there is no third
    sent = _sent("dm.5.12345", request.client_message_id, request.text)
    return message_service_pb2.SendMessageResponse(message=sent, state=ACCEPTED)


def _sent(conversation: str, client_message_id: str, text: str) -> Sent:
    made = Sent(
        id=1 << 50,
        conversation_id=conversation,
        epoch=1,
        seq=7,
        sender_id=1 << 49,
        client_message_id=client_message_id,
        text=text,
    )
    made.created_at.seconds = 1_700_000_000
    return made


class Send(BaseModel):
    """A request."""

    clientMessageId: Annotated[str, Field(min_length=1, max_length=128)]  # noqa: N815 - as in JSON
    toUserId: Annotated[int, Field(gt=0)]  # noqa: N815
    text: Annotated[str, Field(min_length=1, max_length=16384)]
    resend: bool = False


class Written(BaseModel):
    """A message."""

    id: str
    conversationId: str  # noqa: N815
    epoch: str
    seq: str
    senderId: str  # noqa: N815
    clientMessageId: str  # noqa: N815
    text: str
    createdAt: str  # noqa: N815


class Accepted(BaseModel):
    """A response."""

    message: Written
    state: str


class Page(BaseModel):
    """A response."""

    messages: list[Written]


async def user(authorization: Annotated[str | None, Header()] = None) -> str:
    """Id of the user whose token it is."""
    try:
        claims = jwt.decode((authorization or "")[7:], KEY, ["HS256"], audience="user")
    except jwt.PyJWTError:
        raise HTTPException(401) from None
    subject: str = claims["sub"]
    return subject


User = Annotated[str, Depends(user)]


def with_fastapi() -> FastAPI:
    """Token, model of the request, upstream, model of the response."""
    app = FastAPI(redirect_slashes=False, telemetry=QUIET)

    @app.post("/v1/messages")
    async def send(body: Send, _user: User) -> Accepted:
        request = message_service_pb2.SendMessageRequest(
            client_message_id=body.clientMessageId, to_user_id=body.toUserId, text=body.text
        )
        answered: Any = await answer(request)
        return Accepted(message=_model(answered.message), state="ACCEPTED")

    @app.get("/v1/conversations/{conversation_id}/messages")
    async def page(conversation_id: str, _user: User, after_seq: int = 0, page_size: int = 50) -> Page:
        request = message_service_pb2.ListMessagesRequest(
            conversation_id=conversation_id, after_seq=after_seq, page_size=page_size
        )
        answered: Any = await answer(request)
        return Page(messages=[_model(each) for each in answered.messages])

    return app


def with_starlette() -> Starlette:
    """No token, no checks: JSON, upstream, JSON."""

    async def send(request: Request) -> Response:
        body = orjson.loads(await request.body())
        answered: Any = await answer(
            message_service_pb2.SendMessageRequest(
                client_message_id=body["clientMessageId"], to_user_id=int(body["toUserId"]), text=body["text"]
            )
        )
        return _json({"message": _plain(answered.message), "state": "ACCEPTED"})

    async def page(request: Request) -> Response:
        query = request.query_params
        answered: Any = await answer(
            message_service_pb2.ListMessagesRequest(
                conversation_id=request.path_params["conversation_id"],
                after_seq=int(query.get("after_seq", "0")),
                page_size=int(query.get("page_size", "50")),
            )
        )
        return _json({"messages": [_plain(each) for each in answered.messages]})

    pages = Route("/v1/conversations/{conversation_id}/messages", page)
    return Starlette(routes=[Route("/v1/messages", send, methods=["POST"]), pages])


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _model(message: Any) -> Written:
    return Written(**_plain(message))


def _plain(message: Any) -> dict[str, Any]:
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
