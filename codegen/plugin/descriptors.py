"""Back end `descriptors`: one module with the descriptors of everything, as bytes and as a registry.

Parameter: `descriptors=<dotted module>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protobuf import DescFile
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto, FileDescriptorSet

from codegen.plugin.backend import Output, Run
from codegen.plugin.python_text import WIDTH, Module

_REGISTRY: Final = '''\
@functools.cache
def registry() -> {registry}:
    """Everything in DESCRIPTOR_SET: files, messages, enums, services, extensions."""
    return {file_descriptor_set}.from_binary(DESCRIPTOR_SET).to_registry()
'''


def generate(run: Run) -> Iterator[Output]:
    """The module."""
    name = run.parameters.required("descriptors")
    module = Module("all files", "Descriptors of the schema and of all that it imports.", {"DESCRIPTOR_SET"})
    module.use("", "functools")
    chunks = [line for file in _needed(run) for line in _chunk(file)]
    module.block(
        [
            "DESCRIPTOR_SET: bytes = (",
            *chunks,
            ")",
            '"""A google.protobuf.FileDescriptorSet without comments, dependencies before dependents."""',
        ]
    )
    text = _REGISTRY.format(
        registry=module.use("protobuf", "Registry"),
        file_descriptor_set=module.use("protobuf.wkt", "FileDescriptorSet"),
    )
    module.block(text.splitlines())
    yield Output(f"{name.replace('.', '/')}.py", module.text())


def _needed(run: Run) -> list[DescFile]:
    """The wanted files and what they import, in the order of the request."""
    needed: set[str] = set()
    pending = [file.desc for file in run.schema.files]
    while pending:
        file = pending.pop()
        if file.name not in needed:
            needed.add(file.name)
            pending.extend(file.dependencies)
    return [file for file in run.schema.dependencies if file.name in needed]


def _chunk(file: DescFile) -> Iterator[str]:
    """The file as one entry of a FileDescriptorSet; entries one after another make the set."""
    plain = FileDescriptorProto.from_binary(file.proto.to_binary())
    plain.clear_field("source_code_info")
    data = FileDescriptorSet(file=[plain]).to_binary()
    yield f"    # {file.name}"
    start = 0
    while start < len(data):
        end = start + _fitting(data, start)
        yield f"    {data[start:end]!r}"
        start = end


def _fitting(data: bytes, start: int) -> int:
    """How many bytes from `start` on fit in a line as a literal."""
    count = WIDTH - 8
    while len(repr(data[start : start + count])) > WIDTH - 4:
        count = count * (WIDTH - 4) // len(repr(data[start : start + count]))
    return count
