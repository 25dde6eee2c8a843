"""Every API that Google publishes generates, imports and routes as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.codegen.schemas import ROOT

SOURCE: Final = ROOT / ".npm" / "node_modules" / "google-proto-files"
PARTS: Final = 8


def _part(folder: Path, number: int) -> dict[str, Any]:
    """In a process of its own: thousands of modules are imported."""
    out = folder / str(number)
    out.mkdir()
    command = [
        sys.executable,
        "-m",
        "tests.codegen.google_apis",
        str(SOURCE),
        str(out),
        str(number),
        str(PARTS),
    ]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.long
@pytest.mark.timeout(400)
def test_all_of_them_generate_and_import_and_every_binding_gets_its_urls(tmp_path: Path) -> None:
    assert SOURCE.is_dir(), "make .npm/stamp"
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(partial(_part, tmp_path), range(PARTS)))
    assert [error for each in found for error in each["errors"]] == []
    assert [url for each in found for url in each["wrong"]] == []
    assert sum(each["files"] for each in found) > 1500
    assert sum(each["modules"] for each in found) > 3000
    assert sum(each["routes"] for each in found) > 10_000
