# ruff: noqa: E501 - a row is a line
"""Paths: what the template grammar says, and what the peers' own tests say."""

from __future__ import annotations

from tests.codegen.runtime.http.table.row import ENVOY, GATEWAY, HTTP_PROTO, Match

SYNTAX = f"{HTTP_PROTO}, Path template syntax"
PATTERN = f"{GATEWAY} runtime/pattern_test.go"
MATCHER = "grpc-httpjson-transcoding test/path_matcher_test.cc"
RESERVED = "%21%23%24%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
WILD = ("/a/**", "/b/*", "/c/*/d/**", "/c/*/d/e", "/c/f/d/e")
BOUND = (
    "/a/{x}/c/d/e",
    "/{x=a/*}/b/{y=*}/c",
    "/a/{x=b/*}/{y=d/**}",
    "/alpha/{x=*}/beta/{y=**}/gamma",
    "/{x=*}/a",
    "/{x=**}/a/b",
    "/a/b/{x=*}",
    "/a/b/c/{x=**}",
    "/{x=*}/d/e/f/{y=**}",
)
VERBS = ("/some/const:verb", "/some/*:verb", "/some/*/foo:verb", "/other/**:verb", "/other/**/const:verb")
BOUND_VERBS = (
    "/a/{y=*}:verb",
    "/a/{y=d/**}:verb",
    "/{x=*}/a:verb",
    "/{x=**}/b:verb",
    "/e/{x=*}/f:verb",
    "/g/{x=**}/h:verb",
)
SUFFIXES = (
    "/a/{x=b/**}",
    "/a/{x=b/**}/z",
    "/a/{x=b/**}/y/z",
    "/a/{x=b/**}:verb",
    "/a/{x=**}",
    "/c/{x=*}/{y=d/**}/e",
    "/c/{x=*}/{y=d/**}/e:verb",
    "/f/{x=*}/{y=**}/g",
    "/f/{x=*}/{y=**}/g:verb",
    "/a/{x=b/*/y/z/**}/foo",
    "/a/{x=b/*/**/y/z}/foo",
)
PERSONS = ("/person", "/person/{id=*}", "/{x=**}:verb")
SIMPLE = ("/prefix/middle/suffix", "/prefix/middle", "/prefix")
FILES = ("/v1/files/{name=**}", "/v1/files/{name=**}:stat", "/v1/files/{name=**}/meta")
SWALLOWED = "a rule with a custom verb fits the path before the colon, so that is a verb nobody has: 404"

