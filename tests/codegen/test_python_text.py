"""Layout of generated Python."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.plugin.names import attribute, constant, snake
from codegen.plugin.python_text import Module, call, docstring, layout, sequence, string

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_a_string_is_a_literal_of_itself(value: str) -> None:
    assert ast.literal_eval(string(value)) == value


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200), min_size=1))
def test_any_comment_makes_a_docstring(lines: list[str]) -> None:
    source = "\n".join(["def f():", *docstring([f"x{line}" for line in lines], indent=1), "    pass"])
    compiled = ast.parse(source).body[0]
    assert isinstance(compiled, ast.FunctionDef)
    assert (ast.get_docstring(compiled) or "").startswith("x")


def test_what_fits_is_one_line_and_what_does_not_is_one_argument_a_line() -> None:
    assert layout("x = ", call("f", "a", b=sequence(["c"]))) == ["x = f(a, b=(c,))"]
    long = call("f", "a" * 60, b=call("g", "b" * 60))
    assert layout("x = ", long) == ["x = f(", f"    {'a' * 60},", f"    b=g({'b' * 60}),", ")"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SendMessage", "send_message"),
        ("GetHTTPUrl", "get_http_url"),
        ("GetURL2", "get_url2"),
        ("From", "from_"),
        ("None", "none"),
        ("import", "import_"),
        ("already_snake", "already_snake"),
    ],
)
def test_an_rpc_becomes_an_attribute(name: str, expected: str) -> None:
    assert attribute(name) == expected


def test_a_service_becomes_a_constant() -> None:
    assert constant("OrderServiceV2") == "ORDER_SERVICE_V2"
    assert snake("shop.v1.OrderService") == "shop.v1.order_service"


def test_two_modules_of_one_name_are_told_apart() -> None:
    module = Module("shop.proto", "Shop.", reserved={"Method"})
    assert module.use("a.b", "x_pb2") == "x_pb2"
    assert module.use("c.d", "x_pb2") == "c_d_x_pb2"
    assert module.use("codegen.runtime.method", "Method") == "codegen_runtime_method_Method"
    text = module.text()
    assert "from a.b import x_pb2\n" in text
    assert "from c.d import x_pb2 as c_d_x_pb2\n" in text
    assert "from codegen.runtime.method import Method as codegen_runtime_method_Method\n" in text
