"""Which fields of a request are listed as parameters of a query."""

from __future__ import annotations

import json
import time
from pathlib import Path

from codegen.plugin.http_rules import MAX_LEVELS, MAX_LISTED
from tests.codegen.schemas import build, generate, workspace


def _parameters(folder: Path, messages: str) -> list[str]:
    """Names of the parameters of `Get`, whose request is `M0`."""
    source = folder / "source"
    source.mkdir()
    source.joinpath("s.proto").write_text(
        'syntax = "proto3";\npackage s;\nimport "google/api/annotations.proto";\n'
        'service S { rpc Get(M0) returns (M0) { option (google.api.http) = {get: "/get"}; } }\n' + messages,
        "utf-8",
    )
    built = folder / "built"
    built.mkdir()
    workspace(built, {"source": source})
    response = generate(build(built), "s.proto", ["emit=openapi", "openapi=openapi.json"])
    assert not response.error
    operation = json.loads(response.file[0].content)["paths"]["/get"]["get"]
    return [each["name"] for each in operation["parameters"] if each["in"] == "query"]


def test_of_types_that_all_refer_to_each_other_the_upper_levels_are_listed_at_once(tmp_path: Path) -> None:
    fields = " ".join(f"M{number} m{number} = {number + 2};" for number in range(10))
    messages = "".join(f"message M{number} {{ string s = 1; {fields} }}\n" for number in range(10))
    start = time.process_time()
    names = _parameters(tmp_path, messages)
    assert time.process_time() - start < 5
    assert {name.count(".") for name in names} == {0, 1, 2}
    assert len(names) == 1 + 9 + 9 * 8
    assert names[:3] == ["s", "m1.s", "m1.m2.s"]  # as declared, not by levels
    assert names[-1] == "m9.m8.s"


def test_a_message_that_is_large_itself_is_listed_whole(tmp_path: Path) -> None:
    fields = " ".join(f"string s{number} = {number + 2};" for number in range(MAX_LISTED + 1))
    names = _parameters(tmp_path, f"message M0 {{ M1 m = 1; {fields} }}\nmessage M1 {{ string s = 1; }}\n")
    assert names == [f"s{number}" for number in range(MAX_LISTED + 1)]


def test_nothing_is_listed_that_is_too_deep_to_be_asked(tmp_path: Path) -> None:
    messages = "".join(
        f"message M{number} {{ string s = 1; M{number + 1} m = 2; }}\n" for number in range(MAX_LEVELS + 3)
    )
    names = _parameters(tmp_path, messages + f"message M{MAX_LEVELS + 3} {{ string s = 1; }}\n")
    assert sorted(name.count(".") + 1 for name in names) == list(range(1, MAX_LEVELS + 1))
