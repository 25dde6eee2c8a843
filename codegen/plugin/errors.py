"""Back end `errors`: `<file>_errors.py` with the reasons of every enum that has an error domain."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.python_text import Module, call, docstring, layout, string


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has such enums."""
    for file in run.schema.files:
        if not file.errors:
            continue
        reasons = [(enum, reason) for enum in file.errors for reason in enum.reasons]
        defined = names.variables([r.name for _, r in reasons], [r.desc.name for _, r in reasons])
        summary = f"Error reasons of {', '.join(enum.desc.type_name for enum in file.errors)}."
        module = Module(file.path, summary, defined)
        reason_class = module.use("codegen.runtime.errors", "Reason")
        lines: list[str] = []
        for variable, (enum, reason) in zip(defined, reasons, strict=True):
            value = call(reason_class, string(reason.name), string(enum.domain), str(reason.code))
            lines += layout(f"{variable} = ", value)
            lines += docstring(run.schema.comments(reason.desc), indent=0)
        module.block(lines)
        yield Output(names.path(file.desc, "_errors"), module.text())
