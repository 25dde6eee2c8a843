"""What the schema does not have, where that is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from tests.codegen.runtime.http.schema import Schema

INNER = "type.googleapis.com/tests.http.v1.Everything.Inner"
EVERYTHING = "type.googleapis.com/tests.http.v1.Everything"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"nope": 1, "text": "a"}, {"text": "a"}),
        ({"inners": [{"nope": [{"a": 1}]}, {"name": "a"}]}, {"inners": [{}, {"name": "a"}]}),
        ({"named": {"nope": {"nope": 1}}}, {"named": {"nope": {}}}),
        ({"color": 7}, {"color": 7}),
        ({"nope": 1, "color": 7}, {"color": 7}),
        ({"colors": ["RED", 7, "BLUE", -2]}, {"colors": ["RED", 7, "GREEN"]}),
        ({"color": "BLUE"}, {}),
        ({"any": {"@type": INNER, "nope": 1, "name": "a"}}, {"any": {"@type": INNER, "name": "a"}}),
        ({"any": {"@type": EVERYTHING, "color": 7, "x": 1}}, {"any": {"@type": EVERYTHING, "color": 7}}),
        ({"struct": {"nope": 1}, "duration": "1s"}, {"struct": {"nope": 1}, "duration": "1s"}),
        ({"int32_value": 5, "nope": None}, {"int32Value": 5}),
    ],
)
def test_what_is_unknown_is_left_out_and_nothing_else(
    schema: Schema, given: dict[str, Any], known: dict[str, Any]
) -> None:
    lenient = JsonCodec(schema.registry, ignore_unknown_fields=True).type("tests.http.v1.Everything")
    strict = JsonCodec(schema.registry).type("tests.http.v1.Everything")
    assert lenient.parse_value(given).to_binary() == strict.parse_value(known).to_binary()
    assert lenient.parse(str(given).replace("'", '"').replace("None", "null")) == strict.parse_value(known)


@pytest.mark.parametrize(
    "given", [{"nope": 1, "flag": 1}, {"inners": {"nope": 1}}, {"any": {"@type": "x/y.Z"}}]
)
def test_the_rest_is_as_strict_as_ever(schema: Schema, given: dict[str, Any]) -> None:
    with pytest.raises(Error):
        JsonCodec(schema.registry, ignore_unknown_fields=True).type("tests.http.v1.Everything").parse_value(
            given
        )
