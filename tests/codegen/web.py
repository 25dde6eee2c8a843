"""What the web back ends make of the schema in golden_web; run as a module, writes it there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tests.codegen.schemas import build, generate, workspace

GOLDEN: Final = Path(__file__).parent / "golden_web"
PARAMETERS: Final = (
    "include=shelf",
    "root=schema",
    "emit=es",
    "es=web/shelf.js",
    "emit=openapi",
    "openapi=openapi.json",
    "openapi_title=Shelf",
    "openapi_version=1",
)


def outputs(folder: Path) -> dict[str, str]:
    """Generated files by path; `folder` is used to compile in."""
    source = folder / "source"
    source.mkdir()
    (source / "shelf.proto").write_bytes((GOLDEN / "shelf.proto").read_bytes())
    space = folder / "space"
    space.mkdir()
    workspace(space, {"schema": source})
    response = generate(build(space), "shelf.proto", PARAMETERS)
    assert not response.error, response.error
    return {file.name: file.content for file in response.file}


def main() -> None:
    """Writes what is generated today."""
    with tempfile.TemporaryDirectory() as folder:
        for path, content in outputs(Path(folder)).items():
            if Path(path).stem.split(".")[0] != "runtime":
                (GOLDEN / Path(path).name).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
