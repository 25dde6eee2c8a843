# ruff: noqa: E501 - a row is a line
"""The mask of a PATCH, by what its body has."""

from __future__ import annotations

from tests.codegen.runtime.http.table.row import GATEWAY, Call, Refused

TEST = f"{GATEWAY} runtime/fieldmask_test.go"
EMPTY = f"{GATEWAY} runtime/fieldmask_empty_object_test.go"
DOCS = f"{GATEWAY} docs: Patch feature"
ANY = "type.googleapis.com/tests.http.v1.Everything.Inner"
LEAF = "field_mask.proto knows no paths into a Struct or Value: what is in them is no field"


def _mask(source: str, body: str, *paths: str, target: str = "/v1/change", differs: str = "") -> Call:
    """A PATCH and the paths of its mask; the test looks at nothing else of the answer."""
    return Call(source, f"PATCH {target}", body.encode(), list(paths), differs=differs)


MASKS = [
    _mask(f"{TEST}: simple", '{"text":"1234", "floatValue":3.5}', "text", "float_value"),
    _mask(f"{TEST}: NonStandardMessageWithJSONNames", '{"@odd":"foo"}', "odd"),
    _mask(f"{TEST}: nested", '{"inner": {"name":"bob", "number": 2}, "text":"1234"}', "inner.name", "inner.number", "text"),
    _mask(f"{TEST}: deeply-nested", '{"inner":{"inner":{"inner":{"name":"a", "number":0}}}}', "inner.inner.inner.name", "inner.inner.inner.number"),
    _mask(f"{TEST}: map", '{"counts": {"a": 1}}', "counts"),
    _mask(f"{TEST}: map", '{"named": {"a": {"name": "x"}}}', "named"),
    _mask(f"{TEST}: slice", '{"inners": [{"name": "a"}, {"number": 1}], "text": "1"}', "inners", "text"),
    _mask(f"{TEST}: several lists", '{"numbers": [1], "texts": ["a"], "text": "1"}', "numbers", "texts", "text"),
    _mask(f"{TEST}: protobuf-any", f'{{"any":{{"@type": "{ANY}", "name": "a"}}}}', "any"),
    _mask(f"{TEST}: struct", '{"struct": {"name":{"first": "bob"}, "amount": 2}}', "struct", differs=LEAF),
    _mask(f"{TEST}: value", '{"value": {"name":{"first": "bob"}, "amount": 2}}', "value", differs=LEAF),
    _mask(f"{TEST}: complex", '{"time": "2016-05-10T10:19:13.123Z", "color": "RED", "left": "x", "data": "AQ=="}', "time", "color", "left", "data"),
    _mask(f"{TEST}: empty", "{}"),
    _mask(f"{TEST}: empty", ""),
    _mask(f"{EMPTY}: struct", '{"struct":{}}', "struct"),
    _mask(f"{EMPTY}: value", '{"value":{}}', "value"),
    _mask(f"{EMPTY}: ordinary empty message", '{"inner":{}}', "inner"),
    _mask(f"{EMPTY}: unrelated field", '{"text":"unchanged"}', "text"),
    _mask(f"{EMPTY}: null", '{"struct":null,"value":null}', "struct", "value"),
    _mask(f"{EMPTY}: null", '{"inner":{"name":null},"text":null}', "inner.name", "text"),
    _mask(f"{EMPTY}: array and scalar", '{"numbers":[],"value":false}', "numbers", "value"),
    _mask(f"{DOCS}: wrappers are values", '{"wrappedInt64": 5, "wrappedString": null}', "wrapped_int64", "wrapped_string"),
    _mask(f"{DOCS}: zeros are there too", '{"int32Value": 0, "flag": false, "maybe": ""}', "int32_value", "flag", "maybe"),
    _mask(f"{DOCS}: names as in the schema", '{"int32_value": 1}', "int32_value"),
    _mask(f"{DOCS}: null", "null"),
    _mask(f"{DOCS}: the path is not in the body", '{"flag": true}', "flag", target="/v1/change/a"),
    _mask(f"{DOCS}: the path is in the body too", '{"text": "a", "flag": true}', "text", "flag", target="/v1/change/a"),
    _mask(f"{DOCS}: a mask of the client's is untouched", '{"flag": true}', "text", "inner.name", target="/v1/change?updateMask=text,inner.name"),
    _mask(f"{DOCS}: an empty mask says nothing", '{"flag": true}', "flag", target="/v1/change?update_mask="),
    _mask(f"{DOCS}: body *", '{"everything": {"flag": true}}', target="/v1/change:whole"),
    _mask(f"{DOCS}: body *", '{"everything": {"flag": true}, "updateMask": "flag"}', "flag", target="/v1/change:whole"),
    _mask(f"{DOCS}: a body without fields", '"a"', target="/v1/change:note"),
    _mask(f"{DOCS}: exactly one FieldMask", '{"flag": true}', target="/v1/change/twice"),
    Call(f"{DOCS}: not PATCH", "PUT /v1/change", b'{"flag": true}', []),
    Call(f"{TEST}: object under scalar", "PATCH /v1/change", b'{"text": {"a": "x"}}', Refused("INVALID_FIELD", "everything.text")),
    Call(f"{TEST}: no such field", "PATCH /v1/change", b'{"nope": 1}', Refused("UNKNOWN_FIELD", "everything.nope")),
]  # fmt: skip