PATHS = [
    # The grammar.
    Match(SYNTAX, ("/v1/*",), "/v1/a", "/v1/*"),
    Match(SYNTAX, ("/v1/*",), "/v1/a/b", None),
    Match(SYNTAX, ("/v1/*",), "/v1", None),
    Match(SYNTAX, ("/v1/**",), "/v1", "/v1/**"),
    Match(SYNTAX, ("/v1/**",), "/v1/a/b/c", "/v1/**"),
    Match(SYNTAX, ("/v1/{x}",), "/v1/a", "/v1/{x}", {"x": "a"}),
    Match(SYNTAX, ("/v1/{x=*}",), "/v1/a", "/v1/{x=*}", {"x": "a"}),
    Match(SYNTAX, ("/v1/{x=messages/*}",), "/v1/messages/5", "/v1/{x=messages/*}", {"x": "messages/5"}),
    Match(SYNTAX, ("/v1/{x=messages/*}",), "/v1/other/5", None),
    Match(SYNTAX, ("/v1/{x=messages/*}",), "/v1/messages", None),
    Match(SYNTAX, ("/v1/{x=messages/*}",), "/v1/messages/5/6", None),
    Match(SYNTAX, ("/v1/{x=**}",), "/v1/a/b", "/v1/{x=**}", {"x": "a/b"}),
    Match(SYNTAX, ("/v1/{x=**}",), "/v1", "/v1/{x=**}", {"x": ""}),
    Match(SYNTAX, ("/v1/{x=s/**}",), "/v1/s", "/v1/{x=s/**}", {"x": "s"}),
    Match(SYNTAX, ("/v1/{x=s/*/b/*}",), "/v1/s/1/b/2", "/v1/{x=s/*/b/*}", {"x": "s/1/b/2"}),
    Match(SYNTAX, ("/v1/{x=s}",), "/v1/s", "/v1/{x=s}", {"x": "s"}),
    Match(SYNTAX, ("/v1/{x.y.z}",), "/v1/a", "/v1/{x.y.z}", {"x.y.z": "a"}),
    Match(SYNTAX, ("/v1/{x}/a/{y}",), "/v1/1/a/2", "/v1/{x}/a/{y}", {"x": "1", "y": "2"}),
    Match(SYNTAX, ("/v1/{x}:go",), "/v1/a:go", "/v1/{x}:go", {"x": "a"}),
    Match(SYNTAX, ("/v1/{x}:go",), "/v1/a", None),
    Match(SYNTAX, ("/v1/a:go",), "/v1/a:go", "/v1/a:go"),
    Match(SYNTAX, ("/v1/a:go",), "/v1/a", None),
    Match(SYNTAX, ("/v1/{x=**}:go",), "/v1/a/b:go", "/v1/{x=**}:go", {"x": "a/b"}),
    Match(SYNTAX, ("/v1/{x=s/*}:go",), "/v1/s/a:go", "/v1/{x=s/*}:go", {"x": "s/a"}),
    Match(SYNTAX, ("/v1/a",), "/v1/A", None),
    Match(SYNTAX, ("/v1/a",), "/v1/a/", None),
    Match(SYNTAX, ("/v1/a",), "//v1/a", None),
    Match(SYNTAX, ("/v1/{x}",), "/v1/", None),
    Match(SYNTAX, ("/v1/{x=**}",), "/v1/a//b/", "/v1/{x=**}", {"x": "a//b/"}),
    Match(SYNTAX, ("/v1/{x=**}",), "/v1/", "/v1/{x=**}", {"x": ""}),
    # Escapes.
    Match(f"{SYNTAX}: single segment", ("/v1/{x}",), "/v1/a%2Fb", "/v1/{x}", {"x": "a/b"}),
    Match(f"{SYNTAX}: single segment", ("/v1/{x}",), "/v1/a%2fb", "/v1/{x}", {"x": "a/b"}),
    Match(f"{SYNTAX}: single segment", ("/v1/{x}",), "/v1/%3A%20%25", "/v1/{x}", {"x": ": %"}),
    Match(f"{SYNTAX}: single segment", ("/v1/{x=*}",), "/v1/%E2%82%AC", "/v1/{x=*}", {"x": "€"}),
    Match(f"{SYNTAX}: single segment", ("/v1/{x}",), "/v1/-_.~09azAZ", "/v1/{x}", {"x": "-_.~09azAZ"}),
    Match(f"{SYNTAX}: several segments", ("/v1/{x=s/*}",), "/v1/s/a%2Fb", "/v1/{x=s/*}", {"x": "s/a%2Fb"}),
    Match(f"{SYNTAX}: several segments", ("/v1/{x=s/*}",), "/v1/s/a%2fb", "/v1/{x=s/*}", {"x": "s/a%2fb"}),
    Match(f"{SYNTAX}: several segments", ("/v1/{x=s/*}",), "/v1/s/a%20b", "/v1/{x=s/*}", {"x": "s/a b"}),
    Match(f"{SYNTAX}: several segments", ("/v1/{x=**}",), "/v1/a%2Fb", "/v1/{x=**}", {"x": "a%2Fb"}),
    Match(f"{SYNTAX}: several segments", ("/v1/{x=**}",), "/v1/a%3Fb/c%23", "/v1/{x=**}", {"x": "a?b/c#"}),
    Match(f"{SYNTAX}: LITERAL", ("/v1/caf%C3%A9",), "/v1/caf%C3%A9", "/v1/caf%C3%A9"),
    Match(f"{SYNTAX}: LITERAL", ("/v1/caf%C3%A9",), "/v1/caf%c3%a9", "/v1/caf%C3%A9"),
    Match(f"{SYNTAX}: LITERAL", ("/v1/a%20b",), "/v1/a%20b", "/v1/a%20b"),
    Match("RFC 3986, 6.2.2.2: escaped unreserved characters are the same", ("/v1/abc",), "/v1/%61bc", "/v1/abc"),
    Match("RFC 3986, 6.2.2.1: case of escapes", ("/v1/a%2Bb",), "/v1/a%2bb", "/v1/a%2Bb"),
    Match("RFC 3986, 3.3: a plus sign is no space in a path", ("/v1/{x}",), "/v1/a+b", "/v1/{x}", {"x": "a+b"}),
    Match("RFC 3986, 2.2: an escaped colon delimits nothing", ("/v1/{x}", "/v1/{x}:go"), "/v1/a%3Ago", "/v1/{x}", {"x": "a:go"}),
    Match("RFC 3986, 2.2: an escaped slash delimits nothing", ("/v1/a/b", "/v1/{x}"), "/v1/a%2Fb", "/v1/{x}", {"x": "a/b"}),
    Match("RFC 3986, 3.3: sub-delims", ("/v1/{x}",), "/v1/a;b=c,d@e!$&'()*", "/v1/{x}", {"x": "a;b=c,d@e!$&'()*"}),
    # Precedence.
    Match("AIP-127: operations that share a prefix", ("/v1/{x=operations}", "/v1/{x=operations/**}"), "/v1/operations", "/v1/{x=operations}", {"x": "operations"}),
    Match("AIP-127: operations that share a prefix", ("/v1/{x=operations}", "/v1/{x=operations/**}"), "/v1/operations/a/b", "/v1/{x=operations/**}", {"x": "operations/a/b"}),
    Match("AIP-159: a literal beside a variable", ("/v1/users/{x}", "/v1/users/me"), "/v1/users/me", "/v1/users/me"),
    Match("AIP-159: a literal beside a variable", ("/v1/users/{x}", "/v1/users/me"), "/v1/users/you", "/v1/users/{x}", {"x": "you"}),
    Match("AIP-159: reading across collections", ("/v1/{x=publishers/*}/books",), "/v1/publishers/-/books", "/v1/{x=publishers/*}/books", {"x": "publishers/-"}),
    Match("AIP-136: custom methods", ("/v1/{x=publishers/*/books/*}", "/v1/{x=publishers/*/books/*}:archive"), "/v1/publishers/1/books/2:archive", "/v1/{x=publishers/*/books/*}:archive", {"x": "publishers/1/books/2"}),
    Match("AIP-136: custom methods of collections", ("/v1/{x=publishers/*}/books", "/v1/{x=publishers/*}/books:sort"), "/v1/publishers/1/books:sort", "/v1/{x=publishers/*}/books:sort", {"x": "publishers/1"}),
    Match(f"{HTTP_PROTO}, additional_bindings", ("/v1/messages/{x}", "/v1/users/{y}/messages/{x}"), "/v1/users/me/messages/5", "/v1/users/{y}/messages/{x}", {"x": "5", "y": "me"}),
    Match(f"{HTTP_PROTO}, custom", ("PROPFIND /v1/{x}",), "PROPFIND /v1/a", "/v1/{x}", {"x": "a"}),
    Match(f"{HTTP_PROTO}, custom", ("PROPFIND /v1/{x}",), "/v1/a", None),
    Match(f"{HTTP_PROTO}, custom *", ("* /v1/{x}",), "PROPFIND /v1/a", "/v1/{x}", {"x": "a"}),
    Match(f"{HTTP_PROTO}, custom *", ("* /v1/{x}", "GET /v1/{x}"), "POST /v1/a", "/v1/{x}", {"x": "a"}),
    Match("RFC 9110, 9.1: methods are case-sensitive", ("/v1/{x}",), "get /v1/a", None),
    # grpc-gateway.
    Match(PATTERN, ("/*",), "/abc", "/*"),
    Match(PATTERN, ("/*",), "/abc/def", None),
    Match(PATTERN, ("/*",), "/", None),
    Match(PATTERN, ("/v1",), "/v1", "/v1"),
    Match(PATTERN, ("/v1",), "/v2", None),
    Match(PATTERN, ("/**",), "/", "/**"),
    Match(PATTERN, ("/**",), "/abc/def/ghi", "/**"),
    Match(PATTERN, ("/**/tail",), "/tail", "/**/tail"),
    Match(PATTERN, ("/**/tail",), "/abc/def/tail", "/**/tail"),
    Match(PATTERN, ("/**/tail",), "/abc/tail/extra", None),
    Match(PATTERN, ("/**/tail",), "/abc/def", None),
    Match(PATTERN, ("/v1/bucket/{name=*}",), "/v1/bucket/my-bucket", "/v1/bucket/{name=*}", {"name": "my-bucket"}),
    Match(PATTERN, ("/v1/bucket/{name=*}",), "/v1/pubsub/my-topic", None),
    Match(PATTERN, ("/v1/{name=o/**}",), "/v1/o", "/v1/{name=o/**}", {"name": "o"}),
    Match(PATTERN, ("/v1/{name=o/**}",), "/v1/o/my-bucket/dir/obj", "/v1/{name=o/**}", {"name": "o/my-bucket/dir/obj"}),
    Match(PATTERN, ("/v1/{name=o/**}",), "/v1/b/my-bucket", None),
    Match(PATTERN, ("/v1/{name=o/**/.ext}/tail",), "/v1/o/b/dir/obj/.ext/tail", "/v1/{name=o/**/.ext}/tail", {"name": "o/b/dir/obj/.ext"}),
    Match(PATTERN, ("/v2/{name=b/*}/o/{oname=*}",), "/v2/b/my-bucket/o/obj", "/v2/{name=b/*}/o/{oname=*}", {"name": "b/my-bucket", "oname": "obj"}),
    Match(PATTERN, ("/v2/{name=b/*}/o/{oname=*}",), "/v2/b/my-bucket/o", None),
    Match(PATTERN, ("/v1:LOCK",), "/v1:LOCK", "/v1:LOCK"),
    Match(PATTERN, ("/v1:LOCK",), "/v1", None),
    Match(PATTERN, ("/v1:LOCK",), "/LOCK", None),
    Match(PATTERN, ("/v1/bucket/{name}:LOCK",), "/v1/bucket/my-bucket:LOCK", "/v1/bucket/{name}:LOCK", {"name": "my-bucket"}),
    Match(f"{PATTERN}, all but reserved", ("/foo/{id}/bar",), "/foo/part1%2Fpart2/bar", "/foo/{id}/bar", {"id": "part1/part2"}),
    Match(f"{PATTERN}, all but reserved", ("/foo/{id=**}",), "/foo/test%2Fbar", "/foo/{id=**}", {"id": "test%2Fbar"}),
    Match(f"{PATTERN}, all characters", ("/foo/{id=**}",), "/foo/test%2Fbar", "/foo/{id=**}", {"id": "test%2Fbar"}, "a switch of theirs; the specification leaves %2F as it is"),
    Match(f"{GATEWAY} runtime/mux_test.go: a colon is data where no verb is", ("/foo/{id=*}",), "/foo/bar:123", "/foo/{id=*}", {"id": "bar:123"}),
    Match(f"{GATEWAY} runtime/mux_test.go: a verb behind several colons", ("/foo/{id=*}:verb",), "/foo/a:b:verb", "/foo/{id=*}:verb", {"id": "a:b"}),
    # Envoy.
    *(Match(f"{MATCHER}: WildCardMatchesRoot", ("/**",), path, "/**") for path in ("/", "/a", "/a/")),
    *(
        Match(f"{MATCHER}: WildCardMatches", WILD, path, template)
        for path, template in (
            *(("/a/b", "/a/**"), ("/a/b/c", "/a/**"), ("/b/c", "/b/*"), ("/c/u/d/v", "/c/*/d/**")),
            *(("/c/v/d/w/x", "/c/*/d/**"), ("/c/x/y/d/z", None), ("/c//v/d/w/x", None)),
            *(("/c/x/d/e", "/c/*/d/e"), ("/c/f/d/e", "/c/f/d/e")),
        )
    ),
    *(
        Match(f"{MATCHER}: VariableBindings", BOUND, path, template, captured)
        for path, template, captured in (
            ("/a/book/c/d/e", BOUND[0], {"x": "book"}),
            ("/a/hello/b/world/c", BOUND[1], {"x": "a/hello", "y": "world"}),
            ("/a/b/zoo/d/animal/tiger", BOUND[2], {"x": "b/zoo", "y": "d/animal/tiger"}),
            ("/alpha/dog/beta/eat/bones/gamma", BOUND[3], {"x": "dog", "y": "eat/bones"}),
            ("/foo/a", BOUND[4], {"x": "foo"}),
            ("/foo/bar/a/b", BOUND[5], {"x": "foo/bar"}),
            ("/a/b/foo", BOUND[6], {"x": "foo"}),
            ("/a/b/c/foo/bar/baz", BOUND[7], {"x": "foo/bar/baz"}),
            ("/foo/d/e/f/bar/baz", BOUND[8], {"x": "foo", "y": "bar/baz"}),
        )
    ),
    Match(f"{MATCHER}: PercentEscapes", ("/a/{x}/c",), "/a/p%20q%2Fr/c", "/a/{x}/c", {"x": "p q/r"}),
    Match(f"{MATCHER}: PercentEscapes", ("/a/{x=p/*/q/*}/c",), "/a/p/foo%20foo/q/bar%2Fbar/c", "/a/{x=p/*/q/*}/c", {"x": "p/foo foo/q/bar%2Fbar"}),
    Match(f"{MATCHER}: PercentEscapes", ("/a/{x=**}/c",), "/a/p/foo%20foo/q/bar%2Fbar/c", "/a/{x=**}/c", {"x": "p/foo foo/q/bar%2Fbar"}),
    Match(f"{MATCHER}: kAllCharactersExceptSlash", ("/a/{x=*}/{y=**}/c",), f"/a/{RESERVED}/{RESERVED}/c", "/a/{x=*}/{y=**}/c", {"x": "!#$&'()*+,/:;=?@[]", "y": "!#$&'()*+,%2F:;=?@[]"}),
    Match(f"{ENVOY} docs, url_unescape_spec: the default keeps all reserved characters", ("/a/{y=**}/c",), "/a/%3Ab/c", "/a/{y=**}/c", {"y": ":b"}, f"{SYNTAX}: everything but %2F is decoded"),
    *(
        Match(f"{MATCHER}: CustomVerbIssue", PERSONS, path, template, captured, differs)
        for path, template, captured, differs in (
            ("/person:verb", PERSONS[2], {"x": "person"}, ""),
            ("/person/jason:verb", PERSONS[2], {"x": "person/jason"}, ""),
            ("/animal/cat:verb", PERSONS[2], {"x": "animal/cat"}, ""),
            ("/person", PERSONS[0], {}, ""),
            ("/person/jason", PERSONS[1], {"id": "jason"}, ""),
            ("/animal/cat", None, {}, ""),
            ("/person:other", None, {}, ""),
            ("/person/jason:other", None, {}, SWALLOWED),
            ("/animal/cat:other", None, {}, ""),
        )
    ),
    *(
        Match(f"{MATCHER}: VariableBindingsWithCustomVerb", BOUND_VERBS, path, template, captured)
        for path, template, captured in (
            ("/a/world:verb", BOUND_VERBS[0], {"y": "world"}),
            ("/a/d/animal/tiger:verb", BOUND_VERBS[1], {"y": "d/animal/tiger"}),
            ("/foo/a:verb", BOUND_VERBS[2], {"x": "foo"}),
            ("/foo/bar/baz/b:verb", BOUND_VERBS[3], {"x": "foo/bar/baz"}),
            ("/e/foo/f:verb", BOUND_VERBS[4], {"x": "foo"}),
            ("/g/foo/bar/h:verb", BOUND_VERBS[5], {"x": "foo/bar"}),
        )
    ),
    *(
        Match(f"{MATCHER}: ConstantSuffixesWithVariable", SUFFIXES, path, template, captured)
        for path, template, captured in (
            ("/a/b/hello/world/c", SUFFIXES[0], {"x": "b/hello/world/c"}),
            ("/a/b/world/c/z", SUFFIXES[1], {"x": "b/world/c"}),
            ("/a/b/world/c/y/z", SUFFIXES[2], {"x": "b/world/c"}),
            ("/a/b/world/c:verb", SUFFIXES[3], {"x": "b/world/c"}),
            ("/a/hello/b/world/c", SUFFIXES[4], {"x": "hello/b/world/c"}),
            ("/c/hello/d/esp/world/e", SUFFIXES[5], {"x": "hello", "y": "d/esp/world"}),
            ("/c/hola/d/esp/mundo/e:verb", SUFFIXES[6], {"x": "hola", "y": "d/esp/mundo"}),
            ("/f/foo/bar/baz/g", SUFFIXES[7], {"x": "foo", "y": "bar/baz"}),
            ("/f/foo/bar/baz/g:verb", SUFFIXES[8], {"x": "foo", "y": "bar/baz"}),
            ("/a/b/foo/y/z/bar/baz/foo", SUFFIXES[9], {"x": "b/foo/y/z/bar/baz"}),
            ("/a/b/foo/bar/baz/y/z/foo", SUFFIXES[10], {"x": "b/foo/bar/baz/y/z"}),
        )
    ),
    *(
        Match(f"{MATCHER}: CustomVerbMatches", VERBS, path, template)
        for path, template in (
            *(("/some/const:verb", VERBS[0]), ("/some/other:verb", VERBS[1]), ("/some/other:verb/", None)),
            *(("/some/bar/foo:verb", VERBS[2]), ("/some/foo1/foo2/foo:verb", None), ("/some/foo/bar:verb", None)),
            *(("/other/bar/foo:verb", VERBS[3]), ("/other/bar/foo/const:verb", VERBS[4])),
        )
    ),
    Match(f"{MATCHER}: CustomVerbMatch2", ("/{a=*}/{b=*}:verb",), "/some:verb/const:verb", "/{a=*}/{b=*}:verb", {"a": "some:verb", "b": "const"}),
    Match(f"{MATCHER}: CustomVerbMatch3", ("/foo/{a=*}",), "/foo/other:verb", "/foo/{a=*}", {"a": "other:verb"}),
    Match(f"{MATCHER}: CustomVerbMatch4", ("/foo/*/hello",), "/foo/other:verb/hello", "/foo/*/hello"),
    Match(f"{MATCHER}: CustomVerbMatch5", ("/{a=**}:verb", "/{a=**}"), "/some:verb/const:verb", "/{a=**}:verb", {"a": "some:verb/const"}),
    Match(f"{MATCHER}: CustomVerbMatch5", ("/{a=**}:verb", "/{a=**}"), "/some:verb/const", "/{a=**}", {"a": "some:verb/const"}),
    Match(f"{MATCHER}: CustomVerbMatch5", ("/{a=**}:verb", "/{a=**}"), "/some:verb2/const:verb2", None, {}, SWALLOWED),
    *(
        Match(f"{MATCHER}: RejectPartialMatches", SIMPLE, path, template)
        for path, template in (
            *(("/prefix/middle/suffix", SIMPLE[0]), ("/prefix/middle", SIMPLE[1]), ("/prefix", SIMPLE[2])),
            *(("/prefix/middle/suffix/other", None), ("/prefix/middle/other", None), ("/other", None)),
        )
    ),
    Match(f"{MATCHER}: DifferentHttpMethod", ("/a/b",), "POST /a/b", None),
    Match(f"{MATCHER}: LookupReturnsNullForOverspecifiedPath", ("/a/b/c", "/a/b"), "/a/b/c/d", None),
    # Several wildcards at the end, with verbs.
    Match(f"{ENVOY} docs: literals behind **", FILES, "/v1/files/a/b/meta", FILES[2], {"name": "a/b"}),
    Match(f"{ENVOY} docs: literals behind **", FILES, "/v1/files/meta", FILES[2], {"name": ""}),
    Match(SYNTAX, FILES, "/v1/files/a:stat", FILES[1], {"name": "a"}),
    Match(SYNTAX, FILES, "/v1/files:stat", FILES[1], {"name": ""}),
]  # fmt: skip
