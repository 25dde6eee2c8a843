"""Mistakes of a schema, each where it stands: `file:line:column: sentence`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from protobuf import DescEnum, DescFile, DescMessage, DescService
from protobuf.wkt.google.protobuf.descriptor_pb import SourceCodeInfo

from codegen.plugin.ir import Described, Position

# Field numbers of google/protobuf/descriptor.proto, of which paths in SourceCodeInfo are made.
_MESSAGE: Final = 4
_ENUM: Final = 5
_SERVICE: Final = 6
_NESTED_MESSAGE: Final = 3
_NESTED_ENUM: Final = 4
_FIELD: Final = 2
_ONEOF: Final = 8
_VALUE: Final = 2
_METHOD: Final = 2
_OPTIONS: Final = {
    "DescEnum": 3,
    "DescEnumValue": 3,
    "DescField": 8,
    "DescMessage": 7,
    "DescMethod": 4,
    "DescOneof": 2,
    "DescService": 3,
}

Path = tuple[int, ...]


class SchemaError(Exception):
    """Everything that is wrong with a schema, one line each."""


class Sources:
    """Where things stand in the files of a run, and what is written about them."""

    def __init__(self) -> None:
        self._files: dict[str, _FileSource] = {}

    def position(self, desc: Described, option: Sequence[int] = ()) -> Position:
        """Position of a descriptor, or of a part of its options."""
        source = self._source(_file_of(desc))
        path = source.paths[desc]
        if option:
            path = (*path, _OPTIONS[type(desc).__name__], *option)
        return (_file_of(desc).name, *source.position(path))

    def comments(self, desc: Described) -> tuple[str, ...]:
        """Lines of the comment on a descriptor, leading before trailing."""
        source = self._source(_file_of(desc))
        location = source.locations.get(source.paths[desc])
        if location is None:
            return ()
        return tuple(_lines(location.leading_comments) + _lines(location.trailing_comments))

    def _source(self, file: DescFile) -> _FileSource:
        if file.name not in self._files:
            self._files[file.name] = _FileSource(file)
        return self._files[file.name]


class Mistakes:
    """Collects mistakes, so that one run reports them all."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._found: list[tuple[str, int, int, str]] = []
        self._beside: set[str] = set()

    def add(self, desc: Described, sentence: str, *, option: Sequence[int] = ()) -> None:
        """Notes a mistake at a descriptor, or at the part of its options with these field numbers."""
        self.add_at(self.position(desc, option), sentence)

    def add_at(self, position: Position, sentence: str) -> None:
        """Notes a mistake at a position."""
        self._found.append((*position, sentence))

    def add_beside(self, position: Position, sentence: str) -> None:
        """Notes a mistake that is reported even if it is in a file that is no part of the schema."""
        self._beside.add(position[0])
        self.add_at(position, sentence)

    def position(self, desc: Described, option: Sequence[int] = ()) -> Position:
        """Position of a descriptor, or of a part of its options."""
        return self._sources.position(desc, option)

    def report(self, files: frozenset[str], shown: Callable[[str], str]) -> None:
        """Raises what was found in the given files, whose paths are written as `shown` gives them.

        Raises:
            SchemaError: there is something.
        """
        reported = files | self._beside
        found = sorted({mistake for mistake in self._found if mistake[0] in reported})
        if found:
            lines = [f"{shown(file)}:{line}:{column}: {text}" for file, line, column, text in found]
            raise SchemaError("\n".join(lines))


class _FileSource:
    """SourceCodeInfo of one file, by path; and the path of each descriptor."""

    def __init__(self, file: DescFile) -> None:
        self.locations: dict[Path, SourceCodeInfo.Location] = {}
        info = file.proto.source_code_info
        for location in info.location if info is not None else ():
            self.locations.setdefault(tuple(location.path), location)
        self.paths: dict[Described, Path] = dict(_paths(file))

    def position(self, path: Path) -> tuple[int, int]:
        while path:
            location = self.locations.get(path)
            if location is not None:
                return location.span[0] + 1, location.span[1] + 1
            path = path[:-1]
        return 0, 0


def _file_of(desc: Described) -> DescFile:
    while not isinstance(desc, DescEnum | DescMessage | DescService):
        desc = desc.parent
    return desc.file


def _paths(file: DescFile) -> Iterator[tuple[Described, Path]]:
    for i, service in enumerate(file.services):
        yield service, (_SERVICE, i)
        for j, method in enumerate(service.methods):
            yield method, (_SERVICE, i, _METHOD, j)
    for i, enum in enumerate(file.enums):
        yield from _enum_paths(enum, (_ENUM, i))
    for i, message in enumerate(file.messages):
        yield from _message_paths(message, (_MESSAGE, i))


def _enum_paths(enum: DescEnum, path: Path) -> Iterator[tuple[Described, Path]]:
    yield enum, path
    for i, value in enumerate(enum.values):
        yield value, (*path, _VALUE, i)


def _message_paths(message: DescMessage, path: Path) -> Iterator[tuple[Described, Path]]:
    yield message, path
    # Descriptors leave out synthetic map entries and oneofs, so places are those of the proto.
    fields = {field.name: field for field in message.fields}
    for i, proto in enumerate(message.proto.field):
        yield fields[proto.name], (*path, _FIELD, i)
    oneofs = {oneof.name: oneof for oneof in message.oneofs}
    for i, oneof_proto in enumerate(message.proto.oneof_decl):
        if oneof_proto.name in oneofs:
            yield oneofs[oneof_proto.name], (*path, _ONEOF, i)
    for i, enum in enumerate(message.nested_enums):
        yield from _enum_paths(enum, (*path, _NESTED_ENUM, i))
    nested = {inner.name: inner for inner in message.nested_messages}
    for i, nested_proto in enumerate(message.proto.nested_type):
        if nested_proto.name in nested:
            yield from _message_paths(nested[nested_proto.name], (*path, _NESTED_MESSAGE, i))


def _lines(comment: str) -> list[str]:
    return (
        [line.removeprefix(" ").rstrip() for line in comment.strip("\n").splitlines()]
        if comment.strip()
        else []
    )
