"""Back end `stream`: `<file>_stream.py` with the table of every stream."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import TABLES
from codegen.plugin.ir import Stream
from codegen.plugin.python_text import Call, Expression, Module, call, docstring, layout, sequence, string


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has streams."""
    for file in run.schema.files:
        if not file.streams:
            continue
        module = Module(file.path, f"Streams of {file.path}.", {constant(stream) for stream in file.streams})
        for stream in file.streams:
            comment = docstring(run.schema.comments(stream.message), indent=0)
            module.block([*layout(f"{constant(stream)} = ", _table(module, stream)), *comment])
        yield Output(names.path(file.desc, "_stream"), module.text())


def constant(stream: Stream) -> str:
    """Name of the table of a stream."""
    return names.constant("_".join(names.qualified(stream.message)))


def _table(module: Module, stream: Stream) -> Call:
    arguments: dict[str, Expression] = {
        "name": string(stream.name),
        "message": module.message(stream.message),
        "order_by": string(stream.order_by.name),
        "partitions": str(stream.partitions),
    }
    for name, field in (("sequence", stream.sequence), ("epoch", stream.epoch)):
        if field is not None:
            arguments |= {name: string(field.name), f"{name}_number": str(field.number)}
    arguments |= {"retain": str(stream.retain)} if stream.retain else {}
    arguments |= {"max_lag": str(stream.max_lag)} if stream.max_lag else {}
    arguments["groups"] = sequence(string(group) for group in stream.groups)
    return call(module.use(TABLES, "Stream"), **arguments)
