"""The toolkit says what it needs: an installation of it alone can import all of it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.codegen.schemas import ROOT

PROJECT = tomllib.loads((ROOT / "codegen" / "pyproject.toml").read_text("utf-8"))["project"]
OWN = {"codegen", "idiom", "buf"}


@pytest.mark.parametrize(
    ("part", "declared"),
    [
        ("runtime", PROJECT["dependencies"]),
        ("plugin", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["plugin"]]),
    ],
)
def test_whatever_is_imported_is_declared(part: str, declared: list[str]) -> None:
    brought = set(_with_their_own(declared))
    packages = metadata.packages_distributions()
    missing = {
        name
        for path in (ROOT / "codegen" / part).rglob("*.py")
        for name in _imported(path)
        if name not in sys.stdlib_module_names | OWN
        and not brought & {_normal(distribution) for distribution in packages.get(name, [])}
    }
    assert missing == set()


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _with_their_own(requirements: Sequence[str]) -> Iterator[str]:
    """Names of what is installed with these, all in all."""
    seen: set[str] = set()
    pending = list(requirements)
    while pending:
        requirement = Requirement(pending.pop())
        name = _normal(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        yield name
        pending.extend(metadata.requires(requirement.name) or ())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
