"""Back end `socket`: `<file>_socket.py` with the table of every WebSocket endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import TABLES, method, method_of, seconds
from codegen.plugin.ir import FrameCall, Socket
from codegen.plugin.python_text import Call, Expression, Module, call, docstring, layout, sequence, string


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has sockets."""
    for file in run.schema.files:
        if not file.sockets:
            continue
        summary = f"{', '.join(socket.method.full_name for socket in file.sockets)}: table."
        module = Module(file.path, summary, {names.constant(socket.method.name) for socket in file.sockets})
        for socket in file.sockets:
            comment = docstring(run.schema.comments(socket.method.desc), indent=0)
            table = layout(f"{names.constant(socket.method.name)} = ", _table(module, socket))
            module.block([*table, *comment])
        yield Output(names.path(file.desc, "_socket"), module.text())


def _table(module: Module, socket: Socket) -> Call:
    arguments: dict[str, Expression] = {
        "method": method(module, socket.method),
        "path": string(socket.path),
        "subprotocol": string(socket.subprotocol),
        "oneof": string(socket.oneof.name),
        "calls": sequence(_call(module, each) for each in socket.calls),
    }
    arguments["hello_timeout"] = seconds(socket.hello_timeout_ms)
    arguments["heartbeat"] = seconds(socket.heartbeat_ms)
    limits = ("max_frame_bytes", "send_queue_bytes", "max_calls")
    arguments |= {name: str(getattr(socket, name)) for name in limits}
    return call(module.use(TABLES, "Socket"), **arguments)


def _call(module: Module, frame: FrameCall) -> Call:
    return call(
        module.use(TABLES, "FrameCall"),
        frame=string(frame.frame.name),
        request=string(frame.request.name),
        method=method_of(module, frame.service, frame.method),
        reply=string(frame.reply.name),
    )
