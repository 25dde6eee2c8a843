"""All messages survive each of their codecs, and so does what releases wrote to streams and sockets."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from im import descriptors

from codegen.runtime.codec import JsonCodec
from tests.contract.catalog import calls, files, frames, message_class, stream_payloads
from tests.contract.population import variants

RELEASED = Path(__file__).parents[2] / "released"
TYPES = (*stream_payloads(), *frames(), *calls())
CARRIED = [(d, name, message) for d in TYPES for name, message in variants(d)]
RECORDED = sorted(RELEASED.glob("*/*.jsonl"))


def test_the_schema_has_streams_and_sockets() -> None:
    assert stream_payloads()
    assert frames()


@pytest.mark.parametrize(
    ("descriptor", "message"), [(d, m) for d, _, m in CARRIED], ids=[f"{d.name}-{n}" for d, n, _ in CARRIED]
)
def test_binary_form_survives(descriptor: Descriptor, message: Message) -> None:
    assert message_class(descriptor).FromString(message.SerializeToString()) == message


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("descriptor", "message"), [(d, m) for d, _, m in CARRIED], ids=[f"{d.name}-{n}" for d, n, _ in CARRIED]
)
def test_json_form_survives_and_is_protojson(descriptor: Descriptor, message: Message, full: bool) -> None:
    json_codec = JsonCodec(descriptors.registry(), always_print_fields_with_no_presence=full)
    codec = json_codec.type(descriptor.full_name)
    text = codec.to_json(message.SerializeToString())
    expected = json_format.MessageToDict(message, always_print_fields_with_no_presence=full)
    assert json.loads(text) == expected
    assert message_class(descriptor).FromString(codec.parse(text).to_binary()) == message


def test_a_release_was_recorded() -> None:
    assert RECORDED


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_a_release_wrote_is_still_read(path: Path) -> None:
    known = {
        message.full_name: message for file in files() for message in file.message_types_by_name.values()
    }
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        message = message_class(known[entry["type"]]).FromString(base64.b64decode(entry["wire"]))
        assert json.loads(json_format.MessageToJson(message)) == entry["json"], entry["name"]
