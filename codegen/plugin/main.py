"""`protoc-gen-idiom`: a CodeGeneratorRequest in, files or mistakes out."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Final, cast

from protobuf import maximum_supported_edition, minimum_supported_edition
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest, CodeGeneratorResponse

from codegen.plugin.backend import BackEnd, Run
from codegen.plugin.mistakes import SchemaError
from codegen.plugin.parameters import ParameterError, parse
from codegen.plugin.protoc import ProtocError
from codegen.plugin.resolve import resolve

_FEATURES: Final = (
    CodeGeneratorResponse.Feature.PROTO3_OPTIONAL | CodeGeneratorResponse.Feature.SUPPORTS_EDITIONS
)


def main() -> None:
    """Runs as a plugin of buf or protoc."""
    gc.disable()  # a fifth of the time, in a process that ends when it has answered
    request = CodeGeneratorRequest.from_binary(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).to_binary())


def respond(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Generates; mistakes of the schema and of the parameters become the response's error."""
    try:
        parameters = parse(request.parameter)
        parameters.check_include(request.file_to_generate)
        run = Run(resolve(request, parameters), parameters, request)
        outputs = [output for name in parameters.emit for output in back_end(name)(run)]
    except SchemaError as error:
        # On lines of their own, whatever a compiler writes before them.
        return CodeGeneratorResponse(error=f"\n{error}")
    except (ParameterError, ProtocError) as error:
        return CodeGeneratorResponse(error=str(error))
    return CodeGeneratorResponse(
        supported_features=int(_FEATURES),
        minimum_edition=minimum_supported_edition,
        maximum_edition=maximum_supported_edition,
        file=[CodeGeneratorResponse.File(name=output.path, content=output.content) for output in outputs],
    )


def back_end(name: str) -> BackEnd:
    """The function `generate` of the module of that name."""
    return cast("BackEnd", importlib.import_module(f"codegen.plugin.{name}").generate)
