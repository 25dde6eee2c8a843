"""Back end `closes`: `<file>_closes.py` with the codes of every enum of close codes."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import TABLES
from codegen.plugin.python_text import Module, call, docstring, layout, string


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has such enums."""
    for file in run.schema.files:
        if not file.closes:
            continue
        codes = [code for enum in file.closes for code in enum.codes]
        defined = names.variables([code.name for code in codes], [code.desc.name for code in codes])
        summary = f"Close codes of {', '.join(enum.desc.type_name for enum in file.closes)}."
        module = Module(file.path, summary, defined)
        close_class, reconnect = module.use(TABLES, "CloseCode"), module.use(TABLES, "Reconnect")
        lines: list[str] = []
        for variable, code in zip(defined, codes, strict=True):
            value = call(close_class, string(code.name), str(code.code), f"{reconnect}.{code.reconnect}")
            lines += layout(f"{variable} = ", value)
            lines += docstring(run.schema.comments(code.desc), indent=0)
        module.block(lines)
        yield Output(names.path(file.desc, "_closes"), module.text())
