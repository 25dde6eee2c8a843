"""Bad input at every public entry of the running system: a typed refusal, and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
import websockets
from google.protobuf import json_format
from google.rpc import status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.contract.catalog import HttpBinding, Wire, wires
from tests.contract.world import fresh

if TYPE_CHECKING:
    from tests.conftest import System

BODIES = [w for w in wires() if isinstance(w.binding, HttpBinding) and w.binding.body]
GRPC = [w for w in wires() if w.kind == "grpc"]
MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = [*sorted({field.json_name for w in BODIES for field in w.method.input_type.fields}), "x", ""]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
DEEP = b'{"text":' * 5000 + b"1" + b"}" * 5000
BAD_SENDS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "not JSON": (b"hello", "MALFORMED_BODY"),
    "half": (b'{"text":', "MALFORMED_BODY"),
    "a list": (b"[]", ""),
    "null": (b"null", ""),
    "not UTF-8": (b'{"text":"\xff"}', "MALFORMED_BODY"),
    "a lone surrogate": (b'{"text":"\\ud800"}', "MALFORMED_BODY"),
    "deep": (DEEP, ""),
    "an unknown field": (b'{"clientMessageId":"a","toUserId":"1","text":"x","colour":1}', "UNKNOWN_FIELD"),
    "a field twice": (b'{"clientMessageId":"a","toUserId":"1","text":"x","text":"y"}', "INVALID_FIELD"),
    "a word for a number": (b'{"clientMessageId":"a","toUserId":"bob","text":"x"}', "INVALID_FIELD"),
    "a number beyond int64": (
        b'{"clientMessageId":"a","toUserId":"9223372036854775808","text":"x"}',
        "INVALID_FIELD",
    ),
    "a fraction": (b'{"clientMessageId":"a","toUserId":1.5,"text":"x"}', "INVALID_FIELD"),
    "a number for a text": (b'{"clientMessageId":"a","toUserId":"1","text":5}', "INVALID_FIELD"),
    "no target": (b'{"clientMessageId":"a","text":"x"}', "VALIDATION_FAILED"),
    "a negative user": (b'{"clientMessageId":"a","toUserId":"-1","text":"x"}', "VALIDATION_FAILED"),
    "an empty text": (b'{"clientMessageId":"a","toUserId":"1","text":""}', "VALIDATION_FAILED"),
    "a long text": (
        b'{"clientMessageId":"a","toUserId":"1","text":"' + b"x" * 16385 + b'"}',
        "VALIDATION_FAILED",
    ),
    "a long id": (
        b'{"clientMessageId":"' + b"i" * 129 + b'","toUserId":"1","text":"x"}',
        "VALIDATION_FAILED",
    ),
}
BAD_BODIES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/v1/auth/register", {"username": "a b", "password": "correct horse"}, "username"),
    ("POST", "/v1/auth/register", {"username": "ada", "password": "short"}, "password"),
    ("POST", "/v1/auth/register", {"username": "ada", "password": "x" * 8, "device": "d" * 129}, "device"),
    ("POST", "/v1/auth/refresh", {}, "refresh_token"),
    ("POST", "/v1/auth/refresh", {"refreshToken": "x" * 257}, "refresh_token"),
    ("POST", "/v1/auth/refresh", {"refreshToken": "x", "clientRequestId": "i" * 129}, "client_request_id"),
    ("POST", "/v1/auth/password", {"oldPassword": "correct horse", "newPassword": "short"}, "new_password"),
    ("POST", "/v1/auth/password", {"newPassword": "battery staple"}, "old_password"),
    ("PATCH", "/v1/users/me", {"displayName": "n" * 129}, "display_name"),
    ("PATCH", "/v1/users/me", {"about": "n" * 2001}, "about"),
    ("POST", "/v1/rooms", {}, "name"),
    ("POST", "/v1/rooms", {"name": "n" * 129}, "name"),
    ("POST", "/v1/rooms", {"name": "n", "join": 7}, "join"),
    ("POST", "/v1/rooms", {"name": "n", "memberIds": ["1", "1"]}, "member_ids"),
    ("POST", "/v1/rooms", {"name": "n", "memberIds": ["0"]}, "member_ids"),
    ("POST", "/v1/rooms", {"name": "n", "memberIds": list(range(1, 502))}, "member_ids"),
    ("PATCH", "/v1/rooms/4711", {"name": ""}, "name"),
    ("PATCH", "/v1/rooms/4711", {"history": "HISTORY_POLICY_UNSPECIFIED"}, "history"),
    ("POST", "/v1/rooms/4711/members", {}, "user_id"),
    ("PATCH", "/v1/rooms/4711/members/1", {}, "role"),
    ("POST", "/v1/conversations/dm.1.2:read", {"seq": "-1"}, "seq"),
    (
        "POST",
        "/v1/messages",
        {"clientMessageId": "a", "toUserId": "1", "text": "x", "waitFor": 3},
        "wait_for",
    ),
]


@pytest.fixture
def http(system: System) -> Iterator[httpx.Client]:
    """A client with a user's token."""
    with httpx.Client(base_url=system.url, timeout=20) as client:
        body = {"username": fresh("bad-input"), "password": "correct horse"}
        answer = client.post("/v1/auth/register", json=body).raise_for_status().json()
        client.headers["authorization"] = f"Bearer {answer['accessToken']}"
        yield client
    assert "Traceback" not in system.log()


