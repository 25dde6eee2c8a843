"""What a client writes, read by the server's own rules: matcher, items of a body, binding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from hypothesis import assume
from protobuf import Registry

from codegen.runtime.client.request import ClientBinding
from codegen.runtime.codec import JsonCodec
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.json_items import JsonItems
from codegen.runtime.transcoding.matcher import Matcher
from codegen.runtime.transcoding.route import Route


class RoundTrip:
    """Both sides of all routes of a schema."""

    def __init__(self, routes: Sequence[Route], registry: Registry) -> None:
        self._matcher = Matcher(routes)
        self._codec = JsonCodec(registry)
        self._lenient = JsonCodec(registry, ignore_unknown_fields=True)

    def one(self, route: Route, request: Message) -> Message:
        """A request of a method that takes one."""
        writer = ClientBinding(route, self._lenient)
        written = writer.write(request)
        binding, segments, query = self._found(route, writer.verb, written.target)
        if binding.takes_http_body:
            read = binding.decode_raw(segments, query, written.body or b"", written.content_type or None)
        else:
            read = binding.decode(segments, query, written.body or b"", binary=False)
        return self._message(route, read)

    def many(self, route: Route, requests: Sequence[Message]) -> list[Message]:
        """A stream of requests: raw content in the same parts, other bodies split anew."""
        writer = ClientBinding(route, self._lenient)
        written = writer.write(requests[0])
        items = [writer.item(written), *map(writer.write_item, requests[1:])]
        binding, segments, query = self._found(route, writer.verb, written.target)
        if binding.takes_http_body:
            kind = written.content_type or None
            first = binding.decode_raw(segments, query, items[0], kind)
            rest = [binding.decode_raw_item(item, kind) for item in items[1:]]
        else:
            reader = JsonItems(1 << 20, array=False)
            items = [*reader.feed(b"".join(item + b"\n" for item in items)), *reader.finish()]
            first = binding.decode(segments, query, items[0], binary=False)
            rest = [binding.decode_item(item, binary=False) for item in items[1:]]
        return [self._message(route, each) for each in (first, *rest)]

    def _found(self, route: Route, verb: str, target: str) -> tuple[Binding, Sequence[str], bytes]:
        path, _, query = target.partition("?")
        found = self._matcher.find(verb, path)
        assert found is not None
        assert found.route is not None
        # A value may happen to be a literal of another route, which goes first.
        assume(found.route.template == route.template)
        return Binding(found.route, self._codec), found.segments, query.encode()

    def _message(self, route: Route, read: Any) -> Message:
        return route.method.request.FromString(read.to_binary())
