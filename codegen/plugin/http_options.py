"""What `google.api.http` cannot say of a method: `idiom.v1.http`."""

from __future__ import annotations

from protobuf import DescField, DescMessage, DescMethod

from codegen.plugin import vocabulary
from codegen.plugin.ir import Http
from codegen.plugin.scope import Scope, field_named, is_enum, message_of, scalar_of
from codegen.plugin.vocabulary import HttpOptions

_NUMBERS = {"etag": 1, "sse_id": 2, "if_match": 4, "sse_cursor": 5, "websocket": 6}


def http_options(scope: Scope, method: DescMethod) -> Http:
    """Resolves the option; mistakes are noted where they stand."""
    options = scope.vocabulary.read(method, "idiom.v1.http", HttpOptions)
    if options is None:
        return Http()
    _check_kinds(scope, method, options)
    return Http(
        etag=_path(scope, method, "etag", options.etag, method.output),
        if_match=_path(scope, method, "if_match", options.if_match, method.input),
        sse_id=_path(scope, method, "sse_id", options.sse_id, method.output),
        sse_cursor=_path(scope, method, "sse_cursor", options.sse_cursor, method.input),
        websocket=options.websocket,
        allow_shadowed=options.allow_shadowed,
    )


def _check_kinds(scope: Scope, method: DescMethod, options: HttpOptions) -> None:
    streams = method.method_kind
    for name, wanted, kind in (
        ("etag", {"unary"}, "is unary"),
        ("if_match", {"unary"}, "is unary"),
        ("sse_id", {"server_streaming"}, "streams responses only"),
        ("sse_cursor", {"server_streaming"}, "streams responses only"),
        ("websocket", {"bidi_streaming"}, "streams both ways"),
    ):
        if getattr(options, name) and streams not in wanted:
            scope.mistake(method, f"{name} is for a method that {kind}.", vocabulary.HTTP, _NUMBERS[name])


def _path(
    scope: Scope, method: DescMethod, option: str, name: str, message: DescMessage
) -> tuple[DescField, ...]:
    """The fields of a dotted name, down to a scalar."""
    path: list[DescField] = []
    within: DescMessage | None = message
    for part in name.split(".") if name else ():
        field = field_named(within, part) if within else None
        if field is None:
            scope.mistake(
                method,
                f"{option} names '{name}', which {message.name} does not have.",
                vocabulary.HTTP,
                _NUMBERS[option],
            )
            return ()
        path.append(field)
        within = message_of(field)
    if path and scalar_of(path[-1]) is None and not is_enum(path[-1]):
        scope.mistake(
            method,
            f"{option} names '{name}', which is not a singular scalar.",
            vocabulary.HTTP,
            _NUMBERS[option],
        )
        return ()
    return tuple(path)
