"""The text of every back end, against `golden/expected`; see `golden/refresh.py`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.codegen.golden import refresh
from tests.codegen.schemas import ROOT


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return refresh.outputs(tmp_path_factory.mktemp("golden"))


def test_every_back_end_writes_what_is_expected(outputs: dict[str, str]) -> None:
    expected = {
        path.relative_to(refresh.EXPECTED).as_posix(): path.read_text("utf-8")
        for path in refresh.EXPECTED.rglob("*")
        if path.is_file()
    }
    assert outputs == expected, "python -m tests.codegen.golden.refresh, and read the diff"


def test_generated_python_is_formatted_and_no_line_is_too_long(
    outputs: dict[str, str], tmp_path: Path
) -> None:
    for path, content in outputs.items():
        if path.endswith(".py"):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, "utf-8")
            assert all(len(line) <= 110 for line in content.splitlines())
    command = ["ruff", "format", "--isolated", "--line-length", "110", "--diff", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
