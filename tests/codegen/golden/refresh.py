"""Writes `expected/` anew: `python -m tests.codegen.golden.refresh`, from the root. Then read the diff."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.codegen.schemas import build, generate, workspace

HERE: Final = Path(__file__).parent
EXPECTED: Final = HERE / "expected"
BACK_ENDS: Final = ("rpc", "http", "stream", "consumer", "socket", "errors", "closes", "routes")
"""All that write Python, but for protoc's own, and for `descriptors`, whose bytes change with imports."""

REPORT: Final = "route_report"


def outputs(folder: Path) -> dict[str, str]:
    """What every back end makes of the schema, by path."""
    workspace(folder, {"schema": HERE / "schema"})
    descriptors = build(folder)
    found: dict[str, str] = {}
    for name in (*BACK_ENDS, REPORT):
        file = "golden/v1/routes.proto" if name == REPORT else "golden/v1/shelf.proto"
        response = generate(descriptors, file, [f"emit={name}", f"{REPORT}=routes.md"])
        if response.error:
            raise AssertionError(response.error)
        found |= {f"{name}/{Path(file.name).name}": file.content for file in response.file}
    return found


def main() -> None:
    """Replaces the folder."""
    with TemporaryDirectory() as folder:
        fresh = outputs(Path(folder))
    shutil.rmtree(EXPECTED, ignore_errors=True)
    for path, content in fresh.items():
        target = EXPECTED / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
