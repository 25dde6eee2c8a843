"""Each file in `negative/` holds one kind of mistake; `// line:column: sentence` at its end is reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest

from codegen.plugin.main import respond
from tests.codegen.schemas import build, generate, workspace

FILES = sorted(Path(__file__).parent.joinpath("negative").glob("*.proto"))


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    folder = tmp_path_factory.mktemp("negative")
    workspace(folder, {"negative": FILES[0].parent})
    return build(folder)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_a_mistake_is_reported_where_it_stands_in_one_sentence(
    descriptors: FileDescriptorSet, path: Path
) -> None:
    expected = re.findall(r"^// (\d+:\d+: .+)$", path.read_text("utf-8"), re.MULTILINE)
    response = generate(descriptors, path.name, ["emit=rpc"])
    assert expected
    assert response.error.strip().splitlines() == [f"{path.name}:{line}" for line in expected]
    assert not response.file


def test_a_root_makes_paths_those_of_the_working_directory(
    descriptors: FileDescriptorSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("idl").mkdir()
    Path("idl", "wire_missing.proto").touch()
    response = generate(descriptors, "wire_missing.proto", ["emit=rpc", "root=elsewhere", "root=idl"])
    assert response.error.strip().startswith("idl/wire_missing.proto:8:10: ")


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("emit", "The parameter 'emit' has no value; parameters are key=value."),
        ("emit=cobol", "emit=cobol: there are only messages, grpc, rpc"),
        ("colour=red", "colour=red: there are only emit, include, root, allow_shadowed"),
        ("include=libary/", "include: no file (0 in all) begins with libary/."),
        ("emit=descriptors", "The parameter descriptors=... is missing."),
    ],
)
def test_a_wrong_parameter_is_answered_by_a_sentence(parameter: str, sentence: str) -> None:
    assert respond(CodeGeneratorRequest(parameter=parameter)).error.startswith(sentence)


def test_prefixes_that_fit_no_file_are_a_mistake(descriptors: FileDescriptorSet) -> None:
    response = generate(descriptors, "wire_missing.proto", ["emit=rpc", "include=wired", "include=none"])
    begins = "include: no file (1 in all) begins with wired or none; the first one is wire_missing.proto."
    assert response.error == begins
    assert not response.file
