"""Parameters of the plugin, as `opt:` of buf.gen.yaml gives them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BACK_ENDS: Final = (
    "messages",
    "grpc",
    "rpc",
    "http",
    "stream",
    "consumer",
    "socket",
    "errors",
    "closes",
    "routes",
    "descriptors",
    "es",
    "openapi",
    "route_report",
)
"""Names for `emit`; each is a module of this package."""

VALUES: Final = (
    "descriptors",
    "es",
    "openapi",
    "openapi_server",
    "openapi_title",
    "openapi_version",
    "route_report",
    "service_config",
)
"""Everything else that may be told once."""


_REPEATED: Final = ("emit", "include", "root", "allow_shadowed")


class ParameterError(ValueError):
    """A parameter that cannot be understood; the text is a sentence."""


@dataclass(slots=True)
class Parameters:
    """What buf.gen.yaml asks for."""

    emit: list[str] = field(default_factory=list)
    """Back ends to run, in order: `emit=rpc`, once for each."""
    include: list[str] = field(default_factory=list)
    """Prefixes of the files for which output is wanted: `include=shop/`. Without any, all files."""
    root: list[str] = field(default_factory=list)
    """Folders that import paths are relative to, for the paths in mistakes: `root=idl`."""
    allow_shadowed: list[str] = field(default_factory=list)
    """Selectors of methods that need no option to be shadowed: `allow_shadowed=shop.v1.*`."""
    values: dict[str, str] = field(default_factory=dict)
    """What single back ends are told: `descriptors=shop.descriptors`."""

    def wants(self, file: str) -> bool:
        """Whether output is wanted for a file."""
        return not self.include or file.startswith(tuple(self.include))

    def check_include(self, files: Iterable[str]) -> None:
        """Whether any file is wanted: prefixes that fit none would make all that was generated go.

        Raises:
            ParameterError: none is.
        """
        known = sorted(files)
        if self.include and not any(map(self.wants, known)):
            prefixes = " or ".join(self.include)
            first = f"; the first one is {known[0]}" if known else ""
            raise ParameterError(f"include: no file ({len(known)} in all) begins with {prefixes}{first}.")

    def shown(self, file: str) -> str:
        """The path of a file as somebody in the working directory would write it, if a root has it."""
        return next((str(Path(root, file)) for root in self.root if Path(root, file).is_file()), file)

    def required(self, name: str) -> str:
        """A value that a back end cannot do without."""
        try:
            return self.values[name]
        except KeyError:
            raise ParameterError(f"The parameter {name}=... is missing.") from None


def selects(pattern: str, name: str) -> bool:
    """Whether a selector means a full name: it is the name, or ends in `.*`, or is `*`."""
    if pattern == "*":
        return True
    return name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern


def parse(text: str) -> Parameters:
    """Reads `key=value,key=value`."""
    parameters = Parameters()
    for token in filter(None, text.split(",")):
        key, separator, value = token.partition("=")
        if not separator:
            raise ParameterError(f"The parameter '{token}' has no value; parameters are key=value.")
        if key == "emit":
            parameters.emit.append(_back_end(value))
        elif key == "include":
            parameters.include.append(value)
        elif key == "root":
            parameters.root.append(value)
        elif key == "allow_shadowed":
            parameters.allow_shadowed.append(value)
        elif key in VALUES:
            parameters.values[key] = value
        else:
            raise ParameterError(f"{key}={value}: there are only {', '.join((*_REPEATED, *VALUES))}.")
    return parameters


def _back_end(name: str) -> str:
    if name not in BACK_ENDS:
        raise ParameterError(f"emit={name}: there are only {', '.join(BACK_ENDS)}.")
    return name
