"""Back end `consumer`: `<file>_consumer.py` with protocol and table of every service of wire CONSUMER."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names, stream
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import TABLES, class_name, seconds, table_name
from codegen.plugin.ir import Consumer, File, Group, Schema
from codegen.plugin.python_text import Call, Expression, Module, call, docstring, layout, sequence, string


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has consumers."""
    for file in run.schema.files:
        if file.consumers:
            yield Output(names.path(file.desc, "_consumer"), _module(run.schema, file))


def _module(schema: Schema, file: File) -> str:
    services = [consumer.service for consumer in file.consumers]
    summary = f"{', '.join(service.full_name for service in services)}: protocol and table."
    defined = {class_name(service) for service in services} | {table_name(s) for s in services}
    module = Module(file.path, summary, defined)
    for consumer in file.consumers:
        module.block(layout(f"{table_name(consumer.service)} = ", _table(module, consumer)))
    for consumer in file.consumers:
        module.block(_protocol(schema, module, consumer))
    return module.text()


def _table(module: Module, consumer: Consumer) -> Call:
    envelope = names.module(consumer.stream.message.file, "_stream")
    return call(
        module.use(TABLES, "Consumer"),
        name=string(consumer.service.full_name),
        stream=module.use(envelope, stream.constant(consumer.stream)),
        groups=sequence(_group(module, group) for group in consumer.groups),
    )


def _group(module: Module, group: Group) -> Call:
    arguments: dict[str, Expression] = {
        "name": string(group.name),
        "attribute": string(group.method.attribute),
    }
    for name, number in (("batch", group.batch), ("max_attempts", group.max_attempts)):
        arguments |= {name: str(number)} if number else {}
    for name, pause in (("backoff", group.backoff_ms), ("max_backoff", group.max_backoff_ms)):
        arguments |= {name: seconds(pause)} if pause else {}
    return call(module.use(TABLES, "Group"), **arguments)


def _protocol(schema: Schema, module: Module, consumer: Consumer) -> list[str]:
    service = consumer.service
    heading = schema.comments(service.desc) or (f"{service.full_name}, implemented by hand.",)
    lines = [
        f"class {class_name(service)}({module.use('typing', 'Protocol')}):",
        *docstring(heading, indent=1),
    ]
    for group in consumer.groups:
        lines += ["", *_declaration(schema, module, group)]
    return lines


def _declaration(schema: Schema, module: Module, group: Group) -> list[str]:
    sequence_of = module.use("collections.abc", "Sequence")
    delivery = module.use("codegen.runtime.streams.delivery", "Delivery")
    batch = f"batch: {sequence_of}[{delivery}[{module.annotation(group.method.input)}]]"
    signature = call(f"async def {group.method.attribute}", "self", batch)
    returns = f" -> {sequence_of}[{module.annotation(group.method.output)}]:"
    comment = schema.comments(group.method.desc)
    if not comment:
        return layout("", signature, f"{returns} ...", indent=1)
    return [*layout("", signature, returns, indent=1), *docstring(comment, indent=2), f"{' ' * 8}..."]
