"""Every API that Google publishes generates, imports and routes as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest

from tests.codegen.google_apis import package_of, with_rules
from tests.codegen.schemas import ROOT

SOURCE: Final = ROOT / ".npm" / "node_modules" / "google-proto-files"
SIZE: Final = 180


def _parts() -> Iterator[list[str]]:
    """Files of neighbouring packages, which import much the same."""
    part: list[str] = []
    for _, files in groupby(with_rules(SOURCE), package_of):
        part += files
        if len(part) >= SIZE:
            yield part
            part = []
    yield part


def _generated(folder: Path, files: list[str]) -> dict[str, Any]:
    """In a process of its own: thousands of modules are imported."""
    out = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, "-m", "tests.codegen.google_apis", str(SOURCE), str(out)]
    result = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, input="\n".join(files)
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.long
@pytest.mark.timeout(400)
def test_all_of_them_generate_and_import_and_every_binding_gets_its_urls(tmp_path: Path) -> None:
    assert SOURCE.is_dir(), "make .npm/stamp"
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(partial(_generated, tmp_path), _parts()))
    assert [error for each in found for error in each["errors"]] == []
    assert [url for each in found for url in each["wrong"]] == []
    assert sum(each["files"] for each in found) > 1500
    assert sum(each["modules"] for each in found) > 3000
    assert sum(each["routes"] for each in found) > 10_000
