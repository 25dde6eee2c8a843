# ruff: noqa: INP001  # a script
"""Materialises the protos of others in `.protos`, a buf module that is not part of this repository.

google/api and google/rpc come from the installed wheel googleapis-common-protos, buf/validate from the source
distribution pinned in requirements/protos.txt. Does nothing if everything is there already.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / ".protos"
PINNED: Final = ROOT / "requirements" / "protos.txt"
STAMP: Final = TARGET / ".pinned"
GOOGLE: Final = (
    "google/api/annotations.proto",
    "google/api/field_behavior.proto",
    "google/api/http.proto",
    "google/api/httpbody.proto",
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
)
VALIDATE: Final = "buf/validate/validate.proto"
MEMBER: Final = f"upstream/proto/{VALIDATE}"


def main() -> int:
    """Returns the exit code."""
    try:
        stamp = _stamp()
        if _complete(stamp):
            return 0
        print("protos: copying google/api and google/rpc", flush=True)  # noqa: T201
        _copy_google()
        print(f"protos: fetching {VALIDATE}", flush=True)  # noqa: T201
        _fetch_validate()
        STAMP.write_text(stamp, "utf-8")
    except (OSError, LookupError, subprocess.CalledProcessError, tarfile.TarError) as error:
        print(f"protos: {_sentence(error)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _stamp() -> str:
    """Whatever changes when the protos must be made anew."""
    return f"{distribution('googleapis-common-protos').version}\n{PINNED.read_text('utf-8')}"


def _complete(stamp: str) -> bool:
    present = all((TARGET / name).is_file() for name in (*GOOGLE, VALIDATE))
    return present and STAMP.is_file() and STAMP.read_text("utf-8") == stamp


def _copy_google() -> None:
    wheel = distribution("googleapis-common-protos")
    for name in GOOGLE:
        target = TARGET / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(wheel.locate_file(name))), target)


def _fetch_validate() -> None:
    with TemporaryDirectory() as folder:
        _download(Path(folder))
        [archive] = Path(folder).glob("protovalidate-*.tar.gz")
        target = TARGET / VALIDATE
        target.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            content = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{MEMBER}")
            if content is None:
                raise LookupError(f"{archive.name} has no {MEMBER}")
            target.write_bytes(content.read())


def _download(folder: Path) -> None:
    """Pip checks the hash. The build backend, which it asks for the version, is our own, pinned too."""
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-binary=:all:",
        "--no-build-isolation",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--require-hashes"]
    subprocess.run(  # noqa: S603  # fixed arguments
        [*command, "--dest", str(folder), "--requirement", str(PINNED)],
        check=True,
        capture_output=True,
        text=True,
    )


def _sentence(error: Exception) -> str:
    if not isinstance(error, subprocess.CalledProcessError):
        return f"{error}."
    said = [line for line in str(error.stderr).splitlines() if line.startswith("ERROR")]
    reason = said[0].removeprefix("ERROR: ") if said else f"pip exited with {error.returncode}"
    return f"the package index did not give the archive pinned in requirements/protos.txt ({reason})."


if __name__ == "__main__":
    sys.exit(main())
