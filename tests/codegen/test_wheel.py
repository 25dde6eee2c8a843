"""The toolkit can be built and installed by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.codegen.schemas import ROOT

ALONE = """
import pkgutil, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
sys.path.append(sys.argv[2])
import codegen, idiom.v1.runtime_pb2, buf.validate.validate_pb2, idiom.v1.reason_errors
names = [module.name for module in pkgutil.walk_packages(codegen.__path__, "codegen.")]
for name in names:
    __import__(name)
for module in (codegen, idiom.v1.runtime_pb2, buf.validate.validate_pb2):
    assert Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
assert not any(name.split(".")[0] in {"impl", "im", "gateway_routes"} for name in sys.modules)
print(len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "codegen", source, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_carries_the_toolkit_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"codegen", "idiom", "buf"}
    assert {
        "codegen/py.typed",
        "codegen/proto/idiom/v1/options.proto",
        "codegen/plugin/es_runtime.js",
        "codegen/plugin/es_runtime_socket.js",
    } <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_every_module_of_the_wheel_can_be_imported_without_the_application(
    wheel: Path, tmp_path: Path
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    # Isolated and without `site`, so that no `.pth` file brings the repository onto the path.
    command = [sys.executable, "-I", "-S", "-c", ALONE, str(tmp_path), sysconfig.get_path("purelib")]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 30
