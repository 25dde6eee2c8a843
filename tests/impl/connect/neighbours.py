"""Logic, as the connection gateway knows it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from im.logic.v1.auth_service_pb2 import RegisterRequest, RegisterResponse
from im.logic.v1.auth_service_rpc import AUTH_SERVICE
from im.logic.v1.conversation_service_pb2 import ListHeadsRequest, ListHeadsResponse
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.message_service_pb2 import SendMessageRequest, SendMessageResponse
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE
from im.logic.v1.rung_pb2 import ACCEPTED
from im.logic.v1.user_pb2 import User

from codegen.runtime.context import Context
from codegen.runtime.discovery import Etcd, Instance, register
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from impl.settings import Settings
from impl.storage.envelope import private_id


class InterimLogic:
    def __init__(self, users: UserTokens) -> None:
        self.users = users
        self.ids = itertools.count(1)
        self.heads: dict[int, dict[str, Head]] = defaultdict(dict)

    async def register(self, request: RegisterRequest, _: Context) -> RegisterResponse:
        user = User(id=next(self.ids), username=request.username)
        return RegisterResponse(user=user, access_token=self.users.issue(str(user.id), "1")[0])

    login = list_messages = register

    async def send_message(self, request: SendMessageRequest, context: Context) -> SendMessageResponse:
        sender = int(context.caller.subject)
        conversation = private_id(sender, request.to_user_id)
        known = self.heads[sender].get(conversation, Head(conversation_id=conversation, epoch=1))
        head = Head(conversation_id=conversation, epoch=1, seq=known.seq + 1)
        self.heads[sender][conversation] = self.heads[request.to_user_id][conversation] = head
        message = Message(
            id=next(self.ids),
            conversation_id=conversation,
            epoch=1,
            seq=head.seq,
            sender_id=sender,
            client_message_id=request.client_message_id,
            text=request.text,
        )
        return SendMessageResponse(message=message, state=ACCEPTED)

    async def list_heads(self, request: ListHeadsRequest, _: Context) -> ListHeadsResponse:
        return ListHeadsResponse(heads=self.heads[request.user_id].values())


@asynccontextmanager
async def running_logic(settings: Settings) -> AsyncIterator[None]:
    key = settings.service_key()
    users = UserTokens(settings.user_key(), 3600)
    pipeline = Pipeline(Authenticator(users, ServiceTokens(key, "logic")))
    logic = InterimLogic(users)
    handlers = [(service, logic) for service in (AUTH_SERVICE, MESSAGE_SERVICE, CONVERSATION_SERVICE)]
    async with (
        Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix) as etcd,
        serve_grpc(f"127.0.0.1:{settings.logic_grpc_port}", handlers, pipeline, drain=0.1) as port,
        register(etcd, Instance("logic", "logic-1", "boot", f"127.0.0.1:{port}"), 5),
    ):
        yield