def refused(answer: httpx.Response) -> status_pb2.Status:
    """The typed refusal in an answer of 4xx."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/json")
    status = json_format.Parse(answer.content, status_pb2.Status(), ignore_unknown_fields=False)
    assert status.code
    assert status.message
    assert status.details
    return status


@pytest.mark.parametrize("name", BAD_SENDS)
def test_a_bad_body_is_refused_by_name(http: httpx.Client, name: str) -> None:
    body, reason = BAD_SENDS[name]
    answer = http.post("/v1/messages", content=body, headers={"content-type": "application/json"})
    refused(answer)
    assert reason in answer.text


def test_a_body_beyond_the_limit_is_413(http: httpx.Client) -> None:
    answer = http.post("/v1/messages", json={"text": "x" * 10_000_000})
    refused(answer)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/messages", 405),
        ("PUT", "/v1/users/me", 405),
        ("GET", "/v1/users:nothing", 404),
        ("GET", "/v1/users/somebody", 400),
        ("GET", "/v1/users/0", 400),
        ("GET", "/v1/users/4711", 404),
        ("GET", "/v1/users:lookup", 400),
        ("GET", "/v1/users:lookup?username=a&username=b", 400),
        ("GET", "/v1/users:lookup?name=a", 400),
        ("GET", "/v1/users:lookup?username=%ff", 400),
        ("PUT", "/v1/auth/logins", 405),
        ("DELETE", "/v1/auth/logins/0", 400),
        ("DELETE", "/v1/auth/logins/mine", 400),
        ("DELETE", "/v1/auth/logins/4711", 404),
        ("GET", "/v1/rooms", 405),
        ("GET", "/v1/rooms/mine", 400),
        ("GET", "/v1/rooms/0", 400),
        ("GET", "/v1/rooms/4711", 404),
        ("PUT", "/v1/rooms/4711", 405),
        ("GET", "/v1/rooms/4711/members", 404),
        ("GET", "/v1/rooms/4711/members?page_size=1001", 400),
        ("GET", f"/v1/rooms/4711/members?page_token={'x' * 257}", 400),
        ("DELETE", "/v1/rooms/4711/members/4711", 404),
        ("GET", "/v1/conversations?page_token=nonsense", 400),
        ("GET", "/v1/conversations?page_size=201", 400),
        ("GET", "/v1/conversations/none", 404),
        ("GET", "/v1/conversations/room.4711", 404),
        ("GET", "/v1/conversations/dm.1.2", 403),
        ("GET", "/v1/conversations/dm.1.2:nothing", 404),
        ("GET", "/v1/conversations/%zz/messages", 400),
        ("GET", "/v1/conversations/%ff/messages", 400),
        ("GET", "/v1/conversations/none/messages", 404),
        ("GET", "/v1/conversations/dm.1/messages", 404),
        ("GET", "/v1/conversations/dm.1.2/messages", 403),
        ("GET", "/v1/conversations/dm.1.2/messages?page_size=201", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?page_size=-1", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?page_size=many", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?after_seq=1.5", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?after_seq=-1", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?conversation_id=dm.3.4", 400),
        ("GET", "/v1/conversations/dm.1.2/messages?colour=red", 400),
    ],
)
def test_a_bad_url_is_refused_by_name(http: httpx.Client, verb: str, path: str, status: int) -> None:
    answer = http.request(verb, path)
    refused(answer)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(("verb", "path", "body", "field"), BAD_BODIES)
def test_a_value_beyond_its_limits_is_refused_by_the_name_of_its_field(
    http: httpx.Client, verb: str, path: str, body: dict[str, Any], field: str
) -> None:
    answer = http.request(verb, path, json=body)
    refused(answer)
    assert "VALIDATION_FAILED" in answer.text
    assert f'"{field}' in answer.text


def test_another_format_is_415(http: httpx.Client) -> None:
    answer = http.post("/v1/messages", content=b"<a/>", headers={"content-type": "application/xml"})
    refused(answer)
    assert answer.status_code == 415


@pytest.mark.parametrize("scheme", ["Bearer", "Basic eDp5", "Bearer a b", "bearer nonsense", "Bearer a.b.c"])
def test_a_bad_authorization_is_401(http: httpx.Client, scheme: str) -> None:
    answer = http.get("/v1/users/me", headers={"authorization": scheme})
    refused(answer)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@MANY
@given(
    wire=st.sampled_from(BODIES), body=st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode())
)
def test_any_body_gives_2xx_or_a_typed_4xx(http: httpx.Client, wire: Wire, body: bytes) -> None:
    assert isinstance(wire.binding, HttpBinding)
    path = re.sub(r"\{[^}]*\}", "1", wire.binding.template)
    headers = {"content-type": "application/json"}
    answer = http.request(wire.binding.verb, path, content=body, headers=headers)
    if answer.status_code != 200:
        refused(answer)


@MANY
@given(query=st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
def test_any_query_gives_2xx_or_a_typed_4xx(http: httpx.Client, query: dict[str, str]) -> None:
    answer = http.get("/v1/users:lookup", params=query)
    if answer.status_code != 200:
        refused(answer)


@pytest.mark.parametrize("wire", GRPC, ids=str)
def test_bytes_that_are_no_message_are_refused_on_grpc(
    system: System, http: httpx.Client, wire: Wire
) -> None:
    with grpc.insecure_channel(system.logic_address) as channel:
        path = f"/{wire.method.containing_service.full_name}/{wire.method.name}"
        function: Any = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as caught:
            function(
                b"\xff\xff\xff", timeout=10, metadata=(("authorization", http.headers["authorization"]),)
            )
    error: Any = caught.value
    assert error.code().name in {"INVALID_ARGUMENT", "PERMISSION_DENIED", "UNIMPLEMENTED"}
    assert "Traceback" not in error.details()


@pytest.fixture
def socket_url(http: httpx.Client) -> str:
    url: str = http.get("/v1/connection").raise_for_status().json()["url"]
    return url


@contextlib.contextmanager
def _opened(url: str, http: httpx.Client) -> Iterator[ClientConnection]:
    token = http.headers["authorization"].removeprefix("Bearer ")
    with connect(url, subprotocols=[Subprotocol("idiom.v1.json")]) as socket:
        socket.send(json.dumps({"hello": {"accessToken": token}}))
        assert "welcome" in json.loads(socket.recv(timeout=10))
        assert "resumed" in json.loads(socket.recv(timeout=10))
        yield socket


def _read_to_the_end(socket: ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            socket.recv(timeout=10)


@MANY
@given(
    subprotocol=st.sampled_from(["idiom.v1.json", "idiom.v1.proto"]),
    data=st.binary(max_size=100) | st.text(max_size=100) | JSON.map(json.dumps),
)
def test_any_first_frame_ends_in_a_named_close_or_an_error(
    socket_url: str, subprotocol: str, data: bytes | str
) -> None:
    with connect(socket_url, subprotocols=[Subprotocol(subprotocol)]) as socket:
        socket.send(data)
        _read_to_the_end(socket)
        assert socket.close_code in {4400, 4401, 4402}
        assert socket.close_reason


@MANY
@given(kind=st.sampled_from(["send", "read"]), request=JSON)
def test_any_call_in_a_frame_is_answered(
    socket_url: str, http: httpx.Client, kind: str, request: object
) -> None:
    with _opened(socket_url, http) as socket:
        socket.send(json.dumps({kind: {"requestId": "r", "request": request}}))
        answer = json.loads(socket.recv(timeout=10))
        assert set(answer) <= {"error", "sent", "marked"}
        if "error" in answer:
            assert answer["error"]["code"] not in {"INTERNAL", "UNKNOWN"}
            assert answer["error"]["reason"]


def test_a_bad_socket_leaves_other_sockets_alone(socket_url: str, http: httpx.Client) -> None:
    with _opened(socket_url, http) as calm, _opened(socket_url, http) as wild:
        wild.send(b"\x00\xff")
        _read_to_the_end(wild)
        calm.send(json.dumps({"heartbeat": {}}))
        assert "heartbeat" in json.loads(calm.recv(timeout=10))


@pytest.mark.parametrize("path", ["/", "/v1/other"])
def test_another_socket_path_is_refused(socket_url: str, path: str) -> None:
    url = socket_url.replace("/v1/ws", path)
    with (
        pytest.raises(websockets.InvalidStatus) as caught,
        connect(url, subprotocols=[Subprotocol("idiom.v1.json")]),
    ):
        pass
    assert caught.value.response.status_code == 404


def test_a_socket_without_a_subprotocol_is_refused(socket_url: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught, connect(socket_url):
        pass
    assert caught.value.response.status_code == 400
