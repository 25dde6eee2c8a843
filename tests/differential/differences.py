"""Where the two differ, and why: nothing else may be different.

Each takes a request on which the two came to different things and says whether it explains that.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format

from tests.differential.cases import Case, snake
from tests.differential.generated import generated
from tests.differential.outcomes import Outcome
from tests.differential.urls import taken

Difference = Callable[[Case, Outcome, Outcome], bool]
CUSTOM_VERBS: Final = frozenset({"copy", "lookup", "ban", "open", "walk", "nest"})


def _path(case: Case) -> str:
    return case.request.target.partition("?")[0]


def _refused(ours: Outcome) -> bool:
    return ours.status == 400 and not ours.method


def other_verb(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A path that has other verbs only: 405 with `Allow` (and 204 to OPTIONS) here, 404 by Envoy.

    RFC 9110, section 15.5.6. Envoy's matcher does not say why it found nothing
    (grpc-httpjson-transcoding, path_matcher.h, `Lookup`).
    """
    expected = 204 if case.request.verb == "OPTIONS" else 405
    return not ours.method and not theirs.method and (ours.status, theirs.status) == (expected, 404)


def empty_segment(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """Envoy drops empty segments at the end of a path, and lets `*` take an empty one.

    google/api/http.proto: `*` matches a single path segment, `**` zero or more; RFC 3986, section 3.3: an
    empty segment is one. Envoy: path_matcher.h, `ExtractRequestParts`.
    """
    path = _path(case)
    dropped = path.endswith("/") and bool(theirs.method)
    taken = "//" in path and ours.status == 404 and bool(theirs.method)
    return dropped or taken


def broken_escape(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A broken escape, or UTF-8 that is none: 400 here. Envoy passes them to the service as they stand.

    RFC 3986, section 2.1; a proto3 string is UTF-8. Envoy: path_matcher.h, `UrlUnescapeString`.
    """
    if not _refused(ours) or not theirs.method:
        return False
    target = case.request.target
    if re.search(r"%(?![0-9A-Fa-f]{2})", target):
        return True
    try:
        unquote_to_bytes(target).decode()
    except UnicodeDecodeError:
        return True
    return False


def escaped_literal(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A literal matches here however it is escaped (RFC 3986, section 6.2.2.2); Envoy compares it raw.

    Envoy: path_matcher_node.cc, `LookupPath`, over segments that are not decoded.
    """
    path = _path(case)
    plain = [unquote_to_bytes(part).decode(errors="replace") for part in path.split("/")]
    literals = {each for route in generated().routes for each in route.segments}
    hidden = any("%" in raw and text in literals for raw, text in zip(path.split("/"), plain, strict=True))
    return hidden and ours.status == 200 and theirs.status in (200, 404)


def unregistered_verb(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """What stands behind the last colon, where the path has no rule with just that verb.

    Here it is a verb where a rule with some verb fits the path before it (404), else part of the segment.
    Envoy asks whether any rule at all has the verb: then it must match, else it is part of the segment
    (path_matcher.h, `ExtractRequestParts`). google/api/http.proto leaves it open.
    """
    stem, colon, verb = _path(case).rpartition(":")
    if not colon or "/" in verb or not stem:
        return False
    return (ours.status, theirs.status) == ((200, 404) if verb in CUSTOM_VERBS else (404, 200))


def several_values(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """Several values for a field that takes one: 400 here, for nobody can know which was meant.

    They are parameters of one name, or members of an object under both names of a field. Envoy lets the
    last one win (grpc-httpjson-transcoding, request_weaver.cc, `Bind`).
    """
    if not _refused(ours) or not theirs.method:
        return False
    names = _names(case)
    return len(names) > len(set(names)) or _under_both_names(case.request.body or b"")


def elsewhere(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A parameter for what path or body say, or a body where the rule has none: 400 here, taken by Envoy.

    google/api/http.proto: parameters are the fields not bound by path or body; without `body` there is no
    request body. Envoy has one body path for `*` and for none, and weaves every parameter in
    (path_matcher.h, `ParseBodyFieldPath`).
    """
    if case.route is None or not _refused(ours) or not theirs.method:
        return False
    places = taken(case.route) - {""}
    said = any(name.startswith(f"{place}.") or name == place for name in _names(case) for place in places)
    return (
        said
        or (case.route.body == "*" and bool(_names(case)))
        or bool(case.request.body and not case.route.body)
    )


def _names(case: Case) -> list[str]:
    """Names of all parameters, as the schema has them."""
    pairs = case.request.target.partition("?")[2].split("&")
    return [snake(unquote_to_bytes(pair.partition("=")[0]).decode()) for pair in pairs if pair]


def _under_both_names(body: bytes) -> bool:
    keys: list[list[str]] = []
    with contextlib.suppress(ValueError):
        json.loads(body, object_pairs_hook=lambda pairs: keys.append([snake(key) for key, _ in pairs]))
    return any(len(each) > len(set(each)) for each in keys)


def not_protojson(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A body that is not ProtoJSON, which google.protobuf.json_format refuses too: 400 here, taken by Envoy.

    Its parser is the former one of C++ (proto-converter): unknown fields, keys given twice, single quotes,
    trailing commas, single values for lists. `ignore_unknown_fields` is the library's and always on
    (json_request_translator.cc). https://protobuf.dev/programming-guides/json/
    """
    if case.route is None or not case.route.body or not _refused(ours) or not theirs.method:
        return False
    body = case.request.body or b""
    whole = body if case.route.body == "*" else b'{"%s":%s}' % (case.route.body.encode(), body)
    try:
        json_format.Parse(whole, case.route.method.request())
    except json_format.ParseError:
        return True
    return False


_FORMS: Final = (
    (b"true or false", re.compile(r"true|false")),
    (b"integer", re.compile(r"-?[0-9]+")),
    (b"number", re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|NaN|-?Infinity")),
    (b"base64", re.compile(r"[A-Za-z0-9+/_-]*=*")),
    (b"RFC 3339", re.compile(r"[0-9-]{10}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]+)?(Z|[-+][0-9:]{5})")),
    (b"seconds", re.compile(r"-?[0-9]+(\.[0-9]+)?s")),
    (b"lowerCamelCase", re.compile(r"[a-z][A-Za-z0-9.]*(,[a-z][A-Za-z0-9.]*)*")),
)
"""How texts of types look in ProtoJSON, by what a refusal says that it expected."""


def lenient_text(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """Text in path or query that ProtoJSON does not write its type in, such as `yes`, `+5` or `0x10`.

    400 here; Envoy's parsers are those of C++ (absl `SimpleAtob`, `safe_strtod`).
    """
    if not _refused(ours) or not theirs.method or case.request.body is not None:
        return False
    target = case.request.target
    raw = target.rpartition("=")[2] if "?" in target else target.rpartition("/")[2]
    plain = unquote_to_bytes(raw.replace("+", " ") if "?" in target else raw).decode()
    forms = [form for said, form in _FORMS if said in ours.body]
    return bool(forms) and not forms[0].fullmatch(plain)


def end_of_a_body(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """`body: "field"` with no body at all, or with a bare number and nothing behind it.

    Nothing is the field's absence here; Envoy's streaming parser begins an object, so that it is an empty
    message, or 400 for what is none. A bare number could go on, so Envoy calls the service without a request.
    """
    if case.route is None or case.route.body in ("", "*"):
        return False
    body = case.request.body
    if body == b"":
        return ours.method == case.route.method.name and (
            theirs.status == 400 or theirs.method == ours.method
        )
    number = re.fullmatch(rb"-?[0-9.]+", body or b"") is not None
    return number and ours.method == case.route.method.name and not theirs.messages


DIFFERENCES: Final[tuple[Difference, ...]] = (
    other_verb,
    empty_segment,
    broken_escape,
    escaped_literal,
    unregistered_verb,
    several_values,
    elsewhere,
    not_protojson,
    lenient_text,
    end_of_a_body,
)
