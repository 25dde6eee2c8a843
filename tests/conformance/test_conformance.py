"""ProtoJSON and the binary form as the official runner checks them, in both directions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import grpc_tools
import pytest
from grpc_tools import protoc

from tests.conformance.runner import INCLUDE, ROOT, UnavailableError, command

pytestmark = pytest.mark.long

KNOWN = Path(__file__).with_name("known_failures.txt")
SECONDS = 90
LEAST = 5000
"""Tests that the runner has at least; fewer means that they were not run."""


@pytest.fixture(name="runner")
def available() -> list[str]:
    try:
        return command()
    except UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"the conformance runner is not available: {error}")
        pytest.skip(f"the conformance runner is not available: {error}")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The messages of the tests, compiled."""
    files = sorted(path.relative_to(INCLUDE) for path in INCLUDE.rglob("*.proto"))
    folders = (INCLUDE, Path(grpc_tools.__file__).parent / "_proto")
    out = tmp_path / "image.binpb"
    options = [*(f"-I{folder}" for folder in folders), "--include_imports", f"--descriptor_set_out={out}"]
    assert protoc.main(["protoc", *options, *map(str, files)]) == 0  # type: ignore[no-untyped-call]
    return out


def test_the_codec_conforms_but_for_what_is_listed(runner: list[str], image: Path, tmp_path: Path) -> None:
    testee = [sys.executable, str(Path(__file__).with_name("testee.py")), str(image)]
    options = ["--enforce_recommended", "--maximum_edition", "2023", "--output_dir", str(tmp_path)]
    done = subprocess.run(
        [*runner, *options, "--failure_list", str(KNOWN), *testee],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-20_000:]}"
    passed = re.search(r"SUITE PASSED: (\d+) successes, 0 skipped", done.stderr)
    assert passed, done.stderr
    assert int(passed[1]) > LEAST
