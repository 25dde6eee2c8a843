"""What a back end is: a module with a function `generate` of this type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest

from codegen.plugin.ir import Schema
from codegen.plugin.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Output:
    """One generated file."""

    path: str
    """Relative to the output folder."""
    content: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a back end is given."""

    schema: Schema
    parameters: Parameters
    request: CodeGeneratorRequest


BackEnd = Callable[[Run], Iterable[Output]]
