"""Path templates in OpenAPI's form."""

from __future__ import annotations

import re
from typing import Final

from codegen.plugin.ir import Binding, Variable

VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY_VERB: Final = ("get", "put", "post", "delete", "patch")
_PARAMETER: Final = re.compile(r"\{(.*?)\}")


class Path:
    """A template in OpenAPI's form: each wildcard is one parameter; literals stay, in variables too."""

    def __init__(self, binding: Binding) -> None:
        self.parameters: list[tuple[Variable | None, bool]] = []
        """The variable that each parameter is a part of, and whether it may contain slashes."""
        self._segments = binding.template.segments
        self._owners: list[Variable | None] = [None] * len(self._segments)
        for variable in binding.variables:
            end = variable.end if variable.end >= 0 else len(self._segments) + 1 + variable.end
            self._owners[variable.start : end] = [variable] * (end - variable.start)
        parts = [self._part(place) for place in range(len(self._segments))]
        verb = f":{binding.template.verb}" if binding.template.verb else ""
        self.text = "/" + "/".join(parts) + verb

    @property
    def shape(self) -> str:
        """The text without names: OpenAPI takes two paths of one shape for the same."""
        return _PARAMETER.sub("{}", self.text)

    def whole(self, variable: Variable) -> bool:
        """Whether one parameter stands for the whole variable."""
        return self._owners.count(variable) == 1

    def _part(self, place: int) -> str:
        segment, variable = self._segments[place], self._owners[place]
        if segment not in {"*", "**"}:
            return segment
        self.parameters.append((variable, segment == "**"))
        name = ".".join(variable.names) if variable else "segment"
        if variable and self._wildcards(variable) == 1:
            return f"{{{name}}}"
        return f"{{{name}_{sum(owner is variable for owner, _ in self.parameters)}}}"

    def _wildcards(self, variable: Variable) -> int:
        pairs = zip(self._segments, self._owners, strict=True)
        return sum(owner is variable and segment in {"*", "**"} for segment, owner in pairs)


def names_of(text: str) -> list[str]:
    """Names of the parameters of a path."""
    return _PARAMETER.findall(text)


def verbs(binding: Binding) -> tuple[str, ...]:
    """What OpenAPI calls the verbs of a binding; a verb that it does not know is in capitals."""
    if binding.verb == "*":
        return _ANY_VERB
    verb = binding.verb.lower()
    return (verb if verb in VERBS else binding.verb,)
