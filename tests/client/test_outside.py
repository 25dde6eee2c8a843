"""Generated clients with nothing but an address and a token, on the real system."""

from __future__ import annotations

import time

import pytest
from idiom.v1 import reason_errors as runtime_reasons
from im.descriptors import registry
from im.logic.v1.auth_service_http import AuthServiceHttp
from im.logic.v1.auth_service_pb2 import RegisterRequest
from im.logic.v1.message_service_http import MessageServiceHttp
from im.logic.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from im.logic.v1.message_service_rpc import MessageServiceClient

from codegen.runtime.client.grpc import GrpcClient
from codegen.runtime.client.http import HttpClient
from codegen.runtime.errors import Error
from tests.conftest import System


async def test_what_is_sent_over_grpc_is_read_over_http(system: System) -> None:
    tokens: list[str] = []

    async def token() -> str:
        return tokens[-1] if tokens else ""

    async with (
        HttpClient(system.url, registry(), token) as http,
        GrpcClient(system.logic_address, token) as grpc,
    ):
        me = await AuthServiceHttp(http).register(
            RegisterRequest(username=f"user-{time.time_ns()}", password="correct horse")
        )
        request = SendMessageRequest(client_message_id="1", to_user_id=me.user.id, text="hello")
        with pytest.raises(Error) as missing:
            await MessageServiceClient(grpc).send_message(request)
        assert missing.value.reason == runtime_reasons.TOKEN_MISSING
        tokens.append(me.access_token)
        sent = await MessageServiceClient(grpc).send_message(request)
        listed = await MessageServiceHttp(http).list_messages(
            ListMessagesRequest(conversation_id=sent.message.conversation_id, after_seq=0)
        )
        assert [message.text for message in listed.messages] == ["hello"]
        assert (await MessageServiceHttp(http).send_message(request)).message == sent.message
