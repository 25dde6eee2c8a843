"""Path templates: the grammar of google/api/http.proto."""

from __future__ import annotations

import pytest

from codegen.plugin.template import TemplateError, parse


@pytest.mark.parametrize(
    ("source", "segments", "verb", "variables"),
    [
        ("/v1/messages", ("v1", "messages"), "", []),
        ("/*/**", ("*", "**"), "", []),
        ("/v1/{id}", ("v1", "*"), "", [("id", 1, 2)]),
        ("/v1/{a.b.c}/x", ("v1", "*", "x"), "", [("a.b.c", 1, 2)]),
        ("/v1/{name=shelves/*/books/*}", ("v1", "shelves", "*", "books", "*"), "", [("name", 1, 5)]),
        ("/v1/{name=**}", ("v1", "**"), "", [("name", 1, -1)]),
        ("/v1/{name=files/**}:read", ("v1", "files", "**"), "read", [("name", 1, -1)]),
        ("/v1/{name=**}/tail", ("v1", "**", "tail"), "", [("name", 1, -2)]),
        ("/v1/{name=**/tail}", ("v1", "**", "tail"), "", [("name", 1, -1)]),
        ("/v1/users:lookup", ("v1", "users"), "lookup", []),
        ("/v1/{a}/{b=x/*}:do", ("v1", "*", "x", "*"), "do", [("a", 1, 2), ("b", 2, 4)]),
        ("/v1/a%20b/~-._", ("v1", "a b", "~-._"), "", []),
        ("/v1/ü", ("v1", "ü"), "", []),
        ("/{from}/{class.self}", ("*", "*"), "", [("from", 0, 1), ("class.self", 1, 2)]),
    ],
)
def test_a_template_is_parsed(
    source: str, segments: tuple[str, ...], verb: str, variables: list[tuple[str, int, int]]
) -> None:
    template = parse(source)
    assert template.segments == segments
    assert template.verb == verb
    assert [(".".join(v.field_path), v.start, v.end) for v in template.variables] == variables


@pytest.mark.parametrize(
    "source",
    [
        "",
        "/",
        "v1",
        "/v1/",
        "/v1//x",
        "/{",
        "/{}",
        "/{1a}",
        "/{a=}",
        "/{a.}",
        "/{a={b}}",
        "/{a}b",
        "/a:",
        "/a:b:c",
        "/a:b/c",
        "/**/**",
        "/**/*",
        "/**/{a}",
        "/{a=**}/{b=c}",
        "/{a}/{a}",
        "/a b",
        "/a?b",
        "/%",
        "/%ff",
        "/{a=*",
        "/a/%2A",
        "/%2a%2A/a",
        "/a/./b",
        "/../a",
        "/a/%2E%2e",
        "/a" * 101,
    ],
)
def test_anything_else_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        parse(source)
