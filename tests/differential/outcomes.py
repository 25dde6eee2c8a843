"""What a request came to on either side, and whether both came to the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from tests.differential.cases import HTTP_BODY, Case
from tests.differential.generated import generated
from tests.differential.upstream import Heard
from tests.differential.wire import Response

ANY = "google.protobuf.Any"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back, and what reached the service."""

    status: int
    content_type: str
    body: bytes
    method: str = ""
    """Name of the method that was reached; empty if none was."""
    messages: tuple[bytes, ...] = ()
    """Its requests, serialized so that equal ones are equal bytes; broken ones as they came."""


def outcome(response: Response, heard: Heard | None) -> Outcome:
    """One side's."""
    content_type = response.headers.get("content-type", "").partition(";")[0]
    if heard is None or not (heard.messages or _streams(heard.method) or response.status == 200):
        return Outcome(response.status, content_type, response.body)
    kind = _methods()[heard.method].request
    messages = tuple(normal(kind, data) for data in heard.messages)
    return Outcome(response.status, content_type, response.body, heard.method, messages)


def same(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """Whether both reached the same method with equal requests, or none, and answered alike."""
    reached = (ours.method, ours.messages) == (theirs.method, theirs.messages)
    if not reached or ours.status != theirs.status:
        return False
    if not ours.method:
        return True
    if ours.status != 200:
        return _code(ours) == _code(theirs) and (
            _message(ours) == _message(theirs) or not case.answer.details
        )
    return _same_answer(case, ours, theirs)


def normal(kind: type[Message], data: bytes) -> bytes:
    """Equal messages as equal bytes; what is no message, as it stands."""
    try:
        message = kind.FromString(data)
    except DecodeError:
        return data
    _plain_anys(message)
    return message.SerializeToString(deterministic=True)


def _plain_anys(message: Message) -> None:
    """Writes what each Any within holds in one way: explicit zeros and their absence mean the same."""
    if message.DESCRIPTOR.full_name == ANY:
        _plain_any(message)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for each in value.values():
                    _plain_anys(each)
        else:
            for each in value if field.is_repeated else [value]:
                _plain_anys(each)


def _plain_any(message: Any) -> None:
    pool = generated().pb.DESCRIPTOR.pool
    if message.type_url:
        held = message_factory.GetMessageClass(
            pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
        )
        message.value = normal(held, message.value)


def _methods() -> dict[str, Any]:
    return {method.name: method for method in generated().table.methods}


def _streams(method: str) -> bool:
    return bool(_methods()[method].client_streaming)


def _code(each: Outcome) -> Any:
    return _status(each).get("code")


def _message(each: Outcome) -> Any:
    return _status(each).get("message", "")


def _status(each: Outcome) -> dict[str, Any]:
    """The `google.rpc.Status` that a refusal is; empty if it is none."""
    found: dict[str, Any] = json.loads(each.body) if each.body.startswith(b"{") else {}
    return found


def _same_answer(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    method = _methods()[ours.method]
    response: Descriptor = method.response.DESCRIPTOR
    if case.route is not None and case.route.response_body:
        found = response.fields_by_name[case.route.response_body].message_type
        assert found is not None
        response = found
    if response.full_name == HTTP_BODY or JSON not in (ours.content_type, theirs.content_type):
        return ours.body == theirs.body and ours.content_type == theirs.content_type
    read = _items if method.server_streaming else _single
    return same_json(response, read(ours.body), read(theirs.body))


def _single(body: bytes) -> list[Any]:
    return [json.loads(body)]


def _items(body: bytes) -> list[Any]:
    if body.startswith(b"["):
        items: list[Any] = json.loads(body)
        return items
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def same_json(kind: Descriptor, ours: list[Any], theirs: list[Any]) -> bool:
    """Whether JSON has the same keys in the same places, and means equal messages.

    Numbers are compared as the messages' own types: `0.1` and `0.100000001` are one float.
    """
    if _shape(ours) != _shape(theirs):
        return False
    message = message_factory.GetMessageClass(kind)
    pool = generated().pb.DESCRIPTOR.pool
    read = [
        [json_format.ParseDict(each, message(), descriptor_pool=pool) for each in side]
        for side in (ours, theirs)
    ]
    for each in (*read[0], *read[1]):
        _plain_anys(each)
    left, right = ([each.SerializeToString(deterministic=True) for each in side] for side in read)
    return left == right


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value
