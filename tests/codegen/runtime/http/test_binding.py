"""A binding by itself: streams, frames, masks of binary bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from codegen.runtime.errors import Error
from codegen.runtime.transcoding.binding import Binding, codec_of
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.schema import Schema


def _binding(schema: Schema, kind: str, template: str, **changes: Any) -> Binding:
    found = next(each for each in schema.routes if (each.verb, each.template) == (kind, template))
    settings = HttpSettings()
    return Binding(replace(found, **changes), codec_of(schema.registry, settings), settings)


def _refused(binding: Binding, *request: Any, binary: bool = False) -> tuple[str, list[str]]:
    with pytest.raises(Error) as raised:
        binding.decode_frame(*request, binary=binary)
    return raised.value.reason.name, [each.field for each in raised.value.violations]


def test_the_first_item_has_path_and_query_and_later_ones_have_their_body_alone(schema: Schema) -> None:
    binding = _binding(schema, "POST", "/v1/body/inner/{text}")
    first: Any = binding.decode(["v1", "body", "inner", "a"], b"flag=true", b'{"name": "b"}', binary=False)
    later: Any = binding.decode_item(b'{"name": "c"}', binary=False)
    assert (first.text, first.flag, first.inner.name) == ("a", True, "b")
    assert (later.text, later.flag, later.inner.name) == ("", False, "c")
    inner = schema.registry.message("tests.http.v1.Everything.Inner")
    assert inner is not None
    same: Any = binding.decode_item(inner.type(name="c").to_binary(), binary=True)
    assert same == later


def test_items_of_whole_requests_are_whole_requests(schema: Schema) -> None:
    binding = _binding(schema, "PUT", "/v1/everything/{text}")
    later: Any = binding.decode_item(b'{"flag": true}', binary=False)
    assert (later.text, later.flag) == ("", True)
    assert binding.decode_item(later.to_binary(), binary=True) == later
    with pytest.raises(Error, match="UNKNOWN_FIELD"):
        binding.decode_item(b'{"nope": 1}', binary=False)


def test_raw_items_have_their_content_alone(schema: Schema) -> None:
    binding = _binding(schema, "POST", "/v1/attach/{name}")
    first: Any = binding.decode_raw(["v1", "attach", "a"], b"offset=5", b"x", "text/plain")
    later: Any = binding.decode_raw_item(b"y", "text/plain")
    assert (first.name, first.offset, first.content.data) == ("a", 5, b"x")
    assert (later.name, later.offset, later.content.data, later.content.content_type) == (
        *("", 0, b"y", "text/plain"),
    )
    assert (binding.takes_http_body, binding.answers_http_body) == (True, False)
    whole = _binding(schema, "POST", "/v1/raw")
    item: Any = whole.decode_raw_item(b"z", None)
    assert (item.data, item.content_type) == (b"z", "")
    assert (whole.takes_http_body, whole.answers_http_body) == (True, True)
    assert not _binding(schema, "GET", "/v1/raw").takes_http_body


FRAME_PATH = ["v1", "both", "a", "and", "b"]


@pytest.mark.parametrize("frame", [b"", b'{"flag": true}', b'{"text": "a", "inner": {"name": "b"}}'])
def test_a_frame_says_what_path_and_query_do_not(schema: Schema, frame: bytes) -> None:
    binding = _binding(schema, "GET", "/v1/both/{text}/and/{inner.name}")
    said: Any = binding.decode_frame(FRAME_PATH, b"numbers=1&numbers=2&left=c", frame or b"{}", binary=False)
    assert (said.text, said.inner.name, said.numbers, said.choice.value) == ("a", "b", [1, 2], "c")
    again: Any = binding.decode_frame(FRAME_PATH, b"", said.to_binary(), binary=True)
    assert again == said


@pytest.mark.parametrize(
    ("query", "frame", "field"),
    [
        (b"", b'{"text": "b"}', "text"),
        (b"", b'{"inner": {"name": "c"}}', "inner.name"),
        (b"left=a", b'{"left": "b"}', "left"),
        (b"left=a", b'{"right": 1}', "left"),
        (b"middle.name=a", b'{"right": 1}', "middle"),
        (b"numbers=1", b'{"numbers": [2]}', "numbers"),
    ],
)
def test_a_frame_that_contradicts_path_or_query_is_refused(
    schema: Schema, query: bytes, frame: bytes, field: str
) -> None:
    binding = _binding(schema, "GET", "/v1/both/{text}/and/{inner.name}")
    assert _refused(binding, FRAME_PATH, query, frame) == ("INVALID_FIELD", [field])
    binary = binding.request.parse(frame).to_binary()
    assert _refused(binding, FRAME_PATH, query, binary, binary=True) == ("INVALID_FIELD", [field])


def test_a_binary_body_gives_the_mask_of_what_is_set_in_it(schema: Schema) -> None:
    binding = _binding(schema, "PATCH", "/v1/change/{everything.text}")
    everything = schema.registry.message("tests.http.v1.Everything")
    assert everything is not None
    body = everything.type.from_json(
        b'{"inner": {"inner": {"number": 1}, "tags": ["a"]}, "counts": {"a": 1}, "maybe": "", "middle": {},'
        b' "struct": {"a": 1}, "wrappedInt64": "0"}',
        registry=schema.registry,
    )
    changed: Any = binding.decode(["v1", "change", "a"], b"", body.to_binary(), binary=True)
    assert changed.everything.text == "a"
    assert changed.update_mask.paths == [
        *("inner.inner.number", "inner.tags", "struct", "wrapped_int64", "middle", "maybe", "counts"),
    ]
    sent: Any = binding.decode(["v1", "change", "a"], b"updateMask=text", body.to_binary(), binary=True)
    assert sent.update_mask.paths == ["text"]


def test_a_mask_that_would_be_too_large_is_refused(schema: Schema) -> None:
    binding = _binding(schema, "PATCH", "/v1/change")
    body = b'{"inner":' + b'{"name":"","inner":' * 80 + b'{"tags":[]}' + b"}" * 81
    fine: Any = binding.decode(["v1", "change"], b"", body, binary=False)
    assert len(fine.update_mask.paths) == 81
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codegen.runtime.transcoding.field_mask.MAX_MASK", 1000)
        with pytest.raises(Error, match="update_mask"):
            binding.decode(["v1", "change"], b"", body, binary=False)
        sent: Any = binding.decode(["v1", "change"], b"updateMask=text", body, binary=False)
    assert sent.update_mask.paths == ["text"]


def test_a_path_and_a_binary_body_of_the_same_oneof_are_refused(schema: Schema) -> None:
    binding = _binding(schema, "GET", "/v1/typed/left/{left}", verb="POST", body="*")
    body = binding.request.parse(b'{"right": "1"}').to_binary()
    with pytest.raises(Error, match="left"):
        binding.decode(["v1", "typed", "left", "a"], b"", body, binary=True)


@pytest.mark.parametrize(
    ("field", "given", "sent"),
    [
        ("numbers", "[1]", b"[1]"),
        ("named", '{"a": {"name": "b"}}', b'{"a":{"name":"b"}}'),
        ("text", '"a"', b'"a"'),
    ],
)
def test_what_is_beside_the_field_of_an_answer_does_not_spoil_it(
    schema: Schema, field: str, given: str, sent: bytes
) -> None:
    binding = _binding(schema, "POST", f"/v1/response/{field}")
    json = f'{{"time": "2020-01-01T00:00:00Z", "{field}": {given}}}'
    answer: Any = binding.response.parse(json)
    answer.time.seconds = 10**15  # which JSON cannot say
    assert binding.encode(answer.to_binary(), binary=False) == (sent, "application/json")
