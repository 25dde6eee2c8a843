from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from idiom.v1 import reason_errors as reasons
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from codegen.runtime.errors import Error, FieldViolation, Reason
from codegen.runtime.method import FrameCall
from codegen.runtime.sockets import FrameCalls, FrameCodec, Outgoing, frame_codecs
from codegen.runtime.sockets.calls import Request
from tests.codegen.runtime.sockets.conftest import Port

JSON, BINARY = "port.v1.json", "port.v1.proto"


def payload_of(written: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(written)
    parser = Frame.parse(reader.read_exact, mask=False)
    try:
        next(parser)
    except StopIteration as done:
        frame: Frame = done.value
        return frame
    raise AssertionError("the frame is not whole")


@contextmanager
def suppress_reasons(*allowed: Reason) -> Iterator[None]:
    try:
        yield
    except Error as error:
        if error.reason not in allowed:
            raise


def codec(port: Port, subprotocol: str) -> FrameCodec:
    return frame_codecs(port.socket, port.json)[subprotocol]


def order(port: Port, request_id: str = "r1", ship: str = "Argo", crates: int = 2**53 + 1) -> Message:
    frame = port.FromShip()
    frame.order.request_id = request_id
    frame.order.request.ship = ship
    frame.order.request.crates = crates
    return frame  # type: ignore[no-any-return]


def test_a_text_frame_is_read_as_json(port: Port) -> None:
    text = '{"order":{"requestId":"r1","request":{"ship":"Argo","crates":"9007199254740993"}}}'
    assert codec(port, JSON).read(text) == order(port)


def test_a_binary_frame_is_read_as_a_message(port: Port) -> None:
    assert codec(port, BINARY).read(order(port).SerializeToString()) == order(port)


@given(st.text(max_size=50), st.integers(-(2**63), 2**63 - 1))
def test_server_frames_survive_both_codecs(text: str, number: int) -> None:
    port = Port()
    for kind in ("bell", "receipt", "trouble"):
        frame = port.FromShore()
        member = getattr(frame, kind)
        member.SetInParent()
        if kind == "bell":
            setattr(member, "from", text)
        elif kind == "receipt":
            member.request_id = text
            member.response.number = number
        else:
            member.message = text
        binary = payload_of(codec(port, BINARY).write(frame))
        assert binary.opcode is Opcode.BINARY
        assert port.FromShore.FromString(bytes(binary.data)) == frame
        json = payload_of(codec(port, JSON).write(frame))
        assert json.opcode is Opcode.TEXT
        parsed = port.json.type("port.v1.FromShore").parse(bytes(json.data))
        assert port.FromShore.FromString(parsed.to_binary()) == frame


@pytest.mark.parametrize(("subprotocol", "data"), [(JSON, b"{}"), (BINARY, "")])
def test_a_frame_of_the_wrong_kind_is_refused(port: Port, subprotocol: str, data: str | bytes) -> None:
    with pytest.raises(Error) as caught:
        codec(port, subprotocol).read(data)
    assert caught.value.reason is reasons.MALFORMED_BODY


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", reasons.MALFORMED_BODY),
        ("nonsense", reasons.MALFORMED_BODY),
        ("[]", reasons.MALFORMED_BODY),
        ('{"bell":{"form":"x"}}', reasons.UNKNOWN_FIELD),
        ('{"bell":{"from":5}}', reasons.INVALID_FIELD),
        ('{"bell":{},"order":{}}', reasons.INVALID_FIELD),
        ('{"bell":{"from":"a","from":"b"}}', reasons.INVALID_FIELD),
    ],
)
def test_an_unreadable_text_frame_says_why(port: Port, data: str, reason: Reason) -> None:
    with pytest.raises(Error) as caught:
        codec(port, JSON).read(data)
    assert caught.value.reason is reason


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    port = Port()
    with suppress_reasons(reasons.MALFORMED_BODY):
        codec(port, BINARY).read(data)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(data: str) -> None:
    port = Port()
    with suppress_reasons(reasons.MALFORMED_BODY, reasons.INVALID_FIELD, reasons.UNKNOWN_FIELD):
        codec(port, JSON).read(data)


def test_a_frame_for_many_is_encoded_once_per_codec(port: Port) -> None:
    outgoing = Outgoing(port.FromShore(bell=port.Bell()))
    for subprotocol in (JSON, BINARY):
        first = outgoing.written(codec(port, subprotocol))
        assert outgoing.written(codec(port, subprotocol)) is first


def test_a_frame_that_calls_is_told_from_others(port: Port) -> None:
    calls = FrameCalls(port.socket)
    frame = order(port)
    request = calls.request(calls.kind(frame), frame)
    assert request is not None
    assert (request.id, request.method) == ("r1", port.order)
    assert request.message == port.Order(ship="Argo", crates=2**53 + 1)
    bell = port.FromShip(bell=port.Bell())
    assert calls.kind(bell) == "bell"
    assert calls.request("bell", bell) is None
    assert calls.kind(port.FromShip()) == ""


def test_calls_that_agree_in_the_affinity_share_a_lane(port: Port) -> None:
    calls = FrameCalls(port.socket)
    lanes = [
        request.lane
        for frame in (order(port, "1"), order(port, "2", crates=5), order(port, "3", ship="Bounty"))
        if (request := calls.request("order", frame)) is not None
    ]
    assert lanes[0] == lanes[1] != lanes[2]


def test_an_affinity_that_is_one_of_several_tells_all_of_them_apart(port: Port) -> None:
    call = FrameCall(frame="order", request="request", method=port.moor, reply="receipt")
    places = [port.Mooring(pier=1), port.Mooring(pier=2), port.Mooring(buoy=1), port.Mooring(buoy=2)]
    lanes = [Request(call, SimpleNamespace(request=place)).lane for place in (*places, *places)]
    assert len(set(lanes)) == 4
    assert lanes[:4] == lanes[4:]


def test_a_reply_carries_the_request_id_and_the_response(port: Port) -> None:
    calls = FrameCalls(port.socket)
    request = calls.request("order", order(port, "r7"))
    assert request is not None
    reply = calls.reply(request, port.Receipt(number=3))
    assert reply == port.FromShore(
        receipt=port.ReceiptFrame(request_id="r7", response=port.Receipt(number=3))
    )


def test_an_error_frame_names_code_and_reason(port: Port) -> None:
    frame = FrameCalls(port.socket).error(Error(reasons.NO_ROUTE, "no such pier"), "r9")
    assert frame == port.FromShore(
        trouble=port.Trouble(request_id="r9", code="NOT_FOUND", reason="NO_ROUTE", message="no such pier")
    )


def test_an_error_frame_names_broken_fields(port: Port) -> None:
    error = Error(reasons.VALIDATION_FAILED, "broken", [FieldViolation("ship", "must be set")])
    assert FrameCalls(port.socket).error(error).trouble.message == "ship: must be set"  # type: ignore[attr-defined]


def test_a_schema_without_an_error_frame_is_refused(port: Port) -> None:
    method = dataclasses.replace(port.socket.method, response=port.FromShip)
    with pytest.raises(ValueError, match="FromShip has no member"):
        FrameCalls(dataclasses.replace(port.socket, method=method))
