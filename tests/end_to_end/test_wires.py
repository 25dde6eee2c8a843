"""One conversation, written on every wire that the gateway speaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
from connectrpc.client import ConnectClient
from connectrpc.codec import proto_json_codec
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from im.descriptors import registry

from tests.conftest import System
from tests.end_to_end.people import Person, fresh, register

SERVICE = "im.logic.v1.MessageService"


async def _by_connect(url: str, protocol: ProtocolType, sender: Person, to: Person, text: str) -> str:
    service = registry().service(SERVICE)
    assert service is not None
    send = next(each for each in service.methods if each.name == "SendMessage")
    info: MethodInfo[Any, Any] = MethodInfo(
        name=send.name,
        service_name=SERVICE,
        input=send.input.type,
        output=send.output.type,
        idempotency_level=IdempotencyLevel.IDEMPOTENT,
        stream_type=StreamType.UNARY,
    )
    said = {"clientMessageId": fresh("m"), "toUserId": to.id, "text": text}
    request: Any = send.input.type.from_json(json.dumps(said), registry=registry())
    async with ConnectClient(url, protocol=protocol, codec=proto_json_codec(registry())) as client:
        answer = await client.execute_unary(request=request, method=info, headers=sender.headers)
    conversation: str = answer.message.conversation_id
    return conversation


def _by_grpc(address: str, sender: Person, to: Person, text: str) -> str:
    """As somebody who has nothing but the address: the schema comes by reflection."""
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).methods_by_name["SendMessage"]
        call: Any = channel.unary_unary(
            f"/{SERVICE}/SendMessage",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        request: Any = GetMessageClass(method.input_type)()
        request.client_message_id, request.to_user_id, request.text = fresh("m"), int(to.id), text
        answer = call(request, metadata=tuple(sender.headers.items()), timeout=10)
        conversation: str = answer.message.conversation_id
        return conversation


async def test_what_is_sent_on_any_wire_is_one_conversation(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url, timeout=20) as http:
        alice, bob = await register(http, "alice"), await register(http, "bob")
        conversations = {
            (await alice.send(bob, "by REST"))["message"]["conversationId"],
            await _by_connect(system.url, ProtocolType.CONNECT, alice, bob, "by Connect"),
            await _by_connect(system.url, ProtocolType.GRPC_WEB, bob, alice, "by gRPC-Web"),
            await asyncio.to_thread(_by_grpc, system.grpc_address, alice, bob, "by gRPC"),
        }
        (conversation,) = conversations
        page = await bob.get(f"/v1/conversations/{conversation}/messages")
    told = [(each["text"], each["senderId"], each["seq"]) for each in page["messages"]]
    assert sorted(told, key=lambda each: int(each[2])) == [
        ("by REST", alice.id, "1"),
        ("by Connect", alice.id, "2"),
        ("by gRPC-Web", bob.id, "3"),
        ("by gRPC", alice.id, "4"),
    ]
