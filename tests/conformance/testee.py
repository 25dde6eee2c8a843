"""What the conformance runner talks to: the codec of the HTTP side, one request after the other.

    python tests/conformance/testee.py <descriptor set>

Requests and responses are `conformance.ConformanceRequest` and `conformance.ConformanceResponse`, each behind
its length in four bytes, little-endian, on standard input and output (conformance/conformance.proto).
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from protobuf import Message, Oneof, Registry
from protobuf.wkt import FileDescriptorSet

from codegen.runtime.codec import JsonCodec, MessageJson
from codegen.runtime.errors import Error

PROTOBUF, JSON = 1, 2
IGNORE_UNKNOWN = 3


class Testee:
    """Answers requests.

    Args:
        registry: the conformance protocol and the messages of its tests.
    """

    def __init__(self, registry: Registry) -> None:
        self._strict = JsonCodec(registry)
        self._lenient = JsonCodec(registry, ignore_unknown_fields=True)
        self._request = self._strict.type("conformance.ConformanceRequest").message
        self._response = self._strict.type("conformance.ConformanceResponse").message

    def serve(self, source: BinaryIO, sink: BinaryIO) -> None:
        """Until the source ends."""
        while len(size := source.read(4)) == 4:
            answer = self._answer(source.read(*struct.unpack("<I", size))).to_binary()
            sink.write(struct.pack("<I", len(answer)) + answer)
            sink.flush()

    def _answer(self, data: bytes) -> Message[Any]:
        request: Any = self._request.from_binary(data)
        return self._response(result=Oneof(*self._result(request)))

    def _result(self, request: Any) -> tuple[str, str | bytes]:
        """Member of the response's oneof, and its value."""
        form, wanted = request.payload.field, int(request.requested_output_format)
        if form not in ("json_payload", "protobuf_payload") or wanted not in (PROTOBUF, JSON):
            return "skipped", "neither JSON nor binary"
        codec = self._lenient if int(request.test_category) == IGNORE_UNKNOWN else self._strict
        kind = codec.type(request.message_type)
        try:
            message = _parsed(kind, request.payload.value)
            binary = kind.to_binary(message)
        except Error as error:
            return "parse_error", error.message
        if wanted == PROTOBUF:
            return "protobuf_payload", binary
        return _json(kind, binary)


def _parsed(kind: MessageJson, payload: str | bytes) -> Message[Any]:
    if isinstance(payload, str):
        return kind.parse(payload)
    return kind.parse_binary(payload)


def _json(kind: MessageJson, data: bytes) -> tuple[str, str]:
    try:
        return "json_payload", kind.to_json(data).decode()
    except ValueError as error:
        return "serialize_error", str(error)


def main() -> None:
    """The program."""
    data = Path(sys.argv[1]).read_bytes()
    Testee(FileDescriptorSet.from_binary(data).to_registry()).serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
